//! Flushing an outbox: the messages of one socket after those of another, each run of them by
//! `sendmmsg`.

use std::io;
use std::net::UdpSocket;
use std::ops::Range;
use std::vec::Drain;

use super::outbox::Outbox;
use super::prepare::{Contents, Entry};
use super::sendmmsg::Refusal;

/// Result of [`Outbox::flush`].
pub struct Flushed<'a, T> {
    /// Statistics of the flush.
    pub stats: SendStats,
    /// Outcome of every datagram, in the order in which they were sent. Datagrams that left as one
    /// message share one.
    pub outcomes: Drain<'a, Outcome<T>>,
}

/// Statistics of one flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// System calls.
    pub calls: u64,
    /// Datagrams that left by themselves.
    pub alone: u64,
    /// Datagrams that left in messages which the kernel segments.
    pub segmented: u64,
    /// Messages that a device, or the size of its packets, kept from being segmented.
    pub refused: u64,
}

/// Outcome of one datagram, or of several that were sent as one message.
#[derive(Debug)]
pub struct Outcome<T> {
    /// Tag of the [`Transmit`](super::Transmit).
    pub tag: T,
    /// Number of datagrams.
    pub datagrams: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// Error that kept them from being sent.
    pub result: io::Result<()>,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// Sends everything, for each socket in the order in which it was pushed. `payloads` are the
    /// bytes that payloads are ranges of. A datagram that is not sent is lost, as in any network:
    /// nothing here waits.
    pub fn flush<'s>(
        &mut self,
        payloads: &[u8],
        socket_of: impl Fn(S) -> Option<&'s UdpSocket>,
    ) -> Flushed<'_, T> {
        self.order_by_socket();
        let mut next = 0;
        while let Some(run) = self.run_at(next) {
            self.prepare(run.clone(), payloads);
            next = match self.send_run(run.start, &socket_of) {
                Some(refusal) => self.resume_at(run.start, &refusal),
                None => run.end,
            };
        }
        self.clear();
        self.report.take()
    }

    /// Orders the messages by socket, those of one socket as they were pushed.
    fn order_by_socket(&mut self) {
        let Self { messages, order, .. } = self;
        order.clear();
        order.extend((0..).take(messages.len()));
        order.sort_unstable_by_key(|&place| (messages[usize::from(place)].socket, place));
    }

    /// Returns the messages from `start` on that leave from one socket together, as a range of the
    /// order. One that must not be fragmented leaves alone, for that is an option of the socket.
    fn run_at(&self, start: usize) -> Option<Range<usize>> {
        let rest = self.order.get(start..)?;
        let first = &self.messages[usize::from(*rest.first()?)];
        let goes_along = |place: &&u16| {
            let message = &self.messages[usize::from(**place)];
            message.socket == first.socket && !message.destination.dont_fragment
        };
        let is_alone = first.destination.dont_fragment;
        let count = if is_alone { 1 } else { rest.iter().take_while(goes_along).count() };
        Some(start..start + count)
    }

    /// Writes a run of messages as `sendmmsg` reads them, each as one where the kernel is to
    /// segment it.
    fn prepare(&mut self, run: Range<usize>, payloads: &[u8]) {
        let Self { headers, parts, messages, order, segmentation, prepared, .. } = self;
        let contents = Contents { parts, headers, payloads };
        prepared.clear();
        for &place in &order[run] {
            let message = &messages[usize::from(place)];
            let is_joined = message.count > 1 && !message.is_refused && segmentation.is_on();
            prepared.add(message, place, is_joined, contents);
        }
    }

    /// Sends the run that is prepared, up to a message that is refused for being joined.
    fn send_run<'s>(
        &mut self,
        start: usize,
        socket_of: &impl Fn(S) -> Option<&'s UdpSocket>,
    ) -> Option<Refusal> {
        let Self { messages, order, prepared, report, .. } = self;
        let first = &messages[usize::from(order[start])];
        match socket_of(first.socket) {
            Some(socket) if first.destination.dont_fragment => {
                prepared.send_unfragmented(socket, first.destination.address.ip(), report)
            }
            Some(socket) => prepared.send(socket, report),
            None => {
                prepared.fail_from(0, io::ErrorKind::NotConnected, report);
                None
            }
        }
    }

    /// Notes a refusal, and returns the place in the order of the message that it concerns.
    /// Prepared again, that one goes datagram by datagram.
    fn resume_at(&mut self, start: usize, refusal: &Refusal) -> usize {
        self.segmentation.refused(&refusal.error);
        self.report.stats.refused += 1;
        self.messages[usize::from(refusal.message)].is_refused = true;
        start + self.order[start..].iter().take_while(|place| **place != refusal.message).count()
    }
}

/// Statistics and outcomes of a flush under way.
pub(super) struct Report<T> {
    pub(super) stats: SendStats,
    outcomes: Vec<Outcome<T>>,
}

impl<T: Copy> Report<T> {
    /// Creates a report with room for so many outcomes: no flush has more than there are datagrams.
    pub(super) fn new(outcomes: usize) -> Self {
        Self { stats: SendStats::default(), outcomes: Vec::with_capacity(outcomes) }
    }

    pub(super) fn sent(&mut self, entry: &Entry<T>) {
        let is_segmented = entry.datagrams > 1;
        let sent = if is_segmented { &mut self.stats.segmented } else { &mut self.stats.alone };
        *sent += entry.datagrams;
        self.push(entry, Ok(()));
    }

    pub(super) fn failed(&mut self, entry: &Entry<T>, error: io::Error) {
        self.push(entry, Err(error));
    }

    fn push(&mut self, entry: &Entry<T>, result: io::Result<()>) {
        let Entry { tag, datagrams, bytes, .. } = *entry;
        self.outcomes.push(Outcome { tag, datagrams, bytes, result });
    }

    /// Hands the report over, and begins the next one.
    fn take(&mut self) -> Flushed<'_, T> {
        Flushed { stats: std::mem::take(&mut self.stats), outcomes: self.outcomes.drain(..) }
    }
}
