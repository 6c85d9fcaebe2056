//! Named network namespaces as the pods of a bare host.

use crate::{Result, call::present, client::Client, v1};

impl Client {
    /// Makes a named network namespace; one that the agent made already succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::is_already_exists`](crate::Error::is_already_exists) where it is somebody else's;
    /// [`Error::is_precondition`](crate::Error::is_precondition) where pods are not named namespaces.
    pub async fn create_netns(&self, name: impl Into<String>) -> Result<v1::Netns> {
        let request = self.request(v1::CreateNetnsRequest { name: name.into() });
        present(self.answer(self.netns().create_netns(request)).await?.netns, "network namespace")
    }

    /// The named network namespaces that may serve as pods, by name.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) where pods are not named namespaces.
    pub async fn list_netns(&self) -> Result<Vec<v1::Netns>> {
        Ok(self.answer(self.netns().list_netns(self.request(v1::ListNetnsRequest {}))).await?.netns)
    }

    /// Removes a named network namespace that the agent made; an absent one succeeds.
    ///
    /// # Errors
    ///
    /// [`Error::is_precondition`](crate::Error::is_precondition) where it is somebody else's.
    pub async fn delete_netns(&self, name: impl Into<String>) -> Result<()> {
        let request = self.request(v1::DeleteNetnsRequest { name: name.into() });
        self.answer(self.netns().delete_netns(request)).await.map(drop)
    }
}
