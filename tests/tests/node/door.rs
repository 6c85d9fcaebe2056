//! Who gets in by the network, and may do what.

mod audit;
mod certificates;
mod matrix;
mod policy;
mod quotas;
mod renewal;
mod requests;
mod rights;
mod told;
pub(crate) mod wire;

use std::{fs, path::PathBuf};

use podwire_client::{Capture, Client, Error, Tls};
use podwire_tests::{
    condition::{PATIENCE, eventually},
    lab::{
        Lab,
        agent::{Agent, AgentBuilder},
    },
};
use tokio::time::timeout;
use tonic::Code;

use certificates::{Authority, Files, files};

/// Where agents listen with TLS. Each test has a loopback of its own.
pub(crate) const ADDRESS: &str = "127.0.0.1:7411";

/// An agent with TLS, the authority that signs everybody's certificates, and a policy.
pub(crate) struct Door {
    lab: Lab,
    pub(crate) authority: Authority,
    files: Files,
    pub(crate) agent: Agent,
}

impl Door {
    pub(crate) async fn open(lab: &Lab, policy: &str) -> Self {
        Self::open_with(lab, policy, |agent| agent).await
    }

    pub(crate) async fn open_with(lab: &Lab, policy: &str, change: impl FnOnce(AgentBuilder) -> AgentBuilder) -> Self {
        Self::open_by(lab, Authority::new(), policy, change).await
    }

    async fn open_by(
        lab: &Lab,
        authority: Authority,
        policy: &str,
        change: impl FnOnce(AgentBuilder) -> AgentBuilder,
    ) -> Self {
        let files = files(lab.directory().join("agent-tls"), &authority, &authority.issue(&["127.0.0.1"]));
        write(&policy_file(lab), policy);
        let at = |name: &str| files.path(name).display().to_string();
        let agent = lab.agent().arg("--listen").arg(format!("tcp://{ADDRESS}"));
        let agent = agent.arg("--tls-cert").arg(at("tls.crt")).arg("--tls-key").arg(at("tls.key"));
        let agent = agent.arg("--tls-client-ca").arg(at("ca.crt"));
        let agent = change(agent.arg("--policy").arg(policy_file(lab).display().to_string())).start().await;
        Self { lab: lab.clone(), authority, files, agent }
    }

    /// The files of somebody with a certificate for these names.
    fn tls(&self, names: &[&str]) -> Tls {
        let directory = self.lab.directory().join(format!("tls-{}", names.join("-").replace(['/', ':'], "_")));
        files(directory, &self.authority, &self.authority.issue(names)).tls()
    }

    /// Somebody with a certificate for this name.
    pub(crate) async fn client(&self, name: &str) -> Client {
        let connected = Client::builder().tls(self.tls(&[name])).connect(format!("tls://{ADDRESS}")).await;
        connected.unwrap_or_else(|error| panic!("{name}: {error}\n{}", self.agent.log()))
    }

    /// Puts another policy in place and waits until the agent has taken it.
    async fn change_policy(&self, policy: &str) {
        let taken = || self.agent.log().matches("a new policy: it holds").count();
        let before = taken();
        write(&policy_file(&self.lab), policy);
        eventually("the new policy is taken", async || {
            anyhow::ensure!(taken() > before, "{}", self.agent.log());
            Ok(())
        })
        .await;
    }
}

fn policy_file(lab: &Lab) -> PathBuf {
    lab.directory().join("policy").join("policy.yaml")
}

/// Replaces a file as a whole.
fn write(path: &std::path::Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A rule of a policy.
fn rule(identity: &str, namespace: &str, verbs: &str) -> String {
    format!("- {{identities: ['{identity}'], namespaces: ['{namespace}'], verbs: [{verbs}]}}\n")
}

pub(crate) fn rules<const N: usize>(rules: [(&str, &str, &str); N]) -> String {
    let lines = rules.map(|(identity, namespace, verbs)| rule(identity, namespace, verbs));
    format!("rules:\n{}", lines.concat())
}

/// Why a capture is cut off: it ends, and not well.
async fn end_of(film: &mut Capture) -> Error {
    let ended = async {
        loop {
            match film.next().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("it ended as if all were well"),
            }
        }
    };
    timeout(PATIENCE, ended).await.expect("it ends")
}

/// Asserts that the policy refused it.
fn assert_denied(error: &Error, identity: &str, verb: &str, namespace: &str) {
    assert_eq!((error.code(), error.reason()), (Code::PermissionDenied, Some("POLICY")), "{error}");
    for word in [identity, &format!("`{verb}`"), namespace] {
        assert!(error.message().contains(word), "{word}: {error}");
    }
}
