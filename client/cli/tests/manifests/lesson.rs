use podwire_cli::manifest::Options;

use crate::{errors, texts, with};

const TWO: &str = "slug: two\nendpoints: [{name: a}, {name: b}]\nconnections:\n- {a: a, b: b}\n- {a: a, b: b}\n";

#[test]
fn repeated_connections_get_names_of_their_own() {
    let manifest = texts(&[TWO]).unwrap();
    let names: Vec<_> = manifest.topology.links.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(names, ["a-b", "a-b-2"]);
    assert_eq!(manifest.topology.name, "t", "--topology goes before the slug");
}

#[test]
fn the_namespace_comes_from_the_command_line() {
    let options = Options { namespace: Some("lessons".to_owned()), ..Options::default() };
    let manifest = with(&[TWO], &options).unwrap();
    assert_eq!((manifest.topology.namespace.as_str(), manifest.topology.name.as_str()), ("lessons", "two"));
}

#[test]
fn what_a_connection_gets_wrong_is_said_at_its_place() {
    let text = "slug: two\nendpoints:\n- name: a\n- name: b\n- image: x\nconnections:\n- a: a\n  b: c\n- a: b\n  b: b\n- a: a\n- a: a\n  b: b\n  subnet: 10.0.0.1/24\n";
    assert_eq!(
        errors(texts(&[text])),
        [
            "1.yaml:5:3 an endpoint without `name`",
            "1.yaml:8:6 no endpoint `c`",
            "1.yaml:9:3 endpoint `b` is connected to itself",
            "1.yaml:11:3 a connection without `b`",
            "1.yaml:14:11 subnet `10.0.0.1/24` has host bits",
        ]
    );
}

#[test]
fn a_slug_that_is_no_name_needs_one() {
    let options = Options::default();
    let found = errors(with(&["slug: Two Devices\nendpoints: []\n"], &options));
    assert_eq!(found, ["1.yaml:1:7 slug `Two Devices` is not a name of a topology: 1 to 63 of a-z, 0-9 and `-`"]);
    assert_eq!(errors(with(&["endpoints: []\n"], &options)), ["1.yaml:1:1 the lesson has no `slug`"]);
}

#[test]
fn a_lesson_stands_alone() {
    let found = errors(texts(&[TWO, "name: t\nbridges: []\n"]));
    assert_eq!(found, ["1.yaml:1:1 a topology document and a lesson each stand alone"]);
}
