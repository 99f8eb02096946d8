//! Messages between the nodes of a cluster. Pure: the caller hands in the time.
//!
//! A message is a tag, a line feed and one JSON object:
//!
//! ```text
//! TAG
//! {"from":"fra-1","run":"00000000000000ff","n":17,"t":1764500000123,"type":"node", ...}
//! ```
//!
//! | field | meaning |
//! |---|---|
//! | `from` | name of the node |
//! | `run` | random number of its process, 16 hexadecimal digits |
//! | `n` | number of the message in that run, from 1; `link` messages are counted apart |
//! | `t` | wall clock of the sender, in milliseconds since 1970-01-01 UTC |
//! | `type` | `node`, `gone`, `revoke` or `link`; an unknown type or field is ignored |
//!
//! The tag is a keyed hash over the object, under a secret that all nodes share. Without the secret
//! nobody can write a message or change one, and nothing that such a party sends is stored.
//!
//! A recorded message cannot be sent again. Its time is at most [`MAX_SKEW_MS`] from now, and each
//! number of a run counts once. A run ends when a message of a new run is newer than all before it.
//! A revocation may arrive up to 63 messages late, because its loss would leave a credential valid.
//! A `link` message may be as late, because its items have numbers of their own. Of all other
//! messages a late one is outdated, and is rejected.
//!
//! A `link` message is for one node, and has a [`Segment`] of the stream between two. All others
//! are for all nodes.
//!
//! `golden` beside this file has a message of each type. A later version may add fields and types,
//! but must not change those that are there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use byway_turn::auth::Secrets;
use byway_turn::closed_set;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::NodeState;
use crate::access::names::NodeName;

pub use segment::{Ack, Item, Segment};

mod segment;

/// Longest JSON object of a message, in bytes. That of a `link` message has
/// [`MAX_LINK_BYTES`].
pub const MAX_BYTES: usize = 64 << 10;

/// Longest JSON object of a `link` message, in bytes. Brokers allow 1 MiB by default.
pub const MAX_LINK_BYTES: usize = 768 << 10;

/// Senders that an [`Opener`] remembers.
pub const MAX_SENDERS: usize = 1024;

/// Largest difference between the clocks of two nodes, in milliseconds.
pub const MAX_SKEW_MS: u64 = 60_000;

/// Longest name that a message can revoke, in bytes. No request to a relay holds a longer one (RFC
/// 8489 section 14.3).
pub const MAX_REVOKED_NAME: usize = 508;

/// URLs of one node.
const MAX_URLS: usize = 16;

/// Longest URL of a node, in bytes.
const MAX_URL: usize = 300;

/// Longest version of a node, in characters.
const MAX_VERSION: usize = 64;

/// Characters of a tag.
const TAG: usize = 16;

/// Beginning of the text under a tag. Tags of room names are visible to clients (`ice::label`). No
/// room's name has a line feed, so none of those tags is the tag of a message.
const PURPOSE: &str = "cluster\n";

/// Message from one node to all others, or to one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// The node lives, with this state.
    Node(NodeState),
    /// The node stops.
    Gone,
    /// The node revokes these names.
    Revoke(Vec<Revoked>),
    /// Items for the receiver, and an acknowledgement of its items.
    Link(Segment),
    /// A message of a later version. Receivers count and ignore it.
    Unknown,
}

/// Name whose credentials are revoked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Revoked {
    /// Name in the username.
    pub name: String,
    /// End of the revocation, in seconds since 1970-01-01 UTC.
    pub until: u64,
}

/// Writer of the messages of one run of a node.
#[derive(Debug)]
pub struct Sealer {
    node: NodeName,
    run: u64,
    /// Messages so far, by [`Lane`].
    sent: [u64; 2],
}

/// Messages that are numbered together. The others may overtake them: they have another subject.
#[derive(Clone, Copy, Debug)]
enum Lane {
    All,
    Link,
}

impl Sealer {
    /// Returns a writer for `node`. `run` must be random, so that it differs at each start.
    #[must_use]
    pub fn new(node: NodeName, run: u64) -> Self {
        Self { node, run, sent: [0; 2] }
    }

