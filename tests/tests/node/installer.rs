//! `podwire-cni install` and `uninstall`, as a DaemonSet runs them.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use podwire_tests::{
    condition::{eventually, holds},
    lab::Lab,
};
use serde_json::Value;

use crate::{inputs::said, private};

const LIST: &str =
    "{\n\t\"cniVersion\": \"0.3.1\",\n\t\"name\": \"cbr0\",\n\t\"plugins\": [\n\t\t{ \"type\": \"flannel\" }\n\t]\n}\n";

struct Node {
    lab: Lab,
    bin: PathBuf,
    conf: PathBuf,
}

impl Node {
    fn new(lab: &Lab) -> Self {
        let (bin, conf) = (lab.directory().join("bin"), lab.directory().join("net.d"));
        Self { lab: lab.clone(), bin, conf }
    }

    fn command(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new(self.lab.binary("podwire-cni"));
        command.arg(verb).arg("--cni-bin-dir").arg(&self.bin).arg("--cni-conf-dir").arg(&self.conf).args(more);
        command.stdin(Stdio::null()).env_remove("CNI_COMMAND");
        command
    }

    fn watch(&self) -> Child {
        let log = fs::File::create(self.lab.directory().join("installer.log")).unwrap();
        self.command("install", &["--watch", "--agent-away", "closed"]).stderr(log).spawn().unwrap()
    }

    fn run(&self, verb: &str) -> Output {
        self.command(verb, &[]).output().unwrap()
    }

    fn list(&self) -> PathBuf {
        self.conf.join("10-flannel.conflist")
    }
}

/// Asks it to end, and waits until it has.
async fn terminated(process: &mut Child) {
    kill(Pid::from_raw(i32::try_from(process.id()).unwrap()), Signal::SIGTERM).unwrap();
    let status = eventually("it ends", async || process.try_wait().unwrap().ok_or("it runs")).await;
    assert!(status.success(), "{status}");
}

/// Whether podwire's entry is the last one.
fn is_chained(list: &Path) -> Result<(), String> {
    let text = fs::read_to_string(list).map_err(|error| error.to_string())?;
    let list: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    let last = list["plugins"].as_array().and_then(|plugins| plugins.last()).cloned().unwrap_or_default();
    holds(last["type"] == "podwire-cni", text)
}

