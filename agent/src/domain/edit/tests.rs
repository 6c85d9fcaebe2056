#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::{
    check::sample::{addressed, bridge, interface, ipam, link, on_device, plugged, topology},
    impairment::Netem,
    mtu::Mtu,
    spec::NetnsRef,
};

fn name(text: &str) -> ElementName {
    text.parse().unwrap()
}

fn lesson() -> TopologySpec {
    let direct = LinkSpec { mode: LinkMode::Direct, ..link("d", interface("bb1", "d0"), interface("bb2", "d0")) };
    TopologySpec {
        bridges: vec![bridge("lan", Some(ipam(&["10.0.0.0/24"]))), bridge("empty", None)],
        links: vec![link("w", interface("bb1", ""), interface("bb2", "")), direct],
        attachments: vec![
            plugged("p1", "lan", interface("bb1", "")),
            plugged("p2", "lan", interface("bb2", "")),
            on_device("m", interface("bb1", ""), None),
        ],
        ..topology()
    }
}

fn change(it: &Edit) -> Result<Option<TopologySpec>, EditError> {
    edit(&lesson(), it)
}

fn fields(it: &Edit) -> Vec<&'static str> {
    match change(it) {
        Err(EditError::AlreadyExists { fields, .. }) => fields,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_element_is_added_behind_the_others() {
    let spec = change(&Edit::CreateBridge(bridge("lan2", None))).unwrap().unwrap();
    assert_eq!(spec.bridges[2], bridge("lan2", None));
    let wire = link("w2", interface("bb1", ""), interface("bb3", ""));
    assert_eq!(change(&Edit::CreateLink(Box::new(wire.clone()))).unwrap().unwrap().links[2], wire);
    let plug = plugged("p3", "empty", interface("bb3", ""));
    assert_eq!(change(&Edit::Attach(plug.clone())).unwrap().unwrap().attachments[3], plug);
}

#[test]
fn an_equal_element_changes_nothing() {
    let there = lesson();
    assert_eq!(change(&Edit::CreateBridge(there.bridges[0].clone())), Ok(None));
    assert_eq!(change(&Edit::CreateLink(Box::new(there.links[0].clone()))), Ok(None));
    assert_eq!(change(&Edit::Attach(there.attachments[2].clone())), Ok(None));
}

#[test]
fn a_different_element_names_every_field_that_differs() {
    let other = BridgeSpec { mtu: Some(Mtu::default()), hairpin: true, ..bridge("lan", None) };
    assert_eq!(fields(&Edit::CreateBridge(other)), ["mtu", "ipam", "hairpin"]);
    let a = InterfaceSpec { owner: PodOwner::Netns(NetnsRef::Process(7)), order: 3, ..interface("x", "net1") };
    let other = LinkSpec { up: false, mode: LinkMode::Direct, ..link("w", a, addressed("bb2", &["10.0.0.1/24"])) };
    assert_eq!(
        fields(&Edit::CreateLink(Box::new(other))),
        ["a.pod", "a.netns", "a.name", "a.order", "b.addresses", "mode", "up"]
    );
    let other = AttachmentSpec { isolated: Some(false), ..plugged("p1", "empty", interface("bb7", "")) };
    assert_eq!(fields(&Edit::Attach(other)), ["interface.pod", "bridge", "isolated"]);
    let other = on_device("p1", interface("bb1", ""), None);
    assert_eq!(fields(&Edit::Attach(other)), ["bridge", "device"]);
    let other = on_device("m", interface("bb1", ""), Some(ipam(&["10.0.0.0/24"])));
    assert_eq!(fields(&Edit::Attach(other)), ["device.ipam"]);
}

#[test]
fn a_name_is_that_of_one_kind_only() {
    let taken = |kind, of| Err(EditError::AlreadyExists { kind, name: name(of), fields: vec!["kind"] });
    assert_eq!(change(&Edit::CreateBridge(bridge("w", None))), taken("link", "w"));
    assert_eq!(
        change(&Edit::CreateLink(Box::new(link("p1", interface("a", ""), interface("b", ""))))),
        taken("attachment", "p1")
    );
    assert_eq!(change(&Edit::Attach(plugged("lan", "lan", interface("a", "")))), taken("bridge", "lan"));
}

#[test]
fn an_attachment_needs_its_bridge() {
    let error = change(&Edit::Attach(plugged("p9", "nowhere", interface("bb1", "")))).unwrap_err();
    assert_eq!(error, EditError::NotFound { kind: "bridge", name: name("nowhere") });
}

#[test]
fn a_bridge_goes_when_nothing_is_plugged_or_with_all_that_is() {
    let delete = |of, cascade| change(&Edit::DeleteBridge { name: name(of), cascade });
    let attachments = vec![name("p1"), name("p2")];
    assert_eq!(delete("lan", false), Err(EditError::BridgeInUse { bridge: name("lan"), attachments }));
    let spec = delete("lan", true).unwrap().unwrap();
    assert_eq!((spec.bridges.len(), spec.attachments.len()), (1, 1));
    assert_eq!(delete("empty", false).unwrap().unwrap().bridges.len(), 1);
}

#[test]
fn what_is_absent_is_deleted_already() {
    for absent in ["nothing", "m", "lan"] {
        assert_eq!(change(&Edit::DeleteLink(name(absent))), Ok(None));
    }
    assert_eq!(change(&Edit::DeleteBridge { name: name("w"), cascade: true }), Ok(None));
    assert_eq!(change(&Edit::Detach(name("lan"))), Ok(None));
    assert_eq!(change(&Edit::Detach(name("p1"))).unwrap().unwrap().attachments.len(), 2);
    assert_eq!(change(&Edit::DeleteLink(name("w"))).unwrap().unwrap().links.len(), 1);
}

#[test]
fn a_cable_is_pulled_where_there_is_one() {
    let update_link = |of, up| change(&Edit::UpdateLink { name: name(of), up, a_to_b: None, b_to_a: None });
    let update_plug = |of, up| change(&Edit::UpdateAttachment { name: name(of), up, to_interface: None });
    assert!(!update_link("w", Some(false)).unwrap().unwrap().links[0].up);
    assert!(!update_plug("p1", Some(false)).unwrap().unwrap().attachments[0].up);
    for up in [None, Some(true)] {
        assert_eq!(update_link("w", up), Ok(None));
        assert_eq!(update_plug("p1", up), Ok(None));
    }
    assert_eq!(update_link("d", None), Ok(None));
    assert!(matches!(update_link("d", Some(false)), Err(EditError::Impossible { kind: "link", .. })));
    assert!(matches!(update_plug("m", Some(false)), Err(EditError::Impossible { kind: "attachment", .. })));
    assert_eq!(update_link("p1", None), Err(EditError::NotFound { kind: "link", name: name("p1") }));
    assert_eq!(update_plug("w", None), Err(EditError::NotFound { kind: "attachment", name: name("w") }));
}

#[test]
fn an_update_impairs_one_direction_and_leaves_the_other() {
    let slow = Impairment { netem: Some(Netem { delay: 1, ..Netem::default() }), rate: None };
    let update = |of, a_to_b, b_to_a| change(&Edit::UpdateLink { name: name(of), up: None, a_to_b, b_to_a });
    let changed = update("w", Some(slow), None).unwrap().unwrap();
    assert_eq!((changed.links[0].a_to_b, changed.links[0].b_to_a), (slow, Impairment::default()));
    assert_eq!(update("w", None, None), Ok(None));
    assert_eq!(update("w", Some(Impairment::default()), None), Ok(None), "there is none already");
    assert!(matches!(update("d", Some(Impairment::default()), None), Err(EditError::Impossible { .. })));
    let plug = |of| change(&Edit::UpdateAttachment { name: name(of), up: None, to_interface: Some(slow) });
    assert_eq!(plug("p2").unwrap().unwrap().attachments[1].to_interface, slow);
    assert!(matches!(plug("m"), Err(EditError::Impossible { .. })));
    let other = LinkSpec { b_to_a: slow, ..lesson().links[0].clone() };
    assert_eq!(fields(&Edit::CreateLink(Box::new(other))), ["b_to_a"]);
}
