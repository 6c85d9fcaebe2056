//! The agent keeps the capabilities of its table, and no others; without one of them it says which.

use std::process::Stdio;

use podwire_agent::power::POWERS;
use podwire_proto::v1::State;
use podwire_tests::{
    capabilities::{self, always, mask, names},
    condition::{eventually, holds},
    elements::{lan, nic, nic_of_netns, plug, state, topology},
    lab::{Lab, agent::Agent},
};

use crate::{must_stop, private, private_without_root};

/// A program that execs another one with nothing but these capabilities.
fn only(names: &[&str]) -> Vec<String> {
    let short = |name: &&str| format!(",+{}", name.trim_start_matches("CAP_").to_lowercase());
    let bounding = format!("--bounding-set=-all{}", names.iter().map(short).collect::<String>());
    ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", &bounding].map(str::to_owned).to_vec()
}

fn assert_holds_only(agent: &Agent, mask: u64) {
    capabilities::assert_holds_only(pid(agent), mask);
}

fn pid(agent: &Agent) -> u64 {
    agent.pid().as_raw().try_into().unwrap()
}

/// A wire, which takes namespaces, mounts, netlink and an ear; and something to hear.
async fn wires(lab: &Lab, agent: &Agent) {
    let [a, b] = lab.pods(["a", "b"]);
    let mut wanted = topology("12");
    wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
    wanted.attachments = vec![plug("pa", nic("a", "net1"), "lan"), plug("pb", nic("b", "net1"), "lan")];
    assert_eq!(state(&agent.apply(wanted).await.unwrap()), State::Ready);
    a.ping(b.address("net1"));
    b.ip("link del net1");
    eventually("it heals", async || holds(lab.link_names("b") == ["net1"], "not yet")).await;
}

#[test]
fn no_thread_of_a_running_agent_has_a_capability_outside_of_its_table() {
    private(async |lab| {
        let agent = lab.agent().start().await;
        wires(lab, &agent).await;
        assert_holds_only(&agent, mask(always()));
    });
}

#[test]
fn without_root_it_drops_those_of_its_user_namespace() {
    private_without_root(async |lab| {
        let agent = lab.agent().start().await;
        wires(lab, &agent).await;
        assert_holds_only(&agent, mask(always()));
    });
}

#[test]
fn exactly_the_capabilities_of_its_table_are_enough() {
    private(async |lab| {
        let agent = lab.agent().within(only(&names())).start().await;
        wires(lab, &agent).await;
        assert_holds_only(&agent, mask(always()));
        assert!(!agent.log().contains("bounding set"), "{}", agent.log());
    });
}

#[test]
fn without_any_one_of_them_it_says_which_and_does_not_run() {
    private(async |lab| {
        for missing in always() {
            let rest: Vec<&str> = names().into_iter().filter(|name| *name != missing.name).collect();
            let agent = lab.agent().within(only(&rest)).spawn();
            let log = must_stop(agent, &[&format!("{} is missing", missing.name), missing.why, missing.without]).await;
            assert_eq!(log.matches("is missing").count(), 1, "{log}");
        }
    });
}

#[test]
fn without_several_it_names_all_of_them() {
    private(async |lab| {
        let log = must_stop(lab.agent().within(only(&["CAP_CHOWN"])).spawn(), &names()).await;
        assert_eq!(log.matches("is missing").count(), names().len(), "{log}");
    });
}

#[test]
fn a_port_below_1024_is_bound_with_a_capability_that_is_kept_for_it_alone() {
    private(async |lab| {
        let tcp = || lab.agent().listen("tcp://127.0.0.1:443").arg("--insecure-plaintext-tcp");
        assert_holds_only(&tcp().start().await, mask(POWERS.iter()));
        must_stop(tcp().within(only(&names())).spawn(), &["CAP_NET_BIND_SERVICE is missing"]).await;
    });
}

#[test]
fn a_bounding_set_that_it_may_not_shrink_is_out_of_reach_by_no_new_privs() {
    private(async |lab| {
        let mut given = names();
        given.push("CAP_CHOWN");
        let agent = lab.agent().within(only(&given)).start().await;
        assert!(agent.log().contains("CAP_SETPCAP"), "{}", agent.log());
        for thread in capabilities::threads(pid(&agent)) {
            let of = |name: &str| thread[name];
            assert_eq!((of("CapPrm"), of("CapEff"), of("NoNewPrivs")), (mask(always()), mask(always()), 1));
            assert_eq!(of("CapBnd"), mask(always()) | 1, "CAP_CHOWN is number 0");
        }
    });
}

#[test]
fn with_its_ptrace_capability_it_enters_a_namespace_that_only_a_process_names() {
    private(async |lab| {
        let mut process = std::process::Command::new("unshare");
        // A process with more capabilities than the agent: without CAP_SYS_PTRACE it could not look at it.
        let process = process.args(["--net", "sh", "-c", "echo; exec sleep 100"]).stdout(Stdio::piped());
        let mut process = process.spawn().unwrap();
        std::io::Read::read_exact(process.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let path = format!("/proc/{}/ns/net", process.id());
        let agent = lab.agent().arg("--allow-netns").start().await;
        let mut wanted = topology("12");
        wanted.bridges = vec![lan("lan", "10.0.0.0/24")];
        wanted.attachments = vec![plug("p", nic_of_netns(&path, "net1"), "lan")];
        let made = agent.apply(wanted).await.unwrap();
        assert_eq!(state(&made), State::Ready, "{made:?}");
        process.kill().unwrap();
        process.wait().unwrap();
    });
}

#[test]
fn the_documented_table_is_the_one_in_the_code() {
    let coded: Vec<String> =
        POWERS.iter().map(|power| format!("| `{}` | {} | {} |", power.name, power.why, power.without)).collect();
    assert_eq!(capabilities::table(), coded);
}
