//! Calls about one element.

use podwire_proto::v1;
use tokio::time::Instant;
use tonic::Request;

use crate::{
    api::deadline::until,
    domain::{
        edit::Edit,
        intent::Generation,
        name::{ElementName, Namespace, NetnsName, PodName, TopologyKey},
        quota::Quota,
    },
    panel::{Change, ChangeError, Fence},
};

use super::{
    element,
    findings::Findings,
    impairment::impairment,
    key::{key_at, namespace},
    place::Place,
};

/// Which element a call is about.
pub(crate) struct Element {
    /// Its topology.
    pub(crate) key: TopologyKey,
    /// Its name.
    pub(crate) name: ElementName,
}

/// Whose elements to list.
pub(crate) struct Members {
    /// The namespace and the topology; where that was empty, `default` stands in it.
    pub(crate) key: TopologyKey,
    /// All topologies of the namespace.
    pub(crate) all: bool,
    /// Only interfaces of this pod.
    pub(crate) pod: Option<PodName>,
}

/// `CreateBridge`.
///
/// # Errors
///
/// All violations. So have the other functions of this file.
pub(crate) fn create_bridge(request: v1::CreateBridgeRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| {
        let message = required(found, "bridge", request.bridge)?;
        element::bridge(found, Place::MESSAGE.field("bridge"), message).map(Edit::CreateBridge)
    })
}

/// `CreateLink`.
pub(crate) fn create_link(request: Request<v1::CreateLinkRequest>) -> Result<Change, ChangeError> {
    let until = until(request.metadata(), request.get_ref().until_ready);
    let request = request.into_inner();
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until };
    call.change(|found| {
        let message = required(found, "link", request.link)?;
        element::link(found, Place::MESSAGE.field("link"), message).map(|link| Edit::CreateLink(Box::new(link)))
    })
}

/// `Attach`.
pub(crate) fn attach(request: Request<v1::AttachRequest>) -> Result<Change, ChangeError> {
    let until = until(request.metadata(), request.get_ref().until_ready);
    let request = request.into_inner();
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until };
    call.change(|found| {
        let message = required(found, "attachment", request.attachment)?;
        element::attachment(found, Place::MESSAGE.field("attachment"), message).map(Edit::Attach)
    })
}

/// `UpdateLink`.
pub(crate) fn update_link(request: v1::UpdateLinkRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| {
        let a_to_b = request.a_to_b.map(|it| impairment(found, Place::MESSAGE.field("a_to_b"), Some(it)));
        let b_to_a = request.b_to_a.map(|it| impairment(found, Place::MESSAGE.field("b_to_a"), Some(it)));
        let name = name(found, &request.name, LINK)?;
        Some(Edit::UpdateLink { name, up: request.up, a_to_b: a_to_b.flatten(), b_to_a: b_to_a.flatten() })
    })
}

/// `UpdateAttachment`.
pub(crate) fn update_attachment(request: v1::UpdateAttachmentRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| {
        let at = Place::MESSAGE.field("to_interface");
        let to_interface = request.to_interface.map(|it| impairment(found, at, Some(it)));
        let name = name(found, &request.name, ATTACHMENT)?;
        Some(Edit::UpdateAttachment { name, up: request.up, to_interface: to_interface.flatten() })
    })
}

/// `DeleteBridge`.
pub(crate) fn delete_bridge(request: v1::DeleteBridgeRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| {
        Some(Edit::DeleteBridge { name: name(found, &request.name, BRIDGE)?, cascade: request.cascade })
    })
}

/// `DeleteLink`.
pub(crate) fn delete_link(request: v1::DeleteLinkRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| name(found, &request.name, LINK).map(Edit::DeleteLink))
}

/// `Detach`.
pub(crate) fn detach(request: v1::DetachRequest) -> Result<Change, ChangeError> {
    let (namespace, topology) = (request.namespace, request.topology);
    let call = Call { namespace, topology, generation: request.generation, force: request.force, until: None };
    call.change(|found| name(found, &request.name, ATTACHMENT).map(Edit::Detach))
}

