//! Sound intents of one topology, from few names, so that wires change and things move from one NIC to another.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::model::Model;
use crate::domain::{
    assign::{alone::Alone, assign},
    bridge::L2Profile,
    check::{
        check,
        sample::{self, any_impairment, any_spec},
    },
    desired::{Desired, desired, route_identity},
    impairment::Impairment,
    intent::{Generation, Intent, Ownership, PodKey},
    mac::Mac,
    spec::{
        AttachmentSpec, BridgeSpec, DeviceSpec, InterfaceSpec, LinkMode, LinkSpec, MacvlanMode, PodOwner, RouteSpec,
        Target, TopologySpec, UplinkTarget,
    },
    uplink::{UplinkSpec, VlanId, Way},
    vlans::Membership,
};

const PODS: [&str; 3] = ["bb1", "bb2", "a-pod-with-a-long-name"];
const NAMES: [&str; 3] = ["net2", "net10", "net1"];
const BRIDGES: [&str; 2] = ["lan1", "a-bridge-with-a-long-name"];

/// What follows from a spec.
pub(super) fn wanted(spec: &TopologySpec) -> Desired {
    let assigned = assign(spec, None, &Alone).unwrap();
    let spec = spec.clone();
    desired(&Intent {
        spec,
        ownership: Ownership::Apply,
        generation: Generation(0),
        applied_at: Generation(0),
        applied: None,
        assigned,
    })
}

