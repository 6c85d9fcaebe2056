//! How much a caller may say beside what his calls need: frames that ask nothing cost who gets them more than who sends them.

use tokio::time::Instant;

use crate::api::Activity;

/// Bytes that a connection may always have said: settings, pings, what is on its way within its windows.
pub(super) const SMALL_TALK: u64 = 512 * 1024;
/// Bytes more for each call, beside its message: its headers, and a window full of a message that was not read.
const CALL: u64 = 160 * 1024;
/// Bytes more for each second: pings of who is careful.
const SECOND: u64 = 1024;

/// What a connection has said and heard.
#[derive(Debug)]
pub(super) struct Allowance {
    began: Instant,
    said: u64,
    heard: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { began: Instant::now(), said: 0, heard: 0 }
    }
}

impl Allowance {
    /// The caller has said so much more.
    pub(super) fn said(&mut self, bytes: usize) {
        self.said = self.said.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// And heard so much more.
    pub(super) fn heard(&mut self, bytes: usize) {
        self.heard = self.heard.saturating_add(u64::try_from(bytes).unwrap_or(u64::MAX));
    }

    /// Whether it was more than may be. Who hears much answers with windows, and a message comes in frames.
    pub(super) fn is_over(&self, activity: &Activity) -> bool {
        if self.said <= SMALL_TALK {
            return false;
        }
        let (calls, bytes) = activity.asked();
        let for_calls = calls.saturating_mul(CALL).saturating_add(bytes.saturating_mul(2));
        let beside = self.heard / 4 + self.began.elapsed().as_secs() * SECOND + SMALL_TALK;
        self.said > for_calls.saturating_add(beside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_only_talks_is_over_and_who_hears_much_may_say_so() {
        let (mut allowance, activity) = (Allowance::default(), Activity::default());
        allowance.said(512 * 1024);
        assert!(!allowance.is_over(&activity));
        allowance.said(64 * 1024);
        assert!(allowance.is_over(&activity));
        allowance.heard(1 << 20);
        assert!(!allowance.is_over(&activity));
        allowance.said(1 << 20);
        assert!(allowance.is_over(&activity));
    }
}
