//! Board of topics and their subscribers. Pure: each message leaves together with the connections
//! to send it over, which are of the driver's own type.
//!
//! A topic exists while it has subscribers. It spans the nodes of a cluster: the
//! [directory](crate::signaling::directory) knows which of them have it, and with how many
//! subscribers. A publication goes to these nodes, which pass it on no further.
//!
//! Two nodes may get a topic at one time, or while the bus is away. Then neither subscriber has
//! heard the first words of the other, by which clients of y-webrtc meet. So the board keeps the
//! first publication of each subscriber, if it is short. When two nodes learn of each other's
//! topic, the one with the lower name gives them to the other.
//!
//! Topics and subscriptions are
//! [shares](byway_turn::shares): a topic is charged to the network of its first subscriber, and
//! after that one to the network of another; a subscription to its own. The maps are ordered trees:
//! their keys are the clients' choice, and a tree needs no seed against that.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::Shares;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::protocol::Publication;
use crate::access::names::NodeName;
use crate::signaling::directory::{Directory, Found, Heard, MAX_FORWARDED};
use crate::signaling::protocol::{ErrorCode, RoomName, Text};

/// Field of the items between nodes.
const FIELD: &str = "topic";

/// Longest first publication that is kept, in bytes. y-webrtc's takes some 200.
const INTRODUCTION: usize = 1_024;

/// Bytes of all that are kept.
const INTRODUCTIONS: usize = 16 << 20;

/// Bytes of first publications for one item of another node.
const HANDED_OVER: usize = 1 << 20;

/// Limits of the board.
#[derive(Clone, Copy, Debug)]
pub struct BoardLimits {
    /// Topics at one time.
    pub topics: usize,
    /// Subscribers of one topic.
    pub subscribers: usize,
    /// Topics of one subscriber.
    pub subscriptions: usize,
    /// Subscriptions of all.
    pub subscriptions_in_all: usize,
    /// Bytes of a message from another node.
    pub message: usize,
}

/// All topics, each with its subscribers' connections `C`.
#[derive(Debug)]
pub struct Board<C> {
    limits: BoardLimits,
    topics: BTreeMap<RoomName, Topic<C>>,
    subscribers: u64,
    /// Topics, by the network that each is charged to.
    shares: Shares,
    subscriptions: Shares,
    /// Bytes of first publications.
    introductions: Shares,
    /// Topics of all nodes, with their subscribers.
    directory: Directory<RoomName, usize>,
}

/// Something of a client for the subscribers on another node.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum TopicText {
    /// A publication.
    Publish {
        /// Its number.
        n: u64,
        topic: RoomName,
        data: Option<Box<RawValue>>,
    },
}

/// A publication and its receivers.
#[derive(Debug)]
pub struct Published<'a, C> {
    /// The message.
    pub text: Text,
    /// Receivers on this node, the publisher among them, as the original has it.
    pub receivers: Vec<&'a C>,
    /// Number of receivers on all nodes.
    pub everywhere: usize,
}

#[derive(Debug)]
struct Topic<C> {
    /// The subscriber whose network it is charged to.
    charged: u64,
    /// By number of the subscriber; never empty.
    subscribers: BTreeMap<u64, Subscription<C>>,
}

#[derive(Debug)]
struct Subscription<C> {
    network: ClientNetwork,
    connection: C,
    introduction: Introduction,
}

/// First publication of a subscriber.
#[derive(Debug, Default)]
enum Introduction {
    /// It has published nothing.
    #[default]
    None,
    /// It was too long to be kept.
    TooLong,
    Kept(Option<Box<RawValue>>),
}

/// Client that may subscribe, and its subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    number: u64,
    network: ClientNetwork,
    topics: BTreeSet<RoomName>,
}

impl Subscriber {
    /// Whether it has subscribed to this.
    #[must_use]
    pub fn has(&self, topic: &RoomName) -> bool {
        self.topics.contains(topic)
    }

    /// Whether it has subscribed to nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.topics.is_empty()
    }
}

impl<C> Board<C> {
    /// No topics, on a single server.
    #[must_use]
    pub fn new(limits: BoardLimits) -> Self {
        Self::with(limits, Directory::single())
    }

