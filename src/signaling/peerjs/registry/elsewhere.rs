//! PeerJS ids of other nodes, and the messages to and from their clients.
//!
//! An id is its holder's on all nodes. A node that gets a [`Claim`] of another to an id of its own
//! decides by itself, and both decide alike:
//!
//! - The claims have one token: the client came back. The later arrival keeps the id.
//! - They have different tokens: two clients took the id at one time, or while the bus was away.
//!   The one that had it first keeps it. The other is told `ID-TAKEN`.
//!
//! Of two equal times the name of the node decides. The clocks of nodes differ little: messages
//! that are a minute off are refused.
//!
//! A message goes to the node that has its receiver. If the receiver has just gone there, that node
//! gives the message back, and it waits with its sender as any other: so it is counted and expires
//! in one place.

use std::collections::BTreeSet;
use std::time::Duration;

use byway_turn::auth::Secrets;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{HandedOver, Moment, PeerRegistry, RegistryLimits};
use crate::access::names::NodeName;
use crate::signaling::directory::{Directory, Found, Heard, MAX_FORWARDED};
use crate::signaling::peerjs::protocol::{OnTheWay, PeerId, PeerJsKind, PeerJsRefusal, Token, expire};
use crate::signaling::protocol::Text;

/// Field of the items between nodes.
const FIELD: &str = "peer";

/// Claim of a node to an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Claim {
    /// [Tag](Token::tag) of the client's token.
    tag: Tag,
    /// Time at which a client with this token took the id, in milliseconds since 1970.
    since: u64,
    /// Time of its last arrival.
    at: u64,
}

/// Tag of a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Tag(Box<str>);

impl TryFrom<String> for Tag {
    type Error = &'static str;

    fn try_from(tag: String) -> Result<Self, &'static str> {
        if tag.len() <= 64 { Ok(Self(tag.into())) } else { Err("A tag is at most 64 bytes.") }
    }
}

impl From<Tag> for String {
    fn from(tag: Tag) -> Self {
        tag.0.into()
    }
}

/// Something of a client for a client of another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PeerText {
    /// A message to a client of the receiving node.
    Pass {
        /// Its number.
        n: u64,
        /// The text that its receiver gets.
        message: Box<RawValue>,
    },
    /// A message of a client of the receiving node that has to wait there.
    Back { n: u64, message: Box<RawValue> },
}

/// Consequences of an item of another node.
#[derive(Debug)]
pub struct Received<C> {
    /// Messages that arrive.
    pub passed: Vec<(C, Text)>,
    /// Notices of messages that have expired.
    pub told: Vec<(C, Text)>,
    /// Connections that have lost their id, and whether to a client with their token.
    pub ousted: Vec<(C, bool)>,
    /// Connections with another [deadline](PeerRegistry::next_deadline).
    pub renewed: Vec<C>,
}

impl<C> Default for Received<C> {
    fn default() -> Self {
        Self { passed: Vec::new(), told: Vec::new(), ousted: Vec::new(), renewed: Vec::new() }
    }
}

impl<C: Clone> PeerRegistry<C> {
    /// Nobody, on a node of a cluster. `first` is below the numbers of its messages.
    #[must_use]
    pub fn of_node(limits: RegistryLimits, node: NodeName, secrets: Secrets, first: u64) -> Self {
        Self::with(limits, Directory::shared(node, FIELD, limits.peers, first), Some(secrets))
    }

    /// Replaces the secrets, by which nodes know each other's tokens.
    pub fn set_secrets(&mut self, secrets: Secrets) {
        let peers = &self.peers;
        self.directory.restate(|id, claim| {
            if let Some(peer) = peers.get(id) {
                claim.tag = Tag(peer.token.tag(id, &secrets).into());
            }
        });
        self.secrets = Some(secrets);
    }

    /// Takes out the items for other nodes, in order.
    pub fn take_items(&mut self) -> Vec<(NodeName, Box<RawValue>)> {
        self.directory.take_items()
    }

    /// Takes in the other nodes, or that this node is alone.
    pub fn set_view(&mut self, now: Duration, nodes: &BTreeSet<NodeName>, alone: bool) {
        self.directory.set_view(now, nodes, alone);
    }

    /// Notes that the stream to or from a node was reset. What did not arrive is sent again or
    /// waits, within bounds.
    pub fn reset(&mut self, now: Duration, peer: &NodeName, unsent: &[Box<RawValue>]) -> Received<C> {
        let mut received = Received::default();
        let (again, rest) = self.directory.reset(peer, unsent);
        for text in again {
            match text {
                PeerText::Pass { n, message } => self.route(now, n, &message, &mut received),
                // Without that node, its client is gone as well.
                PeerText::Back { .. } if self.directory.has_node(peer) => self.directory.post(peer, text),
                PeerText::Back { .. } => {}
            }
        }
        for text in rest {
            if let PeerText::Pass { message, .. } = text {
                self.give_up(message.get(), &mut received);
            }
        }
        received
    }

    /// Takes an item of another node.
    pub fn hear(&mut self, now: Duration, from: &NodeName, item: &RawValue) -> Received<C> {
        let mut received = Received::default();
        match self.directory.hear(from, item) {
            Some(Heard::Keys(found)) => {
                for found in found {
                    self.find(from, &found, &mut received);
                }
            }
            Some(Heard::Text(PeerText::Pass { n, message })) => {
                self.take(from, n, message, &mut received);
            }
            Some(Heard::Text(PeerText::Back { n, message })) => {
                if let Some(back) = OnTheWay::read(message.get()) {
                    // Its `gone` may be on the way.
                    self.directory.forget(from, &back.message.to);
                }
                self.route(now, n, &message, &mut received);
            }
            None => {}
        }
        received
    }

