#![allow(clippy::unwrap_used)]

use std::{collections::BTreeSet, time::Instant};

use proptest::prelude::*;

use super::*;

fn subnet(cidr: &str) -> SubnetSpec {
    SubnetSpec { cidr: cidr.parse().unwrap(), ranges: Vec::new(), gateway: None, exclude: Vec::new() }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn range(start: &str, end: &str) -> (IpAddr, IpAddr) {
    (ip(start), ip(end))
}

fn first(subnet: &SubnetSpec) -> Option<String> {
    free_address(subnet, &|_| false).map(|a| a.to_string())
}

#[test]
fn the_gateway_is_the_first_address_unless_another_is_written() {
    assert_eq!(gateway(&subnet("10.10.31.0/24")), Some(ip("10.10.31.1")));
    assert_eq!(gateway(&subnet("fd00::/64")), Some(ip("fd00::1")));
    assert_eq!(gateway(&SubnetSpec { gateway: Some(ip("10.0.0.9")), ..subnet("10.0.0.0/24") }), Some(ip("10.0.0.9")));
}

#[test]
fn a_point_to_point_subnet_keeps_no_address_for_anything() {
    for (cidr, addresses) in [
        ("10.0.0.2/31", vec!["10.0.0.2", "10.0.0.3"]),
        ("10.0.0.2/32", vec!["10.0.0.2"]),
        ("fd00::2/127", vec!["fd00::2", "fd00::3"]),
        ("fd00::/128", vec!["fd00::"]),
    ] {
        let subnet = subnet(cidr);
        assert_eq!(gateway(&subnet), None, "{cidr}");
        let expected: Vec<IpAddr> = addresses.into_iter().map(ip).collect();
        assert_eq!(candidates(&subnet).collect::<Vec<_>>(), expected, "{cidr}");
        assert!(expected.iter().all(|a| refuses(&subnet, *a).is_none()), "{cidr}");
    }
    let written = SubnetSpec { gateway: Some(ip("10.0.0.2")), ..subnet("10.0.0.2/31") };
    assert_eq!(candidates(&written).collect::<Vec<_>>(), [ip("10.0.0.3")]);
}

#[test]
fn the_lowest_free_address_has_the_prefix_of_the_subnet() {
    assert_eq!(first(&subnet("10.10.31.0/24")).unwrap(), "10.10.31.2/24");
    assert_eq!(first(&subnet("fd00::/64")).unwrap(), "fd00::2/64");
    let taken = |a: IpAddr| a == ip("10.10.31.2") || a == ip("10.10.31.4");
    assert_eq!(free_address(&subnet("10.10.31.0/24"), &taken).unwrap().to_string(), "10.10.31.3/24");
    assert_eq!(candidates(&subnet("10.0.0.0/29")).count(), 5);
    assert_eq!(candidates(&subnet("10.0.0.0/30")).collect::<Vec<_>>(), [ip("10.0.0.2")]);
}

#[test]
fn ranges_are_used_in_their_order() {
    let ranges = vec![range("192.168.1.200", "192.168.1.201"), range("192.168.1.0", "192.168.1.2")];
    let subnet = SubnetSpec { ranges, ..subnet("192.168.1.0/24") };
    let expected = ["192.168.1.200", "192.168.1.201", "192.168.1.2"].map(ip);
    assert_eq!(candidates(&subnet).collect::<Vec<_>>(), expected);
}

#[test]
fn huge_subnets_and_excludes_cost_nothing() {
    let begun = Instant::now();
    assert_eq!(first(&subnet("10.0.0.0/8")).unwrap(), "10.0.0.2/8");
    assert_eq!(first(&subnet("::/0")).unwrap(), "::2/0");
    let excluding = |cidr: &str, exclude: &[&str]| SubnetSpec {
        exclude: exclude.iter().map(|e| e.parse().unwrap()).collect(),
        ..subnet(cidr)
    };
    assert_eq!(first(&excluding("10.0.0.0/8", &["10.0.0.0/9", "10.128.0.0/10"])).unwrap(), "10.192.0.0/8");
    assert_eq!(first(&excluding("fd00::/64", &["fd00::/65"])).unwrap(), "fd00::8000:0:0:0/64");
    assert_eq!(first(&excluding("fd00::/64", &["fd00::/65", "fd00::8000:0:0:0/65"])), None);
    assert_eq!(first(&excluding("::/0", &["::/1", "8000::/1"])), None);
    let in_a_range = SubnetSpec {
        ranges: vec![range("fd00::1:0", "fd00::1:ffff"), range("fd00::8000:0:0:7", "fd00::8000:0:0:7")],
        ..excluding("fd00::/64", &["fd00::/65"])
    };
    assert_eq!(candidates(&in_a_range).collect::<Vec<_>>(), [ip("fd00::8000:0:0:7")]);
    assert!(begun.elapsed().as_secs() < 5);
}

#[test]
fn static_addresses_are_refused_with_the_reason() {
    let mut subnet = SubnetSpec { exclude: vec!["10.0.0.64/26".parse().unwrap()], ..subnet("10.0.0.0/24") };
    let reason = |subnet: &SubnetSpec, address: &str| refuses(subnet, ip(address));
    assert_eq!(reason(&subnet, "10.0.1.1"), Some(Unfit::Outside));
    assert_eq!(reason(&subnet, "fd00::1"), Some(Unfit::Outside));
    assert_eq!(reason(&subnet, "10.0.0.0"), Some(Unfit::Network));
    assert_eq!(reason(&subnet, "10.0.0.255"), Some(Unfit::Broadcast));
    assert_eq!(reason(&subnet, "10.0.0.65"), Some(Unfit::Excluded("10.0.0.64/26".parse().unwrap())));
    let implicit = reason(&subnet, "10.0.0.1").unwrap();
    assert!(implicit.to_string().contains("`gateway: 10.0.0.1`"), "{implicit}");
    assert_eq!(reason(&subnet, "10.0.0.2"), None);
    subnet.gateway = Some(ip("10.0.0.1"));
    assert_eq!(reason(&subnet, "10.0.0.1"), None);
    assert!(!hands_out(&subnet, ip("10.0.0.1")), "an explicit gateway may be static, but is not handed out");
}

/// Subnets of at most 64 addresses with any ranges and excludes, reversed and foreign ones too.
fn small_subnet() -> impl Strategy<Value = SubnetSpec> {
    let near = |v4: bool| {
        (0u32..100).prop_map(move |n| {
            if v4 {
                address(0x0a00_0000 + u128::from(n), true)
            } else {
                address((0xfd00 << 112) + u128::from(n), false)
            }
        })
    };
    any::<bool>().prop_flat_map(move |v4| {
        let bits: u8 = if v4 { 32 } else { 128 };
        let any_near = || prop_oneof![9 => near(v4), 1 => near(!v4)];
        let cidr = (near(v4), bits - 6..=bits).prop_map(|(at, prefix)| IpNetwork::new(at, prefix).unwrap());
        let exclude = (any_near(), 0u8..4)
            .prop_map(|(at, host)| IpNetwork::new(at, if at.is_ipv4() { 32 - host } else { 128 - host }).unwrap());
        (
            cidr,
            prop::collection::vec((any_near(), any_near()), 0..3),
            prop::option::of(any_near()),
            prop::collection::vec(exclude, 0..4),
        )
            .prop_map(|(cidr, ranges, gateway, exclude)| SubnetSpec { cidr, ranges, gateway, exclude })
    })
}

/// What may be handed out, by the words of the contract and by trying every address.
fn oracle(subnet: &SubnetSpec) -> BTreeSet<IpAddr> {
    let block = Block::of(&subnet.cidr);
    let v4 = subnet.cidr.is_ipv4();
    (block.first..=block.last)
        .map(|n| address(n, v4))
        .filter(|a| block.is_point_to_point() || number(*a) != block.first)
        .filter(|a| block.is_point_to_point() || !v4 || number(*a) != block.last)
        .filter(|a| gateway(subnet) != Some(*a))
        .filter(|a| !subnet.exclude.iter().any(|e| e.contains(*a)))
        .filter(|a| {
            subnet.ranges.is_empty()
                || subnet.ranges.iter().any(|(s, e)| s.is_ipv4() == v4 && e.is_ipv4() == v4 && s <= a && a <= e)
        })
        .collect()
}

proptest! {
    #[test]
    fn what_is_handed_out_is_exactly_what_may_be(subnet in small_subnet(), taken in prop::collection::btree_set(0usize..64, 0..64)) {
        let fit = oracle(&subnet);
        prop_assert_eq!(candidates(&subnet).collect::<BTreeSet<_>>(), fit.clone());
        let first = Block::of(&subnet.cidr).first;
        let is_taken = |a: IpAddr| usize::try_from(number(a) - first).is_ok_and(|n| taken.contains(&n));
        match free_address(&subnet, &is_taken) {
            None => prop_assert!(fit.iter().all(|a| is_taken(*a)), "something was left"),
            Some(free) => {
                prop_assert_eq!(free.prefix(), subnet.cidr.prefix());
                prop_assert!(fit.contains(&free.ip()) && !is_taken(free.ip()), "{free} may not be handed out");
                prop_assert!(hands_out(&subnet, free.ip()));
                if subnet.ranges.len() < 2 {
                    prop_assert_eq!(fit.iter().find(|a| !is_taken(**a)).copied(), Some(free.ip()), "not the lowest");
                }
            }
        }
    }

    #[test]
    fn a_static_address_is_fit_where_it_could_be_handed_out(subnet in small_subnet()) {
        for candidate in candidates(&subnet) {
            prop_assert_eq!(refuses(&subnet, candidate), None);
        }
        let block = Block::of(&subnet.cidr);
        for n in block.first..=block.last {
            let a = address(n, subnet.cidr.is_ipv4());
            prop_assert_eq!(hands_out(&subnet, a), oracle(&subnet).contains(&a));
        }
    }
}
