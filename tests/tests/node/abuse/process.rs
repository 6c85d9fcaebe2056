//! What the agent takes of its node.

use std::{
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::unistd::Pid;

/// A process to be looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Process(Pid);

/// What it has.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Has {
    /// MiB of memory of its own: `RssAnon` of /proc/PID/status.
    pub(super) memory: u64,
    pub(super) descriptors: usize,
    pub(super) threads: usize,
}

/// Looks at it all the time.
pub(super) struct Watch {
    end: Arc<AtomicBool>,
    most: Arc<Mutex<Has>>,
    thread: JoinHandle<()>,
}

impl Process {
    pub(super) fn of(pid: Pid) -> Self {
        Self(pid)
    }

    pub(super) fn now(self) -> Has {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0)).expect("the agent runs");
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        Has {
            memory: field("RssAnon:") / 1024,
            threads: usize::try_from(field("Threads:")).unwrap(),
            descriptors: fs::read_dir(format!("/proc/{}/fd", self.0)).expect("the agent runs").count(),
        }
    }

    pub(super) fn watch(self) -> Watch {
        let (end, most) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(self.now())));
        let (stop, seen) = (Arc::clone(&end), Arc::clone(&most));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let now = self.now();
                let mut most = seen.lock().unwrap();
                most.memory = most.memory.max(now.memory);
                most.descriptors = most.descriptors.max(now.descriptors);
                most.threads = most.threads.max(now.threads);
                drop(most);
                // A sampler: what is looked at has no event.
                thread::sleep(Duration::from_millis(10));
            }
        });
        Watch { end, most, thread }
    }
}

impl Watch {
    /// The most of each.
    pub(super) fn end(self) -> Has {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        *self.most.lock().unwrap()
    }
}
