//! Ways in for `tests/fuzz`: what becomes of a message before the engine has it, and what a caller is shown afterwards.

use podwire_proto::v1;
use tonic::{Request, Status};

use crate::panel::{Apply, CaptureRequest, Change, TopologyView};

use super::{parse, render};

/// A request message that says more than which object is meant.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each is the request of the call of its name")]
#[allow(clippy::large_enum_variant, reason = "one at a time is there")]
pub enum Message {
    ApplyTopology(v1::ApplyTopologyRequest),
    CreateBridge(v1::CreateBridgeRequest),
    CreateLink(v1::CreateLinkRequest),
    Attach(v1::AttachRequest),
    UpdateLink(v1::UpdateLinkRequest),
    UpdateAttachment(v1::UpdateAttachmentRequest),
    DeleteBridge(v1::DeleteBridgeRequest),
    DeleteLink(v1::DeleteLinkRequest),
    Detach(v1::DetachRequest),
    Capture(v1::CaptureRequest),
    VerifyLink(v1::VerifyLinkRequest),
    PlugSandbox(v1::PlugSandboxRequest),
    RetainSandboxes(v1::RetainSandboxesRequest),
    WatchTopologies(v1::WatchTopologiesRequest),
    RenewLeases(v1::RenewLeasesRequest),
    ListAttachments(v1::ListAttachmentsRequest),
}

/// What a message asks the engine for.
#[derive(Debug)]
pub enum Asked {
    /// A whole topology.
    Apply(Box<Apply>),
    /// One element of a topology.
    Change(Box<Change>),
    /// A capture.
    Capture(Box<CaptureRequest>),
    /// Something else that is sound.
    Other,
}

/// Parses a message.
///
/// # Errors
///
/// What the caller is told.
pub fn asked(message: Message) -> Result<Asked, Status> {
    let change = |change| Asked::Change(Box::new(change));
    Ok(match message {
        Message::ApplyTopology(it) => Asked::Apply(Box::new(parse::apply(Request::new(it))?)),
        Message::CreateBridge(it) => change(parse::create_bridge(it)?),
        Message::CreateLink(it) => change(parse::create_link(Request::new(it))?),
        Message::Attach(it) => change(parse::attach(Request::new(it))?),
        Message::UpdateLink(it) => change(parse::update_link(it)?),
        Message::UpdateAttachment(it) => change(parse::update_attachment(it)?),
        Message::DeleteBridge(it) => change(parse::delete_bridge(it)?),
        Message::DeleteLink(it) => change(parse::delete_link(it)?),
        Message::Detach(it) => change(parse::detach(it)?),
        Message::Capture(it) => Asked::Capture(Box::new(parse::capture(it)?)),
        Message::VerifyLink(it) => parse::verify(&it).map(|_| Asked::Other)?,
        Message::PlugSandbox(it) => parse::plug_sandbox(Request::new(it)).map(|_| Asked::Other)?,
        Message::RetainSandboxes(it) => parse::retain_sandboxes(it).map(|_| Asked::Other)?,
        Message::WatchTopologies(it) => parse::watch(&it).map(|_| Asked::Other)?,
        Message::RenewLeases(it) => parse::renew(it).map(|renewals| {
            renewals.for_each(drop);
            Asked::Other
        })?,
        Message::ListAttachments(it) => parse::list_attachments(&it).map(|_| Asked::Other)?,
    })
}

/// A topology as `GetTopology` shows it.
pub fn shown(view: &TopologyView) -> v1::Topology {
    render::topology(view)
}
