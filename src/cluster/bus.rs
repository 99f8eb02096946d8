//! Driver of the connection to the broker: core NATS, without any storage.
//!
//! The broker may be away at any time, or accept connections and never answer. Both are noticed
//! within 3 seconds and logged once, as is its return. Nothing is sent meanwhile, and nothing ever
//! waits for it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{
    Client, ConnectOptions, Event, PublishErrorKind, ReconnectToServer, Server, ServerAddr, Subscriber,
};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{spawn_blocking, unconstrained};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::counters::BusDrop;
use super::credentials::BusCredentials;
use super::nodes::HEARTBEAT;
use super::status::BusFailure;
use super::{Cluster, ClusterSettings, NodeState};
use crate::operator_file;
use crate::phase::{Phase, PhaseWatch};

/// Subject of messages to all nodes.
const SUBJECT: &str = "byway.v1.all";

/// Beginning of the subject of messages to one node, before its name.
const NODE_SUBJECT: &str = "byway.v1.node.";

/// Silence of the broker after which the client asks whether it is there. It gives up when the
/// third question is due and two have no answer: after 2.4 seconds.
const PING_EVERY: Duration = Duration::from_millis(800);

/// Longest time to connect, with TLS and credentials.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);

/// Longest pause between two attempts to connect.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Messages that wait to be sent.
const SEND_QUEUE: usize = 2048;

/// Messages that wait to be read. Each has as many bytes as the broker allows, often 1 MiB.
const RECEIVE_QUEUE: usize = 1024;

/// Events of the client that wait to be noted.
const EVENTS: usize = 64;

/// Pause after an error that the operator must correct.
const CORRECTION: Duration = Duration::from_secs(30);

/// Longest wait for the last message to leave.
const FLUSH_WITHIN: Duration = Duration::from_millis(500);

/// Parts that the driver is made from.
pub struct BusParts {
    /// The cluster, which it feeds.
    pub cluster: Cluster,
    /// Returns the state of this node at the moment it is called.
    pub state: Box<dyn Fn() -> NodeState + Send + Sync>,
    /// Phase of the server.
    pub phase: PhaseWatch,
}

/// Background task of the cluster.
pub struct Bus {
    cluster: Cluster,
    state: Box<dyn Fn() -> NodeState + Send + Sync>,
    /// Locked by the running task.
    phase: Mutex<PhaseWatch>,
}

/// Event of the client that the driver notes.
enum BusEvent {
    /// A broker is tried, after all have failed for this cause.
    Tries(String, Option<String>),
    Connected,
    Lost,
    /// The broker refuses something, and says what.
    Refused(String),
    Overrun,
}

impl Bus {
    /// Prepares the task.
    #[must_use]
    pub fn new(parts: BusParts) -> Arc<Self> {
        let BusParts { cluster, state, phase } = parts;
        Arc::new(Self { cluster, state, phase: Mutex::new(phase) })
    }

    /// Connects this node with the others until the runtime ends.
    pub async fn run(self: Arc<Self>) {
        let mut phase = self.phase.lock().await;
        let mut log = ConnectionLog::default();
        loop {
            let (tell, events) = mpsc::channel(EVENTS);
            match connect(self.cluster.settings(), tell).await {
                Ok(client) => self.drive(&client, events, &mut phase, &mut log).await,
                Err(error) => log.fails(&self.cluster, &error.to_string()),
            }
            let correction = sleep(CORRECTION);
            tokio::pin!(correction);
            loop {
                tokio::select! {
                    () = &mut correction => break,
                    () = phase.reached(Phase::Stopping) => self.rest().await,
                    // Items are given back meanwhile. None can be sent.
                    () = self.cluster.stirred() => drop(self.cluster.exchange()),
                }
            }
        }
    }

