//! Handle to the cluster. The rest of the server asks it, and `bus` feeds it.
//!
//! Nothing here waits. A message that cannot be sent now is not kept, but for revocations: nodes
//! that may have missed them are sent all that are in force. Items for other nodes are kept until
//! they arrive or are given back.

mod links;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use byway_turn::auth::Secrets;
use byway_turn::closed_set::ClosedSet as _;
use byway_turn::lock::lock;
use byway_turn::time::Now;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::choice::{Choice, choose};
use super::counters::ClusterCounters;
use super::isolation::Isolation;
use super::link::Links;
use super::listener::{ClusterView, NodeListener};
use super::message::{Message, Opener, Received, Rejected, Rejection, Revoked, Sealer};
use super::nodes::{NodeChange, Nodes, Presence};
use super::regions::{RegionServer, regions};
use super::revocation_log::RevocationLog;
use super::status::{ClusterStatus, MOST_REFUSED, NodeStatus};
use super::{ClusterSettings, NodeState};
use crate::access::names::{NodeName, Region};
use crate::clock::Clock;
use crate::live::Live;

/// Shortest time between two times that all revocations are sent.
const RESEND_EVERY: Duration = Duration::from_secs(2);

/// Time after which all revocations are sent in any case: a queue on the way may have been full.
const RESEND_ANYWAY: Duration = Duration::from_secs(30);

/// Time for which a node whose messages are rejected is remembered.
const REMEMBER: Duration = Duration::from_secs(60);

/// Shortest time between two lines of the log about messages rejected for one reason.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// Longest wait for the farewell of this node to leave.
const FAREWELL: Duration = Duration::from_secs(1);

/// Revokes a name here until a time in seconds since 1970, because another node did. Returns
/// whether there is room to remember it. Must not wait.
pub type RevokeHere = Box<dyn Fn(&str, u64) -> bool + Send + Sync>;

/// Parts that a cluster is made from.
pub struct ClusterParts {
    /// Settings.
    pub settings: ClusterSettings,
    /// Random number of this process.
    pub run: u64,
    /// Clock.
    pub clock: Clock,
    /// Counters.
    pub counters: Arc<ClusterCounters>,
    /// Called for each name that another node revokes.
    pub revoke_here: RevokeHere,
}

/// The cluster, as this node sees it. A clone is another handle to it.
#[derive(Clone)]
pub struct Cluster(Arc<Inner>);

struct Inner {
    settings: ClusterSettings,
    secrets: Live<Secrets>,
    clock: Clock,
    counters: Arc<ClusterCounters>,
    revoke_here: RevokeHere,
    /// A `std` mutex: it is held for a few look-ups, or for the tag of one message.
    view: Mutex<View>,
    listener: OnceLock<Arc<dyn NodeListener>>,
    /// View that the listener was told last. Held while it is called, so that it is told in order.
    told: Mutex<Option<ClusterView>>,
    /// A `std` mutex: it is held while items are moved. It may be taken under `view`, not before.
    links: Mutex<Links>,
    /// Woken when there may be items to send, or to deliver.
    queued: Notify,
    /// Woken when there are names to revoke on other nodes.
    waiting: Notify,
    /// Whether the other nodes were told that this one stops, or cannot be.
    has_left: watch::Sender<bool>,
}

/// State that messages change.
struct View {
    opener: Opener,
    sealer: Sealer,
    nodes: Nodes,
    /// Other nodes that may own rooms, as the rooms were told last.
    owners: BTreeSet<NodeName>,
    isolation: Isolation,
    /// Whether `owners`, `isolation` or the own state may have changed since the rooms were told.
    has_changed: bool,
    /// State of this node, as the others were told last.
    own: NodeState,
    connection: Connection,
    /// Revocations of this node that are in force.
    log: RevocationLog,
    /// Those of them that were not sent yet.
    unsent: RevocationLog,
    /// Whether a node may have missed revocations, and the time of the last that were sent again.
    resend: (bool, Option<Duration>),
    /// Names that nodes with another secret claim.
    strangers: Recent<()>,
    /// Nodes whose clock differs too much, by the difference in milliseconds.
    off_clocks: Recent<i64>,
    /// Name of this node, if another running server has it.
    taken: Recent<()>,
    /// Time of the last line of the log for each reason to reject.
    told: BTreeMap<usize, Duration>,
}

