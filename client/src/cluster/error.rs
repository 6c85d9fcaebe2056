//! Why an agent was not found.

use crate::connect_error::ConnectError;

/// Why an agent was not found: the object, what was seen and what to do.
///
/// `Display` says all of it, so what was seen is a field and not a source, which reports would print again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClusterError {
    /// No cluster to ask.
    #[error(
        "there is no Kubernetes cluster to ask: {seen}\n\
         hint: run in a pod with a service account's token, or set KUBECONFIG"
    )]
    NoCluster {
        /// What was tried.
        seen: String,
    },
    /// Not a name of Kubernetes.
    #[error(
        "`{given}` is not a name of a {kind}\n\
         hint: names are lowercase letters, digits, `-` and `.`, and begin and end with a letter or digit"
    )]
    Name {
        /// Of what.
        kind: &'static str,
        /// What was given.
        given: String,
    },
    /// There is no such pod.
    #[error("there is no pod {pod}\nhint: is the namespace right? wait until the pod is created: kubectl get pod")]
    NoPod {
        /// Namespace and name.
        pod: String,
    },
    /// The pod has no node yet.
    #[error(
        "pod {pod} is not on a node yet{reasons}\nhint: ask again when it is scheduled",
        reasons = .reasons.as_ref().map(|said| format!(": {said}")).unwrap_or_default()
    )]
    NotScheduled {
        /// Namespace and name.
        pod: String,
        /// What the scheduler of Kubernetes says, if it says something.
        reasons: Option<String>,
    },
    /// No agent wires this pod.
    #[error("pod {pod} on node {node} cannot be wired: {seen}\nhint: {hint}", seen = .state.seen(), hint = .state.hint())]
    NotWirable {
        /// Namespace and name.
        pod: String,
        /// Its node.
        node: String,
        /// Why.
        state: PodState,
    },
    /// No agent on the node.
    #[error(
        "there is no agent on node {node}: no pod with labels {selector} in namespace {namespace} is there\n\
         hint: is it the name of a node, and do nodeSelector and tolerations of the DaemonSet cover it? \
         kubectl -n {namespace} get pods -o wide"
    )]
    NoAgent {
        /// The node.
        node: String,
        /// Where agents were looked for.
        namespace: String,
        /// Labels that they have.
        selector: String,
    },
    /// The agent is there and not ready.
    #[error(
        "the agent of node {node} is not ready: {reasons}\n\
         hint: ask again later; if it stays so, its log says why",
        reasons = .reasons.join("; ")
    )]
    AgentNotReady {
        /// The node.
        node: String,
        /// For each pod of an agent there: its name, and what its conditions say.
        reasons: Vec<String>,
    },
    /// Of the agent's pod no address can be made.
    #[error(
        "no address can be made of pod {agent}, the agent of node {node}\n\
         hint: it has no status.hostIP, or the function given to ClusterBuilder::address has no answer for it"
    )]
    NoAddress {
        /// Namespace and name of the agent's pod.
        agent: String,
        /// The node.
        node: String,
    },
    /// The agent is ready and cannot be reached.
    #[error(
        "the agent of node {node}, pod {agent}, is ready but not reached (it listens on a unix socket only, unless its \
         PODWIRE_LISTEN names the address, too): {seen}"
    )]
    Unreachable {
        /// Namespace and name of the agent's pod.
        agent: String,
        /// The node.
        node: String,
        /// What was seen.
        seen: ConnectError,
    },
    /// The API server knows who asks, and does not allow it.
    #[error(
        "the Kubernetes API does not allow to {verb} pods in namespace {namespace}: {seen}\n\
         hint: bind a Role with verb `{verb}` on `pods` of that namespace to the service account that asks: \
         deploy/kustomize/components/scheduler"
    )]
    Forbidden {
        /// Verb of RBAC that is missing.
        verb: &'static str,
        /// Where.
        namespace: String,
        /// What the API server said.
        seen: String,
    },
    /// The API server does not know who asks.
    #[error(
        "the Kubernetes API does not know who asks: {seen}\n\
         hint: the token or the certificate is missing, or its time has passed"
    )]
    Unauthorized {
        /// What the API server said.
        seen: String,
    },
    /// Asking failed in another way.
    #[error(
        "cannot {verb} pods in namespace {namespace} from the Kubernetes API: {seen}\n\
         hint: does `kubectl -n {namespace} get pods` work from here?"
    )]
    Api {
        /// Verb of the question.
        verb: &'static str,
        /// Where.
        namespace: String,
        /// What went wrong.
        seen: String,
    },
}

/// Why a pod cannot be wired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PodState {
    /// It has been told to leave.
    Terminating,
    /// All its containers have ended for good.
    Finished,
    /// It has the network namespace of its node.
    HostNetwork,
}

impl PodState {
    fn seen(self) -> &'static str {
        match self {
            Self::Terminating => "it is terminating",
            Self::Finished => "it has finished",
            Self::HostNetwork => "it has hostNetwork, so its network namespace is the node's own",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Self::Terminating => "wait for its successor; agent_on with its node takes its wires away",
            Self::Finished => "create it anew; agent_on with its node takes its wires away",
            Self::HostNetwork => "take hostNetwork out of the pod",
        }
    }
}

impl ClusterError {
    /// Whether the same question may be answered later without anybody doing something: the pod is not there or not
    /// scheduled yet, the agent is not there or not ready yet, or the API server was not reached.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::NoPod { .. }
            | Self::NotScheduled { .. }
            | Self::NoAgent { .. }
            | Self::AgentNotReady { .. }
            | Self::NoAddress { .. }
            | Self::Unreachable { .. }
            | Self::Api { .. } => true,
            Self::NotWirable { state, .. } => *state == PodState::Terminating,
            Self::NoCluster { .. } | Self::Name { .. } | Self::Forbidden { .. } | Self::Unauthorized { .. } => false,
        }
    }
}
