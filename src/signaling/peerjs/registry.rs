//! Registry of PeerJS ids, and the messages that wait for absent clients. Pure: the time is handed
//! in, and each message leaves together with the connection to send it over, which is of the
//! driver's own type.
//!
//! ```text
//!            arrive                      depart
//! (absent) ─────────► present, one socket ─────► (absent)
//!                      │  ▲
//!                      └──┘ arrive with the same token: the new socket takes over
//! ```
//!
//! A message to an absent client waits with its sender, for as long as [`RegistryLimits::patience`]
//! and within [`RegistryLimits::kept`] bytes; it is dropped when the sender leaves, because nobody
//! could answer it any more, and so needs no timer but the sender's own. Ids and bytes that wait
//! are [shares](byway_turn::shares), charged to the network of the client that has the id.
//!
//! In a cluster, the [directory](crate::signaling::directory) has the ids of the other nodes;
//! `elsewhere` is what passes between the nodes.
//!
//! The maps are ordered trees: their keys are the clients' choice, and a tree needs no seed against
//! that.

mod elsewhere;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use byway_turn::auth::Secrets;
use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::Shares;

use self::elsewhere::Claim;
pub use self::elsewhere::Received;
use super::protocol::{Passed, PeerId, PeerJsKind, PeerJsRefusal, Token, expire};
use crate::signaling::directory::Directory;
use crate::signaling::protocol::Text;

/// Limits of the registry.
#[derive(Clone, Copy, Debug)]
pub struct RegistryLimits {
    /// Clients at one time.
    pub peers: usize,
    /// Bytes that wait of one sender, and bytes that anybody finds on arrival.
    pub kept: usize,
    /// Bytes that wait of all.
    pub kept_in_all: usize,
    /// Time that a message waits for its receiver.
    pub patience: Duration,
    /// Bytes of a message from another node.
    pub message: usize,
}

/// Time of an event.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Monotonic.
    pub mono: Duration,
    /// Milliseconds since 1970.
    pub unix_ms: u64,
}

/// All clients, each with its connection `C`.
#[derive(Debug)]
pub struct PeerRegistry<C> {
    limits: RegistryLimits,
    peers: BTreeMap<PeerId, Peer<C>>,
    /// By receiver, then by sender; neither map is ever empty. Every sender is one of `peers`.
    waiting: BTreeMap<PeerId, BTreeMap<PeerId, Waiting>>,
    arrivals: u64,
    ids: Shares,
    /// Bytes that wait.
    kept: Shares,
    /// Ids of all nodes.
    directory: Directory<PeerId, Claim>,
    /// Secrets of the cluster.
    secrets: Option<Secrets>,
}

/// Lease of an id: the right to speak under it, until another arrival takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdLease {
    /// The leased id.
    pub id: PeerId,
    arrival: u64,
}

/// Outcome of an arrival.
#[derive(Debug)]
pub struct Arrived<C> {
    /// For the new connection.
    pub lease: IdLease,
    /// The connection that had the id.
    pub replaced: Option<C>,
    /// Messages that have waited, in the order of each sender.
    pub missed: Vec<Text>,
    /// Notices to senders whose waiting messages exceeded the limit.
    pub told: Vec<(C, Text)>,
}

/// Outcome of a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Said<C> {
    /// It goes to this connection.
    Passed(C, Text),
    /// It waits for its receiver; see [`PeerRegistry::next_deadline`].
    Waits,
    /// It goes to the node of its receiver.
    Forwarded,
    /// It does not wait; this is for the sender.
    Expired(Text),
    /// The sender has lost its id, or the message needs no answer.
    Ignored,
}

/// Messages that have waited for a client.
struct HandedOver<C> {
    /// Those that it gets, by their numbers, in the order of each sender.
    missed: Vec<(u64, Text)>,
    /// Notices to senders whose messages exceeded the limit.
    told: Vec<(C, Text)>,
}

#[derive(Debug)]
struct Peer<C> {
    token: Token,
    connection: C,
    network: ClientNetwork,
    arrival: u64,
    /// Times of its arrivals, in milliseconds since 1970: the first with this token, and the last.
    times: (u64, u64),
    /// Bytes of its waiting messages.
    kept: usize,
    /// Deadlines and receivers of waiting messages, in order. An entry whose messages have left is
    /// skipped.
    due: VecDeque<(Duration, PeerId)>,
}