/// Connection to the broker.
#[derive(Debug, Default)]
struct Connection {
    is_up: bool,
    /// Time of the last change, in seconds since 1970.
    since: u64,
    /// `host:port` of the broker that answers, or that was tried last.
    broker: String,
    /// `host:port` of the broker that was tried last.
    tried: String,
    /// Cause of the last failure.
    error: String,
    /// Connections so far.
    count: u64,
}

/// Nodes by the time that they were noted last, at most [`MOST_REFUSED`].
#[derive(Debug)]
struct Recent<T>(BTreeMap<NodeName, (Duration, T)>);

impl Cluster {
    /// Joins a cluster, of which nothing is known yet.
    #[must_use]
    pub fn new(parts: ClusterParts) -> Self {
        let ClusterParts { settings, run, clock, counters, revoke_here } = parts;
        let broker = settings.nats.first().and_then(|url| url.split_once("://"));
        let broker = broker.map_or_else(String::new, |(_, authority)| authority.to_owned());
        let view = View {
            opener: Opener::new(settings.node.clone(), run),
            sealer: Sealer::new(settings.node.clone(), run),
            nodes: Nodes::new(),
            owners: BTreeSet::new(),
            isolation: Isolation::new(),
            has_changed: false,
            own: NodeState { region: settings.region.clone(), ..NodeState::default() },
            connection: Connection { since: clock.now().unix, broker, ..Connection::default() },
            log: RevocationLog::new(),
            unsent: RevocationLog::new(),
            resend: (false, None),
            strangers: Recent::default(),
            off_clocks: Recent::default(),
            taken: Recent::default(),
            told: BTreeMap::new(),
        };
        Self(Arc::new(Inner {
            secrets: Live::new(settings.secrets.clone()),
            settings,
            clock,
            counters,
            revoke_here,
            view: Mutex::new(view),
            listener: OnceLock::new(),
            told: Mutex::new(None),
            links: Mutex::new(Links::new()),
            queued: Notify::new(),
            waiting: Notify::new(),
            has_left: watch::Sender::new(false),
        }))
    }

    /// Settings.
    #[must_use]
    pub fn settings(&self) -> &ClusterSettings {
        &self.0.settings
    }

    /// Counters.
    #[must_use]
    pub fn counters(&self) -> &ClusterCounters {
        &self.0.counters
    }

    /// Replaces the secrets that authenticate messages.
    pub fn configure(&self, secrets: Secrets) {
        self.0.secrets.store(secrets);
    }

    /// Returns the STUN and TURN URLs of the node whose relay a client gets that wishes a region.
    /// `None`: this node's own.
    #[must_use]
    pub fn relay(&self, wish: Option<&Region>) -> Option<Vec<String>> {
        let view = self.lock();
        if !view.connection.is_up {
            return None;
        }
        match choose(&view.own, view.nodes.list(), wish) {
            Choice::Own => None,
            Choice::Other(node) => Some(node.state.urls.clone()),
        }
    }

    /// Returns the regions that a page may measure its way to. Empty while nothing is to be chosen.
    #[must_use]
    pub fn regions(&self) -> Vec<RegionServer> {
        let view = self.lock();
        if view.connection.is_up { regions(&view.own, view.nodes.list()) } else { Vec::new() }
    }

    /// Revokes a name on all other nodes until `until`, in seconds since 1970. Never waits.
    pub fn revoke(&self, name: &str, until: u64) {
        let now = self.0.clock.now().unix;
        let mut view = self.lock();
        view.log.note(now, name, until);
        self.0.counters.forgotten.set(view.log.dropped());
        // Nodes that are not reached now are sent the log later.
        if view.connection.is_up {
            view.unsent.note(now, name, until);
            self.0.waiting.notify_one();
        }
    }

