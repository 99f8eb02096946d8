//! Accounting: the traffic of every allocation, and records of what happened to it.
//!
//! The shard that owns an allocation counts by plain additions. Only datagrams that another client
//! of this server sends need an atomic addition, because their sender's shard counts them.

use std::borrow::Cow;
use std::cell::Cell;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::allocation::Allocation;
use super::bandwidth::DEPTH;
use super::{Action, AllocationId, DropReason, FiveTuple, Relay};
use crate::closed_set::ClosedSet;
use crate::rate_limit::Gcra;
use crate::time::Now;
use crate::wire::ErrorCode;

/// Cost of one record of a refused request to the rate limiter: ten per second for each allocation.
const REFUSAL_COST: Duration = Duration::from_millis(100);

/// Cost for clients without an allocation: a hundred per second for each relay.
const STRAY_REFUSAL_COST: Duration = Duration::from_millis(10);

/// Payload relayed in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams.
    pub packets: u64,
    /// Bytes of payload, without headers.
    pub bytes: u64,
}

/// Relayed traffic of an allocation, and what was dropped and refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// From the client to its peers.
    pub to_peer: Traffic,
    /// From its peers to the client.
    pub to_client: Traffic,
    /// Dropped datagrams by reason, without those whose count is 0.
    pub drops: Vec<(DropReason, u64)>,
    /// Error responses to the client by code, without those whose count is 0.
    pub refused: Vec<(ErrorCode, u64)>,
}

/// Reason for which an allocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// The client deleted it: a Refresh with LIFETIME 0.
    Deleted,
    /// The client did not refresh it.
    Expired,
    /// The connection of its client was closed.
    Disconnected,
    /// Its name was revoked, or the operator ended it.
    Revoked,
    /// The server no longer has its address or its listener, or no socket for it.
    Server,
}

/// Accounting record; see [`Relay::next_record`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// An allocation is live: its Allocate request was answered.
    Began {
        /// Allocation, which [`Relay::account`] describes.
        allocation: AllocationId,
    },
    /// A live allocation has ended.
    Ended {
        /// Allocation.
        allocation: AllocationId,
        /// Reason.
        cause: EndCause,
        /// Traffic in total.
        usage: Box<Usage>,
    },
    /// An authenticated request was answered with an error. A client that repeats such requests
    /// gets some of them recorded.
    Refused(Box<RefusedRequest>),
}

/// Authenticated request that was answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedRequest {
    /// Name in its credentials: the username without its expiry.
    pub name: Box<str>,
    /// Client that sent it.
    pub five_tuple: FiveTuple,
    /// Method.
    pub method: &'static str,
    /// Error code of the response.
    pub error: ErrorCode,
    /// First peer address of the request, if it has one.
    pub peer: Option<SocketAddr>,
}

/// Description of a live allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account<'a> {
    /// Identifier.
    pub id: AllocationId,
    /// Name in its credentials: the username without its expiry.
    pub name: Cow<'a, str>,
    /// 5-tuple of its client.
    pub five_tuple: FiveTuple,
    /// Relayed transport addresses as the client knows them, IPv4 first.
    pub relayed: Vec<SocketAddr>,
    /// Start, on the clock of [`Now::mono`].
    pub began: Duration,
    /// Time at which it ends unless it is refreshed.
    pub expires: Duration,
    /// Number of permissions.
    pub permissions: usize,
    /// Number of bound channels.
    pub channels: usize,
    /// Traffic so far.
    pub usage: Usage,
}

/// Counters of one allocation.
#[derive(Debug, Default)]
pub(super) struct UsageCounters {
    to_peer: TrafficCounter,
    to_client: TrafficCounter,
    drops: <DropReason as ClosedSet>::Table<Cell<u64>>,
    refused: Vec<(ErrorCode, u64)>,
    /// Rate limiter of the records of refused requests.
    refusals: Gcra,
    /// Payload from other clients of this server, which the shards of those count.
    pub(super) delivered: Arc<Delivered>,
}

#[derive(Debug, Default)]
struct TrafficCounter {
    packets: Cell<u64>,
    bytes: Cell<u64>,
}

impl TrafficCounter {
    fn add(&self, bytes: usize) {
        self.packets.set(self.packets.get().wrapping_add(1));
        self.bytes.set(self.bytes.get().wrapping_add(bytes as u64));
    }

    fn get(&self) -> Traffic {
        Traffic { packets: self.packets.get(), bytes: self.bytes.get() }
    }
}

