//! What is read of a pod, by the names of Kubernetes' API (core/v1 Pod). Everything may be missing.

use std::{collections::BTreeMap, net::IpAddr};

use serde::Deserialize;

use super::error::{ClusterError, PodState};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PodList {
    items: Option<Vec<Pod>>,
}

impl PodList {
    pub(super) fn into_pods(self) -> Vec<Pod> {
        self.items.unwrap_or_default()
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Pod {
    metadata: Option<Metadata>,
    spec: Option<Spec>,
    status: Option<Status>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    uid: Option<String>,
    annotations: Option<BTreeMap<String, String>>,
    creation_timestamp: Option<String>,
    deletion_timestamp: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    node_name: Option<String>,
    host_network: Option<bool>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    phase: Option<String>,
    #[serde(rename = "hostIP")]
    host_ip: Option<String>,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Condition {
    r#type: Option<String>,
    status: Option<String>,
    reason: Option<String>,
    message: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Container {
    name: Option<String>,
    state: Option<ContainerState>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ContainerState {
    waiting: Option<Reason>,
    terminated: Option<Reason>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Reason {
    reason: Option<String>,
    message: Option<String>,
}

impl Pod {
    pub(super) fn name(&self) -> &str {
        self.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or("(without a name)")
    }

    /// Empty where the API server gave none.
    pub(super) fn uid(&self) -> &str {
        self.metadata.as_ref().and_then(|metadata| metadata.uid.as_deref()).unwrap_or_default()
    }

    /// RFC 3339 in UTC, so later ones are greater.
    pub(super) fn created(&self) -> &str {
        self.metadata.as_ref().and_then(|metadata| metadata.creation_timestamp.as_deref()).unwrap_or_default()
    }

    pub(super) fn annotations(&self) -> BTreeMap<String, String> {
        self.metadata.as_ref().and_then(|metadata| metadata.annotations.clone()).unwrap_or_default()
    }

    pub(super) fn node_name(&self) -> Option<&str> {
        self.spec.as_ref()?.node_name.as_deref().filter(|name| !name.is_empty())
    }

    pub(super) fn host_ip(&self) -> Option<IpAddr> {
        self.status.as_ref()?.host_ip.as_deref()?.parse().ok()
    }

    pub(super) fn is_terminating(&self) -> bool {
        self.metadata.as_ref().is_some_and(|metadata| metadata.deletion_timestamp.is_some())
    }

    pub(super) fn is_ready(&self) -> bool {
        let is = |value: &Option<String>, wanted| value.as_deref() == Some(wanted);
        self.conditions().any(|condition| is(&condition.r#type, "Ready") && is(&condition.status, "True"))
    }

    fn phase(&self) -> Option<&str> {
        self.status.as_ref()?.phase.as_deref()
    }

    fn conditions(&self) -> impl Iterator<Item = &Condition> {
        self.status.iter().flat_map(|status| &status.conditions).flatten()
    }

    /// The node that the pod is on.
    pub(super) fn node(&self, namespace: &str, pod: &str) -> Result<String, ClusterError> {
        let unscheduled = || ClusterError::NotScheduled {
            pod: format!("{namespace}/{pod}"),
            reasons: self
                .conditions()
                .filter(|condition| condition.is_of("PodScheduled"))
                .find_map(Condition::complaint),
        };
        self.node_name().map(str::to_owned).ok_or_else(unscheduled)
    }

    /// Refuses pods that no agent wires.
    pub(super) fn check_wirable(&self, namespace: &str, pod: &str, node: &str) -> Result<(), ClusterError> {
        let state = match self.phase() {
            _ if self.is_terminating() => PodState::Terminating,
            Some("Succeeded" | "Failed") => PodState::Finished,
            _ if self.spec.as_ref().is_some_and(|spec| spec.host_network == Some(true)) => PodState::HostNetwork,
            _ => return Ok(()),
        };
        Err(ClusterError::NotWirable { pod: format!("{namespace}/{pod}"), node: node.to_owned(), state })
    }

    /// Why the pod is not ready, by what its conditions and containers say.
    pub(super) fn complaints(&self) -> String {
        let mut said = Vec::new();
        if self.is_terminating() {
            said.push("it is terminating".to_owned());
        }
        said.extend(self.phase().filter(|phase| *phase != "Running").map(|phase| format!("phase {phase}")));
        said.extend(self.conditions().filter_map(Condition::complaint));
        let containers = self.status.iter().flat_map(|status| &status.container_statuses).flatten();
        said.extend(containers.filter_map(Container::complaint));
        // Ready and ContainersReady often say the same.
        said.dedup();
        if said.is_empty() {
            return "it has no condition Ready yet".to_owned();
        }
        said.join("; ")
    }
}

impl Condition {
    fn is_of(&self, kind: &str) -> bool {
        self.r#type.as_deref() == Some(kind)
    }

    fn complaint(&self) -> Option<String> {
        if self.status.as_deref() == Some("True") {
            return None;
        }
        let kind = self.r#type.as_deref().unwrap_or("a condition");
        let status = self.status.as_deref().unwrap_or("not known");
        Some(told(format!("{kind} is {status}"), self.reason.as_deref(), self.message.as_deref()))
    }
}

impl Container {
    fn complaint(&self) -> Option<String> {
        let state = self.state.as_ref()?;
        let (verb, why) = match (&state.waiting, &state.terminated) {
            (Some(why), _) => ("waits", why),
            (None, Some(why)) => ("has ended", why),
            (None, None) => return None,
        };
        let name = self.name.as_deref().unwrap_or("(without a name)");
        Some(told(format!("container {name} {verb}"), why.reason.as_deref(), why.message.as_deref()))
    }
}

fn told(what: String, reason: Option<&str>, message: Option<&str>) -> String {
    let words = [reason, message].into_iter().flatten().filter(|word| !word.is_empty());
    words.fold(what, |text, word| format!("{text}: {word}"))
}
