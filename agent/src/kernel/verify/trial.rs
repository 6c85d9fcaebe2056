//! One probe frame, and whether it came.

use super::{super::packet::Frame, Passes};

/// The local experimental EtherType 1 of IEEE Std 802, clause 9.2.4.
pub(super) const ETHERTYPE: u16 = 0x88b5;

/// Least payload of an Ethernet frame.
pub(super) const LEAST_PAYLOAD: usize = 46;

/// Addresses, EtherType, the number of the verification, the number of the trial.
pub(super) const HEADER_BYTES: usize = 14 + 8 + 4;

/// Bytes before the payload where the tag stands beside the frame.
const ETHERNET_BYTES: usize = 14;

/// The tag of a tagged probe: priority 0, and a VLAN that nobody is likely to have configured.
const TAG: u16 = 0x0ffe;

/// A frame that is sent, perhaps several times.
#[derive(Debug)]
pub(super) struct Trial {
    /// Number of the station that sends it.
    pub(super) from: usize,
    to: [u8; 6],
    /// Bytes of payload.
    pub(super) payload: usize,
    /// Whether it has an 802.1Q tag.
    pub(super) tagged: bool,
    /// Whether it came.
    pub(super) passed: bool,
}

impl Trial {
    pub(super) fn new(from: usize, to: [u8; 6], payload: usize, tagged: bool) -> Self {
        Self { from, to, payload, tagged, passed: false }
    }

    /// The frame.
    pub(super) fn frame(&self, sender: [u8; 6], nonce: u64, number: usize) -> Vec<u8> {
        let mut frame = Vec::with_capacity(ETHERNET_BYTES + 4 + self.payload);
        frame.extend(self.to);
        frame.extend(sender);
        if self.tagged {
            frame.extend(0x8100_u16.to_be_bytes());
            frame.extend(TAG.to_be_bytes());
        }
        frame.extend(ETHERTYPE.to_be_bytes());
        let payload = frame.len();
        frame.extend(nonce.to_be_bytes());
        frame.extend(u32::try_from(number).unwrap_or(u32::MAX).to_be_bytes());
        frame.resize(payload + self.payload, 0);
        frame
    }

    /// Whether what came is what was sent.
    pub(super) fn is_whole(&self, frame: &Frame) -> bool {
        let tag = frame.vlan.map(|(_, control)| control);
        frame.length == ETHERNET_BYTES + self.payload && tag == self.tagged.then_some(TAG)
    }
}

/// The number of the trial that a probe belongs to.
pub(super) fn number_of(frame: &[u8]) -> Option<usize> {
    let bytes = frame.get(HEADER_BYTES - 4..HEADER_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

/// What the trials of one direction came to.
pub(super) fn passes(trials: &[Trial], from: usize) -> Passes {
    let passed = || trials.iter().filter(|trial| trial.from == from && trial.passed);
    let largest = |tagged| {
        let sizes = passed().filter(|trial| trial.tagged == tagged && trial.to[0] & 1 == 0).map(|trial| trial.payload);
        sizes.max().map_or(0, |size| u32::try_from(size).unwrap_or(u32::MAX))
    };
    Passes {
        unicast: passed().any(|trial| !trial.tagged && trial.to[0] & 1 == 0),
        largest: largest(false),
        largest_tagged: largest(true),
        groups: passed().filter(|trial| trial.to[0] & 1 == 1).map(|trial| trial.to[5]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_says_which_it_is() {
        for tagged in [false, true] {
            let trial = Trial::new(0, [2; 6], 1500, tagged);
            let frame = trial.frame([4; 6], 0x0102_0304_0506_0708, 77);
            assert_eq!(frame.len(), 14 + 1500 + if tagged { 4 } else { 0 });
            // The kernel takes the tag out.
            let seen = if tagged { [&frame[..12], &frame[16..]].concat() } else { frame };
            assert_eq!(seen[12..22], [0x88, 0xb5, 1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(number_of(&seen[..HEADER_BYTES]), Some(77));
            let vlan = tagged.then_some((0x8100, TAG));
            let came = Frame { kept: 26, length: seen.len(), stamp: 0, outgoing: false, vlan };
            assert!(trial.is_whole(&came));
            assert!(!trial.is_whole(&Frame { length: 100, ..came }));
            assert!(!Trial { tagged: !tagged, ..trial }.is_whole(&came));
        }
    }
}
