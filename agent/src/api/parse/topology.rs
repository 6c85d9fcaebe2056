//! Whole topologies, and the calls about them.

use std::time::Duration;

use podwire_proto::v1;
use tonic::Request;

use crate::{
    api::{deadline::until, limits::RENEWALS},
    domain::{
        check::{MAX_ELEMENTS, check},
        intent::Generation,
        name::{Namespace, TopologyKey},
        quota::Quota,
        spec::TopologySpec,
        violation::Violation,
    },
    panel::{Apply, ChangeError, Fence, ResumeToken},
};

use super::{
    element,
    findings::{Findings, Quoted},
    key::{key, key_at, namespace},
    place::Place,
    stand_in::judgeable,
};

/// Shortest lease.
const LEAST_LEASE: Duration = Duration::from_secs(1);
/// Longest lease: ten years. A longer one is a unit mixed up.
const LONGEST_LEASE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// An apply.
///
/// # Errors
///
/// All violations; a limit.
pub(crate) fn apply(request: Request<v1::ApplyTopologyRequest>) -> Result<Apply, ChangeError> {
    let until = until(request.metadata(), request.get_ref().until_ready);
    let request = request.into_inner();
    let (spec, generation) = topology(request.topology)?;
    Ok(Apply { spec, fence: Fence { generation, force: request.force }, quota: Quota::default(), until })
}

/// An apply that is only planned.
///
/// # Errors
///
/// As `apply`.
pub(crate) fn plan(request: v1::PlanTopologyRequest) -> Result<Apply, ChangeError> {
    let (spec, generation) = topology(request.topology)?;
    Ok(Apply { spec, fence: Fence { generation, force: request.force }, quota: Quota::default(), until: None })
}

/// Which topology to get.
///
/// # Errors
///
/// All violations.
pub(crate) fn get(request: &v1::GetTopologyRequest) -> Result<TopologyKey, ChangeError> {
    key(&request.namespace, ("name", &request.name))
}

/// Of which namespace to list; `None`: of all.
///
/// # Errors
///
/// A violation.
pub(crate) fn list(request: &v1::ListTopologiesRequest) -> Result<Option<Namespace>, ChangeError> {
    namespace(&request.namespace)
}

/// Which topology to delete.
///
/// # Errors
///
/// All violations.
pub(crate) fn delete(request: &v1::DeleteTopologyRequest) -> Result<(TopologyKey, Fence), ChangeError> {
    let fence = Fence { generation: Generation(request.generation), force: request.force };
    Ok((key(&request.namespace, ("name", &request.name))?, fence))
}

/// A renewal; without a key where its namespace or name is none.
pub(crate) struct Renew {
    /// The request, for the answer.
    pub(crate) item: v1::renew_leases_request::Item,
    /// Which topology.
    pub(crate) key: Option<TopologyKey>,
    /// Fencing number of the caller.
    pub(crate) generation: Generation,
}

/// The renewals, each for itself.
///
/// # Errors
///
/// Too many.
pub(crate) fn renew(mut request: v1::RenewLeasesRequest) -> Result<impl Iterator<Item = Renew>, ChangeError> {
    let mut found = Findings::default();
    found.most(Place::MESSAGE.field("topologies"), &mut request.topologies, RENEWALS);
    let items = found.finish(Some(request.topologies))?;
    Ok(items.into_iter().map(|item| Renew {
        key: key(&item.namespace, ("name", &item.name)).ok(),
        generation: Generation(item.generation),
        item,
    }))
}

/// What to watch.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    /// `None`: the whole node.
    pub(crate) namespace: Option<Namespace>,
    /// Only this topology.
    pub(crate) key: Option<TopologyKey>,
    /// Where to resume; `None`: begin with a snapshot.
    pub(crate) token: Option<ResumeToken>,
}

/// A watch.
///
/// # Errors
///
/// All violations.
pub(crate) fn watch(request: &v1::WatchTopologiesRequest) -> Result<Watch, ChangeError> {
    let (at, mut found) = (Place::MESSAGE, Findings::default());
    let namespace = found.optional(at.field("namespace"), &request.namespace, "a namespace");
    let name = found.optional(at.field("name"), &request.name, "a topology name");
    if request.namespace.is_empty() && !request.name.is_empty() {
        found.add(at.field("name"), "a name needs its namespace: set `namespace` too");
    }
    let token = found.optional(at.field("resume_token"), &request.resume_token, "the token of an event");
    let watch = namespace.zip(name).zip(token).map(|((namespace, name), token)| {
        let key = namespace.clone().zip(name).map(|(namespace, name)| TopologyKey { namespace, name });
        Watch { namespace, key, token }
    });
    found.finish(watch)
}

fn topology(message: Option<v1::Topology>) -> Result<(TopologySpec, Generation), ChangeError> {
    let Some(message) = message else {
        return Err(ChangeError::Invalid(vec![Violation::new("topology", "a topology is required")]));
    };
    if message.bridges.len() + message.links.len() + message.attachments.len() > MAX_ELEMENTS {
        return Err(ChangeError::Limit {
            what: "elements",
            subject: format!("topology {}", Quoted(&message.name)),
            limit: MAX_ELEMENTS,
        });
    }
    let (at, mut found) = (Place::MESSAGE, Findings::default());
    if message.name.is_empty() {
        found.add(at.field("name"), "a topology name is required");
    }
    let key = key_at(&mut found, &message.namespace, ("name", &message.name));
    let bridges = message.bridges.into_iter().enumerate();
    let bridges: Vec<_> = bridges.map(|(i, m)| element::bridge(&mut found, at.item("bridges", i), m)).collect();
    let links = message.links.into_iter().enumerate();
    let links: Vec<_> = links.map(|(i, m)| element::link(&mut found, at.item("links", i), m)).collect();
    let attachments = message.attachments.into_iter().enumerate();
    let attachments: Vec<_> =
        attachments.map(|(i, m)| element::attachment(&mut found, at.item("attachments", i), m)).collect();
    let lease = lease(&mut found, at.field("lease"), message.lease);
    if found.any()
        && let Some(judgeable) = judgeable(bridges.clone(), links.clone(), attachments.clone())
    {
        found.extend(check(&judgeable));
    }
    let spec = || {
        Some(TopologySpec {
            key: key?,
            bridges: bridges.into_iter().collect::<Option<_>>()?,
            links: links.into_iter().collect::<Option<_>>()?,
            attachments: attachments.into_iter().collect::<Option<_>>()?,
            lease: lease?,
        })
    };
    let spec = spec();
    Ok((found.finish(spec)?, Generation(message.generation)))
}

#[allow(clippy::option_option, reason = "outside: whether it could be parsed; inside: whether it was there")]
fn lease(found: &mut Findings, at: Place<'_>, message: Option<prost_types::Duration>) -> Option<Option<Duration>> {
    let Some(message) = message else { return Some(None) };
    let nanos = u32::try_from(message.nanos).ok().filter(|nanos| *nanos < 1_000_000_000);
    let lease = u64::try_from(message.seconds).ok().zip(nanos).map(|(seconds, nanos)| Duration::new(seconds, nanos));
    match lease {
        None => found.add(at, "it is negative or not a duration: at least 1 s is one, and absent is for ever"),
        Some(lease) if lease < LEAST_LEASE => {
            found.add(at, format_args!("`{lease:?}` is too short: at least 1 s; absent is for ever"));
        }
        Some(lease) if lease > LONGEST_LEASE => {
            found.add(at, format_args!("`{} s` is longer than ten years: absent is for ever", lease.as_secs()));
        }
        Some(lease) => return Some(Some(lease)),
    }
    None
}
