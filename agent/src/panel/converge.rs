//! The single way in which the kernel changes: observe, plan, execute, look again.
//!
//! Blocking: the engine runs it on threads of its own.

mod part;
mod view;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    domain::{
        desired::{Desired, Nic, desired},
        intent::{Intent, NicKey},
        name::TopologyKey,
        observed::{Observed, PodView},
        plan::{Plan, Trouble, plan},
        spec::InterfaceId,
        step::Step,
        uplink::Uplink,
    },
    kernel::{Kernel, KernelError, Moment, Site, StepFailed},
    metrics::{Metrics, Stage},
    pods::Pods,
};

use super::{error::ChangeError, glance::spots};

pub(super) use part::Looked;
use part::{Partial, panel_part};
use view::view;

/// Rounds of plan and execute. The first does the work, the second finds what the kernel did besides: an address that
/// went along with another, say.
const ROUNDS: usize = 3;

/// What a converge works with.
pub(super) struct Means<'a> {
    pub kernel: &'a dyn Kernel,
    pub pods: &'a dyn Pods,
    pub metrics: &'a Metrics,
}

/// One converge of one topology.
pub(super) struct Converge {
    key: TopologyKey,
    desired: Arc<Desired>,
    former: Option<Desired>,
    /// Whether a pod that was not found is not there.
    pods_known: bool,
    site: Box<dyn Site>,
    observed: Observed,
    plan: Plan,
    skip: BTreeSet<InterfaceId>,
    /// Interfaces about which somebody fights: they are left as they are for a while.
    left_alone: BTreeSet<NicKey>,
    /// Interfaces whose steps failed, with the kernel's words.
    failures: BTreeMap<InterfaceId, String>,
    /// Interfaces that vanished under their steps.
    vanished: BTreeMap<InterfaceId, String>,
    taken: Vec<Step>,
    metrics: Metrics,
    /// `None`: all of the topology is looked at.
    part: Option<Partial>,
}

/// What a converge came to.
#[derive(Debug)]
pub(super) struct Outcome {
    pub desired: Arc<Desired>,
    pub observed: Observed,
    pub plan: Plan,
    /// What the kernel refused; `None`: nothing was tried.
    pub failures: Option<BTreeMap<InterfaceId, String>>,
    /// The steps that were taken.
    pub taken: Vec<Step>,
    /// When the look began on which it rests.
    pub looked_at: Moment,
    /// Whether nothing is left of what it was: of interfaces without a port, which go one by one inside their pods.
    pub former_is_gone: bool,
    /// What was looked at; `None`: all of the topology.
    pub part: Option<Looked>,
}

impl Outcome {
    /// What is desired of what was looked at.
    pub(super) fn looked(&self) -> &Desired {
        self.part.as_ref().map_or(&self.desired, |part| &part.desired)
    }

    /// Whether everything is as it shall be.
    pub(super) fn is_whole(&self) -> bool {
        let Plan { steps, pending, trouble, .. } = &self.plan;
        steps.is_empty() && pending.is_empty() && trouble.is_empty() && self.failures.iter().all(BTreeMap::is_empty)
    }
}

impl Converge {
    /// Looks, and plans how to get from `former` to `wanted`; `None` is no topology at all.
    pub(super) fn prepare(
        key: &TopologyKey,
        wanted: Option<&Intent>,
        former: Option<&Intent>,
        means: &Means<'_>,
    ) -> Result<Self, ChangeError> {
        let target = wanted.map_or_else(|| Desired::nothing(key.clone()), desired);
        Self::open(key, Arc::new(target), former.map(desired), None, means)
    }

    fn open(
        key: &TopologyKey,
        target: Arc<Desired>,
        former: Option<Desired>,
        part: Option<(Partial, u32)>,
        &Means { kernel, pods, metrics }: &Means<'_>,
    ) -> Result<Self, ChangeError> {
        // Before the pods are looked for: one that comes to be known in between counts as unknown.
        let pods_known = pods.unknown().is_none();
        let work = &metrics.work;
        let mut view = work.stage(Stage::Find, || view(key, &target, former.as_ref(), pods))?;
        let (part, highest) = part.unzip();
        view.part = highest.map(|highest| panel_part(&target, former.as_ref(), highest));
        let look = || {
            let mut site = kernel.open(view)?;
            let observed = site.observe()?;
            Ok((site, observed))
        };
        let looked = work.stage(Stage::Look, look);
        let (site, observed) =
            looked.map_err(|source| ChangeError::Look { key: key.clone(), source: Box::new(source) })?;
        let mut converge = Self {
            key: key.clone(),
            desired: target,
            former,
            pods_known,
            site,
            observed,
            plan: Plan::default(),
            part,
            skip: BTreeSet::new(),
            left_alone: BTreeSet::new(),
            failures: BTreeMap::new(),
            vanished: BTreeMap::new(),
            taken: Vec::new(),
            metrics: metrics.clone(),
        };
        work.stage(Stage::Plan, || converge.plan_again());
        Ok(converge)
    }

