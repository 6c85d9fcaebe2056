//! What is written: SVG, Mermaid, DOT.

use podwire_proto::v1;
use proptest::{prelude::*, test_runner::Config};

use super::{Picture, everything, link, nic, plug, topology, triangle};
use crate::picture::{Kind, dot, mermaid, svg};

#[test]
fn a_triangle_as_mermaid() {
    insta::assert_snapshot!(mermaid(&Picture::new(&triangle())), @r##"
    flowchart LR
      accTitle: topology lessons/triangle
      accDescr: READY, 6 of 6 interfaces: pods and what they are wired to
      n0["bb1<br/>pod"]
      n1["bb2<br/>pod"]
      n2["bb3<br/>pod"]
      n3[["● mybridge1<br/>bridge<br/>10.10.1.0/24"]]
      n4[["● mybridge2<br/>bridge<br/>10.10.2.0/24"]]
      n5[["● mybridge3<br/>bridge<br/>10.10.3.0/24"]]
      n0 ---|"● net1<br/>10.10.1.2/24"| n3
      n1 ---|"● net1<br/>10.10.1.3/24"| n3
      n1 ---|"● net2<br/>10.10.2.2/24"| n4
      n2 ---|"● net1<br/>10.10.2.3/24"| n4
      n0 ---|"● net2<br/>10.10.3.2/24"| n5
      n2 ---|"● net2<br/>10.10.3.3/24"| n5
    "##);
}

#[test]
fn everything_as_dot() {
    insta::assert_snapshot!(dot(&Picture::new(&everything())), @r##"
    graph "lessons/12" {
      graph [label="lessons/12\nFAILED, 2 of 6 interfaces", labelloc=t, overlap=false, rankdir=LR, fontname=monospace]
      node [fontname=monospace, fontsize=11]
      edge [fontname=monospace, fontsize=10]
      n0 [shape=box, label="r1\npod"]
      n1 [shape=box, label="late\npod\nnothing plugged", color="#a07a00"]
      n2 [shape=box, label="r2\npod"]
      n3 [shape=box, label="r3\npod"]
      n4 [shape=box, peripheries=2, label="● hub1\nbridge\n10.0.0.0/24\nhub\nspanning tree"]
      n5 [shape=box, peripheries=2, label="● alone\nbridge\n10.9.0.0/24"]
      n6 [shape=ellipse, label="● w1\nlink\ncable pulled\nr1 to r2: delay 20ms ± 2ms,\nloss 1.5%, rate 1 Mbit/s"]
      n7 [shape=ellipse, style=dashed, label="● d1\ndirect link"]
      n8 [shape=hexagon, label="eth1\ndevice of the node"]
      n0 -- n4 [label="● net2\n10.0.0.2/24\nfd00::2/64\nin: delay 20ms ± 2ms, loss\n1.5%, rate 1 Mbit/s", style=solid]
      n1 -- n4 [label="○ net1\nPENDING", style=dotted, color="#a07a00"]
      n2 -- n4 [label="✕ net2\n10.0.0.3/24\nFAILED\nno carrier", style=dashed, color="#b42318"]
      n0 -- n6 [label="● net1\n10.1.0.1/30\ncable pulled", style=dotted]
      n2 -- n6 [label="● net1\n10.1.0.2/30\ncable pulled", style=dotted]
      n0 -- n7 [label="▲ net3\nDEGRADED", style=solid, color="#c05e00"]
      n3 -- n7 [label="● eth1\nno carrier", style=dashed]
      n2 -- n8 [label="● net3\n192.168.1.203/24", style=solid]
    }
    "##);
}

#[test]
fn one_link_as_svg() {
    let mut wanted = topology("one");
    wanted.links.push(link("w1", nic("a", "net1", &["10.0.0.1/30"]), nic("b", "net1", &[])));
    let text = svg(&Picture::new(&wanted));
    let (head, rest) = text.split_once("<style>").unwrap();
    let (_, body) = rest.split_once("</style>").unwrap();
    insta::assert_snapshot!(format!("{head}{body}"), @r##"
    <svg xmlns="http://www.w3.org/2000/svg" class="pw" role="img" width="444" height="176" viewBox="0 0 444 176">
    <title>topology lessons/one</title>
    <desc>READY, 6 of 6 interfaces. link w1: a/net1, b/net1.</desc>

    <rect class="pw-page" width="444" height="176"/>
    <text class="pw-title" x="20" y="34">lessons/one</text>
    <text class="pw-small pw-ready" x="20" y="53">● READY, 6 of 6 interfaces</text>
    <path class="pw-line pw-carrier" d="M271 97L271 97C294 97 294 97 317 97L317 97"><title>b/net1
    READY</title></path>
    <path class="pw-line pw-carrier" d="M164 97L164 97C187 97 187 97 210 97L210 97"><title>a/net1
    10.0.0.1/30
    READY</title></path>
    <rect class="pw-box pw-pod pw-unknown" x="20" y="72" width="144" height="50" rx="6"><title>pod a</title></rect>
    <text class="pw-name pw-unknown pw-middle" x="43" y="93.5">a</text>
    <text class="pw-small pw-middle" x="43" y="108.5">pod</text>
    <rect class="pw-box pw-link pw-ready" x="210" y="78" width="62" height="38" rx="16"><title>link w1</title></rect>
    <text class="pw-name pw-ready pw-middle" x="241" y="93.5">● w1</text>
    <text class="pw-small pw-middle" x="241" y="108.5">link</text>
    <rect class="pw-box pw-pod pw-unknown" x="317" y="75" width="107" height="44" rx="6"><title>pod b</title></rect>
    <text class="pw-name pw-unknown pw-middle" x="401" y="93.5">b</text>
    <text class="pw-small pw-middle" x="401" y="108.5">pod</text>
    <rect class="pw-tab pw-ready" x="319" y="88" width="56" height="19" rx="4"><title>b/net1
    READY</title></rect>
    <text class="pw-port pw-ready pw-middle" x="347" y="101.5">● net1</text>
    <rect class="pw-tab pw-ready" x="68" y="80" width="93" height="34" rx="4"><title>a/net1
    10.0.0.1/30
    READY</title></rect>
    <text class="pw-port pw-ready pw-middle" x="114.5" y="93.5">● net1</text>
    <text class="pw-small pw-middle" x="114.5" y="108.5">10.0.0.1/30</text>
    <text class="pw-small pw-ready" x="20" y="156">● READY</text>
    <path class="pw-line pw-carrier" d="M88 152L88 152C102 152 102 152 116 152L116 152"></path>
    <text class="pw-small" x="124" y="156">carrier</text>
    </svg>
    "##);
}

/// All character data of a picture.
fn texts(document: &roxmltree::Document<'_>, name: &str) -> Vec<String> {
    let named = document.descendants().filter(|node| node.has_tag_name(("http://www.w3.org/2000/svg", name)));
    named.map(|node| node.text().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_state_is_a_word_and_every_cable_a_kind_of_line() {
    let text = svg(&Picture::new(&everything()));
    let document = roxmltree::Document::parse(&text).unwrap();
    let words = texts(&document, "text");
    for word in ["✕ FAILED, 2 of 6 interfaces", "PENDING", "DEGRADED", "FAILED", "no carrier", "cable pulled"] {
        assert!(words.iter().any(|text| text == word), "{word}: {words:?}");
    }
    for words_of in ["r1 to r2: delay 20ms ± 2ms,", "10.0.0.2/24", "fd00::2/64", "device of the node", "direct link"] {
        assert!(words.iter().any(|text| text == words_of), "{words_of}: {words:?}");
    }
    for class in ["pw-carrier", "pw-no-carrier", "pw-pulled", "pw-missing", "pw-cross"] {
        assert!(document.descendants().any(|node| node.attribute("class").is_some_and(|has| has.contains(class))));
    }
    let hints = texts(&document, "title");
    assert!(hints.iter().any(|hint| hint.contains("FAILED: File exists (os error 17)")), "{hints:?}");
}

#[test]
fn the_same_topology_is_always_the_same_picture() {
    let drawn = || svg(&Picture::new(&everything()));
    assert_eq!(drawn(), drawn());
}

#[test]
fn a_picture_brings_nothing_along() {
    let text = svg(&Picture::new(&everything()));
    let document = roxmltree::Document::parse(&text).unwrap();
    let allowed = ["svg", "title", "desc", "style", "rect", "path", "text"];
    for node in document.descendants().filter(roxmltree::Node::is_element) {
        assert!(allowed.contains(&node.tag_name().name()), "{node:?}");
        for attribute in node.attributes() {
            let harmful = ["href", "id", "style"].contains(&attribute.name()) || attribute.name().starts_with("on");
            assert!(!harmful, "{attribute:?}");
        }
    }
    // Else two pictures on one page would share names.
    let colours = text.split("pw-").count();
    assert!(colours > 10 && !text.contains("url(") && !text.contains("@import"));
}

/// A topology whose every name is this one.
fn named(name: &str) -> v1::Topology {
    let mut wanted = topology(name);
    wanted.bridges.push(super::bridge(name, name));
    let mut interface = nic(name, name, &[name]);
    interface.status.as_mut().unwrap().reason = name.to_owned();
    wanted.attachments.push(plug(name, interface, name));
    wanted.links.push(link(name, nic(name, name, &[]), nic("b", name, &[])));
    wanted
}

/// A line of Mermaid without what stands in its quotes.
fn skeleton(line: &str) -> String {
    line.split('"').step_by(2).collect::<Vec<_>>().join("\"")
}

proptest! {
    #![proptest_config(Config { cases: 128, ..Config::default() })]

    #[test]
    fn any_name_gives_well_formed_documents_of_the_same_shape(
        name in prop_oneof![any::<String>(), "[<>&\"'\\\\\\]\\[#;`|{}%\n\t -]{1,30}"]
    ) {
        let (odd, plain) = (Picture::new(&named(&name)), Picture::new(&named("x")));
        let text = svg(&odd);
        let document = roxmltree::Document::parse(&text).map_err(|error| TestCaseError::fail(format!("{error}: {text}")))?;
        let shape = |document: &roxmltree::Document<'_>| {
            let elements = document.descendants().filter(roxmltree::Node::is_element);
            // Empty lines are not drawn, and long ones are broken.
            elements.map(|node| node.tag_name().name().to_owned()).filter(|name| name != "text").collect::<Vec<_>>()
        };
        let other = svg(&plain);
        prop_assert_eq!(shape(&document), shape(&roxmltree::Document::parse(&other).unwrap()));

        let lines = |picture: &Picture| mermaid(picture).lines().skip(2).map(skeleton).collect::<Vec<_>>();
        prop_assert_eq!(lines(&odd), lines(&plain));
        prop_assert!(!mermaid(&odd).contains(['`', '<']) || mermaid(&odd).replace("<br/>", "").find(['`', '<']).is_none());

        // Without escapes each quote of DOT opens or closes.
        let bare = dot(&odd).replace("\\\\", "").replace("\\\"", "");
        let lines = |text: &str| text.lines().map(skeleton).collect::<Vec<_>>();
        prop_assert_eq!(lines(&bare), lines(&dot(&plain)));
    }
}

#[test]
fn ways_onto_the_nodes_network_are_named() {
    let mut all = everything();
    let vlan = |vlan| v1::NodeDevice { parent: "eth0".to_owned(), vlan: Some(vlan), ..Default::default() };
    for (name, tag) in [("ten", 10), ("twenty", 20)] {
        let mut tagged = plug(name, nic("r2", &format!("net{tag}"), &[]), "");
        tagged.target = Some(v1::attachment::Target::Device(vlan(tag)));
        all.attachments.push(tagged);
    }
    all.bridges[1].uplink = Some(v1::Uplink { parent: "br0".to_owned(), bridge_port: true, ..Default::default() });
    let picture = Picture::new(&all);
    let devices: Vec<_> =
        picture.nodes.iter().filter(|node| node.kind == Kind::Device).map(|node| node.name.as_str()).collect();
    assert_eq!(devices, ["eth1", "eth0 vlan 10", "eth0 vlan 20"], "each VLAN is a network of its own");
    assert!(picture.nodes.iter().any(|node| node.notes.iter().any(|note| note == "uplink port of br0")));
}
