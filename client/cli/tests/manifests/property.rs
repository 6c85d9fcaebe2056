use podwire_cli::manifest::{Options, Source, parse_duration, read};
use podwire_proto::v1;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};

use crate::{input, texts};

fn attempt(bytes: Vec<u8>) {
    let Ok(source) = Source::new("x.yaml", bytes) else {
        return;
    };
    let options = Options { topology: Some("t".to_owned()), ..Options::default() };
    match read(&[source], &options) {
        Ok(manifest) => manifest.warnings.iter().for_each(|warning| drop(warning.to_string())),
        Err(invalid) => assert!(!invalid.to_string().is_empty()),
    }
}

/// Pieces of manifests, so that chance gets far.
fn piece() -> impl Strategy<Value = String> {
    let words = prop::sample::select(vec![
        "kind: Pod\n",
        "kind: NetworkAttachmentDefinition\n",
        "metadata:\n",
        "  name: a\n",
        "  annotations:\n",
        "spec:\n",
        "    k8s.v1.cni.cncf.io/networks: '",
        "[{\"name\": \"a\"}]",
        "a@b,c/d",
        "'\n",
        "  config: '{\n",
        "  config: \"{\\\"type\\\"",
        "}'\n",
        "\"type\": \"bridge\"",
        "\"ipam\": {",
        "\"subnet\": \"10.0.0.0/24\"",
        "---\n",
        "endpoints: [{name: a}]\n",
        "connections:\n",
        "- {a: a, b: a}\n",
        "slug: x\n",
        "name: t\n",
        "bridges:\n",
        "- name: b\n",
        "&a ",
        "*a ",
        "<<: ",
        "{",
        "}",
        "[",
        "]",
        ",",
        ": ",
        "\n",
        "    ",
        "\t",
        "\"",
        "é",
        "|\n",
        "%YAML 1.2\n",
        "...\n",
        "\u{0}",
        "# x\n",
    ]);
    prop_oneof![4 => words.prop_map(ToOwned::to_owned), 1 => ".{0,4}"]
}

proptest! {
    #[test]
    fn bytes_never_panic_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        attempt(bytes);
    }

    #[test]
    fn pieces_of_manifests_never_panic_the_reader(pieces in prop::collection::vec(piece(), 0..40)) {
        attempt(pieces.concat().into_bytes());
    }

    #[test]
    fn a_manifest_with_a_piece_missing_or_doubled_never_panics_the_reader(
        file in prop::sample::select(vec!["busybox_networks.yaml", "busybox_pods.yaml", "macvlan_thor.yaml", "lesson_three_devices.yaml"]),
        at in 0usize..2000, length in 0usize..40, twice in any::<bool>(),
    ) {
        drop(input(file));
        let path = format!("{}/tests/inputs/{file}", env!("CARGO_MANIFEST_DIR"));
        let mut bytes = std::fs::read(path).unwrap();
        let start = at.min(bytes.len());
        let end = (start + length).min(bytes.len());
        if twice {
            let piece = bytes[start..end].to_vec();
            bytes.splice(end..end, piece);
        } else {
            bytes.drain(start..end);
        }
        attempt(bytes);
    }

    #[test]
    fn durations_never_panic(text in ".{0,30}") {
        drop(parse_duration(&text));
    }

    #[test]
    fn a_topology_written_and_read_is_the_same(topology in topology(), yaml in any::<bool>()) {
        let pool = DescriptorPool::decode(v1::FILE_DESCRIPTOR_SET).unwrap();
        let descriptor = pool.get_message_by_name("podwire.v1.Topology").unwrap();
        let message = DynamicMessage::decode(descriptor, topology.encode_to_vec().as_slice()).unwrap();
        let mut json = serde_json::Serializer::new(Vec::new());
        message.serialize_with_options(&mut json, &SerializeOptions::new().use_proto_field_name(true)).unwrap();
        let json = String::from_utf8(json.into_inner()).unwrap();
        let text = if yaml {
            let value: serde_json::Value = serde_json::from_str(&json).unwrap();
            serde_saphyr::to_string(&value).unwrap()
        } else {
            json
        };
        let manifest = texts(&[&text]).map_err(|invalid| TestCaseError::fail(format!("{invalid}\n{text}")))?;
        prop_assert_eq!(manifest.topology, topology);
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z0-9-]{0,12}",
        "[0-9]{1,3}",
        prop::sample::select(vec!["true", "null", "~", "1e3", "0x1f", "a: b", "- a", "é\"'", "on"])
            .prop_map(ToOwned::to_owned)
    ]
}

prop_compose! {
    fn interface()(name in text(), pod in text(), uid in text(), order in any::<u32>(), addresses in prop::collection::vec(text(), 0..3), mtu in any::<u32>(), metric in any::<u32>(), unless_present in any::<bool>()) -> v1::Interface {
        v1::Interface {
            owner: Some(v1::interface::Owner::Pod(pod.clone())),
            name, uid, order, addresses, mtu,
            routes: vec![v1::Route { destination: pod, metric, unless_present, ..v1::Route::default() }],
            ..v1::Interface::default()
        }
    }
}

prop_compose! {
    fn topology()(
        bridges in prop::collection::vec((text(), any::<u32>(), any::<bool>()), 0..3),
        links in prop::collection::vec((text(), interface(), interface(), 0..3), 0..3),
        attachments in prop::collection::vec((text(), interface(), text(), any::<bool>()), 0..3),
        lease in prop::option::of((0i64..1_000_000, 0i32..1_000_000_000)),
        generation in any::<u64>(),
    ) -> v1::Topology {
        let status = v1::Status { state: 2, reason: "r".to_owned(), since: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 5000 }) };
        v1::Topology {
            namespace: "lessons".to_owned(),
            name: "t".to_owned(),
            bridges: bridges.into_iter().map(|(name, mtu, hairpin)| v1::Bridge { name, mtu, hairpin, status: Some(status.clone()), ..v1::Bridge::default() }).collect(),
            links: links.into_iter().map(|(name, a, b, mode)| v1::Link { name, a: Some(a), far_end: Some(v1::link::FarEnd::B(b)), mode, ..v1::Link::default() }).collect(),
            attachments: attachments.into_iter().map(|(name, interface, target, device)| v1::Attachment {
                name,
                interface: Some(interface),
                target: Some(if device {
                    v1::attachment::Target::Device(v1::NodeDevice { parent: target, mode: 2, ..Default::default() })
                } else {
                    v1::attachment::Target::Bridge(target)
                }),
                ..v1::Attachment::default()
            }).collect(),
            lease: lease.map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
            generation,
            status: None,
        }
    }
}
