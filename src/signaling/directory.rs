//! Directory of the keys that the nodes of a cluster have: topics of y-webrtc, or ids of PeerJS.
//! Pure: the caller hands in the time and the items of other nodes, and takes out its own.
//!
//! A node tells all others of its view when it gets a key, when the value changes, and when it
//! has the key no more. It tells everything again when a node comes into its view, when the
//! stream to that node was reset, and when the bus is back:
//!
//! ```text
//!   A: B is new, or the stream was reset          B
//!      part (start, "m"], ask ───────────────────► replaces what A has in that range
//!      ◄─────────────── part (start, end), ask: "m" ── tells its own, and asks for the rest
//!      part ("m", end) ──────────────────────────►
//! ```
//!
//! A part replaces a range, so nothing has to be forgotten first, and a part that comes twice does
//! no harm. The receiver asks for each further part: the sender keeps no state for it, and no more
//! than one part is on the way.
//!
//! The keys of a node are forgotten when it leaves the view. While this node is alone, the others
//! may live: their keys count for as long as a silent node does, and are told again afterwards.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use crate::access::names::NodeName;

/// Bytes of keys and values in one part.
const PART: usize = 64 << 10;

/// Time for which the keys of other nodes count after this node is alone. With the time until it
/// notices, that is the time after which a silent node is dead.
const COUNTS_ALONE: Duration = Duration::from_millis(3_500);

/// Messages of a node that are remembered, to notice one that comes twice.
const REMEMBERED: usize = 256;

/// Largest text of a client that goes to another node, in bytes. Streams between nodes take a
/// little more.
pub const MAX_FORWARDED: usize = 480 << 10;

/// Messages that are sent again after a reset. No more than are remembered.
const RESENT: usize = 128;

/// Bytes of these.
const RESENT_BYTES: usize = 1 << 20;

/// Key of a directory.
pub trait Key: Ord + Clone + Serialize + DeserializeOwned {}

impl<K: Ord + Clone + Serialize + DeserializeOwned> Key for K {}

/// Value of a key.
pub trait Value: Clone + PartialEq + Serialize + DeserializeOwned {}

impl<V: Clone + PartialEq + Serialize + DeserializeOwned> Value for V {}

/// Keys of this node and of the others, and the items for these.
#[derive(Debug)]
pub struct Directory<K, V> {
    /// Name of this node. `None`: there are no others.
    node: Option<NodeName>,
    /// Field of its items, by which they are told from others.
    field: &'static str,
    /// Keys that one node may have.
    limit: usize,
    /// Bytes of keys and values in one part.
    part: usize,
    own: BTreeMap<K, V>,
    /// Other nodes of the last view in which this node was not alone.
    nodes: BTreeMap<NodeName, Known<K, V>>,
    /// Time since which this node is alone.
    alone_since: Option<Duration>,
    /// Number of the last message.
    sent: u64,
    items: Vec<(NodeName, Box<RawValue>)>,
}

/// State of another node.
#[derive(Debug)]
struct Known<K, V> {
    keys: BTreeMap<K, V>,
    /// Whether it has begun to tell its keys, since this node has begun with it.
    is_told: bool,
    /// Numbers of its last messages.
    heard: VecDeque<u64>,
}

/// Body of an item. Unknown ones are ignored, so that nodes of neighbouring versions work together.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", bound = "K: Key, V: Value, T: Serialize + DeserializeOwned")]
enum Body<K, V, T> {
    /// The sender has a key, or another value of it.
    Have {
        key: K,
        value: V,
        /// Whether the sender knows that the receiver has the key, too.
        #[serde(default)]
        knows: bool,
    },
    /// The sender has a key no more.
    Gone { key: K },
    /// All that the sender has in a range.
    Part {
        /// Key before the range. `None`: it begins with the first.
        after: Option<K>,
        /// Last key of the range. `None`: it has no end.
        last: Option<K>,
        /// Keys and values, in order.
        keys: Vec<(K, V)>,
        /// Whether the receiver has to tell its own keys.
        ask: bool,
    },
    /// Asks for the part after a key.
    Ask { after: Option<K> },
    /// Something of a client.
    Text(T),
}

/// Content of an item of another node.
#[derive(Debug)]
pub enum Heard<K, V, T> {
    /// Keys that it has.
    Keys(Vec<Found<K, V>>),
    /// Something of a client.
    Text(T),
}

/// Key that another node has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found<K, V> {
    /// Key.
    pub key: K,
    /// Value.
    pub value: V,
    /// Whether that node knew that this one has the key, too.
    pub knows: bool,
}

impl<K: Key, V: Value> Directory<K, V> {
    /// Returns a directory for a server without others.
    #[must_use]
    pub fn single() -> Self {
        Self::of(None, "", 0)
    }

    /// Returns a directory for this node. Its messages have numbers above `first`, which no earlier
    /// process of this node has used. Of each other node it keeps at most `limit` keys.
    #[must_use]
    pub fn shared(node: NodeName, field: &'static str, limit: usize, first: u64) -> Self {
        Self { sent: first, ..Self::of(Some(node), field, limit) }
    }

