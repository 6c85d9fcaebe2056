//! How many calls are under way, and how much of what they brought and take away is in memory.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{
    caller::Peer,
    pace::{More, Pace},
};

/// Calls under way, all together: a call is counted until its answer has been taken and its work is done.
pub(crate) const CALLS: usize = 4096;
/// Calls under way of one peer.
pub(crate) const CALLS_OF_ONE: usize = 1024;
/// Bytes of requests and answers in memory, all together.
pub(crate) const BYTES: usize = 64 * 1024 * 1024;
/// Bytes of one peer: four of the largest messages.
pub(crate) const BYTES_OF_ONE: usize = 16 * 1024 * 1024;
/// Bytes of each call that are not counted: most calls have fewer. All calls together: 64 MiB.
pub(crate) const BYTES_UNCOUNTED: usize = 16 * 1024;
/// The last quarter of what all may have together is kept for those who have less than this part of their own share.
const SMALL: usize = 16;

/// Of each peer it is told this often that he asks for too much at a time.
const TOLD: Duration = Duration::from_secs(1);

/// Counts for all and for each. All clones of the `Arc` are one.
#[derive(Debug, Default)]
pub(super) struct Load(Mutex<Shares>);

#[derive(Debug, Default)]
struct Shares {
    all: Share,
    of: HashMap<Peer, Share>,
    refused: HashMap<Peer, Pace>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Share {
    calls: usize,
    bytes: usize,
}

/// There is no room: for whose sake not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The peer has its share.
    Own,
    /// The agent has enough to do, most of it for others.
    All,
}

/// Room for one more of something, where `own` of one peer and `all` together are there.
fn room(own: usize, most_of_one: usize, all: usize, most: usize) -> Result<(), Full> {
    if own > most_of_one {
        Err(Full::Own)
    } else if all > most || (all > most / 4 * 3 && own > most_of_one / SMALL) {
        Err(Full::All)
    } else {
        Ok(())
    }
}

impl Load {
    /// Counts a call for as long as what is returned lives.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub(super) fn call(self: &Arc<Self>, peer: &Peer) -> Result<Counted, Full> {
        let mut shares = self.shares();
        let own = shares.of.get(peer).copied().unwrap_or_default();
        room(own.calls + 1, CALLS_OF_ONE, shares.all.calls + 1, CALLS)?;
        shares.all.calls += 1;
        shares.of.entry(peer.clone()).or_default().calls += 1;
        Ok(Counted { load: Arc::clone(self), peer: peer.clone(), bytes: Mutex::default() })
    }

    /// Whether it is told that a peer was refused since he asks for too much at a time: once a second, and then how many times
    /// it was not.
    pub(super) fn tells(&self, peer: &Peer) -> Option<More> {
        let mut shares = self.shares();
        // With thousands of peers it is forgotten of some how many more there were: there is an end to what is kept.
        if shares.refused.len() >= CALLS {
            shares.refused.retain(|_, pace| !pace.is_idle());
        }
        shares.refused.entry(peer.clone()).or_insert_with(|| Pace::new(TOLD)).turn()
    }

    fn shares(&self) -> MutexGuard<'_, Shares> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is counted, with its bytes.
#[derive(Debug)]
pub(super) struct Counted {
    load: Arc<Load>,
    peer: Peer,
    /// All, and those of them that the peer's share has.
    bytes: Mutex<(usize, usize)>,
}

