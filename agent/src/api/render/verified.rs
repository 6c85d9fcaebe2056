//! What a verification found.

use std::time::Duration;

use podwire_proto::v1;

use crate::{
    domain::name::ElementName,
    panel::{LinkVerified, Passes},
};

/// The answer of `VerifyLink`.
pub(crate) fn verified(name: &ElementName, found: LinkVerified) -> v1::VerifyLinkResponse {
    let LinkVerified { verified, mtu_a, mtu_b } = found;
    let trips = &verified.round_trips;
    let shown = |time: Option<&Duration>| time.and_then(|time| prost_types::Duration::try_from(*time).ok());
    v1::VerifyLinkResponse {
        rtt_min: shown(trips.first()),
        rtt_median: shown(trips.get(trips.len() / 2)),
        round_trips: u32::try_from(trips.len()).unwrap_or(u32::MAX),
        a_to_b: Some(direction(verified.forth)),
        b_to_a: Some(direction(verified.back)),
        mtu_a,
        mtu_b,
        name: name.to_string(),
    }
}

fn direction(passes: Passes) -> v1::LinkDirection {
    v1::LinkDirection {
        passes: passes.unicast,
        largest_payload: passes.largest,
        largest_tagged_payload: passes.largest_tagged,
        group_addresses: passes.groups.into_iter().map(u32::from).collect(),
    }
}
