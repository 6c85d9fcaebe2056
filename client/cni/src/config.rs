//! The network configuration on standard input.

use std::time::Duration;

use clap::ValueEnum;
use podwire_client::DEFAULT_TARGET;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    error::{CniError, Code},
    version::Version,
};

/// How long ADD waits for the interfaces of a pod unless told.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// The longest time that ADD may be told to wait: kubelet gives a sandbox four minutes (`RuntimeRequestTimeout` doubled).
const LONGEST: Duration = Duration::from_secs(240);

/// What becomes of pods while the agent is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AgentAway {
    /// They start without podwire's interfaces, which the agent plugs when it is back.
    #[default]
    Open,
    /// They do not start until the agent is back.
    Closed,
}

/// A configuration.
#[derive(Debug)]
pub(crate) struct Config {
    /// The version of everything that is said.
    pub(crate) version: Version,
    /// Where the agent listens.
    pub(crate) agent: String,
    /// How long ADD waits.
    pub(crate) timeout: Duration,
    /// What to do without the agent.
    pub(crate) agent_away: AgentAway,
    /// Whether the addresses of podwire's interfaces stand in the result. Not unless told: CRI-O takes every address of a
    /// result for one of the pod's own and shows it in the pod's status, and CHECK of the CNI project's `bridge` fails
    /// because it looks for every address of the result on its own interface.
    pub(crate) addresses: bool,
    /// What the plugins before it came to.
    pub(crate) previous: Option<Map<String, Value>>,
    /// Containers that are there, of GC.
    pub(crate) valid: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    agent: Option<String>,
    timeout: Option<String>,
    #[serde(default)]
    agent_away: AgentAway,
    #[serde(default)]
    addresses: bool,
    prev_result: Option<Map<String, Value>>,
    #[serde(rename = "cni.dev/valid-attachments")]
    valid: Option<Vec<Attachment>>,
}

#[derive(Deserialize)]
struct Attachment {
    #[serde(rename = "containerID")]
    container: String,
}

/// Reads the version alone: what is wrong with the rest is said in it.
pub(crate) fn version(input: &[u8]) -> Result<Version, CniError> {
    let value = value(input)?;
    match value.get("cniVersion") {
        Some(Value::String(text)) => Version::parse(text).ok_or_else(|| {
            let details = format!("`{}` is none of {}", text.escape_debug(), Version::list());
            CniError::new(Code::IncompatibleVersion, "cniVersion is not supported", details)
        }),
        // As the specification has it: a configuration without a version is one of 0.1.0 or 0.2.0.
        None => Err(CniError::new(
            Code::IncompatibleVersion,
            "cniVersion is missing",
            format!("write one of {}", Version::list()),
        )),
        Some(_) => Err(invalid("cniVersion is not a string")),
    }
}

impl Config {
    /// Reads a configuration.
    pub(crate) fn parse(input: &[u8]) -> Result<Self, CniError> {
        let version = version(input)?;
        let wire: Wire = serde_json::from_value(value(input)?).map_err(|error| invalid(&error.to_string()))?;
        Ok(Self {
            version,
            agent: wire.agent.unwrap_or_else(|| DEFAULT_TARGET.to_owned()),
            timeout: wire.timeout.as_deref().map_or(Ok(TIMEOUT), timeout).map_err(|error| invalid(&error))?,
            agent_away: wire.agent_away,
            addresses: wire.addresses,
            previous: wire.prev_result,
            valid: wire.valid.map(|list| list.into_iter().map(|each| each.container).collect()),
        })
    }

    /// The result of the plugins before it.
    pub(crate) fn previous(&self) -> Result<&Map<String, Value>, CniError> {
        self.previous.as_ref().ok_or_else(|| {
            invalid("prevResult is missing: podwire-cni stands behind the cluster's own plugin in a configuration list")
        })
    }
}

/// Reads a time: a whole number and `ms`, `s` or `m`.
pub(crate) fn timeout(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let time = number.parse::<u64>().ok().and_then(|number| match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        _ => None,
    });
    time.filter(|time| !time.is_zero() && *time <= LONGEST).ok_or_else(|| {
        format!("timeout: `{}` is no time from 1ms to 240s, written as `500ms`, `20s` or `2m`", text.escape_debug())
    })
}

fn value(input: &[u8]) -> Result<Value, CniError> {
    let value: Value = serde_json::from_slice(input)
        .map_err(|error| CniError::new(Code::Undecodable, "standard input is not JSON", error.to_string()))?;
    if value.is_object() { Ok(value) } else { Err(invalid("it is not a JSON object")) }
}

fn invalid(problem: &str) -> CniError {
    CniError::new(Code::InvalidConfig, "the network configuration is wrong", problem)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = Config::parse(br#"{"cniVersion": "1.0.0", "name": "n", "type": "podwire-cni"}"#).unwrap();
        assert_eq!((config.timeout, config.agent_away, config.addresses), (TIMEOUT, AgentAway::Open, false));
        assert_eq!(config.agent, DEFAULT_TARGET);
        assert_eq!(config.previous().unwrap_err().code, Code::InvalidConfig);
    }

    #[test]
    fn each_mistake_has_its_code() {
        for (input, code) in [
            ("", Code::Undecodable),
            ("{", Code::Undecodable),
            ("[]", Code::InvalidConfig),
            ("{}", Code::IncompatibleVersion),
            (r#"{"cniVersion": 1}"#, Code::InvalidConfig),
            (r#"{"cniVersion": "0.2.0"}"#, Code::IncompatibleVersion),
            (r#"{"cniVersion": "2.0.0"}"#, Code::IncompatibleVersion),
            (r#"{"cniVersion": "1.0.0", "agentAway": "perhaps"}"#, Code::InvalidConfig),
            (r#"{"cniVersion": "1.0.0", "timeout": "1h"}"#, Code::InvalidConfig),
            (r#"{"cniVersion": "1.0.0", "prevResult": 1}"#, Code::InvalidConfig),
            (r#"{"cniVersion": "1.1.0", "cni.dev/valid-attachments": [1]}"#, Code::InvalidConfig),
        ] {
            assert_eq!(Config::parse(input.as_bytes()).unwrap_err().code, code, "{input}");
        }
    }

    #[test]
    fn times_are_whole_numbers_with_a_unit() {
        assert_eq!(timeout("1500ms"), Ok(Duration::from_millis(1500)));
        assert_eq!(timeout("2m"), Ok(Duration::from_secs(120)));
        for bad in ["", "s", "20", "0s", "-1s", "1.5s", "5m", "99999999999999999999s", "18446744073709551615m", "1ä"] {
            assert!(timeout(bad).is_err(), "{bad}");
        }
    }
}
