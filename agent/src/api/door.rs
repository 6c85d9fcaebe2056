//! Who may do what: asked before anything is looked at, so that a refusal does not tell what is there.

use std::{sync::Arc, time::Duration};

use http::Extensions;
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tonic::{Request, Status};

use crate::{
    domain::{
        edit::Edit,
        identity::Identity,
        name::Namespace,
        policy::{Policy, Verb},
        quota::Quota,
        spec::{InterfaceSpec, PodOwner, Target, TopologySpec},
    },
    panel::ChangeError,
};

use super::{
    audit::Audited,
    caller::Caller,
    meter::{Counted, Meter},
    rights::{Need, need},
    status,
};

/// How long an old connection may still begin calls: those that were sent before its caller knew.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long what ends with the caller's certificate has to say so.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What a call may do: who calls, what the call needs, and the policy, which may become another one meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Access {
    caller: Caller,
    need: Need,
    policy: watch::Receiver<Arc<Policy>>,
    /// The policy when it was made.
    then: Arc<Policy>,
    meter: Arc<Meter>,
    audited: Option<Arc<Audited>>,
}

/// Why a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Who.
    pub(super) identity: String,
    /// What.
    pub(super) verb: Verb,
    /// Where.
    pub(super) place: Place,
}

/// Where a call may not be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// There.
    One(Namespace),
    /// In none at all.
    Any,
    /// In all of them at once.
    All,
}

impl Access {
    /// Lets a call in, or says why not. `None`: there is no such call.
    pub(super) fn enter(
        path: &str,
        caller: Caller,
        policy: &watch::Receiver<Arc<Policy>>,
        meter: &Arc<Meter>,
    ) -> Option<Result<Self, Status>> {
        let need = need(path)?;
        // It was asked to go, and goes on calling.
        if caller.life().retires.is_some_and(|retires| retires + PATIENCE < Instant::now()) {
            return Some(Err(status::connection_age()));
        }
        let access = Self {
            caller,
            need,
            policy: policy.clone(),
            then: policy.borrow().clone(),
            meter: Arc::clone(meter),
            audited: None,
        };
        let allowed = match need {
            Need::Nothing => true,
            // Of whom the policy does not know not even the message is read.
            Need::Namespace(_) => access.now(Policy::knows),
            Need::Somewhere(verb) => access.now(|policy, who| policy.allows_somewhere(who, verb)),
            Need::Everywhere(verb) => access.now(|policy, who| policy.allows_everywhere(who, verb)),
        };
        Some(match (allowed, need) {
            (false, _) => Err(access.refusal(access.verb(), None).into()),
            (true, Need::Somewhere(_) | Need::Everywhere(_)) => access.count_caller().map(|()| access),
            (true, Need::Namespace(_) | Need::Nothing) => Ok(access),
        })
    }

