//! Runs many clients through a series of requests, with a bounded number in flight.

use std::io;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use stun::agent::TransactionId;

use super::client::{Client, Heard, Step};
use super::error::LoadError;
use super::histogram::Histogram;
use super::link::{Link, Way};
use crate::cli::probe::error::{self as probe, ProbeError};
use crate::clock::Clock;

/// First retransmission interval, doubled each time, and number of transmissions. A request fails
/// after six seconds.
const RETRANSMIT: Duration = Duration::from_millis(200);
const TRIES: u32 = 5;
/// Interval between checks for requests without a response.
const ROUND: Duration = Duration::from_millis(20);
/// Messages that are read from one member at a time.
const MESSAGES: usize = 64;
/// Bytes of the receive buffer: more than any response.
const LONGEST: usize = 4096;

/// Client and its link to the server.
pub(super) struct Member {
    pub(super) client: Client,
    pub(super) link: Link,
    /// Index of the current request, and the time when the first was sent.
    step: usize,
    began: Duration,
}

/// Result of running the clients through their requests.
pub(super) struct Effort {
    /// Clients whose requests all succeeded.
    pub(super) done: u64,
    /// Clients that failed, if the run went on.
    pub(super) failed: u64,
    pub(super) took: Duration,
    /// Number of retransmissions.
    pub(super) resent: u64,
    /// Time of each client that succeeded.
    pub(super) times: Histogram,
}

/// Repetition: each client that is done starts over as a fresh one.
#[derive(Clone, Copy)]
pub(super) struct Again {
    /// Length of the run.
    pub(super) length: Duration,
    /// Maximum number of starts per second.
    pub(super) rate: f64,
}

/// Driver of the clients.
pub(super) struct ClientPool<'a> {
    pub(super) way: &'a Way,
    pub(super) clock: Clock,
    /// Maximum number of clients with a request in flight.
    pub(super) window: usize,
}

impl Member {
    pub(super) fn new(client: Client, way: &Way) -> io::Result<Self> {
        Ok(Self { client, link: Link::open(way)?, step: 0, began: Duration::ZERO })
    }
}