    /// Writes a message that is sent at `unix_ms`, in milliseconds since 1970-01-01 UTC.
    ///
    /// Receivers reject one over its bound. A state is cut to what they keep of it, and
    /// [`RevocationLog`](super::revocation_log::RevocationLog) and [`Links`](super::link::Links)
    /// make batches that fit.
    ///
    /// # Panics
    /// Never: a message has texts and numbers only.
    pub fn seal(&mut self, secrets: &Secrets, unix_ms: u64, message: &Message) -> Vec<u8> {
        let (lane, body) = match message {
            Message::Node(state) => (Lane::All, Body::Node(bounded(state.clone()))),
            Message::Gone => (Lane::All, Body::Gone),
            Message::Revoke(names) => (Lane::All, Body::Revoke { names }),
            Message::Link(segment) => (Lane::Link, Body::Link(segment)),
            Message::Unknown => (Lane::All, Body::Unknown),
        };
        let sent = &mut self.sent[lane as usize];
        *sent += 1;
        let run = format!("{:016x}", self.run);
        let sealed = Sealed { from: &self.node, run, n: *sent, t: unix_ms, body };
        let json = serde_json::to_string(&sealed).expect("it has texts and numbers only");
        let tag = secrets.tag(&format!("{PURPOSE}{json}"));
        format!("{tag}\n{json}").into_bytes()
    }
}

#[derive(Serialize)]
struct Sealed<'a> {
    from: &'a NodeName,
    run: String,
    n: u64,
    t: u64,
    #[serde(flatten)]
    body: Body<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Body<'a> {
    Node(NodeState),
    Gone,
    Revoke { names: &'a [Revoked] },
    Link(&'a Segment),
    Unknown,
}

closed_set! {
    /// Reason to reject a message.
    pub enum Rejection {
        /// Over [`MAX_BYTES`] or [`MAX_LINK_BYTES`].
        TooLarge = "too-large",
        /// Not a tag, a line feed and an object with the fields of its type.
        Malformed = "malformed",
        /// The tag is of none of our secrets.
        Unauthenticated = "unauthenticated",
        /// Its time differs from ours by more than [`MAX_SKEW_MS`].
        Stale = "stale",
        /// It came before, is late, or is of an earlier run.
        Replayed = "replayed",
        /// Another live process has the name of this node.
        NameTaken = "name-taken",
        /// [`MAX_SENDERS`] nodes are live, and this is another one.
        TooMany = "too-many",
    }
}

/// Message that was rejected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Reason.
    pub reason: Rejection,
    /// Sender. If the message is unauthenticated this is a mere claim, and absent if unreadable.
    pub from: Option<NodeName>,
    /// Clock of the sender less ours, in milliseconds. Absent if the message is unauthenticated.
    pub skew_ms: Option<i64>,
}

impl From<Rejection> for Rejected {
    fn from(reason: Rejection) -> Self {
        Self { reason, from: None, skew_ms: None }
    }
}

/// Authentic message of another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Sender.
    pub from: NodeName,
    /// Run of the sender.
    pub run: u64,
    /// Clock of the sender less ours, in milliseconds. The time on the way makes it smaller.
    pub skew_ms: i64,
    /// The message.
    pub message: Message,
}

/// Reader of the messages of the other nodes.
#[derive(Debug)]
pub struct Opener {
    own: NodeName,
    own_run: u64,
    /// Time of the first message, or the earliest since then if the clock was set back.
    began_ms: u64,
    senders: BTreeMap<NodeName, Sender>,
    /// Last time at which no sender of a full table can be forgotten.
    full_until_ms: u64,
}

impl Opener {
    /// Returns a reader for the node `own`, whose run is `own_run`.
    #[must_use]
    pub fn new(own: NodeName, own_run: u64) -> Self {
        Self { own, own_run, began_ms: u64::MAX, senders: BTreeMap::new(), full_until_ms: 0 }
    }

