//! Topics: pages with the unchanged npm package `y-webrtc` find the other editors of a document.
//!
//! [`protocol`] and [`board`] are pure; this module has their connections. The server adds `error`
//! and `bye` to that protocol. Its client ignores them, and a developer can read them.

pub mod board;
pub mod protocol;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::extract::ws::WebSocket;
use byway_turn::client_network::ClientNetwork;
use byway_turn::lock::lock;
use byway_turn::rate_limit::Gcra;
use byway_turn::time::Now;

use self::board::{Board, BoardLimits, Subscriber};
use self::protocol::{Publication, YWebrtcMessage};
use super::ConnectionLimits;
use super::connection::{Conversation, SignalingConnections};
use super::flood_guard::{FloodGuard, Rate, Verdict};
use super::protocol::{ByeCode, Ending, ErrorCode, RoomName, ServerMessage, Text};
use super::send_queue::SendQueue;
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
    }
}

/// All topics of y-webrtc.
#[derive(Debug)]
pub struct Topics {
    connections: Arc<SignalingConnections>,
    /// A `std` mutex: held for a look-up and a few pushes, never across an await.
    board: Mutex<Board<Arc<SendQueue>>>,
}

impl Topics {
    /// No topics.
    #[must_use]
    pub fn new(connections: Arc<SignalingConnections>) -> Self {
        let limits = limits(connections.settings());
        Self { connections, board: Mutex::new(Board::new(limits)) }
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

    fn count(&self, board: &Board<Arc<SendQueue>>) {
        self.connections.counters.topics.set(board.count() as u64);
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
                self.all.count(&board);
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
            self.all.count(&board);
        }
        Ok(())
    }

    fn publish(&self, now: Now, publication: &Publication) -> Result<(), ErrorCode> {
        let board = self.all.lock();
        let (text, subscribers) = board.publish(&self.subscriber, publication)?;
        let bytes = text.json.len().saturating_mul(subscribers.len());
        let cost = FAN_OUT.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX));
        let paid = self.fan_out.take(now.mono, cost, FAN_OUT_AT_ONCE);
        paid.map_err(|_| ErrorCode::RateLimited)?;
        self.all.connections.counters.signals.add(subscribers.len() as u64);
        for subscriber in subscribers {
            subscriber.say(text.clone());
        }
        Ok(())
    }

    fn leave(&mut self) {
        let mut board = self.all.lock();
        board.depart(&mut self.subscriber);
        self.all.count(&board);
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
