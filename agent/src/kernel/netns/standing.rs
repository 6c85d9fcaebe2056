//! Threads that stand ready. To start one for each namespace that is entered takes milliseconds where there is more to do than
//! there are processors; one that waits is woken at once.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{Builder, ThreadId, current},
    time::Duration,
};

use super::KernelError;

/// How long a thread waits that is not the last: as long as those of tokio for what blocks.
pub(super) const IDLE: Duration = Duration::from_secs(10);

/// Threads that wait at the most; who needs more starts them, and they end with their work.
const MOST: usize = 8;

type Job = Box<dyn FnOnce() + Send>;

/// Threads that wait for work. One that waits in vain for a while ends, but for the last.
#[derive(Debug)]
pub(super) struct Standing {
    idle: Duration,
    waiting: Mutex<Vec<Ready>>,
}

/// A thread that waits.
#[derive(Debug)]
struct Ready {
    id: ThreadId,
    /// It ends when nobody has this any more.
    jobs: Sender<Job>,
}

/// Work that goes on.
#[derive(Debug)]
pub(super) struct Begun<T> {
    answer: Receiver<T>,
    shown: String,
}

impl<T> Begun<T> {
    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// It panicked.
    pub(super) fn end(self) -> Result<T, KernelError> {
        self.answer.recv().map_err(|_| KernelError::Panicked(self.shown))
    }
}

impl Standing {
    /// None yet. Those that will be end after this time without work.
    pub(super) const fn new(idle: Duration) -> Self {
        Self { idle, waiting: Mutex::new(Vec::new()) }
    }

    /// Begins `work` on a thread that has no other, which may take another one afterwards if `work` says so with its result.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub(super) fn begin<T: Send + 'static>(
        &'static self,
        shown: &str,
        work: impl FnOnce() -> (T, bool) + Send + 'static,
    ) -> Result<Begun<T>, KernelError> {
        // The one that came last: the others get their rest.
        let ready = self.waiting().pop();
        let thread = match ready {
            Some(thread) => thread,
            None => self.start(shown)?,
        };
        let (reply, answer) = channel();
        let jobs = thread.jobs.clone();
        let job = Box::new(move || {
            let (done, again) = work();
            let mut waiting = self.waiting();
            if again && waiting.len() < MOST {
                waiting.push(thread);
            }
            drop(waiting);
            // Who asked may have gone.
            let _ = reply.send(done);
        });
        jobs.send(job).map_err(|_| KernelError::Panicked(shown.to_owned()))?;
        Ok(Begun { answer, shown: shown.to_owned() })
    }

    fn start(&'static self, shown: &str) -> Result<Ready, KernelError> {
        let (jobs, queue) = channel();
        let started = Builder::new().name("podwire-netns".to_owned()).spawn(move || self.work(&queue));
        let thread = started.map_err(|error| KernelError::io("start a thread for", shown, &error))?;
        Ok(Ready { id: thread.thread().id(), jobs })
    }

    fn work(&self, queue: &Receiver<Job>) {
        loop {
            match queue.recv_timeout(self.idle) {
                Ok(job) => job(),
                Err(RecvTimeoutError::Timeout) if !self.may_end() => {}
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether the calling thread was one of several that wait, and is none any more. One that is not among them is about to
    /// get work.
    fn may_end(&self) -> bool {
        let mut waiting = self.waiting();
        let before = waiting.len();
        if before > 1 {
            waiting.retain(|ready| ready.id != current().id());
        }
        waiting.len() < before
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Ready>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{Arc, Barrier},
        thread,
        time::Instant,
    };

    use super::*;

    #[test]
    fn a_thread_is_used_again_if_it_may_be_and_never_after_a_panic() {
        static THREADS: Standing = Standing::new(Duration::from_secs(60));
        let on = |again: bool| THREADS.begin("a test", move || (current().id(), again)).unwrap().end().unwrap();
        let first = on(true);
        assert_eq!(on(false), first);
        let second = on(true);
        assert_ne!(second, first);
        let panicked = THREADS.begin::<()>("a test", || panic!("of the test")).unwrap().end();
        assert!(matches!(panicked, Err(KernelError::Panicked(_))), "{panicked:?}");
        let third = on(true);
        assert!(third != first && third != second);
    }

    #[test]
    fn of_those_that_wait_in_vain_one_stays() {
        static THREADS: Standing = Standing::new(Duration::from_millis(20));
        let together = Arc::new(Barrier::new(3));
        thread::scope(|scope| {
            for _ in 0..3 {
                let together = Arc::clone(&together);
                scope.spawn(move || {
                    let work = move || {
                        together.wait();
                        ((), true)
                    };
                    THREADS.begin("a test", work).unwrap().end().unwrap();
                });
            }
        });
        let began = Instant::now();
        while THREADS.waiting().len() > 1 {
            assert!(began.elapsed() < Duration::from_secs(60), "{:?}", THREADS.waiting());
            thread::yield_now();
        }
        let last = THREADS.waiting()[0].id;
        assert_eq!(THREADS.begin("a test", || (current().id(), true)).unwrap().end().unwrap(), last);
    }
}
