//! `podwire capture` as a person types it.

use std::{
    fs::{self, File},
    io::Read,
    process::{Child, Command, Stdio},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use podwire_proto::v1::LinkMode;
use podwire_tests::{
    condition::{eventually, holds},
    film::{program, tshark},
    lab::Lab,
};

use crate::{
    capture::{lan, quiet, wire, with_readers},
    inputs::said,
};

fn podwire(lab: &Lab, args: &[&str]) -> Command {
    let mut command = Command::new(lab.binary("podwire"));
    command.args(args).env_remove("PODWIRE_AGENT").stdin(Stdio::null());
    command
}

/// Waits until a file has this many bytes.
async fn grows(path: &std::path::Path, bytes: u64) {
    eventually("the file grows", async || {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        holds(length >= bytes, length)
    })
    .await;
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
}

#[test]
fn a_file_is_complete_after_ctrl_c() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        let path = lab.directory().join("shot.pcapng");
        let args = ["capture", "a", "net1", "-n", "lessons", "-w", path.to_str().unwrap()];
        let child = podwire(lab, &args).stderr(Stdio::piped()).spawn().unwrap();
        grows(&path, 1).await;
        let header = fs::metadata(&path).unwrap().len();
        at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
        at_b.send(at_a.mac(), b"\x88\xb7").unwrap();
        // Two blocks of a frame of 60 bytes.
        grows(&path, header + 2 * 104).await;
        interrupt(&child);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains("2 frames captured, 0 dropped"), "{}", said(&output));
        let seen = tshark(lab, &fs::read(&path).unwrap(), &["eth.type"]).unwrap();
        assert_eq!(seen, [["0x88b6"], ["0x88b7"]]);
    });
}

#[test]
fn tshark_reads_it_from_a_pipe_while_it_runs() {
    with_readers(async |lab| {
        let [a, b] = quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let mut capture = podwire(lab, &["capture", "--link", "w1", "-n", "lessons", "-t", "12"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let path = lab.directory().join("printed");
        let mut tshark = Command::new(program("tshark").unwrap())
            .args(["-l", "-n", "-c", "20", "-r", "-", "-T", "fields", "-e", "frame.interface_name", "-e", "eth.type"])
            .stdin(capture.stdout.take().unwrap())
            .stdout(File::create(&path).unwrap())
            .stderr(Stdio::null())
            .env("HOME", "/run/lab")
            .spawn()
            .unwrap();
        let (at_a, at_b) = (a.tap("net1"), b.tap("net1"));
        // It reads from the beginning, but frames are seen from the moment that the capture stands.
        eventually("tshark prints both directions", async || {
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
            at_b.send(at_a.mac(), b"\x88\xb6").unwrap();
            let printed = fs::read_to_string(&path).unwrap();
            holds(printed.contains("a/net1\t0x88b6") && printed.contains("b/net1\t0x88b6"), printed)
        })
        .await;
        eventually("tshark has enough", async || {
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
            holds(tshark.try_wait().unwrap().is_some(), "it runs")
        })
        .await;
        // Its pipe is broken now; it notices with the next frame, and says nothing of it.
        eventually("the command ends", async || {
            at_a.send(at_b.mac(), b"\x88\xb6").unwrap();
            holds(capture.try_wait().unwrap().is_some(), "it runs")
        })
        .await;
        let output = capture.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", said(&output));
    });
}

#[test]
fn a_filter_is_compiled_by_tcpdump() {
    with_readers(async |lab| {
        let [a, b, _] = quiet(lab, ["a", "b", "c"]);
        let agent = lab.agent().start().await;
        agent.apply(lan()).await.unwrap();
        let (at_a, to) = (a.tap("net1"), b.tap("net1").mac());
        let args = [
            "capture",
            "--bridge",
            "lan",
            "-n",
            "lessons",
            "-t",
            "12",
            "-c",
            "1",
            "--snaplen",
            "50",
            "ether",
            "proto",
            "0x88b7",
        ];
        let mut child = podwire(lab, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut file = Vec::new();
            out.read_to_end(&mut file).map(|_| file)
        });
        eventually("the one frame", async || {
            at_a.send(to, b"\x88\xb6").unwrap();
            at_a.send(to, b"\x88\xb7").unwrap();
            holds(child.try_wait().unwrap().is_some(), "it runs")
        })
        .await;
        let file = reader.join().unwrap().unwrap();
        let seen = tshark(lab, &file, &["frame.interface_name", "eth.type", "frame.cap_len"]).unwrap();
        assert_eq!(seen, [["a/net1", "0x88b7", "50"]]);
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && said(&output).contains("1 frame captured"), "{}", said(&output));
    });
}

#[test]
fn what_cannot_be_captured_is_said_with_the_place() {
    with_readers(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Stitched)).await.unwrap();
        let path = lab.directory().join("kept");
        fs::write(&path, "kept").unwrap();
        let kept = path.to_str().unwrap();
        for (args, code, words) in [
            (vec!["a", "net1", "tcp and prot 80"], 2, vec!["tcpdump", "error", "tcp and prot 80\n", "     ^"]),
            (vec!["a", "net1", "-n", "lessons", "nonsense"], 2, vec!["tcpdump", "not even its first word"]),
            (vec!["a", "net1", "-n", "lessons", "--", "-w", "/tmp/x"], 2, vec!["tcpdump"]),
            (vec!["a"], 2, vec!["POD and INTERFACE"]),
            (vec!["a", "net1"], 1, vec!["there is no"]),
            (vec!["a", "net9", "-n", "lessons", "-w", kept], 1, vec!["net9"]),
            (vec!["--link", "w1", "--bridge", "x"], 2, vec!["cannot be used with"]),
            (vec!["a", "net1", "-c", "0"], 2, vec!["0 is not in 1"]),
        ] {
            let output = lab.podwire(&[&["capture"], &args[..]].concat());
            let said = said(&output);
            println!("{said}");
            assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
            assert!(words.iter().all(|words| said.contains(words)), "{args:?}: {words:?}: {said}");
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "kept", "a file that is there stays where nothing is captured");
        // Where there is no tcpdump it says so: an empty mount hides it.
        let hidden = lab.directory().join("empty");
        fs::write(&hidden, "").unwrap();
        let tcpdump = program("tcpdump").unwrap();
        lab.run(&format!("mount --bind /dev/null {}", tcpdump.display()));
        let output = lab.podwire(&["capture", "a", "net1", "-n", "lessons", "arp"]);
        assert!(output.status.code() == Some(2) && said(&output).contains("apt install tcpdump"), "{}", said(&output));
    });
}

#[test]
fn a_duration_ends_it_and_a_thing_that_goes_is_told() {
    with_readers(async |lab| {
        quiet(lab, ["a", "b"]);
        let agent = lab.agent().start().await;
        agent.apply(wire(LinkMode::Direct)).await.unwrap();
        let output = lab.podwire(&["capture", "a", "net1", "-n", "lessons", "--duration", "200ms"]);
        assert!(output.status.success() && said(&output).contains("0 frames captured"), "{}", said(&output));
        let path = lab.directory().join("shot.pcapng");
        let args = ["capture", "a", "net1", "-n", "lessons", "-w", path.to_str().unwrap()];
        let child = podwire(lab, &args).stderr(Stdio::piped()).spawn().unwrap();
        grows(&path, 1).await;
        lab.ip("netns del a");
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains("the sandbox of a/net1 ended"), "{}", said(&output));
    });
}
