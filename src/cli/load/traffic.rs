//! Datagrams through allocations at a steady rate, and their delivery. It runs on one thread, which
//! never sleeps while work is pending.

use std::io::{self, ErrorKind};
use std::net::UdpSocket;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use byway_udp::{Destination, Flushed, Inbox, Outbox, Transmit, UNMARKED};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::flow::{Flow, Stamp};
use super::histogram::Histogram;
use super::link::Link;
use super::pace::Pace;
use super::setup::{Member, register};
use crate::clock::Clock;

/// Datagrams to send before looking for received ones.
const BATCH: u64 = 64;
/// Batches to receive from one socket before the next socket's turn.
const BATCHES: usize = 32;
/// Time to wait for datagrams in flight after the run: `QUIET` since the last one arrived, and at
/// most `LINGER` in all.
const QUIET: Duration = Duration::from_millis(300);
const LINGER: Duration = Duration::from_secs(2);
/// Interval between two looks at the sockets beyond which latency is unknown, because other
/// programs had the core.
const HELD_UP: Duration = Duration::from_millis(1);
/// Shortest time worth a wait in the kernel, which waits in milliseconds. For a shorter one this
/// thread spins.
const WORTH_WAITING: Duration = Duration::from_millis(2);

/// Result of a run.
pub(super) struct TrafficOutcome {
    /// Requested rate in datagrams per second.
    pub(super) rate: f64,
    /// Time of sending.
    pub(super) length: Duration,
    pub(super) sent: u64,
    /// Datagrams that arrived, and those of them that arrived during sending. Queued datagrams say
    /// nothing about speed.
    pub(super) delivered: u64,
    in_time: u64,
    /// Datagrams that arrived after a later one of their flow.
    pub(super) reordered: u64,
    pub(super) latency: Histogram,
    /// Datagrams that arrived with unknown latency because this program was delayed.
    pub(super) unknown: u64,
    /// Datagrams that were not sent because this program was delayed.
    pub(super) missed: u64,
    /// Datagrams that the kernel did not accept, or a connection that the server reads too slowly.
    pub(super) refused: u64,
    /// Connections that ended.
    pub(super) ended: u64,
    /// Whether this program was the reason why no higher rate was found.
    pub(super) is_bounded_here: bool,
}

/// Generator of traffic: sockets, buffers and flows.
pub(super) struct Traffic<'a> {
    clock: Clock,
    members: &'a mut [Member],
    /// Peers' sockets; their indices follow those of the members.
    peers: &'a [UdpSocket],
    flows: Vec<Flow>,
    /// Per flow: the numbers of the latest datagram sent and the latest one received.
    numbers: Vec<(u64, u64)>,
    size: usize,
    train: u64,
    /// Index of the next flow to send.
    turn: usize,
    run: u32,
    poll: Poll,
    events: Events,
    /// Sockets that may have data; a flag for each index in that list; a flag for each connection
    /// that has ended.
    ready: Vec<usize>,
    is_ready: Vec<bool>,
    has_ended: Vec<bool>,
    /// Times of the last two looks at the sockets, the latest first.
    looked: [Duration; 2],
    inbox: Inbox,
    outbox: Outbox<usize, ()>,
    /// Connections with data to send.
    unsent: Vec<usize>,
    /// Content of payloads behind their stamps.
    filler: Vec<u8>,
    head: Vec<u8>,
}

impl<'a> Traffic<'a> {
    /// Creates a generator. Every datagram has `size` bytes of payload, and `train` of a flow go
    /// back to back.
    pub(super) fn new(
        clock: Clock,
        members: &'a mut [Member],
        peers: &'a [UdpSocket],
        flows: Vec<Flow>,
        (size, train): (usize, u64),
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        for (place, member) in members.iter().enumerate() {
            register(&poll, &member.link, place)?;
        }
        for (place, peer) in (members.len()..).zip(peers) {
            poll.registry().register(&mut SourceFd(&peer.as_raw_fd()), Token(place), Interest::READABLE)?;
        }
        let places = members.len() + peers.len();
        Ok(Self {
            numbers: vec![(0, 0); flows.len()],
            turn: 0,
            // The process ID distinguishes datagrams of another program's run.
            run: std::process::id() << 8,
            poll,
            events: Events::with_capacity(1024),
            // Sockets may have received data before they were registered, so all count as ready.
            ready: (0..places).collect(),
            is_ready: vec![true; places],
            has_ended: vec![false; members.len()],
            looked: [clock.now().mono; 2],
            inbox: Inbox::new(BATCHES, 0),
            outbox: Outbox::new(train > 1),
            unsent: Vec::new(),
            filler: vec![0x5A; size],
            head: Vec::new(),
            clock,
            members,
            peers,
            flows,
            size,
            train,
        })
    }

