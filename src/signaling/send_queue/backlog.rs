//! Bytes in the send queues of all connections, bounded in sum.
//!
//! Each [`SendQueue`] is bounded by itself; thousands of unread ones together are not. When the
//! sum is reached, connections end whose clients do not read: first those that are in no room, then
//! members; of either the biggest queues of the networks that hold most. A member that is ended so
//! can resume.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::shares::biggest;

use super::SendQueue;
use crate::net::memory_budget::Reservation;
use crate::signaling::SignalingCounters;
use crate::signaling::protocol::ByeCode;

/// Bytes that a connection in no room may have waiting without being ended for the sum: answers on
/// their way.
const STRANGER_SPARED: usize = 4 * 1_024;

/// The queues of all connections.
#[derive(Debug)]
pub(in crate::signaling) struct Backlog {
    limit: usize,
    /// The sum at which to look for the biggest: more than `limit` while those that were ended
    /// still say goodbye.
    settle_at: AtomicUsize,
    /// Has the sum, which any thread changes.
    counters: Arc<SignalingCounters>,
    next: AtomicU64,
    /// A `std` mutex: held for a look-up, and to find the biggest; never across an await.
    queues: Mutex<BTreeMap<u64, (ClientNetwork, Weak<SendQueue>)>>,
}

/// The part of the sum that one queue has.
#[derive(Debug)]
pub(super) struct Account {
    backlog: Arc<Backlog>,
    number: u64,
    bytes: usize,
}

