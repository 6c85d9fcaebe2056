//! Knows when the agent was asked to leave.

use tokio::sync::watch;

/// Asks the agent to leave; so does dropping it.
#[derive(Debug)]
pub struct Leave(watch::Sender<bool>);

/// Hears of it. All clones do.
#[derive(Debug, Clone)]
pub struct Leaving(watch::Receiver<bool>);

/// Both ends.
pub fn leaving() -> (Leave, Leaving) {
    let (sender, receiver) = watch::channel(false);
    (Leave(sender), Leaving(receiver))
}

impl Leave {
    /// Asks; once is enough.
    pub fn ask(&self) {
        self.0.send_replace(true);
    }
}

impl Leaving {
    /// Returns when it was asked, at once if that is so already.
    pub async fn asked(&mut self) {
        // An error means that the other end is gone, and with it whoever wanted the agent.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}