    /// Sends and receives messages until the client ends, which it should not do by itself.
    async fn drive(
        &self,
        client: &Client,
        mut events: mpsc::Receiver<BusEvent>,
        phase: &mut PhaseWatch,
        log: &mut ConnectionLog,
    ) {
        let own = format!("{NODE_SUBJECT}{}", self.cluster.settings().node);
        let Ok(mut messages) = client.subscribe(SUBJECT).await else { return };
        let Ok(mut directed) = client.subscribe(own).await else { return };
        let mut beat = interval(HEARTBEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // A phase is noticed once: the next heartbeats tell the rest.
        let mut next = if phase.has_reached(Phase::Draining) { Phase::Stopping } else { Phase::Draining };
        loop {
            tokio::select! {
                message = messages.next() => match message {
                    Some(message) => self.cluster.hear(&message.payload),
                    None => return,
                },
                message = directed.next() => match message {
                    Some(message) => {
                        // Its sender may have said before that it has started again.
                        self.hear_waiting(&mut messages);
                        self.cluster.hear(&message.payload);
                    }
                    None => return,
                },
                () = self.cluster.stirred() => self.exchange(client),
                _ = beat.tick() => {
                    // A node whose message waits here is not silent.
                    self.hear_waiting(&mut messages);
                    self.check(client, log);
                    self.beat(client);
                }
                () = self.cluster.revoked() => {
                    self.cluster.revocations().into_iter().for_each(|message| self.publish(client, message));
                }
                Some(event) = events.recv() => {
                    if self.note(event, log) {
                        self.beat(client);
                    }
                }
                () = phase.reached(next) => {
                    if phase.has_reached(Phase::Stopping) {
                        self.leave(client).await;
                        self.rest().await;
                    }
                    next = Phase::Stopping;
                    self.beat(client);
                }
            }
        }
    }

    /// Takes the messages that wait.
    fn hear_waiting(&self, messages: &mut Subscriber) {
        for _ in 0..RECEIVE_QUEUE {
            let Some(Some(message)) = unconstrained(messages.next()).now_or_never() else { break };
            self.cluster.hear(&message.payload);
        }
    }

    /// Sends items to other nodes.
    fn exchange(&self, client: &Client) {
        for (to, message) in self.cluster.exchange() {
            self.publish_to(client, format!("{NODE_SUBJECT}{to}"), message);
        }
    }

    /// Notes a change of the connection whose event was lost: the client drops events of which too
    /// many wait.
    fn check(&self, client: &Client, log: &mut ConnectionLog) {
        match (client.connection_state(), self.cluster.is_connected()) {
            (State::Connected, false) => _ = self.note(BusEvent::Connected, log),
            (State::Disconnected, true) => _ = self.note(BusEvent::Lost, log),
            _ => {}
        }
    }

    /// Tells the other nodes that this one lives, and what they may have missed.
    fn beat(&self, client: &Client) {
        let beat = self.cluster.beat((self.state)());
        self.publish(client, beat);
        if self.cluster.is_connected() {
            let missed = self.cluster.missed_revocations();
            missed.into_iter().for_each(|message| self.publish(client, message));
        }
    }

    /// Hands a message to all nodes to the client, or drops it.
    fn publish(&self, client: &Client, message: Vec<u8>) {
        self.publish_to(client, SUBJECT.to_owned(), message);
    }

    fn publish_to(&self, client: &Client, subject: String, message: Vec<u8>) {
        let counters = self.cluster.counters();
        if !self.cluster.is_connected() {
            return counters.dropped(BusDrop::Disconnected);
        }
        // Without its share of a task's time spent, it is pending only if the queue is full.
        match unconstrained(client.publish(subject, message.into())).now_or_never() {
            Some(Ok(())) => counters.sent.add(1),
            Some(Err(error)) if error.kind() == PublishErrorKind::Send => {
                counters.dropped(BusDrop::Disconnected);
            }
            Some(Err(_)) => counters.dropped(BusDrop::Refused),
            None => counters.dropped(BusDrop::QueueFull),
        }
    }

    /// Notes an event. Returns whether the node is connected from now on.
    fn note(&self, event: BusEvent, log: &mut ConnectionLog) -> bool {
        match event {
            BusEvent::Tries(broker, failure) => {
                self.cluster.tries(broker);
                if let Some(failure) = failure {
                    log.fails(&self.cluster, &failure);
                }
            }
            BusEvent::Connected => {
                let is_new = self.cluster.connected();
                if is_new {
                    log.connects(&self.cluster);
                }
                return is_new;
            }
            BusEvent::Lost => {
                log.fails(&self.cluster, "the connection was lost, or it did not answer for 3 seconds")
            }
            BusEvent::Refused(reason) => log.is_refused(&reason),
            BusEvent::Overrun => self.cluster.counters().dropped(BusDrop::Overrun),
        }
        false
    }

    /// Tells the other nodes that this one stops.
    async fn leave(&self, client: &Client) {
        if self.cluster.is_connected() {
            self.exchange(client);
            self.publish(client, self.cluster.farewell());
            // A broker that does not answer must not delay the shutdown.
            let _ = timeout(FLUSH_WITHIN, client.flush()).await;
        }
    }

    /// Waits for the end of the process.
    async fn rest(&self) {
        self.cluster.has_left();
        std::future::pending().await
    }
}

/// Begins to connect. The client goes on until a broker answers, and again when it is lost.
async fn connect(settings: &ClusterSettings, tell: mpsc::Sender<BusEvent>) -> io::Result<Client> {
    let brokers: Vec<ServerAddr> = settings.nats.iter().map(|url| url.parse()).collect::<io::Result<_>>()?;
    let tell_attempt = tell.clone();
    let options = with_credentials(settings)
        .await?
        .name(format!("byway {}", settings.node))
        .no_echo()
        .ping_interval(PING_EVERY)
        .connection_timeout(CONNECT_WITHIN)
        .retry_on_initial_connect()
        // A broker may name others, without TLS.
        .ignore_discovered_servers()
        .client_capacity(SEND_QUEUE)
        .subscription_capacity(RECEIVE_QUEUE)
        .event_callback(move |event| {
            let tell = tell.clone();
            async move {
                let event = match event {
                    Event::Connected => BusEvent::Connected,
                    Event::Disconnected | Event::Closed => BusEvent::Lost,
                    Event::ServerError(error) => BusEvent::Refused(error.to_string()),
                    Event::SlowConsumer(_) => BusEvent::Overrun,
                    Event::LameDuckMode | Event::Draining | Event::ClientError(_) => return,
                };
                // The client's own queue of events is bounded.
                let _ = tell.send(event).await;
            }
        })
        .reconnect_to_server_callback(move |brokers, _| {
            let next = next_broker(&brokers);
            if let Some((broker, failure)) = next.as_ref().map(|next| described(next, &brokers)) {
                // One of the next attempts says the same.
                let _ = tell_attempt.try_send(BusEvent::Tries(broker, failure));
            }
            async move { next }
        });
    options.connect(brokers).await.map_err(io::Error::other)
}

async fn with_credentials(settings: &ClusterSettings) -> io::Result<ConnectOptions> {
    let options = ConnectOptions::new();
    let Some(path) = settings.credentials_file.clone() else { return Ok(options) };
    let read = spawn_blocking(move || operator_file::read_text(&path, operator_file::SMALL)).await;
    let text = read.map_err(io::Error::other)??;
    match BusCredentials::parse(&text).map_err(io::Error::other)? {
        BusCredentials::File(text) => options.credentials(text.as_ref()),
        BusCredentials::Nkey(seed) => Ok(options.nkey(AsRef::<str>::as_ref(&seed).to_owned())),
        BusCredentials::User(user, password) => {
            Ok(options.user_and_password(user, AsRef::<str>::as_ref(&password).to_owned()))
        }
    }
}

/// Chooses the broker that failed least, with a pause that grows with its failures.
fn next_broker(brokers: &[Server]) -> Option<ReconnectToServer> {
    let broker = brokers.iter().min_by_key(|broker| broker.failed_attempts)?;
    Some(ReconnectToServer { addr: broker.addr.clone(), delay: Some(pause(broker.failed_attempts)) })
}

fn pause(failures: usize) -> Duration {
    match u32::try_from(failures).unwrap_or(u32::MAX) {
        0 => Duration::ZERO,
        failures => Duration::from_millis(100 << (failures - 1).min(8)).min(LONGEST_PAUSE),
    }
}

/// Returns `host:port` of the broker, and the cause of its last failure if all have failed.
fn described(next: &ReconnectToServer, brokers: &[Server]) -> (String, Option<String>) {
    let (host, port) = (next.addr.host(), next.addr.port());
    let broker = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    // It is the one that failed least.
    let known = brokers.iter().find(|known| known.addr == next.addr);
    (broker, known.filter(|known| known.failed_attempts > 0).and_then(|known| known.last_error.clone()))
}

/// Logs once that the broker is away, and once that it is back.
#[derive(Debug, Default)]
struct ConnectionLog {
    /// Whether the last line says that it is away.
    is_away: bool,
    /// Last reason for which the broker refused something.
    refused: Option<String>,
}

impl ConnectionLog {
    fn fails(&mut self, cluster: &Cluster, cause: &str) {
        cluster.disconnected(cause);
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(
                "the cluster's broker {} cannot be reached, so this node goes on alone: {cause}; remedy: {}",
                cluster.broker(),
                remedy(cause)
            );
        }
    }