    /// Reads a message that arrives at `unix_ms`, in milliseconds since 1970-01-01 UTC. Returns
    /// `None` for messages of this node itself, and for those to another node or a former process
    /// of this one.
    ///
    /// # Errors
    /// The reason to reject the message, and its sender.
    pub fn open(
        &mut self,
        secrets: &Secrets,
        unix_ms: u64,
        payload: &[u8],
    ) -> Result<Option<Received>, Rejected> {
        self.began_ms = self.began_ms.min(unix_ms);
        let json = authenticated(secrets, payload)?;
        let header: Header<'_> = object(json)?;
        let Header { from, run, n, t, kind } = header;
        if from == self.own && run == self.own_run {
            return Ok(None);
        }
        let skew_ms = difference(t, unix_ms);
        let rejected = |reason| Rejected { reason, from: Some(from.clone()), skew_ms: Some(skew_ms) };
        if t.abs_diff(unix_ms) > MAX_SKEW_MS {
            return Err(rejected(Rejection::Stale));
        }
        let segment = match &*kind {
            "link" => Some(segment::read(json).map_err(rejected)?),
            _ if json.len() > MAX_BYTES => return Err(rejected(Rejection::TooLarge)),
            _ => None,
        };
        if segment.as_ref().is_some_and(|segment| segment.to != self.own || segment.to_run != self.own_run) {
            return Ok(None);
        }
        let lane = if segment.is_some() { Lane::Link } else { Lane::All };
        let order = self.note(&from, run, (lane, n), t, unix_ms).map_err(rejected)?;
        if order == Order::Late && !matches!(&*kind, "revoke" | "link") {
            return Err(rejected(Rejection::Replayed));
        }
        let message = match (segment, &*kind) {
            (Some(segment), _) => Message::Link(segment),
            (None, "node") => Message::Node(bounded(object(json).map_err(rejected)?)),
            (None, "gone") => Message::Gone,
            (None, "revoke") => Message::Revoke(revoked(json).map_err(rejected)?),
            _ => Message::Unknown,
        };
        if from == self.own {
            return match message {
                // The last words of the process before this one.
                _ if t <= self.began_ms => Err(rejected(Rejection::Replayed)),
                Message::Gone => Ok(None),
                _ => Err(rejected(Rejection::NameTaken)),
            };
        }
        Ok(Some(Received { from, run, skew_ms, message }))
    }

    /// Notes that a message came.
    fn note(
        &mut self,
        from: &NodeName,
        run: u64,
        n: (Lane, u64),
        t: u64,
        unix_ms: u64,
    ) -> Result<Order, Rejection> {
        if let Some(sender) = self.senders.get_mut(from) {
            sender.follow(unix_ms);
            return sender.note(run, n, t).ok_or(Rejection::Replayed);
        }
        if self.senders.len() >= MAX_SENDERS && !self.forget(unix_ms) {
            return Err(Rejection::TooMany);
        }
        let mut sender = Sender::new(run);
        let order = sender.note(run, n, t).ok_or(Rejection::Replayed)?;
        self.senders.insert(from.clone(), sender);
        Ok(order)
    }

    /// Forgets the senders of which all messages are stale, because those cannot be replayed.
    /// Returns whether there is room then.
    fn forget(&mut self, unix_ms: u64) -> bool {
        self.full_until_ms = self.full_until_ms.min(unix_ms.saturating_add(2 * MAX_SKEW_MS));
        if unix_ms <= self.full_until_ms {
            return false;
        }
        self.senders.retain(|_, sender| {
            sender.follow(unix_ms);
            sender.stale_after_ms() >= unix_ms
        });
        let has_room = self.senders.len() < MAX_SENDERS;
        let first = self.senders.values().map(Sender::stale_after_ms).min();
        self.full_until_ms = first.filter(|_| !has_room).unwrap_or(0);
        has_room
    }
}

/// Messages of one sender that came.
#[derive(Debug)]
struct Sender {
    run: u64,
    /// Messages of its run that came, by [`Lane`].
    lanes: [Window; 2],
    /// Latest time of its messages, of all runs.
    newest_ms: u64,
}

/// Messages of one lane that came.
#[derive(Clone, Copy, Debug)]
struct Window {
    /// Largest number.
    last: u64,
    /// Bit `i` is set if the message `last - i` came.
    came: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Next,
    Late,
}

impl Sender {
    /// A run of which no message came. Number 0, which no node uses, counts as come.
    fn new(run: u64) -> Self {
        Self { run, lanes: [Window { last: 0, came: 1 }; 2], newest_ms: 0 }
    }

    /// Follows a clock that was set back. Otherwise a new run would count as an earlier one until
    /// the clock is where it was.
    fn follow(&mut self, unix_ms: u64) {
        self.newest_ms = self.newest_ms.min(unix_ms.saturating_add(MAX_SKEW_MS));
    }

    /// Last time at which its newest message is not stale.
    fn stale_after_ms(&self) -> u64 {
        self.newest_ms.saturating_add(MAX_SKEW_MS)
    }

