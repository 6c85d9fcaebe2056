#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Instant};

use proptest::prelude::*;

use super::*;
use crate::domain::{
    check::{
        check,
        sample::{addressed, any_spec, bridge, interface, ipam, link, on_device, plugged, topology},
    },
    intent::{Generation, Ownership},
    spec::{AttachmentSpec, BridgeSpec, End, InterfaceSpec, IpamSpec, NetnsRef, SubnetSpec, Target, UplinkTarget},
    uplink::UplinkSpec,
};

/// Other topologies: NICs and device addresses that are not free. A pod and a network namespace of one name are one.
#[derive(Default)]
struct Others {
    nics: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    vlans: BTreeSet<(IfName, VlanId)>,
}

impl Claims for Others {
    fn nic_owner(&self, nic: &NicKey) -> Option<TopologyKey> {
        self.nics.contains(&nic.to_string()).then(TopologyKey::default)
    }

    fn address_owner(&self, _: &IfName, address: IpAddr) -> Option<TopologyKey> {
        self.addresses.contains(&address).then(TopologyKey::default)
    }

    fn vlan_owner(&self, parent: &IfName, vlan: VlanId) -> Option<TopologyKey> {
        self.vlans.contains(&(parent.clone(), vlan)).then(TopologyKey::default)
    }

    fn pod_key(&self, _: &Namespace, owner: &PodOwner) -> PodKey {
        PodKey::new(owner.to_string().trim_start_matches("netns:"))
    }
}

type Chosen = BTreeMap<InterfaceId, Assigned>;

fn fresh(spec: &TopologySpec) -> Chosen {
    assign(spec, None, &Others::default()).unwrap()
}

fn intent(spec: &TopologySpec, assigned: Chosen) -> Intent {
    Intent {
        spec: spec.clone(),
        ownership: Ownership::Apply,
        generation: Generation(0),
        applied_at: Generation(0),
        applied: None,
        assigned,
    }
}

/// `element: pod/name address …` of each interface.
fn shown(chosen: &Chosen) -> Vec<String> {
    let line = |(id, assigned): (&InterfaceId, &Assigned)| {
        let addresses = assigned.addresses.iter().map(ToString::to_string);
        let words: Vec<String> = std::iter::once(assigned.nic.to_string()).chain(addresses).collect();
        format!("{id}: {}", words.join(" "))
    };
    chosen.iter().map(line).collect()
}

fn lan(cidrs: &[&str], attachments: Vec<AttachmentSpec>) -> TopologySpec {
    TopologySpec { bridges: vec![bridge("lan", Some(ipam(cidrs)))], attachments, ..topology() }
}

fn open(name: &str, pod: &str) -> AttachmentSpec {
    plugged(name, "lan", interface(pod, ""))
}

#[test]
fn the_lowest_free_names_and_addresses_are_chosen() {
    let mut spec = lan(&["10.0.0.0/24", "fd00::/64"], vec![open("p1", "bb1"), open("p2", "bb2")]);
    spec.links.push(link("w", interface("bb1", ""), addressed("bb2", &["10.9.0.1/24"])));
    let expected = [
        "p1: bb1/net2 10.0.0.2/24 fd00::2/64",
        "p2: bb2/net2 10.0.0.3/24 fd00::3/64",
        "w.a: bb1/net1",
        "w.b: bb2/net1 10.9.0.1/24",
    ];
    assert_eq!(shown(&fresh(&spec)), expected);
}

#[test]
fn explicit_names_and_those_of_others_are_passed_over() {
    let named = plugged("p3", "lan", interface("bb1", "net2"));
    let spec = lan(&["10.0.0.0/24"], vec![open("p1", "bb1"), open("p2", "bb1"), named]);
    let others = Others { nics: ["bb1/net1".to_owned()].into(), ..Others::default() };
    let chosen = assign(&spec, None, &others).unwrap();
    assert_eq!(shown(&chosen), ["p1: bb1/net3 10.0.0.2/24", "p2: bb1/net4 10.0.0.3/24", "p3: bb1/net2 10.0.0.4/24"]);
}

#[test]
fn names_follow_the_order_and_addresses_the_list() {
    let late = plugged("p1", "lan", InterfaceSpec { order: 7, ..interface("bb1", "") });
    let spec = lan(&["10.0.0.0/24"], vec![late, open("p2", "bb1")]);
    assert_eq!(shown(&fresh(&spec)), ["p1: bb1/net2 10.0.0.2/24", "p2: bb1/net1 10.0.0.3/24"]);
}

