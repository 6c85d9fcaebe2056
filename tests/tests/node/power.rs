//! What a running agent holds: capabilities, a filter of system calls, files. And that this is what the documentation says.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use podwire_client::CaptureRequest;
use podwire_proto::v1::{LinkMode, State};
use podwire_tests::{
    capabilities::{self, documented, mask_of},
    condition::{eventually, holds},
    elements::state,
    lab::{
        Lab,
        agent::{Agent, SECCOMP},
    },
};

use crate::{
    capture::{quiet, wire},
    private, private_without_root,
};

/// `SECCOMP_MODE_FILTER` of linux/seccomp.h, as proc_pid_status(5) shows it.
const FILTERED: u64 = 2;

fn pid(agent: &Agent) -> u64 {
    agent.pid().as_raw().try_into().unwrap()
}

/// What the agent opened for writing, by path; sockets and the like have none.
fn writable(agent: &Agent) -> BTreeSet<PathBuf> {
    let process = format!("/proc/{}", agent.pid());
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("{process}/fd")).unwrap().flatten() {
        // One that was closed meanwhile.
        let Ok(path) = fs::read_link(entry.path()) else { continue };
        let info = fs::read_to_string(format!("{process}/fdinfo/{}", entry.file_name().display())).unwrap_or_default();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).map(str::trim);
        let flags = flags.and_then(|text| i64::from_str_radix(text, 8).ok()).unwrap_or_default();
        // O_WRONLY and O_RDWR.
        if path.is_absolute() && flags & 0o3 != 0 {
            found.insert(path);
        }
    }
    found
}

/// Kinds of what it has open that has no path: `socket`, `anon_inode`, `pipe`, `net`.
fn kinds(agent: &Agent) -> BTreeSet<String> {
    let targets = fs::read_dir(format!("/proc/{}/fd", agent.pid())).unwrap().flatten();
    let targets = targets.filter_map(|entry| fs::read_link(entry.path()).ok()).filter(|path| !path.is_absolute());
    targets.map(|path| path.display().to_string().split(":[").next().unwrap().to_owned()).collect()
}

/// Memory that is code and can be written.
fn writable_code(agent: &Agent) -> Vec<String> {
    let maps = fs::read_to_string(format!("/proc/{}/maps", agent.pid())).unwrap();
    let both = |line: &&str| line.split(' ').nth(1).is_some_and(|flags| flags.contains('w') && flags.contains('x'));
    maps.lines().filter(both).map(str::to_owned).collect()
}

/// All that it holds is what the documentation says.
fn assert_least(lab: &Lab, agent: &Agent) {
    capabilities::assert_holds_only(pid(agent), mask_of(&documented()));
    for thread in capabilities::threads(pid(agent)) {
        assert_eq!(thread["Seccomp"], FILTERED, "{thread:?}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", agent.pid())).unwrap();
    assert!(status.lines().any(|line| line == "Umask:\t0022"), "{status}");
    let expected = BTreeSet::from([
        lab.directory().join("state/intents.redb"),
        "/run/podwire/agent.sock.lock".into(),
        lab.directory().join("audit.log"),
        // Given by whoever started it.
        "/dev/null".into(),
        agent.log_path().into(),
    ]);
    assert_eq!(writable(agent), expected);
    // `anon_inode` are those of epoll and eventfd; `net`: namespaces, for as long as they are worked in.
    let known = ["socket", "anon_inode", "anon_inode:inotify", "pipe", "net"];
    let kinds = kinds(agent);
    assert!(kinds.iter().all(|kind| known.contains(&kind.as_str())), "{kinds:?}");
    assert_eq!(writable_code(agent), [""; 0]);
}

/// A bit of everything: a wire, a capture of it, a trial of it, a named namespace, a repair.
async fn work(lab: &Lab, agent: &Agent) {
    let client = agent.client().await;
    client.create_netns("made").await.unwrap();
    let made = agent.apply(wire(LinkMode::Stitched)).await.unwrap();
    assert_eq!(state(&made), State::Ready, "{made:?}");
    let mut film = client.capture(CaptureRequest::link("lessons", "12", "w1")).await.unwrap();
    film.next().await.unwrap().unwrap();
    let tried = client.verify_link("lessons", "12", "w1").await.unwrap();
    assert!(tried.a_to_b.unwrap().passes);
    assert_least(lab, agent);
    drop(film);
    lab.ip("-n b link del net1");
    eventually("it heals", async || holds(lab.link_names("b") == ["net1"], "not yet")).await;
    client.delete_topology("lessons", "12").await.unwrap();
    client.delete_netns("made").await.unwrap();
}

async fn holds_least(lab: &Lab) {
    quiet(lab, ["a", "b"]);
    let audit = lab.directory().join("audit.log").display().to_string();
    // Whoever starts it may let everybody write to everything.
    let open = ["sh", "-c", r#"umask 0; exec "$@""#, "sh"];
    let agent = lab.agent().within(open).arg("--allow-netns").arg("--audit-log").arg(audit).start().await;
    assert_least(lab, &agent);
    work(lab, &agent).await;
    assert_least(lab, &agent);
    let log = agent.log();
    assert!(!log.contains("Operation not permitted"), "{log}");
}

#[test]
fn a_running_agent_holds_what_the_documentation_says_and_no_more() {
    private(holds_least);
}

#[test]
fn so_it_does_without_root() {
    private_without_root(holds_least);
}

#[test]
fn each_mode_of_the_filter_is_what_the_kernel_shows_and_the_agent_works_in_it() {
    private(async |lab| {
        quiet(lab, ["a", "b"]);
        // When it is enforced there is a second filter, for clone3.
        for (mode, seccomp, filters) in [("off", 0, 0), ("log", FILTERED, 1), ("enforce", FILTERED, 2)] {
            let own = capabilities::threads(std::process::id().into());
            let (before, around) = (own[0]["Seccomp"], own[0]["Seccomp_filters"]);
            let mut agent = lab.agent().env(SECCOMP, mode).start().await;
            for thread in capabilities::threads(pid(&agent)) {
                let found = (thread["Seccomp"], thread["Seccomp_filters"]);
                assert_eq!(found, (seccomp.max(before), filters + around), "{mode}: {thread:?}");
            }
            let made = agent.apply(wire(LinkMode::Direct)).await.unwrap();
            assert_eq!(state(&made), State::Ready, "{mode}: {made:?}");
            agent.delete("12").await.unwrap();
            assert!(agent.terminate().await.success(), "{}", agent.log());
        }
    });
}

#[test]
fn nothing_that_it_makes_can_be_written_by_others() {
    private(async |lab| {
        let open = ["sh", "-c", r#"umask 0; exec "$@""#, "sh"];
        let socket = lab.agent().within(open).listen("unix:///run/new/place/agent.sock");
        let _agent =
            socket.with("--state-dir", "/run/other/state").with("--netns-dir", "/run/other/netns").start().await;
        let mut found = BTreeMap::new();
        for top in ["/run/new", "/run/other"] {
            gather(top.into(), &mut found);
        }
        assert!(found.len() > 6, "{found:?}");
        let wrong: Vec<_> = found.iter().filter(|(_, mode)| **mode & 0o022 != 0).collect();
        assert!(wrong.is_empty(), "{wrong:?}");
    });
}

/// Modes of all that is below a folder, and of the folder.
fn gather(path: PathBuf, found: &mut BTreeMap<PathBuf, u32>) {
    use std::os::unix::fs::PermissionsExt;

    let here = fs::symlink_metadata(&path).unwrap();
    if here.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            gather(entry.unwrap().path(), found);
        }
    }
    found.insert(path, here.permissions().mode());
}
