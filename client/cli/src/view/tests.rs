use podwire_proto::v1;

use super::panel;

fn interface(pod: &str, name: &str, status: v1::InterfaceStatus) -> v1::Interface {
    v1::Interface {
        owner: Some(v1::interface::Owner::Pod(pod.to_owned())),
        name: name.to_owned(),
        mac: "02:00:00:00:00:01".to_owned(),
        mtu: 1500,
        status: Some(status),
        ..v1::Interface::default()
    }
}

fn status(state: v1::State, reason: &str, carrier: bool) -> v1::InterfaceStatus {
    let index = if state == v1::State::Pending { 0 } else { 3 };
    v1::InterfaceStatus {
        state: state.into(),
        reason: reason.to_owned(),
        index,
        carrier,
        ..v1::InterfaceStatus::default()
    }
}

#[test]
fn links_devices_and_what_is_not_ready_are_in_one_look() {
    let ready = || status(v1::State::Ready, "", true);
    let mut static_address = interface("thor", "net1", ready());
    static_address.addresses = vec!["192.168.1.203/24".to_owned(), "fd00::203/64".to_owned()];
    let topology = v1::Topology {
        namespace: "lessons".to_owned(),
        name: "12".to_owned(),
        generation: 7,
        bridges: vec![v1::Bridge {
            name: "lan1".to_owned(),
            status: Some(v1::Status { state: v1::State::Failed.into(), reason: "File exists".to_owned(), since: None }),
            ..v1::Bridge::default()
        }],
        links: vec![v1::Link {
            name: "w1".to_owned(),
            mode: v1::LinkMode::Direct.into(),
            a: Some(interface("a", "net1", status(v1::State::Ready, "", false))),
            far_end: Some(v1::link::FarEnd::B(interface("b", "net1", status(v1::State::Pending, "no pod `b`", false)))),
            ..v1::Link::default()
        }],
        attachments: vec![v1::Attachment {
            name: "thor-net1".to_owned(),
            interface: Some(static_address),
            target: Some(v1::attachment::Target::Device(v1::NodeDevice {
                parent: "eth0".to_owned(),
                ..v1::NodeDevice::default()
            })),
            ..v1::Attachment::default()
        }],
        status: Some(v1::TopologyStatus {
            state: v1::State::Failed.into(),
            owner: v1::Owner::Apply.into(),
            panel: "podwire.lessons.12".to_owned(),
            interfaces_ready: 2,
            interfaces: 3,
            ..v1::TopologyStatus::default()
        }),
        ..v1::Topology::default()
    };
    insta::assert_snapshot!(panel(&topology, None), @r"
    topology lessons/12  FAILED  2 of 3 interfaces
    panel podwire.lessons.12  owned by apply  generation 7

    WIRE            ADDRESSES         MAC                MTU   CARRIER  STATE
    bridge lan1                                                         FAILED
    link w1 direct
    ├─ a/net1                         02:00:00:00:00:01  1500  none     READY
    └─ b/net1                         02:00:00:00:00:01  1500           PENDING
    device eth0
    └─ thor/net1    192.168.1.203/24  02:00:00:00:00:01  1500  up       READY
                    fd00::203/64

    not READY:
      bridge lan1  FAILED: File exists
      b/net1  PENDING: no pod `b`
    ");
    let narrow = panel(&topology, Some(60));
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
}

/// Long names, long addresses and a long reason.
fn lengthy() -> v1::Topology {
    let reason = "it differs from the intent: to do: set the MAC address of interface lab-7d9f8b6c5d-x2x4z/net1 to \
                  02:00:00:00:00:01, which somebody changes all the time";
    let end = |name: &str| {
        let mut end = interface("busybox-deployment-7d9f8b6c5d-x2x4z", name, status(v1::State::Degraded, reason, true));
        end.addresses = vec!["10.10.31.200/24".to_owned(), "2001:db8:1111:2222:3333:4444:5555:6666/64".to_owned()];
        end
    };
    let link = v1::Link {
        name: "w1".to_owned(),
        a: Some(end("net1")),
        far_end: Some(v1::link::FarEnd::B(end("net2"))),
        ..v1::Link::default()
    };
    let panel = "podwire.lessons.routing-with-three-routers-and-a-switch".to_owned();
    let status = v1::TopologyStatus { panel, interfaces: 2, owner: v1::Owner::Calls.into(), ..Default::default() };
    let (namespace, name) = ("lessons".to_owned(), "routing-with-three-routers-and-a-switch".to_owned());
    v1::Topology { namespace, name, links: vec![link], status: Some(status), ..v1::Topology::default() }
}

#[test]
fn a_panel_fits_a_terminal_of_eighty_columns() {
    insta::assert_snapshot!(panel(&lengthy(), Some(80)), @r##"
    topology lessons/routing-with-three-routers-and-a-switch    0 of 2 interfaces
    panel podwire.lessons.routing-with-three-routers-and-a-switch  owned by calls

    WIRE                            ADDRESSES                      CARRIER  STATE
    link w1
    ├─ busybox-deploymen…2x4z/net1  10.10.31.200/24                up       DEGRADED
                                    2001:db8:1111:2222:3333:4444:
                                    5555:6666/64
    └─ busybox-deploymen…2x4z/net2  10.10.31.200/24                up       DEGRADED
                                    2001:db8:1111:2222:3333:4444:
                                    5555:6666/64

    not READY:
      busybox-deployment-7d9f8b6c5d-x2x4z/net1 DEGRADED: it differs from the
        intent: to do: set the MAC address of interface lab-7d9f8b6c5d-x2x4z/net1 to
        02:00:00:00:00:01, which somebody changes all the time
      busybox-deployment-7d9f8b6c5d-x2x4z/net2 DEGRADED: it differs from the
        intent: to do: set the MAC address of interface lab-7d9f8b6c5d-x2x4z/net1 to
        02:00:00:00:00:01, which somebody changes all the time
    "##);
}

#[test]
fn a_panel_is_never_wider_than_its_terminal_and_loses_no_reason() {
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let whole = words(panel(&lengthy(), None).split_once("not READY:").unwrap().1);
    for width in 40..=200 {
        let text = panel(&lengthy(), Some(width));
        for line in text.lines() {
            assert!(line.chars().count() <= usize::from(width), "{width}: {line}");
        }
        let reasons = words(text.split_once("not READY:").unwrap().1);
        assert_eq!(reasons.concat(), whole.concat(), "{width}");
        for branch in ["├─", "└─"] {
            assert!(text.lines().any(|line| line.starts_with(branch)), "{width}: {text}");
        }
    }
}
