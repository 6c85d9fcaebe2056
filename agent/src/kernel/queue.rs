//! Queueing disciplines towards NICs: netem and the token bucket, in the kernel's own bytes.
//!
//! netem stands at the root of the port that leads to the receiver, the token bucket behind it or alone. The kernel does not
//! show which table of delays it was given: the major number of netem's handle says it.

use std::collections::{BTreeMap, BTreeSet};

use netlink_packet_core::DefaultNla;
use netlink_packet_route::{
    RouteNetlinkMessage,
    tc::{TcAttribute, TcHandle, TcMessage},
};

use crate::domain::{
    impairment::Distribution,
    queue::{Bucket, Egress, Queue, Shaper},
};

use super::{
    attribute::{attributes, push, u32_at, u64_at},
    netem,
    socket::{Mode, Request},
};

/// Attributes of a queueing discipline (linux/rtnetlink.h).
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;

/// `struct gnet_stats_queue` (linux/gen_stats.h): length, backlog, drops, requeues, overlimits.
const TCA_STATS_QUEUE: u16 = 3;

/// `TC_H_ROOT` of linux/pkt_sched.h.
const ROOT: u32 = 0xffff_ffff;

/// Major number of the handle of netem with evenly spread delays; the other distributions follow.
const NETEM: u16 = 0x7001;

/// Major number of the handle of the token bucket.
const BUCKET: u16 = 0x7010;

fn handle(major: u16) -> u32 {
    u32::from(major) << 16
}

fn major_of(distribution: Distribution) -> u16 {
    NETEM
        + match distribution {
            Distribution::Uniform => 0,
            Distribution::Normal => 1,
            Distribution::Pareto => 2,
            Distribution::ParetoNormal => 3,
        }
}

fn distribution_of(handle: u32) -> Option<Distribution> {
    let all = [Distribution::Uniform, Distribution::Normal, Distribution::Pareto, Distribution::ParetoNormal];
    all.into_iter().find(|distribution| self::handle(major_of(*distribution)) == handle)
}

fn message(index: u32, parent: u32, handle: u32) -> TcMessage {
    let mut message = TcMessage::with_index(i32::try_from(index).unwrap_or(i32::MAX));
    message.header.parent = TcHandle::from(parent);
    message.header.handle = TcHandle::from(handle);
    message
}

fn put(index: u32, parent: u32, handle: u32, kind: &str, options: Vec<u8>) -> Request {
    let mut message = message(index, parent, handle);
    message.attributes.push(TcAttribute::Kind(kind.to_owned()));
    message.attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, options)));
    Request { message: RouteNetlinkMessage::NewQueueDiscipline(message), mode: Mode::Replace }
}

/// Makes the queue of a port, or gives new numbers to the one that is there.
pub(super) fn impair(index: u32, queue: &Queue) -> Vec<Request> {
    let mut requests = Vec::new();
    let mut parent = ROOT;
    if let Some(netem) = &queue.netem {
        let handle = handle(major_of(netem.distribution));
        requests.push(put(index, parent, handle, "netem", netem::options(netem)));
        // Its one class.
        parent = handle | 1;
    }
    if let Some(shaper) = &queue.shaper {
        requests.push(put(index, parent, handle(BUCKET), "tbf", tbf_options(shaper)));
    }
    requests
}

/// Takes the queue of a port away, with the frames in it.
pub(super) fn unimpair(index: u32) -> Request {
    let message = message(index, ROOT, 0);
    Request { message: RouteNetlinkMessage::DelQueueDiscipline(message), mode: Mode::Change }
}

/// Asks for all queueing disciplines of a namespace.
pub(super) fn get_all() -> RouteNetlinkMessage {
    RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default())
}

/// What a device does with frames that it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct QueueState {
    /// By which queueing discipline.
    pub(super) egress: Egress,
    /// Frames that this dropped, in 32 bits of the kernel.
    pub(super) drops: u64,
}

/// One queueing discipline.
struct Discipline<'a> {
    drops: u32,
    handle: u32,
    parent: u32,
    kind: &'a [u8],
    options: &'a [u8],
}

/// What each device of a namespace does with frames that it sends, by index, from the bodies of a dump.
pub(super) fn egress_of(bodies: &[Vec<u8>]) -> BTreeMap<u32, QueueState> {
    let mut of: BTreeMap<u32, Vec<Discipline<'_>>> = BTreeMap::new();
    for body in bodies {
        let Some(rest) = body.get(TCMSG_BYTES..) else { continue };
        let (mut kind, mut options, mut drops) = (&b""[..], &b""[..], 0);
        for (attribute, value) in attributes(rest) {
            match attribute {
                TCA_KIND => kind = value.strip_suffix(b"\0").unwrap_or(value),
                TCA_OPTIONS => options = value,
                TCA_STATS2 => {
                    let queue = attributes(value).find(|(kind, _)| *kind == TCA_STATS_QUEUE);
                    drops = queue.map_or(0, |(_, value)| u32_at(value, 8));
                }
                _ => {}
            }
        }
        // The hook of filters is none, and neither is what the kernel has where there is none.
        if !matches!(kind, b"clsact" | b"ingress" | b"noqueue") {
            let discipline = Discipline { handle: u32_at(body, 8), parent: u32_at(body, 12), kind, options, drops };
            of.entry(u32_at(body, 4)).or_default().push(discipline);
        }
    }
    let state = |disciplines: &[Discipline<'_>]| {
        // netem counts what is dropped behind it too.
        let root = disciplines.iter().find(|it| it.parent == ROOT);
        let drops = root.map_or(0, |root| root.drops.into());
        QueueState { egress: egress(disciplines).unwrap_or(Egress::Unknown), drops }
    };
    of.into_iter().map(|(index, disciplines)| (index, state(&disciplines))).collect()
}

