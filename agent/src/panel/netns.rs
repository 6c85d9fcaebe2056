//! Named network namespaces as pods of a bare host.

use crate::{
    domain::name::{NetnsName, TopologyKey},
    kernel::{KernelError, Netns, NetnsDir, NetnsError},
    pods::NamedPods,
};

use super::{engine::Engine, error::ChangeError, request::NamedNetns};

impl Engine {
    /// Makes a named network namespace. One that the agent made already succeeds.
    ///
    /// # Errors
    ///
    /// The name is somebody else's; pods are not named namespaces here; the kernel's words.
    pub async fn create_netns(&self, name: NetnsName) -> Result<NamedNetns, ChangeError> {
        self.takes_changes()?;
        self.with_netns(move |dir| {
            match dir.create_signed(name.as_str()) {
                Ok(()) => {}
                Err(error) if error.is_present() => {
                    if !look(dir, name.as_str())?.owned {
                        let name = name.to_string();
                        return Err(ChangeError::AlreadyExists { kind: "netns", name, fields: vec!["owned"] });
                    }
                }
                Err(source) => return Err(failed("create", &name, source)),
            }
            look(dir, name.as_str())
        })
        .await
    }

    /// The named network namespaces that may serve as pods, by name.
    ///
    /// # Errors
    ///
    /// Pods are not named namespaces here; the kernel's words.
    pub async fn list_netns(&self) -> Result<Vec<NamedNetns>, ChangeError> {
        self.with_netns(|dir| {
            let names = dir.names().map_err(crate::pods::PodsError::from)?;
            names.iter().filter(|name| NamedPods::may_be_pod(name)).map(|name| look(dir, name)).collect()
        })
        .await
    }

    /// Removes a named network namespace that the agent made. An absent one succeeds.
    ///
    /// # Errors
    ///
    /// It is somebody else's; pods are not named namespaces here; the kernel's words.
    pub async fn delete_netns(&self, name: NetnsName) -> Result<(), ChangeError> {
        self.takes_changes()?;
        self.with_netns(move |dir| {
            match Netns::open(&dir.path(name.as_str())) {
                Err(NetnsError::Absent(_)) => return Ok(()),
                Ok(netns) if netns.is_signed().map_err(|source| failed("look at", &name, source))? => {}
                Ok(_) | Err(_) => {
                    return Err(ChangeError::Impossible {
                        kind: "netns",
                        name: name.to_string(),
                        problem: "podwire did not make it: remove it with the tool that did",
                    });
                }
            }
            dir.remove(name.as_str()).map_err(|source| failed("remove", &name, source))
        })
        .await
    }

    async fn with_netns<T: Send + 'static>(
        &self,
        work: impl FnOnce(&NetnsDir) -> Result<T, ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        if self.node().pods != "netns" {
            return Err(ChangeError::Impossible {
                kind: "NetnsService",
                name: self.node().name.clone(),
                problem: "pods are not named network namespaces on this node: start the agent with --pods netns",
            });
        }
        let dir = self.netns_dir();
        self.work(&TopologyKey::default(), move || work(&dir)).await
    }
}

fn look(dir: &NetnsDir, name: &str) -> Result<NamedNetns, ChangeError> {
    let path = dir.path(name);
    let owned = match Netns::open(&path) {
        Ok(netns) => netns.is_signed().map_err(crate::pods::PodsError::from)?,
        Err(_) => false,
    };
    Ok(NamedNetns { name: name.to_owned(), path, owned })
}

fn failed(what: &str, name: &NetnsName, source: KernelError) -> ChangeError {
    let source = Box::new(source);
    ChangeError::Step { step: format!("{what} netns {name}"), cost: String::new(), undo: None, source }
}
