//! Threads that stand ready. To start one for each namespace that is entered takes milliseconds where there is more to do than
//! there are processors; one that waits is woken at once.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
};

use super::KernelError;

/// Threads that wait at the most; who needs more starts them, and they end with their work.
const MOST: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// Those that wait. A thread ends when nobody can give it work any more.
#[derive(Debug)]
pub(super) struct Standing(Mutex<Vec<Sender<Job>>>);

impl Standing {
    pub(super) const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Runs `work` on a thread that has no other, which may take another one afterwards if `work` says so with its result.
    ///
    /// # Errors
    ///
    /// There is no thread to be had, or `work` panics.
    pub(super) fn run<T: Send + 'static>(
        &self,
        shown: &str,
        work: impl FnOnce() -> (T, bool) + Send + 'static,
    ) -> Result<T, KernelError> {
        let ready = self.waiting().pop();
        let thread = match ready {
            Some(thread) => thread,
            None => start(shown)?,
        };
        let (reply, answer) = channel();
        let job = Box::new(move || {
            // Who asked waits for it.
            let _ = reply.send(work());
        });
        let died = || KernelError::Panicked(shown.to_owned());
        thread.send(job).map_err(|_| died())?;
        let (done, again) = answer.recv().map_err(|_| died())?;
        let mut waiting = self.waiting();
        if again && waiting.len() < MOST {
            waiting.push(thread);
        }
        Ok(done)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Sender<Job>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn start(shown: &str) -> Result<Sender<Job>, KernelError> {
    let (jobs, queue) = channel::<Job>();
    let work = move || queue.into_iter().for_each(|job| job());
    let started = thread::Builder::new().name("podwire-netns".to_owned()).spawn(work);
    started.map_err(|error| KernelError::io("start a thread for", shown, &error))?;
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use std::thread::{ThreadId, current};

    use super::*;

    fn on(threads: &Standing, again: bool) -> ThreadId {
        threads.run("a test", move || (current().id(), again)).unwrap()
    }

    #[test]
    fn a_thread_is_used_again_if_it_may_be_and_never_after_a_panic() {
        let threads = Standing::new();
        let first = on(&threads, true);
        assert_eq!(on(&threads, false), first);
        let second = on(&threads, true);
        assert_ne!(second, first);
        let panicked = threads.run::<()>("a test", || panic!("of the test"));
        assert!(matches!(panicked, Err(KernelError::Panicked(_))), "{panicked:?}");
        let third = on(&threads, true);
        assert!(third != first && third != second);
    }
}
