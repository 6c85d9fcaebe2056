//! For what others could fill a log with.

use std::{fmt, time::Duration};

use tokio::time::Instant;

/// Lets one through now and then, and counts the others.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    last: Option<Instant>,
    more: u64,
}

/// How many were not let through before one that was: nothing, or a half sentence to put behind another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct More(pub(crate) u64);

impl Pace {
    /// One in this time.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, last: None, more: 0 }
    }

    /// How many were not let through since the last one, if this one is.
    pub(crate) fn turn(&mut self) -> Option<More> {
        self.turn_at(Instant::now())
    }

    fn turn_at(&mut self, now: Instant) -> Option<More> {
        if self.last.is_some_and(|last| now.duration_since(last) < self.every) {
            self.more += 1;
            return None;
        }
        self.last = Some(now);
        Some(More(std::mem::take(&mut self.more)))
    }

    /// Whether the next one is let through.
    pub(crate) fn is_idle(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() >= self.every)
    }
}

impl fmt::Display for More {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "; {} more since the last line of this kind", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_let_through_each_time_and_says_how_many_were_not() {
        let (mut pace, start) = (Pace::new(Duration::from_secs(1)), Instant::now());
        let mut turn = |milliseconds| pace.turn_at(start + Duration::from_millis(milliseconds));
        assert_eq!(
            [0, 1, 999, 1000, 1001, 5000].map(&mut turn).map(|more| more.map(|more| more.0)),
            [Some(0), None, None, Some(2), None, Some(1)]
        );
        assert_eq!((More(0).to_string(), More(2).to_string().contains('2')), (String::new(), true));
    }
}
