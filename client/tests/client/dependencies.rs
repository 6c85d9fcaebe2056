//! What the crate must not pull in.

use std::process::Command;

#[test]
fn the_client_stays_thin() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-p", "podwire-client", "-e", "normal", "--prefix", "none"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"podwire-proto"), "{tree}");
    for heavy in ["rtnetlink", "nix", "netns-rs", "podwire-agent", "netlink-sys", "clap"] {
        assert!(!names.contains(&heavy), "{heavy} is in\n{tree}");
    }
}