#[test]
fn a_static_address_takes_the_place_of_the_one_of_its_subnet() {
    let fixed = plugged("p1", "lan", addressed("bb1", &["10.0.0.2/24"]));
    let spec = lan(&["10.0.0.0/24", "fd00::/64"], vec![open("p0", "bb0"), fixed]);
    assert_eq!(shown(&fresh(&spec)), ["p0: bb0/net1 10.0.0.3/24 fd00::2/64", "p1: bb1/net1 10.0.0.2/24 fd00::3/64"]);
}

#[test]
fn a_new_interface_steals_nothing_from_one_that_was_there() {
    let before = lan(&["10.0.0.0/24"], vec![open("p1", "bb1"), open("p2", "bb1")]);
    let previous = intent(&before, fresh(&before));
    let after = lan(&["10.0.0.0/24"], vec![open("p0", "bb1"), open("p2", "bb1"), open("p1", "bb1")]);
    let chosen = assign(&after, Some(&previous), &Others::default()).unwrap();
    assert_eq!(shown(&chosen), ["p0: bb1/net3 10.0.0.4/24", "p1: bb1/net1 10.0.0.2/24", "p2: bb1/net2 10.0.0.3/24"]);
}

#[test]
fn what_was_had_is_given_up_where_it_no_longer_fits() {
    let before = lan(&["10.0.0.0/24"], vec![open("p1", "bb1"), open("p2", "bb2"), open("p3", "bb3")]);
    let previous = intent(&before, fresh(&before));
    // p1 moves to another pod, p2's address becomes p4's static one, and the prefix grows under p3.
    let fixed = plugged("p4", "lan", addressed("bb4", &["10.0.0.3/16"]));
    let after = lan(&["10.0.0.0/16"], vec![open("p1", "bb9"), open("p2", "bb2"), open("p3", "bb3"), fixed]);
    let chosen = assign(&after, Some(&previous), &Others::default()).unwrap();
    let expected = [
        "p1: bb9/net1 10.0.0.2/16",
        "p2: bb2/net1 10.0.0.5/16",
        "p3: bb3/net1 10.0.0.4/16",
        "p4: bb4/net1 10.0.0.3/16",
    ];
    assert_eq!(shown(&chosen), expected);
    let elsewhere = lan(&["10.1.0.0/24"], vec![open("p1", "bb1")]);
    let chosen = assign(&elsewhere, Some(&previous), &Others::default()).unwrap();
    assert_eq!(shown(&chosen), ["p1: bb1/net1 10.1.0.2/24"]);
}

#[test]
fn macs_are_as_asked_or_follow_from_the_names() {
    let mac = "02:00:00:00:00:07".parse().unwrap();
    let asked = plugged("p1", "lan", InterfaceSpec { mac: Some(mac), ..interface("bb1", "") });
    let chosen = fresh(&lan(&["10.0.0.0/24"], vec![asked, open("p2", "bb2")]));
    let macs: Vec<Mac> = chosen.values().map(|assigned| assigned.mac).collect();
    assert_eq!(macs, [mac, Mac::derived(&["nic", "lessons", "12", "bb2", "net1"])]);
}

#[test]
fn an_exhausted_subnet_is_named_with_the_interface() {
    let attachments = vec![open("p1", "bb1"), open("p2", "bb2")];
    let spec = lan(&["fd00::/64", "10.0.0.0/30"], attachments);
    let error = assign(&spec, None, &Others::default()).unwrap_err();
    let interface = InterfaceId { element: "p2".parse().unwrap(), end: End::Only };
    let field = "bridges[0].ipam.subnets[1]".to_owned();
    assert_eq!(error, AssignError::AddressesExhausted { field, subnet: "10.0.0.0/30".to_owned(), interface });
}

#[test]
fn a_link_of_two_addresses_gets_both() {
    let mut wire = link("w", interface("bb1", ""), interface("bb2", ""));
    wire.ipam = Some(ipam(&["10.0.0.0/31"]));
    let spec = TopologySpec { links: vec![wire], ..topology() };
    assert_eq!(shown(&fresh(&spec)), ["w.a: bb1/net1 10.0.0.0/31", "w.b: bb2/net1 10.0.0.1/31"]);
}

