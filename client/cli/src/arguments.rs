//! The command line.

use std::{fmt, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use podwire_client::Tls;

use crate::{exit, manifest::parse_duration};

/// Wires pods on a Kubernetes node through its podwire agent.
#[derive(Debug, Parser)]
#[command(name = "podwire", version, after_help = exit::HELP, max_term_width = 100)]
pub struct Arguments {
    #[command(flatten)]
    pub(crate) agent: Agent,
    /// What to write to the standard output: tables for people, documents with the field names of the API for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table, value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Which agent, and by which certificate.
#[derive(Args, Clone, Debug)]
pub(crate) struct Agent {
    /// Where the agent listens: `unix:///path`, `tls://host:port`, or without encryption `tcp://host:port`.
    #[arg(long = "agent", global = true, env = "PODWIRE_AGENT", default_value = podwire_client::DEFAULT_TARGET, value_name = "TARGET")]
    pub(crate) target: String,
    /// For `tls://`: your certificate, PEM.
    #[arg(long, global = true, env = "PODWIRE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// For `tls://`: the key of your certificate, PEM.
    #[arg(long, global = true, env = "PODWIRE_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// For `tls://`: the authorities that sign agents' certificates, PEM.
    #[arg(long, global = true, env = "PODWIRE_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// For `tls://`: what the agent's certificate is for, a DNS name or a SPIFFE ID. Default: the host of --agent.
    #[arg(long, global = true, env = "PODWIRE_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
}

impl Agent {
    /// The files of TLS, where all three are given. A unix socket needs none.
    pub(crate) fn tls(&self) -> Option<Tls> {
        let (cert, key, ca) = (self.tls_cert.as_ref()?, self.tls_key.as_ref()?, self.tls_ca.as_ref()?);
        let tls = Tls::new(cert, key, ca);
        Some(match &self.tls_server_name {
            Some(name) => tls.server_name(name),
            None => tls,
        })
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.target)
    }
}

/// Form of the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables.
    Table,
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make the node's topology what the manifests say; what is not in them goes.
    #[command(after_help = exit::HELP)]
    Apply(Apply),
    /// Show the steps that `apply` would take, and take none.
    Plan(Plan),
    /// List what is there.
    Get(Get),
    /// Show the panel: bridges, links, pods, interfaces, addresses and carrier in one look.
    Show {
        /// Topology; all where none is named.
        topology: Option<String>,
        /// Kubernetes namespace; of a named topology `default`, else all.
        #[arg(short, long, value_name = "NS")]
        namespace: Option<String>,
    },
    /// Draw a topology with its live states: SVG, or text for Mermaid and Graphviz.
    Graph(Graph),
    /// Show rates of links and ports, live, until interrupted.
    Top(Top),
    /// Remove a topology with all that it has.
    Delete(Delete),
    /// Print changes as they happen, until interrupted or until the agent leaves.
    Watch {
        /// Topology; all where none is named.
        topology: Option<String>,
        /// Kubernetes namespace; of a named topology `default`, else all.
        #[arg(short, long, value_name = "NS")]
        namespace: Option<String>,
    },
    /// Write the frames of an interface, a link or a bridge as a pcapng file, until interrupted.
    #[command(
        override_usage = "podwire capture [OPTIONS] POD INTERFACE [FILTER]...\n       podwire capture [OPTIONS] --link NAME [FILTER]...\n       podwire capture [OPTIONS] --bridge NAME [FILTER]..."
    )]
    Capture(Capture),
    /// Send probe frames over the links of a topology and say what passes.
    Verify {
        /// Topology.
        topology: String,
        /// Kubernetes namespace.
        #[arg(short, long, default_value = "default", value_name = "NS")]
        namespace: String,
        /// Only this link.
        #[arg(long, value_name = "NAME")]
        link: Option<String>,
    },
    #[command(after_help = exit::HELP)]
    /// Check the agent, the kernel, the pods and the topologies.
    Doctor,
    /// Named network namespaces as the pods of a bare host.
    #[command(subcommand)]
    Netns(Netns),
    /// Wait for interfaces in the network namespace of this very process, as an init container does: no agent needed.
    #[command(after_help = exit::HELP)]
    Wait(Wait),
    /// Print the completions of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Which manifests, and what they make.
#[derive(Args, Debug)]
pub(crate) struct Manifests {
    /// Manifests, `-` for the standard input: a topology document, NetworkAttachmentDefinitions with Pods, or a lesson.
    #[arg(short = 'f', long = "file", required = true, num_args = 1.., value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Name of the topology; needed for NetworkAttachmentDefinitions and Pods.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) topology: Option<String>,
    /// Kubernetes namespace of what does not give its own. Default: `default`.
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// Refuse what podwire does not honour instead of warning of it.
    #[arg(long)]
    pub(crate) strict: bool,
    /// Delete the topology when nobody renews it for this long: `90s`, `30m`, `1h30m`.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) lease: Option<Duration>,
    #[command(flatten)]
    pub(crate) fence: Fence,
}

/// Who may change a topology.
#[derive(Args, Debug)]
pub(crate) struct Fence {
    /// Fencing number: the agent refuses one that is lower than what it has seen.
    #[arg(long, value_name = "N")]
    pub(crate) generation: Option<u64>,
    /// Change a fenced topology without a fencing number.
    #[arg(long)]
    pub(crate) force: bool,
    /// Time that the call has: `90s`, `2m`. Default: 10s, 60s with `--until-ready`.
    #[arg(long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) timeout: Option<Duration>,
}

