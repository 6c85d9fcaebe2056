//! Calls about sandboxes.

use std::{collections::BTreeSet, path::PathBuf};

use podwire_proto::v1;
use tokio::time::Instant;
use tonic::Request;

use crate::{
    api::deadline::until,
    domain::{announcement::AnnouncedSandbox, name::ContainerId, observed::SandboxId},
    panel::{ChangeError, as_seen_here},
};

use super::{findings::Findings, place::Place};

/// Bytes of the longest path: `PATH_MAX` of limits.h less the final zero.
const PATH_BYTES: usize = 4095;

/// Sandboxes of one call.
const MOST: usize = 65536;

/// `PlugSandbox`: what, and until when to wait.
///
/// # Errors
///
/// All violations. So have the other functions of this file.
pub(crate) fn plug_sandbox(
    request: Request<v1::PlugSandboxRequest>,
) -> Result<(AnnouncedSandbox, Option<Instant>), ChangeError> {
    let until = until(request.metadata(), true);
    Ok((sandbox(request.into_inner().sandbox)?, until))
}

/// `CheckSandbox`.
pub(crate) fn check_sandbox(request: v1::CheckSandboxRequest) -> Result<AnnouncedSandbox, ChangeError> {
    sandbox(request.sandbox)
}

/// `UnplugSandbox`.
pub(crate) fn unplug_sandbox(request: &v1::UnplugSandboxRequest) -> Result<SandboxId, ChangeError> {
    let mut found = Findings::default();
    let id = id(&mut found, Place::MESSAGE.field("sandbox_id"), &request.sandbox_id);
    found.finish(id)
}

/// `RetainSandboxes`.
pub(crate) fn retain_sandboxes(request: v1::RetainSandboxesRequest) -> Result<BTreeSet<SandboxId>, ChangeError> {
    let mut found = Findings::default();
    let (at, mut ids) = (Place::MESSAGE, request.sandbox_ids);
    found.most(at.field("sandbox_ids"), &mut ids, MOST);
    let ids = ids.iter().enumerate().filter_map(|(index, text)| id(&mut found, at.item("sandbox_ids", index), text));
    let ids = ids.collect();
    found.finish(Some(ids))
}

fn sandbox(message: Option<v1::Sandbox>) -> Result<AnnouncedSandbox, ChangeError> {
    let mut found = Findings::default();
    let at = Place::MESSAGE.field("sandbox");
    let Some(message) = message else {
        found.add(at, "it is required");
        return found.finish(None);
    };
    let namespace = found.text(at.field("namespace"), &message.namespace, "a namespace");
    let pod = found.text(at.field("pod"), &message.pod, "a pod name");
    let uid = found.optional(at.field("uid"), &message.uid, "a UID");
    let sandbox_id = id(&mut found, at.field("sandbox_id"), &message.sandbox_id);
    let netns_path = PathBuf::from(message.netns_path);
    let length = netns_path.as_os_str().len();
    if !netns_path.is_absolute() {
        found.add(at.field("netns_path"), "it is not an absolute path");
    } else if length > PATH_BYTES {
        found.add(at.field("netns_path"), format_args!("it has {length} bytes, {PATH_BYTES} are the most"));
    } else if netns_path.as_os_str().as_encoded_bytes().contains(&0) {
        found.add(at.field("netns_path"), "a path has no zero byte");
    }
    let sandbox = (|| {
        let (namespace, pod, uid, sandbox_id) = (namespace?, pod?, uid?, sandbox_id?);
        Some(as_seen_here(AnnouncedSandbox { namespace, pod, uid, sandbox_id, netns_path }))
    })();
    found.finish(sandbox)
}

fn id(found: &mut Findings, at: Place<'_>, text: &str) -> Option<SandboxId> {
    let id: Option<ContainerId> = found.text(at, text, "an id of a sandbox");
    id.map(|id| SandboxId::new(id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let message = v1::Sandbox {
            namespace: "Ä".into(),
            pod: String::new(),
            uid: "u/1".into(),
            sandbox_id: "-x".into(),
            netns_path: "netns/a".into(),
        };
        let Err(ChangeError::Invalid(violations)) = sandbox(Some(message)) else { panic!("it was taken") };
        let fields: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
        let expected = ["sandbox.namespace", "sandbox.pod", "sandbox.uid", "sandbox.sandbox_id", "sandbox.netns_path"];
        assert_eq!(fields, expected, "{violations:?}");
        assert!(matches!(sandbox(None), Err(ChangeError::Invalid(_))));
    }

    #[test]
    fn a_path_that_no_kernel_takes_is_refused() {
        for path in ["/run/netns/a\0b".to_owned(), format!("/{}", "a".repeat(PATH_BYTES))] {
            let message = v1::Sandbox {
                namespace: "lessons".into(),
                pod: "bb1".into(),
                uid: String::new(),
                sandbox_id: "0f".repeat(32),
                netns_path: path,
            };
            assert!(matches!(sandbox(Some(message)), Err(ChangeError::Invalid(_))));
        }
    }
}