    fn connects(&mut self, cluster: &Cluster) {
        self.is_away = false;
        self.refused = None;
        tracing::info!("connected to the cluster's broker {}", cluster.broker());
    }

    /// A broker repeats itself as often as the client asks.
    fn is_refused(&mut self, reason: &str) {
        if self.refused.as_deref() != Some(reason) {
            self.refused = Some(reason.to_owned());
            tracing::warn!(
                "the cluster's broker refuses: {reason}; remedy: let the user of this node publish and subscribe to \
                 byway.v1.>"
            );
        }
    }
}

/// Remedy for a failure to connect, by the words of the client.
fn remedy(cause: &str) -> &'static str {
    match BusFailure::of(cause) {
        BusFailure::Credentials => {
            "give this node credentials that the broker knows, in `credentials_file` under [cluster]"
        }
        BusFailure::Certificate => {
            "give the broker a certificate for the name in `nats` under [cluster], from an authority that this machine trusts"
        }
        BusFailure::Name => "correct the name in `nats` under [cluster], or the resolver of this machine",
        BusFailure::Unreachable => {
            "start the broker, correct `nats` under [cluster], or open the firewall between"
        }
    }
}

impl fmt::Debug for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bus").finish_non_exhaustive()
    }
}

impl fmt::Debug for BusParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BusParts").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_to_a_bound() {
        let pauses: Vec<_> = (0..8).map(|failures| pause(failures).as_millis()).collect();
        assert_eq!(pauses, [0, 100, 200, 400, 800, 1600, 2000, 2000]);
        assert_eq!(pause(usize::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn each_failure_has_its_remedy() {
        for (cause, part) in [
            ("authorization violation: ...", "credentials_file"),
            ("failed signing nonce", "credentials_file"),
            ("IO error: invalid peer certificate: UnknownIssuer", "a certificate for the name"),
            ("DNS error: failed to lookup address information", "the resolver"),
            ("IO error: Connection refused (os error 111)", "start the broker"),
            ("timed out", "start the broker"),
        ] {
            assert!(remedy(cause).contains(part), "{cause}: {}", remedy(cause));
        }
    }
}
