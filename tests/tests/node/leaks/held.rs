//! What a process holds, as /proc shows it.

use std::{collections::BTreeMap, fmt, fs};

use podwire_tests::lab::agent::Agent;

/// What tokio calls its threads, for blocking work too.
const WORKER: &str = "tokio-rt-worker";

/// Those that speak gRPC.
const WORKERS: usize = 2;

/// Descriptors and threads by kind, and memory.
#[derive(Debug, Clone)]
pub(super) struct Held {
    descriptors: BTreeMap<String, usize>,
    threads: BTreeMap<String, usize>,
    /// `RssAnon`, KiB.
    pub(super) memory: u64,
}

impl Held {
    pub(super) fn by(agent: &Agent) -> Self {
        let process = format!("/proc/{}", agent.pid());
        let mut descriptors = BTreeMap::new();
        for entry in fs::read_dir(format!("{process}/fd")).unwrap().flatten() {
            // One that was closed meanwhile.
            let Ok(target) = fs::read_link(entry.path()) else { continue };
            let target = target.display().to_string();
            // `socket:[4711]`: of which kind, not which one.
            let kind = target.split(":[").next().unwrap_or_default().to_owned();
            *descriptors.entry(kind).or_default() += 1;
        }
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("{process}/task")).unwrap().flatten() {
            let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
            *threads.entry(name.trim().to_owned()).or_default() += 1;
        }
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
        let memory = line.trim().trim_end_matches(" kB").parse().unwrap();
        Self { descriptors, threads, memory }
    }

    /// The same without the threads for blocking work, which end when they had none for 10 s.
    pub(super) fn at_rest(mut self) -> Self {
        self.threads.insert(WORKER.to_owned(), WORKERS);
        self
    }

    /// In numbers only.
    pub(super) fn figures(&self) -> String {
        let (descriptors, threads): (usize, usize) = (self.descriptors.values().sum(), self.threads.values().sum());
        format!("{descriptors} descriptors, {threads} threads, RssAnon {} KiB", self.memory)
    }

    /// Whether it is no descriptor and no thread more than another time, of no kind.
    pub(super) fn is_at_most(&self, other: &Self) -> bool {
        let covers = |now: &BTreeMap<String, usize>, then: &BTreeMap<String, usize>| {
            now.iter().all(|(kind, count)| then.get(kind).is_some_and(|then| count <= then))
        };
        covers(&self.descriptors, &other.descriptors) && covers(&self.threads, &other.threads)
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { descriptors, threads, memory } = self;
        write!(f, "descriptors {descriptors:?}, threads {threads:?}, RssAnon {memory} KiB")
    }
}