    /// Sends `rate` datagrams per second for `length`, round robin over all flows, then waits for
    /// those in flight.
    pub(super) fn run(&mut self, rate: f64, length: Duration) -> io::Result<TrafficOutcome> {
        self.run = self.run.wrapping_add(1);
        self.numbers.fill((0, 0));
        let mut pace = Pace::new(rate, self.train);
        let mut outcome = TrafficOutcome::new(rate);
        let start = self.now();
        loop {
            let now = self.now();
            outcome.length = now - start;
            if outcome.length >= length {
                break;
            }
            let due = pace.due(outcome.length, BATCH);
            if due > 0 {
                self.send(due, now, &mut outcome);
            }
            let idle = pace.next().min(length).saturating_sub(self.now() - start);
            self.receive(idle, &mut outcome)?;
        }
        outcome.missed = pace.missed;
        outcome.in_time = outcome.delivered;
        let end = self.now();
        let mut latest = end;
        while outcome.delivered < outcome.sent {
            let now = self.now();
            if now - latest > QUIET || now - end > LINGER {
                break;
            }
            let before = outcome.delivered;
            self.receive(QUIET, &mut outcome)?;
            if outcome.delivered > before {
                latest = self.now();
            }
        }
        Ok(outcome)
    }

    fn now(&self) -> Duration {
        self.clock.now().mono
    }

    fn send(&mut self, count: u64, now: Duration, outcome: &mut TrafficOutcome) {
        for i in 0..count {
            let flow = &self.flows[self.turn];
            let number = &mut self.numbers[self.turn].0;
            *number += 1;
            let place = u32::try_from(self.turn).expect("there are fewer flows than sockets");
            let stamp = Stamp { run: self.run, flow: place, number: *number, sent: now };
            flow.write_head(stamp, &mut self.head);
            let rest = 0..flow.rest(self.size);
            match self.members.get_mut(flow.from).map(|member| &mut member.link) {
                Some(Link::Stream(stream)) => {
                    // The stream adds its own padding.
                    if !self.has_ended[flow.from] && stream.put([&self.head, &self.filler[rest]]) {
                        outcome.sent += 1;
                        self.unsent.push(flow.from);
                    } else {
                        outcome.refused += 1;
                    }
                }
                _ => {
                    let destination = Destination {
                        address: flow.to,
                        source: None,
                        traffic_class: UNMARKED,
                        dont_fragment: false,
                    };
                    self.outbox.push(Transmit {
                        socket: flow.from,
                        tag: (),
                        destination,
                        header: &self.head,
                        payload: rest,
                        padding: flow.padding,
                    });
                }
            }
            if (i + 1) % self.train == 0 {
                self.turn = (self.turn + 1) % self.flows.len();
            }
        }
        let Self { outbox, filler, members, peers, .. } = self;
        let socket_of = |place: usize| match members.get(place).map(|member| &member.link) {
            Some(Link::Udp(socket)) => Some(socket),
            Some(Link::Stream(_)) => None,
            None => peers.get(place - members.len()),
        };
        let Flushed { outcomes, .. } = outbox.flush(filler, socket_of);
        for flushed in outcomes {
            match flushed.result {
                Ok(()) => outcome.sent += flushed.datagrams,
                Err(_) => outcome.refused += flushed.datagrams,
            }
        }
        self.unsent.dedup();
        while let Some(place) = self.unsent.pop() {
            let Link::Stream(stream) = &mut self.members[place].link else { continue };
            if stream.flush().is_err() && !std::mem::replace(&mut self.has_ended[place], true) {
                outcome.ended += 1;
            }
        }
    }

