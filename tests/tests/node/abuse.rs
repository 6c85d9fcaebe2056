//! What callers may throw at the agent: it takes no more memory, descriptors and threads than its limits say, serves those
//! who behave meanwhile, and is afterwards as it was before.
//!
//! `docs/security.md` has the limits, and the figures that these tests print.

mod crowds;
mod floods;
mod headers;
mod honest;
mod messages;
mod process;
mod raw;
mod readers;
mod silence;
mod tenants;

use std::{future::Future, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use podwire_client::Client;
use podwire_tests::{
    condition::eventually,
    lab::{
        Lab,
        agent::{Agent, SOCKET},
    },
    private::measured,
};
use tokio_rustls::TlsConnector;

use crate::door::{ADDRESS, Door, rules, wire::connector};

use self::{honest::Honest, process::Process, raw::Raw};

/// Where an agent without TLS listens.
const PLAIN: &str = "127.0.0.1:7400";

/// How attackers come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// By TCP without TLS, from another address than others.
    Plain,
    /// By TLS, from another address, with a certificate and the right to read and write in `attack`.
    Tls,
    /// By the unix socket, as root.
    Unix,
}

/// An agent that is under attack.
struct Siege {
    way: Way,
    plain: Option<Agent>,
    door: Option<Door>,
    /// Shows the attackers' certificate.
    evil: Option<TlsConnector>,
}

/// What an attack may cost, besides what is said for all.
struct Bounds {
    /// MiB of the agent's own memory more than before.
    memory: u64,
    /// Descriptors more than before.
    descriptors: usize,
}

/// Threads more than before: each call that looks at the kernel has one of at most 512 for that moment.
const THREADS: usize = 512;
/// A caller who behaves is served within this, mostly and at the worst. Two processors have the agent, the attackers and other
/// tests to run, all of it unoptimised; seen are 200 ms and 9 s. `docs/security.md` has the figures of a machine at rest.
const MEDIAN: Duration = Duration::from_secs(2);
const WORST: Duration = Duration::from_secs(30);
/// Descriptors more than an attack's own: what those who behave need, and connections on their way out.
const WORK: usize = 256;
/// MiB that may be left when an attack is over: what the allocator keeps of freed memory.
const LEFT: u64 = 48;

impl Siege {
    async fn lay(lab: &Lab, way: Way) -> Self {
        // Each attacker is a descriptor of this process.
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        lab.pods(["a", "b"]);
        if way == Way::Tls {
            let [evil, worse] = ["evil.example", "worse.example"].map(|name| (name, "attack", "read, write"));
            let policy = rules([evil, worse, ("good.example", "lessons", "read, write")]);
            let door = Door::open_with(lab, &policy, |agent| agent.arg("--log-level").arg("warn")).await;
            let evil = connector(&door.authority, Some(&door.authority.issue(&["evil.example"])));
            return Self { way, plain: None, door: Some(door), evil: Some(evil) };
        }
        let agent = lab.agent().arg("--listen").arg(format!("tcp://{PLAIN}")).arg("--insecure-plaintext-tcp");
        Self { way, plain: Some(agent.arg("--log-level").arg("warn").start().await), door: None, evil: None }
    }

    fn agent(&self) -> &Agent {
        self.plain.as_ref().or(self.door.as_ref().map(|door| &door.agent)).expect("one of the two")
    }

    /// Somebody who behaves.
    async fn client(&self) -> Client {
        match (&self.door, self.way) {
            (Some(door), _) => door.client("good.example").await,
            (None, Way::Unix) => Client::connect(SOCKET).await.unwrap(),
            (None, _) => Client::connect(&format!("tcp://{PLAIN}")).await.unwrap(),
        }
    }

    /// A connection of somebody who does not, with nothing said but a handshake.
    async fn attacker(&self) -> std::io::Result<Raw> {
        match &self.door {
            None if self.way == Way::Unix => Raw::unix(SOCKET).await,
            None => Raw::tcp(PLAIN).await,
            Some(_) => Raw::tls(ADDRESS, self.evil.as_ref().expect("with TLS")).await,
        }
    }

    /// Lets an attack run beside an honest caller, and compares before, meanwhile and afterwards.
    async fn endure<T>(&self, what: &str, bounds: Bounds, attack: impl Future<Output = T>) {
        let process = Process::of(self.agent().pid());
        let honest = Honest::begin(self.client().await).await;
        let (before, alone) = (process.now(), honest.figures().await);
        let watch = process.watch();
        let (done, beside) = honest.beside(attack).await;
        let (peak, now) = (watch.end(), process.now());
        measured(&format!(
            "{what} ({:?}): memory {} MiB, at most {} MiB, then {} MiB; descriptors {}, {}; threads {}, {}; \
             reads alone {alone}; beside it {beside}",
            self.way,
            before.memory,
            peak.memory,
            now.memory,
            before.descriptors,
            peak.descriptors,
            before.threads,
            peak.threads,
        ));
        let log = || self.agent().log().lines().rev().take(20).collect::<Vec<_>>().join("\n");
        assert!(peak.memory <= before.memory + bounds.memory, "{what}: memory\n{}", log());
        assert!(peak.descriptors <= before.descriptors + bounds.descriptors + WORK, "{what}: descriptors\n{}", log());
        assert!(peak.threads <= before.threads + THREADS, "{what}: threads\n{}", log());
        assert!(beside.calls > 0 && beside.applied > 0, "{what}: nobody was served\n{}", log());
        assert!(beside.median <= MEDIAN && beside.worst <= WORST, "{what}: who behaves waits\n{}", log());
        // The attackers hold what they have until here.
        drop(done);
        eventually("the agent is as before", async || {
            let now = process.now();
            anyhow::ensure!(now.memory <= before.memory + LEFT, "memory {} MiB", now.memory);
            anyhow::ensure!(now.descriptors <= before.descriptors + 8, "descriptors {}", now.descriptors);
            Ok(())
        })
        .await;
        let after = honest.figures().await;
        assert!(after.median <= MEDIAN, "{what}: afterwards {after}");
        honest.end().await;
    }
}
