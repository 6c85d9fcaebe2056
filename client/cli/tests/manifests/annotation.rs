use crate::{definition, errors, messages, plugs, pod, texts};

const LAN: &str = r#"{"type": "bridge", "bridge": "br0", "ipam": {"type": "host-local", "subnet": "10.0.0.0/24"}}"#;

#[test]
fn names_separated_by_commas() {
    let text = [definition("a", LAN), definition("b", r#"{"type": "bridge", "bridge": "br1"}"#)].join("---\n");
    let manifest = texts(&[&text, &pod("p", "a, b,default/a@eth5")]).unwrap();
    assert_eq!(plugs(&manifest), ["p-net1: p net1 1 -> br0", "p-net2: p net2 2 -> br1", "p-eth5: p eth5 3 -> br0"]);
}

#[test]
fn objects_with_interface_addresses_and_mac() {
    let list = r#"[{"name": "a", "namespace": "default", "interface": "ge0", "ips": ["10.0.0.9", "fd00::9/64"], "mac": "02:00:00:00:00:09"}, {"name": "a"}]"#;
    let manifest = texts(&[&definition("a", LAN), &pod("p", list)]).unwrap();
    assert_eq!(plugs(&manifest), ["p-ge0: p ge0 1 -> br0", "p-net2: p net2 2 -> br0"]);
    let interface = manifest.topology.attachments[0].interface.as_ref().unwrap();
    assert_eq!(interface.addresses, ["10.0.0.9/24", "fd00::9/64"]);
    assert_eq!(interface.mac, "02:00:00:00:00:09");
}

#[test]
fn what_the_annotation_gets_wrong_is_said_at_its_place() {
    let lan = definition("a", LAN);
    let found = |annotation: &str| errors(texts(&[&lan, &pod("p", annotation)]));
    assert_eq!(found("a,  nope"), ["2.yaml:7:11 pod `p` asks for `default/nope`, which no manifest defines"]);
    assert_eq!(found("a, a@"), ["2.yaml:7:10 `` of pod `p` is not a name of an interface"]);
    assert_eq!(found("a/b/c")[0], "2.yaml:7:7 `a/b/c` in the annotation of pod `p` is not a network");
    assert_eq!(
        found(r#"[{"name": "a", "interface": "sixteen-bytes-xx"}]"#)[0],
        "2.yaml:7:35 `sixteen-bytes-xx` of pod `p` is not a name of an interface"
    );
    assert_eq!(
        found(r#"[{"name": "a", "ips": ["10.9.0.1"]}]"#),
        ["2.yaml:7:30 no subnet of definition `a` holds `10.9.0.1`"]
    );
    assert_eq!(
        found(r#"[{"name": 5}, {"name": "a"}, {"name": "a", "interface": "net2"}]"#).last().unwrap(),
        "2.yaml:7:36 pod `p` gets two interfaces `net2`"
    );
    assert_eq!(found(r#"[{"namespace": "x"}]"#)[0], "2.yaml:7:8 a network of pod `p` has no `name`");
}

#[test]
fn what_the_annotation_asks_for_in_vain_is_warned_of() {
    let list = r#"[{"name": "a", "default-route": ["10.0.0.1"], "bandwidth": {}}]"#;
    let manifest = texts(&[&definition("a", LAN), &pod("p", list)]).unwrap();
    assert_eq!(messages(&manifest.warnings), ["2.yaml:7:22 `default-route` of pod `p` is not honoured"]);
}

#[test]
fn pods_without_networks_and_other_kinds_are_left_out() {
    let other = "kind: Pod\nmetadata: {name: q}\n---\nkind: Deployment\nmetadata: {name: d}\n";
    let manifest = texts(&[&definition("a", LAN), &pod("p", "a"), other]).unwrap();
    assert_eq!(plugs(&manifest), ["p-net1: p net1 1 -> br0"]);
    assert_eq!(messages(&manifest.warnings), ["3.yaml:4:7 objects of kind `Deployment` are ignored"]);
}

#[test]
fn pods_of_two_namespaces_never_share_a_topology() {
    let far = pod("q", "default/a").replace("metadata:\n", "metadata:\n  namespace: far\n");
    let found = errors(texts(&[&definition("a", LAN), &pod("p", "a"), &far]));
    assert_eq!(found, ["3.yaml:5:9 pod `q` is in namespace `far`, pod `p` in `default`"]);
    let manifest = texts(&[&definition("a", LAN), &far]).unwrap();
    assert_eq!(manifest.topology.namespace, "far", "a definition of another namespace is a definition only");
}

#[test]
fn networks_need_pods_and_a_name() {
    assert_eq!(errors(texts(&[&definition("a", LAN)])), ["1.yaml:7:5 no pod asks for a network"]);
    let options = podwire_cli::manifest::Options::default();
    let found = errors(crate::with(&[&definition("a", LAN), &pod("p", "a")], &options));
    assert_eq!(found, ["networks and pods make a topology without a name"]);
}

#[test]
fn a_list_of_objects_is_its_items() {
    let list = r#"{"kind": "List", "items": [
        {"kind": "NetworkAttachmentDefinition", "metadata": {"name": "a"}, "spec": {"config": "{\"type\": \"bridge\"}"}},
        {"kind": "Pod", "metadata": {"name": "p", "annotations": {"k8s.v1.cni.cncf.io/networks": "a"}}}]}"#;
    assert_eq!(plugs(&texts(&[list]).unwrap()), ["p-net1: p net1 1 -> cni0"]);
}