    /// Returns the state of the cluster, for the operator.
    #[must_use]
    pub fn status(&self) -> ClusterStatus {
        let now = self.0.clock.now().mono;
        let rejected = self.0.counters.rejections().map(|(reason, count)| (reason.to_owned(), count));
        let view = self.lock();
        let Connection { is_up, since, broker, error, .. } = &view.connection;
        let nodes = view.nodes.list().map(|node| {
            let NodeState { version, region, urls, allocations, full, draining, rooms, members, .. } =
                node.state.clone();
            NodeStatus {
                node: node.name.to_string(),
                region: region.map(String::from),
                presence: label(node.presence).to_owned(),
                version,
                urls,
                allocations,
                rooms,
                members,
                full,
                draining,
                skew_ms: node.skew_ms,
                silent_ms: millis(now.saturating_sub(node.heard)),
            }
        });
        let clocks_off = view.off_clocks.list(now).map(|(name, skew_ms)| (name.to_string(), *skew_ms));
        ClusterStatus {
            node: self.0.settings.node.to_string(),
            region: self.0.settings.region.clone().map(String::from),
            urls: view.own.urls.clone(),
            connected: *is_up,
            since: *since,
            broker: broker.clone(),
            error: error.clone(),
            rejected: rejected.collect(),
            name_taken: view.taken.list(now).next().is_some(),
            strangers: view.strangers.list(now).map(|(name, ())| name.to_string()).collect(),
            clocks_off: clocks_off.collect(),
            nodes: nodes.collect(),
        }
    }

    /// Waits for a moment until the other nodes were told that this one stops.
    pub async fn left(&self) {
        let mut has_left = self.0.has_left.subscribe();
        // Neither a dropped sender nor a slow broker delays the shutdown.
        let _ = timeout(FAREWELL, has_left.wait_for(|has_left| *has_left)).await;
    }
}

/// Side of the driver.
impl Cluster {
    /// Takes a message of the broker.
    pub fn hear(&self, payload: &[u8]) {
        let Inner { clock, counters, secrets, .. } = &*self.0;
        counters.received.add(1);
        let (now, unix_ms) = (clock.now(), clock.unix_ms());
        let mut view = self.lock();
        let names = match view.opener.open(&secrets.load(), unix_ms, payload) {
            Ok(Some(received)) => self.take(&mut view, now, received),
            Ok(None) => Vec::new(),
            Err(rejected) => {
                self.reject(&mut view, now, rejected);
                Vec::new()
            }
        };
        drop(view);
        self.deliver();
        for Revoked { name, until } in names.into_iter().filter(|revoked| revoked.until > now.unix) {
            counters.revoked.add(1);
            if !(self.0.revoke_here)(&name, until) {
                counters.unremembered.add(1);
            }
        }
    }

    /// Notes what an authentic message says. Returns the names that it revokes.
    fn take(&self, view: &mut View, now: Now, received: Received) -> Vec<Revoked> {
        let Received { from, run, skew_ms, message } = received;
        view.off_clocks.forget(&from);
        view.strangers.forget(&from);
        match message {
            Message::Node(state) => {
                let drains = view.nodes.get(&from).map(|node| node.state.draining);
                view.has_changed |= drains != Some(state.draining) || view.isolation.is_alone();
                let change = view.nodes.heard(now.mono, &from, run, state, skew_ms);
                self.changed(view, change);
                view.isolation.heard(&from);
            }
            Message::Gone => {
                let change = view.nodes.gone(&from, run);
                self.changed(view, change);
                view.has_changed |= view.isolation.is_alone();
                view.isolation.heard(&from);
            }
            Message::Revoke(names) => return names,
            Message::Link(segment) => {
                lock(&self.0.links).receive(now.mono, &from, run, segment);
                self.0.queued.notify_one();
            }
            Message::Unknown => self.0.counters.unknown.add(1),
        }
        Vec::new()
    }

    /// Returns the message that this node lives, in this state. To be called each
    /// [`HEARTBEAT`](super::nodes::HEARTBEAT).
    pub fn beat(&self, state: NodeState) -> Vec<u8> {
        let now = self.0.clock.now();
        let mut view = self.lock();
        let changes = view.nodes.tick(now.mono);
        self.changed(&mut view, changes);
        let state = NodeState { connection: view.connection.count, ..state };
        view.has_changed |= view.own.draining != state.draining;
        view.own = state.clone();
        let beat = self.seal(&mut view, &Message::Node(state));
        drop(view);
        self.deliver();
        beat
    }

