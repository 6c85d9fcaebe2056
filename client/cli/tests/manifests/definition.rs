use podwire_cli::manifest::{Manifest, Options};
use podwire_proto::v1;

use crate::{definition, errors, messages, pod, texts, with};

/// A definition that a pod `p` uses.
fn used(config: &str) -> Result<Manifest, podwire_cli::manifest::Invalid> {
    texts(&[&definition("n", config), &pod("p", "n")])
}

#[test]
fn what_is_not_honoured_is_warned_of_by_name() {
    let config = r#"{"type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true, "isDefaultGateway": true,
"promiscMode": true, "forceAddress": true, "dns": {"nameservers": ["1.1.1.1"]},
"capabilities": {"ips": true}, "macspoofchk": true}"#;
    let manifest = used(config).unwrap();
    let names = [
        "isGateway",
        "ipMasq",
        "isDefaultGateway",
        "promiscMode",
        "forceAddress",
        "dns",
        "capabilities",
        "macspoofchk",
    ];
    let found = messages(&manifest.warnings);
    assert_eq!(found.len(), names.len(), "{found:?}");
    for (message, name) in found.iter().zip(names) {
        assert!(message.ends_with(&format!("`{name}` of definition `n` is not honoured")), "{message}");
    }
    insta::assert_snapshot!(manifest.warnings[4], @r#"
    warning: `forceAddress` of definition `n` is not honoured
     --> 1.yaml:8:26
      |
    8 |     "promiscMode": true, "forceAddress": true, "dns": {"nameservers": ["1.1.1.1"]},
      |                          ^
    hint: no bridge of podwire has an address on the node
    "#);
    let strict = Options { topology: Some("t".to_owned()), strict: true, ..Options::default() };
    assert_eq!(errors(with(&[&definition("n", config), &pod("p", "n")], &strict)).len(), names.len());
}

#[test]
fn what_asks_for_nothing_is_silent() {
    let config = r#"{"cniVersion": "1.0.0", "name": "x", "type": "bridge", "plugin": "bridge", "isGateway": false, "vlan": 0,
"dns": {}, "ipMasq": false, "forceAddress": false, "hairpinMode": true, "delegate": {"hairpinMode": true}, "ipam": {}}"#;
    let manifest = used(config).unwrap();
    assert_eq!(manifest.warnings, []);
    let bridge = &manifest.topology.bridges[0];
    assert_eq!((bridge.name.as_str(), bridge.hairpin, &bridge.ipam), ("cni0", true, &None));
}

#[test]
fn a_list_of_plugins_is_its_bridge() {
    let config = r#"{"cniVersion": "0.4.0", "plugins": [{"type": "bridge", "bridge": "br_0", "mtu": 9000, "portIsolation": true}, {"type": "tuning"}]}"#;
    let manifest = used(config).unwrap();
    assert_eq!(messages(&manifest.warnings), ["1.yaml:7:115 plugin `tuning` of definition `n` is not honoured"]);
    let bridge = &manifest.topology.bridges[0];
    assert_eq!((bridge.name.as_str(), bridge.mtu, bridge.isolated), ("br-0", 9000, true));
}

#[test]
fn host_local_ranges_are_sets_of_one_subnet() {
    let config = r#"{"type": "bridge", "ipam": {"type": "host-local", "ranges": [
[{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10", "rangeEnd": "10.0.0.20", "gateway": "10.0.0.254"}, {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.50"}],
[{"subnet": "fd00::/64"}]], "routes": [{"dst": "10.9.0.0/16", "gw": "10.0.0.1", "priority": 50}, {"dst": "0.0.0.0/0"}]}}"#;
    let manifest = used(config).unwrap();
    let ipam = manifest.topology.bridges[0].ipam.clone().unwrap();
    let range = |start: &str, end: &str| v1::AddressRange { start: start.to_owned(), end: end.to_owned() };
    assert_eq!(ipam.subnets[0].ranges, [range("10.0.0.10", "10.0.0.20"), range("10.0.0.50", "10.0.0.254")]);
    assert_eq!(ipam.subnets[0].gateway, "10.0.0.254");
    assert_eq!((ipam.subnets[1].cidr.as_str(), ipam.subnets[1].ranges.len()), ("fd00::/64", 0));
    let route = |destination: &str, via: &str, metric| v1::Route {
        destination: destination.to_owned(),
        via: via.to_owned(),
        metric,
        unless_present: true,
    };
    assert_eq!(ipam.routes, [route("10.9.0.0/16", "10.0.0.1", 50), route("0.0.0.0/0", "", 0)]);
}

