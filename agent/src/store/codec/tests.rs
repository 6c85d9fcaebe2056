#![allow(clippy::unwrap_used)]

mod uplinked;

use std::{sync::Arc, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::domain::{
    bridge::{L2Profile, MOST_AGEING_SECONDS},
    check::sample::{self, any_impairment, any_spec},
    impairment::{Chance, Distribution, Impairment, Loss, Netem, Rate, Share},
    intent::{Assigned, Generation, NicKey, Ownership, PodKey},
    mac::Mac,
    spec::{
        AttachmentSpec, BridgeSpec, DeviceSpec, InterfaceSpec, LinkMode, LinkSpec, MacvlanMode, NetnsRef, PodOwner,
        RouteSpec, SubnetSpec, Target, TopologySpec,
    },
};

use uplinked::uplinked;

/// Records as every released agent must be able to read them: a change of these files is a new schema version.
const LIVE: &[u8] = include_bytes!("../../../testdata/store/live.json");
/// With what came later: impairments, profiles and options of bridges and ports, finished checksums. `LIVE` has none of it.
const IMPAIRED: &[u8] = include_bytes!("../../../testdata/store/impaired.json");
/// Uplinks and VLANs, which none of those before has.
const UPLINKED: &[u8] = include_bytes!("../../../testdata/store/uplinked.json");
const DELETED: &[u8] = include_bytes!("../../../testdata/store/deleted.json");

const KEY: &str = "lessons/12";

/// A spec with every field in use.
fn full() -> TopologySpec {
    let ipam = |cidr: &str, range: [&str; 2], gateway: &str, exclude: &str| {
        let mut ipam = sample::ipam(&[cidr, "fd00:1::/64"]);
        ipam.subnets[0] = SubnetSpec {
            cidr: cidr.parse().unwrap(),
            ranges: vec![(range[0].parse().unwrap(), range[1].parse().unwrap())],
            gateway: Some(gateway.parse().unwrap()),
            exclude: vec![exclude.parse().unwrap()],
        };
        ipam.routes = vec![sample::route("0.0.0.0/0", ""), sample::route("fd77::/48", "fd00:1::9")];
        Some(ipam)
    };
    let lan = ipam("10.0.0.0/24", ["10.0.0.10", "10.0.0.99"], "10.0.0.254", "10.0.0.16/28");
    let wire = ipam("10.1.0.0/29", ["10.1.0.2", "10.1.0.6"], "10.1.0.1", "10.1.0.4/32");
    let parent = ipam("192.0.2.0/24", ["192.0.2.100", "192.0.2.200"], "192.0.2.1", "192.0.2.128/25");
    let a = InterfaceSpec {
        uid: Some("0b5e4d7c-6f0e-4a55-9c0a-2f6f0f1f2a3b".parse().unwrap()),
        order: 7,
        mac: Some(Mac::new([2, 0, 0, 0, 0, 1]).unwrap()),
        mtu: Some(1400.try_into().unwrap()),
        addresses: vec!["10.1.0.2/29".parse().unwrap(), "fd00:1::2/64".parse().unwrap()],
        routes: vec![RouteSpec { metric: 7, unless_present: true, ..sample::route("10.77.0.0/16", "10.1.0.3") }],
        ..sample::interface("bb1", "net2")
    };
    let named = InterfaceSpec { owner: PodOwner::Netns(NetnsRef::Name("blue".into())), ..sample::interface("x", "") };
    let process = InterfaceSpec { owner: PodOwner::Netns(NetnsRef::Process(4711)), ..sample::interface("x", "up0") };
    let device = DeviceSpec { parent: "eth1".parse().unwrap(), mode: MacvlanMode::Vepa, ipam: parent };
    TopologySpec {
        bridges: vec![
            BridgeSpec {
                mtu: Some(9000.try_into().unwrap()),
                mac: Some(Mac::new([2, 0, 0, 0, 1, 0]).unwrap()),
                hairpin: true,
                isolated: true,
                ..sample::bridge("lan1", lan)
            },
            sample::bridge("lan2", None),
        ],
        links: vec![
            LinkSpec { ipam: wire, ..sample::link("w1", a, sample::interface("bb2", "")) },
            LinkSpec { mode: LinkMode::Direct, ..sample::link("w2", named, process) },
        ],
        attachments: vec![
            AttachmentSpec {
                hairpin: Some(false),
                isolated: Some(true),
                up: false,
                ..sample::plugged("p1", "lan1", sample::interface("bb1", "net1"))
            },
            AttachmentSpec {
                target: Target::Device(device),
                ..sample::plugged("p2", "none", sample::interface("bb2", ""))
            },
        ],
        lease: Some(Duration::new(90, 500_000_000)),
        ..sample::topology()
    }
}

/// An intent of a spec, in which something is chosen for each interface.
fn intent(spec: TopologySpec, generation: u64, applied: Option<TopologySpec>) -> Intent {
    let chosen = |(n, (id, interface, _)): (usize, (_, &InterfaceSpec, _))| {
        let name = interface.name.clone().unwrap_or_else(|| format!("net{}", n + 1).parse().unwrap());
        let nic = NicKey { pod: PodKey::new(format!("lessons.{}", interface.owner)), name };
        let addresses = interface.addresses.iter().copied().chain(["10.9.0.1/24".parse().unwrap()]).collect();
        (id, Assigned { nic, mac: Mac::derived(&["nic", &n.to_string()]), addresses })
    };
    let assigned = spec.interfaces().enumerate().map(chosen).collect();
    Intent {
        spec,
        ownership: Ownership::Apply,
        generation: Generation(generation),
        applied_at: Generation(generation / 2),
        applied: applied.map(Box::new),
        assigned,
    }
}

fn live() -> Record {
    let smaller = TopologySpec { links: vec![], lease: None, ..full() };
    let former = Intent { ownership: Ownership::Calls, ..intent(sample::topology(), 0, None) };
    Record::Live { intent: Arc::new(intent(full(), u64::MAX, Some(smaller))), former: Some(Arc::new(former)) }
}

/// A record with all that came later in use.
fn impaired() -> Record {
    let share = |percent| Share::from_percent(percent).unwrap();
    let chance = |percent, correlation| Chance { share: share(percent), correlation: share(correlation) };
    let there = Netem {
        delay: 100_000_000,
        jitter: 20_000_000,
        distribution: Distribution::ParetoNormal,
        delay_correlation: share(25.0),
        loss: Loss::Random(chance(1.5, 10.0)),
        duplicate: chance(0.1, 20.0),
        corrupt: chance(0.2, 30.0),
        reorder: chance(50.0, 40.0),
        gap: 5,
        packets: 2000,
    };
    let (p, r, bad, good) = (share(1.0), share(40.0), share(90.0), share(0.5));
    let back = Netem { loss: Loss::GilbertElliott { p, r, bad, good }, ..Netem::default() };
    let wide = Rate { bytes_per_second: 12_500_000, burst: Some(60_000), queue: Some(1_000_000) };
    let narrow = Rate { bytes_per_second: 125_000, burst: None, queue: None };
    let a = InterfaceSpec { tx_checksum: false, ..sample::interface("bb1", "net1") };
    let spec = TopologySpec {
        bridges: vec![BridgeSpec {
            l2_profile: L2Profile::Standard,
            stp: true,
            mcast_snooping: true,
            ageing: Some(20),
            ..sample::bridge("lan1", None)
        }],
        links: vec![LinkSpec {
            a_to_b: Impairment { netem: Some(there), rate: Some(wide) },
            b_to_a: Impairment { netem: Some(back), rate: None },
            ..sample::link("w1", a, sample::interface("bb2", ""))
        }],
        attachments: vec![AttachmentSpec {
            flood: Some(false),
            mcast_flood: Some(true),
            to_interface: Impairment { netem: None, rate: Some(narrow) },
            ..sample::plugged("p1", "lan1", sample::interface("bb1", "net2"))
        }],
        ..sample::topology()
    };
    Record::Live { intent: Arc::new(intent(spec, 7, None)), former: None }
}

fn deleted() -> Record {
    Record::Deleted { generation: Generation(42), at: UNIX_EPOCH + Duration::new(1_769_903_999, 123_456_789) }
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn decoded(value: &Value) -> Result<Record, String> {
    decode(KEY, value.to_string().as_bytes()).map(|(_, record)| record)
}

#[test]
fn records_are_written_as_the_golden_files_have_them_and_read_from_them() {
    for (record, golden) in [(live(), LIVE), (impaired(), IMPAIRED), (uplinked(), UPLINKED), (deleted(), DELETED)] {
        let bytes = encode(&record).unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), String::from_utf8(golden.to_vec()).unwrap());
        assert_eq!(decode(KEY, golden), Ok((sample::topology().key, record)));
    }
}