/// Payload that was delivered in memory to the client of an allocation.
#[derive(Debug, Default)]
pub(super) struct Delivered {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Delivered {
    pub(super) fn add(&self, bytes: usize) {
        self.packets.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

impl UsageCounters {
    /// Counts a datagram of the client by what is done with it.
    pub(super) fn count_from_client(&self, action: &Action, bytes: usize) {
        match action {
            Action::Drop(reason) => self.dropped(*reason),
            _ => self.to_peer.add(bytes),
        }
    }

    /// Counts a datagram of a peer by what is done with it.
    pub(super) fn count_from_peer(&self, action: &Action, bytes: usize) {
        match action {
            Action::Drop(reason) => self.dropped(*reason),
            _ => self.to_client.add(bytes),
        }
    }

    pub(super) fn dropped(&self, reason: DropReason) {
        let count = &self.drops[reason.index()];
        count.set(count.get().wrapping_add(1));
    }

    pub(super) fn refused(&mut self, error: ErrorCode) {
        match self.refused.iter_mut().find(|(code, _)| *code == error) {
            Some((_, count)) => *count += 1,
            None => self.refused.push((error, 1)),
        }
    }

    pub(super) fn usage(&self) -> Usage {
        let from_peers = self.to_client.get();
        let drops = DropReason::ALL.iter().map(|reason| (*reason, self.drops[reason.index()].get()));
        Usage {
            to_peer: self.to_peer.get(),
            to_client: Traffic {
                packets: from_peers.packets.wrapping_add(self.delivered.packets.load(Relaxed)),
                bytes: from_peers.bytes.wrapping_add(self.delivered.bytes.load(Relaxed)),
            },
            drops: drops.filter(|(_, count)| *count > 0).collect(),
            refused: self.refused.clone(),
        }
    }
}

impl Relay {
    /// Keeps records from now on. The driver must then take them by [`Self::next_record`].
    pub fn keep_records(&mut self) {
        self.records.get_or_insert_default();
    }

    /// Returns the next record, in order. There are none before [`Self::keep_records`].
    pub fn next_record(&mut self) -> Option<Record> {
        self.records.as_mut()?.pop_front()
    }

    /// Counts an error response to an authenticated request. Records it within a rate limit, so
    /// that a client that repeats its mistake does not displace the records of others.
    pub(super) fn note_refusal(&mut self, now: Now, username: &str, refused: RefusedRequest) {
        let id = self.table.find(&refused.five_tuple).map(|(id, _)| id);
        let own = id.and_then(|id| self.table.get_mut(id)).filter(|own| *own.username == *username);
        let (limiter, cost) = match own {
            Some(own) => {
                own.usage.refused(refused.error);
                (&own.usage.refusals, REFUSAL_COST)
            }
            None => (&self.stray_refusals, STRAY_REFUSAL_COST),
        };
        if limiter.take(now.mono, cost, DEPTH).is_ok() {
            self.record(|| Record::Refused(Box::new(refused)));
        }
    }

    pub(super) fn record(&mut self, record: impl FnOnce() -> Record) {
        if let Some(records) = &mut self.records {
            records.push_back(record());
        }
    }

    /// Describes an allocation, if it is live.
    #[must_use]
    pub fn account(&self, id: AllocationId) -> Option<Account<'_>> {
        self.table.get(id).filter(|allocation| allocation.live).map(|allocation| allocation.describe(id))
    }

    /// Describes up to `most` live allocations from slot `first` on. Returns the slot to continue
    /// from as well, or `None` at the end. An allocation that begins or ends between two calls may
    /// be left out; none is described twice.
    #[must_use]
    pub fn accounts(&self, first: usize, most: usize) -> (Vec<Account<'_>>, Option<usize>) {
        let end = self.table.slots();
        let next = first.saturating_add(most).min(end);
        let ids = (first..next).filter_map(|slot| self.table.id_at(slot));
        (ids.filter_map(|id| self.account(id)).collect(), (next < end).then_some(next))
    }

    /// Ends an allocation. Returns whether it was live. Effects follow.
    ///
    /// Its client can begin another one, unless its name is revoked.
    pub fn end_allocation(&mut self, now: Now, id: AllocationId) -> bool {
        let is_live = self.table.get(id).is_some_and(|allocation| allocation.live);
        if is_live {
            self.end_whole(now, id, EndCause::Revoked);
        }
        is_live
    }

    /// Ends every allocation, because the server stops. Effects follow.
    pub fn end_all(&mut self, now: Now) {
        for id in self.table.ids() {
            self.end_whole(now, id, EndCause::Server);
        }
    }
}

impl Allocation {
    fn describe(&self, id: AllocationId) -> Account<'_> {
        Account {
            id,
            name: self.account(),
            five_tuple: self.five_tuple,
            relayed: self.relayed.iter().map(|relayed| relayed.address).collect(),
            began: self.began,
            expires: self.relayed.iter().map(|relayed| relayed.expires).max().unwrap_or_default(),
            permissions: self.permissions.len(),
            channels: self.channels.iter().filter(|channel| channel.announced).count(),
            usage: self.usage.usage(),
        }
    }
}
