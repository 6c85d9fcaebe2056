//! The manifests that were published, and where they are.

use std::process::Output;

use podwire_tests::lab::{Lab, agent::Agent};

/// Path of a published manifest.
pub(crate) fn input(name: &str) -> String {
    format!("{}/tests/inputs/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// `podwire apply` of published manifests.
pub(crate) fn apply(lab: &Lab, agent: &Agent, topology: &str, names: &[&str]) -> Output {
    let paths: Vec<String> = names.iter().map(|name| input(name)).collect();
    let mut args = vec!["--agent", agent.address(), "apply", "--yes"];
    if !topology.is_empty() {
        args.extend(["--topology", topology]);
    }
    for path in &paths {
        args.extend(["-f", path]);
    }
    lab.podwire(&args)
}

/// Both outputs of a command.
pub(crate) fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
