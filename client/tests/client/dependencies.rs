//! What the crate must not pull in.

use std::process::Command;

#[test]
fn the_client_stays_thin() {
    let tree = tree(&["-p", "podwire-client", "-e", "normal"]);
    let names: Vec<_> = names(&tree).collect();
    assert!(names.contains(&"podwire-proto"), "{tree}");
    for heavy in [
        "rtnetlink",
        "nix",
        "netns-rs",
        "podwire-agent",
        "netlink-sys",
        "clap",
        "kube",
        "k8s-openapi",
        "rustls",
        "ring",
    ] {
        assert!(!names.contains(&heavy), "{heavy} is in\n{tree}");
    }
}

#[test]
fn only_the_feature_brings_the_kubernetes_api() {
    let workspace = tree(&["--workspace", "-e", "normal,build,dev"]);
    for heavy in ["kube", "kube-client", "k8s-openapi"] {
        assert!(!names(&workspace).any(|name| name == heavy), "{heavy} is in\n{workspace}");
    }
    let with = tree(&["-p", "podwire-client", "--features", "kube", "-e", "normal"]);
    for wanted in ["kube", "k8s-openapi", "ring"] {
        assert!(names(&with).any(|name| name == wanted), "{wanted} is not in\n{with}");
    }
}

#[test]
fn tls_is_rustls_with_ring_and_nothing_else() {
    let with = tree(&["-p", "podwire-client", "--features", "tls", "-e", "normal"]);
    for wanted in ["rustls", "ring"] {
        assert!(names(&with).any(|name| name == wanted), "{wanted} is not in\n{with}");
    }
    let workspace = tree(&["--workspace", "-e", "normal,build,dev"]);
    for other in ["aws-lc-rs", "aws-lc-sys", "openssl", "native-tls"] {
        assert!(!names(&workspace).any(|name| name == other), "{other} is in\n{workspace}");
    }
}

fn names(tree: &str) -> impl Iterator<Item = &str> {
    tree.lines().filter_map(|line| line.split(' ').next())
}

fn tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--prefix", "none"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
