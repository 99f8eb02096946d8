//! Accounts of the shard's allocations: the relay's records become events for the rest of the
//! server.
//!
//! No datagram waits for this. Records come with requests and timers only, and sending an event
//! never waits.

use std::sync::Arc;

use byway_turn::closed_set::ClosedSet as _;
use byway_turn::server::{self, Account, AllocationId, EndCause, Record, Transport};
use byway_turn::time::Now;
use tokio::sync::oneshot;

use super::poll_loop::{Buffers, Shard};
use crate::events::{
    AllocationFacts, AllocationKey, ClientTransport, EndReason, Event, EventSender, Traffic, Usage,
};
use crate::sessions::LiveAllocation;

/// Allocations that one answer lists. Media waits for an answer, so it is short.
const PAGE: usize = 128;

/// Question about the allocations of a shard.
pub(super) enum Question {
    /// A page of the live allocations.
    List {
        /// Slot to begin with.
        first: usize,
        answer: oneshot::Sender<ListPage>,
    },
    /// End an allocation. The answer tells whether there was one.
    End { allocation: AllocationId, answer: oneshot::Sender<bool> },
}

/// Some of the live allocations of a shard.
pub(super) struct ListPage {
    pub(super) allocations: Vec<LiveAllocation>,
    /// Slot to continue from, unless this is the end.
    pub(super) next: Option<usize>,
}

/// Accounts of the live allocations of a shard.
pub(super) struct Accounts {
    events: EventSender,
    /// Facts by allocation slot.
    facts: Vec<Option<Arc<AllocationFacts>>>,
}

impl Accounts {
    pub(super) fn new(events: EventSender) -> Self {
        Self { events, facts: Vec::new() }
    }

    fn put(&mut self, id: AllocationId, facts: Arc<AllocationFacts>) {
        let slot = id.slot as usize;
        if self.facts.len() <= slot {
            self.facts.resize(slot + 1, None);
        }
        self.facts[slot] = Some(facts);
    }

    fn get(&self, id: AllocationId) -> Option<&Arc<AllocationFacts>> {
        self.facts.get(id.slot as usize)?.as_ref().filter(|facts| facts.key.generation == id.generation)
    }

    fn take(&mut self, id: AllocationId) -> Option<Arc<AllocationFacts>> {
        self.facts.get_mut(id.slot as usize)?.take_if(|facts| facts.key.generation == id.generation)
    }
}

impl Shard {
    /// Sends the relay's pending records as events.
    pub(super) fn send_records(&mut self, now: Now) {
        while let Some(record) = self.relay.next_record() {
            let event = match record {
                Record::Began { allocation } => self.began(now, allocation),
                Record::Ended { allocation, cause, usage } => {
                    let facts = self.accounts.take(allocation);
                    let (usage, reason) = (usage_of(&usage), reason(cause));
                    facts.map(|facts| Event::AllocationEnded { facts, usage, reason })
                }
                Record::Refused(refused) => Some(Event::RequestRefused {
                    user: Arc::from(refused.name),
                    method: refused.method,
                    code: refused.error.code(),
                    peer: refused.peer,
                }),
            };
            if let Some(event) = event {
                self.accounts.events.send(now.unix, event);
            }
        }
    }

    /// Answers a question. The send fails if nobody waits for the answer any more.
    pub(super) fn answer(&mut self, now: Now, buffers: &mut Buffers, question: Question) {
        match question {
            Question::List { first, answer } => drop(answer.send(self.list(now, first))),
            Question::End { allocation, answer } => {
                let ended = self.relay.end_allocation(now, allocation);
                self.counters.allocations_revoked.add(ended.into());
                self.take_effects(now, buffers);
                let _ = answer.send(ended);
            }
        }
    }

    fn list(&self, now: Now, first: usize) -> ListPage {
        let (accounts, next) = self.relay.accounts(first, PAGE);
        let live = |account: Account<'_>| {
            Some(LiveAllocation {
                facts: self.accounts.get(account.id)?.clone(),
                age: now.mono.saturating_sub(account.began),
                expires_in: account.expires.saturating_sub(now.mono),
                permissions: account.permissions,
                channels: account.channels,
                usage: usage_of(&account.usage),
            })
        };
        // One that has expired is still there until the timer comes.
        let unexpired = accounts.into_iter().filter(|account| account.expires > now.mono);
        ListPage { allocations: unexpired.filter_map(live).collect(), next }
    }

    fn began(&mut self, now: Now, id: AllocationId) -> Option<Event> {
        let account = self.relay.account(id)?;
        let transport = match account.five_tuple.transport {
            Transport::Udp(_) => ClientTransport::Udp,
            Transport::Stream(id) => self.connections.transport(id)?,
        };
        let facts = Arc::new(AllocationFacts {
            key: self.key(id),
            user: account.name.into(),
            transport,
            client: account.five_tuple.client,
            relayed: account.relayed,
            began: now.unix,
        });
        self.accounts.put(id, facts.clone());
        Some(Event::AllocationBegan(facts))
    }

    /// Returns the key of one of the shard's allocations.
    fn key(&self, id: AllocationId) -> AllocationKey {
        AllocationKey { shard: self.index, slot: id.slot, generation: id.generation }
    }
}

fn reason(cause: EndCause) -> EndReason {
    match cause {
        EndCause::Deleted => EndReason::Deleted,
        EndCause::Expired => EndReason::Expired,
        EndCause::Disconnected => EndReason::Disconnected,
        EndCause::Revoked => EndReason::Revoked,
        EndCause::Server => EndReason::Server,
    }
}

fn usage_of(usage: &server::Usage) -> Usage {
    let traffic = |traffic: server::Traffic| Traffic { packets: traffic.packets, bytes: traffic.bytes };
    Usage {
        to_peer: traffic(usage.to_peer),
        to_client: traffic(usage.to_client),
        drops: usage.drops.iter().map(|(reason, count)| (reason.label(), *count)).collect(),
        refused: usage.refused.iter().map(|(error, count)| (error.code(), *count)).collect(),
    }
}
