//! Trying out links.

use crate::{Result, client::Client, v1};

impl Client {
    /// Sends frames from each end of a link to the other, from inside the pods, and says what arrives. It takes
    /// milliseconds where everything passes, 2 s at most.
    ///
    /// # Errors
    ///
    /// [`Error::is_not_found`](crate::Error::is_not_found);
    /// [`Error::is_precondition`](crate::Error::is_precondition) where an interface waits for its pod.
    pub async fn verify_link(
        &self,
        namespace: impl Into<String>,
        topology: impl Into<String>,
        name: impl Into<String>,
    ) -> Result<v1::VerifyLinkResponse> {
        let (namespace, topology, name) = (namespace.into(), topology.into(), name.into());
        let request = v1::VerifyLinkRequest { namespace, topology, name, timeout: None };
        self.answer(self.links().verify_link(self.request(request))).await
    }
}