#[test]
fn addresses_on_a_device_are_unique_on_the_node() {
    let pool = || Some(ipam(&["192.168.1.0/24"]));
    let fixed = |address| on_device("p1", addressed("bb1", &[address]), None);
    let attachments = vec![
        fixed("192.168.1.3/24"),
        on_device("p2", interface("bb2", ""), pool()),
        on_device("p3", interface("bb3", ""), pool()),
    ];
    let mut spec = TopologySpec { attachments, ..topology() };
    let others = Others { addresses: ["192.168.1.2".parse().unwrap()].into(), ..Others::default() };
    let chosen = assign(&spec, None, &others).unwrap();
    assert_eq!(shown(&chosen)[1..], ["p2: bb2/net1 192.168.1.4/24", "p3: bb3/net1 192.168.1.5/24"]);
    spec.attachments[0] = fixed("192.168.1.2/24");
    let error = assign(&spec, None, &others).unwrap_err();
    let expected = AssignError::AddressTaken {
        field: "attachments[0].interface.addresses[0]".to_owned(),
        address: "192.168.1.2".parse().unwrap(),
        parent: "eth0".to_owned(),
        owner: Box::default(),
    };
    assert_eq!(error, expected);
}

#[test]
fn a_vlan_of_another_topology_is_refused() {
    let vlan = |id: u32| id.try_into().unwrap();
    let on = |id| UplinkSpec { parent: "eth0".parse().unwrap(), way: Way::Vlan(vlan(id)) };
    let target = |id| Target::Uplink(UplinkTarget { uplink: on(id), ipam: None });
    let plug = |id| AttachmentSpec { target: target(id), ..on_device("p1", interface("bb1", ""), None) };
    let others = Others { vlans: [("eth0".parse().unwrap(), vlan(7))].into(), ..Others::default() };
    let taken = |field: &str| AssignError::VlanTaken {
        field: field.to_owned(),
        vlan: vlan(7),
        parent: "eth0".to_owned(),
        owner: Box::default(),
    };
    let spec = |id| TopologySpec { attachments: vec![plug(id)], ..topology() };
    assert_eq!(assign(&spec(7), None, &others).unwrap_err(), taken("attachments[0].device.vlan"));
    assert!(assign(&spec(8), None, &others).is_ok());
    let bridges = vec![BridgeSpec { uplink: Some(on(7)), ..bridge("lan1", None) }];
    let spec = TopologySpec { bridges, ..topology() };
    assert_eq!(assign(&spec, None, &others).unwrap_err(), taken("bridges[0].uplink.vlan"));
}

#[test]
fn a_name_of_another_topology_is_refused() {
    let spec = lan(&["10.0.0.0/24"], vec![plugged("p1", "lan", interface("bb1", "net7"))]);
    let others = Others { nics: ["bb1/net7".to_owned()].into(), ..Others::default() };
    let expected = AssignError::NameTaken {
        field: "attachments[0].interface.name".to_owned(),
        name: "net7".to_owned(),
        pod: "bb1".to_owned(),
        owner: Box::default(),
    };
    assert_eq!(assign(&spec, None, &others).unwrap_err(), expected);
}

#[test]
fn a_pod_named_in_two_ways_is_one_pod() {
    let netns =
        |name| InterfaceSpec { owner: PodOwner::Netns(NetnsRef::Name("bb1".to_owned())), ..interface("x", name) };
    let spec = TopologySpec { links: vec![link("w", interface("bb1", ""), netns(""))], ..topology() };
    assert_eq!(shown(&fresh(&spec)), ["w.a: bb1/net1", "w.b: bb1/net2"]);
    let spec = TopologySpec { links: vec![link("w", interface("bb1", "net1"), netns("net1"))], ..topology() };
    let AssignError::Invalid(violations) = assign(&spec, None, &Others::default()).unwrap_err() else { panic!() };
    assert_eq!(violations[0].field, "links[0].b.name");
    assert!(violations[0].description.contains("`links[0].a`"), "{}", violations[0]);
}

#[test]
fn thousands_of_interfaces_are_quick() {
    let attachments = (0..4000).map(|i| open(&format!("p{i}"), &format!("bb{}", i % 7))).collect();
    let spec = lan(&["10.0.0.0/8", "fd00::/64"], attachments);
    let begun = Instant::now();
    let chosen = fresh(&spec);
    assert_eq!(assign(&spec, Some(&intent(&spec, chosen.clone())), &Others::default()).unwrap(), chosen);
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
}

