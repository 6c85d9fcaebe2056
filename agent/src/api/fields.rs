//! How many fields a message has, before it is parsed: an empty one takes two bytes of the message and hundreds of memory.

/// Fields of a request and of the message in its first one: elements of a topology, of which there may be 4096, and leases to
/// renew, of which there may be 10,000.
pub(crate) const ELEMENTS: usize = 16 * 1024;
/// Fields of all that is in them.
pub(crate) const FIELDS: usize = 256 * 1024;
/// No message of the contract is nested more deeply.
const DEEPEST: usize = 8;
/// Groups within each other; prost makes an error of fewer already.
const MOST_GROUPS: usize = 128;

/// Whether a message has more fields than may be. What is no message has none: parsing it fails soon enough.
pub(super) fn too_many(message: &[u8]) -> bool {
    let mut count = Count { elements: 0, fields: 0 };
    count.message(message, 0, true);
    count.elements > ELEMENTS || count.fields > FIELDS
}

struct Count {
    elements: usize,
    fields: usize,
}

impl Count {
    /// Counts the fields of what may be a message, as <https://protobuf.dev/programming-guides/encoding/> has them. Text that
    /// could be one counts as one: it is short.
    fn message(&mut self, mut rest: &[u8], depth: usize, outer: bool) {
        while let Some((tag, after)) = varint(rest) {
            self.fields += 1;
            self.elements += usize::from(outer);
            if self.fields > FIELDS || self.elements > ELEMENTS {
                return;
            }
            if tag & 7 == 2
                && depth < DEEPEST
                && let Some((inner, _)) = contents(after)
            {
                self.message(inner, depth + 1, outer && depth == 0 && tag >> 3 == 1);
            }
            let Some(behind) = behind(tag, after, 0) else { return };
            rest = behind;
        }
    }
}

/// What follows a field with this tag.
fn behind(tag: u64, after: &[u8], groups: usize) -> Option<&[u8]> {
    match tag & 7 {
        0 => varint(after).map(|(_, behind)| behind),
        1 => after.get(8..),
        2 => contents(after).map(|(_, behind)| behind),
        // The contract has none: who parses a message skips it, and keeps nothing of it.
        3 if groups < MOST_GROUPS => group(tag >> 3, after, groups + 1),
        5 => after.get(4..),
        _ => None,
    }
}

/// What follows a group of this number, which ends with a mark of its own.
fn group(number: u64, mut rest: &[u8], groups: usize) -> Option<&[u8]> {
    loop {
        let (tag, after) = varint(rest)?;
        if tag & 7 == 4 {
            return (tag >> 3 == number).then_some(after);
        }
        rest = behind(tag, after, groups)?;
    }
}

/// What has a length before it, and what follows that.
fn contents(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, inner) = varint(bytes)?;
    inner.split_at_checked(usize::try_from(length).ok()?)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 127) << (7 * at).min(63);
        if byte & 128 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use podwire_proto::v1::{
        ApplyTopologyRequest, Bridge, Link, RenewLeasesRequest, Route, Topology, renew_leases_request::Item,
    };
    use prost::Message;

    use super::*;

    fn apply(topology: Topology) -> Vec<u8> {
        ApplyTopologyRequest { topology: Some(topology), ..Default::default() }.encode_to_vec()
    }

    #[test]
    fn empty_elements_are_too_many_and_as_many_as_may_be_are_not() {
        let bridges = |count| apply(Topology { bridges: vec![Bridge::default(); count], ..Default::default() });
        assert!(too_many(&bridges(2_000_000)));
        assert!(!too_many(&bridges(4096)));
        let link = Link { name: "a-name-of-some-length".to_owned(), ..Default::default() };
        assert!(!too_many(&apply(Topology { links: vec![link; 4096], ..Default::default() })));
        let renew = |count| RenewLeasesRequest { topologies: vec![Item::default(); count] }.encode_to_vec();
        assert!(!too_many(&renew(10_000)) && too_many(&renew(20_000)));
    }

    #[test]
    fn a_group_hides_nothing_that_comes_behind_it() {
        // Field 1000: the marks of a group, which the contract has none of and which is skipped when a message is parsed.
        let (begin, end) = (&[0xc3, 0x3e][..], &[0xc4, 0x3e][..]);
        let bridges = apply(Topology { bridges: vec![Bridge::default(); 2_000_000], ..Default::default() });
        let behind = [begin, end, &bridges[..]].concat();
        assert_eq!(ApplyTopologyRequest::decode(&behind[..]).unwrap().topology.unwrap().bridges.len(), 2_000_000);
        assert!(too_many(&behind));
        let nested = [begin.repeat(50), b"\x08\x01".repeat(9), end.repeat(50), bridges].concat();
        assert!(ApplyTopologyRequest::decode(&nested[..]).is_ok() && too_many(&nested));
        assert!(!too_many(&[begin, end, &apply(Topology::default())[..]].concat()));
        // Text that looks like the begin of one ends the count of that text only.
        let link = Link { name: "sock".repeat(15), ..Default::default() };
        assert!(!too_many(&apply(Topology { links: vec![link; 4096], ..Default::default() })));
    }

    #[test]
    fn what_is_deep_inside_counts_too() {
        let mut link = Link::default();
        let a = podwire_proto::v1::Interface { routes: vec![Route::default(); 300_000], ..Default::default() };
        link.a = Some(a);
        assert!(too_many(&apply(Topology { links: vec![link], ..Default::default() })));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_counted(bytes in proptest::collection::vec(proptest::arbitrary::any::<u8>(), 0..2000)) {
            let _ = too_many(&bytes);
        }
    }
}