/// Messages of one client to another that is absent.
#[derive(Debug)]
struct Waiting {
    until: Duration,
    /// Messages by their numbers.
    texts: BTreeMap<u64, Text>,
    bytes: usize,
}

impl<C: Clone> PeerRegistry<C> {
    /// Nobody, on a single server.
    #[must_use]
    pub fn new(limits: RegistryLimits) -> Self {
        Self::with(limits, Directory::single(), None)
    }

    fn with(limits: RegistryLimits, directory: Directory<PeerId, Claim>, secrets: Option<Secrets>) -> Self {
        Self {
            limits,
            peers: BTreeMap::new(),
            waiting: BTreeMap::new(),
            arrivals: 0,
            ids: Shares::of(limits.peers),
            kept: Shares::of(limits.kept_in_all),
            directory,
            secrets,
        }
    }

    /// Replaces the limits. Holders beyond them stay until they end.
    pub fn set_limits(&mut self, limits: RegistryLimits) {
        self.ids.set_cap(limits.peers);
        self.kept.set_cap(limits.kept_in_all);
        self.directory.set_limit(limits.peers);
        self.limits = limits;
    }

    /// Clients at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.peers.len()
    }

    /// Takes `id` for `connection`, which comes from `network`.
    ///
    /// # Errors
    /// [`PeerJsRefusal::Taken`] and [`PeerJsRefusal::FULL`].
    pub fn arrive(
        &mut self,
        now: Moment,
        id: PeerId,
        token: Token,
        connection: C,
        network: ClientNetwork,
    ) -> Result<Arrived<C>, PeerJsRefusal> {
        let arrival = self.arrivals + 1;
        let times = self.times(now, &id, &token)?;
        let replaced = match self.peers.get_mut(&id) {
            Some(peer) if peer.token != token => return Err(PeerJsRefusal::Taken),
            Some(peer) => {
                peer.arrival = arrival;
                peer.times.1 = times.1.max(peer.times.1 + 1);
                let former = std::mem::replace(&mut peer.network, network);
                self.ids.hand_over(former, network, 1);
                self.kept.hand_over(former, network, peer.kept);
                Some(std::mem::replace(&mut peer.connection, connection))
            }
            None => {
                self.ids.take(network, 1).map_err(|_| PeerJsRefusal::FULL)?;
                let due = VecDeque::new();
                let peer = Peer { token, connection, network, arrival, times, kept: 0, due };
                self.peers.insert(id.clone(), peer);
                None
            }
        };
        self.arrivals = arrival;
        self.announce(&id);
        let HandedOver { missed, told } = self.hand_over(&id);
        let missed = missed.into_iter().map(|(_, text)| text).collect();
        Ok(Arrived { lease: IdLease { id, arrival }, replaced, missed, told })
    }

    /// Gives the id back, unless another connection has taken it over; whether it did.
    pub fn depart(&mut self, lease: &IdLease) -> bool {
        if !self.has(lease) {
            return false;
        }
        self.remove(&lease.id);
        true
    }

    /// Removes a client. Returns it, and its messages that still waited.
    fn remove(&mut self, id: &PeerId) -> Option<(Peer<C>, BTreeMap<u64, Text>)> {
        let mut peer = self.peers.remove(id)?;
        self.ids.give_back(peer.network, 1);
        self.kept.give_back(peer.network, peer.kept);
        let mut texts = BTreeMap::new();
        for (_, to) in std::mem::take(&mut peer.due) {
            texts.extend(self.take_waiting(&to, id, |_| true).into_iter().flat_map(|waiting| waiting.texts));
        }
        self.directory.remove(id);
        Some((peer, texts))
    }

    /// Sends a message. A message to an absent client waits, or expires at once if it cannot wait.
    pub fn say(&mut self, now: Duration, lease: &IdLease, message: &Passed) -> Said<C> {
        if !self.has(lease) {
            return Said::Ignored;
        }
        let text = message.text(&lease.id);
        if let Some(receiver) = self.peers.get(&message.to) {
            return Said::Passed(receiver.connection.clone(), text);
        }
        let number = self.directory.number();
        if self.forward(now, &message.to, number, &text) {
            return Said::Forwarded;
        }
        // These deadlines belong to connections that have ended; later ones have their own.
        if matches!(message.kind, PeerJsKind::Leave | PeerJsKind::Expire) {
            return Said::Ignored;
        }
        if self.keep(now, &lease.id, &message.to, number, text) {
            return Said::Waits;
        }
        Said::Expired(expire(&message.to, &lease.id))
    }

    /// Keeps a message for an absent client, in the order of its sender's numbers. Returns whether
    /// it may wait.
    fn keep(&mut self, now: Duration, from: &PeerId, to: &PeerId, number: u64, text: Text) -> bool {
        let Some(sender) = self.peers.get_mut(from) else { return false };
        let bytes = cost(&text);
        let is_too_much = sender.kept + bytes > self.limits.kept;
        if is_too_much || self.kept.take(sender.network, bytes).is_err() {
            return false;
        }
        sender.kept += bytes;
        let until = now + self.limits.patience;
        let waiting = self.waiting.entry(to.clone()).or_default();
        let waiting = waiting.entry(from.clone()).or_insert_with(|| {
            sender.due.push_back((until, to.clone()));
            Waiting { until, texts: BTreeMap::new(), bytes: 0 }
        });
        waiting.bytes += bytes;
        if let Some(same) = waiting.texts.insert(number, text) {
            let bytes = cost(&same);
            waiting.bytes -= bytes;
            sender.kept -= bytes;
            self.kept.give_back(sender.network, bytes);
        }
        true
    }

    /// Time at which to call [`Self::expire`] for this client, if at all.
    #[must_use]
    pub fn next_deadline(&self, lease: &IdLease) -> Option<Duration> {
        self.peers.get(&lease.id).filter(|_| self.has(lease))?.due.front().map(|(until, _)| *until)
    }

    /// Gives up what has waited for too long: what to tell its sender.
    pub fn expire(&mut self, now: Duration, lease: &IdLease) -> Vec<Text> {
        let mut told = Vec::new();
        while self.next_deadline(lease).is_some_and(|until| until <= now) {
            let to = self.peers.get_mut(&lease.id).and_then(|peer| peer.due.pop_front());
            let Some((_, to)) = to else { break };
            if self.take_waiting(&to, &lease.id, |waiting| waiting.until <= now).is_some() {
                told.push(expire(&to, &lease.id));
            }
        }
        told
    }

    fn has(&self, lease: &IdLease) -> bool {
        self.peers.get(&lease.id).is_some_and(|peer| peer.arrival == lease.arrival)
    }

    /// Takes out the messages that have waited for `id`, as far as they may be handed over, and the
    /// answers to the other senders.
    fn hand_over(&mut self, id: &PeerId) -> HandedOver<C> {
        let (mut missed, mut told, mut handed) = (Vec::new(), Vec::new(), 0);
        for (from, waiting) in self.waiting.remove(id).unwrap_or_default() {
            let Some(sender) = self.peers.get_mut(&from) else { continue };
            sender.kept -= waiting.bytes;
            self.kept.give_back(sender.network, waiting.bytes);
            if handed + waiting.bytes <= self.limits.kept {
                handed += waiting.bytes;
                missed.extend(waiting.texts);
            } else {
                told.push((sender.connection.clone(), expire(id, &from)));
            }
        }
        HandedOver { missed, told }
    }

    /// Removes the waiting messages of `from` to `to`, if there are any and `fits` accepts them.
    fn take_waiting(
        &mut self,
        to: &PeerId,
        from: &PeerId,
        fits: impl FnOnce(&Waiting) -> bool,
    ) -> Option<Waiting> {
        let senders = self.waiting.get_mut(to)?;
        senders.get(from).filter(|waiting| fits(waiting))?;
        let waiting = senders.remove(from)?;
        if senders.is_empty() {
            self.waiting.remove(to);
        }
        if let Some(sender) = self.peers.get_mut(from) {
            sender.kept -= waiting.bytes;
            self.kept.give_back(sender.network, waiting.bytes);
        }
        Some(waiting)
    }
}

/// Bytes that a waiting message counts for: its text, and its share of the maps, two keys and their
/// nodes among it.
fn cost(text: &Text) -> usize {
    const HELD: usize = 512;
    HELD + text.json.len()
}

#[cfg(test)]
mod tests;
