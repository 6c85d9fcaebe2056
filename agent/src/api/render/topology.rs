//! Topologies and their events.

use podwire_proto::v1;

use crate::{
    domain::{intent::Ownership, name::TopologyKey, status::State, step::Step},
    panel::{Event, EventKind, Renewal, ResumeToken, TopologyView},
};

use super::{element::Elements, interface::state};

/// A topology with its effective values.
pub(crate) fn topology(view: &TopologyView) -> v1::Topology {
    let (spec, elements) = (&view.intent.spec, Elements::of(view));
    v1::Topology {
        bridges: spec.bridges.iter().map(|bridge| elements.bridge(bridge)).collect(),
        links: spec.links.iter().map(|link| elements.link(link)).collect(),
        attachments: spec.attachments.iter().map(|attachment| elements.attachment(attachment)).collect(),
        lease: spec.lease.and_then(|lease| lease.try_into().ok()),
        generation: view.intent.generation.0,
        status: Some(status(view)),
        ..named(view.key())
    }
}

/// The answer of a plan.
pub(crate) fn plan(steps: &[Step], view: &TopologyView) -> v1::PlanTopologyResponse {
    let step =
        |step: &Step| v1::PlanStep { action: step.action().to_owned(), object: step.object(), detail: step.detail() };
    v1::PlanTopologyResponse { steps: steps.iter().map(step).collect(), topology: Some(topology(view)) }
}

/// The answer of one renewal; `None`: its key was none.
pub(crate) fn renewal(
    item: v1::renew_leases_request::Item,
    renewal: Option<Renewal>,
) -> v1::renew_leases_response::Item {
    let (result, expires) = match renewal {
        Some(Renewal::Renewed(expires)) => (v1::RenewResult::Renewed, Some(expires)),
        Some(Renewal::NoLease) => (v1::RenewResult::NoLease, None),
        Some(Renewal::NotFound) => (v1::RenewResult::NotFound, None),
        Some(Renewal::Fenced) => (v1::RenewResult::Fenced, None),
        None => (v1::RenewResult::Invalid, None),
    };
    v1::renew_leases_response::Item {
        namespace: item.namespace,
        name: item.name,
        result: result.into(),
        lease_expires: expires.map(Into::into),
    }
}

/// A topology of a snapshot. Its token is empty: whoever loses the stream within the snapshot needs a whole one.
pub(crate) fn snapshot(view: &TopologyView) -> v1::WatchTopologiesResponse {
    v1::WatchTopologiesResponse {
        resume_token: String::new(),
        event: v1::TopologyEvent::Snapshot.into(),
        topology: Some(topology(view)),
        cause: String::new(),
        time: Some(std::time::SystemTime::now().into()),
    }
}

/// The end of a snapshot.
pub(crate) fn synced(token: ResumeToken) -> v1::WatchTopologiesResponse {
    v1::WatchTopologiesResponse {
        resume_token: token.to_string(),
        event: v1::TopologyEvent::Synced.into(),
        topology: None,
        cause: String::new(),
        time: Some(std::time::SystemTime::now().into()),
    }
}

/// Something that happened to a topology.
pub(crate) fn change(event: &Event) -> v1::WatchTopologiesResponse {
    let (kind, topology) = match &event.kind {
        EventKind::Changed(view) => (v1::TopologyEvent::Changed, topology(view)),
        EventKind::Deleted => (v1::TopologyEvent::Deleted, named(&event.key)),
    };
    v1::WatchTopologiesResponse {
        resume_token: event.token.to_string(),
        event: kind.into(),
        topology: Some(topology),
        cause: event.cause.clone(),
        time: Some(event.time.into()),
    }
}

fn named(key: &TopologyKey) -> v1::Topology {
    v1::Topology { namespace: key.namespace.to_string(), name: key.name.to_string(), ..v1::Topology::default() }
}

fn status(view: &TopologyView) -> v1::TopologyStatus {
    let worst = view.state();
    let first = view.interfaces.iter().find(|(_, seen)| worst != State::Ready && seen.state == worst);
    let first = first.map(|(id, seen)| format!("{id}: {}", seen.reason));
    let whole = view.trouble.as_ref().map(|(_, reason)| reason.clone());
    let ready = view.interfaces.values().filter(|seen| seen.state == State::Ready).count();
    let owner = match view.intent.ownership {
        Ownership::Apply => v1::Owner::Apply,
        Ownership::Calls => v1::Owner::Calls,
    };
    v1::TopologyStatus {
        state: state(worst).into(),
        reason: whole.or(first).unwrap_or_default(),
        since: Some(view.since.into()),
        owner: owner.into(),
        panel: view.panel.clone(),
        lease_expires: view.lease_expires.map(Into::into),
        interfaces_ready: u32::try_from(ready).unwrap_or(u32::MAX),
        interfaces: u32::try_from(view.interfaces.len()).unwrap_or(u32::MAX),
    }
}
