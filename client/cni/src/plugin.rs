//! The plugin: one call of a container runtime.

use std::{ffi::OsString, io, time::Duration};

use podwire_client::v1;
use serde_json::{Value, json};

use crate::{
    agent::{AgentError, reach, refused},
    config::{self, AgentAway, Config},
    environment::{Attachment, Command, Environment},
    error::{CniError, Code},
    result::{missing, result},
    version::Version,
};

/// Time for a call that waits for nothing.
const SHORT: Duration = Duration::from_secs(5);

/// Bytes of the longest id that the agent takes.
const ID_BYTES: usize = 256;

/// What is said to the runtime.
#[derive(Debug)]
pub struct Outcome {
    /// For standard output: a result, an error, or nothing.
    pub stdout: String,
    /// For standard error.
    pub notes: Vec<String>,
    /// Whether the exit status is not 0.
    pub failed: bool,
}

impl Outcome {
    /// Standard input cannot be read.
    pub fn unreadable(error: &io::Error) -> Self {
        let error = CniError::new(Code::Io, "standard input cannot be read", error.to_string());
        Self { stdout: error.render(Version::NEWEST), notes: Vec::new(), failed: true }
    }
}

/// Does what a container runtime asks for by its environment and standard input.
pub async fn plugin(environment: &dyn Fn(&str) -> Option<OsString>, input: &[u8]) -> Outcome {
    let version = config::version(input).unwrap_or(Version::NEWEST);
    let mut call = Call { environment: Environment(environment), input, notes: Vec::new() };
    match call.run().await {
        Ok(Value::Null) => Outcome { stdout: String::new(), notes: call.notes, failed: false },
        Ok(result) => Outcome { stdout: result.to_string(), notes: call.notes, failed: false },
        Err(error) => Outcome { stdout: error.render(version), notes: call.notes, failed: true },
    }
}

struct Call<'a> {
    environment: Environment<'a>,
    input: &'a [u8],
    notes: Vec<String>,
}

impl Call<'_> {
    async fn run(&mut self) -> Result<Value, CniError> {
        match self.environment.command()? {
            Command::Version => Ok(self.version()),
            Command::Add => self.add().await,
            Command::Check => self.check().await.map(|()| Value::Null),
            Command::Del => self.del().await.map(|()| Value::Null),
            Command::Gc => self.gc().await.map(|()| Value::Null),
            Command::Status => self.status().await.map(|()| Value::Null),
        }
    }

    /// Answered whatever the input is: a runtime asks to learn what it may say.
    fn version(&self) -> Value {
        let version = config::version(self.input).unwrap_or(Version::NEWEST);
        json!({ "cniVersion": version.as_str(), "supportedVersions": Version::ALL.map(Version::as_str) })
    }

    async fn add(&mut self) -> Result<Value, CniError> {
        let attachment = self.environment.attachment(Command::Add)?;
        let config = Config::parse(self.input)?;
        let previous = config.previous()?;
        let interfaces = match sandbox(&attachment) {
            Some(sandbox) => self.plug(&config, sandbox).await?,
            None => Vec::new(),
        };
        self.notes.extend(missing(&interfaces));
        result(previous, config.version, &attachment.netns, &interfaces, config.addresses)
    }

    async fn plug(&mut self, config: &Config, sandbox: v1::Sandbox) -> Result<Vec<v1::SandboxInterface>, CniError> {
        let client = match reach(&config.agent).await {
            Ok(client) => client,
            Err(error) => return self.away(config, error).map(|()| Vec::new()),
        };
        match client.with_deadline(config.timeout).plug_sandbox(sandbox).await {
            Ok(interfaces) => Ok(interfaces),
            Err(error) if error.is_unavailable() => {
                self.away(config, AgentError::Away(error.to_string())).map(|()| Vec::new())
            }
            Err(error) => Err(refused(&error)),
        }
    }

    async fn check(&mut self) -> Result<(), CniError> {
        let attachment = self.environment.attachment(Command::Check)?;
        let config = Config::parse(self.input)?;
        config.previous()?;
        let Some(sandbox) = sandbox(&attachment) else { return Ok(()) };
        let client = match reach(&config.agent).await {
            Ok(client) => client,
            Err(error) => return self.away(&config, error),
        };
        match client.with_deadline(SHORT).check_sandbox(sandbox).await {
            Ok(interfaces) => {
                self.notes.extend(missing(&interfaces));
                Ok(())
            }
            Err(error) if error.is_unavailable() => self.away(&config, AgentError::Away(error.to_string())),
            Err(error) => Err(refused(&error)),
        }
    }

    /// Succeeds whatever the agent says: a pod that goes must not be held up, and what was in it goes with it.
    async fn del(&mut self) -> Result<(), CniError> {
        let attachment = self.environment.attachment(Command::Del)?;
        config::version(self.input)?;
        let config = match Config::parse(self.input) {
            Ok(config) => config,
            // It was another one when the pod came.
            Err(error) => {
                self.notes.push(error.to_string());
                return Ok(());
            }
        };
        match reach(&config.agent).await {
            Ok(client) => {
                let unplugged = client.with_deadline(SHORT).unplug_sandbox(attachment.container).await;
                self.notes.extend(unplugged.err().map(|error| error.to_string()));
            }
            // It holds announcements as long as it runs.
            Err(error) => self.notes.push(error.to_string()),
        }
        Ok(())
    }

    async fn gc(&mut self) -> Result<(), CniError> {
        let config = Config::parse(self.input)?;
        let Some(valid) = config.valid else {
            let problem = "cni.dev/valid-attachments is missing: without it nothing is known to be stale";
            return Err(CniError::new(Code::InvalidConfig, "the network configuration is wrong", problem));
        };
        match reach(&config.agent).await {
            Ok(client) => {
                // What is no id was never announced.
                let valid = valid.into_iter().filter(|id| is_id(id)).collect();
                let withdrawn = client.with_deadline(SHORT).retain_sandboxes(valid).await;
                let withdrawn = withdrawn.map_err(|error| refused(&error))?;
                self.notes.extend(withdrawn.iter().map(|id| format!("sandbox {id} is gone")));
                Ok(())
            }
            Err(error @ AgentError::Target(_)) => Err(error.into()),
            Err(error @ AgentError::Away(_)) => {
                self.notes.push(error.to_string());
                Ok(())
            }
        }
    }

    async fn status(&mut self) -> Result<(), CniError> {
        let config = Config::parse(self.input)?;
        match reach(&config.agent).await {
            Ok(_) => Ok(()),
            Err(error) => self.away(&config, error).map_err(|error| match error.code {
                Code::TryAgainLater => CniError { code: Code::NotAvailable, ..error },
                _ => error,
            }),
        }
    }

    /// What is to be done without the agent.
    fn away(&mut self, config: &Config, error: AgentError) -> Result<(), CniError> {
        match (config.agent_away, error) {
            (AgentAway::Open, AgentError::Away(words)) => {
                self.notes.push(format!("the agent is away, and `agentAway` is `open`: {words}"));
                Ok(())
            }
            (_, error) => Err(error.into()),
        }
    }
}

/// The sandbox to announce. `None`: it is not a pod's, so no topology asks for it.
fn sandbox(attachment: &Attachment) -> Option<v1::Sandbox> {
    let pod = attachment.pod.clone()?;
    Some(v1::Sandbox {
        namespace: pod.namespace,
        pod: pod.name,
        uid: pod.uid,
        sandbox_id: attachment.container.clone(),
        netns_path: attachment.netns.clone(),
    })
}

fn is_id(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= ID_BYTES
        && bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

#[cfg(test)]
mod tests;
