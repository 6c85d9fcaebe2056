//! Waiting until new wires forward. All that are waited for are asked for together: one by one, every look would be a round trip.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use crate::domain::{
    device::port_device_name,
    intent::{NicKey, PodKey},
    step::Step,
};

use super::{Executor, Outcome, failed, gone};
use crate::kernel::{
    KernelError, StepFailed,
    observe::{self, Forwarding, Part},
};

/// How long a new interface may take until it forwards. Linkwatch runs at least once a second.
const SETTLE: Duration = Duration::from_millis(2500);

/// How long is looked often, and the longest pauses then and afterwards.
const SOON: Duration = Duration::from_millis(30);
const SHORT_PAUSE: Duration = Duration::from_micros(400);
const LONG_PAUSE: Duration = Duration::from_millis(10);

const NOT_SEEN_YET: &str = "the kernel has not looked at its state yet";

impl Executor<'_> {
    /// Waits until the first frame would pass at each NIC that settles at the beginning of these steps: until then the kernel
    /// has acknowledged everything and yet drops. What does not is noted and fails at its own step. Returns how many steps were
    /// looked at.
    pub(super) fn wait(&mut self, at: usize, steps: &[Step]) -> Result<usize, StepFailed> {
        self.flush()?;
        let together = steps.iter().take_while(|step| matches!(step, Step::Settle(_) | Step::Mark(..))).count();
        let mut waiting: BTreeMap<PodKey, BTreeSet<NicKey>> = BTreeMap::new();
        for step in &steps[..together] {
            if let Step::Settle(nic) = step {
                waiting.entry(nic.pod.clone()).or_default().insert(nic.clone());
            }
        }
        let began = Instant::now();
        let (mut start, mut left) = (began, usize::MAX);
        let mut pause = Duration::from_micros(50);
        loop {
            // Linkwatch looks at 100 devices a second where there are many: who has waited that long waits for no more.
            self.patient = began.elapsed() < SETTLE;
            let mut seen = self.ports(at, &mut waiting)?;
            for (pod, nics) in &mut waiting {
                self.nics_of(at, pod, nics, &mut seen)?;
            }
            waiting.retain(|_, nics| !nics.is_empty());
            if waiting.is_empty() {
                return Ok(together);
            }
            let now = waiting.values().map(BTreeSet::len).sum();
            if now < left {
                // Of many, on a busy node, the last have their time too.
                (start, left) = (Instant::now(), now);
            }
            if start.elapsed() > SETTLE {
                let milliseconds = u64::try_from(SETTLE.as_millis()).unwrap_or(u64::MAX);
                for nic in waiting.into_values().flatten() {
                    let seen = seen.remove(&nic).unwrap_or_default();
                    self.unsettled.insert(nic, KernelError::NotForwarding { milliseconds, seen });
                }
                return Ok(together);
            }
            thread::sleep(pause);
            // Most take a few milliseconds: a longer pause would be what is waited for.
            let longest = if start.elapsed() < SOON { SHORT_PAUSE } else { LONG_PAUSE };
            pause = (pause * 2).min(longest);
        }
    }

    /// What `wait` found of a NIC.
    pub(super) fn settled(&mut self, at: usize, nic: &NicKey) -> Outcome {
        match self.unsettled.remove(nic) {
            None => Ok(()),
            // What is before it is carried out.
            Some(error) => self.flush().and(Err(failed(at)(error))),
        }
    }

    /// The NICs whose ports do not forward yet, with what was seen. One whose port cannot be looked at is not waited for.
    fn ports(
        &mut self,
        at: usize,
        waiting: &mut BTreeMap<PodKey, BTreeSet<NicKey>>,
    ) -> Result<BTreeMap<NicKey, String>, StepFailed> {
        let mut seen = BTreeMap::new();
        let Some(panel) = &mut self.site.panel else { return Ok(seen) };
        let index = |nic: &NicKey| Some((self.panel.get(&port_device_name(nic)).copied()?, nic.clone()));
        let (indexes, ports): (Vec<u32>, Vec<NicKey>) = waiting.values().flatten().filter_map(index).unzip();
        let looked = observe::forwarding(&mut panel.socket, &indexes, Part::Port).map_err(failed(at))?;
        for (nic, looked) in ports.into_iter().zip(looked) {
            match looked {
                Ok(Forwarding::Yes) => {}
                Ok(Forwarding::NotSeenYet) => {
                    if self.patient {
                        seen.insert(nic, NOT_SEEN_YET.to_owned());
                    }
                }
                Ok(Forwarding::No(what)) => {
                    seen.insert(nic, what);
                }
                Err(error) => self.give_up(waiting, nic, error),
            }
        }
        Ok(seen)
    }

    fn give_up(&mut self, waiting: &mut BTreeMap<PodKey, BTreeSet<NicKey>>, nic: NicKey, error: KernelError) {
        if let Some(nics) = waiting.get_mut(&nic.pod) {
            nics.remove(&nic);
        }
        self.unsettled.insert(nic, error);
    }

    /// Leaves of a pod's NICs those that do not forward, or whose port does not.
    fn nics_of(
        &mut self,
        at: usize,
        key: &PodKey,
        nics: &mut BTreeSet<NicKey>,
        seen: &mut BTreeMap<NicKey, String>,
    ) -> Outcome {
        let mut indexes = Vec::new();
        nics.retain(|nic| match self.nic(at, nic) {
            Ok(index) => {
                indexes.push(index);
                true
            }
            Err(error) => {
                self.unsettled.insert(nic.clone(), error.source);
                false
            }
        });
        let Some(pod) = self.site.pods.get_mut(key) else {
            self.unsettled.extend(std::mem::take(nics).into_iter().map(|nic| (nic, gone(at, key).source)));
            return Ok(());
        };
        let looked = observe::forwarding(&mut pod.socket, &indexes, Part::Nic).map_err(failed(at))?;
        for (nic, looked) in std::mem::take(nics).into_iter().zip(looked) {
            match looked {
                Ok(Forwarding::Yes) if !seen.contains_key(&nic) => {}
                Ok(Forwarding::NotSeenYet) if !seen.contains_key(&nic) && !self.patient => {}
                Ok(Forwarding::Yes | Forwarding::NotSeenYet) => {
                    nics.insert(nic);
                }
                Ok(Forwarding::No(what)) => {
                    seen.entry(nic.clone()).or_insert(what);
                    nics.insert(nic);
                }
                Err(error) => {
                    self.unsettled.insert(nic, error);
                }
            }
        }
        Ok(())
    }
}
