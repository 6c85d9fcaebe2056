//! A call that changes something, with its options, before it is sent.

use std::{
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use crate::{
    Result,
    call::{ChangeRequest, WaitRequest},
    client::Client,
    impairment::Impairment,
    v1,
};

/// A call that changes something: `.await` sends it, the methods before that are its options.
///
/// ```no_run
/// # async fn run(client: podwire_client::Client) -> podwire_client::Result<()> {
/// client.delete_topology("lessons", "12").generation(7).await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is sent before `.await`"]
pub struct Change<R> {
    client: Client,
    request: R,
}

impl<R> Change<R> {
    pub(crate) fn new(client: &Client, request: R) -> Self {
        Self { client: client.clone(), request }
    }

    /// Time that this call has, instead of the client's.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.client = self.client.with_deadline(deadline);
        self
    }

    /// The message as it will be sent.
    pub fn request(&self) -> &R {
        &self.request
    }
}

impl<R: ChangeRequest> Change<R> {
    /// Fencing number of the caller. A lower one than the stored one is refused: [`Error::is_fenced`](crate::Error::is_fenced).
    pub fn generation(mut self, generation: u64) -> Self {
        self.request.set_generation(generation);
        self
    }

    /// Accept generation 0 on a fenced topology.
    pub fn force(mut self) -> Self {
        self.request.set_force();
        self
    }
}

impl<R: WaitRequest> Change<R> {
    /// Answer when all is READY, or shortly before the deadline with every reason why not. What was asked stays either way.
    pub fn until_ready(mut self) -> Self {
        self.request.set_until_ready();
        self
    }
}

impl Change<v1::DeleteBridgeRequest> {
    /// Detach what is plugged into the bridge too.
    pub fn cascade(mut self) -> Self {
        self.request.cascade = true;
        self
    }
}

impl Change<v1::UpdateLinkRequest> {
    /// Plug the cable (true) or pull it (false).
    pub fn up(mut self, up: bool) -> Self {
        self.request.up = Some(up);
        self
    }

    /// What happens to frames from the first end to the second, in place of all that did. Empty: nothing any more.
    pub fn a_to_b(mut self, impairment: Impairment) -> Self {
        self.request.a_to_b = Some(impairment.into());
        self
    }

    /// What happens to frames from the second end to the first, in place of all that did.
    pub fn b_to_a(mut self, impairment: Impairment) -> Self {
        self.request.b_to_a = Some(impairment.into());
        self
    }
}

impl Change<v1::UpdateAttachmentRequest> {
    /// Plug the cable (true) or pull it (false).
    pub fn up(mut self, up: bool) -> Self {
        self.request.up = Some(up);
        self
    }

    /// What happens to frames from the bridge to the interface, in place of all that did.
    pub fn to_interface(mut self, impairment: Impairment) -> Self {
        self.request.to_interface = Some(impairment.into());
        self
    }
}

impl<R: ChangeRequest> IntoFuture for Change<R> {
    type Output = Result<R::Answer>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.request.send(&self.client).await })
    }
}

impl<R: fmt::Debug> fmt::Debug for Change<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Change").field("request", &self.request).finish_non_exhaustive()
    }
}