    /// Receives one round of datagrams. Waits up to `idle` if no socket has data.
    fn receive(&mut self, idle: Duration, outcome: &mut TrafficOutcome) -> io::Result<()> {
        let wait = if self.ready.is_empty() && idle >= WORTH_WAITING {
            idle - WORTH_WAITING / 2
        } else {
            Duration::ZERO
        };
        match self.poll.poll(&mut self.events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        let now = self.now();
        self.looked = if wait.is_zero() { [now, self.looked[0]] } else { [now; 2] };
        for event in &self.events {
            let Token(place) = event.token();
            if !std::mem::replace(&mut self.is_ready[place], true) {
                self.ready.push(place);
            }
        }
        // Sockets with more data stay in the list for the next round.
        for i in 0..self.ready.len() {
            let place = self.ready[i];
            self.is_ready[place] = self.receive_from(place, outcome);
        }
        let is_ready = &self.is_ready;
        self.ready.retain(|place| is_ready[*place]);
        Ok(())
    }

    /// Receives some datagrams from one socket, and returns whether there may be more.
    fn receive_from(&mut self, place: usize, outcome: &mut TrafficOutcome) -> bool {
        let Self { inbox, members, peers, clock, run, numbers, has_ended, .. } = self;
        let looked = self.looked[1];
        let socket = match members.get_mut(place).map(|member| &mut member.link) {
            Some(Link::Stream(_)) if has_ended[place] => return false,
            Some(Link::Stream(stream)) => {
                let mut more = || {
                    stream.flush()?;
                    let more = stream.fill()?;
                    let now = clock.now().mono;
                    while let Some(message) = stream.next()? {
                        outcome.note(Stamp::of_message(message), *run, numbers, [looked, now]);
                    }
                    Ok::<_, io::Error>(more)
                };
                return more().unwrap_or_else(|_| {
                    has_ended[place] = true;
                    outcome.ended += 1;
                    false
                });
            }
            Some(Link::Udp(socket)) => &*socket,
            None => &peers[place - members.len()],
        };
        inbox.clear();
        // An error is an ICMP message about an earlier datagram, which counts as lost.
        let Ok(places) = inbox.receive(socket, BATCHES) else { return true };
        let (now, more) = (clock.now().mono, places.len() == BATCHES);
        for batch in places.filter_map(|place| inbox.batch(place)) {
            for span in batch.datagrams() {
                let datagram = &inbox.bytes()[span];
                let is_members = place < members.len();
                let stamp = if is_members { Stamp::of_message(datagram) } else { Stamp::read(datagram) };
                outcome.note(stamp, *run, numbers, [looked, now]);
            }
        }
        more
    }
}

impl TrafficOutcome {
    fn new(rate: f64) -> Self {
        Self {
            rate,
            length: Duration::ZERO,
            sent: 0,
            delivered: 0,
            in_time: 0,
            reordered: 0,
            latency: Histogram::new(),
            unknown: 0,
            missed: 0,
            refused: 0,
            ended: 0,
            is_bounded_here: false,
        }
    }

    /// Returns the share of sent datagrams that did not arrive, 0 to 1.
    pub(super) fn loss(&self) -> f64 {
        share(self.sent.saturating_sub(self.delivered), self.sent)
    }

    /// Returns the rate of sent datagrams per second.
    pub(super) fn sent_per_second(&self) -> f64 {
        per_second(self.sent, self.length)
    }

    /// Returns the rate of datagrams per second that arrived during sending.
    pub(super) fn delivered_per_second(&self) -> f64 {
        per_second(self.in_time, self.length)
    }

    /// Whether this program could not send at the requested rate.
    pub(super) fn is_late(&self) -> bool {
        share(self.missed, self.sent + self.missed) > 0.02
    }

    fn note(
        &mut self,
        stamp: Option<Stamp>,
        run: u32,
        numbers: &mut [(u64, u64)],
        [looked, now]: [Duration; 2],
    ) {
        let Some(stamp) = stamp.filter(|stamp| stamp.run == run) else { return };
        self.delivered += 1;
        if now - looked > HELD_UP {
            self.unknown += 1;
        } else {
            self.latency.add(now.saturating_sub(stamp.sent));
        }
        // A Binding response does not identify its flow.
        if let Some((_, latest)) = usize::try_from(stamp.flow).ok().and_then(|flow| numbers.get_mut(flow)) {
            self.reordered += u64::from(stamp.number < *latest);
            *latest = stamp.number.max(*latest);
        }
    }
}

/// Returns a part of a whole, 0 if the whole is 0.
pub(super) fn share(part: u64, whole: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// Returns a count per second.
pub(super) fn per_second(count: u64, time: Duration) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    if time.is_zero() { 0.0 } else { count as f64 / time.as_secs_f64() }
}
