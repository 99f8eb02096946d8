//! Traffic of the allocations that have ended, by user.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use byway_turn::lock::lock;

use crate::events::{Event, Timed, Traffic, Usage};

/// Users that are told apart. Members of rooms have a new name for every call, so old names leave.
const MAX_USERS: usize = 10_000;

/// Sums of allocations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageSums {
    /// Allocations that have ended.
    pub ended: u64,
    /// From the clients to their peers.
    pub to_peer: Traffic,
    /// From the peers to the clients.
    pub to_client: Traffic,
}

impl UsageSums {
    /// Adds the traffic of one allocation.
    pub fn add(&mut self, usage: &Usage) {
        self.to_peer = sum(self.to_peer, usage.to_peer);
        self.to_client = sum(self.to_client, usage.to_client);
    }

    fn join(&mut self, other: Self) {
        self.ended = self.ended.saturating_add(other.ended);
        self.to_peer = sum(self.to_peer, other.to_peer);
        self.to_client = sum(self.to_client, other.to_client);
    }
}

fn sum(one: Traffic, other: Traffic) -> Traffic {
    Traffic {
        packets: one.packets.saturating_add(other.packets),
        bytes: one.bytes.saturating_add(other.bytes),
    }
}

/// Sums of the allocations that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedUsage {
    /// Users that are told apart.
    pub users: HashMap<Arc<str>, UsageSums>,
    /// Sum of the users that are no longer told apart.
    pub others: UsageSums,
}

/// Sums of the allocations that have ended since the server's start, in bounded memory.
#[derive(Debug)]
pub struct UsageTotals {
    since: u64,
    most: usize,
    /// A `std` mutex: held for a look-up or a copy, never across an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    users: HashMap<Arc<str>, (u64, UsageSums)>,
    /// Names in the order in which their latest allocations ended.
    order: BTreeMap<u64, Arc<str>>,
    next: u64,
    others: UsageSums,
}

impl UsageTotals {
    /// Creates empty sums. `since` is the present, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn new(since: u64) -> Self {
        Self { since, most: MAX_USERS, state: Mutex::default() }
    }

    /// Returns the time since which allocations are summed.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.since
    }

    /// Adds the traffic of an allocation that has ended. Other events do not count.
    pub fn note(&self, event: Timed) {
        if let Event::AllocationEnded { facts, usage, .. } = event.event {
            self.state().add(&facts.user, &usage, self.most);
        }
    }

    /// Returns a copy of the sums.
    #[must_use]
    pub fn page(&self) -> EndedUsage {
        let state = self.state();
        let users = state.users.iter().map(|(user, (_, usage))| (user.clone(), *usage));
        EndedUsage { users: users.collect(), others: state.others }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // It is whole between any two statements that can panic.
        lock(&self.state)
    }
}

impl State {
    fn add(&mut self, user: &Arc<str>, usage: &Usage, most: usize) {
        self.next += 1;
        let (place, sums) = self.users.entry(user.clone()).or_default();
        sums.ended += 1;
        sums.add(usage);
        self.order.remove(place);
        *place = self.next;
        self.order.insert(self.next, user.clone());
        if self.users.len() > most
            && let Some((_, oldest)) = self.order.pop_first()
            && let Some((_, sums)) = self.users.remove(&oldest)
        {
            self.others.join(sums);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(most: usize) -> UsageTotals {
        UsageTotals { most, ..UsageTotals::new(7) }
    }

    fn end(totals: &UsageTotals, user: &str, bytes: u64) {
        let to_peer = Traffic { packets: 1, bytes };
        let usage =
            Usage { to_peer, to_client: Traffic { packets: 2, bytes: 2 * bytes }, ..Usage::default() };
        totals.state().add(&user.into(), &usage, totals.most);
    }

    fn sums(ended: u64, packets: u64, bytes: u64) -> UsageSums {
        UsageSums {
            ended,
            to_peer: Traffic { packets, bytes },
            to_client: Traffic { packets: 2 * packets, bytes: 2 * bytes },
        }
    }

    #[test]
    fn the_allocations_of_a_user_are_summed() {
        let totals = totals(2);
        end(&totals, "alice", 100);
        end(&totals, "bob", 10);
        end(&totals, "alice", 1);
        let users = HashMap::from([("alice".into(), sums(2, 2, 101)), ("bob".into(), sums(1, 1, 10))]);
        assert_eq!(totals.page(), EndedUsage { users, others: UsageSums::default() });
    }

    #[test]
    fn users_beyond_the_limit_are_summed_as_others_and_nothing_is_lost() {
        let totals = totals(2);
        for (user, bytes) in [("alice", 1), ("bob", 2), ("alice", 4), ("carol", 8), ("dave", 16)] {
            end(&totals, user, bytes);
        }
        let users = HashMap::from([("carol".into(), sums(1, 1, 8)), ("dave".into(), sums(1, 1, 16))]);
        assert_eq!(totals.page(), EndedUsage { users, others: sums(3, 3, 7) });
        assert_eq!(totals.state().order.len(), 2);
    }
}