/// A spec that can be assigned: two bridges, links, devices; `base` tells the elements of two specs apart.
fn sound_spec(base: usize) -> impl Strategy<Value = TopologySpec> {
    let exclude = prop::collection::vec((0u8..255, 28u8..=32), 0..3);
    let pool = move |cidr: &'static str| {
        exclude.clone().prop_map(move |exclude| {
            let mut ipam = ipam(&[cidr, "fd00::/64"]);
            ipam.subnets[0].exclude = exclude.iter().map(|(n, p)| format!("10.0.0.{n}/{p}").parse().unwrap()).collect();
            ipam
        })
    };
    let plug = (0u8..4, 0u8..3, 0u16..3, any::<bool>());
    (pool("10.0.0.0/24"), prop::collection::vec(plug, 0..30)).prop_map(move |(pool, plugs)| {
        let mut spec =
            TopologySpec { bridges: vec![bridge("lan0", Some(pool.clone())), bridge("lan1", None)], ..topology() };
        for (i, (pod, target, order, named)) in plugs.into_iter().enumerate() {
            let i = base + i;
            let name = if named { format!("own{i}") } else { String::new() };
            let nic = InterfaceSpec { order, ..interface(&format!("bb{pod}"), &name) };
            spec.attachments.push(match target {
                2 => on_device(&format!("p{i}"), nic, Some(pool.clone())),
                _ => plugged(&format!("p{i}"), &format!("lan{target}"), nic),
            });
        }
        spec
    })
}

/// Names are unique per pod, addresses per segment, and each subnet of each interface has given one.
fn is_sound(spec: &TopologySpec, chosen: &Chosen) -> Result<(), TestCaseError> {
    let (mut nics, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    for plug in plugs(spec) {
        let assigned = &chosen[&plug.id];
        prop_assert!(nics.insert(assigned.nic.clone()), "{} twice", assigned.nic);
        prop_assert!(plug.interface.name.as_ref().is_none_or(|name| *name == assigned.nic.name));
        for address in &assigned.addresses {
            prop_assert!(addresses.insert((plug.segment, address.ip())), "{address} twice on {:?}", plug.segment);
        }
        let asked = plug.interface.addresses.len();
        prop_assert_eq!(&assigned.addresses[..asked], &plug.interface.addresses[..]);
        let subnets: Vec<&SubnetSpec> = open_subnets(&plug).map(|(_, _, subnet)| subnet).collect();
        prop_assert_eq!(assigned.addresses.len(), asked + subnets.len());
        for (address, subnet) in assigned.addresses[asked..].iter().zip(subnets) {
            prop_assert!(ipam::hands_out(subnet, address.ip()), "{address} of {}", subnet.cidr);
            prop_assert_eq!(address.prefix(), subnet.cidr.prefix());
        }
    }
    Ok(())
}

fn with_other_subnets(spec: &TopologySpec) -> TopologySpec {
    let mut spec = spec.clone();
    for bridge in &mut spec.bridges {
        bridge.ipam = bridge.ipam.take().map(|_: IpamSpec| ipam(&["172.16.0.0/16"]));
    }
    spec
}

proptest! {
    #[test]
    fn what_is_assigned_is_sound_and_assigned_again(spec in sound_spec(0)) {
        prop_assert_eq!(check(&spec), []);
        let chosen = fresh(&spec);
        is_sound(&spec, &chosen)?;
        prop_assert_eq!(assign(&spec, Some(&intent(&spec, chosen.clone())), &Others::default()).unwrap(), chosen);
    }

    #[test]
    fn what_was_there_stays_whatever_is_put_before_it(old in sound_spec(0), new in sound_spec(100), turn in 0usize..30) {
        let previous = intent(&old, fresh(&old));
        let mut spec = old.clone();
        let turn = turn.min(spec.attachments.len());
        spec.attachments.rotate_left(turn);
        spec.attachments.splice(0..0, new.attachments);
        let chosen = assign(&spec, Some(&previous), &Others::default()).unwrap();
        is_sound(&spec, &chosen)?;
        for (id, before) in &previous.assigned {
            prop_assert_eq!(&chosen[id].nic, &before.nic);
            prop_assert_eq!(&chosen[id].addresses, &before.addresses);
        }
    }

    #[test]
    fn a_change_of_subnets_leaves_it_sound(spec in sound_spec(0)) {
        let previous = intent(&spec, fresh(&spec));
        let spec = with_other_subnets(&spec);
        is_sound(&spec, &assign(&spec, Some(&previous), &Others::default()).unwrap())?;
    }

    #[test]
    fn any_spec_that_check_lets_through_is_sound_or_refused(spec in any_spec(), before in any_spec()) {
        let previous = assign(&before, None, &Others::default()).ok().map(|chosen| intent(&before, chosen));
        let chosen = assign(&spec, previous.as_ref(), &Others::default());
        if let Some(chosen) = chosen.ok().filter(|_| check(&spec).is_empty()) {
            is_sound(&spec, &chosen)?;
            let again = assign(&spec, Some(&intent(&spec, chosen.clone())), &Others::default()).unwrap();
            prop_assert_eq!(again, chosen);
        }
    }
}