    /// That of a request. One that did not come through the door has none, and is refused.
    ///
    /// # Errors
    ///
    /// It did not.
    pub(super) fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(status::without_access)
    }

    /// The same of a call that may be written down.
    pub(super) fn audited(self, audited: Option<Arc<Audited>>) -> Self {
        Self { audited, ..self }
    }

    /// The call is about this.
    pub(super) fn is_about(&self, object: &dyn std::fmt::Display) {
        if let Some(audited) = &self.audited {
            audited.is_about(object.to_string());
        }
    }

    /// Puts it where `of` finds it.
    pub(super) fn keep(self, extensions: &mut Extensions) {
        extensions.insert(self);
    }

    /// Whether the call may be made in this namespace, now. It counts as a call there.
    ///
    /// # Errors
    ///
    /// It may not, or there were too many.
    pub(super) fn check(&self, namespace: &Namespace) -> Result<(), Status> {
        self.is_about(namespace);
        self.check_verb(self.verb(), namespace)?;
        let Some(rate) = self.quota(namespace).requests else { return Ok(()) };
        let counted = self.meter.call(namespace, rate);
        counted.map_err(|again| {
            let what = format!("{} calls a second and {} at once are the most", rate.per_second, rate.burst);
            status::over_quota(&format!("namespace {namespace}"), &what, Some(again))
        })
    }

    /// Counts a call that names no namespace, by who makes it.
    fn count_caller(&self) -> Result<(), Status> {
        let who = self.caller.identity();
        let Some(rate) = self.policy.borrow().rate(who) else { return Ok(()) };
        let counted = self.meter.call_of(who, rate);
        counted.map_err(|again| {
            let what = format!(
                "{} calls a second that name no namespace and {} at once are the most",
                rate.per_second, rate.burst
            );
            status::over_quota(&who.to_string(), &what, Some(again))
        })
    }

    /// How much a namespace may have and ask for.
    pub(super) fn quota(&self, namespace: &Namespace) -> Quota {
        self.policy.borrow().quota(self.caller.identity(), namespace)
    }

    /// Counts a capture in a namespace for as long as what is returned lives.
    ///
    /// # Errors
    ///
    /// There are as many as may be.
    pub(super) fn count_capture(&self, namespace: &Namespace) -> Result<Counted, Status> {
        let most = self.quota(namespace).captures;
        self.meter.capture(namespace, most).ok_or_else(|| {
            let what = format!("{} captures at once are the most: end one", most.unwrap_or_default());
            status::over_quota(&format!("namespace {namespace}"), &what, None)
        })
    }

    /// Whether the call may be made in any namespace, where it names none. It counts as a call of its caller.
    ///
    /// # Errors
    ///
    /// It may not, or there were too many.
    pub(super) fn check_any(&self) -> Result<(), Status> {
        let verb = self.verb();
        let allowed = self.now(|policy, who| policy.allows_somewhere(who, verb));
        if allowed { self.count_caller() } else { Err(self.refusal(verb, None).into()) }
    }

    /// Whether the caller may see topologies of this namespace, or whatever else the call is about. For filters.
    pub(super) fn sees(&self, namespace: &Namespace) -> bool {
        self.now(|policy, who| policy.allows(who, self.verb(), namespace))
    }

    /// Whether the caller may do this somewhere, besides what the call needs.
    pub(super) fn may_somewhere(&self, verb: Verb) -> bool {
        self.now(|policy, who| policy.allows_somewhere(who, verb))
    }

    /// Whether the caller may do this everywhere, besides what the call needs.
    pub(super) fn may_everywhere(&self, verb: Verb) -> bool {
        self.now(|policy, who| policy.allows_everywhere(who, verb))
    }

    /// As `check`, of a topology: what is on devices of the node and what names network namespaces needs more.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(super) fn check_spec(&self, spec: &TopologySpec) -> Result<(), Status> {
        let namespace = &spec.key.namespace;
        self.check(namespace)?;
        self.is_about(&spec.key);
        let of_links = spec.links.iter().flat_map(|link| [&link.a, &link.b]);
        let of_attachments = spec.attachments.iter().map(|attachment| &attachment.interface);
        let netns = of_links.chain(of_attachments).any(names_netns);
        self.check_more(netns, spec.devices().next().is_some(), namespace)
    }

    /// As `check`, of one change.
    ///
    /// # Errors
    ///
    /// It may not.
    pub(super) fn check_edit(&self, edit: &Edit, namespace: &Namespace) -> Result<(), Status> {
        self.check(namespace)?;
        match edit {
            Edit::CreateLink(link) => self.check_more(names_netns(&link.a) || names_netns(&link.b), false, namespace),
            Edit::Attach(it) => self.check_more(names_netns(&it.interface), is_device(&it.target), namespace),
            Edit::CreateBridge(bridge) => self.check_more(false, bridge.uplink.is_some(), namespace),
            Edit::DeleteBridge { .. }
            | Edit::UpdateLink { .. }
            | Edit::DeleteLink(_)
            | Edit::UpdateAttachment { .. }
            | Edit::Detach(_) => Ok(()),
        }
    }

    /// A refused change as its caller may know it: whose a name or an address is, only where those are his to see.
    pub(super) fn tell(&self, error: ChangeError) -> Status {
        status::veiled(error, |namespace| self.now(|policy, who| policy.allows(who, Verb::Read, namespace)))
    }

    /// Returns when the call may no longer be made in this namespace.
    pub(super) async fn lost(&mut self, namespace: &Namespace) -> Status {
        let (who, verb) = (self.caller.identity().clone(), self.verb());
        self.until(|policy| !policy.allows(&who, verb, namespace)).await;
        self.cut(self.refusal(verb, Some(namespace)).into())
    }

    /// Returns when the caller may make the call in other namespaces than when it was made.
    pub(super) async fn moved(&mut self) -> Status {
        let (who, verb, before) = (self.caller.identity().clone(), self.verb(), Arc::clone(&self.then));
        self.until(|policy| !before.is_same_for(policy, &who, verb)).await;
        let somewhere = self.now(|policy, who| policy.allows_somewhere(who, verb));
        self.cut(if somewhere { status::policy_changed() } else { self.refusal(verb, None).into() })
    }

    /// Returns when the connection takes no more calls.
    pub(super) async fn retired(&self) -> Status {
        until(self.caller.life().retires).await;
        status::connection_age()
    }

    /// Returns when the caller's certificate expires: a little before that, for then the connection is cut.
    pub(super) async fn expired(&self) -> Status {
        until(self.caller.life().expires.map(|expires| expires.checked_sub(LAST_WORDS).unwrap_or(expires))).await;
        self.cut(status::certificate_expired(&self.caller.identity().to_string()))
    }

    /// Writes down why a stream ends.
    fn cut(&self, status: Status) -> Status {
        if let Some(audited) = &self.audited {
            audited.cut(&status);
        }
        status
    }

    fn check_verb(&self, verb: Verb, namespace: &Namespace) -> Result<(), Status> {
        let allowed = self.now(|policy, who| policy.allows(who, verb, namespace));
        if allowed { Ok(()) } else { Err(self.refusal(verb, Some(namespace)).into()) }
    }

    fn check_more(&self, netns: bool, device: bool, namespace: &Namespace) -> Result<(), Status> {
        if netns {
            self.check_verb(Verb::Netns, namespace)?;
        }
        if device { self.check_verb(Verb::NodeDevice, namespace) } else { Ok(()) }
    }

    async fn until(&mut self, changed: impl Fn(&Policy) -> bool) {
        if self.policy.wait_for(|policy| changed(policy)).await.is_err() {
            // It never becomes another one.
            std::future::pending::<()>().await;
        }
    }

    fn now(&self, ask: impl FnOnce(&Policy, &Identity) -> bool) -> bool {
        ask(&self.policy.borrow(), self.caller.identity())
    }

    fn verb(&self) -> Verb {
        match self.need {
            Need::Namespace(verb) | Need::Somewhere(verb) | Need::Everywhere(verb) => verb,
            // Of what needs nothing nothing is asked; if it were, that.
            Need::Nothing => Verb::Admin,
        }
    }

    fn refusal(&self, verb: Verb, namespace: Option<&Namespace>) -> Refusal {
        let place = match (namespace, self.need) {
            (Some(namespace), _) => Place::One(namespace.clone()),
            (None, Need::Everywhere(_)) => Place::All,
            (None, _) => Place::Any,
        };
        Refusal { identity: self.caller.identity().to_string(), verb, place }
    }
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => time::sleep_until(end).await,
        None => std::future::pending().await,
    }
}

fn names_netns(interface: &InterfaceSpec) -> bool {
    matches!(interface.owner, PodOwner::Netns(_))
}

fn is_device(target: &Target) -> bool {
    !matches!(target, Target::Bridge(_))
}
