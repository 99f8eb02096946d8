//! Streams between nodes, as `cluster::link` gives them: each item once and in order, after any
//! delay. A reset cuts both directions.

use std::collections::VecDeque;

use serde_json::value::RawValue;

/// Stream from one node to another, as seen from outside.
#[derive(Default)]
pub(super) struct Stream {
    /// Number of the stream at the sender.
    epoch: u64,
    /// Number of the last item.
    last: u64,
    /// Lowest number of a stream that the receiver takes.
    taken: u64,
    /// Highest number of a stream that the receiver has seen.
    seen: u64,
    queue: VecDeque<Packet>,
    unacknowledged: VecDeque<(u64, Box<RawValue>)>,
    /// Whether an event for its queue is scheduled.
    pub(super) is_scheduled: bool,
}

pub(super) struct Packet {
    pub(super) epoch: u64,
    pub(super) number: u64,
    /// Time at which it arrives, if nothing is in the way.
    pub(super) at: u64,
    /// `None`: the sender has begun a new stream.
    pub(super) body: Option<Box<RawValue>>,
}

/// Arrival of a packet.
pub(super) enum Arrival {
    Item { json: Box<RawValue>, epoch: u64, number: u64 },
    NewStream,
}

impl Stream {
    pub(super) fn send(&mut self, at: u64, json: Box<RawValue>) {
        self.last += 1;
        self.unacknowledged.push_back((self.last, json.clone()));
        self.push(at, Some(json));
    }

    fn push(&mut self, at: u64, body: Option<Box<RawValue>>) {
        let at = self.queue.back().map_or(at, |last| last.at.max(at));
        self.queue.push_back(Packet { epoch: self.epoch, number: self.last, at, body });
    }

    pub(super) fn next_at(&self) -> Option<u64> {
        self.queue.front().map(|packet| packet.at)
    }

    /// The next packet arrives; `None` if the receiver does not take it.
    pub(super) fn arrive(&mut self) -> Option<Arrival> {
        let Packet { epoch, number, body, .. } = self.queue.pop_front()?;
        if epoch < self.taken {
            return None;
        }
        self.seen = self.seen.max(epoch);
        self.taken = self.taken.max(epoch);
        Some(match body {
            Some(json) => Arrival::Item { json, epoch, number },
            None => Arrival::NewStream,
        })
    }

    pub(super) fn acknowledge(&mut self, epoch: u64, number: u64) {
        if epoch == self.epoch {
            while self.unacknowledged.pop_front_if(|(n, _)| *n <= number).is_some() {}
        }
    }

    /// The sender begins a new stream; of the packets on the way the first `arriving` still arrive.
    pub(super) fn restart(&mut self, at: u64, arriving: usize) -> Vec<Box<RawValue>> {
        self.queue.truncate(arriving);
        self.epoch += 1;
        self.push(at, None);
        self.take_back()
    }

    /// The sender has to begin a new stream where the receiver takes no more of the present one.
    pub(super) fn follow(&mut self, at: u64) -> Vec<Box<RawValue>> {
        if self.epoch >= self.taken {
            return Vec::new();
        }
        self.queue.clear();
        self.epoch = self.taken;
        self.push(at, None);
        self.take_back()
    }

    fn take_back(&mut self) -> Vec<Box<RawValue>> {
        self.unacknowledged.drain(..).map(|(_, json)| json).collect()
    }

    /// The receiver takes no more of the present stream.
    pub(super) fn cut(&mut self) {
        self.taken = self.seen + 1;
    }

    /// The receiver knows nothing of earlier streams.
    pub(super) fn forget(&mut self) {
        (self.taken, self.seen) = (0, 0);
    }

    /// Drops all that is on the way.
    pub(super) fn lose_queue(&mut self) {
        self.queue.clear();
    }

    pub(super) fn on_the_way(&self) -> usize {
        self.queue.len()
    }
}
