//! A sign of life for what takes long, on a terminal only.

use std::{
    future::Future,
    io::{self, IsTerminal},
    pin::pin,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget};

/// How long something may take before it gets a sign of life.
const LONG: Duration = Duration::from_millis(400);

/// Runs `work` and, when it takes long and somebody watches, says what is going on.
pub(crate) async fn during<T>(what: &str, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if !io::stderr().is_terminal() {
        return work.await;
    }
    if let Ok(done) = tokio::time::timeout(LONG, work.as_mut()).await {
        return done;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(100));
    let done = work.await;
    bar.finish_and_clear();
    done
}
