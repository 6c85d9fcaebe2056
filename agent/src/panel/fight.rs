//! Fights: somebody changes again and again what the agent puts right.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use crate::domain::{
    intent::{NicKey, PodKey},
    step::Step,
};

/// Repairs of one thing, none long after the one before, that make a fight.
const FIGHT: u32 = 5;

/// How long after a repair another one counts as the same quarrel.
const QUIET: Duration = Duration::from_secs(10);

/// The first pause of a fight. It doubles with each repair.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What is fought about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// One interface and its wire.
    Nic(NicKey),
    /// The panel: its bridges, devices that nobody asked for.
    Panel,
}

impl Subject {
    fn of(step: &Step) -> Self {
        step.nic().map_or(Self::Panel, |nic| Self::Nic(nic.clone()))
    }
}

/// Repairs of one subject. Times are those of `boottime`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fight {
    repairs: u32,
    first: Duration,
    last: Duration,
    /// The last repair, in words.
    step: String,
}

impl Fight {
    fn is_on(&self) -> bool {
        self.repairs >= FIGHT
    }

    /// How long the subject is left alone after the last repair.
    fn pause(&self) -> Duration {
        let doublings = self.repairs.checked_sub(FIGHT);
        doublings.map_or(Duration::ZERO, |n| FIRST_PAUSE.saturating_mul(1 << n.min(16)).min(LONGEST_PAUSE))
    }

    /// From when on another repair is a matter of its own.
    fn over(&self) -> Duration {
        self.last + self.pause() + QUIET
    }
}

/// The repairs of one topology that may become fights.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fights(BTreeMap<Subject, Fight>);

impl Fights {
    /// Notes steps that put damage right. What a pod loses by setting its own interface down or up is no damage.
    pub(super) fn repaired(&mut self, steps: &[Step], flapped: &BTreeSet<NicKey>, now: Duration) {
        for (subject, step) in subjects(steps) {
            if matches!(&subject, Subject::Nic(nic) if flapped.contains(nic)) {
                continue;
            }
            let fight = self.0.entry(subject).or_insert_with(|| Fight {
                repairs: 0,
                first: now,
                last: now,
                step: String::new(),
            });
            fight.repairs = fight.repairs.saturating_add(1);
            fight.last = now;
            fight.step = step.to_string();
        }
    }

    /// Notes steps that were taken after a pause: they count where there is a quarrel already.
    pub(super) fn repaired_again(&mut self, steps: &[Step], now: Duration) {
        let known = steps.iter().filter(|step| self.0.contains_key(&Subject::of(step))).cloned().collect::<Vec<_>>();
        self.repaired(&known, &BTreeSet::new(), now);
    }

    /// Whether there is a fight, or was until lately.
    pub(super) fn are_on(&self) -> bool {
        self.0.values().any(Fight::is_on)
    }

    /// Forgets quarrels about the interfaces of a pod.
    pub(super) fn forget(&mut self, pod: &PodKey) {
        self.0.retain(|subject, _| !matches!(subject, Subject::Nic(nic) if nic.pod == *pod));
    }

    /// Forgets what has come to rest.
    pub(super) fn rest(&mut self, now: Duration) {
        self.0.retain(|_, fight| now < fight.over());
    }

    /// Interfaces that are left alone for now.
    pub(super) fn left_alone(&self, now: Duration) -> BTreeSet<NicKey> {
        let paused = self.0.keys().filter(|subject| self.pause_end(subject).is_some_and(|end| now < end));
        let nics = paused.filter_map(|subject| match subject {
            Subject::Nic(nic) => Some(nic.clone()),
            Subject::Panel => None,
        });
        nics.collect()
    }

    /// Until when the whole topology is left alone.
    pub(super) fn panel_pause(&self, now: Duration) -> Option<Duration> {
        self.pause_end(&Subject::Panel).filter(|end| now < *end)
    }

    fn pause_end(&self, subject: &Subject) -> Option<Duration> {
        self.0.get(subject).filter(|fight| fight.is_on()).map(|fight| fight.last + fight.pause())
    }

    /// Whether there is one.
    pub(super) fn any(&self) -> bool {
        self.0.values().any(Fight::is_on)
    }

