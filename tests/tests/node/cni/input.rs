//! What a runtime never says, and somebody does: the program itself is run, by its standard input and environment.

use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use podwire_tests::lab::Lab;
use serde_json::{Value, json};

use crate::private;

use super::{Sandbox, call, config, pair, running};

const COMMANDS: [&str; 6] = ["ADD", "DEL", "CHECK", "GC", "STATUS", "VERSION"];

/// Runs the plugin with these bytes: the code of its error, 0 if it succeeds.
fn code(lab: &Lab, command: &str, sandbox: &Sandbox, input: &[u8]) -> u64 {
    let mut process = Command::new(lab.binary("podwire-cni"));
    process.env_clear().env("CNI_COMMAND", command).env("CNI_PATH", "/usr/lib/cni").env("CNI_IFNAME", "eth0");
    process.env("CNI_CONTAINERID", &sandbox.id).env("CNI_NETNS", &sandbox.netns).env("CNI_ARGS", &sandbox.args);
    process.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = process.spawn().unwrap();
    // One that has read enough closes the pipe.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let notes = String::from_utf8_lossy(&output.stderr);
    assert!(!notes.contains("panicked"), "{notes}");
    // Less than it would wait for an agent.
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let code = said["code"].as_u64().unwrap_or_default();
    assert_eq!(output.status.success(), code == 0, "{command}: {} {said} {notes}", output.status);
    if code != 0 {
        assert!(said["msg"].is_string() && said["cniVersion"].is_string(), "as the specification has it: {said}");
    }
    code
}

#[test]
fn garbage_on_standard_input_is_refused_with_the_code_of_the_specification() {
    private(async |lab| {
        let pod = lab.pod("sandbox-a");
        let agent = running(lab).await;
        agent.apply(pair()).await.unwrap();
        let sandbox = Sandbox::new("1", "a", &pod);
        let deep = "[".repeat(200_000);
        let long = format!("{{\"cniVersion\": \"1.0.0\", \"x\": \"{}\"", "y".repeat(20 << 20));
        for (input, expected) in [
            (&b""[..], 6),
            (b"garbage", 6),
            (b"\xff\xfe\x00", 6),
            (b"{\"cniVersion\": \"1.0.0\"", 6),
            (deep.as_bytes(), 6),
            (long.as_bytes(), 6),
            (b"[]", 7),
            (b"null", 7),
            (b"{}", 1),
            (b"{\"cniVersion\": \"0.2.0\"}", 1),
            (b"{\"cniVersion\": \"9.9.9\"}", 1),
            (b"{\"cniVersion\": \"1.0.0\", \"timeout\": \"for ever\"}", 7),
            (b"{\"cniVersion\": \"1.0.0\", \"agentAway\": true}", 7),
            (b"{\"cniVersion\": \"1.0.0\", \"prevResult\": []}", 7),
        ] {
            for command in COMMANDS {
                let shown = String::from_utf8_lossy(&input[..input.len().min(60)]);
                // A runtime asks for the versions with whatever it has, and a pod that goes is not held up by a mistake that
                // somebody made since it came.
                let expected = match command {
                    "VERSION" => 0,
                    "DEL" if input.starts_with(b"{\"cniVersion\": \"1.0.0\", ") && expected == 7 => 0,
                    _ => expected,
                };
                assert_eq!(code(lab, command, &sandbox, input), expected, "{command}: {shown}");
            }
        }
        assert_eq!(code(lab, "PLUG", &sandbox, config("1.0.0").to_string().as_bytes()), 4);
        assert!(pod.interfaces().is_empty(), "nothing was plugged for it: {:?}", pod.interfaces());
        call(lab, "ADD", Some(&sandbox), &config("1.0.0")).ok();
        assert_eq!(pod.interfaces(), ["net1"], "and nothing broke");
    });
}

#[test]
fn every_version_is_spoken_and_named() {
    private(async |lab| {
        for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
            let said = call(lab, "VERSION", None, &json!({"cniVersion": version})).ok();
            assert_eq!(said["cniVersion"], version);
            assert!(said["supportedVersions"].as_array().unwrap().contains(&version.into()), "{said}");
        }
    });
}
