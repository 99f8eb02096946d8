//! Topics: pages with the unchanged npm package `y-webrtc` find the other editors of a document.
//!
//! [`protocol`] and [`board`] are pure; this module has their connections. The server adds `error`
//! and `bye` to that protocol. Its client ignores them, and a developer can read them.

pub mod board;
pub mod protocol;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::rate_limit::Gcra;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use self::board::{Board, BoardLimits, Published, Subscriber};
use self::protocol::{Publication, YWebrtcMessage};
use super::ConnectionLimits;
use super::connection::{Conversation, SignalingConnections};
use super::flood_guard::{FloodGuard, Rate, Verdict};
use super::neighbours::Neighbours;
use super::protocol::{ByeCode, Ending, ErrorCode, RoomName, ServerMessage, Text};
use super::send_queue::SendQueue;
use crate::access::names::NodeName;
use crate::net::memory_budget::Reservation;

/// Subscribers of one topic. A client of y-webrtc keeps at most 35 connections, so there may be
/// more than it meets, but what one publishes goes to all of them.
const SUBSCRIBERS: usize = 64;

/// Topics of one connection. A page has one connection for all its documents.
const SUBSCRIPTIONS: u32 = 64;

/// Time per further topic of a connection. A page may replace its documents, but cannot try out
/// topics faster.
const ANOTHER_TOPIC_EVERY: Duration = Duration::from_secs(1);

/// Cost of a byte to one subscriber: a connection may cause a megabyte a second.
const FAN_OUT: Duration = Duration::from_micros(1);

/// Burst of a connection. Answering 35 others with a description and a dozen candidates each, which
/// all 63 subscribers receive, takes 13 MB.
const FAN_OUT_AT_ONCE: Duration = Duration::from_secs(16);

fn limits(settings: ConnectionLimits) -> BoardLimits {
    let rooms = settings.rooms;
    BoardLimits {
        topics: rooms.rooms,
        subscribers: SUBSCRIBERS,
        subscriptions: SUBSCRIPTIONS as usize,
        // As many as there may be members of all rooms.
        subscriptions_in_all: rooms.rooms.saturating_mul(rooms.members),
        message: settings.max_message,
    }
}

/// All topics of y-webrtc.
#[derive(Debug)]
pub struct Topics {
    connections: Arc<SignalingConnections>,
    /// A `std` mutex: held for a look-up and a few pushes, never across an await.
    board: Mutex<Board<Arc<SendQueue>>>,
    neighbours: Option<Neighbours>,
}

impl Topics {
    /// No topics. In a cluster, they span its nodes.
    #[must_use]
    pub fn new(connections: Arc<SignalingConnections>, neighbours: Option<Neighbours>) -> Self {
        let limits = limits(connections.settings());
        let board = match &neighbours {
            Some(others) => Board::of_node(limits, others.node.clone(), others.first_number()),
            None => Board::new(limits),
        };
        Self { connections, board: Mutex::new(board), neighbours }
    }

    /// Takes an item of another node. Those that are not about topics are ignored.
    pub fn hear(&self, from: &NodeName, item: &RawValue) {
        let mut board = self.lock();
        if let Some(published) = board.hear(self.now(), from, item) {
            self.tell(&published);
        }
        self.send(&mut board);
    }

    /// Notes that the stream to or from a node was reset, with the own items that did not arrive.
    pub fn reset(&self, peer: &NodeName, unsent: &[Box<RawValue>]) {
        let mut board = self.lock();
        board.reset(self.now(), peer, unsent);
        self.send(&mut board);
    }

    /// Takes in the other nodes, or that this node is alone.
    pub fn set_view(&self, nodes: &BTreeSet<NodeName>, alone: bool) {
        let mut board = self.lock();
        board.set_view(self.now(), nodes, alone);
        self.send(&mut board);
    }

    /// Serves one connection from `client` until it ends. Its `memory` is released at the first
    /// topic.
    pub async fn run(&self, socket: WebSocket, client: IpAddr, memory: Arc<Reservation>) {
        let settings = self.connections.settings();
        let queue = self.connections.send_queue(client, memory);
        let subscriber = {
            let mut board = self.lock();
            board.set_limits(limits(settings));
            board.subscriber(ClientNetwork::of(client))
        };
        let news = Rate { interval: ANOTHER_TOPIC_EVERY, burst: SUBSCRIPTIONS, patience: u32::MAX };
        let mut session = Session {
            all: self,
            queue: queue.clone(),
            subscriber,
            new_topics: FloodGuard::new(news),
            fan_out: Gcra::default(),
            idle_at: self.connections.clock.now().mono + settings.idle_after,
        };
        self.connections.run(socket, &queue, &mut session).await;
    }

