//! One member that does not read, while the others of its room go on talking to it: what do other
//! rooms see of that?

use std::time::Duration;

use crate::crowd::{Client, Crowd, Plan, Role, Schedule, sorted};
use crate::dialect::Word;

/// As many as a room has beside the one.
const SENDERS: usize = 7;
/// Signals a second of them all: below what a server takes for a flood.
const PER_SECOND: u32 = 40 * 7;
/// Bytes of one, just below the largest message.
const LENGTH: usize = 60_000;
/// How long the member reads nothing. Then it hears why it was closed, and comes again.
const STALLED: Duration = Duration::from_millis(400);
/// Signals a second in the other rooms, and how long they are measured with and without, in turns.
const OTHERS: u32 = 1_000;
const SEGMENT: Duration = Duration::from_millis(1_000);
const SEGMENTS: u32 = 20;
/// At the beginning of a segment, how long what was under way in the one before may last.
const SETTLED: Duration = Duration::from_millis(300);

/// The room of the member that does not read.
pub(crate) struct Stall {
    is_on: bool,
    senders: Vec<usize>,
    joined: usize,
    staller: Option<usize>,
    /// It has been told, or has said, that this connection ends.
    is_going: bool,
    target: Option<String>,
    resume: Option<String>,
    deaf_since: Duration,
    sends: Schedule,
    turn: usize,
    data: String,
    /// How often the server has closed it as too slow.
    closed: usize,
}

/// What was found.
pub(crate) struct Found {
    /// The 99th percentile of signals in other rooms, by segment, in order: a machine that halts
    /// for a moment spoils one of them, which the median leaves out.
    pub(crate) with: Vec<Duration>,
    pub(crate) without: Vec<Duration>,
    /// How often the member was closed.
    pub(crate) closed: usize,
}

/// Measures the other rooms of `crowd` with and without, in turns.
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
        // Those that are under way are long due when all is read.
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
    /// Does what is due. Returns who reads again.
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
            // Nobody has closed it: once more.
            (client.is_deaf, self.deaf_since) = (true, now);
        }
        None
    }

    /// The first message of one of them.
    pub(crate) fn join(&self, role: Role) -> String {
        let resume = self.resume.as_ref().filter(|_| role == Role::Staller);
        let resume = resume.map(|resume| format!(r#","resume":"{resume}""#)).unwrap_or_default();
        format!(r#"{{"type":"join","room":"stalled"{resume}}}"#)
    }

    /// What one of them hears.
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
            // Nobody is there just now.
            _ => {}
        }
    }

    /// One of their connections has ended.
    pub(crate) fn ended(&mut self, role: Role) {
        assert!(role == Role::Staller, "the server closed a sender");
        (self.staller, self.target, self.is_going) = (None, None, false);
    }
}
