//! Carrier that came or went between two looks, in words for those who watch.

use std::{collections::BTreeMap, fmt};

use crate::domain::{
    desired::{Nic, Wire},
    intent::NicKey,
    spec::InterfaceId,
    status::InterfaceStatus,
};

use super::view::TopologyView;

/// Interfaces that are named one by one.
const NAMED: usize = 4;

/// Why an interface has no carrier.
#[derive(Debug, PartialEq, Eq)]
enum Why<'a> {
    /// Its cable is pulled.
    Pulled,
    /// Its pod has set it down.
    Down,
    /// The other end's pod has set that down.
    FarDown(&'a NicKey),
    /// The other end is not there.
    FarAway(&'a NicKey),
    /// Nothing that is seen.
    Unknown,
}

impl fmt::Display for Why<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pulled => f.write_str(" (its cable is pulled)"),
            Self::Down => f.write_str(" (it is set down in its pod)"),
            Self::FarDown(far) => write!(f, " ({far} is set down in its pod)"),
            Self::FarAway(far) => write!(f, " ({far} is not there)"),
            Self::Unknown => Ok(()),
        }
    }
}

/// What `ups` says: whether each interface that is there is set up.
type Ups = BTreeMap<NicKey, bool>;

/// `carrier lost: lessons/a/net1 (its cable is pulled); carrier back: lessons/b/net1`. `None`: all interfaces that were there and are
/// there have what they had.
pub(super) fn news(before: &TopologyView, now: &TopologyView, ups: &Ups) -> Option<String> {
    // Of a large topology most change nothing.
    let differs = |(id, is): &(&InterfaceId, &InterfaceStatus)| {
        let was = before.interfaces.get(id).filter(|was| was.index.is_some() && is.index.is_some());
        was.is_some_and(|was| was.carrier != is.carrier)
    };
    let carrier: BTreeMap<_, _> = now.interfaces.iter().filter(differs).map(|(id, is)| (id, is.carrier)).collect();
    if carrier.is_empty() {
        return None;
    }
    let carrier = &carrier;
    let changed = |to: bool| now.desired.nics.iter().filter(move |nic| carrier.get(&nic.id) == Some(&to));
    let lost = changed(false).map(|nic| format!("{}{}", nic.key, why(nic, ups))).collect::<Vec<_>>();
    let back = changed(true).map(|nic| nic.key.to_string()).collect::<Vec<_>>();
    let news: Vec<_> = [("carrier lost", lost), ("carrier back", back)]
        .into_iter()
        .filter(|(_, nics)| !nics.is_empty())
        .map(|(word, nics)| format!("{word}: {}", in_words(&nics)))
        .collect();
    (!news.is_empty()).then(|| news.join("; "))
}

fn why<'a>(nic: &'a Nic, ups: &Ups) -> Why<'a> {
    let far = match &nic.wire {
        Wire::Bridge { up: false, .. } | Wire::Stitch { up: false, .. } | Wire::Uplink { up: false, .. } => {
            return Why::Pulled;
        }
        Wire::Stitch { far, .. } | Wire::Direct { far } => Some(far),
        Wire::Bridge { .. } | Wire::Uplink { .. } | Wire::Device { .. } => None,
    };
    if ups.get(&nic.key) == Some(&false) {
        return Why::Down;
    }
    match far.map(|far| (far, ups.get(far))) {
        Some((far, Some(false))) => Why::FarDown(far),
        Some((far, None)) => Why::FarAway(far),
        Some((_, Some(true))) | None => Why::Unknown,
    }
}

fn in_words(nics: &[String]) -> String {
    let named = nics.iter().take(NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
    match nics.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
