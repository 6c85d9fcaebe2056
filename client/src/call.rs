//! The calls of the contract, one file for each service.

use std::future::Future;

use crate::{Result, client::Client, error::Error};

pub(crate) mod attachment;
pub(crate) mod bridge;
pub(crate) mod capture;
pub(crate) mod link;
pub(crate) mod netns;
pub(crate) mod node;
pub(crate) mod sandbox;
pub(crate) mod topology;
pub(crate) mod verify;

/// A request that changes something. Its implementors say what each returns.
pub trait ChangeRequest: Sealed + Send + Sized + 'static {
    /// What comes back.
    type Answer;

    #[doc(hidden)]
    fn set_generation(&mut self, generation: u64);

    #[doc(hidden)]
    fn set_force(&mut self);

    #[doc(hidden)]
    fn send(self, client: &Client) -> impl Future<Output = Result<Self::Answer>> + Send;
}

/// A [`ChangeRequest`] whose answer may wait until all is READY.
pub trait WaitRequest: ChangeRequest {
    #[doc(hidden)]
    fn set_until_ready(&mut self);
}

/// Only requests of the contract are changes.
pub trait Sealed {}

/// The message that every answer of this call has.
pub(crate) fn present<M>(message: Option<M>, what: &'static str) -> Result<M> {
    message.ok_or_else(|| Error::incomplete(what))
}

/// [`ChangeRequest`] for a request with fields `generation` and `force`.
macro_rules! change {
    ($request:ident, $stub:ident . $method:ident, $answer:ty, |$response:ident| $result:expr) => {
        impl crate::call::Sealed for v1::$request {}

        impl crate::call::ChangeRequest for v1::$request {
            type Answer = $answer;

            fn set_generation(&mut self, generation: u64) {
                self.generation = generation;
            }

            fn set_force(&mut self) {
                self.force = true;
            }

            async fn send(self, client: &Client) -> Result<$answer> {
                let $response = client.answer(client.$stub().$method(client.request(self))).await?;
                $result
            }
        }
    };
}
pub(crate) use change;

/// [`WaitRequest`] for a request with a field `until_ready`.
macro_rules! wait {
    ($request:ident) => {
        impl crate::call::WaitRequest for v1::$request {
            fn set_until_ready(&mut self) {
                self.until_ready = true;
            }
        }
    };
}
pub(crate) use wait;