    /// Returns messages with the revocations that were not sent yet.
    pub fn revocations(&self) -> Vec<Vec<u8>> {
        let now = self.0.clock.now().unix;
        let mut view = self.lock();
        let batches = std::mem::take(&mut view.unsent).current(now);
        batches.into_iter().map(|batch| self.seal(&mut view, &Message::Revoke(batch))).collect()
    }

    /// Returns messages with all revocations in force, if a node may have missed some, and from
    /// time to time.
    pub fn missed_revocations(&self) -> Vec<Vec<u8>> {
        let now = self.0.clock.now();
        let mut view = self.lock();
        let (is_missed, last) = view.resend;
        let pause = if is_missed { RESEND_EVERY } else { RESEND_ANYWAY };
        if last.is_some_and(|last| now.mono.saturating_sub(last) < pause) {
            return Vec::new();
        }
        view.resend = (false, Some(now.mono));
        view.unsent = RevocationLog::new();
        let batches = view.log.current(now.unix);
        batches.into_iter().map(|batch| self.seal(&mut view, &Message::Revoke(batch))).collect()
    }

    /// Waits until there are revocations that were not sent yet.
    pub async fn revoked(&self) {
        self.0.waiting.notified().await;
    }

    /// Returns the message that this node stops.
    pub fn farewell(&self) -> Vec<u8> {
        self.seal(&mut self.lock(), &Message::Gone)
    }

    /// Notes that the other nodes were told that this one stops, or cannot be.
    pub fn has_left(&self) {
        lock(&self.0.links).close();
        self.0.has_left.send_replace(true);
    }

    /// Notes that a broker is tried, by its `host:port`.
    pub fn tries(&self, broker: String) {
        let mut view = self.lock();
        if !view.connection.is_up {
            view.connection.broker.clone_from(&broker);
        }
        view.connection.tried = broker;
    }

    /// Notes that the broker answers. Returns whether it did not before.
    pub fn connected(&self) -> bool {
        let now = self.0.clock.now();
        let mut view = self.lock();
        self.0.counters.connected.set(1);
        view.has_changed = true;
        let View { connection, isolation, .. } = &mut *view;
        if std::mem::replace(&mut connection.is_up, true) {
            return false;
        }
        connection.since = now.unix;
        if !connection.tried.is_empty() {
            connection.broker.clone_from(&connection.tried);
        }
        connection.count += 1;
        connection.error.clear();
        isolation.connected(now.mono);
        lock(&self.0.links).connected(true);
        self.0.queued.notify_one();
        // The others may have missed what this node sent, and it what they sent.
        view.resend.0 = true;
        true
    }

    /// Notes that the broker does not answer, for this cause. Returns whether it did before.
    pub fn disconnected(&self, error: &str) -> bool {
        let now = self.0.clock.now();
        let mut view = self.lock();
        self.0.counters.connected.set(0);
        view.unsent = RevocationLog::new();
        view.has_changed = true;
        let View { connection, isolation, nodes, .. } = &mut *view;
        error.clone_into(&mut connection.error);
        let was_up = std::mem::replace(&mut connection.is_up, false);
        if was_up {
            connection.since = now.unix;
            let known = nodes.list().filter(|node| node.presence != Presence::Dead);
            isolation.lost(now.mono, known.map(|node| node.name.clone()));
            lock(&self.0.links).connected(false);
        }
        was_up
    }

