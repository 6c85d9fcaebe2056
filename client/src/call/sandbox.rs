//! Sandboxes of pods, for the CNI plugin. On unix sockets only.

use crate::{Result, client::Client, v1};

impl Client {
    /// Announces a sandbox and waits until the interfaces of its pod are READY; returns them by index. Waits as long as
    /// the client's deadline ([`with_deadline`](Self::with_deadline)).
    ///
    /// # Errors
    ///
    /// [`Error::is_deadline`](crate::Error::is_deadline) with the interfaces that are not READY;
    /// [`Error::is_precondition`](crate::Error::is_precondition) where it cannot be announced or an interface was refused.
    pub async fn plug_sandbox(&self, sandbox: v1::Sandbox) -> Result<Vec<v1::SandboxInterface>> {
        let request = self.request(v1::PlugSandboxRequest { sandbox: Some(sandbox) });
        Ok(self.answer(self.sandboxes().plug_sandbox(request)).await?.interfaces)
    }

    /// Takes an announcement back; of a sandbox that is not its pod's current one nothing happens.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where it is no id.
    pub async fn unplug_sandbox(&self, sandbox_id: impl Into<String>) -> Result<()> {
        let request = self.request(v1::UnplugSandboxRequest { sandbox_id: sandbox_id.into() });
        self.answer(self.sandboxes().unplug_sandbox(request)).await.map(drop)
    }

    /// Looks whether a sandbox is its pod's current one and has its interfaces; returns them by index.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) with the reason `NOT_CURRENT` or `INTERFACE_FAILED`;
    /// [`Error::is_deadline`](crate::Error::is_deadline) where an interface is not READY.
    pub async fn check_sandbox(&self, sandbox: v1::Sandbox) -> Result<Vec<v1::SandboxInterface>> {
        let request = self.request(v1::CheckSandboxRequest { sandbox: Some(sandbox) });
        Ok(self.answer(self.sandboxes().check_sandbox(request)).await?.interfaces)
    }

    /// Takes the announcements of all sandboxes but these back; returns the ids of those.
    ///
    /// # Errors
    ///
    /// [`Error::is_invalid`](crate::Error::is_invalid) where one of them is no id.
    pub async fn retain_sandboxes(&self, sandbox_ids: Vec<String>) -> Result<Vec<String>> {
        let request = self.request(v1::RetainSandboxesRequest { sandbox_ids });
        Ok(self.answer(self.sandboxes().retain_sandboxes(request)).await?.withdrawn)
    }
}
