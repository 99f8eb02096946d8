//! Flushing an outbox: orders the messages by socket, and sends each socket's messages by
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
    /// Outcomes of all datagrams, in the order in which they were sent. The datagrams of one
    /// message share an outcome.
    pub outcomes: Drain<'a, Outcome<T>>,
}

/// Statistics of one flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SendStats {
    /// System calls.
    pub calls: u64,
    /// Datagrams that were sent one by one.
    pub alone: u64,
    /// Datagrams that were sent in messages which the kernel segments (GSO).
    pub segmented: u64,
    /// Messages that the kernel refused to segment, for want of device support or because a segment
    /// exceeds the device's packet size.
    pub refused: u64,
}

/// Outcome of one datagram, or of several that were sent as one message.
#[derive(Debug)]
pub struct Outcome<T> {
    /// Tag of the [`Transmit`](super::Transmit).
    pub tag: T,
    /// Number of datagrams.
    pub datagrams: u64,
    /// Bytes of their payloads, without headers and padding.
    pub bytes: u64,
    /// `Ok` if the datagrams were sent, else the error that prevented it.
    pub result: io::Result<()>,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// Sends everything, for each socket in the order of [`push`](Self::push).
    ///
    /// Payload ranges index `payloads`. `socket_of` returns the socket behind a name. `None` fails
    /// its datagrams with `NotConnected`. The call never waits: a datagram that cannot be sent is
    /// lost, as in any network.
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

    /// Orders the messages by socket, and within a socket by the order of `push`.
    fn order_by_socket(&mut self) {
        let Self { messages, order, .. } = self;
        order.clear();
        order.extend((0..).take(messages.len()));
        order.sort_unstable_by_key(|&place| (messages[usize::from(place)].socket, place));
    }

    /// Returns the range of `order` from `start` on that leaves from one socket by one call. A
    /// message with `dont_fragment` is sent alone, because DF is an option of the socket.
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

    /// Writes the headers of a run for `sendmmsg`. A message is joined where the kernel is to
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

    /// Sends the prepared run, up to the first message that the kernel refuses to segment.
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

    /// Records a refusal, and returns the position in `order` of its message. That message is
    /// prepared again and sent datagram by datagram.
    fn resume_at(&mut self, start: usize, refusal: &Refusal) -> usize {
        self.segmentation.refused(&refusal.error);
        self.report.stats.refused += 1;
        self.messages[usize::from(refusal.message)].is_refused = true;
        start + self.order[start..].iter().take_while(|place| **place != refusal.message).count()
    }
}

/// Statistics and outcomes of the current flush.
pub(super) struct Report<T> {
    pub(super) stats: SendStats,
    outcomes: Vec<Outcome<T>>,
}

impl<T: Copy> Report<T> {
    /// Creates a report with capacity for `outcomes` outcomes; no flush has more outcomes than
    /// datagrams.
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

    /// Returns the report and resets it for the next flush.
    fn take(&mut self) -> Flushed<'_, T> {
        Flushed { stats: std::mem::take(&mut self.stats), outcomes: self.outcomes.drain(..) }
    }
}
