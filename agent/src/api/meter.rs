//! Counts what namespaces ask for.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::domain::{
    identity::Identity,
    name::Namespace,
    quota::{Bucket, Rate},
};

/// Namespaces, and callers, of which calls are counted at once; those that have not called for long are forgotten when there are
/// more.
const BUCKETS: usize = 4096;

/// Counts calls and captures by namespace, and calls that name none by caller.
#[derive(Debug)]
pub(super) struct Meter {
    start: Instant,
    buckets: Mutex<HashMap<Namespace, Bucket>>,
    callers: Mutex<HashMap<Identity, Bucket>>,
    captures: Mutex<HashMap<Namespace, usize>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { start: Instant::now(), buckets: Mutex::default(), callers: Mutex::default(), captures: Mutex::default() }
    }
}

impl Meter {
    /// Counts a call.
    ///
    /// # Errors
    ///
    /// There were too many: how long until there may be one again.
    pub(super) fn call(&self, namespace: &Namespace, rate: Rate) -> Result<(), Duration> {
        take(&self.buckets, namespace, rate, self.start.elapsed())
    }

    /// Counts a call that names no namespace.
    ///
    /// # Errors
    ///
    /// As of `call`.
    pub(super) fn call_of(&self, who: &Identity, rate: Rate) -> Result<(), Duration> {
        take(&self.callers, who, rate, self.start.elapsed())
    }

    /// Counts a capture for as long as what is returned lives. `None`: there are as many as may be.
    pub(super) fn capture(self: &Arc<Self>, namespace: &Namespace, most: Option<usize>) -> Option<Counted> {
        let mut captures = held(&self.captures);
        let count = captures.get(namespace).copied().unwrap_or_default();
        if most.is_some_and(|most| count >= most) {
            return None;
        }
        captures.insert(namespace.clone(), count + 1);
        Some(Counted { meter: Arc::clone(self), namespace: namespace.clone() })
    }
}

/// A capture that is counted.
#[derive(Debug)]
pub(super) struct Counted {
    meter: Arc<Meter>,
    namespace: Namespace,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut captures = held(&self.meter.captures);
        match captures.get_mut(&self.namespace) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(captures.remove(&self.namespace)),
        }
    }
}

fn take<K: Clone + Eq + Hash>(
    buckets: &Mutex<HashMap<K, Bucket>>,
    whose: &K,
    rate: Rate,
    now: Duration,
) -> Result<(), Duration> {
    let mut buckets = held(buckets);
    if buckets.len() >= BUCKETS && !buckets.contains_key(whose) {
        buckets.retain(|_, bucket| !bucket.is_full(now));
    }
    buckets.entry(whose.clone()).or_default().take(rate, now)
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captures_are_counted_while_they_last_and_by_namespace() {
        let meter = Arc::new(Meter::default());
        let [a, b]: [Namespace; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        let first = meter.capture(&a, Some(1)).unwrap();
        assert!(meter.capture(&a, Some(1)).is_none());
        let others = (meter.capture(&b, Some(1)).unwrap(), meter.capture(&a, None).unwrap());
        drop((first, others));
        assert!(held(&meter.captures).is_empty());
        assert!(meter.capture(&a, Some(1)).is_some() && meter.capture(&a, Some(0)).is_none());
    }

    #[test]
    fn one_namespace_at_its_limit_does_not_stop_another() {
        let (meter, rate) = (Meter::default(), Rate { per_second: 1, burst: 2 });
        let [a, b]: [Namespace; 2] = ["a", "b"].map(|name| name.parse().unwrap());
        assert!(meter.call(&a, rate).is_ok() && meter.call(&a, rate).is_ok());
        assert!(meter.call(&a, rate).unwrap_err() <= Duration::from_secs(1));
        assert!(meter.call(&b, rate).is_ok());
    }
}