/// How a NIC is wired.
#[derive(Debug, Clone)]
enum Plugged {
    Nowhere,
    Bridge(usize),
    Device(&'static str, MacvlanMode),
    Uplink(&'static str, bool),
    Link(LinkMode),
}

fn any_wire() -> impl Strategy<Value = Plugged> {
    let mode = prop_oneof![Just(MacvlanMode::Bridge), Just(MacvlanMode::Private)];
    let parent = prop_oneof![8 => Just("eth0"), 4 => Just("eth1"), 1 => Just("eth9")];
    prop_oneof![
        2 => Just(Plugged::Nowhere),
        3 => (0..BRIDGES.len()).prop_map(Plugged::Bridge),
        // A NIC keeps the MTU of a device that is not there any more, and so its history.
        2 => (prop_oneof![Just("eth0"), Just("eth1")], any::<bool>()).prop_map(|(parent, vlan)| Plugged::Uplink(parent, vlan)),
        2 => (parent, mode).prop_map(|(parent, mode)| Plugged::Device(parent, mode)),
        4 => Just(Plugged::Link(LinkMode::Stitched)),
        3 => Just(Plugged::Link(LinkMode::Direct)),
    ]
}

/// Addresses and routes of the NIC of this number, with gateways that its addresses reach.
fn any_inside(slot: usize) -> impl Strategy<Value = (Vec<String>, Vec<RouteSpec>)> {
    let addresses = vec![
        format!("10.{slot}.0.1/24"),
        format!("10.{slot}.0.2/24"),
        format!("10.{slot}.0.3/24"),
        format!("10.{slot}.1.1/25"),
        format!("10.200.{slot}.1/24"),
        format!("fd00:{slot}::1/64"),
        format!("fd00:{slot}::2/64"),
    ];
    let routes = prop::collection::vec((0usize..6, 0u32..2, any::<bool>()), 0..4);
    let any = (prop::sample::subsequence(addresses, 0..4).prop_shuffle(), any::<bool>(), routes);
    any.prop_map(move |(mut addresses, longer, routes)| {
        if longer && addresses.iter().all(|a| a.starts_with("10.")) {
            addresses.push(format!("fd00:{slot}::1/80"));
        }
        let has = |start: &str| addresses.iter().any(|address| address.starts_with(start));
        let route = |(kind, metric, unless_present)| {
            let route = match kind {
                0 if has(&format!("10.{slot}.0")) => sample::route("10.240.0.0/24", &format!("10.{slot}.0.9")),
                1 if has(&format!("10.{slot}.1")) => sample::route("10.241.0.0/24", &format!("10.{slot}.1.9")),
                2 if has("fd00") => sample::route("fd02::/64", &format!("fd00:{slot}::9")),
                3 => sample::route("10.240.0.0/24", ""),
                4 => sample::route("fd02::/64", ""),
                5 if has(&format!("10.{slot}.0")) => sample::route("0.0.0.0/0", &format!("10.{slot}.0.9")),
                _ => return RouteSpec { metric, ..sample::route(&format!("10.242.{slot}.0/24"), "") },
            };
            let unless_present = unless_present || kind == 5;
            RouteSpec { metric, unless_present, ..route }
        };
        let near = format!("10.242.{slot}.0/24");
        let mut routes: Vec<RouteSpec> = routes.into_iter().map(route).collect();
        if routes.iter().any(|route| route.destination.to_string() == near) {
            // Reachable by a route that stands after it.
            routes.insert(0, sample::route(&format!("10.243.{slot}.0/24"), &format!("10.242.{slot}.9")));
        }
        let mut seen = BTreeSet::new();
        routes.retain(|route| seen.insert(route_identity(route)));
        (addresses, routes)
    })
}

fn any_interface(slot: usize) -> impl Strategy<Value = InterfaceSpec> {
    let mac = prop::option::weighted(0.3, 0..3u8);
    (0u16..2, mac, any_inside(slot)).prop_map(move |(order, mac, (addresses, routes))| InterfaceSpec {
        order,
        mac: mac.map(|n| Mac::new([2, 0, 0, 0, u8::try_from(slot).unwrap(), n]).unwrap()),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        routes,
        ..sample::interface(PODS[slot / NAMES.len()], NAMES[slot % NAMES.len()])
    })
}

fn any_profile() -> impl Strategy<Value = L2Profile> + Clone {
    prop_oneof![Just(L2Profile::Transparent), Just(L2Profile::Hub), Just(L2Profile::Standard)]
}

/// One that an interface may have in another intent: the device changes sides then. In the same intent it is refused.
fn vlan_of(bridge: &str) -> VlanId {
    u32::try_from(10 + bridge.len() % 9).unwrap().try_into().unwrap()
}

/// Access, trunk, trunk with a native VLAN, or what comes by itself.
fn membership(n: usize) -> Option<Membership> {
    let vlan = |number: usize| u32::try_from(number).unwrap().try_into().unwrap();
    match n % 4 {
        0 => None,
        1 => Some(Membership::Access(vlan(10 + n))),
        2 => Some(Membership::Trunk { tagged: vec![(vlan(2), vlan(20))], native: None }),
        _ => Some(Membership::Trunk { tagged: vec![(vlan(30), vlan(31)), (vlan(5), vlan(5))], native: Some(vlan(7)) }),
    }
}

fn any_bridges() -> impl Strategy<Value = Vec<BridgeSpec>> {
    let bridge = |name: &'static str| {
        let mtu = prop::option::of(prop_oneof![Just(1400u32), Just(9000)]);
        let uplink = prop::option::of((prop_oneof![4 => Just("eth0"), 1 => Just("eth9")], any::<bool>()));
        let ageing = prop::option::of(prop_oneof![Just(0), Just(20), Just(300), Just(1_000_000)]);
        (mtu, prop::option::of(0u8..2), any::<[bool; 5]>(), any_profile(), ageing, uplink).prop_map(
            move |(mtu, mac, [hairpin, isolated, stp, mcast_snooping, vlan_aware], l2_profile, ageing, uplink)| {
                BridgeSpec {
                    uplink: uplink.map(|(parent, vlan): (&str, bool)| UplinkSpec {
                        // Larger frames than those of its device would be refused.
                        parent: if mtu == Some(9000) { "eth1" } else { parent }.parse().unwrap(),
                        way: if vlan { Way::Vlan(vlan_of(name)) } else { Way::BridgePort },
                    }),
                    ageing: ageing.filter(|_| l2_profile != L2Profile::Hub),
                    mtu: mtu.map(|mtu| mtu.try_into().unwrap()),
                    mac: mac.map(|n| Mac::new([2, 1, 0, 0, 0, n]).unwrap()),
                    hairpin,
                    isolated,
                    stp,
                    mcast_snooping,
                    l2_profile,
                    vlan_aware,
                    ..sample::bridge(name, None)
                }
            },
        )
    };
    BRIDGES.map(bridge).to_vec()
}

type Slot = (Plugged, InterfaceSpec, bool, Option<bool>, Option<u32>, Impairment);

fn spec(bridges: Vec<BridgeSpec>, slots: Vec<Slot>, shift: usize, spare: bool) -> TopologySpec {
    let mut spec = sample::topology();
    let mut open: BTreeMap<bool, (InterfaceSpec, bool, Impairment)> = BTreeMap::new();
    let count = slots.len();
    let aware: Vec<bool> = bridges.iter().map(|bridge| bridge.vlan_aware).collect();
    for (n, (wire, interface, up, option, mtu, impairment)) in slots.into_iter().enumerate() {
        // Elements change their NICs with the shift, and so do marks.
        let name = format!("plug{}", (n + shift) % count);
        let mtu = mtu.map(|mtu| mtu.try_into().unwrap());
        match wire {
            Plugged::Nowhere => {}
            Plugged::Bridge(b) => spec.attachments.push(AttachmentSpec {
                vlan: aware[b].then(|| membership(n)).flatten(),
                hairpin: option,
                isolated: option,
                up,
                flood: option,
                mcast_flood: option.map(|on| on != up),
                interface: InterfaceSpec { tx_checksum: up, ..interface.clone() },
                to_interface: impairment,
                ..sample::plugged(&name, BRIDGES[b], interface.clone())
            }),
            Plugged::Device(parent, mode) => {
                let device = DeviceSpec { parent: parent.parse().unwrap(), mode, ipam: None };
                let interface = InterfaceSpec { mtu, ..interface };
                let target = Target::Device(device);
                spec.attachments.push(AttachmentSpec { target, ..sample::on_device(&name, interface, None) });
            }
            Plugged::Uplink(parent, way) => {
                // The VLAN of the slot: one exists once on its device.
                let vlan = u32::try_from(10 + n).unwrap().try_into().unwrap();
                let way = if way { Way::Vlan(vlan) } else { Way::BridgePort };
                let uplink = UplinkSpec { parent: parent.parse().unwrap(), way };
                let target = Target::Uplink(UplinkTarget { uplink, ipam: None });
                let interface = InterfaceSpec { mtu, tx_checksum: up, ..interface };
                let plug = sample::on_device(&name, interface, None);
                spec.attachments.push(AttachmentSpec { target, up, to_interface: impairment, ..plug });
            }
            Plugged::Link(mode) => {
                let direct = mode == LinkMode::Direct;
                let impairment = if direct { Impairment::default() } else { impairment };
                let Some((far, up, a_to_b)) = open.remove(&direct) else {
                    open.insert(direct, (interface, up || direct, impairment));
                    continue;
                };
                let a = InterfaceSpec { mtu, ..far };
                spec.links.push(LinkSpec { mode, up, a_to_b, b_to_a: impairment, ..sample::link(&name, a, interface) });
            }
        }
    }
    let used = |bridge: &BridgeSpec| {
        spec.attachments.iter().any(|plug| matches!(&plug.target, Target::Bridge(name) if *name == bridge.name))
    };
    spec.bridges = bridges.into_iter().filter(|bridge| spare || used(bridge)).collect();
    spec
}

/// A sound spec of at most nine NICs.
fn any_sound() -> impl Strategy<Value = TopologySpec> {
    let slot = |n: usize| {
        let mtu = prop::option::weighted(0.3, prop_oneof![Just(1400u32), Just(1300)]);
        (
            any_wire(),
            any_interface(n),
            prop::bool::weighted(0.8),
            prop::option::of(any::<bool>()),
            mtu,
            any_impairment(),
        )
    };
    let slots: Vec<_> = (0..PODS.len() * NAMES.len()).map(slot).collect();
    (any_bridges(), slots.prop_shuffle(), 0usize..3, any::<bool>())
        .prop_map(|(bridges, slots, shift, spare)| spec(bridges, slots, shift, spare))
        .prop_filter("sound", |spec| check(spec).is_empty())
}

/// Two states of a topology that differ in few of nine NICs.
pub(super) fn any_neighbours() -> impl Strategy<Value = (Desired, Desired)> {
    let slot = |n: usize| {
        let mtu = prop::option::weighted(0.3, Just(1400u32));
        (any_wire(), any_interface(n), any::<bool>(), prop::option::of(any::<bool>()), mtu, any_impairment()).boxed()
    };
    let count = PODS.len() * NAMES.len();
    // On the heap: tests have small stacks.
    let slots: Vec<_> = (0..count).map(|n| (slot(n), slot(n)).boxed()).collect();
    let other = prop::collection::vec(prop::bool::weighted(0.15), count);
    (any_bridges(), slots.prop_shuffle(), other)
        .prop_map(|(bridges, slots, other)| {
            let (before, after): (Vec<_>, Vec<_>) = slots.into_iter().unzip();
            let changed = before.iter().zip(after).zip(other);
            let changed = changed.map(|((was, is), other)| if other { is } else { was.clone() }).collect();
            (spec(bridges.clone(), before, 0, true), spec(bridges, changed, 0, true))
        })
        .prop_filter("sound", |(before, after)| check(before).is_empty() && check(after).is_empty())
        .prop_map(|(before, after)| (wanted(&before), wanted(&after)))
}

/// Any spec that `check` lets through, in our pods, and without what only the kernel can judge: gateways that nothing
/// reaches, routes that come with another NIC's address, MTUs above that of the parent.
fn any_checked() -> impl Strategy<Value = TopologySpec> {
    any_spec()
        .prop_map(|mut spec| {
            let plugs = spec.attachments.iter_mut().map(|plug| {
                plug.interface.mtu = None;
                &mut plug.interface
            });
            for interface in spec.links.iter_mut().flat_map(|link| [&mut link.a, &mut link.b]).chain(plugs) {
                let last = interface.owner.to_string().bytes().last().unwrap();
                interface.owner = PodOwner::Pod(PODS[usize::from(last) % PODS.len()].parse().unwrap());
                interface.routes.clear();
            }
            let of_bridges = spec.bridges.iter_mut().map(|bridge| &mut bridge.ipam);
            for ipam in of_bridges.chain(spec.links.iter_mut().map(|link| &mut link.ipam)).flatten() {
                ipam.routes.clear();
            }
            for plug in &mut spec.attachments {
                if let Target::Device(DeviceSpec { ipam: Some(ipam), .. }) = &mut plug.target {
                    ipam.routes.clear();
                }
            }
            spec
        })
        .prop_filter("sound", |spec| check(spec).is_empty() && assign(spec, None, &Alone).is_ok())
}

/// What is wanted of a topology.
pub(super) fn any_wanted() -> impl Strategy<Value = Desired> {
    prop_oneof![6 => any_sound().boxed(), 1 => any_checked().boxed()].prop_map(|spec| wanted(&spec))
}

/// A node with the pods of `any_wanted`, most of which are there.
pub(super) fn any_node() -> impl Strategy<Value = Model> {
    prop::collection::vec(prop::bool::weighted(0.9), PODS.len())
        .prop_map(|present| Model::new(PODS.iter().map(|name| PodKey::new(*name)).zip(present)))
}

/// A node where all pods are there.
pub(super) fn full_node() -> Model {
    Model::new(PODS.iter().map(|name| (PodKey::new(*name), true)))
}