    fn of(node: Option<NodeName>, field: &'static str, limit: usize) -> Self {
        Self {
            node,
            field,
            limit,
            part: PART,
            own: BTreeMap::new(),
            nodes: BTreeMap::new(),
            alone_since: None,
            sent: 0,
            items: Vec::new(),
        }
    }

    /// Replaces the limit. Keys beyond it stay until they end.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit;
    }

    /// Name of this node, if there are others.
    #[must_use]
    pub fn node(&self) -> Option<&NodeName> {
        self.node.as_ref()
    }

    /// Whether a node is in the view.
    #[must_use]
    pub fn has_node(&self, node: &NodeName) -> bool {
        self.nodes.contains_key(node)
    }

    /// Takes out the items for other nodes, in order.
    pub fn take_items(&mut self) -> Vec<(NodeName, Box<RawValue>)> {
        std::mem::take(&mut self.items)
    }

    /// Notes that this node has a key, or another value of it.
    pub fn put(&mut self, key: &K, value: V) {
        if self.node.is_none() || self.own.get(key) == Some(&value) {
            return;
        }
        let nodes = self.nodes.iter().filter(|_| self.alone_since.is_none());
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for (node, Known { keys, .. }) in nodes {
            if keys.contains_key(key) { &mut known } else { &mut unknown }.push(node.clone());
        }
        for (knows, nodes) in [(true, known), (false, unknown)] {
            if !nodes.is_empty() {
                self.post_all(
                    &nodes,
                    &Body::<K, V, ()>::Have { key: key.clone(), value: value.clone(), knows },
                );
            }
        }
        self.own.insert(key.clone(), value);
    }

    /// Notes that this node has a key no more.
    pub fn remove(&mut self, key: &K) {
        if self.own.remove(key).is_some() && self.alone_since.is_none() {
            let nodes: Vec<_> = self.nodes.keys().cloned().collect();
            self.post_all(&nodes, &Body::<K, V, ()>::Gone { key: key.clone() });
        }
    }

    /// Replaces the values of this node's keys, and tells the others all of them again.
    pub fn restate(&mut self, renew: impl Fn(&K, &mut V)) {
        for (key, value) in &mut self.own {
            renew(key, value);
        }
        if self.alone_since.is_none() {
            let nodes: Vec<_> = self.nodes.keys().cloned().collect();
            nodes.iter().for_each(|node| self.begin(node));
        }
    }

    /// Takes in the other nodes, or that this node is alone.
    pub fn set_view(&mut self, now: Duration, nodes: &BTreeSet<NodeName>, alone: bool) {
        let Some(own) = self.node.clone() else { return };
        if alone {
            self.alone_since.get_or_insert(now);
            return;
        }
        let was_alone = self.alone_since.take().is_some();
        self.nodes.retain(|node, _| nodes.contains(node));
        for node in nodes.iter().filter(|node| **node != own) {
            let is_new = !self.nodes.contains_key(node);
            if is_new {
                let known = Known { keys: BTreeMap::new(), is_told: false, heard: VecDeque::new() };
                self.nodes.insert(node.clone(), known);
            }
            if is_new || was_alone {
                self.begin(node);
            }
        }
    }

    /// Notes that the stream to or from a node was reset. Returns those of the `unsent` texts that
    /// may be tried again, and the others.
    pub fn reset<T>(&mut self, peer: &NodeName, unsent: &[Box<RawValue>]) -> (Vec<T>, Vec<T>)
    where
        T: Serialize + DeserializeOwned,
    {
        if self.nodes.contains_key(peer) && self.alone_since.is_none() {
            self.begin(peer);
        }
        let (mut again, mut rest, mut bytes) = (Vec::new(), Vec::new(), 0);
        for item in unsent {
            let Some(Body::<K, V, T>::Text(text)) = self.read(item) else { continue };
            bytes += item.get().len();
            if again.len() < RESENT && bytes <= RESENT_BYTES { &mut again } else { &mut rest }.push(text);
        }
        (again, rest)
    }

    /// Takes an item of another node. `None`: it is of no use here.
    pub fn hear<T>(&mut self, from: &NodeName, item: &RawValue) -> Option<Heard<K, V, T>>
    where
        T: Serialize + DeserializeOwned,
    {
        let body = self.read(item)?;
        // What a client says counts, too, if its node drains.
        if !self.nodes.contains_key(from) && !matches!(body, Body::Text(_)) {
            return None;
        }
        match body {
            Body::Have { key, value, knows } => {
                Some(Heard::Keys(self.learn(from, vec![(key, value)], knows)))
            }
            Body::Gone { key } => {
                self.forget(from, &key);
                None
            }
            Body::Part { after, last, keys, ask } => {
                if after.is_some() && last.is_some() && after >= last {
                    return None;
                }
                let known = self.nodes.get_mut(from)?;
                // Each has begun, and so each has told its keys already.
                if !ask && after.is_none() && known.is_told {
                    return None;
                }
                known.is_told |= ask;
                let found = self.replace(from, after.as_ref(), last.as_ref(), keys);
                if ask {
                    self.tell(from, None, false);
                }
                if last.is_some() {
                    self.post_body(from, &Body::<K, V, ()>::Ask { after: last });
                }
                Some(Heard::Keys(found))
            }
            Body::Ask { after } => {
                self.tell(from, after, false);
                None
            }
            Body::Text(text) => Some(Heard::Text(text)),
        }
    }

    /// Nodes that have a key, each with its value.
    pub fn holders<'a>(
        &'a self,
        now: Duration,
        key: &'a K,
    ) -> impl Iterator<Item = (&'a NodeName, &'a V)> + use<'a, K, V> {
        let counts = self.alone_since.is_none_or(|since| now.saturating_sub(since) < COUNTS_ALONE);
        let nodes = self.nodes.iter().filter(move |_| counts);
        nodes.filter_map(move |(node, known)| Some((node, known.keys.get(key)?)))
    }

    /// Notes that a node has a key no more.
    pub fn forget(&mut self, node: &NodeName, key: &K) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.keys.remove(key);
        }
    }

    /// Returns the number of the next message.
    pub fn number(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Remembers the number of a message. Returns whether it comes for the first time.
    pub fn is_first(&mut self, from: &NodeName, number: u64) -> bool {
        let Some(Known { heard, .. }) = self.nodes.get_mut(from) else { return true };
        if heard.contains(&number) {
            return false;
        }
        if heard.len() >= REMEMBERED {
            heard.pop_front();
        }
        heard.push_back(number);
        true
    }

    /// Sends something of a client to a node.
    pub fn post<T: Serialize + DeserializeOwned>(&mut self, to: &NodeName, text: T) {
        self.post_body(to, &Body::<K, V, T>::Text(text));
    }

    /// Begins again with a node: tells it all keys, and asks for its own.
    fn begin(&mut self, node: &NodeName) {
        if let Some(known) = self.nodes.get_mut(node) {
            known.is_told = false;
        }
        self.tell(node, None, true);
    }

    /// Tells a node the part after a key.
    fn tell(&mut self, node: &NodeName, after: Option<K>, ask: bool) {
        let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let (mut keys, mut bytes, mut last) = (Vec::new(), 0, None);
        for (key, value) in self.own.range((start, Bound::Unbounded)) {
            if bytes >= self.part {
                last = keys.last().map(|(key, _): &(K, V)| key.clone());
                break;
            }
            bytes += raw(&(key, value)).get().len();
            keys.push((key.clone(), value.clone()));
        }
        self.post_body(node, &Body::<K, V, ()>::Part { after, last, keys, ask });
    }

    /// Replaces the keys of a node in a range, which is not empty.
    fn replace(
        &mut self,
        node: &NodeName,
        after: Option<&K>,
        last: Option<&K>,
        mut keys: Vec<(K, V)>,
    ) -> Vec<Found<K, V>> {
        let is_within =
            |key: &K| after.is_none_or(|after| key > after) && last.is_none_or(|last| key <= last);
        keys.retain(|(key, _)| is_within(key));
        let Some(known) = self.nodes.get_mut(node) else { return Vec::new() };
        let stay: BTreeSet<_> = keys.iter().map(|(key, _)| key).collect();
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = known.keys.range((start, last.map_or(Bound::Unbounded, Bound::Included)));
        let ended: Vec<_> = range.map(|(key, _)| key.clone()).filter(|key| !stay.contains(key)).collect();
        for key in &ended {
            known.keys.remove(key);
        }
        self.learn(node, keys, false)
    }

    /// Notes keys of a node, within the limit.
    fn learn(&mut self, node: &NodeName, keys: Vec<(K, V)>, knows: bool) -> Vec<Found<K, V>> {
        let Some(known) = self.nodes.get_mut(node) else { return Vec::new() };
        let mut found = Vec::new();
        for (key, value) in keys {
            if known.keys.len() < self.limit || known.keys.contains_key(&key) {
                known.keys.insert(key.clone(), value.clone());
                found.push(Found { key, value, knows });
            }
        }
        found
    }

    fn read<T: Serialize + DeserializeOwned>(&self, item: &RawValue) -> Option<Body<K, V, T>> {
        // Items of others are not looked into further than that.
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(item.get()).ok()?;
        serde_json::from_str(fields.get(self.field)?.get()).ok()
    }

    fn post_body<T: Serialize + DeserializeOwned>(&mut self, to: &NodeName, body: &Body<K, V, T>) {
        self.post_all(std::slice::from_ref(to), body);
    }

    fn post_all<T>(&mut self, to: &[NodeName], body: &Body<K, V, T>)
    where
        T: Serialize + DeserializeOwned,
    {
        let item = raw(&BTreeMap::from([(self.field, body)]));
        self.items.extend(to.iter().map(|node| (node.clone(), item.clone())));
    }
}

fn raw(value: &impl Serialize) -> Box<RawValue> {
    to_raw_value(value).expect("names, numbers and checked raw values always serialise")
}

#[cfg(test)]
mod tests;
