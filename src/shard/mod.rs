//! The data plane: the relay core on real sockets, one thread for each shard.
//!
//! A shard owns one [`byway_turn::server::Relay`] with `&mut`, one listening socket for each configured address, the connections
//! that it has taken in and every relay socket of its allocations. The kernel pins a client's 4-tuple to one shard
//! (`SO_REUSEPORT`), so both directions of a call run on one thread: between receiving a datagram and sending it on as one
//! there is no lock, no channel to another thread and no `.await`. The sockets of ports in reserve are the one thing that
//! moves from shard to shard, behind a lock that no datagram meets.

mod allocations;
mod connection;
mod connections;
mod core;
mod counters;
mod idle;
mod mailbox;
mod pinning;
mod poll_loop;
mod poll_token;
mod pulse;
mod reserved;
mod schedule;
mod sockets;
mod timer;
mod tuning;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use byway_turn::server::{Relay, Shared};
use mio::Poll;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::net::connection_limit::ConnectionLimiter;

pub use allocations::Allocations;
pub use counters::{Direction, RelayCounters, ShardCounters};
use mailbox::Slot;
pub use mailbox::{AddressDoor, StreamDoor, TurnStream};
use poll_loop::{Parts, Shard};
use poll_token::Source;
pub use pulse::Pulse;
use reserved::ReservedSockets;
pub use sockets::{
    Addresses, BindFailed, Listeners, bind_listeners, bind_tcp, bind_tcp_listeners, bind_udp_listeners,
    is_missing,
};
pub use tuning::Tuning;

/// A data plane at work.
pub struct DataPlane {
    threads: Vec<Worker>,
    slots: Arc<[Slot]>,
    stop: Arc<AtomicBool>,
    ended: mpsc::Receiver<()>,
}

struct Worker {
    alive: Arc<AtomicBool>,
    thread: thread::JoinHandle<()>,
}

impl DataPlane {
    /// Starts one shard on each of `listeners`, which must be as many as there are `relays`. Datagrams that came since
    /// the sockets were bound are served first. Each shard has `limiter` of its own, because it can make room among
    /// its own connections only.
    ///
    /// # Errors
    /// The kernel had no thread or no poll to give.
    pub fn start(
        listeners: Vec<Listeners>,
        relays: Vec<(Relay, Arc<ShardCounters>)>,
        limiter: impl Fn() -> Arc<ConnectionLimiter>,
        tuning: Tuning,
        clock: Clock,
    ) -> io::Result<Self> {
        // Every shard can reach every other's mailbox, so these come first.
        let mailboxes = listeners.iter().map(|_| {
            let poll = Poll::new()?;
            let (slot, mailbox) = Slot::new(&poll, Source::Mailbox.into())?;
            Ok((slot, (poll, mailbox)))
        });
        let (slots, mailboxes): (Vec<_>, Vec<_>) =
            mailboxes.collect::<io::Result<Vec<_>>>()?.into_iter().unzip();
        let slots: Arc<[Slot]> = slots.into();

        let stop = Arc::<AtomicBool>::default();
        let (report, ended) = mpsc::channel(1);
        let mut threads = Vec::new();
        let reserved = ReservedSockets::default();
        for (((index, listeners), (relay, counters)), (poll, mailbox)) in
            (0..).zip(listeners).zip(relays).zip(mailboxes)
        {
            let (slots, limiter) = (slots.clone(), limiter());
            let reserved = reserved.clone();
            let parts =
                Parts { index, listeners, relay, counters, clock, mailbox, slots, limiter, reserved, tuning };
            let shard = Shard::new(parts, &poll)?;
            let stop = stop.clone();
            let alive = Arc::new(AtomicBool::new(true));
            let life = Life { alive: alive.clone(), report: report.clone() };
            let thread = thread::Builder::new().name(format!("shard-{index}")).spawn(move || {
                // Dropped however the thread ends, by a panic, too.
                let _life = life;
                if let Err(error) = shard.run(poll, &stop) {
                    tracing::error!(%error, shard = index, "a shard of the data plane ended");
                }
            })?;
            threads.push(Worker { alive, thread });
        }
        Ok(Self { threads, slots, stop, ended })
    }

    /// Where connections are handed over that others have taken in.
    #[must_use]
    pub fn streams(&self) -> StreamDoor {
        StreamDoor::new(self.slots.clone())
    }

    /// Asks whether every shard answers.
    #[must_use]
    pub fn pulse(&self) -> Pulse {
        Pulse { slots: self.slots.clone() }
    }

    /// Door by which the shards are told of addresses that come and go.
    #[must_use]
    pub fn addresses(&self) -> AddressDoor {
        AddressDoor::new(self.slots.clone())
    }

    /// The allocations of all shards, by their names. `shared` is what the relays of the shards share.
    #[must_use]
    pub fn allocations(&self, shared: Arc<Shared>) -> Allocations {
        Allocations { shared, slots: self.slots.clone() }
    }

    /// Which shards have ended, for a health check that outlives `self`.
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
        self.slots.iter().for_each(Slot::wake);
        for worker in self.threads {
            // A shard that panicked has said so on standard error.
            let _ = worker.thread.join();
        }
    }
}

/// Says that its thread has ended when it is dropped.
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
