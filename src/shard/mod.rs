//! Shards: the relay core on real sockets, one thread for each shard.
//!
//! A shard owns with `&mut`:
//!
//! - one [`byway_turn::server::Relay`],
//! - one listening socket for each configured address,
//! - the connections that it has accepted,
//! - every relay socket of its allocations.
//!
//! The kernel pins a client's 4-tuple to one shard (`SO_REUSEPORT`), so both directions of a call
//! run on one thread. Between receiving and sending a datagram the shard takes no lock, uses no
//! channel to another thread and has no `.await`. Only the sockets of reserved ports move between
//! shards. They are behind a lock that no datagram waits for.
//!
//! # Path of a datagram
//!
//! 1. Wait for ready sockets: `Shard::run`, `take_events` (`poll_loop.rs`).
//! 2. Schedule them: `serve_round`, `serve` (`schedule.rs`).
//! 3. Receive batches by `recvmmsg`: `serve_udp_listener`, `serve_relay_socket` (`receive.rs`);
//!    `Inbox::receive` (`byway-udp`).
//! 4. Ask the relay to decide: `Relay::client_datagram`, `Relay::peer_datagram` (`byway-turn`).
//! 5. Carry out its `Action`: `act`, `send_to_peer`, `send_to_client`, `send_reply` (`act.rs`).
//! 6. Open and close relay sockets: `take_effects` (`relay_sockets.rs`).
//! 7. Send by `sendmmsg`, and count: `flush`, `count_outcome` (`flush.rs`); `Outbox::flush`
//!    (`byway-udp`).
//!
//! # Path of a message on a connection
//!
//! 1. Accept: `serve_tcp_listener`, `admit` (`accept.rs`).
//! 2. Read, frame, and ask the relay to decide: `serve_connection`, `read_chunk`, `serve_messages`
//!    (`receive_stream.rs`).
//! 3. Carry out its `Action`: `act` (`act.rs`).
//! 4. Send to a client: `Connections::send`, `Connections::flush` (`connections.rs`,
//!    `connection.rs`).
//! 5. Close idle and evicted connections: `check_connections`, `evict_unauthenticated`
//!    (`unauthenticated.rs`).
//!
//! Other threads reach a shard through its mailbox: `serve_mailbox` in `mailbox.rs`.

mod accept;
mod accounts;
mod act;
mod allocations;
mod connection;
mod connections;
mod counters;
mod flush;
mod idle;
mod listener;
mod mailbox;
mod pinning;
mod poll_loop;
mod poll_token;
mod pulse;
mod receive;
mod receive_stream;
mod relay_sockets;
mod reserved;
mod schedule;
mod sockets;
mod timer;
mod tuning;
mod unauthenticated;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use byway_turn::server::Shared;
use mio::Poll;
use tokio::sync::mpsc;

use crate::clock::Clock;

pub use allocations::Allocations;
pub use counters::{BindFailure, Direction, RelayCounters, ShardCounters};
use mailbox::MailboxSender;
pub use mailbox::{ConnectionSender, ShardUpdates, TurnConnection};
pub use poll_loop::ShardConfig;
use poll_loop::{Common, Shard};
use poll_token::PollToken;
pub use pulse::Pulse;
use reserved::ReservedSockets;
pub use sockets::{
    Addresses, BindFailed, ShardListeners, bind_listeners, bind_tcp, bind_tcp_listeners, bind_udp_listeners,
    is_missing,
};
pub use tuning::Tuning;

/// Running data plane: all shards.
pub struct DataPlane {
    threads: Vec<Worker>,
    mailboxes: Arc<[MailboxSender]>,
    stop: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

struct Worker {
    alive: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl DataPlane {
    /// Starts one thread for each of `shards`. They serve first the datagrams that arrived since
    /// the sockets were bound.
    ///
    /// # Errors
    /// The kernel refused a thread or a poll.
    pub fn start(shards: Vec<ShardConfig>, tuning: Tuning, clock: Clock) -> io::Result<Self> {
        // Every shard can reach the mailboxes of all others, so create these first.
        let (mut mailboxes, mut receiving) = (Vec::new(), Vec::new());
        for _ in &shards {
            let poll = Poll::new()?;
            let (sender, mailbox) = MailboxSender::new(&poll, PollToken::Mailbox.into())?;
            mailboxes.push(sender);
            receiving.push((poll, mailbox));
        }
        let mailboxes: Arc<[MailboxSender]> = mailboxes.into();
        let reserved = ReservedSockets::default();
        let common = Common { mailboxes: mailboxes.clone(), reserved, tuning, clock };

        let stop = Arc::<AtomicBool>::default();
        let (report, ended) = mpsc::channel(1);
        let mut threads = Vec::new();
        for ((index, config), (poll, mailbox)) in (0..).zip(shards).zip(receiving) {
            let shard = Shard::new(index, poll, mailbox, config, &common)?;
            threads.push(Worker::start(index, shard, stop.clone(), report.clone())?);
        }
        Ok(Self { threads, mailboxes, stop, ended })
    }

    /// Returns the handle that passes connections accepted by other threads to the shards.
    #[must_use]
    pub fn connection_sender(&self) -> ConnectionSender {
        ConnectionSender::new(self.mailboxes.clone())
    }

    /// Returns the handle that checks whether every shard answers.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse { mailboxes: self.mailboxes.clone() }
    }

    /// Returns the handle that tells the shards about changed addresses, listeners and rules.
    #[must_use]
    pub fn updates(&self) -> ShardUpdates {
        ShardUpdates::new(self.mailboxes.clone())
    }

    /// Returns the handle to the allocations of all shards, by their names. `shared` is the state
    /// that the shards' relays share.
    #[must_use]
    pub fn allocations(&self, shared: Arc<Shared>) -> Allocations {
        Allocations { shared, mailboxes: self.mailboxes.clone() }
    }

    /// Returns a function that lists the shards that have ended, for a health check that outlives
    /// `self`.
    pub fn down(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let alive: Vec<_> = self.threads.iter().map(|worker| worker.alive.clone()).collect();
        move || {
            let down = alive.iter().enumerate().filter(|(_, alive)| !alive.load(Relaxed));
            down.map(|(index, _)| format!("shard {index}")).collect()
        }
    }

    /// Waits until one shard has ended: it was stopped or has failed.
    pub async fn ended(&mut self) {
        self.ended.recv().await;
    }

    /// Stops the threads and joins them.
    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        self.mailboxes.iter().for_each(MailboxSender::wake);
        for worker in self.threads {
            // A shard that panicked has already reported it on standard error.
            let _ = worker.thread.join();
        }
    }
}

impl Worker {
    /// Runs a shard on a thread of its own.
    fn start(index: u16, shard: Shard, stop: Arc<AtomicBool>, report: mpsc::Sender<()>) -> io::Result<Self> {
        let alive = Arc::new(AtomicBool::new(true));
        let life = Life { alive: alive.clone(), report };
        let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            // Dropped at the end of the thread, also by a panic.
            let _life = life;
            if let Err(error) = shard.run(&stop) {
                tracing::error!(%error, shard = index, "a shard of the data plane ended");
            }
        })?;
        Ok(Self { alive, thread })
    }
}

/// Guard that reports the end of its thread when it is dropped.
struct Life {
    alive: Arc<AtomicBool>,
    report: mpsc::Sender<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.alive.store(false, Relaxed);
        // A full channel means that another shard has already reported.
        let _ = self.report.try_send(());
    }
}