    /// Notes message `n` of `run`. `None` if it came before, or may have.
    fn note(&mut self, run: u64, (lane, n): (Lane, u64), t: u64) -> Option<Order> {
        if run != self.run {
            if t <= self.newest_ms || n == 0 {
                return None;
            }
            *self = Self::new(run);
        }
        let order = self.lanes[lane as usize].note(n)?;
        self.newest_ms = self.newest_ms.max(t);
        Some(order)
    }
}

impl Window {
    /// Notes message `n`. `None` if it came before, or may have.
    fn note(&mut self, n: u64) -> Option<Order> {
        if n > self.last {
            let steps = n - self.last;
            self.came = if steps < 64 { (self.came << steps) | 1 } else { 1 };
            self.last = n;
            return Some(Order::Next);
        }
        let bit = 1_u64.checked_shl(u32::try_from(self.last - n).ok()?)?;
        if self.came & bit != 0 {
            return None;
        }
        self.came |= bit;
        Some(Order::Late)
    }
}

#[derive(Deserialize)]
struct Header<'a> {
    from: NodeName,
    #[serde(deserialize_with = "hexadecimal")]
    run: u64,
    n: u64,
    t: u64,
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

/// Checks the tag. Returns the JSON behind it.
fn authenticated<'a>(secrets: &Secrets, payload: &'a [u8]) -> Result<&'a str, Rejected> {
    if payload.len() > TAG + 1 + MAX_LINK_BYTES {
        return Err(Rejection::TooLarge.into());
    }
    let (tag, rest) = payload.split_at_checked(TAG).ok_or(Rejection::Malformed)?;
    let json = rest.strip_prefix(b"\n").ok_or(Rejection::Malformed)?;
    let json = std::str::from_utf8(json).map_err(|_| Rejection::Malformed)?;
    let text = format!("{PURPOSE}{json}");
    if secrets.tags(&text).any(|expected| is_equal(expected.as_bytes(), tag)) {
        return Ok(json);
    }
    #[derive(Deserialize)]
    struct Claim {
        from: NodeName,
    }
    let claim: Option<Claim> = object(json).ok();
    Err(Rejected { from: claim.map(|claim| claim.from), ..Rejection::Unauthenticated.into() })
}

/// Compares in a time that does not depend on where the two differ.
fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let differing = one.iter().zip(other).fold(0, |bits, (a, b)| bits | (a ^ b));
    one.len() == other.len() && differing == 0
}

/// Reads a JSON object. An array of the fields' values, which serde takes as well, is none.
fn object<'a, T: Deserialize<'a>>(json: &'a str) -> Result<T, Rejection> {
    let json = Some(json).filter(|json| json.starts_with('{')).ok_or(Rejection::Malformed)?;
    serde_json::from_str(json).map_err(|_| Rejection::Malformed)
}

fn revoked(json: &str) -> Result<Vec<Revoked>, Rejection> {
    #[derive(Deserialize)]
    struct Names {
        names: Vec<Revoked>,
    }
    let Names { mut names } = object(json)?;
    names.retain(|revoked| revoked.name.len() <= MAX_REVOKED_NAME);
    Ok(names)
}

fn hexadecimal<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = Cow::<str>::deserialize(deserializer)?;
    let is_plain = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = is_plain.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
    number.ok_or_else(|| de::Error::custom("not 16 hexadecimal digits"))
}

/// Cuts a state to what this version can use, so that a table of states is bounded and its texts
/// can be shown anywhere.
fn bounded(mut state: NodeState) -> NodeState {
    state.version.retain(|c| c.is_ascii_graphic());
    state.version.truncate(MAX_VERSION);
    state.urls.retain(|url| is_url(url));
    state.urls.truncate(MAX_URLS);
    state
}

/// Whether a URL is of STUN or TURN. A browser refuses a whole configuration because of another.
fn is_url(url: &str) -> bool {
    let schemes = ["stun:", "stuns:", "turn:", "turns:"];
    url.len() <= MAX_URL
        && url.bytes().all(|byte| byte.is_ascii_graphic())
        && schemes.iter().any(|scheme| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()))
}

/// Returns `t - unix_ms`, as far as an `i64` goes.
fn difference(t: u64, unix_ms: u64) -> i64 {
    let distance = i64::try_from(t.abs_diff(unix_ms)).unwrap_or(i64::MAX);
    if t < unix_ms { -distance } else { distance }
}

#[cfg(test)]
mod tests;
