//! Specs for tests: built by hand, and any at all.

#![allow(clippy::unwrap_used)]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use proptest::prelude::*;

use crate::domain::{
    impairment::{Chance, Distribution, Impairment, Loss, Netem, Rate, Share},
    mac::Mac,
    name::TopologyKey,
    spec::{
        AttachmentSpec, BridgeSpec, DeviceSpec, InterfaceSpec, IpamSpec, LinkMode, LinkSpec, MacvlanMode, NetnsRef,
        PodOwner, RouteSpec, SubnetSpec, Target, TopologySpec,
    },
};

/// An empty topology.
pub(crate) fn topology() -> TopologySpec {
    TopologySpec::empty(TopologyKey { namespace: "lessons".parse().unwrap(), name: "12".parse().unwrap() })
}

/// An interface of a pod with nothing given but a name, or not even that.
pub(crate) fn interface(pod: &str, name: &str) -> InterfaceSpec {
    InterfaceSpec {
        owner: PodOwner::Pod(pod.parse().unwrap()),
        uid: None,
        name: (!name.is_empty()).then(|| name.parse().unwrap()),
        order: 0,
        mac: None,
        mtu: None,
        addresses: Vec::new(),
        routes: Vec::new(),
        tx_checksum: true,
    }
}

/// An interface with static addresses.
pub(crate) fn addressed(pod: &str, addresses: &[&str]) -> InterfaceSpec {
    InterfaceSpec { addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(), ..interface(pod, "") }
}

/// A bridge.
pub(crate) fn bridge(name: &str, ipam: Option<IpamSpec>) -> BridgeSpec {
    BridgeSpec { ipam, ..BridgeSpec::named(name.parse().unwrap()) }
}

/// A stitched link.
pub(crate) fn link(name: &str, a: InterfaceSpec, b: InterfaceSpec) -> LinkSpec {
    LinkSpec {
        name: name.parse().unwrap(),
        a,
        b,
        mode: LinkMode::Stitched,
        up: true,
        ipam: None,
        a_to_b: Impairment::default(),
        b_to_a: Impairment::default(),
    }
}

/// An attachment to a bridge.
pub(crate) fn plugged(name: &str, bridge: &str, interface: InterfaceSpec) -> AttachmentSpec {
    AttachmentSpec {
        name: name.parse().unwrap(),
        interface,
        target: Target::Bridge(bridge.parse().unwrap()),
        hairpin: None,
        isolated: None,
        vlan: None,
        up: true,
        flood: None,
        mcast_flood: None,
        to_interface: Impairment::default(),
    }
}

/// An attachment to a device of the node.
pub(crate) fn on_device(name: &str, interface: InterfaceSpec, ipam: Option<IpamSpec>) -> AttachmentSpec {
    let device = DeviceSpec { parent: "eth0".parse().unwrap(), mode: MacvlanMode::Bridge, ipam };
    AttachmentSpec { target: Target::Device(device), ..plugged(name, "none", interface) }
}

/// An IPAM of whole subnets.
pub(crate) fn ipam(cidrs: &[&str]) -> IpamSpec {
    let subnet = |cidr: &&str| SubnetSpec {
        cidr: cidr.parse().unwrap(),
        ranges: Vec::new(),
        gateway: None,
        exclude: Vec::new(),
    };
    IpamSpec { subnets: cidrs.iter().map(subnet).collect(), routes: Vec::new() }
}

/// A route; `via` may be empty.
pub(crate) fn route(destination: &str, via: &str) -> RouteSpec {
    RouteSpec {
        destination: destination.parse().unwrap(),
        via: (!via.is_empty()).then(|| via.parse().unwrap()),
        metric: 0,
        unless_present: false,
    }
}

/// Any impairment that can be asked for, of few numbers.
pub(crate) fn any_impairment() -> impl Strategy<Value = Impairment> {
    let share = || prop_oneof![Just(Share::NONE), Just(Share::ALL), any::<u32>().prop_map(Share::from_raw)];
    let distribution = prop_oneof![
        Just(Distribution::Uniform),
        Just(Distribution::Normal),
        Just(Distribution::Pareto),
        Just(Distribution::ParetoNormal)
    ];
    let some = || prop_oneof![Just(Share::ALL), (1u32..).prop_map(Share::from_raw)];
    let chance = move || {
        let sometimes = (some(), share()).prop_map(|(share, correlation)| Chance { share, correlation });
        prop_oneof![Just(Chance::default()), sometimes]
    };
    let gilbert = (some(), share(), share(), share());
    let loss = prop_oneof![
        chance().prop_map(Loss::Random),
        gilbert.prop_map(|(p, r, bad, good)| Loss::GilbertElliott { p, r, bad, good })
    ];
    let delays = (0u64..3, 0u64..3, distribution, share());
    let netem = (delays, loss, chance(), chance(), chance(), 1u32..4).prop_map(
        |((delay, jitter, distribution, delay_correlation), loss, duplicate, corrupt, reorder, packets)| {
            let (jitter, reorder) = (jitter.min(delay), if delay == 0 { Chance::default() } else { reorder });
            let spread = if jitter == 0 { Default::default() } else { (distribution, delay_correlation) };
            let ((distribution, delay_correlation), gap) = (spread, u32::from(!reorder.is_never()));
            let netem = Netem {
                delay,
                jitter,
                distribution,
                delay_correlation,
                loss,
                duplicate,
                corrupt,
                reorder,
                gap,
                packets,
            };
            if netem.is_sound() { netem } else { Netem { delay: 1, ..netem } }
        },
    );
    let rate = (1u64..3, prop::option::of(65_600u32..65_602)).prop_map(|(n, burst)| Rate {
        bytes_per_second: n * 125_000,
        burst,
        queue: burst,
    });
    (prop::option::weighted(0.5, netem), prop::option::weighted(0.5, rate))
        .prop_map(|(netem, rate)| Impairment { netem, rate })
}

