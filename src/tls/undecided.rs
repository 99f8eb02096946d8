//! The connections that have not yet said what they speak: a bounded number, of which the oldest gives way.
//!
//! An honest client has spoken after a few round trips. A flood of silent ones would keep every place until its deadline
//! if newcomers had to wait; so it only drives out itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

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
    open: BTreeMap<u64, oneshot::Sender<()>>,
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

    /// A turn for one more. When it has become the oldest of too many, the receiver resolves.
    pub(super) fn enter(self: &Arc<Self>) -> (Turn, oneshot::Receiver<()>) {
        let (keep, shed) = oneshot::channel();
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if turns.open.len() >= self.limit {
            turns.open.pop_first();
        }
        let number = turns.next;
        turns.next += 1;
        turns.open.insert(number, keep);
        (Turn { undecided: self.clone(), number }, shed)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.undecided.turns.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use oneshot::error::TryRecvError::{Closed, Empty};

    use super::*;

    #[test]
    fn the_oldest_gives_way_and_who_is_done_does_not_count() {
        let undecided = Undecided::new(2);
        let (first, mut first_shed) = undecided.enter();
        let (second, mut second_shed) = undecided.enter();
        drop(first);
        let (_third, mut third_shed) = undecided.enter();
        assert_eq!(second_shed.try_recv(), Err(Empty));
        let (_fourth, mut fourth_shed) = undecided.enter();
        assert_eq!(second_shed.try_recv(), Err(Closed), "two came after it");
        assert_eq!((third_shed.try_recv(), fourth_shed.try_recv()), (Err(Empty), Err(Empty)));
        assert_eq!(first_shed.try_recv(), Err(Closed));
        drop(second);
        assert_eq!(undecided.turns.lock().unwrap().open.len(), 2, "a turn that was lost is not given back");
    }
}