#[test]
fn the_entry_comes_back_whenever_the_list_is_written_anew() {
    private(async |lab| {
        let node = Node::new(lab);
        let mut installer = node.watch();
        let program = node.bin.join("podwire-cni");
        let ours = fs::read(lab.binary("podwire-cni")).unwrap();
        let is_there = async || holds(fs::read(&program).is_ok_and(|bytes| bytes == ours), "not there");
        eventually("the program is put in place", is_there).await;
        assert_eq!(fs::metadata(&program).unwrap().mode() & 0o7777, 0o755);
        let chained = async || is_chained(&node.list());
        for round in 0..5 {
            if round % 2 == 0 {
                fs::write(node.list(), LIST).unwrap();
            } else {
                // As most installers do it.
                let beside = node.conf.join("temporary");
                fs::write(&beside, LIST).unwrap();
                fs::rename(&beside, node.list()).unwrap();
            }
            eventually("it is chained", chained).await;
        }
        assert!(fs::read_to_string(node.list()).unwrap().contains(r#""agentAway":"closed""#));
        fs::remove_file(&program).unwrap();
        eventually("the program is put back", is_there).await;
        fs::remove_file(node.list()).unwrap();
        fs::write(node.conf.join("20-other.conflist"), LIST).unwrap();
        eventually("another list is taken", async || is_chained(&node.conf.join("20-other.conflist"))).await;
        terminated(&mut installer).await;
        is_chained(&node.conf.join("20-other.conflist")).expect("it stays");
        let output = node.run("uninstall");
        assert!(output.status.success(), "{}", said(&output));
        assert_eq!(fs::read_to_string(node.conf.join("20-other.conflist")).unwrap(), LIST);
        assert_eq!(fs::read_dir(&node.bin).unwrap().count(), 0);
        assert_eq!(fs::read_dir(&node.conf).unwrap().count(), 1, "nothing is left behind");
    });
}

#[test]
fn what_uninstalls_and_stays_is_done_before_it_ends() {
    private(async |lab| {
        let node = Node::new(lab);
        fs::create_dir_all(&node.conf).unwrap();
        fs::write(node.list(), LIST).unwrap();
        assert!(node.run("install").status.success());
        let mut staying = node.command("uninstall", &["--stay"]).spawn().unwrap();
        eventually("both are gone", async || {
            let list = fs::read_to_string(node.list()).unwrap();
            holds(list == LIST && !node.bin.join("podwire-cni").exists(), list)
        })
        .await;
        assert!(staying.try_wait().unwrap().is_none(), "it stays");
        terminated(&mut staying).await;
    });
}

#[test]
fn installing_twice_changes_nothing_and_uninstalling_twice_succeeds() {
    private(async |lab| {
        let node = Node::new(lab);
        fs::create_dir_all(&node.conf).unwrap();
        fs::write(node.conf.join("00-broken.conflist"), "{\"plugins\": ").unwrap();
        fs::write(node.list(), LIST).unwrap();
        let first = node.run("install");
        assert!(first.status.success(), "{}", said(&first));
        let identity = |path: &Path| fs::metadata(path).map(|found| (found.ino(), found.mtime_nsec())).unwrap();
        let before = (identity(&node.list()), identity(&node.bin.join("podwire-cni")));
        let second = node.run("install");
        assert!(second.status.success(), "{}", said(&second));
        assert_eq!((identity(&node.list()), identity(&node.bin.join("podwire-cni"))), before);
        for _ in 0..2 {
            let output = node.run("uninstall");
            assert!(output.status.success(), "{}", said(&output));
        }
        assert_eq!(fs::read_to_string(node.list()).unwrap(), LIST);
        assert_eq!(fs::read_to_string(node.conf.join("00-broken.conflist")).unwrap(), "{\"plugins\": ");
    });
}

/// Reads what a runtime would, as fast as it can, until it is told to stop: how often it saw something whole.
fn reads(node: &Node, stop: &AtomicBool) -> u32 {
    let ours = fs::read(node.lab.binary("podwire-cni")).unwrap();
    let mut seen = 0;
    while !stop.load(Ordering::SeqCst) {
        if let Ok(text) = fs::read_to_string(node.list()) {
            let list: Value =
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("half a list: {error}: {text}"));
            assert!(matches!(list["plugins"].as_array().unwrap().len(), 1 | 2), "{text}");
            seen += 1;
        }
        if let Ok(program) = fs::read(node.bin.join("podwire-cni")) {
            assert!(program == ours, "half a program: {} of {} bytes", program.len(), ours.len());
        }
    }
    seen
}

#[test]
fn nobody_ever_reads_half_of_what_it_writes() {
    private(async |lab| {
        let node = Node::new(lab);
        fs::create_dir_all(&node.conf).unwrap();
        let stop = AtomicBool::new(false);
        let seen = thread::scope(|scope| {
            let reader = scope.spawn(|| reads(&node, &stop));
            // The reader must end, whatever happens here.
            let rounds = catch_unwind(AssertUnwindSafe(|| {
                for _ in 0..10 {
                    let beside = node.conf.join("temporary");
                    fs::write(&beside, LIST).unwrap();
                    fs::rename(&beside, node.list()).unwrap();
                    for verb in ["install", "uninstall"] {
                        let output = node.run(verb);
                        assert!(output.status.success(), "{}", said(&output));
                    }
                }
            }));
            stop.store(true, Ordering::SeqCst);
            let seen = reader.join().expect("the reader");
            rounds.expect("the rounds");
            seen
        });
        assert!(seen > 5, "{seen}");
        assert_eq!(fs::read_to_string(node.list()).unwrap(), LIST);
    });
}