/// `GetBridge`.
pub(crate) fn get_bridge(request: &v1::GetBridgeRequest) -> Result<Element, ChangeError> {
    element(&request.namespace, &request.topology, &request.name, BRIDGE)
}

/// `GetLink`.
pub(crate) fn get_link(request: &v1::GetLinkRequest) -> Result<Element, ChangeError> {
    element(&request.namespace, &request.topology, &request.name, LINK)
}

/// `GetAttachment`.
pub(crate) fn get_attachment(request: &v1::GetAttachmentRequest) -> Result<Element, ChangeError> {
    element(&request.namespace, &request.topology, &request.name, ATTACHMENT)
}

/// `ListBridges`.
pub(crate) fn list_bridges(request: &v1::ListBridgesRequest) -> Result<Members, ChangeError> {
    members(&request.namespace, &request.topology, "")
}

/// `ListLinks`.
pub(crate) fn list_links(request: &v1::ListLinksRequest) -> Result<Members, ChangeError> {
    members(&request.namespace, &request.topology, "")
}

/// `ListAttachments`.
pub(crate) fn list_attachments(request: &v1::ListAttachmentsRequest) -> Result<Members, ChangeError> {
    members(&request.namespace, &request.topology, &request.pod)
}

/// `ListPods`: of which namespace; `None`: of all.
pub(crate) fn pods(request: &v1::ListPodsRequest) -> Result<Option<Namespace>, ChangeError> {
    namespace(&request.namespace)
}

/// The name of `CreateNetns` and `DeleteNetns`.
pub(crate) fn netns(text: &str) -> Result<NetnsName, ChangeError> {
    let mut found = Findings::default();
    let name = found.text(Place::MESSAGE.field("name"), text, "a name of a network namespace");
    found.finish(name)
}

const BRIDGE: &str = "a bridge name";
const LINK: &str = "a link name";
const ATTACHMENT: &str = "an attachment name";

/// What all changing single calls have.
struct Call {
    namespace: String,
    topology: String,
    generation: u64,
    force: bool,
    until: Option<Instant>,
}

impl Call {
    fn change(self, edit: impl FnOnce(&mut Findings) -> Option<Edit>) -> Result<Change, ChangeError> {
        let mut found = Findings::default();
        let key = key_at(&mut found, &self.namespace, ("topology", &self.topology));
        let edit = edit(&mut found);
        let (key, edit) = found.finish(key.zip(edit))?;
        let fence = Fence { generation: Generation(self.generation), force: self.force };
        Ok(Change { key, edit, fence, quota: Quota::default(), until: self.until })
    }
}

fn required<T>(found: &mut Findings, field: &'static str, message: Option<T>) -> Option<T> {
    if message.is_none() {
        found.add(Place::MESSAGE.field(field), "it is required");
    }
    message
}

fn name(found: &mut Findings, text: &str, kind: &str) -> Option<ElementName> {
    found.text(Place::MESSAGE.field("name"), text, kind)
}

fn element(namespace: &str, topology: &str, text: &str, kind: &str) -> Result<Element, ChangeError> {
    let mut found = Findings::default();
    let key = key_at(&mut found, namespace, ("topology", topology));
    let name = name(&mut found, text, kind);
    let (key, name) = found.finish(key.zip(name))?;
    Ok(Element { key, name })
}

fn members(namespace: &str, topology: &str, pod: &str) -> Result<Members, ChangeError> {
    let mut found = Findings::default();
    let key = key_at(&mut found, namespace, ("topology", topology));
    let pod = found.optional(Place::MESSAGE.field("pod"), pod, "a pod name");
    let (key, pod) = found.finish(key.zip(pod))?;
    Ok(Members { key, all: topology.is_empty(), pod })
}