    /// The same, but for interfaces that are left as they are.
    pub(super) fn leaving_alone(mut self, nics: BTreeSet<NicKey>) -> Self {
        self.left_alone = nics;
        if !self.left_alone.is_empty() {
            self.plan_again();
        }
        self
    }

    fn plan_again(&mut self) {
        self.plan = plan(&self.desired, self.former.as_ref(), &self.observed, &self.skip);
        if let Some(partial) = &mut self.part {
            // What is left is not in the part.
            self.plan.steps.retain(|step| *step != Step::RemovePanel);
            for desired in [Some(&*self.desired), self.former.as_ref()].into_iter().flatten() {
                partial.spots.extend(spots(desired, &self.observed));
            }
        }
        let left_alone = |step: &Step| step.nic().is_some_and(|nic| self.left_alone.contains(nic));
        let born = self.plan.steps.iter().filter(|step| step.action() == "create" && left_alone(step));
        let born: Vec<InterfaceId> = born.filter_map(|step| Some(self.desired.nic(step.nic()?)?.id.clone())).collect();
        if !born.is_empty() {
            // What is not made is not there for the far end either.
            self.skip.extend(born);
            self.plan = plan(&self.desired, self.former.as_ref(), &self.observed, &self.skip);
        }
        let left_alone = &self.left_alone;
        let is_left = |step: &Step| step.nic().is_some_and(|nic| left_alone.contains(nic));
        // That a port follows the far end's state is no part of any fight.
        self.plan.steps.retain(|step| matches!(step, Step::SetPort(..)) || !is_left(step));
    }

    /// The steps that it would take.
    pub(super) fn steps(&self) -> &[Step] {
        &self.plan.steps
    }

    /// Whether it makes what only an intent can prove to be ours after a crash: devices in pods that have no port.
    pub(super) fn needs_proof(&self) -> bool {
        self.plan.steps.iter().any(|step| matches!(step, Step::CreateDirect(..) | Step::CreateMacvlan { .. }))
    }

    /// Refuses where an interface that the change touches belongs to a pod that is there and cannot be plugged. One that
    /// was in trouble before and is not touched is no reason: one pod could hold up everybody else's.
    pub(super) fn refuse_trouble(&self) -> Result<(), ChangeError> {
        let touched = |id: &InterfaceId| !self.is_untouched(id);
        let Some((id, trouble)) = self.plan.trouble.iter().find(|(id, _)| touched(id)) else { return Ok(()) };
        let (interface, pod) = (id.clone(), self.nic(id).map(|nic| nic.owner.to_string()).unwrap_or_default());
        Err(match trouble {
            Trouble::Refused(refusal) => {
                ChangeError::PodRefused { interface, pod, reason: refusal.reason, message: refusal.message.clone() }
            }
            Trouble::InTheWay { reason, message } if self.nic(id).is_none() => {
                ChangeError::Uplink { bridge: id.element.clone(), reason, message: message.clone() }
            }
            Trouble::InTheWay { reason, message } => {
                ChangeError::InTheWay { interface, pod, reason, message: message.clone() }
            }
            Trouble::NoDevice { parent } => ChangeError::NoDevice { interface, parent: parent.clone() },
        })
    }

    /// Takes the steps; all or nothing is the caller's affair, who converges back where one fails. An interface that the
    /// change does not touch may fail alone.
    pub(super) fn carry_out(self) -> Result<Outcome, ChangeError> {
        self.run(Self::is_untouched)
    }

    /// Takes the steps; an interface whose step fails is left alone and the others go on.
    pub(super) fn carry_out_what_can_be(self) -> Result<Outcome, ChangeError> {
        self.run(|_, _| true)
    }

