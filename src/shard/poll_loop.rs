//! One shard: one thread, one relay, and the loop that gives each ready socket its turn.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use byway_turn::server::Relay;
use mio::{Events, Poll};

use super::connections::Streams;
use super::core::{Core, Listener};
use super::counters::ShardCounters;
use super::idle::Pace;
use super::mailbox::{Mailbox, Slot};
use super::pinning::pin;
use super::reserved::ReservedSockets;
use super::sockets::Listeners;
use super::timer::Alarm;
use super::tuning::Tuning;
use crate::clock::Clock;
use crate::net::connection_limit::ConnectionLimiter;

/// Sockets that the kernel names ready at a time.
const EVENTS: usize = 1024;

/// A shard, its listeners named ready by its poll.
pub(super) struct Shard {
    index: u16,
    pub(super) listeners: Vec<Option<Listener>>,
    pub(super) reserved: ReservedSockets,
    pub(super) streams: Streams,
    pub(super) registry: mio::Registry,
    pub(super) relay: Relay,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) tuning: Tuning,
    clock: Clock,
}

/// What a shard is made of.
pub(super) struct Parts {
    pub(super) index: u16,
    pub(super) listeners: Listeners,
    pub(super) relay: Relay,
    pub(super) counters: Arc<ShardCounters>,
    pub(super) clock: Clock,
    pub(super) mailbox: Mailbox,
    /// The mailboxes of all shards.
    pub(super) slots: Arc<[Slot]>,
    pub(super) limiter: Arc<ConnectionLimiter>,
    /// The sockets in reserve of all shards.
    pub(super) reserved: ReservedSockets,
    pub(super) tuning: Tuning,
}

impl Shard {
    pub(super) fn new(parts: Parts, poll: &Poll) -> io::Result<Self> {
        let Parts { index, listeners, relay, counters, clock, mailbox, slots, limiter, reserved, tuning } =
            parts;
        let registry = poll.registry().try_clone()?;
        let mut udp = Vec::new();
        for (place, socket) in listeners.udp.into_iter().enumerate() {
            udp.push(socket.map(|socket| Listener::new(socket, place, &registry)).transpose()?);
        }
        let streams = Streams::new(index, listeners.tcp, mailbox, slots, limiter, &registry)?;
        Ok(Self { index, listeners: udp, reserved, streams, registry, relay, counters, tuning, clock })
    }

    /// Runs until told to stop, which it hears when its mailbox is woken.
    ///
    /// # Errors
    /// The kernel refuses to poll.
    pub(super) fn run(self, mut poll: Poll, stop: &AtomicBool) -> io::Result<()> {
        let cpu = self.tuning.incoming_cpu.then(|| self.keep_to_a_core()).flatten();
        let (clock, mut events) = (self.clock, Events::with_capacity(EVENTS));
        let mut pace = Pace::new(self.tuning.nap, self.tuning.busy_poll);
        let mut alarm = Alarm::new(&self.registry)?;
        // Buffers for the kernel stay on the thread that they are made on.
        let mut core = Core::new(self, cpu);
        let mut now = clock.now();
        while !stop.load(Relaxed) {
            let wait = (!core.is_idle() || pace.is_busy(now)).then_some(Duration::ZERO);
            alarm.set(now, core.next_deadline())?;
            poll.poll(&mut events, wait).or_else(ignore_interrupt)?;
            for event in &events {
                let source = event.token().into();
                if event.is_error() {
                    core.note_error(source);
                }
                core.make_ready(source);
            }
            // One clock read for the whole round.
            now = clock.now();
            let batches = core.serve_round(now);
            core.expire(now);
            if let Some(nap) = pace.after(now, batches).filter(|_| core.is_idle()) {
                core.counters.naps.add(1);
                thread::sleep(nap);
            }
        }
        Ok(())
    }

    /// Pins this thread to a core, and has the listeners prefer what comes in there; yields which.
    fn keep_to_a_core(&self) -> Option<usize> {
        let listeners = || self.listeners.iter().flatten();
        let pinned = pin(self.index).and_then(|core| {
            listeners().try_for_each(|listener| listener.prefer(core))?;
            Ok(core)
        });
        let unpinned = |error: &io::Error| {
            tracing::warn!(%error, shard = self.index, "relay.incoming_cpu: this shard is not pinned to a core");
        };
        pinned.inspect_err(unpinned).ok()
    }
}

fn ignore_interrupt(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}
