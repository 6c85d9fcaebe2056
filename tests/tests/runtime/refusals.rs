//! Pods of a real containerd that are special.

use podwire_proto::v1::{ListPodsRequest, State};
use podwire_tests::{
    containerd::{Sandbox, Version},
    elements::state,
    lab::agent::refused,
    private::measured,
    verdict::reason,
};
use tonic::Code;

use crate::{agent, lan_of, with_containerd};

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

#[test]
fn a_pod_with_a_user_namespace_is_wired() {
    with_containerd(Version::Events, async |lab, containerd| {
        let agent = agent(lab).await;
        let plain = containerd.pod("a").await;
        let id = match containerd.run(Sandbox::of("b").user_namespace()).await {
            Ok(id) => id,
            // runc, the kernel or the file system cannot: that is not about podwire.
            Err(status) => {
                return measured(&format!("this runtime makes no user-namespaced pods: {}", status.message()));
            }
        };
        let made = agent.apply(lan_of(&["a", "b"])).await.unwrap();
        assert_eq!(state(&made), State::Ready);
        let (a, b) = (containerd.netns(&plain).await, containerd.netns(&id).await);
        a.ping(b.address("net1"));
    });
}
