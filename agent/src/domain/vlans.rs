//! VLANs of the ports of a bridge that tells VLANs apart.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::uplink::VlanId;

/// The VLAN of a port for which none was asked: the kernel's default.
const DEFAULT: u16 = 1;

/// The last VLAN id that frames can have.
const LAST: u16 = 4094;

/// VLANs of an attachment, as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Membership {
    /// One VLAN, whose frames have no tag at the interface.
    Access(VlanId),
    /// Several, whose frames have tags.
    Trunk {
        /// First and last of each range.
        tagged: Vec<(VlanId, VlanId)>,
        /// And one whose frames have none.
        native: Option<VlanId>,
    },
}

/// VLANs of a port, as the kernel has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortVlans {
    /// What can be asked for.
    Members {
        /// The VLAN of frames without a tag, in both directions.
        native: Option<u16>,
        /// First and last of each range of the others: sorted and apart.
        tagged: Vec<(u16, u16)>,
    },
    /// Anything else: a VLAN that is without a tag in one direction only.
    Odd,
}

impl PortVlans {
    /// A port that has just become one of a bridge.
    pub fn new_port() -> Self {
        Self::Members { native: Some(DEFAULT), tagged: Vec::new() }
    }

    /// All VLANs, and frames without a tag in the default one.
    pub fn all() -> Self {
        Self::of(Some(DEFAULT), &[(1, LAST)])
    }

    /// What is asked for.
    pub fn asked(membership: Option<&Membership>) -> Self {
        match membership {
            None => Self::new_port(),
            Some(Membership::Access(vlan)) => Self::of(Some(vlan.number()), &[]),
            Some(Membership::Trunk { tagged, native }) => {
                let ranges: Vec<_> = tagged.iter().map(|(first, last)| (first.number(), last.number())).collect();
                Self::of(native.map(VlanId::number), &ranges)
            }
        }
    }

    /// VLANs in any order; the native one has no tag.
    pub fn of(native: Option<u16>, ranges: &[(u16, u16)]) -> Self {
        let mut ranges = ranges.to_vec();
        ranges.sort_unstable();
        let mut tagged: Vec<(u16, u16)> = Vec::new();
        for (first, last) in ranges {
            let parts = match native.filter(|native| (first..=last).contains(native)) {
                None => [(first, last), (1, 0)],
                Some(native) => [(first, native - 1), (native + 1, last)],
            };
            for (first, last) in parts.into_iter().filter(|(first, last)| first <= last) {
                // The native one stays a gap between two ranges.
                let gap = native.is_some_and(|native| native + 1 == first);
                match tagged.last_mut().filter(|before| before.1 + 1 >= first && !gap) {
                    Some(before) => before.1 = before.1.max(last),
                    None => tagged.push((first, last)),
                }
            }
        }
        Self::Members { native, tagged }
    }

    /// What asks for it; `None`: the default, or nothing that can be asked for.
    pub fn membership(&self) -> Option<Membership> {
        let Self::Members { native, tagged } = self else { return None };
        let vlan = |number: u16| VlanId::try_from(u32::from(number)).ok();
        let native = native.and_then(vlan);
        if !tagged.is_empty() {
            let tagged = tagged.iter().filter_map(|(first, last)| Some((vlan(*first)?, vlan(*last)?))).collect();
            return Some(Membership::Trunk { tagged, native });
        }
        native.filter(|native| native.number() != DEFAULT).map(Membership::Access)
    }

    /// First and last of each range of VLANs that are not among them.
    pub fn others(&self) -> Vec<(u16, u16)> {
        let Self::Members { native, tagged } = self else { return vec![(1, LAST)] };
        let mut members = tagged.clone();
        members.extend(native.map(|native| (native, native)));
        members.sort_unstable();
        let (mut next, mut others) = (1, Vec::new());
        for (first, last) in members {
            if next < first {
                others.push((next, first - 1));
            }
            next = last + 1;
        }
        if next <= LAST {
            others.push((next, LAST));
        }
        others
    }
}

impl fmt::Display for PortVlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Members { native, tagged } = self else { return f.write_str("odd") };
        match native {
            Some(native) => write!(f, "native {native}")?,
            None => write!(f, "no native one")?,
        }
        for (at, (first, last)) in tagged.iter().enumerate() {
            f.write_str(if at == 0 { ", tagged " } else { " " })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn numbers(ranges: &[(u16, u16)]) -> std::collections::BTreeSet<u16> {
        ranges.iter().flat_map(|(first, last)| *first..=*last).collect()
    }

    #[test]
    fn a_trunk_is_shown_as_it_was_asked_for() {
        assert_eq!(PortVlans::of(Some(5), &[(20, 30), (4, 6), (10, 19)]).to_string(), "native 5, tagged 4 6 10-30");
        assert_eq!(PortVlans::all().to_string(), "native 1, tagged 2-4094");
        assert_eq!(PortVlans::asked(None).membership(), None);
    }

    proptest! {
        #[test]
        fn every_vlan_is_a_member_or_another(
            native in prop::option::of(1u16..=4094),
            ranges in prop::collection::vec((1u16..=4094, 0u16..40), 0..6),
        ) {
            let ranges: Vec<_> = ranges.into_iter().map(|(first, more)| (first, (first + more).min(LAST))).collect();
            let vlans = PortVlans::of(native, &ranges);
            let PortVlans::Members { tagged, .. } = &vlans else { unreachable!() };
            let mut shall = numbers(&ranges);
            native.map(|native| shall.remove(&native));
            prop_assert_eq!(numbers(tagged), shall.clone());
            prop_assert!(tagged.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{:?}", tagged);
            shall.extend(native);
            let others = numbers(&vlans.others());
            prop_assert!(others.is_disjoint(&shall));
            prop_assert_eq!(others.len() + shall.len(), usize::from(LAST));
            if let Some(membership) = vlans.membership() {
                prop_assert_eq!(PortVlans::asked(Some(&membership)), vlans);
            }
        }
    }
}
