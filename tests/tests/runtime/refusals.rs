//! Pods that are special: with the node's network, or with a user namespace.

use std::{
    fs,
    io::Read,
    os::unix::fs::MetadataExt,
    process::{Child, Command, Stdio},
};

use podwire_proto::v1::{ListPodsRequest, State};
use podwire_tests::{
    condition::{eventually, holds},
    containerd::{Sandbox, Version},
    elements::state,
    lab::{agent::refused, pod::Pod},
    private::measured,
    verdict::reason,
};
use tonic::Code;

use crate::{
    agent,
    fake::{self, Fake},
    lan_of, private, until, with_containerd,
};

#[test]
fn a_pod_with_host_network_is_refused_and_nothing_is_touched() {
    with_containerd(Version::System, async |lab, containerd| {
        let agent = agent(lab).await;
        containerd.run(Sandbox::of("proxy").host_network()).await.unwrap();
        containerd.pod("a").await;
        let before = lab.snapshot();
        let status = refused(agent.apply(lan_of(&["a", "proxy"]))).await;
        assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "HOST_NETWORK"), "{status}");
        assert!(status.message().contains("lessons/proxy") && status.message().contains("hostNetwork"), "{status}");
        before.assert_same(&lab.snapshot());
        let listed = agent.node().list_pods(ListPodsRequest::default()).await.unwrap().into_inner().pods;
        assert!(listed[1].problem.contains("hostNetwork"), "{listed:?}");
    });
}

/// Who on the node is root in the network namespace of a process: the owner of its files in /proc/PID/net.
fn owner(pid: u64) -> u32 {
    fs::metadata(format!("/proc/{pid}/net/dev")).unwrap().uid()
}

#[test]
fn a_pod_with_a_user_namespace_is_wired() {
    with_containerd(Version::Events, async |lab, containerd| {
        let agent = agent(lab).await;
        let plain = containerd.pod("a").await;
        let id = match containerd.run(Sandbox::of("b").user_namespace()).await {
            Ok(id) => id,
            // runc, the kernel or the file system cannot: that is not about podwire, and the next test needs none of them.
            Err(status) => {
                return measured(&format!("this runtime makes no user-namespaced pods: {}", status.message()));
            }
        };
        assert_eq!(owner(containerd.first_process(&plain).await), 0);
        assert_ne!(
            owner(containerd.first_process(&id).await),
            0,
            "its network namespace belongs to its user namespace"
        );
        let made = agent.apply(lan_of(&["a", "b"])).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let (a, b) = (containerd.netns(&plain).await, containerd.netns(&id).await);
        a.ping(b.address("net1"));
    });
}

/// A process that is killed with its test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill().and_then(|()| self.0.wait());
    }
}

#[test]
fn a_network_namespace_that_belongs_to_another_user_namespace_is_wired() {
    private(async |lab| {
        let plain = lab.pod("cni-a");
        let mut own = Command::new("unshare");
        own.args(["--user", "--map-root-user", "--net", "sh", "-c", "echo; exec sleep 100"]).stdout(Stdio::piped());
        let mut process = Process(own.spawn().unwrap());
        process.0.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        // As a runtime names it.
        fs::write("/run/netns/cni-b", "").unwrap();
        lab.run(&format!("mount --bind /proc/{}/ns/net /run/netns/cni-b", process.0.id()));
        let users = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
        assert_ne!(users(&process.0.id().to_string()), users("self"));
        let runtime = Fake::serve();
        runtime.ready("one", "a", "/run/netns/cni-a", 1);
        runtime.ready("two", "b", "/run/netns/cni-b", 1);
        let agent = lab.agent().with("--pods", "cri").with("--cri-socket", fake::SOCKET).start().await;
        agent.apply(lan_of(&["a", "b"])).await.unwrap();
        until(&agent, "12", State::Ready).await;
        let theirs = Pod::new(lab, "cni-b");
        plain.ping(theirs.address("net1"));
        theirs.ip("link del net1");
        eventually("it heals", async || holds(theirs.interfaces() == ["net1"], "not yet")).await;
        agent.delete("12").await.unwrap();
        assert!(theirs.interfaces().is_empty(), "{:?}", theirs.interfaces());
        lab.run("umount /run/netns/cni-b");
    });
}