    fn run(mut self, may_fail_alone: impl Fn(&Self, &InterfaceId) -> bool) -> Result<Outcome, ChangeError> {
        let most = ROUNDS + self.desired.nics.len();
        for _ in 0..most {
            if self.plan.steps.is_empty() {
                break;
            }
            let metrics = self.metrics.clone();
            let executed = metrics.work.stage(Stage::Execute, || self.site.execute(&self.plan.steps));
            let done = executed.as_ref().map_or_else(|failed| failed.at, |()| self.plan.steps.len());
            self.plan.steps.iter().take(done).for_each(|step| metrics.work.stepped(step.action()));
            self.taken.extend(self.plan.steps.iter().take(done).cloned());
            if let Err(failed) = executed {
                let step = self.plan.steps.get(failed.at);
                let alone = step.and_then(|step| self.concerned(step)).filter(|id| may_fail_alone(&self, id));
                let Some(id) = alone.cloned() else { return Err(self.step_error(failed)) };
                self.leave_alone(id, &failed);
            }
            metrics.work.stage(Stage::Settle, || self.look_again())?;
        }
        Ok(self.came_to(true))
    }

    fn leave_alone(&mut self, id: InterfaceId, failed: &StepFailed) {
        let words = format!("{}: {}", self.plan.steps[failed.at], failed.source);
        tracing::warn!(topology = %self.key, interface = %id, error = %words, "an interface cannot be plugged");
        // What vanished under the step comes back with the pod, or does not: nobody refused it.
        let list = if failed.source.is_gone() { &mut self.vanished } else { &mut self.failures };
        list.insert(id.clone(), words);
        self.skip.insert(id);
    }

    /// The interface that a step is for, or the bridge whose uplink it is for.
    fn concerned<'a>(&'a self, step: &'a Step) -> Option<&'a InterfaceId> {
        let nic = || self.desired.nic(step.nic()?).map(|nic| &nic.id);
        step.uplink().or_else(nic)
    }

    /// Whether an interface, or the uplink of a bridge, is what it was before the change.
    fn is_untouched(&self, id: &InterfaceId) -> bool {
        let Some(former) = &self.former else { return false };
        let uplink = |uplinks: &[Uplink]| uplinks.iter().find(|uplink| uplink.id == *id).cloned();
        match self.nic(id) {
            Some(nic) => former.nic(&nic.key) == Some(nic),
            None => uplink(&former.uplinks).is_some_and(|before| Some(before) == uplink(&self.desired.uplinks)),
        }
    }

    fn nic(&self, id: &InterfaceId) -> Option<&Nic> {
        self.desired.nics.iter().find(|nic| nic.id == *id)
    }

    /// What is there, without any step.
    pub(super) fn outcome(self) -> Outcome {
        self.came_to(false)
    }

    fn came_to(self, tried: bool) -> Outcome {
        let former_is_gone = tried && self.former_is_gone();
        let Self { desired, former, observed, plan, failures, taken, site, part, .. } = self;
        let (failures, looked_at) = (tried.then_some(failures), site.looked_at());
        let (whole, part) = match part {
            None => (desired, None),
            Some(Partial { whole, spots, .. }) => {
                let former = former.unwrap_or_else(|| (*desired).clone());
                (whole, Some(Looked { former, desired, spots }))
            }
        };
        Outcome { desired: whole, observed, plan, failures, taken, looked_at, former_is_gone, part }
    }

    fn former_is_gone(&self) -> bool {
        let Some(former) = &self.former else { return true };
        let is_left = |key: &NicKey| {
            let is = |step: &Step| step.nic() == Some(key);
            let untouched = self.desired.nic(key).is_some_and(|nic| self.skip.contains(&nic.id));
            untouched || self.left_alone.contains(key) || self.plan.steps.iter().any(is)
        };
        let mut gone = former.nics.iter().filter(|nic| self.desired.nic(&nic.key) != Some(nic));
        gone.all(|nic| match self.observed.pods.get(&nic.key.pod) {
            // Its port is gone, and with it the interface.
            _ if nic.wire.has_port() => !is_left(&nic.key),
            Some(PodView::Present(_)) => !is_left(&nic.key),
            Some(pod) => !pod.may_hide(self.pods_known),
            None => self.pods_known,
        })
    }

    fn look_again(&mut self) -> Result<(), ChangeError> {
        let look = |source: KernelError| ChangeError::Look { key: self.key.clone(), source: Box::new(source) };
        self.observed = self.site.observe().map_err(look)?;
        self.plan_again();
        for (id, words) in &self.vanished {
            self.plan.pending.entry(id.clone()).or_insert_with(|| words.clone());
        }
        Ok(())
    }

    fn step_error(&self, failed: StepFailed) -> ChangeError {
        let before = self.plan.steps.get(..failed.at).unwrap_or_default();
        let removed = before.iter().filter(|step| step.action() == "remove").map(Step::object);
        ChangeError::Step {
            step: self.plan.steps.get(failed.at).map(ToString::to_string).unwrap_or_default(),
            cost: removed.collect::<Vec<_>>().join(", "),
            undo: None,
            source: Box::new(failed.source),
        }
    }
}