    /// No topics, on a node of a cluster. `first` is below the numbers of its messages.
    #[must_use]
    pub fn of_node(limits: BoardLimits, node: NodeName, first: u64) -> Self {
        Self::with(limits, Directory::shared(node, FIELD, limits.topics, first))
    }

    fn with(limits: BoardLimits, directory: Directory<RoomName, usize>) -> Self {
        Self {
            limits,
            topics: BTreeMap::new(),
            subscribers: 0,
            shares: Shares::of(limits.topics),
            subscriptions: Shares::of(limits.subscriptions_in_all),
            introductions: Shares::of(INTRODUCTIONS),
            directory,
        }
    }

    /// Replaces the limits. Holders beyond them stay until they end.
    pub fn set_limits(&mut self, limits: BoardLimits) {
        self.shares.set_cap(limits.topics);
        self.subscriptions.set_cap(limits.subscriptions_in_all);
        self.directory.set_limit(limits.topics);
        self.limits = limits;
    }

    /// Topics at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// Returns a new subscriber from `network`, without topics.
    pub fn subscriber(&mut self, network: ClientNetwork) -> Subscriber {
        self.subscribers += 1;
        Subscriber { number: self.subscribers, network, topics: BTreeSet::new() }
    }

    /// Subscribes to a topic that [`Subscriber::has`] not yet.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyRooms`] and [`ErrorCode::RoomFull`].
    pub fn subscribe(
        &mut self,
        who: &mut Subscriber,
        topic: RoomName,
        connection: C,
    ) -> Result<(), ErrorCode> {
        let there = self.topics.get(&topic).map_or(0, |topic| topic.subscribers.len());
        if there >= self.limits.subscribers {
            return Err(ErrorCode::RoomFull);
        }
        let is_allowed = who.topics.len() < self.limits.subscriptions
            && self.subscriptions.check(who.network, 1).is_ok()
            && (there > 0 || self.shares.take(who.network, 1).is_ok());
        if !is_allowed {
            return Err(ErrorCode::TooManyRooms);
        }
        self.subscriptions.charge(who.network, 1);
        let entry = self.topics.entry(topic.clone());
        let entry = entry.or_insert_with(|| Topic { charged: who.number, subscribers: BTreeMap::new() });
        let introduction = Introduction::None;
        let subscription = Subscription { network: who.network, connection, introduction };
        entry.subscribers.insert(who.number, subscription);
        self.directory.put(&topic, entry.subscribers.len());
        who.topics.insert(topic);
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, who: &mut Subscriber, topic: &RoomName) {
        if !who.topics.remove(topic) {
            return;
        }
        self.subscriptions.give_back(who.network, 1);
        let Some(Topic { charged, subscribers }) = self.topics.get_mut(topic) else { return };
        let Some(ended) = subscribers.remove(&who.number) else { return };
        self.introductions.give_back(who.network, ended.introduction.bytes());
        match subscribers.len() {
            0 => self.directory.remove(topic),
            rest => self.directory.put(topic, rest),
        }
        match subscribers.first_key_value() {
            None => {
                self.shares.give_back(who.network, 1);
                self.topics.remove(topic);
            }
            Some((next, Subscription { network, .. })) if *charged == who.number => {
                self.shares.hand_over(who.network, *network, 1);
                *charged = *next;
            }
            Some(_) => {}
        }
    }

    /// Ends all subscriptions.
    pub fn depart(&mut self, who: &mut Subscriber) {
        while let Some(topic) = who.topics.first().cloned() {
            self.unsubscribe(who, &topic);
        }
    }