/// Few addresses, so that they clash.
fn any_ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        8 => (0u32..40).prop_map(|n| IpAddr::from(Ipv4Addr::from_bits(0x0a00_0000 + n))),
        4 => (0u128..40).prop_map(|n| IpAddr::from(Ipv6Addr::from_bits((0xfd00 << 112) + n))),
        1 => any::<IpAddr>(),
    ]
}

fn any_network() -> impl Strategy<Value = IpNetwork> {
    (any_ip(), any::<bool>(), 0u8..=128).prop_map(|(ip, near, prefix)| {
        let bits = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = if near { bits - prefix % 7 } else { prefix.min(bits) };
        IpNetwork::new(ip, prefix).unwrap()
    })
}

/// Networks without host bits, as the edge lets them through.
fn any_cidr() -> impl Strategy<Value = IpNetwork> {
    any_network().prop_map(|network| IpNetwork::new(network.network(), network.prefix()).unwrap())
}

fn any_route() -> impl Strategy<Value = RouteSpec> {
    (any_cidr(), prop::option::of(any_ip()), 0u32..2, any::<bool>())
        .prop_map(|(destination, via, metric, unless_present)| RouteSpec { destination, via, metric, unless_present })
}

fn any_ipam() -> impl Strategy<Value = IpamSpec> {
    let subnet = (
        any_cidr(),
        prop::collection::vec((any_ip(), any_ip()), 0..3),
        prop::option::of(any_ip()),
        prop::collection::vec(any_cidr(), 0..3),
    )
        .prop_map(|(cidr, ranges, gateway, exclude)| SubnetSpec { cidr, ranges, gateway, exclude });
    (prop::collection::vec(subnet, 0..3), prop::collection::vec(any_route(), 0..3))
        .prop_map(|(subnets, routes)| IpamSpec { subnets, routes })
}

fn any_interface() -> impl Strategy<Value = InterfaceSpec> {
    let owner = (any::<bool>(), 0u8..4).prop_map(|(pod, n)| match (pod, format!("bb{n}")) {
        (true, name) => PodOwner::Pod(name.parse().unwrap()),
        (false, name) => PodOwner::Netns(NetnsRef::Name(name)),
    });
    (
        owner,
        prop::option::of((0u8..2).prop_map(|n| format!("uid-{n}").parse().unwrap())),
        prop::option::of((1usize..6).prop_map(|n| format!("net{n}").parse().unwrap())),
        0u16..3,
        prop::option::weighted(0.2, (1u8..4).prop_map(|n| Mac::new([2, 0, 0, 0, 0, n]).unwrap())),
        prop::option::weighted(0.2, (1000u32..1600).prop_map(|n| n.try_into().unwrap())),
        prop::collection::vec(any_network(), 0..2),
        prop::collection::vec(any_route(), 0..2),
    )
        .prop_map(|(owner, uid, name, order, mac, mtu, addresses, routes)| InterfaceSpec {
            owner,
            uid,
            name,
            order,
            mac,
            mtu,
            addresses,
            routes,
            tx_checksum: true,
        })
}

/// Any spec that the edge could make, sound or not: names and addresses are few, so that they clash.
pub(crate) fn any_spec() -> impl Strategy<Value = TopologySpec> {
    let ipam = || prop::option::of(any_ipam());
    let bridges = prop::collection::vec((0u8..6, ipam()), 0..3);
    let links = prop::collection::vec((0u8..20, any_interface(), any_interface(), any::<[bool; 2]>(), ipam()), 0..4);
    let targets = prop_oneof![3 => (0u8..6).prop_map(|b| (b, None)), 1 => ipam().prop_map(|ipam| (0, Some(ipam)))];
    let attachments = prop::collection::vec((0u8..20, any_interface(), targets, any::<bool>()), 0..6);
    (bridges, links, attachments).prop_map(|(bridges, links, attachments)| TopologySpec {
        bridges: bridges.into_iter().map(|(n, ipam)| bridge(&format!("lan{n}"), ipam)).collect(),
        links: links
            .into_iter()
            .map(|(n, a, b, [direct, up], ipam)| LinkSpec {
                mode: if direct { LinkMode::Direct } else { LinkMode::Stitched },
                up,
                ipam,
                ..link(&format!("link{n}"), a, b)
            })
            .collect(),
        attachments: attachments
            .into_iter()
            .map(|(n, interface, target, up)| {
                let name = format!("plug{n}");
                let attachment = match target {
                    (_, Some(ipam)) => on_device(&name, interface, ipam),
                    (b, None) => plugged(&name, &format!("lan{b}"), interface),
                };
                AttachmentSpec { up, ..attachment }
            })
            .collect(),
        ..topology()
    })
}
