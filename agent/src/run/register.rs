//! Who is connected to a listener: no more than there may be, and who goes for whom.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::api::{Activity, Peer};

/// Connections of one listener, where there are descriptors for them.
pub(super) const CONNECTIONS: usize = 1024;
/// Connections of one peer of a TCP listener: an identity by TLS, an address without.
pub(super) const CONNECTIONS_OF_ONE: usize = 64;

/// The connections of a listener. All clones are one.
#[derive(Debug, Clone)]
pub(super) struct Register {
    most: usize,
    most_of_one: usize,
    guests: Arc<Mutex<Guests>>,
}

#[derive(Debug, Default)]
struct Guests {
    number: u64,
    count: usize,
    of: HashMap<Peer, Vec<Guest>>,
}

#[derive(Debug)]
struct Guest {
    number: u64,
    activity: Activity,
    /// Dropped: it is to go at once.
    _stay: oneshot::Sender<()>,
}

/// A place in the register. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    register: Register,
    peer: Peer,
    number: u64,
    stay: oneshot::Receiver<()>,
}

impl Register {
    /// An empty one for so many connections, and so many of one peer.
    pub(super) fn new(most: usize, most_of_one: usize) -> Self {
        Self { most, most_of_one, guests: Arc::default() }
    }

    /// Lets somebody in. At his own limit that one of his connections goes which has had no call for the longest; at that of
    /// all the same of who has the most, and where each of those has calls, the oldest. `None`: all that are his have calls,
    /// and he may not have more.
    pub(super) fn enter(&self, peer: &Peer, activity: Activity) -> Option<Place> {
        let mut guests = self.guests();
        let own = guests.of.get(peer).map_or(0, Vec::len);
        if own >= self.most_of_one.min(self.most) {
            let quietest = guests.quietest(peer)?;
            guests.remove(peer, quietest);
        } else if guests.count >= self.most {
            let (largest, all) = guests.of.iter().max_by_key(|(_, all)| all.len())?;
            let (largest, oldest) = (largest.clone(), all.first()?.number);
            let number = guests.quietest(&largest).unwrap_or(oldest);
            guests.remove(&largest, number);
        }
        guests.number += 1;
        guests.count += 1;
        let (number, (leave, stay)) = (guests.number, oneshot::channel());
        guests.of.entry(peer.clone()).or_default().push(Guest { number, activity, _stay: leave });
        drop(guests);
        Some(Place { register: self.clone(), peer: peer.clone(), number, stay })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Guests {
    /// The connection of a peer without a call for the longest.
    fn quietest(&self, peer: &Peer) -> Option<u64> {
        let quiet = |guest: &Guest| Some((guest.activity.quiet_since()?, guest.number));
        self.of.get(peer)?.iter().filter_map(quiet).min().map(|(_, number)| number)
    }

    fn remove(&mut self, peer: &Peer, number: u64) {
        let Some(all) = self.of.get_mut(peer) else { return };
        let before = all.len();
        all.retain(|guest| guest.number != number);
        self.count -= before - all.len();
        if all.is_empty() {
            self.of.remove(peer);
        }
    }
}

impl Place {
    /// Returns when it is to be left at once.
    pub(super) async fn taken(&mut self) {
        // Nothing is ever sent.
        let _ = (&mut self.stay).await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.register.guests().remove(&self.peer, self.number);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;

    use super::*;

    fn peer(last: u8) -> Peer {
        Peer::at(IpAddr::from([192, 0, 2, last]))
    }

    fn gone(place: &mut Place) -> bool {
        place.taken().now_or_never().is_some()
    }

    #[test]
    fn a_peer_at_its_limit_takes_its_own_places_and_no_one_elses() {
        let register = Register::new(100, 2);
        let enter = |of| register.enter(&peer(of), Activity::default());
        let mut other = enter(1).unwrap();
        let (mut first, mut second) = (enter(2).unwrap(), enter(2).unwrap());
        let mut third = enter(2).unwrap();
        assert!(gone(&mut first) && !gone(&mut second) && !gone(&mut third) && !gone(&mut other));
        assert_eq!(register.guests().count, 3);
        drop((other, first, second, third));
        assert!(register.guests().of.is_empty() && register.guests().count == 0);
    }

    #[test]
    fn where_all_is_full_who_has_the_most_gives_way() {
        let register = Register::new(3, 10);
        let enter = |of| register.enter(&peer(of), Activity::default());
        let (mut first, mut second, mut other) = (enter(1).unwrap(), enter(1).unwrap(), enter(2).unwrap());
        let mut new = enter(3).unwrap();
        assert!(gone(&mut first) && !gone(&mut second) && !gone(&mut other) && !gone(&mut new));
        assert_eq!(register.guests().count, 3);
    }
}