/// `struct tcmsg`: family and padding, then index, handle, parent and info.
const TCMSG_BYTES: usize = 20;

/// The devices that have a hook for filters on what comes in.
pub(super) fn hooks_of(bodies: &[Vec<u8>]) -> BTreeSet<u32> {
    let hook = |body: &Vec<u8>| {
        let kind = attributes(body.get(TCMSG_BYTES..)?).find(|(attribute, _)| *attribute == TCA_KIND)?.1;
        matches!(kind.strip_suffix(b"\0").unwrap_or(kind), b"clsact" | b"ingress").then(|| u32_at(body, 4))
    };
    bodies.iter().filter_map(hook).collect()
}

fn egress(disciplines: &[Discipline<'_>]) -> Option<Egress> {
    let root = disciplines.iter().find(|it| it.parent == ROOT)?;
    let bucket =
        |it: &Discipline<'_>| (it.kind == b"tbf" && it.handle == handle(BUCKET)).then(|| tbf_of(it.options)).flatten();
    let rest: Vec<_> = disciplines.iter().filter(|it| it.parent != ROOT).collect();
    let (netem, bucket) = match (distribution_of(root.handle), rest.as_slice()) {
        (Some(distribution), rest) if root.kind == b"netem" => {
            let behind = match rest {
                [] => None,
                [one] if one.parent == root.handle | 1 => Some(bucket(one)?),
                _ => return None,
            };
            (Some(netem::of(root.options, distribution)?), behind)
        }
        (_, []) => (None, Some(bucket(root)?)),
        _ => return None,
    };
    Some(Egress::Queue { netem, bucket })
}

/// Attributes of tbf and where in `struct tc_tbf_qopt` something stands (linux/pkt_sched.h).
const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TBF_BYTES: usize = 36;
const TBF_LINKLAYER: usize = 1;
const TBF_RATE: usize = 8;
const TBF_PEAK: usize = 20;
const TBF_LIMIT: usize = 24;
const TBF_BUFFER: usize = 28;

/// `TC_LINKLAYER_ETHERNET`: without it the kernel wants a table.
const ETHERNET: u8 = 1;

fn tbf_options(shaper: &Shaper) -> Vec<u8> {
    let mut parms = vec![0; TBF_BYTES];
    parms[TBF_LINKLAYER] = ETHERNET;
    let low = u32::try_from(shaper.rate).unwrap_or(u32::MAX);
    parms[TBF_RATE..TBF_RATE + 4].copy_from_slice(&low.to_ne_bytes());
    parms[TBF_LIMIT..TBF_LIMIT + 4].copy_from_slice(&shaper.queue.to_ne_bytes());
    parms[TBF_BUFFER..TBF_BUFFER + 4].copy_from_slice(&shaper.bucket().ticks.to_ne_bytes());
    let mut options = Vec::new();
    push(&mut options, TCA_TBF_PARMS, &parms);
    push(&mut options, TCA_TBF_RATE64, &shaper.rate.to_ne_bytes());
    push(&mut options, TCA_TBF_BURST, &shaper.burst.to_ne_bytes());
    options
}

fn tbf_of(options: &[u8]) -> Option<Bucket> {
    let (mut parms, mut rate64) = (None, None);
    for (kind, value) in attributes(options) {
        match kind {
            TCA_TBF_PARMS => parms = value.get(..TBF_BYTES),
            TCA_TBF_RATE64 => rate64 = Some(u64_at(value, 0)),
            _ => {}
        }
    }
    let parms = parms?;
    let rate = rate64.unwrap_or_else(|| u64::from(u32_at(parms, TBF_RATE)));
    let peak = u32_at(parms, TBF_PEAK);
    (peak == 0).then(|| Bucket { rate, ticks: u32_at(parms, TBF_BUFFER), queue: u32_at(parms, TBF_LIMIT) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..3)) {
            egress_of(&bodies);
        }

        #[test]
        fn no_options_make_it_panic(options in prop::collection::vec(any::<u8>(), 0..120)) {
            tbf_of(&options);
            netem::of(&options, Distribution::Uniform);
        }
    }
}