    /// Whether the broker answers.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.lock().connection.is_up
    }

    /// Returns `host:port` of the broker that answers, or that was tried last.
    #[must_use]
    pub fn broker(&self) -> String {
        self.lock().connection.broker.clone()
    }

    fn seal(&self, view: &mut View, message: &Message) -> Vec<u8> {
        view.sealer.seal(&self.0.secrets.load(), self.0.clock.unix_ms(), message)
    }

    /// Logs the changes, and counts the nodes by presence.
    fn changed(&self, view: &mut View, changes: impl IntoIterator<Item = NodeChange>) {
        let mut changes = changes.into_iter().peekable();
        if changes.peek().is_none() {
            return;
        }
        view.has_changed = true;
        for change in changes {
            self.follow(view, &change);
            view.resend.0 |= change.may_have_missed();
            // Without the broker every node falls silent, which the log tells already.
            if view.connection.is_up {
                tell(&change);
            }
        }
        let count = |presence| view.nodes.list().filter(|node| node.presence == presence).count() as u64;
        self.0.counters.live.set(count(Presence::Live));
        self.0.counters.suspect.set(count(Presence::Suspect));
        self.0.counters.dead.set(count(Presence::Dead));
    }

    /// Counts a rejected message. Remembers its sender and logs it, both within bounds.
    fn reject(&self, view: &mut View, now: Now, rejected: Rejected) {
        let Rejected { reason, from, skew_ms } = rejected;
        self.0.counters.rejected(reason);
        let is_new = |last: &Duration| now.mono.saturating_sub(*last) >= LOG_EVERY;
        if view.told.get(&reason.index()).is_none_or(is_new) {
            view.told.insert(reason.index(), now.mono);
            tell_rejected(reason, from.as_ref(), skew_ms, &self.0.settings.node);
        }
        match (reason, from, skew_ms) {
            (Rejection::Unauthenticated, Some(from), _) => view.strangers.note(now.mono, from, ()),
            (Rejection::Stale, Some(from), Some(skew_ms)) => view.off_clocks.note(now.mono, from, skew_ms),
            (Rejection::NameTaken, Some(from), _) => view.taken.note(now.mono, from, ()),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        // Every statement leaves the view consistent, so a panic elsewhere does not affect it.
        lock(&self.0.view)
    }
}

impl<T> Recent<T> {
    fn note(&mut self, now: Duration, name: NodeName, value: T) {
        if self.0.len() >= MOST_REFUSED && !self.0.contains_key(&name) {
            self.0.retain(|_, (noted, _)| now.saturating_sub(*noted) < REMEMBER);
        }
        if self.0.len() < MOST_REFUSED || self.0.contains_key(&name) {
            self.0.insert(name, (now, value));
        }
    }

    fn forget(&mut self, name: &NodeName) {
        self.0.remove(name);
    }

    fn list(&self, now: Duration) -> impl Iterator<Item = (&NodeName, &T)> {
        let recent = self.0.iter().filter(move |(_, (noted, _))| now.saturating_sub(*noted) < REMEMBER);
        recent.map(|(name, (_, value))| (name, value))
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

fn label(presence: Presence) -> &'static str {
    match presence {
        Presence::Live => "live",
        Presence::Suspect => "suspect",
        Presence::Dead => "dead",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Logs a change of another node.
fn tell(change: &NodeChange) {
    let node = change.name();
    match change {
        NodeChange::Joined(_) => tracing::info!("node {node} is in the cluster"),
        NodeChange::Restarted(_) => tracing::info!("node {node} has started again"),
        NodeChange::Recovered(_) => tracing::info!("node {node} is heard again"),
        NodeChange::Left(_) => tracing::info!("node {node} has left the cluster"),
        NodeChange::Died(_) => tracing::warn!(
            "node {node} is silent: clients get the relays of other nodes; remedy: start it, or let it reach the broker"
        ),
        NodeChange::Suspected(_) | NodeChange::Forgotten(_) => tracing::debug!(?change, "node"),
    }
}

/// Logs the first of many messages that are rejected for a reason.
fn tell_rejected(reason: Rejection, from: Option<&NodeName>, skew_ms: Option<i64>, own: &NodeName) {
    let from = from.map_or_else(|| "a node".to_owned(), |from| format!("node {from}"));
    match reason {
        Rejection::Unauthenticated => tracing::warn!(
            "messages of {from} are rejected: they are signed with another secret; remedy: set the same `secrets` under \
             [credentials] on every node"
        ),
        Rejection::Stale => tracing::warn!(
            "messages of {from} are rejected: its clock differs by {} s; remedy: set the clocks of all nodes by NTP",
            skew_ms.unwrap_or_default() / 1000
        ),
        Rejection::NameTaken => tracing::warn!(
            "another running server has the name {own} of this node; remedy: set `node` under [cluster] to another name \
             on each machine"
        ),
        Rejection::TooLarge | Rejection::Malformed | Rejection::TooMany => tracing::warn!(
            "messages of {from} are rejected ({}); remedy: let only the nodes of one cluster publish to its subject",
            reason.label()
        ),
        // The network doubles and delays messages, too.
        Rejection::Replayed => tracing::debug!("a message of {from} came late or twice"),
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.0.settings.node)
    }
}

impl fmt::Debug for ClusterParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClusterParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
