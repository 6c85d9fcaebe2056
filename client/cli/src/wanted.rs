//! Interfaces that somebody waits for.

use std::{fmt, time::Duration};

use crate::{
    mark::{GROUP, Mark},
    netlink::Device,
};

/// An interface of podwire's that is complete, up and carries frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There is none of that name.
    Absent,
    /// It is not podwire's.
    Foreign,
    /// The agent is at work on it.
    Incomplete,
    /// It is set down.
    Down,
    /// Its far end is there, and the kernel has yet to let frames through.
    Starting,
    /// The first frame passes; or its far end is not there, which is not waited for.
    Complete,
}

impl Stage {
    /// That of a device, if there is one.
    pub(crate) fn of(device: Option<&Device>) -> Self {
        let Some(device) = device else { return Self::Absent };
        if device.group != GROUP {
            return Self::Foreign;
        }
        if mark(device).is_none() {
            Self::Incomplete
        } else if !device.up {
            Self::Down
        } else if device.carrier && !device.running {
            Self::Starting
        } else {
            Self::Complete
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absent => "is not there",
            Self::Foreign => "is there, but podwire did not make it",
            Self::Incomplete => "is there, but the agent has not finished it",
            Self::Down => "is complete, but set down",
            Self::Starting => "is complete, and the kernel is about to let frames through",
            Self::Complete => "is complete and up",
        })
    }
}

/// What podwire wrote on a device.
pub(crate) fn mark(device: &Device) -> Option<Mark> {
    device.altnames.iter().find_map(|altname| Mark::parse(altname)).filter(|_| device.group == GROUP)
}

/// The wanted interfaces that are not complete.
pub(crate) fn missing<'a>(wanted: &'a [String], devices: &[Device]) -> Vec<(&'a str, Stage)> {
    let stage = |name: &'a String| {
        // A name twice is one interface.
        (name.as_str(), Stage::of(devices.iter().find(|device| device.name == *name)))
    };
    let mut missing: Vec<_> = wanted.iter().map(stage).filter(|(_, stage)| *stage != Stage::Complete).collect();
    missing.dedup();
    missing
}

/// What is missing, in one line.
pub(crate) fn list(missing: &[(&str, Stage)]) -> String {
    missing.iter().map(|(name, stage)| format!("{name} {stage}")).collect::<Vec<_>>().join("; ")
}

/// Interfaces did not come in time.
#[derive(Debug, thiserror::Error)]
#[error("not within {after:?}: {missing}\nhint: {hint}")]
pub(crate) struct Waited {
    after: Duration,
    missing: String,
    hint: &'static str,
}

impl Waited {
    /// These did not come.
    pub(crate) fn new(after: Duration, missing: &[(&str, Stage)]) -> Self {
        let hint = if missing.iter().any(|(_, stage)| *stage == Stage::Foreign) {
            "an interface of that name is in podwire's way: give one of the two another name"
        } else if missing.iter().any(|(_, stage)| *stage == Stage::Down) {
            "something in this pod has set it down: `ip link set NAME up`"
        } else {
            "does a topology on this pod's node ask for them? `podwire show` and `podwire get pods` there say what the \
             agent waits for"
        };
        Self { after, missing: list(missing), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(change: impl FnOnce(&mut Device)) -> Device {
        let mut device = Device {
            name: "net1".into(),
            group: GROUP,
            altnames: vec!["podwire.lessons.12.w1.a".into()],
            up: true,
            carrier: true,
            running: true,
            ..Device::default()
        };
        change(&mut device);
        device
    }

    #[test]
    fn an_interface_is_complete_when_all_of_it_is() {
        let stage = |change: fn(&mut Device)| Stage::of(Some(&device(change)));
        assert_eq!(stage(|_| {}), Stage::Complete);
        assert_eq!(stage(|device| device.group = 0), Stage::Foreign);
        assert_eq!(stage(|device| device.altnames.clear()), Stage::Incomplete);
        assert_eq!(stage(|device| device.up = false), Stage::Down);
        assert_eq!(stage(|device| device.running = false), Stage::Starting);
        let no_far_end: fn(&mut Device) = |device| (device.carrier, device.running) = (false, false);
        assert_eq!(stage(no_far_end), Stage::Complete, "no pod waits for another one");
        assert_eq!(Stage::of(None), Stage::Absent);
    }

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let wanted = ["net1".to_owned(), "net2".to_owned()];
        let devices = [device(|device| device.altnames.clear())];
        let missing = missing(&wanted, &devices);
        let text = Waited::new(Duration::from_secs(1), &missing).to_string();
        assert!(text.contains("net1 is there, but the agent has not finished it; net2 is not there"), "{text}");
        assert!(text.contains("hint: "), "{text}");
    }
}
