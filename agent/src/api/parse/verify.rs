//! Which link to try out.

use std::time::Duration;

use podwire_proto::v1;

use crate::{
    api::limits::{USUAL_VERIFICATION, VERIFICATION},
    domain::name::{ElementName, TopologyKey},
    panel::ChangeError,
};

use super::{capture::time, findings::Findings, key::key_at, place::Place};

/// A link that is to be tried out.
pub(crate) struct Verify {
    /// Its topology.
    pub(crate) key: TopologyKey,
    /// Its name.
    pub(crate) name: ElementName,
    /// Time that it may take.
    pub(crate) timeout: Duration,
}

/// `VerifyLink`.
///
/// # Errors
///
/// All violations.
pub(crate) fn verify(message: &v1::VerifyLinkRequest) -> Result<Verify, ChangeError> {
    let (at, mut found) = (Place::MESSAGE, Findings::default());
    let key = key_at(&mut found, &message.namespace, ("topology", &message.topology));
    let name = found.text(at.field("name"), &message.name, "a link name");
    let timeout = match message.timeout {
        None => Some(USUAL_VERIFICATION),
        Some(timeout) => time(&mut found, at.field("timeout"), timeout, VERIFICATION),
    };
    let verify = key.zip(name).zip(timeout).map(|((key, name), timeout)| Verify { key, name, timeout });
    found.finish(verify)
}
