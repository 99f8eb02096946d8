//! Shards: the relay core on real sockets, one thread for each shard.
//!
//! A shard owns one [`byway_turn::server::Relay`] with `&mut`, one listening socket for each
//! configured address, the connections that it has accepted and every relay socket of its
//! allocations. The kernel pins a client's 4-tuple to one shard (`SO_REUSEPORT`), so both
//! directions of a call run on one thread: between receiving a datagram and sending it on as one
//! there is no lock, no channel to another thread and no `.await`. The sockets of ports in reserve
//! are the one thing that moves from shard to shard, behind a lock that no datagram meets.
//!
//! # Path of a datagram
//!
//! | step | function | file |
//! |---|---|---|
//! | wait for sockets that are ready | `Shard::run`, `take_events` | `poll_loop.rs` |
//! | give each its turn | `serve_round`, `serve` | `schedule.rs` |
//! | receive batches (`recvmmsg`) | `serve_udp_listener`, `serve_relay_socket`; `Inbox::receive` | `receive.rs`; `byway-udp` |
//! | have the relay decide | `Relay::client_datagram`, `Relay::peer_datagram` | `byway-turn` |
//! | do what its `Action` says | `act`, `send_to_peer`, `send_to_client`, `send_reply` | `act.rs` |
//! | open and close relay sockets | `take_effects` | `relay_sockets.rs` |
//! | send (`sendmmsg`) and count | `flush`, `count_outcome`; `Outbox::flush` | `flush.rs`; `byway-udp` |
//!
//! # Path of a message on a connection
//!
//! | step | function | file |
//! |---|---|---|
//! | accept | `serve_tcp_listener`, `admit` | `accept.rs` |
//! | read, frame, have the relay decide | `serve_connection`, `read_chunk`, `serve_messages` | `receive_stream.rs` |
//! | do what its `Action` says | `act` | `act.rs` |
//! | send to a client | `Connections::send`, `Connections::flush` | `connections.rs`, `connection.rs` |
//! | close when it is of no use | `check_connections`, `evict_unauthenticated` | `unauthenticated.rs` |
//!
//! Other threads reach a shard by its mailbox: `serve_mailbox` in `mailbox.rs`.

mod accept;
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
pub use counters::{Direction, RelayCounters, ShardCounters};
use mailbox::MailboxSender;
pub use mailbox::{AddressUpdates, ConnectionSender, TurnConnection};
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

/// The data plane at work: all shards.
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
    /// Starts one shard for each of `shards`. Datagrams that came since their sockets were bound
    /// are served first.
    ///
    /// # Errors
    /// The kernel had no thread or no poll to give.
    pub fn start(shards: Vec<ShardConfig>, tuning: Tuning, clock: Clock) -> io::Result<Self> {
        // Every shard can reach every other's mailbox, so these come first.
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

    /// Returns the handle that gives the shards connections which other threads have accepted.
    #[must_use]
    pub fn connection_sender(&self) -> ConnectionSender {
        ConnectionSender::new(self.mailboxes.clone())
    }

    /// Returns the handle that asks whether every shard answers.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse { mailboxes: self.mailboxes.clone() }
    }

    /// Returns the handle that tells the shards of addresses that come and go.
    #[must_use]
    pub fn address_updates(&self) -> AddressUpdates {
        AddressUpdates::new(self.mailboxes.clone())
    }

    /// Returns the allocations of all shards, by their names. `shared` is what the relays of the
    /// shards share.
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

    /// Waits until one shard has ended, which happens only when it was told to stop or has failed.
    pub async fn ended(&mut self) {
        self.ended.recv().await;
    }

    /// Ends the threads, and waits for that.
    pub fn stop(self) {
        self.stop.store(true, Relaxed);
        self.mailboxes.iter().for_each(MailboxSender::wake);
        for worker in self.threads {
            // A shard that panicked has said so on standard error.
            let _ = worker.thread.join();
        }
    }
}

impl Worker {
    /// Moves a shard to a thread of its own, and runs it there.
    fn start(index: u16, shard: Shard, stop: Arc<AtomicBool>, report: mpsc::Sender<()>) -> io::Result<Self> {
        let alive = Arc::new(AtomicBool::new(true));
        let life = Life { alive: alive.clone(), report };
        let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
            // Dropped however the thread ends, by a panic, too.
            let _life = life;
            if let Err(error) = shard.run(&stop) {
                tracing::error!(%error, shard = index, "a shard of the data plane ended");
            }
        })?;
        Ok(Self { alive, thread })
    }
}

/// Reports that its thread has ended when it is dropped.
struct Life {
    alive: Arc<AtomicBool>,
    report: mpsc::Sender<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.alive.store(false, Relaxed);
        // Full: another shard has reported already.
        let _ = self.report.try_send(());
    }
}
