//! Many messages in one send: the kernel acknowledges the last one, and tells of each that it refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use podwire_agent::{
    domain::{
        bridge::{BridgeOptions, BridgePort},
        desired::BridgeDevice,
        intent::{NicKey, PodKey},
        mac::Mac,
        mtu::Mtu,
        observed::SandboxId,
        step::{NewNic, Step},
    },
    kernel::{Kernel, KernelError, LinuxKernel, Netns, NetnsDir, PodDoor, Site, SiteView},
};
use podwire_tests::lab::Lab;

use crate::private;

/// More than two sends.
const BRIDGES: usize = 150;

fn bridge(name: &str) -> Step {
    let options = BridgeOptions { stp: false, mcast_snooping: false, vlan_filtering: false, ageing: 30_000 };
    let (mac, mtu) = (Mac::derived(&[name]), Mtu::try_from(1500).unwrap());
    Step::CreateBridge(BridgeDevice { name: name.parse().unwrap(), mtu, mac, options })
}

fn site(panel: &str, pods: BTreeMap<PodKey, PodDoor>) -> Box<dyn Site> {
    let view = SiteView {
        panel: panel.to_owned(),
        pods,
        routes_of: BTreeSet::new(),
        direct: BTreeSet::new(),
        checksums: false,
        devices: BTreeSet::new(),
        part: None,
    };
    let mut site = LinuxKernel::new(NetnsDir::new("/run/netns")).unwrap().open(view).unwrap();
    site.observe().unwrap();
    site.execute(&[Step::CreatePanel]).unwrap();
    site
}

/// Of bridges of which some have the name of the third one, the first of those is told, and all others are there.
fn refused_at(lab: &Lab, panel: &str, again: &[usize]) {
    let name = |number: usize| format!("b{}", if again.contains(&number) { 3 } else { number });
    let steps: Vec<Step> = (0..BRIDGES).map(|number| bridge(&name(number))).collect();
    let failed = site(panel, BTreeMap::new()).execute(&steps).unwrap_err();
    assert_eq!(failed.at, again[0], "{failed}");
    assert!(failed.source.is_present(), "{failed}");
    assert!(matches!(failed.source, KernelError::Netlink { operation: "RTM_NEWLINK", .. }), "{failed}");
    let links = lab.ip_json(&format!("-n {panel} link show type bridge"));
    assert_eq!(links.as_array().unwrap().len(), BRIDGES - again.len(), "{links}");
}

#[test]
fn the_one_that_is_refused_is_told_and_the_others_are_carried_out() {
    private(async |lab| {
        // In the middle of a send, the last of one, the first of one, the very last, several.
        let cases: [&[usize]; 5] = [&[90], &[63], &[64], &[BRIDGES - 1], &[70, 90, 127, BRIDGES - 1]];
        for (number, again) in cases.into_iter().enumerate() {
            refused_at(lab, &format!("podwire.lessons.p{number}"), again);
        }
    });
}

#[test]
fn a_new_port_comes_up_with_its_options_in_one_message() {
    private(async |lab| {
        lab.pods(["a"]);
        let (pod, panel) = (PodKey::new("a"), "podwire.lessons.p");
        let netns = Netns::open(Path::new("/run/netns/a")).unwrap();
        let mut site = site(panel, BTreeMap::from([(pod.clone(), PodDoor::Open(netns, SandboxId::new("a")))]));
        let nic = NicKey { pod, name: "net1".parse().unwrap() };
        let new = NewNic { key: nic.clone(), mac: Mac::derived(&["a"]), mtu: None };
        let options = BridgePort { hairpin: true, isolated: true, learning: false, ..BridgePort::NEW };
        let steps = [
            bridge("lan"),
            Step::CreateVeth(new, Some("lan".parse().unwrap())),
            Step::BringUp(nic.clone()),
            Step::SetBridgePort(nic.clone(), options),
            Step::SetPort(nic, true),
        ];
        site.execute(&steps).unwrap();
        let ports = lab.ports(panel);
        let [port] = ports.as_slice() else { panic!("{ports:?}") };
        let flags = port["flags"].as_array().unwrap();
        assert!(flags.contains(&"UP".into()) && flags.contains(&"LOWER_UP".into()), "{port}");
        let shown = ["hairpin", "isolated", "learning"].map(|option| port[option].as_bool());
        assert_eq!(shown, [Some(true), Some(true), Some(false)], "{port}");
    });
}
