//! The command line of the installer.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde_json::{Map, Value, json};

use crate::{
    NAME,
    config::{AgentAway, timeout},
};

/// The CNI plugin of podwire. A container runtime calls it by CNI_COMMAND and the other variables of the CNI
/// specification; a person installs it.
#[derive(Debug, Parser)]
#[command(name = "podwire-cni", version, max_term_width = 100)]
pub struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Put this program and an entry for it on the node; waits for the cluster's own configuration list.
    Install {
        #[command(flatten)]
        node: Node,
        #[command(flatten)]
        entry: Entry,
        /// Stay, and put both back whenever somebody takes them away, as a cluster's CNI does that writes its list anew. Ends
        /// with SIGTERM and leaves both in place.
        #[arg(long)]
        watch: bool,
    },
    /// Take both away again.
    Uninstall {
        #[command(flatten)]
        node: Node,
        /// Stay when it is done, as the container of a DaemonSet must. Ends with SIGTERM.
        #[arg(long)]
        stay: bool,
    },
}

/// Where a node keeps its plugins.
#[derive(Args, Debug)]
pub(crate) struct Node {
    /// Directory of plugin programs.
    #[arg(long, value_name = "DIR", default_value = "/opt/cni/bin")]
    pub(crate) cni_bin_dir: PathBuf,
    /// Directory of network configurations.
    #[arg(long, value_name = "DIR", default_value = "/etc/cni/net.d")]
    pub(crate) cni_conf_dir: PathBuf,
}

/// What the entry says to the plugin.
#[derive(Args, Debug, Clone)]
pub(crate) struct Entry {
    /// Where the agent listens, as the node sees it.
    #[arg(long, value_name = "TARGET", default_value = podwire_client::DEFAULT_TARGET)]
    agent: String,
    /// What becomes of new pods while the agent is away: `open`: they start without podwire's interfaces and get them later;
    /// `closed`: they do not start.
    #[arg(long, value_enum, default_value_t = AgentAway::Open)]
    agent_away: AgentAway,
    /// How long a new pod waits for its interfaces: `20s`, at most `240s`.
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = time)]
    timeout: String,
    /// Let the addresses of podwire's interfaces stand in the result. Not with CRI-O, which shows all addresses of a result as
    /// the pod's own, and not where somebody calls CHECK: plugins such as `bridge` look for all of them on their interface.
    #[arg(long)]
    report_addresses: bool,
}

fn time(text: &str) -> Result<String, String> {
    timeout(text).map(|_| text.to_owned())
}

impl Entry {
    /// The entry in a list of plugins, without what the plugin takes for granted.
    pub(crate) fn json(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("type".to_owned(), NAME.into());
        entry.insert("agent".to_owned(), self.agent.as_str().into());
        entry.insert("agentAway".to_owned(), json!(self.agent_away));
        entry.insert("timeout".to_owned(), self.timeout.as_str().into());
        if self.report_addresses {
            entry.insert("addresses".to_owned(), true.into());
        }
        Value::Object(entry)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::Config;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_plugin_reads_what_the_installer_writes() {
        let line = ["podwire-cni", "install", "--agent-away", "closed", "--timeout", "5s", "--report-addresses"];
        let Command::Install { entry, .. } = Arguments::try_parse_from(line).unwrap().command else {
            panic!("install")
        };
        let mut written = entry.json();
        written["cniVersion"] = "1.0.0".into();
        let read = Config::parse(written.to_string().as_bytes()).unwrap();
        assert_eq!((read.agent_away, read.timeout.as_secs(), read.addresses), (AgentAway::Closed, 5, true));
    }
}
