//! Ways in for `tests/fuzz`: what becomes of a runtime's input without an agent.

use podwire_client::v1;
use serde_json::Value;

use crate::{
    config::Config,
    install::conflist::{Edit, Edited, edited},
    result::result,
};

/// The result of ADD for an input, where the agent says that these interfaces are there.
///
/// # Errors
///
/// What the runtime is told, as JSON.
pub fn add(input: &[u8], netns: &str, interfaces: &[v1::SandboxInterface]) -> Result<Value, String> {
    let refused = |error: crate::error::CniError| error.render(crate::version::Version::NEWEST);
    let config = Config::parse(input).map_err(refused)?;
    let previous = config.previous().map_err(refused)?;
    result(previous, config.version, netns, interfaces, config.addresses).map_err(refused)
}

/// A configuration list with this entry, or without any; `None`: it cannot be chained into.
pub fn list(text: &str, entry: Option<&Value>) -> Option<String> {
    let edit = entry.map_or(Edit::Remove, |entry| Edit::Add(entry.clone()));
    match edited(text, &edit) {
        Edited::To(text) => Some(text),
        Edited::Same => Some(text.to_owned()),
        Edited::Broken(_) => None,
    }
}
