//! Measures the effect on other rooms of one member that does not read while its room sends to it.

use std::time::Duration;

use crate::crowd::{Client, Crowd, Plan, Role, Schedule, sorted};
use crate::dialect::Word;

/// Number of senders: a full room without the stalled member.
const SENDERS: usize = 7;
/// Signals per second of all senders, below the server's flood limit.
const PER_SECOND: u32 = 40 * 7;
/// Bytes of a signal, just below the longest message.
const LENGTH: usize = 60_000;
/// Time that the member does not read. Then it reads why it was closed, and rejoins.
const STALLED: Duration = Duration::from_millis(400);
/// Signals per second in the other rooms, and the alternating segments with and without the member.
const OTHERS: u32 = 1_000;
const SEGMENT: Duration = Duration::from_millis(1_000);
const SEGMENTS: u32 = 20;
/// Time at the start of a segment for the signals of the segment before.
const SETTLED: Duration = Duration::from_millis(300);

/// Room of the member that does not read.
pub(crate) struct Stall {
    is_on: bool,
    senders: Vec<usize>,
    joined: usize,
    staller: Option<usize>,
    /// Whether either side has closed this connection.
    is_going: bool,
    target: Option<String>,
    resume: Option<String>,
    deaf_since: Duration,
    sends: Schedule,
    turn: usize,
    data: String,
    /// Number of times that the server closed it as too slow.
    closed: usize,
}

/// Result of the measurement.
pub(crate) struct Found {
    /// Sorted 99th percentiles of signals in other rooms, one per segment. A short halt of the
    /// machine spoils one segment, which the median leaves out.
    pub(crate) with: Vec<Duration>,
    pub(crate) without: Vec<Duration>,
    /// Number of times that the member was closed.
    pub(crate) closed: usize,
}

/// Measures the other rooms of `crowd`, alternately with and without the member.
pub(crate) fn measure(crowd: &mut Crowd) -> Found {
    let now = crowd.now();
    let stall = Stall {
        is_on: false,
        senders: Vec::new(),
        joined: 0,
        staller: None,
        is_going: false,
        target: None,
        resume: None,
        deaf_since: now,
        sends: Schedule::new(PER_SECOND, now),
        turn: 0,
        data: "x".repeat(LENGTH),
        closed: 0,
    };
    let mut plan = Plan { joins: None, signals: Some(Schedule::new(OTHERS, now)), stall: Some(stall) };
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for segment in 0..SEGMENTS {
        let is_on = segment % 2 == 1;
        if let Some(stall) = &mut plan.stall {
            stall.is_on = is_on;
            stall.sends.next = crowd.now();
        }
        crowd.run(SETTLED, &mut plan);
        let from = crowd.now();
        crowd.run(SEGMENT, &mut plan);
        // Signals under way have long arrived when the times are read.
        (if is_on { &mut with } else { &mut without }).push((from, crowd.now()));
    }
    crowd.run(SETTLED, &mut plan);
    let p99 = |(from, until): &(Duration, Duration)| {
        let times = crowd.signal_times(*from, *until);
        times.get(times.len() * 99 / 100).copied()
    };
    let times = |segments: &[(Duration, Duration)]| sorted(segments.iter().filter_map(p99));
    Found { with: times(&with), without: times(&without), closed: plan.stall.map_or(0, |stall| stall.closed) }
}

impl Stall {
    /// Does everything that is due. Returns the client that reads again.
    pub(crate) fn turn(&mut self, crowd: &mut Crowd, now: Duration) -> Option<usize> {
        while self.senders.len() < SENDERS {
            let sender = crowd.open(Role::Sender, self.senders.len()).expect("a connection");
            self.senders.push(sender);
        }
        if self.is_on && self.joined == SENDERS && self.staller.is_none() {
            self.staller = Some(crowd.open(Role::Staller, 0).expect("a connection"));
        }
        while self.is_on && self.sends.due(now).is_some() {
            let Some(target) = &self.target else { continue };
            let text = format!(r#"{{"type":"signal","to":"{target}","data":"{}"}}"#, self.data);
            let sender = self.senders[self.turn % SENDERS];
            self.turn += 1;
            crowd.clients[sender].socket.text(text.as_bytes());
        }
        let staller = self.staller?;
        let client = &mut crowd.clients[staller];
        let stalled = now.saturating_sub(self.deaf_since);
        if client.is_deaf && (stalled >= STALLED || !self.is_on) {
            client.is_deaf = false;
            return Some(staller);
        }
        let was_heard = !client.is_deaf && self.target.is_some() && !self.is_going;
        if was_heard && !self.is_on {
            (self.target, self.is_going) = (None, true);
            client.socket.close();
        } else if was_heard && stalled >= STALLED * 2 {
            // The server has not closed it: stall once more.
            (client.is_deaf, self.deaf_since) = (true, now);
        }
        None
    }

    /// Returns the first message of a client of this room.
    pub(crate) fn join(&self, role: Role) -> String {
        let resume = self.resume.as_ref().filter(|_| role == Role::Staller);
        let resume = resume.map(|resume| format!(r#","resume":"{resume}""#)).unwrap_or_default();
        format!(r#"{{"type":"join","room":"stalled"{resume}}}"#)
    }

    /// Handles a message to a client of this room.
    pub(crate) fn take(&mut self, client: &mut Client, now: Duration, word: Word) {
        match word {
            Word::Joined { .. } if client.role == Role::Sender => self.joined += 1,
            Word::Joined { id, resume, .. } => {
                (self.target, self.resume, self.deaf_since) = (Some(id), resume, now);
                client.is_deaf = true;
            }
            Word::Bye(code) => {
                assert_eq!(code, "too-slow");
                self.closed += 1;
                (self.target, self.is_going) = (None, true);
                client.socket.close();
            }
            // The member is absent at the moment.
            _ => {}
        }
    }

    /// Records the end of a client's connection.
    pub(crate) fn ended(&mut self, role: Role) {
        assert!(role == Role::Staller, "the server closed a sender");
        (self.staller, self.target, self.is_going) = (None, None, false);
    }
}