    /// Counts the topics, and sends what other nodes have to know of a change.
    fn changed(&self, board: &mut Board<Arc<SendQueue>>) {
        self.connections.counters.topics.set(board.count() as u64);
        self.send(board);
    }

    /// Sends the items for other nodes, under the lock: so they leave in order.
    fn send(&self, board: &mut Board<Arc<SendQueue>>) {
        if let Some(neighbours) = &self.neighbours {
            neighbours.send(board.take_items());
        }
    }

    fn tell(&self, Published { text, receivers, .. }: &Published<'_, Arc<SendQueue>>) {
        self.connections.counters.signals.add(receivers.len() as u64);
        for receiver in receivers {
            receiver.say(text.clone());
        }
    }

    fn now(&self) -> Duration {
        self.connections.clock.now().mono
    }

    fn lock(&self) -> MutexGuard<'_, Board<Arc<SendQueue>>> {
        // A panic under the lock would be a bug in the board; the others go on.
        lock(&self.board)
    }
}

struct Session<'a> {
    all: &'a Topics,
    queue: Arc<SendQueue>,
    subscriber: Subscriber,
    new_topics: FloodGuard,
    fan_out: Gcra,
    /// Time at which it has subscribed to nothing for too long.
    idle_at: Duration,
}

impl Session<'_> {
    fn obey(&mut self, now: Now, text: &str) -> Result<(), ErrorCode> {
        match YWebrtcMessage::parse(text)? {
            YWebrtcMessage::Subscribe(topics) => self.subscribe(now, topics)?,
            YWebrtcMessage::Unsubscribe(topics) => {
                let was_idle = self.subscriber.is_idle();
                let mut board = self.all.lock();
                for topic in &topics {
                    board.unsubscribe(&mut self.subscriber, topic);
                }
                self.all.changed(&mut board);
                if !was_idle {
                    self.idle_at = now.mono + self.all.connections.settings().idle_after;
                }
            }
            YWebrtcMessage::Publish(publication) => self.publish(now, &publication)?,
            YWebrtcMessage::Ping => self.queue.say(ServerMessage::Pong {}.text()),
        }
        Ok(())
    }

    /// Subscribes in order. Topics before a refused one stay subscribed.
    fn subscribe(&mut self, now: Now, topics: Vec<RoomName>) -> Result<(), ErrorCode> {
        let mut board = self.all.lock();
        // A client subscribes again whenever it looks for others.
        for topic in topics {
            if self.subscriber.has(&topic) {
                continue;
            }
            if self.new_topics.judge(now.mono) != Verdict::Accept {
                return Err(ErrorCode::RateLimited);
            }
            board.subscribe(&mut self.subscriber, topic, self.queue.clone())?;
            self.queue.admit();
            self.all.changed(&mut board);
        }
        Ok(())
    }

    fn publish(&self, now: Now, publication: &Publication) -> Result<(), ErrorCode> {
        let mut board = self.all.lock();
        let published = board.publish(now.mono, &self.subscriber, publication)?;
        // Those on other nodes cost as much.
        let bytes = published.text.json.len().saturating_mul(published.everywhere);
        let cost = FAN_OUT.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        let paid = self.fan_out.take(now.mono, cost, FAN_OUT_AT_ONCE);
        paid.map_err(|_| ErrorCode::RateLimited)?;
        self.all.tell(&published);
        board.spread(now.mono, &self.subscriber, publication);
        self.all.send(&mut board);
        Ok(())
    }

    fn leave(&mut self) {
        let mut board = self.all.lock();
        board.depart(&mut self.subscriber);
        self.all.changed(&mut board);
    }
}

impl Conversation for Session<'_> {
    fn hear(&mut self, now: Now, text: &str) {
        if let Err(code) = self.obey(now, text) {
            self.all.connections.counters.refused(code);
            self.refuse(code);
        }
    }

    fn refuse(&mut self, code: ErrorCode) {
        self.queue.say(ServerMessage::error(code).text());
    }

    fn next_deadline(&self) -> Option<Duration> {
        self.subscriber.is_idle().then_some(self.idle_at)
    }

    fn wake(&mut self, _now: Now) -> Option<ByeCode> {
        Some(ByeCode::Idle)
    }

    fn end(&mut self, _now: Now, ending: Ending) -> Option<Text> {
        self.leave();
        match ending {
            Ending::Bye(code) => Some(ServerMessage::bye(code).text()),
            _ => None,
        }
    }
}

impl Drop for Session<'_> {
    /// Removes the subscriber of a session that ends by a panic or with the runtime.
    fn drop(&mut self) {
        self.leave();
    }
}