impl ClientPool<'_> {
    /// Runs every member through `steps`. Without `again`, the first rejection or timeout ends the
    /// run.
    pub(super) fn conduct(
        &self,
        members: &mut [Member],
        steps: &[Step],
        again: Option<Again>,
    ) -> Result<Effort, LoadError> {
        let mut poll = Poll::new()?;
        let mut events = Events::with_capacity(1024);
        let start = self.clock.now().mono;
        let mut effort =
            Effort { done: 0, failed: 0, took: Duration::ZERO, resent: 0, times: Histogram::new() };
        // Members that are still to start, in order, then those that start over. Below: the number
        // of starts, and of members in progress.
        let mut waiting: Vec<usize> = (0..members.len()).rev().collect();
        let (mut begun, mut open) = (0_u32, 0);
        let mut looked = start;
        for (place, member) in members.iter().enumerate() {
            register(&poll, &member.link, place)?;
        }
        loop {
            let now = self.clock.now().mono;
            effort.took = now - start;
            let is_over = again.is_some_and(|again| effort.took >= again.length);
            if is_over || (waiting.is_empty() && open == 0) {
                return Ok(effort);
            }
            let allowed = again.map_or(u32::MAX, |again| started(again.rate, effort.took));
            while open < self.window && begun < allowed {
                let Some(place) = waiting.pop() else { break };
                let member = &mut members[place];
                (member.step, member.began) = (0, now);
                self.ask(member, steps[0], now)?;
                begun += 1;
                open += 1;
            }
            let patience = if again.is_some() { Duration::from_millis(1) } else { ROUND };
            if let Err(error) = poll.poll(&mut events, Some(patience))
                && error.kind() != io::ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            let mut ended = Vec::new();
            for event in &events {
                let Token(place) = event.token();
                if let Some(through) = self.advance(&mut members[place], steps)? {
                    ended.push((place, through));
                }
            }
            let now = self.clock.now().mono;
            if now - looked >= ROUND {
                looked = now;
                let (resent, silent) = self.repeat(members, now)?;
                effort.resent += resent;
                ended.extend(silent.into_iter().map(|(place, trouble)| (place, Err(trouble))));
            }
            for (place, through) in ended {
                open -= 1;
                match through {
                    Ok(time) => {
                        effort.done += 1;
                        effort.times.add(time);
                    }
                    Err(trouble) if again.is_none() => return Err(self.fault(trouble, &effort)),
                    Err(_) => effort.failed += 1,
                }
                if again.is_some() {
                    members[place] = Member::new(members[place].client.anew(), self.way)?;
                    register(&poll, &members[place].link, place)?;
                    waiting.push(place);
                }
            }
        }
    }

    /// Handles the messages for a member. Returns the time taken once it is done, or the error.
    fn advance(
        &self,
        member: &mut Member,
        steps: &[Step],
    ) -> Result<Option<Result<Duration, ProbeError>>, LoadError> {
        let mut room = [0; LONGEST];
        // If the server sends faster than this loop reads, the next message makes the link ready
        // again.
        for _ in 0..MESSAGES {
            let length = match member.link.receive(&mut room) {
                Ok(Some(length)) => length,
                Ok(None) => return Ok(None),
                // No response is pending, and all received messages have been read.
                Err(_) if member.client.pending.is_none() => return Ok(None),
                Err(error) => {
                    member.client.pending = None;
                    return Ok(Some(Err(self.way.trouble(&error))));
                }
            };
            let now = self.clock.now().mono;
            match member.client.hear(&room[..length]) {
                Heard::Nothing => {}
                Heard::Again(step) => self.ask(member, step, now)?,
                Heard::Done => {
                    member.step += 1;
                    match steps.get(member.step) {
                        Some(&step) => self.ask(member, step, now)?,
                        None => return Ok(Some(Ok(now - member.began))),
                    }
                }
                Heard::Refused(step, code) => {
                    return Ok(Some(Err(ProbeError::Code { step: step.name(), code })));
                }
                Heard::Odd(step) => {
                    let error = "the response lacks a required attribute".to_owned();
                    return Ok(Some(Err(ProbeError::Odd { step: step.name(), error })));
                }
            }
        }
        Ok(None)
    }

    fn ask(&self, member: &mut Member, step: Step, now: Duration) -> Result<(), LoadError> {
        member.client.ask(step, TransactionId::new().0, now);
        send(member).map_err(|error| LoadError::from(self.way.trouble(&error)))
    }

    /// Retransmits requests without a response. Returns the number of retransmissions, and the
    /// members that timed out.
    fn repeat(
        &self,
        members: &mut [Member],
        now: Duration,
    ) -> Result<(u64, Vec<(usize, ProbeError)>), LoadError> {
        let (mut resent, mut silent) = (0, Vec::new());
        for (place, member) in members.iter_mut().enumerate() {
            let Some(pending) = &mut member.client.pending else { continue };
            if now - pending.sent < RETRANSMIT * 2_u32.pow(pending.tries - 1) {
                continue;
            }
            if pending.tries == TRIES {
                let step = pending.step;
                member.client.pending = None;
                silent.push((place, self.silence(&member.link, step)));
                continue;
            }
            (pending.sent, pending.tries) = (now, pending.tries + 1);
            // RFC 8489 section 6.2.2: a stream is reliable, so nothing is retransmitted on it.
            if matches!(member.link, Link::Udp(_)) {
                resent += 1;
                send(member).map_err(|error| self.way.trouble(&error))?;
            }
        }
        Ok((resent, silent))
    }

    /// Returns the error for a request without a response.
    fn silence(&self, link: &Link, asked: Step) -> ProbeError {
        let over = self.way.over();
        let step = match (link.waits_for(), asked) {
            (Some(step), _) => step,
            (None, Step::Ask) => probe::Step::Binding,
            (None, Step::Allocate) => probe::Step::Allocation,
            (None, other) => return ProbeError::Odd { step: other.name(), error: "no answer".to_owned() },
        };
        ProbeError::Silent { step, over }
    }

    fn fault(&self, trouble: ProbeError, effort: &Effort) -> LoadError {
        LoadError::Probe { trouble, done: effort.done }
    }
}

fn send(member: &mut Member) -> io::Result<()> {
    match &member.client.pending {
        Some(pending) => member.link.send(&pending.message),
        None => Ok(()),
    }
}

/// Returns the maximum number of starts so far.
fn started(rate: f64, after: Duration) -> u32 {
    #[expect(
        clippy::cast_sign_loss,
        clippy::cast_possible_truncation,
        reason = "a saturated number acts as no limit"
    )]
    let started = (rate * after.as_secs_f64()) as u32;
    started.saturating_add(1)
}

/// Registers a link with `poll`.
pub(super) fn register(poll: &Poll, link: &Link, place: usize) -> io::Result<()> {
    let interest = match link {
        Link::Udp(_) => Interest::READABLE,
        Link::Stream(_) => Interest::READABLE | Interest::WRITABLE,
    };
    poll.registry().register(&mut SourceFd(&link.raw_fd()), Token(place), interest)
}
