//! Why a change was refused or failed.

use crate::{
    domain::{
        assign::AssignError,
        intent::Generation,
        name::{ElementName, Namespace, TopologyKey},
        quota::Excess,
        spec::InterfaceId,
        status::State,
        violation::{Violation, list},
    },
    kernel::KernelError,
    pods::PodsError,
    store::{OpenError, StoreError},
};

use super::view::TopologyView;

/// Why a call did not do what was asked. The kernel is then as it was before, unless the variant says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The request contradicts itself or the topology that it changes.
    #[error("the request has {} violation(s): {}", .0.len(), list(.0))]
    Invalid(Vec<Violation>),
    /// A limit of the agent or of the kernel.
    #[error("{what} of {subject}: {limit} are the most")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// Where.
        subject: String,
        /// How many may be.
        limit: usize,
    },
    /// More than the policy lets a namespace have.
    #[error("the quota of namespace {namespace}: {excess}")]
    Quota {
        /// Which namespace.
        namespace: Namespace,
        /// What is too much.
        excess: Excess,
    },
    /// No name or address can be chosen.
    #[error(transparent)]
    Assign(#[from] AssignError),
    /// No such topology or element.
    #[error("there is no {kind} `{name}`")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name, with the topology where it is an element.
        name: String,
    },
    /// A single call on a topology that ApplyTopology owns.
    #[error("topology {0} is owned by ApplyTopology: change its document and apply it")]
    ManagedByApply(TopologyKey),
    /// ApplyTopology on a topology that single calls own.
    #[error("topology {0} is owned by single calls: delete it first, or apply under another name")]
    ManagedByCalls(TopologyKey),
    /// ApplyTopology under the name that single calls use.
    #[error("topology `default` takes single calls only: apply under another name")]
    DefaultIsForCalls,
    /// The caller's generation is lower than the stored one.
    #[error("topology {key} is fenced: its generation is {stored}, the call has {given}: a newer scheduler is at work")]
    Fenced {
        /// Which topology.
        key: TopologyKey,
        /// The stored generation.
        stored: Generation,
        /// The caller's.
        given: Generation,
    },
    /// The topology was deleted at the caller's generation.
    #[error("topology {key} was deleted, or its lease ended, at generation {generation}: raise it to make it anew")]
    Buried {
        /// Which topology.
        key: TopologyKey,
        /// The generation.
        generation: Generation,
    },
    /// The caller's generation is the stored one, and its body is another.
    #[error("topology {key}: generation {generation} was used with another body: raise it with each change")]
    GenerationReused {
        /// Which topology.
        key: TopologyKey,
        /// The generation.
        generation: Generation,
    },
    /// An element of that name exists and differs.
    #[error("{kind} `{name}` exists and differs in: {}", .fields.join(", "))]
    AlreadyExists {
        /// What kind of element.
        kind: &'static str,
        /// Its name, with the topology.
        name: String,
        /// Fields that differ.
        fields: Vec<&'static str>,
    },
    /// A bridge that has attachments.
    #[error("bridge `{bridge}` has attachments: {}: detach them or set `cascade`", .attachments.join(", "))]
    BridgeInUse {
        /// The bridge.
        bridge: String,
        /// Its attachments.
        attachments: Vec<String>,
    },
    /// What is asked for cannot be done to an element of its kind.
    #[error("{kind} `{name}`: {problem}")]
    Impossible {
        /// What kind of element.
        kind: &'static str,
        /// Its name, with the topology.
        name: String,
        /// Why, and what to do instead.
        problem: &'static str,
    },
    /// A pod that is there but is not to be plugged.
    #[error("interface {interface} of pod {pod}: {message}")]
    PodRefused {
        /// Which interface.
        interface: InterfaceId,
        /// Which pod.
        pod: String,
        /// A stable word: `UID_MISMATCH`, `HOST_NETWORK`, `NOT_A_NETNS`.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// The way of a bridge onto the node's network cannot be made.
    #[error("uplink of bridge {bridge}: {message}")]
    Uplink {
        /// Which bridge.
        bridge: ElementName,
        /// A stable word: `PARENT_MTU`, `NOT_A_BRIDGE`.
        reason: &'static str,
        /// Why.
        message: String,
    },
    /// Something that is not ours is in the way inside a pod.
    #[error("interface {interface} of pod {pod}: {message}")]
    InTheWay {
        /// Which interface.
        interface: InterfaceId,
        /// Which pod.
        pod: String,
        /// A stable word: `FOREIGN_INTERFACE`, `FOREIGN_ROUTE`.
        reason: &'static str,
        /// What it is.
        message: String,
    },
    /// Its interfaces are not there yet.
    #[error("{what} is not plugged yet: {message}")]
    NotPlugged {
        /// What was asked for.
        what: String,
        /// What is seen instead, and what to do.
        message: String,
    },
    /// What a call follows went away under it.
    #[error("the {what} ended: {why}")]
    Ended {
        /// What was followed.
        what: String,
        /// What became of it.
        why: String,
    },
    /// The configuration of the agent does not allow it.
    #[error("{field}: {what} is not allowed on this node: {remedy}")]
    NotAllowed {
        /// Field path.
        field: String,
        /// What was asked for.
        what: String,
        /// How the operator allows it.
        remedy: &'static str,
    },
    /// A device of the node is not there.
    #[error("attachment {interface}: the node has no device `{parent}`")]
    NoDevice {
        /// Which interface.
        interface: InterfaceId,
        /// The device.
        parent: String,
    },
    /// The kernel of this node lacks something.
    #[error("{needed_for} needs `{feature}`, and this kernel lacks it: {reason}")]
    Unsupported {
        /// The kernel's name of the feature.
        feature: String,
        /// The kernel's words.
        reason: String,
        /// What was asked for.
        needed_for: String,
    },
    /// Not READY before the caller's deadline. The intent stays.
    #[error("topology {} is not READY in time: {}; the intent stays and is finished when it can be", .0.key(), .0.reasons())]
    NotReady(Box<TopologyView>),
    /// A sandbox that cannot be announced, or is not its pod's current one.
    #[error("pod {pod}: {message}")]
    SandboxRefused {
        /// Whose it is.
        pod: String,
        /// A stable word: `SANDBOXES_NOT_ANNOUNCED`, `HOST_NETWORK`, `NOT_A_NETNS`, `NO_NETNS`,
        /// `NETNS_UNREADABLE`, `NOT_CURRENT`.
        reason: &'static str,
        /// For a person.
        message: String,
    },
    /// Interfaces of a sandbox were tried and refused.
    #[error("pod {pod} cannot be plugged: {}", unready(.waiting))]
    SandboxFailed {
        /// Whose it is.
        pod: String,
        /// All that are not READY.
        waiting: Vec<Unready>,
    },
    /// Interfaces of a sandbox are not READY before the caller's deadline. They are plugged later.
    #[error("pod {pod} does not have its interfaces yet: {}", unready(.waiting))]
    SandboxNotReady {
        /// Whose it is.
        pod: String,
        /// Which.
        waiting: Vec<Unready>,
    },
    /// Another call changed what this one waited for.
    #[error("another call replaced or removed what this one asked of topology {0} while it waited")]
    Superseded(TopologyKey),
    /// A step of the kernel work failed. The change was undone.
    #[error("{step}{}", undone(.cost, .undo.as_deref()))]
    Step {
        /// The step and its object.
        step: String,
        /// What had to be removed before it and is gone; empty: nothing.
        cost: String,
        /// Why undoing failed too, where it did.
        undo: Option<String>,
        /// The kernel's words.
        #[source]
        source: Box<KernelError>,
    },
    /// The kernel could not be looked at.
    #[error("looking at topology {key} failed")]
    Look {
        /// Which topology.
        key: TopologyKey,
        /// The kernel's words.
        #[source]
        source: Box<KernelError>,
    },
    /// Changes of the kernel cannot be followed.
    #[error("changes in the namespaces of panels and pods cannot be followed")]
    Listen {
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The source of pods does not answer.
    #[error("the pods of this node cannot be listed")]
    Pods(#[from] PodsError),
    /// Something was removed, and there may be more of it in pods that cannot be looked into.
    #[error("interfaces of topology {0} may be left in pods that are not known yet or cannot be looked into")]
    PodsUnknown(TopologyKey),
    /// The store of the intents cannot be had.
    #[error("the intents of this node cannot be had")]
    Open(#[from] OpenError),
    /// The intent could not be written. The change was undone.
    #[error("the intent of topology {key} could not be stored")]
    Store {
        /// Which topology.
        key: TopologyKey,
        /// The disk's words.
        #[source]
        source: StoreError,
    },
    /// The store of the intents was opened, and does not do what it is for.
    #[error("the intents of this node cannot be read or written")]
    State(#[source] StoreError),
    /// The intents of an earlier run cannot be read: the agent shows what it sees and changes nothing.
    #[error(
        "the agent takes no changes: {0}: the wires are left as they are; stop the agent and run `podwire-agent recover`"
    )]
    StoreUnreadable(String),
    /// The agent is leaving.
    #[error("the agent is shutting down: try again in a moment")]
    ShuttingDown,
    /// Our own mistake: a task died.
    #[error("a task of the agent died while it worked on {0}: this is a bug, please report it with the log")]
    Bug(TopologyKey),
}

/// An interface of a sandbox that is not READY.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    /// Topology, element and end: `12/w1.a`.
    pub interface: String,
    /// Its state.
    pub state: State,
    /// Why.
    pub reason: String,
}

fn unready(waiting: &[Unready]) -> String {
    waiting.iter().map(|each| format!("{}: {}", each.interface, each.reason)).collect::<Vec<_>>().join("; ")
}

fn undone(cost: &str, undo: Option<&str>) -> String {
    let cost = if cost.is_empty() { String::new() } else { format!("; removed before it: {cost}") };
    match undo {
        None => format!(" failed{cost}; the topology is as it was before"),
        Some(problem) => format!(" failed{cost}; undoing it did not succeed for all of it: {problem}"),
    }
}