impl Counted {
    /// Counts so many bytes more, until the call is over.
    ///
    /// # Errors
    ///
    /// There are too many.
    pub(super) fn more(&self, bytes: usize) -> Result<(), Full> {
        let mut held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, counted) = *held;
        let more = (all + bytes).saturating_sub(BYTES_UNCOUNTED) - counted;
        if more > 0 {
            let mut shares = self.load.shares();
            let own = shares.of.get(&self.peer).map_or(0, |share| share.bytes);
            room(own + more, BYTES_OF_ONE, shares.all.bytes + more, BYTES)?;
            shares.all.bytes += more;
            shares.of.entry(self.peer.clone()).or_default().bytes += more;
        }
        *held = (all + bytes, counted + more);
        Ok(())
    }

    /// So many of them are no longer there.
    pub(super) fn less(&self, bytes: usize) {
        let mut held = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let (all, counted) = *held;
        let all = all.saturating_sub(bytes);
        let left = all.saturating_sub(BYTES_UNCOUNTED).min(counted);
        let mut shares = self.load.shares();
        shares.all.bytes -= counted - left;
        if let Some(share) = shares.of.get_mut(&self.peer) {
            share.bytes -= counted - left;
        }
        *held = (all, left);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (_, counted) = *self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut shares = self.load.shares();
        shares.all.calls -= 1;
        shares.all.bytes -= counted;
        if let Some(share) = shares.of.get_mut(&self.peer) {
            share.calls -= 1;
            share.bytes -= counted;
            if share.calls == 0 {
                shares.of.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(number: u32) -> Peer {
        Peer::Known(crate::domain::identity::Identity::Uid(number))
    }

    fn calls(load: &Arc<Load>, of: u32, count: usize) -> Vec<Counted> {
        (0..count).map_while(|_| load.call(&peer(of)).ok()).collect()
    }

    #[test]
    fn what_was_taken_is_counted_no_more_however_long_a_call_goes_on() {
        let load = Arc::new(Load::default());
        let call = load.call(&peer(0)).unwrap();
        for _ in 0..1000 {
            call.more(BYTES_OF_ONE / 2).unwrap();
            call.less(BYTES_OF_ONE / 2);
        }
        assert!(call.more(BYTES_OF_ONE + BYTES_UNCOUNTED).is_ok());
        assert_eq!(call.more(1), Err(Full::Own));
        call.less(1);
        assert!(call.more(1).is_ok(), "as much as was given back");
        drop(call);
        let shares = load.shares();
        assert_eq!((shares.all.calls, shares.all.bytes, shares.of.len()), (0, 0, 0));
    }

    #[test]
    fn each_has_its_share_and_who_has_little_gets_in_when_others_have_all() {
        let load = Arc::new(Load::default());
        let mut held: Vec<_> = (0..3).map(|of| calls(&load, of, usize::MAX)).collect();
        assert!(held.iter().all(|calls| calls.len() == CALLS_OF_ONE));
        assert_eq!(load.call(&peer(0)).unwrap_err(), Full::Own);
        let fourth = calls(&load, 3, usize::MAX);
        assert_eq!(fourth.len(), CALLS_OF_ONE / SMALL, "no more of the last quarter");
        assert_eq!(load.call(&peer(3)).unwrap_err(), Full::All);
        assert!(load.call(&peer(4)).is_ok());
        held.clear();
        drop(fourth);
        assert!(load.shares().of.is_empty() && load.shares().all.calls == 0);
    }

    #[test]
    fn bytes_are_counted_beyond_the_first_of_each_call_and_given_back() {
        let load = Arc::new(Load::default());
        let small = load.call(&peer(1)).unwrap();
        small.more(BYTES_UNCOUNTED).unwrap();
        assert_eq!(load.shares().all.bytes, 0);
        small.more(1).unwrap();
        assert_eq!(load.shares().all.bytes, 1);
        let large = load.call(&peer(1)).unwrap();
        large.more(BYTES_OF_ONE + BYTES_UNCOUNTED - 1).unwrap();
        assert_eq!(large.more(1), Err(Full::Own));
        assert_eq!(load.call(&peer(2)).unwrap().more(BYTES_OF_ONE), Ok(()));
        drop(large);
        assert_eq!(load.shares().all.bytes, 1);
        drop(small);
        assert_eq!(load.shares().all.bytes, 0);
    }
}