    /// Returns a message of a subscriber and its receivers. [`Self::spread`] tells the other nodes.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`]: only subscribers publish.
    pub fn publish(
        &self,
        now: Duration,
        who: &Subscriber,
        publication: &Publication,
    ) -> Result<Published<'_, C>, ErrorCode> {
        let topic = self.topics.get(&publication.topic).ok_or(ErrorCode::NotJoined)?;
        if !topic.subscribers.contains_key(&who.number) {
            return Err(ErrorCode::NotJoined);
        }
        Ok(self.published(now, topic, publication))
    }

    /// Sends a publication to the other nodes that have its topic.
    pub fn spread(&mut self, now: Duration, who: &Subscriber, publication: &Publication) {
        if self.directory.node().is_none() {
            return;
        }
        let Publication { topic, data } = publication;
        let bytes = data.as_ref().map_or(0, |data| data.get().len());
        self.introduce(who, publication, bytes);
        let holders = self.directory.holders(now, topic).map(|(node, _)| node.clone());
        let holders: Vec<_> = holders.filter(|_| bytes <= MAX_FORWARDED).collect();
        if !holders.is_empty() {
            let n = self.directory.number();
            let text = TopicText::Publish { n, topic: topic.clone(), data: data.clone() };
            holders.iter().for_each(|node| self.directory.post(node, text.clone()));
        }
    }

    /// Takes out the items for other nodes, in order.
    pub fn take_items(&mut self) -> Vec<(NodeName, Box<RawValue>)> {
        self.directory.take_items()
    }

    /// Takes in the other nodes, or that this node is alone.
    pub fn set_view(&mut self, now: Duration, nodes: &BTreeSet<NodeName>, alone: bool) {
        self.directory.set_view(now, nodes, alone);
    }

    /// Notes that the stream to or from a node was reset. What did not arrive is sent again, within
    /// bounds.
    pub fn reset(&mut self, now: Duration, peer: &NodeName, unsent: &[Box<RawValue>]) {
        let (again, _) = self.directory.reset(peer, unsent);
        for text in again {
            let TopicText::Publish { topic, .. } = &text;
            if self.directory.holders(now, topic).any(|(node, _)| node == peer) {
                self.directory.post(peer, text);
            }
        }
    }

    /// Takes an item of another node. Returns a publication and its receivers here.
    pub fn hear(&mut self, now: Duration, from: &NodeName, item: &RawValue) -> Option<Published<'_, C>> {
        match self.directory.hear(from, item)? {
            Heard::Keys(found) => {
                self.meet(from, found);
                None
            }
            Heard::Text(TopicText::Publish { n, topic, data }) => {
                let bytes = data.as_ref().map_or(0, |data| data.get().len());
                if bytes > self.limits.message || !self.directory.is_first(from, n) {
                    return None;
                }
                let there = self.topics.get(&topic)?;
                Some(self.published(now, there, &Publication { topic, data }))
            }
        }
    }

    fn published<'a>(
        &'a self,
        now: Duration,
        topic: &'a Topic<C>,
        publication: &Publication,
    ) -> Published<'a, C> {
        let receivers: Vec<_> = topic.subscribers.values().map(|one| &one.connection).collect();
        let elsewhere = self.directory.holders(now, &publication.topic).map(|(_, subscribers)| *subscribers);
        let everywhere = elsewhere.fold(receivers.len(), usize::saturating_add);
        Published { text: publication.text(everywhere), receivers, everywhere }
    }

    /// Keeps the first publication of a subscriber to a topic.
    fn introduce(&mut self, who: &Subscriber, publication: &Publication, bytes: usize) {
        let topic = self.topics.get_mut(&publication.topic);
        let subscription = topic.and_then(|topic| topic.subscribers.get_mut(&who.number));
        let Some(Subscription { introduction, .. }) = subscription else { return };
        if matches!(introduction, Introduction::None) {
            let fits = bytes <= INTRODUCTION && self.introductions.take(who.network, bytes).is_ok();
            *introduction =
                if fits { Introduction::Kept(publication.data.clone()) } else { Introduction::TooLong };
        }
    }

    /// Gives a node the first publications of topics that it got before it knew that they are here.
    fn meet(&mut self, node: &NodeName, found: Vec<Found<RoomName, usize>>) {
        // One of the two does it: otherwise clients of both would call each other at once.
        if self.directory.node().is_none_or(|own| own > node) {
            return;
        }
        let mut handed = 0;
        for Found { key: topic, .. } in found.into_iter().filter(|found| !found.knows) {
            let Some(Topic { subscribers, .. }) = self.topics.get(&topic) else { continue };
            for Subscription { introduction, .. } in subscribers.values() {
                let Introduction::Kept(data) = introduction else { continue };
                handed += introduction.bytes();
                if handed > HANDED_OVER {
                    return;
                }
                let n = self.directory.number();
                let text = TopicText::Publish { n, topic: topic.clone(), data: data.clone() };
                self.directory.post(node, text);
            }
        }
    }
}

impl Introduction {
    fn bytes(&self) -> usize {
        match self {
            Self::Kept(Some(data)) => data.get().len(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests;
