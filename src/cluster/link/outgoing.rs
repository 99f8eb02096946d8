//! Stream to one node: items that wait, and items on the way.

use std::collections::VecDeque;
use std::time::Duration;

use super::LinkTotals;
use crate::cluster::message::Item;

/// Bytes of items of one segment. A larger item has a segment of its own.
const SEGMENT: usize = 128 << 10;

/// Bytes of items on the way to one node.
const WINDOW: usize = 1 << 20;

/// Shortest time after which items without an acknowledgement are sent again.
const RESEND_AFTER: Duration = Duration::from_millis(300);

/// Longest such time, after several times.
const RESEND_AT_MOST: Duration = Duration::from_secs(3);

/// Stream to one node.
#[derive(Debug)]
pub(super) struct Outgoing {
    /// Its number, from 1.
    stream: u64,
    /// Items without an acknowledgement.
    queue: VecDeque<Item>,
    /// Bytes of these.
    bytes: usize,
    /// Number of the first of these, from 1.
    first: u64,
    /// Number of the next item to send.
    next: u64,
    /// Number above those that were ever sent.
    unsent: u64,
    /// Bytes of the items on the way, from `first` to `next`.
    on_way: usize,
    /// Whether the peer must be told that this stream has begun.
    must_announce: bool,
    /// Time at which what is on the way is sent again.
    resend_at: Option<Duration>,
    /// Time after which that is done.
    patience: Duration,
    /// Whether an item was sent again, and none was acknowledged since.
    is_cautious: bool,
    /// Number of an item that was sent once, and when.
    timed: Option<(u64, Duration)>,
    /// Average time until an acknowledgement.
    round_trip: Option<Duration>,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            stream: 1,
            queue: VecDeque::new(),
            bytes: 0,
            first: 1,
            next: 1,
            unsent: 1,
            on_way: 0,
            must_announce: false,
            resend_at: None,
            patience: RESEND_AFTER,
            is_cautious: false,
            timed: None,
            round_trip: None,
        }
    }
}

impl Outgoing {
    pub(super) fn stream(&self) -> u64 {
        self.stream
    }

    /// Number of items without an acknowledgement.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Bytes of the items without an acknowledgement.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the stream had any item.
    pub(super) fn is_used(&self) -> bool {
        self.first > 1 || !self.queue.is_empty()
    }

    pub(super) fn push(&mut self, item: Item) {
        self.bytes += item.size();
        self.queue.push_back(item);
    }

    /// Ends the stream, and begins `stream`. Returns the items without an acknowledgement.
    pub(super) fn restart(&mut self, stream: u64) -> Vec<Item> {
        let Self { patience, round_trip, .. } = *self;
        let before = std::mem::replace(self, Self { stream, patience, round_trip, ..Self::default() });
        before.queue.into()
    }

    /// Tells the peer that this stream has begun, even if there is no item.
    pub(super) fn announce(&mut self) {
        self.must_announce = true;
    }

    pub(super) fn needs_no_announcement(&mut self) {
        self.must_announce = false;
    }

    /// Begins to send from the first item without an acknowledgement.
    pub(super) fn rewind(&mut self) {
        self.next = self.first;
        self.on_way = 0;
        self.resend_at = None;
        self.timed = None;
    }

    /// Time at which items are sent again.
    pub(super) fn next_timeout(&self) -> Option<Duration> {
        self.resend_at
    }

    /// Returns the next items to send now, and the number of the first. They may be none, to tell
    /// that the stream has begun.
    pub(super) fn next(&mut self, now: Duration, totals: &mut LinkTotals) -> Option<(u64, Vec<Item>)> {
        if self.resend_at.is_some_and(|at| at <= now) {
            self.rewind();
            self.is_cautious = true;
            self.patience = (self.patience * 2).min(RESEND_AT_MOST);
        }
        let first = self.next;
        let mut items = Vec::new();
        // After a loss, a single segment asks whether the peer is there.
        let window = if self.is_cautious { 1 } else { WINDOW };
        if self.on_way < window {
            let mut bytes = 0;
            let skip = usize::try_from(first - self.first).ok()?;
            for item in self.queue.iter().skip(skip) {
                if !items.is_empty() && bytes + item.size() > SEGMENT {
                    break;
                }
                bytes += item.size();
                items.push(item.clone());
            }
            self.on_way += bytes;
        }
        if items.is_empty() && !(self.must_announce && self.resend_at.is_none()) {
            return None;
        }
        self.next += items.len() as u64;
        let fresh = self.next.saturating_sub(self.unsent.max(first));
        totals.sent += fresh;
        totals.resent += items.len() as u64 - fresh;
        if fresh > 0 {
            self.unsent = self.next;
            self.timed.get_or_insert((self.next - 1, now));
        }
        self.resend_at.get_or_insert(now + self.patience);
        Some((first, items))
    }

    /// Notes that the items up to number `last` of this stream have come.
    pub(super) fn acknowledge(&mut self, now: Duration, last: u64) {
        self.must_announce = false;
        if last >= self.unsent || last < self.first {
            if self.on_way == 0 {
                self.resend_at = None;
            }
            return;
        }
        while self.first <= last {
            let Some(item) = self.queue.pop_front() else { break };
            self.bytes -= item.size();
            if self.first < self.next {
                self.on_way -= item.size();
            }
            self.first += 1;
        }
        self.next = self.next.max(self.first);
        self.is_cautious = false;
        if let Some((_, sent)) = self.timed.take_if(|(number, _)| *number <= last) {
            let sample = now.saturating_sub(sent);
            let average = self.round_trip.map_or(sample, |before| (before * 7 + sample) / 8);
            self.round_trip = Some(average);
            self.patience = (average * 2).clamp(RESEND_AFTER, RESEND_AT_MOST);
        }
        self.resend_at = (self.next > self.first).then(|| now + self.patience);
    }
}