/// `podwire apply`.
#[derive(Args, Debug)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
    /// Do not ask before something is removed. Where no person sits at a terminal nobody is asked.
    #[arg(short, long)]
    pub(crate) yes: bool,
    /// Wait until every interface is READY.
    #[arg(long, visible_alias = "wait")]
    pub(crate) until_ready: bool,
}

/// `podwire plan`.
#[derive(Args, Debug)]
pub(crate) struct Plan {
    #[command(flatten)]
    pub(crate) manifests: Manifests,
}

/// `podwire get`.
#[derive(Args, Debug)]
pub(crate) struct Get {
    /// What to list.
    #[arg(value_enum)]
    pub(crate) kind: Kind,
    /// Only those of this name.
    pub(crate) name: Option<String>,
    /// Kubernetes namespace. Default: of topologies and pods all, else `default`.
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// Only elements of this topology.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) topology: Option<String>,
}

/// What `podwire get` lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Topologies.
    #[value(alias = "topology")]
    Topologies,
    /// Bridges.
    #[value(alias = "bridge")]
    Bridges,
    /// Links.
    #[value(alias = "link")]
    Links,
    /// Attachments.
    #[value(alias = "attachment")]
    Attachments,
    /// Pods that can be plugged.
    #[value(alias = "pod")]
    Pods,
    /// Named network namespaces.
    Netns,
    /// The text of the annotation `k8s.v1.cni.cncf.io/network-status` for podwire's interfaces of a pod.
    NetworkStatus,
    /// The node: version, capabilities, limits.
    Node,
}

/// `podwire delete`.
#[derive(Args, Debug)]
pub(crate) struct Delete {
    /// Topology.
    pub(crate) topology: String,
    /// Kubernetes namespace.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
    /// Do not ask. Where no person sits at a terminal nobody is asked.
    #[arg(short, long)]
    pub(crate) yes: bool,
    #[command(flatten)]
    pub(crate) fence: Fence,
}

/// `podwire wait`.
#[derive(Args, Debug)]
pub(crate) struct Wait {
    /// Interfaces to wait for, with commas: until each is complete and up.
    #[arg(long = "for", required_unless_present = "print", value_name = "NAMES", value_delimiter = ',', value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub(crate) interfaces: Vec<String>,
    /// Time to wait: `90s`, `2m`. 0s: look once.
    #[arg(long, value_parser = parse_duration, value_name = "TIME", default_value = "60s")]
    pub(crate) timeout: Duration,
    /// Print podwire's interfaces by index: name, MAC, MTU, addresses, what they belong to. With `--for` once they are there.
    #[arg(long)]
    pub(crate) print: bool,
}

/// `podwire graph`.
#[derive(Args, Debug)]
pub(crate) struct Graph {
    /// Topology.
    pub(crate) topology: String,
    /// Kubernetes namespace.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
    /// What to draw with.
    #[arg(long, value_enum, default_value_t = Drawing::Svg, value_name = "FORM")]
    pub(crate) format: Drawing,
    /// Write to this file. Default: the standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
}

/// Form of a drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Drawing {
    /// A picture for pages, light or dark.
    Svg,
    /// A flowchart as text, which many wikis draw.
    Mermaid,
    /// A graph as text for Graphviz.
    Dot,
}

/// `podwire top`.
#[derive(Args, Debug)]
pub(crate) struct Top {
    /// Topology; all where none is named.
    pub(crate) topology: Option<String>,
    /// Kubernetes namespace; of a named topology `default`, else all.
    #[arg(short, long, value_name = "NS")]
    pub(crate) namespace: Option<String>,
    /// Time between two looks.
    #[arg(short, long, value_parser = parse_duration, default_value = "1s", value_name = "TIME")]
    pub(crate) interval: Duration,
    /// Looks until it ends. Default: until interrupted.
    #[arg(short, long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

/// `podwire netns`.
#[derive(Debug, Subcommand)]
pub(crate) enum Netns {
    /// Make named network namespaces.
    Create {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
    /// List them.
    List,
    /// Remove named network namespaces that the agent made.
    Delete {
        /// Their names.
        #[arg(required = true)]
        names: Vec<String>,
    },
}

/// `podwire capture`.
#[derive(Args, Debug)]
pub(crate) struct Capture {
    /// A link: each frame once, where it enters.
    #[arg(long, value_name = "NAME", conflicts_with = "bridge")]
    pub(crate) link: Option<String>,
    /// A bridge: each frame once, where it enters.
    #[arg(long, value_name = "NAME")]
    pub(crate) bridge: Option<String>,
    /// Pod (`netns:NAME` for a network namespace that is none) and interface, unless a link or a bridge is captured; then
    /// which frames, as pcap-filter(7) has it. Needs `tcpdump`.
    #[arg(value_name = "POD INTERFACE FILTER")]
    pub(crate) words: Vec<String>,
    /// Kubernetes namespace.
    #[arg(short, long, default_value = "default", value_name = "NS")]
    pub(crate) namespace: String,
    /// Topology. Default: of an interface the one that has it, else `default`.
    #[arg(short, long, value_name = "NAME")]
    pub(crate) topology: Option<String>,
    /// Write to this file. Default: the standard output.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// End after so many frames.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,
    /// Keep so many bytes of each frame. Default: all.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=262_144))]
    pub(crate) snaplen: Option<u32>,
    /// End after this time: `10s`, `5m`.
    #[arg(short, long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) duration: Option<Duration>,
}
