//! How many connections each client address holds, so that none can hold all of them.
//!
//! An IPv6 client counts as its /64, as it does for wrong passwords. It never waits and keeps
//! nothing of addresses that hold no connection.

use crate::auth::subject;
use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use std::net::IpAddr;
use std::sync::Arc;

/// Open connections by address; an address without one has no entry.
#[derive(Debug, Default)]
pub(crate) struct Crowd {
    open: DashMap<IpAddr, usize>,
}

/// One connection's part of its address's bound, until it is dropped.
pub(crate) struct Seat {
    crowd: Arc<Crowd>,
    network: IpAddr,
}

impl Crowd {
    /// `None`: this address holds `max` already.
    pub(crate) fn seat(self: &Arc<Self>, address: IpAddr, max: usize) -> Option<Seat> {
        let network = subject::network(address);
        let mut held = self.open.entry(network).or_insert(0);
        if *held >= max {
            return None;
        }
        *held += 1;
        drop(held);
        Some(Seat {
            crowd: Arc::clone(self),
            network,
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The entry is locked in between: nobody takes a seat in one that is being removed.
        if let Entry::Occupied(mut held) = self.crowd.open.entry(self.network) {
            let left = held.get().saturating_sub(1);
            if left == 0 {
                held.remove();
            } else {
                held.insert(left);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_holds_so_many_and_others_their_own() {
        let crowd = Arc::new(Crowd::default());
        let first = crowd.seat(at("192.0.2.1"), 2).unwrap();
        let second = crowd.seat(at("::ffff:192.0.2.1"), 2).unwrap();
        assert!(crowd.seat(at("192.0.2.1"), 2).is_none());
        let other = crowd.seat(at("192.0.2.2"), 2).unwrap();
        drop(first);
        let third = crowd.seat(at("192.0.2.1"), 2).unwrap();
        assert!(crowd.seat(at("192.0.2.1"), 2).is_none());
        drop((second, other, third));
        assert!(crowd.open.is_empty(), "what is left holds memory");
    }

    #[test]
    fn an_ipv6_client_cannot_walk_through_its_64() {
        let crowd = Arc::new(Crowd::default());
        let _seat = crowd.seat(at("2001:db8:1:2::1"), 1).unwrap();
        assert!(crowd.seat(at("2001:db8:1:2:ffff::9"), 1).is_none());
        assert!(crowd.seat(at("2001:db8:1:3::1"), 1).is_some());
    }

    #[test]
    fn many_at_once_get_no_more_than_there_are() {
        let crowd = Arc::new(Crowd::default());
        for _ in 0..20 {
            let seats = std::thread::scope(|scope| {
                let takers = [(); 8].map(|()| {
                    scope.spawn(|| {
                        let take = |_| crowd.seat(at("192.0.2.1"), 5);
                        (0..200).flat_map(take).collect::<Vec<_>>()
                    })
                });
                takers.map(|taker| taker.join().unwrap())
            });
            assert_eq!(seats.iter().flatten().count(), 5);
        }
        assert!(crowd.open.is_empty());
    }
}