    /// Why an interface is not READY although it may look so.
    pub(super) fn about(&self, nic: &NicKey) -> Option<impl fmt::Display + use<>> {
        let own = self.0.get(&Subject::Nic(nic.clone())).filter(|fight| fight.is_on());
        own.or_else(|| self.0.get(&Subject::Panel).filter(|fight| fight.is_on())).map(|fight| {
            let span = fight.last.saturating_sub(fight.first).as_secs().max(1);
            format!(
                "somebody keeps changing it: put right {} times in {span} s, last: {}; it is left alone for up to {} s at a time",
                fight.repairs,
                fight.step,
                fight.pause().as_secs().max(1),
            )
        })
    }

    /// When to look again: a pause ends, or a fight is over and the state changes back.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let fights = self.0.values().filter(|fight| fight.is_on());
        fights.flat_map(|fight| [fight.last + fight.pause(), fight.over()]).filter(|at| *at > now).min()
    }
}

/// Each subject of the steps once, with its last step.
fn subjects(steps: &[Step]) -> BTreeMap<Subject, &Step> {
    let repairs = steps.iter().filter(|step| !matches!(step, Step::SetPort(..)));
    repairs.map(|step| (Subject::of(step), step)).collect()
}

/// The longest pause between two looks in vain.
const LONGEST_VAIN: Duration = Duration::from_millis(250);

/// Looks that found nothing to put right: in a pod something changes all the time that is none of ours, or its NIC
/// goes up and down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Vain {
    looks: u32,
    last: Duration,
}

impl Vain {
    /// Notes such a look.
    pub(super) fn looked(&mut self, now: Duration) {
        let fresh = now.saturating_sub(self.last) > QUIET;
        self.looks = if fresh { 1 } else { self.looks.saturating_add(1) };
        self.last = now;
    }

    /// How long the next look shall wait: the first few not at all.
    pub(super) fn pause(&self, now: Duration) -> Duration {
        match self.looks {
            0..=4 => Duration::ZERO,
            _ if now.saturating_sub(self.last) > QUIET => Duration::ZERO,
            looks => Duration::from_millis(1 << (looks - 4).min(8)).min(LONGEST_VAIN),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nic(pod: &str) -> NicKey {
        NicKey { pod: PodKey::new(pod), name: "net1".parse().unwrap() }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_few_repairs_are_no_fight() {
        let mut fights = Fights::default();
        for now in 1..FIGHT {
            fights.repaired(&[Step::BringUp(nic("a"))], &BTreeSet::new(), seconds(now.into()));
        }
        assert!(fights.about(&nic("a")).is_none());
        assert!(fights.left_alone(seconds(FIGHT.into())).is_empty());
        let flapped = BTreeSet::from([nic("a")]);
        for now in FIGHT..2 * FIGHT {
            fights.repaired(&[Step::BringUp(nic("a"))], &flapped, seconds(now.into()));
        }
        assert!(fights.about(&nic("a")).is_none(), "a pod may set its interface down and up as often as it likes");
    }

    #[test]
    fn a_fight_pauses_longer_each_time_and_ends_when_it_is_quiet() {
        let mut fights = Fights::default();
        let mut now = seconds(1);
        let mut pauses = Vec::new();
        for _ in 0..FIGHT + 12 {
            fights.repaired(&[Step::BringUp(nic("a"))], &BTreeSet::new(), now);
            pauses.push(fights.0[&Subject::Nic(nic("a"))].pause());
            now += Duration::from_millis(10);
        }
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE));
        assert_eq!(fights.left_alone(now), BTreeSet::from([nic("a")]), "another interface is not concerned");
        assert!(fights.about(&nic("a")).unwrap().to_string().contains("17 times"));
        let end = fights.next(now).unwrap();
        fights.rest(end);
        assert!(fights.left_alone(end).is_empty() && fights.about(&nic("a")).is_some());
        let over = fights.next(end).unwrap();
        fights.rest(over);
        assert!(fights.about(&nic("a")).is_none() && fights.next(over).is_none());
    }

    #[test]
    fn a_fight_about_the_panel_concerns_everybody() {
        let mut fights = Fights::default();
        for now in 0..FIGHT {
            fights.repaired(&[Step::RemoveStranger("tap0".to_owned(), 9)], &BTreeSet::new(), seconds(now.into()));
        }
        let now = seconds((FIGHT - 1).into()) + Duration::from_millis(100);
        assert!(fights.panel_pause(now).is_some());
        assert!(fights.about(&nic("a")).is_some());
    }
}
