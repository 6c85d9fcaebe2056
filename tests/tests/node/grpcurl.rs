//! The agent as a stranger meets it: by the real `grpcurl` and reflection alone.

use std::{
    env,
    path::PathBuf,
    process::{Command, Output},
};

use podwire_tests::{lab::Lab, private::skip};
use serde_json::Value;

use crate::{inputs::said, private};

/// Where `go install` puts it, or where the system has it.
fn grpcurl() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(env::var_os("GOBIN").map(PathBuf::from));
    folders.extend(env::var_os("HOME").map(|home| PathBuf::from(home).join("go/bin")));
    folders.into_iter().map(|folder| folder.join("grpcurl")).find(|program| program.is_file())
}

/// Runs a test with `grpcurl`, or says that it is missing.
fn with_grpcurl(test: impl AsyncFnOnce(&Lab, &dyn Fn(&[&str]) -> Output)) {
    let Some(program) = grpcurl() else {
        skip("no `grpcurl`: go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3");
        return;
    };
    private(async |lab| {
        let _agent = lab.agent().start().await;
        let call = |args: &[&str]| {
            let mut command = Command::new(&program);
            command.arg("-plaintext").args(args);
            command.output().expect("run grpcurl")
        };
        test(lab, &call).await;
    });
}

const SOCKET: &str = "unix:///run/podwire/agent.sock";

fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn grpcurl_lists_the_services() {
    with_grpcurl(async |_, call| {
        let listed = ok(&call(&[SOCKET, "list"]));
        for service in [
            "podwire.v1.TopologyService",
            "podwire.v1.BridgeService",
            "podwire.v1.LinkService",
            "podwire.v1.AttachmentService",
            "podwire.v1.NodeService",
            "podwire.v1.NetnsService",
            "podwire.v1.CaptureService",
            "podwire.v1.SandboxService",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
        ] {
            assert!(listed.lines().any(|line| line == service), "{service}:\n{listed}");
        }
    });
}

#[test]
fn grpcurl_describes_fields_with_their_comments() {
    with_grpcurl(async |_, call| {
        let described = ok(&call(&[SOCKET, "describe", "podwire.v1.Bridge"]));
        assert!(described.contains("// MTU in bytes, 68 to 65535."), "{described}");
        let described = ok(&call(&[SOCKET, "describe", "podwire.v1.BridgeService.CreateBridge"]));
        assert!(described.contains("Repeats are free"), "{described}");
    });
}

#[test]
fn grpcurl_creates_a_bridge_from_json_and_plugs_a_pod() {
    with_grpcurl(async |lab, call| {
        let a = lab.pod("a");
        let bridge = r#"{"bridge": {"name": "lan1", "mtu": 1400, "ipam": {"subnets": [{"cidr": "10.0.0.0/24"}]}}}"#;
        let made = ok(&call(&["-d", bridge, SOCKET, "podwire.v1.BridgeService/CreateBridge"]));
        let made: Value = serde_json::from_str(&made).expect("JSON");
        assert_eq!((&made["bridge"]["name"], &made["bridge"]["mtu"]), (&"lan1".into(), &1400.into()));
        let attachment = r#"{"attachment": {"name": "a-lan1", "bridge": "lan1", "interface": {"pod": "a"}}}"#;
        let made = ok(&call(&["-d", attachment, SOCKET, "podwire.v1.AttachmentService/Attach"]));
        let made: Value = serde_json::from_str(&made).expect("JSON");
        assert_eq!(made["attachment"]["interface"]["status"]["state"], "STATE_READY", "{made}");
        assert_eq!((a.addresses("net1"), a.link("net1")["mtu"].as_u64()), (vec!["10.0.0.2/24".to_owned()], Some(1400)));
        let topologies = ok(&call(&[SOCKET, "podwire.v1.TopologyService/ListTopologies"]));
        assert!(topologies.contains("OWNER_CALLS"), "{topologies}");
    });
}

#[test]
fn grpcurl_shows_a_rich_error() {
    with_grpcurl(async |lab, call| {
        let before = lab.snapshot();
        let bridge = r#"{"bridge": {"name": "br%d", "mtu": 1}}"#;
        let output = call(&["-d", bridge, SOCKET, "podwire.v1.BridgeService/CreateBridge"]);
        let said = said(&output);
        assert!(!output.status.success());
        for word in ["InvalidArgument", "google.rpc.BadRequest", "fieldViolations", "bridge.name", "bridge.mtu"] {
            assert!(said.contains(word), "{word}:\n{said}");
        }
        before.assert_same(&lab.snapshot());
    });
}

#[test]
fn grpcurl_asks_for_health() {
    with_grpcurl(async |_, call| {
        let whole = ok(&call(&[SOCKET, "grpc.health.v1.Health/Check"]));
        assert!(whole.contains("SERVING"), "{whole}");
        let one = r#"{"service": "podwire.v1.TopologyService"}"#;
        let one = ok(&call(&["-d", one, SOCKET, "grpc.health.v1.Health/Check"]));
        assert!(one.contains("\"SERVING\""), "{one}");
    });
}