#[test]
fn static_addresses_and_routes_belong_to_the_interface() {
    let config = r#"{"type": "macvlan", "master": "eth1", "mode": "private", "mtu": 1400, "ipam": {"type": "static",
"addresses": [{"address": "10.0.0.5/24", "gateway": "10.0.0.254"}], "routes": [{"dst": "0.0.0.0/0"}]}}"#;
    let manifest = used(config).unwrap();
    let attachment = &manifest.topology.attachments[0];
    let interface = attachment.interface.as_ref().unwrap();
    assert_eq!((interface.mtu, &interface.addresses[..]), (1400, &["10.0.0.5/24".to_owned()][..]));
    assert_eq!((interface.routes[0].via.as_str(), interface.routes[0].unless_present), ("10.0.0.254", true));
    let Some(v1::attachment::Target::Device(device)) = &attachment.target else { panic!() };
    assert_eq!((device.mode(), &device.ipam), (v1::MacvlanMode::Private, &None));
}

#[test]
fn what_cannot_be_done_is_an_error() {
    let found = |config: &str| errors(used(config)).remove(0);
    assert_eq!(
        found(r#"{"type": "macvlan", "master": "eth0", "mode": "passthru"}"#),
        "1.yaml:7:51 macvlan mode `passthru` of definition `n` is not supported"
    );
    assert_eq!(found(r#"{"type": "macvlan"}"#), "1.yaml:7:5 definition `n` has no `master`");
    assert_eq!(
        found(r#"{"type": "sriov"}"#),
        "1.yaml:7:14 plugin type `sriov` of definition `n` is not one of `bridge`, `macvlan`"
    );
    assert_eq!(
        found(r#"{"type": "bridge", "ipam": {"type": "dhcp"}}"#),
        "1.yaml:7:41 IPAM type `dhcp` of definition `n` is not one of `host-local`, `static`"
    );
    assert_eq!(
        found(r#"{"type": "bridge", "hairpinMode": 1}"#),
        "1.yaml:7:39 `hairpinMode` of definition `n` is a number, not `true` or `false`"
    );
    assert_eq!(
        found(
            r#"{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}}"#
        ),
        "1.yaml:7:94 `rangeStart` `10.0.1.1` of definition `n` is outside of subnet `10.0.0.0/24`"
    );
    assert_eq!(found("[]"), "1.yaml:7:5 `spec.config` of definition `n` is a list, not an object");
}

#[test]
fn definitions_of_one_bridge_share_it_and_must_agree() {
    let lan = |subnet: &str, more: &str| {
        format!(
            r#"{{"type": "bridge", "bridge": "br0", "ipam": {{"type": "host-local", "subnet": "{subnet}"}}{more}}}"#
        )
    };
    let both = |a: &str, b: &str| texts(&[&definition("a", a), &definition("b", b), &pod("p", "a,b")]);
    let manifest = both(&lan("10.0.0.0/24", ""), &lan("10.0.0.0/24", r#", "hairpinMode": true"#)).unwrap();
    assert_eq!(manifest.topology.bridges.len(), 1);
    let hairpins: Vec<_> = manifest.topology.attachments.iter().map(v1::Attachment::hairpin).collect();
    assert_eq!(hairpins, [v1::Toggle::Unspecified, v1::Toggle::On]);
    let found = errors(both(&lan("10.0.0.0/24", ""), &lan("10.0.1.0/24", "")));
    assert_eq!(found, ["2.yaml:7:5 definitions `a` and `b` share bridge `br0` and differ in `ipam`"]);
    let fixed =
        r#"{"type": "bridge", "bridge": "br0", "ipam": {"type": "static", "addresses": [{"address": "10.0.0.9/24"}]}}"#;
    let manifest = both(fixed, &lan("10.0.0.0/24", "")).unwrap();
    assert_eq!(manifest.topology.bridges[0].ipam.as_ref().unwrap().subnets[0].cidr, "10.0.0.0/24");
    let three =
        [definition("a", fixed), definition("b", &lan("10.0.0.0/24", "")), definition("c", &lan("10.0.1.0/24", ""))];
    let found = errors(texts(&[&three.join("---\n"), &pod("p", "a,b,c"), &pod("q", "c")]));
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn vlans_of_a_bridge_are_lans_of_their_own() {
    let of = |vlan: &str, subnet: &str| {
        format!(
            r#"{{"type": "bridge", "bridge": "br0", "ipam": {{"type": "host-local", "subnet": "{subnet}"}}{vlan}}}"#
        )
    };
    let three = [
        definition("a", &of("", "10.0.0.0/24")),
        definition("b", &of(r#", "vlan": 10"#, "10.0.10.0/24")),
        definition("c", &of(r#", "vlan": 10"#, "10.0.10.0/24")),
    ];
    let manifest = texts(&[&three.join("---\n"), &pod("p", "a,b"), &pod("q", "c")]).unwrap();
    assert_eq!(manifest.warnings.len(), 0, "{:?}", manifest.warnings);
    let names: Vec<_> =
        manifest.topology.bridges.iter().map(|bridge| (bridge.name.as_str(), bridge.vlan_aware)).collect();
    assert_eq!(names, [("br0", false), ("br0-vlan10", false)]);
    let targets: Vec<_> = manifest.topology.attachments.iter().map(|it| it.target.clone().unwrap()).collect();
    assert_eq!(targets[1], targets[2]);
}

#[test]
fn a_trunk_makes_its_bridge_tell_vlans_apart() {
    let of = |vlan: &str| format!(r#"{{"type": "bridge", "bridge": "br0"{vlan}}}"#);
    let trunk = r#", "vlanTrunk": [{"minID": 20, "maxID": 29}, {"id": 10}]"#;
    let four = [
        definition("a", &of("")),
        definition("b", &of(r#", "vlan": 10"#)),
        definition("t", &of(trunk)),
        definition("n", &of(&format!(r#"{trunk}, "vlan": 7, "preserveDefaultVlan": false"#))),
        definition("o", &of(&format!(r#"{trunk}, "preserveDefaultVlan": false"#))),
    ];
    let manifest = texts(&[&four.join("---\n"), &pod("p", "a,b,t,n,o")]).unwrap();
    assert_eq!(manifest.warnings.len(), 0, "{:?}", manifest.warnings);
    let [bridge] = manifest.topology.bridges.try_into().unwrap();
    assert!(bridge.vlan_aware);
    let ranges = vec![v1::VlanRange { first: 20, last: 29 }, v1::VlanRange { first: 10, last: 0 }];
    let access = |access| v1::PortVlan { access, ..v1::PortVlan::default() };
    let trunk = |native| v1::PortVlan { access: 0, trunk: ranges.clone(), native };
    let vlans: Vec<_> = manifest.topology.attachments.into_iter().map(|it| it.vlan.unwrap()).collect();
    assert_eq!(vlans, [access(1), access(10), trunk(1), trunk(7), trunk(0)]);
    let found = |config: &str| errors(used(config)).remove(0);
    assert!(found(&of(r#", "vlan": 4095"#)).ends_with("`vlan` of definition `n` is not a VLAN id: 0 to 4094 are"));
    let odd = found(&of(r#", "vlanTrunk": [{"minID": 20}]"#));
    assert!(odd.ends_with("an item of `vlanTrunk` of definition `n` is neither `id` nor `minID` to `maxID`"), "{odd}");
}