#[test]
fn a_time_before_1970_is_stored_as_1970() {
    let early = Record::Deleted { generation: Generation(1), at: UNIX_EPOCH - Duration::from_secs(1) };
    let read = decode(KEY, &encode(&early).unwrap()).unwrap().1;
    assert_eq!(read, Record::Deleted { generation: Generation(1), at: UNIX_EPOCH });
}

/// The JSON pointers of all objects in a value.
fn objects(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.push(at.to_owned());
            for (name, value) in fields {
                objects(value, &format!("{at}/{}", name.replace('/', "~1")), found);
            }
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(n, item)| objects(item, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

#[test]
fn an_unknown_field_is_refused_wherever_it_stands() {
    for golden in [LIVE, IMPAIRED, UPLINKED, DELETED] {
        let value = json_of(golden);
        let mut places = Vec::new();
        objects(&value, "", &mut places);
        for place in places {
            let mut changed = value.clone();
            changed.pointer_mut(&place).unwrap()["surprise"] = json!(1);
            assert!(decoded(&changed).is_err(), "`surprise` in `{place}`");
        }
    }
}

/// Fields that records of before do not have and that are never none.
const LATER: [&str; 8] =
    ["a_to_b", "b_to_a", "to_interface", "l2_profile", "stp", "mcast_snooping", "tx_checksum", "vlan_aware"];

#[test]
fn only_what_may_be_none_or_came_later_may_be_missing() {
    let (mut optional, mut required) = (0, 0);
    for golden in [LIVE, IMPAIRED, UPLINKED, DELETED] {
        let value = json_of(golden);
        let mut places = Vec::new();
        objects(&value, "", &mut places);
        for place in places {
            let fields: Vec<String> = value.pointer(&place).unwrap().as_object().unwrap().keys().cloned().collect();
            for field in fields {
                let (mut without, mut none) = (value.clone(), value.clone());
                without.pointer_mut(&place).unwrap().as_object_mut().unwrap().remove(&field);
                none.pointer_mut(&place).unwrap()[&field] = Value::Null;
                if LATER.contains(&field.as_str()) {
                    assert!(decoded(&without).is_ok() && decoded(&none).is_err(), "{place}/{field}");
                } else if let Ok(record) = decoded(&without) {
                    assert_eq!(decoded(&none), Ok(record), "{place}/{field}");
                    optional += 1;
                } else {
                    assert!(decoded(&none).is_err(), "{place}/{field}");
                    required += 1;
                }
            }
        }
    }
    assert!(optional > 20 && required > 100, "{optional} optional, {required} required");
}

#[test]
fn what_no_caller_could_have_asked_for_is_refused() {
    let text = String::from_utf8(LIVE.to_vec()).unwrap();
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(256));
    for (was, becomes, reason) in [
        (r#""name":"12""#, r#""name":"13""#, "it holds the intent of topology lessons/13"),
        (r#"{"process":4711}"#, r#"{"process":0}"#, "0 is no process id"),
        (r#"{"process":4711}"#, r#"{"process":2147483648}"#, "2147483648 is no process id"),
        (r#"{"name":"blue"}"#, r#"{"name":"../blue"}"#, "is no name of a network namespace"),
        (r#"{"name":"blue"}"#, r#"{"name":"podwire.a.b"}"#, "is no name of a network namespace"),
        (
            r#"{"name":"blue"}"#,
            r#"{"name":"podwire_retired.1f"}"#,
            "is no name of a network namespace: it is a panel's",
        ),
        (r#"{"name":"blue"}"#, &long, "is no name of a network namespace: a file name has at most 255 bytes"),
        (r#""cidr":"10.0.0.0/24""#, r#""cidr":"10.0.0.1/24""#, "network `10.0.0.1/24` has host bits"),
        (r#""cidr":"10.0.0.0/24""#, r#""cidr":"10.0.0.0/33""#, "10.0.0.0/33"),
        ("02:00:00:00:00:01", "03:00:00:00:00:01", "`03:00:00:00:00:01` is no Mac"),
        (r#""mtu":9000"#, r#""mtu":67"#, "67"),
        (r#""mode":"vepa""#, r#""mode":"passthru""#, "unknown variant `passthru`"),
        (r#""w1.a":"#, r#""w1.c":"#, "`w1.c` names no end of an element"),
        (r#""w1.a":"#, r#""w9.a":"#, "something was chosen for interface w9.a, which it does not have"),
        (r#""order":7"#, r#""order":65536"#, "65536"),
    ] {
        let changed = text.replacen(was, becomes, 1);
        assert_ne!(changed, text, "`{was}` is in the golden file");
        let error = decode(KEY, changed.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{becomes}: {error}");
    }
    let text = String::from_utf8(IMPAIRED.to_vec()).unwrap();
    for (was, becomes, reason) in [
        (r#""jitter":20000000"#, r#""jitter":100000001"#, "is no netem that can be asked for"),
        (r#""delay":100000000"#, r#""delay":274877906881"#, "is no netem that can be asked for"),
        (r#""gap":5"#, r#""gap":0"#, "is no netem that can be asked for"),
        (r#""packets":2000"#, r#""packets":0"#, "is no netem that can be asked for"),
        (r#""pareto_normal""#, r#""gamma""#, "unknown variant `gamma`"),
        (r#""bytes_per_second":125000,"#, r#""bytes_per_second":124,"#, "is no rate that can be asked for"),
        (r#""burst":60000"#, r#""burst":0"#, "is no rate that can be asked for"),
        (r#""queue":1000000"#, r#""queue":4294967296"#, "4294967296"),
        (r#""standard""#, r#""vlan""#, "unknown variant `vlan`"),
        (r#""ageing":20"#, r#""ageing":1000001"#, "1000001 is no ageing in seconds"),
    ] {
        let changed = text.replacen(was, becomes, 1);
        assert_ne!(changed, text, "`{was}` is in the golden file");
        let error = decode(KEY, changed.as_bytes()).unwrap_err();
        assert!(error.contains(reason), "{becomes}: {error}");
    }
    let mut less = json_of(LIVE);
    less["live"]["intent"]["assigned"].as_object_mut().unwrap().remove("w1.a");
    assert_eq!(decoded(&less), Err("nothing was chosen for one of its interfaces".to_owned()));
    for key in ["", "lessons", "lessons/", "/12", "lessons/12/13", "Lessons/12", "lessons/1_2"] {
        assert!(decode(key, LIVE).is_err(), "{key}");
    }
    assert!(decode("lessons/13", LIVE).unwrap_err().contains("lessons/12"));
    assert!(decode(KEY, &[LIVE, b"x"].concat()).unwrap_err().contains("trailing"));
}

/// Any spec with anything that came later.
fn any_later() -> impl Strategy<Value = TopologySpec> {
    let profile = prop_oneof![Just(L2Profile::Transparent), Just(L2Profile::Hub), Just(L2Profile::Standard)];
    let ageing = prop::option::of(0..=MOST_AGEING_SECONDS);
    let flood = prop::option::of(any::<bool>());
    // Boxed: so much at once is more than a test's stack holds.
    let impairments = [any_impairment().boxed(), any_impairment().boxed()];
    (any_spec().boxed(), impairments, profile, ageing, flood, any::<[bool; 3]>()).prop_map(
        |(mut spec, [a_to_b, b_to_a], l2_profile, ageing, flood, [stp, mcast_snooping, tx_checksum])| {
            for bridge in &mut spec.bridges {
                *bridge = BridgeSpec { l2_profile, stp, mcast_snooping, ageing, ..bridge.clone() };
            }
            for link in &mut spec.links {
                (link.a_to_b, link.b_to_a, link.a.tx_checksum) = (a_to_b, b_to_a, tx_checksum);
            }
            for plug in &mut spec.attachments {
                (plug.to_interface, plug.flood, plug.mcast_flood) = (a_to_b, flood, flood.map(|on| !on));
            }
            spec
        },
    )
}

fn any_intent() -> impl Strategy<Value = Intent> {
    let lease = prop::option::of((0u64..1 << 40, 0u32..1_000_000_000).prop_map(|(s, n)| Duration::new(s, n)));
    (any_later().boxed(), lease, any::<u64>(), prop::option::of(any_spec().boxed()), any::<bool>()).prop_map(
        |(spec, lease, generation, applied, calls)| Intent {
            ownership: if calls { Ownership::Calls } else { Ownership::Apply },
            ..intent(TopologySpec { lease, ..spec }, generation, applied)
        },
    )
}

fn any_record() -> impl Strategy<Value = Record> {
    let live = (any_intent().boxed(), prop::option::of(any_intent().boxed()))
        .prop_map(|(intent, former)| Record::Live { intent: Arc::new(intent), former: former.map(Arc::new) });
    let deleted = (any::<u64>(), 0u64..1 << 40, 0u32..1_000_000_000)
        .prop_map(|(g, s, n)| Record::Deleted { generation: Generation(g), at: UNIX_EPOCH + Duration::new(s, n) });
    prop_oneof![4 => live, 1 => deleted]
}

/// What can be read at all is written as what it was read from means.
fn reads_or_refuses(bytes: &[u8]) {
    if let Ok((key, record)) = decode(KEY, bytes) {
        assert_eq!(decode(KEY, &encode(&record).unwrap()), Ok((key, record)));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_is_written_is_read(record in any_record()) {
        prop_assert_eq!(decode(KEY, &encode(&record).unwrap()), Ok((sample::topology().key, record)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), key in ".{0,20}") {
        reads_or_refuses(&bytes);
        let _ = decode(&key, &bytes);
    }

    #[test]
    fn damaged_records_are_read_or_refused(
        places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        cut in any::<bool>(),
        impaired in any::<bool>(),
    ) {
        let mut bytes = if impaired { IMPAIRED } else { LIVE }.to_vec();
        for (place, byte) in places {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if cut {
            bytes.truncate(end.index(bytes.len()));
        }
        reads_or_refuses(&bytes);
    }
}

/// Ends however deep it is nested.
#[test]
fn deep_nesting_is_refused() {
    assert!(decode(KEY, "[".repeat(1 << 20).as_bytes()).is_err());
    assert!(decode(KEY, format!(r#"{{"live":{}"#, r#"{"intent":"#.repeat(1 << 16)).as_bytes()).is_err());
}
