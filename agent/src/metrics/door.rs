//! Who gets in, by which files, and what is written down of it.

use std::{sync::atomic::AtomicU64, time::SystemTime};

use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::instrument::{Counters, Gauges, Labels, since_epoch};

/// By which way a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A unix socket.
    Unix,
    /// TCP without TLS.
    Tcp,
    /// TLS.
    Tls,
}

impl Way {
    fn label(self) -> Labels<1> {
        [(
            "way",
            match self {
                Self::Unix => "unix",
                Self::Tcp => "tcp",
                Self::Tls => "tls",
            },
        )]
    }
}

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// No handshake in time.
    Slow,
    /// A handshake that failed, or no certificate that is accepted.
    Handshake,
    /// Not exactly one name in the certificate.
    Identity,
    /// Ended as the oldest of too many.
    Crowded,
    /// The system gave none.
    Accept,
}

impl Refusal {
    const ALL: [Self; 5] = [Self::Slow, Self::Handshake, Self::Identity, Self::Crowded, Self::Accept];

    fn label(self) -> Labels<1> {
        [(
            "reason",
            match self {
                Self::Slow => "slow",
                Self::Handshake => "handshake",
                Self::Identity => "identity",
                Self::Crowded => "crowded",
                Self::Accept => "accept",
            },
        )]
    }
}

/// Files that are read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Files {
    /// Certificate, key and authorities.
    Tls,
    /// The policy.
    Policy,
}

impl Files {
    fn label(self) -> (&'static str, &'static str) {
        (
            "files",
            match self {
                Self::Tls => "tls",
                Self::Policy => "policy",
            },
        )
    }
}

type Moments<S> = Family<S, Gauge<f64, AtomicU64>>;

/// What happens at the door.
#[derive(Debug)]
pub struct Door {
    connections: Counters<1>,
    refused: Counters<1>,
    reloads: Counters<2>,
    sound: Gauges<1>,
    taken: Moments<Labels<1>>,
    expiry: Moments<Labels<0>>,
    lines: Counter,
    lost: Counter,
}

impl Default for Door {
    fn default() -> Self {
        let [connections, refused] = [Counters::<1>::default(), Counters::default()];
        for way in [Way::Unix, Way::Tcp, Way::Tls] {
            drop(connections.get_or_create(&way.label()));
        }
        for reason in Refusal::ALL {
            drop(refused.get_or_create(&reason.label()));
        }
        Self {
            connections,
            refused,
            reloads: Counters::default(),
            sound: Gauges::default(),
            taken: Moments::default(),
            expiry: Moments::default(),
            lines: Counter::default(),
            lost: Counter::default(),
        }
    }
}

impl Door {
    /// A connection came in.
    pub(crate) fn connected(&self, way: Way) {
        self.connections.get_or_create(&way.label()).inc();
    }

    /// One did not.
    pub(crate) fn refused(&self, reason: Refusal) {
        self.refused.get_or_create(&reason.label()).inc();
    }

    /// Files were read for the first time.
    pub(crate) fn read(&self, files: Files) {
        for result in ["taken", "refused"] {
            drop(self.reloads.get_or_create(&[files.label(), ("result", result)]));
        }
        self.sound(files, true);
    }

    /// Files were read anew, and taken or not.
    pub(crate) fn reloaded(&self, files: Files, taken: bool) {
        let result = if taken { "taken" } else { "refused" };
        self.reloads.get_or_create(&[files.label(), ("result", result)]).inc();
        self.sound(files, taken);
    }

    fn sound(&self, files: Files, sound: bool) {
        self.sound.get_or_create(&[files.label()]).set(sound.into());
        if sound {
            self.taken.get_or_create(&[files.label()]).set(since_epoch(SystemTime::now()));
        }
    }

    /// The certificate that is shown ends then.
    pub(crate) fn certificate_ends(&self, at: SystemTime) {
        self.expiry.get_or_create(&[]).set(since_epoch(at));
    }

    /// A line of the audit was written, or not.
    pub(crate) fn audited(&self, written: bool) {
        self.lines.inc();
        if !written {
            self.lost.inc();
        }
    }

    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("connections", "Connections of callers that got in", self.connections.clone());
        registry.register("connections_refused", "Connections that did not get in", self.refused.clone());
        registry.register("reloads", "New contents of files, by whether they were taken", self.reloads.clone());
        registry.register(
            "files_sound",
            "1: what is in the files is what the agent uses; 0: it was refused and what was there before holds",
            self.sound.clone(),
        );
        registry.register(
            "files_taken_timestamp_seconds",
            "When what the agent uses of these files was read, since 1970",
            self.taken.clone(),
        );
        registry.register(
            "certificate_expiry_timestamp_seconds",
            "When the certificate that the agent shows ends, since 1970; absent without TLS",
            self.expiry.clone(),
        );
        registry.register("audit_lines", "Lines of the audit", self.lines.clone());
        registry.register(
            "audit_lines_lost",
            "Lines of the audit that could not be written where they belong",
            self.lost.clone(),
        );
    }
}
