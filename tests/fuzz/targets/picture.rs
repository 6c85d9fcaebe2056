//! What is made of an agent's answer: drawings, tables, the annotation of other tools. Names in it are anybody's.
#![no_main]

use libfuzzer_sys::fuzz_target;
use podwire_cli::fuzzing::{columns, drawn, shown};
use podwire_client::network_status;
use podwire_fuzz::message::message;
use podwire_proto::v1;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    let Some(topology) = message::<v1::Topology>("Topology", data) else { return };
    let [svg, mermaid, dot] = drawn(&topology);
    let parsed = roxmltree::Document::parse(&svg).unwrap_or_else(|error| panic!("{error}\n{svg}"));
    let known = ["svg", "style", "title", "desc", "rect", "path", "text", "tspan", "g", "circle", "line"];
    for element in parsed.descendants().filter(roxmltree::Node::is_element) {
        assert!(known.contains(&element.tag_name().name()), "{element:?}");
        for attribute in element.attributes() {
            assert!(!attribute.name().starts_with("on") && !attribute.name().contains("href"), "{attribute:?}");
        }
    }
    for text in [&svg, &mermaid, &dot] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
    for width in [None, Some(1), Some(40), Some(120)] {
        let table = shown(&topology, width);
        assert!(!table.chars().any(|c| c.is_control() && c != '\n' && c != '\x1b'), "{table:?}");
        let _ = table.lines().map(columns).max();
    }
    let pods = topology.attachments.iter().filter_map(|it| match &it.interface.as_ref()?.owner {
        Some(v1::interface::Owner::Pod(pod)) => Some(pod.as_str()),
        _ => None,
    });
    for pod in pods.take(4) {
        let text = network_status(std::slice::from_ref(&topology), pod);
        let status: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert!(status.is_array());
    }
});
