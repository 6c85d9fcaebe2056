//! The defaults and the rights are those of `deploy/`.

use podwire_client::{AGENT_NAMESPACE, AGENT_SELECTOR};

const DAEMONSET: &str = include_str!("../../../deploy/kustomize/base/daemonset.yaml");
const RIGHTS: &str = include_str!("../../../deploy/kustomize/components/scheduler/rights.yaml");

#[test]
fn the_defaults_find_the_agents_of_the_manifests() {
    assert!(DAEMONSET.contains(&format!("  namespace: {AGENT_NAMESPACE}\n")));
    let (key, value) = AGENT_SELECTOR.split_once('=').unwrap();
    let template = DAEMONSET.split_once("\n  template:\n").unwrap().1;
    assert!(template.contains(&format!("        {key}: {value}\n")));
}

#[test]
fn a_scheduler_is_given_what_is_asked_for_and_no_more() {
    let verbs: Vec<&str> = RIGHTS.lines().filter_map(|line| line.trim().strip_prefix("verbs: ")).collect();
    assert_eq!(verbs, ["[list]", "[get]"]);
    assert_eq!(RIGHTS.matches("resources: [pods]").count(), 2);
}
