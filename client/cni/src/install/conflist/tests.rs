#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn entry() -> Value {
    json!({"type": NAME, "agent": "unix:///run/podwire/agent.sock"})
}

fn add(text: &str) -> String {
    match edited(text, &Edit::Add(entry())) {
        Edited::To(after) => after,
        Edited::Same => panic!("the same: {text}"),
        Edited::Broken(problem) => panic!("{problem}: {text}"),
    }
}

fn remove(text: &str) -> String {
    match edited(text, &Edit::Remove) {
        Edited::To(after) => after,
        Edited::Same | Edited::Broken(_) => panic!("not removed: {text}"),
    }
}

const PRETTY: &str = r#"{
  "name": "k8s-pod-network", "x-unknown": [1.0, "]", {"plugins": []}],
  "cniVersion": "0.3.1",
  "plugins": [
    {
      "type": "calico", "a": "\"}",
      "zeta": 1, "alpha": 1e3
    },
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
"#;

#[test]
fn the_entry_stands_last_and_the_rest_stays_byte_for_byte() {
    let after = add(PRETTY);
    let tail = "\n    {\"agent\":\"unix:///run/podwire/agent.sock\",\"type\":\"podwire-cni\"}\n  ]\n}\n";
    assert!(after.ends_with(tail), "{after}");
    assert_eq!(remove(&after), PRETTY);
    assert!(matches!(edited(&after, &Edit::Add(entry())), Edited::Same));
}

#[test]
fn another_entry_or_place_is_put_right() {
    let wrong = r#"{"cniVersion":"1.0.0","plugins":[{"type":"podwire-cni","x":1},{"type":"a"},{"type":"podwire-cni"},{"type":"b"}]}"#;
    let list: Value = serde_json::from_str(&add(wrong)).unwrap();
    assert_eq!(list["plugins"], json!([{"type": "a"}, {"type": "b"}, entry()]));
    assert_eq!(remove(wrong), r#"{"cniVersion":"1.0.0","plugins":[{"type":"a"},{"type":"b"}]}"#);
}

#[test]
fn what_is_no_list_is_left_alone() {
    for (text, problem) in [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("[]", "no list of `plugins`"),
        (r#"{"cniVersion": "1.0.0", "type": "bridge"}"#, "no list of `plugins`"),
        (r#"{"cniVersion": "1.0.0", "plugins": {}}"#, "no list of `plugins`"),
        (r#"{"cniVersion": "1.0.0", "plugins": []}"#, "no plugin to stand behind"),
        (r#"{"cniVersion": "1.0.0", "plugins": [{"type": "podwire-cni"}]}"#, "no plugin to stand behind"),
        (r#"{"plugins": [{"type": "a"}]}"#, "no cniVersion"),
        (r#"{"cniVersion": "0.2.0", "plugins": [{"type": "a"}]}"#, "`0.2.0` is none of"),
    ] {
        match edited(text, &Edit::Add(entry())) {
            Edited::Broken(words) => assert!(words.contains(problem), "{text}: {words}"),
            Edited::To(_) | Edited::Same => panic!("{text}"),
        }
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[\\PC\"\\\\\\[\\]{}:,]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map("[a-z\"\\\\]{0,6}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn added_and_removed_is_as_before(
        plugins in proptest::collection::vec(any_json(), 1..4), other in any_json(), pretty in any::<bool>(),
    ) {
        let list = json!({"cniVersion": "1.0.0", "a": other, "plugins": plugins, "z": other});
        let text = if pretty { serde_json::to_string_pretty(&list).unwrap() } else { list.to_string() };
        let after = add(&text);
        let read: Value = serde_json::from_str(&after).unwrap();
        prop_assert_eq!(read["plugins"].as_array().unwrap().last(), Some(&entry()));
        prop_assert_eq!(remove(&after), text);
    }

    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC{0,60}") {
        edited(&text, &Edit::Remove);
        spans(&text);
    }
}
