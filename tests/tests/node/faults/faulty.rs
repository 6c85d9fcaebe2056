//! The real kernel and the real store, but for calls that are to fail.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use nix::errno::Errno;
use podwire_agent::{
    domain::{
        announcement::Announcement,
        name::TopologyKey,
        observed::{Observed, SandboxId},
        step::Step,
    },
    kernel::{Ear, Kernel, KernelError, LinuxKernel, Moment, PanelAhead, Site, SiteView, StepFailed},
    store::{Draft, Record, Store, StoreError},
};

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// A step of a plan.
    Step,
    /// A look at the kernel.
    Observe,
    /// The opening of what a converge works on.
    Open,
    /// A write to the store.
    Put,
}

/// Faults that are to happen, one after the other: each at the call before which so many were made since the one before.
#[derive(Debug, Clone, Default)]
pub(super) struct Fault(Arc<Mutex<VecDeque<(Call, usize)>>>);

impl Fault {
    /// Lets a call fail, once.
    pub(super) fn arm(&self, call: Call, after: usize) {
        self.arm_all(&[(call, after)]);
    }

    /// Lets calls fail, each once.
    pub(super) fn arm_all(&self, faults: &[(Call, usize)]) {
        *self.armed() = faults.iter().copied().collect();
    }

    /// Whether one has not happened yet.
    pub(super) fn is_armed(&self) -> bool {
        self.left() > 0
    }

    /// How many have not happened yet.
    pub(super) fn left(&self) -> usize {
        self.armed().len()
    }

    /// Takes back what did not happen, and says how many those are.
    pub(super) fn disarm(&self) -> usize {
        std::mem::take(&mut *self.armed()).len()
    }

    /// Takes it back where it did not happen, and says whether it did.
    pub(super) fn happened(&self) -> bool {
        self.disarm() == 0
    }

    fn armed(&self) -> MutexGuard<'_, VecDeque<(Call, usize)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which of `calls` calls fails now.
    fn due(&self, call: Call, calls: usize) -> Option<usize> {
        let mut armed = self.armed();
        let (wanted, left) = armed.front_mut()?;
        if *wanted != call {
            return None;
        }
        if *left >= calls {
            *left -= calls;
            return None;
        }
        // What follows is the undoing, which fails only if it was asked for.
        armed.pop_front().map(|(_, at)| at)
    }

    fn kernel(&self, call: Call) -> Result<(), KernelError> {
        self.due(call, 1).map_or(Ok(()), |_| Err(error()))
    }

    fn store(&self, path: &TopologyKey) -> Result<(), StoreError> {
        let source = || std::io::Error::from_raw_os_error(Errno::EIO as i32);
        let error = || StoreError::Io { operation: "write", path: path.to_string(), source: source() };
        self.due(Call::Put, 1).map_or(Ok(()), |_| Err(error()))
    }
}

fn error() -> KernelError {
    KernelError::Netlink { operation: "RTM_NEWLINK", errno: Errno::EIO, sentence: "a fault".to_owned() }
}

pub(super) struct FaultyKernel {
    pub(super) kernel: LinuxKernel,
    pub(super) fault: Fault,
}

struct FaultySite {
    site: Box<dyn Site>,
    fault: Fault,
}

impl Kernel for FaultyKernel {
    fn open(&self, view: SiteView) -> Result<Box<dyn Site>, KernelError> {
        self.fault.kernel(Call::Open)?;
        Ok(Box::new(FaultySite { site: self.kernel.open(view)?, fault: self.fault.clone() }))
    }

    fn panel_ahead(&self) -> Option<PanelAhead> {
        self.kernel.panel_ahead()
    }

    fn ear(&self) -> Arc<Ear> {
        self.kernel.ear()
    }

    fn reap(&self) -> Result<(), KernelError> {
        self.kernel.reap()
    }
}

impl Site for FaultySite {
    fn observe(&mut self) -> Result<Observed, KernelError> {
        self.fault.kernel(Call::Observe)?;
        self.site.observe()
    }

    fn looked_at(&self) -> Moment {
        self.site.looked_at()
    }

    fn execute(&mut self, steps: &[Step]) -> Result<(), StepFailed> {
        let Some(at) = self.fault.due(Call::Step, steps.len()) else { return self.site.execute(steps) };
        self.site.execute(&steps[..at])?;
        Err(StepFailed { at, source: error() })
    }
}

pub(super) struct FaultyStore {
    pub(super) store: Arc<dyn Store>,
    pub(super) fault: Fault,
}

impl Store for FaultyStore {
    fn load(&self) -> Result<Vec<(TopologyKey, Record)>, StoreError> {
        self.store.load()
    }

    fn draft(&self, record: &Record) -> Result<Draft, StoreError> {
        self.store.draft(record)
    }

    fn put_draft(&self, key: &TopologyKey, draft: Draft) -> Result<(), StoreError> {
        self.fault.store(key)?;
        self.store.put_draft(key, draft)
    }

    fn put_unwaited(&self, key: &TopologyKey, record: Record) {
        // Nobody is told what becomes of it.
        self.store.put_unwaited(key, record);
    }

    fn forget(&self, key: &TopologyKey) -> Result<(), StoreError> {
        self.fault.store(key)?;
        self.store.forget(key)
    }

    fn announcements(&self) -> Result<Vec<Announcement>, StoreError> {
        self.store.announcements()
    }

    fn put_announcement(&self, announcement: &Announcement) -> Result<(), StoreError> {
        self.store.put_announcement(announcement)
    }

    fn forget_announcement(&self, sandbox: &SandboxId) {
        self.store.forget_announcement(sandbox);
    }
}
