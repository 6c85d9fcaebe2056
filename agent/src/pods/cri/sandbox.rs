//! A sandbox as the runtime lists it.

use podwire_proto::cri::{PodSandbox, PodSandboxState};

use crate::{
    domain::{
        intent::PodKey,
        name::{Namespace, PodName, PodUid},
    },
    pods::pod_key,
};

/// Labels that the kubelet sets on each sandbox: pkg/kubelet/types/labels.go of Kubernetes.
const NAME: &str = "io.kubernetes.pod.name";
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
const UID: &str = "io.kubernetes.pod.uid";

/// Bytes of an id. containerd and CRI-O have 64.
const MOST_ID: usize = 256;

/// A sandbox of a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sandbox {
    pub id: String,
    pub namespace: Namespace,
    pub pod: PodName,
    pub uid: Option<PodUid>,
    pub ready: bool,
    /// Nanoseconds since 1970.
    pub created_at: i64,
}

impl Sandbox {
    /// `None`: it is not the kubelet's, or its labels are no names.
    pub(super) fn parse(listed: &PodSandbox) -> Option<Self> {
        let label = |name: &str| listed.labels.get(name).map(String::as_str);
        let well_formed = !listed.id.is_empty()
            && listed.id.len() <= MOST_ID
            && listed.id.bytes().all(|byte| byte.is_ascii_graphic());
        let uid = match label(UID) {
            None | Some("") => None,
            Some(uid) => Some(uid.parse().ok()?),
        };
        well_formed.then_some(())?;
        Some(Self {
            id: listed.id.clone(),
            namespace: label(NAMESPACE)?.parse().ok()?,
            pod: label(NAME)?.parse().ok()?,
            uid,
            ready: listed.state == i32::from(PodSandboxState::SandboxReady),
            created_at: listed.created_at,
        })
    }

    pub(super) fn key(&self) -> PodKey {
        pod_key(&self.namespace, &self.pod)
    }

    /// Which of two sandboxes of a pod is the current one: the READY one, of two the newer, of equals any, but always the
    /// same.
    pub(super) fn rank(&self) -> (bool, i64, &str) {
        (self.ready, self.created_at, &self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(id: &str, labels: &[(&str, &str)]) -> PodSandbox {
        let labels = labels.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        PodSandbox { id: id.to_owned(), state: 0, created_at: 1, labels }
    }

    #[test]
    fn a_sandbox_is_known_by_the_labels_of_the_kubelet() {
        let sandbox = Sandbox::parse(&listed("0a", &[(NAME, "bb1"), (NAMESPACE, "lessons"), (UID, "u-1")])).unwrap();
        assert_eq!((sandbox.key().as_str(), sandbox.ready), ("lessons/bb1", true));
        assert_eq!(sandbox.uid, "u-1".parse().ok());
        assert!(Sandbox::parse(&listed("0a", &[(NAME, "bb1"), (NAMESPACE, "lessons")])).is_some());
    }

    #[test]
    fn absurd_ones_are_none() {
        let long = "x".repeat(300);
        let good = [(NAME, "bb1"), (NAMESPACE, "lessons"), (UID, "u-1")];
        for id in ["", "a b", "a\nb", long.as_str()] {
            assert!(Sandbox::parse(&listed(id, &good)).is_none(), "{id}");
        }
        for (label, value) in [(NAME, "../x"), (NAME, ""), (NAME, long.as_str()), (NAMESPACE, "a/b"), (UID, "u 1\n")] {
            let labels = good.map(|(name, usual)| if name == label { (name, value) } else { (name, usual) });
            assert!(Sandbox::parse(&listed("0a", &labels)).is_none(), "{label} {value}");
        }
        assert!(Sandbox::parse(&listed("0a", &[])).is_none(), "not the kubelet's");
    }

    #[test]
    fn an_unknown_state_is_not_ready() {
        let labels = [(NAME, "bb1"), (NAMESPACE, "lessons")];
        assert!(!Sandbox::parse(&PodSandbox { state: 7, ..listed("0a", &labels) }).unwrap().ready);
    }
}
