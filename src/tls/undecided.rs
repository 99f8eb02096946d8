//! The connections that have not yet said what they speak: a bounded number, of which one gives way to a newcomer.
//!
//! An honest client has spoken after a few round trips. A flood of silent ones would keep every place until its deadline
//! if newcomers had to wait. So the oldest goes, of those from the network that has the most: a flood from one drives out
//! itself, however fast it comes.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::subscriber::Subscriber;

/// The turns that are taken.
#[derive(Debug)]
pub(super) struct Undecided {
    limit: usize,
    /// A `std` mutex: held for a look-up, never across an await.
    turns: Mutex<Turns>,
}

#[derive(Debug, Default)]
struct Turns {
    next: u64,
    /// By age. A sender that is dropped tells its connection to end.
    open: BTreeMap<u64, (Subscriber, oneshot::Sender<()>)>,
    by_network: BTreeMap<Subscriber, BTreeSet<u64>>,
}

/// A connection's turn; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    undecided: Arc<Undecided>,
    number: u64,
}

impl Undecided {
    /// Room for `limit` connections, at least one.
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, turns: Mutex::default() })
    }

    /// A turn for one more. When there are too many and it is the one to give way, the receiver resolves.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr) -> (Turn, oneshot::Receiver<()>) {
        let (keep, shed) = oneshot::channel();
        let network = Subscriber::of(client);
        let mut turns = self.lock();
        if turns.open.len() >= self.limit
            && let Some(number) = turns.to_give_way()
        {
            turns.end(number);
        }
        let number = turns.next;
        turns.next += 1;
        turns.open.insert(number, (network, keep));
        turns.by_network.entry(network).or_default().insert(number);
        (Turn { undecided: self.clone(), number }, shed)
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turns {
    /// The oldest of the network that has the most; of several such networks, the oldest of all.
    fn to_give_way(&self) -> Option<u64> {
        let busiest =
            self.by_network.values().max_by_key(|numbers| (numbers.len(), Reverse(numbers.first())));
        busiest.and_then(|numbers| numbers.first().copied())
    }

    fn end(&mut self, number: u64) {
        let Some((network, _)) = self.open.remove(&number) else { return };
        if let Some(numbers) = self.by_network.get_mut(&network) {
            numbers.remove(&number);
            if numbers.is_empty() {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.undecided.lock().end(self.number);
    }
}

#[cfg(test)]
mod tests {
    use oneshot::error::TryRecvError::{Closed, Empty};

    use super::*;

    fn client(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn the_oldest_gives_way_and_who_is_done_does_not_count() {
        let undecided = Undecided::new(2);
        let (first, mut first_shed) = undecided.enter(client(1));
        let (second, mut second_shed) = undecided.enter(client(2));
        drop(first);
        let (_third, mut third_shed) = undecided.enter(client(3));
        assert_eq!(second_shed.try_recv(), Err(Empty));
        let (_fourth, mut fourth_shed) = undecided.enter(client(4));
        assert_eq!(second_shed.try_recv(), Err(Closed), "two came after it");
        assert_eq!((third_shed.try_recv(), fourth_shed.try_recv()), (Err(Empty), Err(Empty)));
        assert_eq!(first_shed.try_recv(), Err(Closed));
        drop(second);
        assert_eq!(undecided.lock().open.len(), 2, "a turn that was lost is not given back");
    }

    /// Threat 19: admission allows one address as many as may be undecided.
    #[test]
    fn a_flood_from_one_network_drives_out_itself() {
        let undecided = Undecided::new(10);
        let (honest, mut honest_shed) = undecided.enter(client(1));
        let flood: Vec<_> = (0..1000).map(|_| undecided.enter(client(2))).collect();
        assert_eq!(honest_shed.try_recv(), Err(Empty));
        drop((honest, flood));
        let turns = undecided.lock();
        assert!(turns.open.is_empty() && turns.by_network.is_empty(), "nothing is left behind");
    }
}
