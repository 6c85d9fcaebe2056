//! Many messages in one send: the kernel acknowledges the last one, and tells of each that it refuses.

use std::collections::{BTreeMap, BTreeSet};

use podwire_agent::{
    domain::{bridge::BridgeOptions, desired::BridgeDevice, mac::Mac, mtu::Mtu, step::Step},
    kernel::{Kernel, KernelError, LinuxKernel, NetnsDir, Site, SiteView},
};
use podwire_tests::lab::Lab;

use crate::private;

/// More than two sends.
const BRIDGES: usize = 150;

fn bridge(number: usize) -> Step {
    let options = BridgeOptions { stp: false, mcast_snooping: false, vlan_filtering: false, ageing: 30_000 };
    let name = format!("b{number}");
    let mac = Mac::derived(&[name.as_str()]);
    Step::CreateBridge(BridgeDevice { name: name.parse().unwrap(), mtu: Mtu::try_from(1500).unwrap(), mac, options })
}

fn site(panel: &str) -> Box<dyn Site> {
    let view = SiteView {
        panel: panel.to_owned(),
        pods: BTreeMap::new(),
        routes_of: BTreeSet::new(),
        direct: BTreeSet::new(),
        checksums: false,
        devices: BTreeSet::new(),
        part: None,
    };
    let mut site = LinuxKernel::new(NetnsDir::new("/run/netns")).unwrap().open(view).unwrap();
    site.observe().unwrap();
    site
}

/// The panel is made; the bridge that is the third one again is told as what failed, and all others are there.
fn refused_at(lab: &Lab, panel: &str, again: usize) {
    let steps: Vec<Step> = (0..BRIDGES).map(|number| bridge(if number == again { 3 } else { number })).collect();
    let mut site = site(panel);
    site.execute(&[Step::CreatePanel]).unwrap();
    let failed = site.execute(&steps).unwrap_err();
    assert_eq!(failed.at, again, "{failed}");
    assert!(failed.source.is_present(), "{failed}");
    assert!(matches!(failed.source, KernelError::Netlink { operation: "RTM_NEWLINK", .. }), "{failed}");
    let links = lab.ip_json(&format!("-n {panel} link show type bridge"));
    assert_eq!(links.as_array().unwrap().len(), BRIDGES - 1, "{links}");
}

#[test]
fn the_one_that_is_refused_is_told_and_the_others_are_carried_out() {
    private(async |lab| {
        // In the middle of a send, the last of one, the first of one, the very last.
        for (panel, again) in [("podwire.lessons.a", 90), ("podwire.lessons.b", 63), ("podwire.lessons.c", 64)] {
            refused_at(lab, panel, again);
        }
        refused_at(lab, "podwire.lessons.d", BRIDGES - 1);
    });
}