impl Backlog {
    /// Room for `limit` bytes.
    pub(in crate::signaling) fn new(limit: usize, counters: Arc<SignalingCounters>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            settle_at: AtomicUsize::new(limit),
            counters,
            next: AtomicU64::new(0),
            queues: Mutex::default(),
        })
    }

    /// A queue for a connection from `client`: it holds up to `stranger` bytes, and up to `member`
    /// once it is in a room, when `memory` is released.
    pub(in crate::signaling) fn queue(
        self: &Arc<Self>,
        client: IpAddr,
        memory: Option<Arc<Reservation>>,
        stranger: usize,
        member: usize,
    ) -> Arc<SendQueue> {
        let number = self.next.fetch_add(1, Relaxed);
        let account = Account { backlog: self.clone(), number, bytes: 0 };
        let queue = Arc::new(SendQueue::new(account, memory, stranger, member));
        self.lock().insert(number, (ClientNetwork::of(client), Arc::downgrade(&queue)));
        queue
    }

    /// Ends connections whose clients do not read, if there is more than there may be. To be called
    /// without the lock of any queue.
    pub(super) fn settle(&self) {
        let (held, settle_at) = (self.held(), self.settle_at.load(Relaxed));
        if held <= self.limit && settle_at != self.limit {
            self.settle_at.store(self.limit, Relaxed);
        }
        if held <= settle_at {
            return;
        }
        let queues = self.lock();
        // Another thread may have done it while this one waited.
        if self.held() <= self.settle_at.load(Relaxed) {
            return;
        }
        let target = self.limit - self.limit / 8;
        let all: Vec<(ClientNetwork, Arc<SendQueue>)> =
            queues.values().filter_map(|(network, queue)| Some((*network, queue.upgrade()?))).collect();
        let (mut strangers, mut members) = (Vec::new(), Vec::new());
        for (network, queue) in &all {
            match queue.held() {
                _ if queue.is_shut() => {}
                (bytes, true) if bytes > 0 => members.push((*network, bytes, queue)),
                (bytes, false) if bytes > STRANGER_SPARED => strangers.push((*network, bytes, queue)),
                _ => {}
            }
        }
        for holders in [strangers, members] {
            for queue in biggest(holders, self.held().saturating_sub(target)) {
                queue.evict(ByeCode::TooSlow);
            }
        }
        // What the library has of a frame is held until its connection is closed. To look again for
        // each frame meanwhile would be of no use.
        self.settle_at.store(self.limit.max(self.held() + self.limit / 64), Relaxed);
        // A queue whose connection has ended meanwhile takes itself off the list.
        drop(queues);
    }

    fn held(&self) -> usize {
        usize::try_from(self.counters.queued.get()).unwrap_or(usize::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (ClientNetwork, Weak<SendQueue>)>> {
        // The list is whole between any two statements.
        lock(&self.queues)
    }
}

impl Account {
    /// Sets the bytes of this queue; whether there are more than before.
    pub(super) fn set(&mut self, bytes: usize) -> bool {
        let before = std::mem::replace(&mut self.bytes, bytes);
        let queued = &self.backlog.counters.queued;
        if bytes > before {
            queued.add((bytes - before) as u64);
        } else {
            queued.subtract((before - bytes) as u64);
        }
        bytes > before
    }

    /// All that wait.
    pub(super) fn backlog(&self) -> &Arc<Backlog> {
        &self.backlog
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.set(0);
        self.backlog.lock().remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signaling::protocol::{Text, Topic};
    use crate::signaling::send_queue::Frame;

    const LIMIT: usize = 100_000;

    fn backlog() -> Arc<Backlog> {
        Backlog::new(LIMIT, Arc::default())
    }

    /// A queue in which `bytes` wait, about.
    fn holding(backlog: &Arc<Backlog>, n: u8, is_member: bool, bytes: usize) -> Arc<SendQueue> {
        let queue = backlog.queue([192, 0, 2, n].into(), None, 50_000, 50_000);
        if is_member {
            queue.admit();
        }
        queue.say(Text { json: "x".repeat(bytes).into(), topic: Topic::Other });
        queue
    }

    #[test]
    fn threat_29_what_waits_for_all_readers_is_bounded_and_the_biggest_network_pays() {
        let backlog = backlog();
        let ann = holding(&backlog, 1, true, 20_000);
        let eves: Vec<_> = (0..40).map(|_| holding(&backlog, 2, true, 10_000)).collect();
        assert!(backlog.held() <= LIMIT, "{}", backlog.held());
        assert!(!ann.is_shut(), "hers is bigger than any of them, but they have more together");
        assert!(eves.iter().filter(|eve| eve.is_shut()).count() > 30);
        drop((ann, eves));
        assert_eq!((backlog.held(), backlog.lock().len()), (0, 0), "nothing is left behind");
    }

    #[test]
    fn threat_29_no_member_is_ended_for_a_stranger() {
        let backlog = backlog();
        let members: Vec<_> = (0..2).map(|n| holding(&backlog, n, true, 40_000)).collect();
        let pong = holding(&backlog, 3, false, 100);
        let strangers: Vec<_> = (10..60).map(|n| holding(&backlog, n, false, 5_000)).collect();
        assert!(backlog.held() <= LIMIT, "{}", backlog.held());
        assert!(members.iter().all(|member| !member.is_shut()));
        assert!(strangers.iter().filter(|stranger| stranger.is_shut()).count() > 40);
        assert!(!pong.is_shut(), "an answer on its way is no burden");
    }

    #[tokio::test]
    async fn what_is_being_written_counts_until_it_is() {
        let backlog = backlog();
        let queue = holding(&backlog, 1, true, 10_000);
        let all = backlog.held();
        assert!(all > 10_000);
        assert!(matches!(queue.next().await, Frame::Text(_)));
        assert_eq!(backlog.held(), all, "the library has it");
        queue.wrote();
        assert_eq!(backlog.held(), 0);
        // What was missed counts here, too, though no limit of its own holds for it.
        queue.replay((0..5).map(|_| Text { json: "x".repeat(15_000).into(), topic: Topic::Other }));
        assert!((75_000..76_000).contains(&backlog.held()) && !queue.is_shut());
        queue.evict(ByeCode::Removed);
        assert_eq!(backlog.held(), 0);
    }
}
