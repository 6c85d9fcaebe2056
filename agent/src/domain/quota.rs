//! How much a namespace may have and ask for.

use std::time::Duration;

use super::spec::TopologySpec;

/// How much a namespace may have and ask for. The default is as much as the node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Topologies.
    pub topologies: Option<usize>,
    /// Interfaces of all its topologies: two for each link, one for each attachment.
    pub interfaces: Option<usize>,
    /// Bridges of all its topologies.
    pub bridges: Option<usize>,
    /// Captures under way at once.
    pub captures: Option<usize>,
    /// Calls that name it.
    pub requests: Option<Rate>,
    /// Whether each topology has a lease.
    pub lease_required: bool,
    /// The longest lease.
    pub longest_lease: Option<Duration>,
}

/// So many in a second, and so many at once after a pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In a second, at least 1.
    pub per_second: u32,
    /// At once, at least 1.
    pub burst: u32,
}

impl Rate {
    /// What two rates leave together.
    pub fn and(self, other: Self) -> Self {
        Self { per_second: self.per_second.min(other.per_second), burst: self.burst.min(other.burst) }
    }
}

/// What a namespace has, or would have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Count {
    /// Topologies.
    pub topologies: usize,
    /// Interfaces.
    pub interfaces: usize,
    /// Bridges.
    pub bridges: usize,
}

/// What goes beyond a quota.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// Too many of something.
    #[error("{wanted} {what}, {most} are the most: delete what is not needed, or have the quota raised")]
    Count {
        /// What.
        what: &'static str,
        /// How many there would be.
        wanted: usize,
        /// How many may be.
        most: usize,
    },
    /// A topology without a lease.
    #[error("topologies need a lease{}", .0.map(|most| format!(" of {most:?} at the most")).unwrap_or_default())]
    NoLease(Option<Duration>),
    /// A lease that is too long.
    #[error("a lease of {asked:?}, {most:?} is the most")]
    LongLease {
        /// That was asked for.
        asked: Duration,
        /// That may be.
        most: Duration,
    },
}

impl Count {
    /// That of one topology.
    pub fn of(spec: &TopologySpec) -> Self {
        let interfaces = 2 * spec.links.len() + spec.attachments.len();
        Self { topologies: 1, interfaces, bridges: spec.bridges.len() }
    }

    /// Both together.
    pub fn and(self, other: Self) -> Self {
        Self {
            topologies: self.topologies + other.topologies,
            interfaces: self.interfaces + other.interfaces,
            bridges: self.bridges + other.bridges,
        }
    }
}

impl Quota {
    /// What two quotas leave together: of each the lower limit.
    pub fn and(self, other: Self) -> Self {
        fn lower<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
            match (one, other) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            }
        }
        let requests = match (self.requests, other.requests) {
            (Some(a), Some(b)) => Some(a.and(b)),
            (a, b) => a.or(b),
        };
        Self {
            topologies: lower(self.topologies, other.topologies),
            interfaces: lower(self.interfaces, other.interfaces),
            bridges: lower(self.bridges, other.bridges),
            captures: lower(self.captures, other.captures),
            requests,
            lease_required: self.lease_required || other.lease_required,
            longest_lease: lower(self.longest_lease, other.longest_lease),
        }
    }

    /// Whether a namespace that has `others` besides one topology may change that from `before` to `after`. What was allowed
    /// once and is no longer may stay, and may become less.
    ///
    /// # Errors
    ///
    /// It may not.
    pub fn check(&self, others: Count, before: Option<&TopologySpec>, after: &TopologySpec) -> Result<(), Excess> {
        let was = before.map(Count::of).unwrap_or_default();
        let (old, new) = (others.and(was), others.and(Count::of(after)));
        for (what, most, old, new) in [
            ("topologies", self.topologies, old.topologies, new.topologies),
            ("interfaces", self.interfaces, old.interfaces, new.interfaces),
            ("bridges", self.bridges, old.bridges, new.bridges),
        ] {
            if let Some(most) = most
                && new > most
                && new > old
            {
                return Err(Excess::Count { what, wanted: new, most });
            }
        }
        match after.lease {
            lease if before.is_some_and(|before| before.lease == lease) => Ok(()),
            None if self.lease_required => Err(Excess::NoLease(self.longest_lease)),
            None => Ok(()),
            Some(asked) => match self.longest_lease {
                Some(most) if asked > most => Err(Excess::LongLease { asked, most }),
                _ => Ok(()),
            },
        }
    }
}