    /// Checks that an id is free on the other nodes, or held with this token. Returns the times of
    /// the claim to it: since when, and now.
    pub(super) fn times(&self, now: Moment, id: &PeerId, token: &Token) -> Result<(u64, u64), PeerJsRefusal> {
        let mut times = (now.unix_ms, now.unix_ms);
        // A client of this node has the id already: that decides.
        if self.peers.contains_key(id) {
            return Ok(times);
        }
        for (_, claim) in self.directory.holders(now.mono, id) {
            if !is_same(self.secrets.as_ref(), id, token, claim) {
                return Err(PeerJsRefusal::Taken);
            }
            times = (times.0.min(claim.since), times.1.max(claim.at.saturating_add(1)));
        }
        Ok(times)
    }

    /// Tells the other nodes that a client has its id.
    pub(super) fn announce(&mut self, id: &PeerId) {
        let (Some(secrets), Some(peer)) = (&self.secrets, self.peers.get(id)) else { return };
        let tag = Tag(peer.token.tag(id, secrets).into());
        self.directory.put(id, Claim { tag, since: peer.times.0, at: peer.times.1 });
    }

    /// Sends a message to the node of its receiver. Returns whether there is one.
    pub(super) fn forward(&mut self, now: Duration, to: &PeerId, n: u64, text: &Text) -> bool {
        let holders = self.directory.holders(now, to);
        let Some((node, _)) = holders.min_by_key(|(_, claim)| claim.since) else { return false };
        let node = node.clone();
        self.post(&node, n, text, false)
    }

    /// Follows what another node says of an id.
    fn find(&mut self, node: &NodeName, found: &Found<PeerId, Claim>, received: &mut Received<C>) {
        let Found { key: id, value: theirs, .. } = found;
        let Some(peer) = self.peers.get_mut(id) else {
            let HandedOver { missed, told } = self.hand_over(id);
            received.told.extend(told);
            for (n, text) in missed {
                if !self.post(node, n, &text, false) {
                    self.give_up(&text.json, received);
                }
            }
            return;
        };
        let Some(own) = self.directory.node().cloned() else { return };
        let (since, at) = peer.times;
        let is_same = is_same(self.secrets.as_ref(), id, &peer.token, theirs);
        let stays = if is_same {
            // Both know since when.
            peer.times.0 = since.min(theirs.since);
            (at, &own) > (theirs.at, node)
        } else {
            (since, &own) < (theirs.since, node)
        };
        if stays {
            return self.announce(id);
        }
        let Some((ousted, texts)) = self.remove(id) else { return };
        for (n, text) in texts.iter().filter(|_| is_same) {
            // They wait with the client.
            self.post(node, *n, text, true);
        }
        received.ousted.push((ousted.connection, is_same));
    }

    /// Takes a message of another node's client to one of this node.
    fn take(&mut self, from: &NodeName, n: u64, message: Box<RawValue>, received: &mut Received<C>) {
        if message.get().len() > self.limits.message.saturating_add(4_096) {
            return;
        }
        let Some(passed) = OnTheWay::read(message.get()) else { return };
        if let Some(receiver) = self.peers.get(&passed.message.to) {
            let connection = receiver.connection.clone();
            if self.directory.is_first(from, n) {
                received.passed.push((connection, passed.text()));
            }
        } else if waits(passed.message.kind) {
            self.directory.post(from, PeerText::Back { n, message });
        }
    }

    /// Sends a message of a client of this node again, or lets it wait.
    fn route(&mut self, now: Duration, n: u64, message: &RawValue, received: &mut Received<C>) {
        let Some(passed) = OnTheWay::read(message.get()) else { return };
        let (from, to, text) = (&passed.from, &passed.message.to, passed.text());
        // Without its sender it is dropped.
        let Some(sender) = self.peers.get(from).map(|sender| sender.connection.clone()) else { return };
        if let Some(receiver) = self.peers.get(to) {
            received.passed.push((receiver.connection.clone(), text));
        } else if self.forward(now, to, n, &text) || !waits(passed.message.kind) {
        } else if self.keep(now, from, to, n, text) {
            received.renewed.push(sender);
        } else {
            received.told.push((sender, expire(to, from)));
        }
    }

    /// Tells the sender of a message that it has expired.
    fn give_up(&self, message: &str, received: &mut Received<C>) {
        let Some(OnTheWay { from, message }) = OnTheWay::read(message) else { return };
        if let Some(sender) = self.peers.get(&from) {
            received.told.push((sender.connection.clone(), expire(&message.to, &from)));
        }
    }

    /// Sends a message to a node. Returns whether it is small enough.
    fn post(&mut self, node: &NodeName, n: u64, text: &Text, back: bool) -> bool {
        if text.json.len() > MAX_FORWARDED {
            return false;
        }
        // It came in as JSON.
        let Ok(message) = RawValue::from_string(text.json.to_string()) else { return false };
        let text = if back { PeerText::Back { n, message } } else { PeerText::Pass { n, message } };
        self.directory.post(node, text);
        true
    }
}

/// Whether another node's claim to an id was made with this token.
fn is_same(secrets: Option<&Secrets>, id: &PeerId, token: &Token, Claim { tag, .. }: &Claim) -> bool {
    secrets.is_some_and(|secrets| token.has_tag(id, secrets, &tag.0))
}

/// Whether a message waits for an absent receiver.
fn waits(kind: PeerJsKind) -> bool {
    !matches!(kind, PeerJsKind::Leave | PeerJsKind::Expire)
}
