use podwire_cli::manifest::Options;
use podwire_proto::v1;

use crate::{errors, texts, with};

const FULL: &str = "\
namespace: lessons
name: t
lease: 1800s
generation: 7
bridges:
- name: lan1
  mtu: 9000
  ipam:
    subnets:
    - cidr: 10.0.0.0/24
      gateway: 10.0.0.254
links:
- name: w1
  mode: LINK_MODE_DIRECT
  a: {pod: bb1, name: net2, order: 2}
  b: {pod: bb2, name: net2, addresses: [10.1.0.2/30]}
attachments:
- name: bb1-lan1
  interface: {pod: bb1, name: net1, mtu: 9000}
  up: TOGGLE_OFF
  bridge: lan1
  hairpin: TOGGLE_ON
";

#[test]
fn a_document_has_the_field_names_of_the_message() {
    let manifest = texts(&[FULL]).unwrap();
    let topology = &manifest.topology;
    assert_eq!((topology.namespace.as_str(), topology.generation), ("lessons", 7));
    assert_eq!(topology.lease.as_ref().unwrap().seconds, 1800);
    assert_eq!((topology.bridges[0].mtu, topology.links[0].mode()), (9000, v1::LinkMode::Direct));
    assert_eq!(topology.attachments[0].target, Some(v1::attachment::Target::Bridge("lan1".to_owned())));
    assert_eq!(topology.attachments[0].up(), v1::Toggle::Off);
}

#[test]
fn json_is_as_good_as_yaml() {
    let json = r#"{
	"name": "t", "generation": "18446744073709551615",
	"bridges": [{"name": "lan1", "hairpin": true}]
}"#;
    let manifest = texts(&[json]).unwrap();
    assert_eq!((manifest.topology.generation, manifest.topology.bridges[0].hairpin), (u64::MAX, true));
    assert_eq!(manifest.topology.namespace, "default");
}

#[test]
fn every_wrong_field_is_found_at_its_place() {
    let text = "name: t\nbridges:\n- name: lan1\n  mtuu: 1\n  mtu: big\n  hairpin: 1\nlink: []\nattachments:\n- name: a\n  bridge: lan1\n  device: {parent: eth0}\n  hairpin: on\n  interface: bb1\nlease: soon\nlinks: {}\n";
    assert_eq!(
        errors(texts(&[text])),
        [
            "1.yaml:4:3 unknown field `mtuu` of `bridges`",
            "1.yaml:5:8 `mtu` is `big`, not a number from 0 to 4294967295",
            "1.yaml:6:12 `hairpin` is `1`, not `true` or `false`",
            "1.yaml:7:1 unknown field `link` of the topology",
            "1.yaml:11:3 `bridge` and `device` exclude each other in `attachments`",
            "1.yaml:12:12 `hairpin` is `on`, not one of its choices",
            "1.yaml:13:14 `interface` is a text, not a mapping",
            "1.yaml:14:8 `soon` is not a duration such as `1800s`",
            "1.yaml:15:8 `links` is a mapping, not a list",
        ]
    );
}

#[test]
fn the_nearest_field_is_offered() {
    let invalid = texts(&["name: t\nattachment: []\nbridges: [{name: a, ipAM: {}}]\n"]).unwrap_err();
    let hints: Vec<_> = invalid.problems.iter().map(|problem| problem.hint.clone().unwrap()).collect();
    assert_eq!(hints, ["did you mean `attachments`?", "did you mean `ipam`?"]);
}

#[test]
fn the_command_line_names_but_does_not_contradict() {
    assert_eq!(texts(&["bridges: []\n"]).unwrap().topology.name, "t");
    assert_eq!(
        errors(texts(&["name: other\nbridges: []\n"])),
        ["1.yaml:1:7 `name` is `other`, but `--topology` is `t`"]
    );
    let options = Options { namespace: Some("a".to_owned()), ..Options::default() };
    assert_eq!(
        errors(with(&["name: t\nnamespace: b\n"], &options)),
        ["1.yaml:2:12 `namespace` is `b`, but `--namespace` is `a`"]
    );
    assert_eq!(errors(with(&["bridges: []\n"], &Options::default())), ["1.yaml:1:1 the topology has no `name`"]);
}

#[test]
fn an_impairment_has_times_and_numbers_with_fractions() {
    let text = FULL.replace(
        "  mode: LINK_MODE_DIRECT\n",
        "  a_to_b: {delay: 1.5ms, jitter: 250us, loss: 0.5, rate: {bits_per_second: 1000}}\n",
    );
    let manifest = texts(&[&text]).unwrap();
    let there = manifest.topology.links[0].a_to_b.unwrap();
    assert_eq!(there.delay.unwrap().nanos, 1_500_000);
    assert_eq!(there.jitter.unwrap().nanos, 250_000);
    assert_eq!(there.loss_model, Some(v1::impairment::LossModel::Loss(0.5)));
    assert_eq!(there.rate.unwrap().bits_per_second, 1000);
    let both = text.replace("loss: 0.5", "loss: 0.5, gilbert_elliott: {p: 1}");
    assert!(errors(texts(&[&both])).join(" ").contains("exclude each other"));
    let word = text.replace("loss: 0.5", "loss: much");
    assert!(errors(texts(&[&word])).join(" ").contains("`much`, not a number"));
}