/// Counts calls: a bucket that drips full and of which each call takes one. In nanoseconds of dripping, so that nothing is lost by
/// rounding.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bucket {
    /// When it was, or will be, full.
    full: Duration,
}

impl Bucket {
    /// Takes one at a time on any clock that does not go back.
    ///
    /// # Errors
    ///
    /// It is empty: how long until there is one again.
    pub fn take(&mut self, rate: Rate, now: Duration) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / rate.per_second.max(1);
        let full = self.full.max(now) + each;
        let may_lack = each * rate.burst.max(1);
        let lacks = full.saturating_sub(now);
        if lacks > may_lack {
            return Err(lacks.saturating_sub(may_lack));
        }
        self.full = full;
        Ok(())
    }

    /// Whether it is full: as if it had never been used.
    pub fn is_full(&self, now: Duration) -> bool {
        self.full <= now
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::name::TopologyKey;

    fn spec(lease: Option<u64>) -> TopologySpec {
        TopologySpec { lease: lease.map(Duration::from_secs), ..TopologySpec::empty(TopologyKey::default()) }
    }

    #[test]
    fn what_is_there_may_stay_and_what_is_more_may_not_come() {
        let quota = Quota { topologies: Some(2), ..Quota::default() };
        let others = |topologies| Count { topologies, ..Count::default() };
        assert_eq!(quota.check(others(1), None, &spec(None)), Ok(()));
        let excess = quota.check(others(2), None, &spec(None));
        assert_eq!(excess, Err(Excess::Count { what: "topologies", wanted: 3, most: 2 }));
        assert_eq!(quota.check(others(5), Some(&spec(None)), &spec(None)), Ok(()), "the quota was lowered since");
    }

    #[test]
    fn leases_are_required_and_limited() {
        let quota = Quota { lease_required: true, longest_lease: Some(Duration::from_secs(60)), ..Quota::default() };
        let check = |before: Option<u64>, after| {
            quota.check(Count::default(), before.map(Some).map(spec).as_ref(), &spec(after))
        };
        assert!(matches!(check(None, None), Err(Excess::NoLease(_))));
        assert!(matches!(check(None, Some(61)), Err(Excess::LongLease { .. })));
        assert_eq!(check(None, Some(60)), Ok(()));
        assert_eq!(check(Some(90), Some(90)), Ok(()), "it has it already");
        assert!(check(Some(90), Some(91)).is_err() && check(Some(90), None).is_err());
        assert_eq!(Quota::default().check(Count::default(), None, &spec(None)), Ok(()));
    }

    proptest! {
        #[test]
        fn no_more_than_the_burst_and_the_rate_ever_pass(
            per_second in 1_u32..2000, burst in 1_u32..50, pauses in prop::collection::vec(0_u64..2_000_000, 1..300),
        ) {
            let (rate, mut bucket) = (Rate { per_second, burst }, Bucket::default());
            let start = Duration::from_secs(1000);
            let (mut now, mut passed) = (start, 0_u32);
            for pause in pauses {
                now += Duration::from_micros(pause);
                match bucket.take(rate, now) {
                    Ok(()) => passed += 1,
                    Err(wait) => {
                        prop_assert!(wait > Duration::ZERO && wait <= Duration::from_secs(1) / per_second);
                        let mut later = bucket;
                        prop_assert!(later.take(rate, now + wait).is_ok(), "what it says is when it may");
                    }
                }
                let most = f64::from(burst) + now.saturating_sub(start).as_secs_f64() * f64::from(per_second) + 0.01;
                prop_assert!(f64::from(passed) <= most, "{passed} of {most}");
            }
        }

        #[test]
        fn whoever_keeps_to_the_rate_is_never_refused(per_second in 1_u32..2000, burst in 1_u32..50) {
            let (rate, mut bucket) = (Rate { per_second, burst }, Bucket::default());
            let mut now = Duration::from_secs(1000);
            for _ in 0..200 {
                prop_assert!(bucket.take(rate, now).is_ok());
                now += Duration::from_secs(1) / per_second;
            }
        }
    }
}
