//! The queue of one connection's unwritten frames, bounded by bytes; [`super::backlog`] bounds all of them together.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::backlog::Account;
use super::protocol::{ByeCode, Text, Topic};
use crate::net::memory_budget::Reservation;

/// One thing to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message.
    Text(Text),
    /// A WebSocket ping.
    Ping,
    /// The last frame: code and reason.
    Close(u16, &'static str),
}

/// A message to the connection from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// To end, for this reason.
    End(ByeCode),
    /// To give its client what is newer than the client has.
    Renew,
}

/// The queue between those who have something to say to a connection and the task that writes to it.
///
/// Saying something never waits. A reader that stops makes its own queue overflow, and no one else's.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Bytes that may wait once the connection is in a room.
    member_limit: usize,
    /// A `std` mutex: held for a push or a pop, never across an await.
    queue: Mutex<Queue>,
    ready: Notify,
    told: Notify,
}

#[derive(Debug)]
struct Queue {
    /// Its part of the sum.
    account: Account,
    /// The connection's memory among those of strangers, until it is in a room.
    memory: Option<Arc<Reservation>>,
    /// Frames that come before all else: they were bounded where they were kept, and count in the sum alone.
    replay: VecDeque<Text>,
    replay_bytes: usize,
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Bytes that `bytes` may be.
    limit: usize,
    /// The connection is in a room, or was.
    is_member: bool,
    /// Bytes of the frame that is being written.
    in_flight: usize,
    /// Evicted or closing: nothing more goes in.
    shut: bool,
    evicted: Option<ByeCode>,
    /// The client is to be given a fresh configuration.
    renews: bool,
    /// The `seq` of the signal that is being written.
    writing: Option<u64>,
    /// The `seq` of the last signal that was written.
    written: u64,
}

impl Outbox {
    /// A queue that holds up to `stranger` bytes of messages, and up to `member` once the connection is in a room, when
    /// `memory` is released.
    pub(super) fn new(
        account: Account,
        memory: Option<Arc<Reservation>>,
        stranger: usize,
        member: usize,
    ) -> Self {
        let queue = Queue {
            account,
            memory,
            replay: VecDeque::new(),
            replay_bytes: 0,
            frames: VecDeque::new(),
            bytes: 0,
            limit: stranger,
            is_member: false,
            in_flight: 0,
            shut: false,
            evicted: None,
            writing: None,
            written: 0,
            renews: false,
        };
        Self { member_limit: member, queue: Mutex::new(queue), ready: Notify::new(), told: Notify::new() }
    }

    /// The connection has come into a room, where more may wait for it, and which bounds it instead of its memory.
    pub(super) fn admit(&self) {
        let mut queue = self.lock();
        (queue.is_member, queue.limit) = (true, self.member_limit);
        if let Some(memory) = queue.memory.take() {
            memory.release();
        }
    }

    /// The bytes that wait, and whether they wait for somebody in a room.
    pub(super) fn held(&self) -> (usize, bool) {
        let queue = self.lock();
        (queue.held(), queue.is_member)
    }

    /// Says `text`, unless the queue has overflowed or closes. What it makes needless waits no longer.
    pub(super) fn say(&self, text: Text) {
        let mut queue = self.lock();
        match text.topic {
            Topic::Ice => queue.take_out(Topic::Ice),
            // Who came and went before anybody heard of it was never there.
            Topic::Left(id) if queue.take_out(Topic::Came(id)) => return self.settle(queue),
            _ => false,
        };
        self.push(queue, Frame::Text(text));
    }

    /// A membership begins, or goes on, whose client has the signals up to `seq`. Those that still wait here are of another
    /// one, which has numbers of its own.
    pub(super) fn begin(&self, seq: u64) {
        self.admit();
        let mut queue = self.lock();
        queue.frames.retain(|frame| !matches!(frame, Frame::Text(Text { topic: Topic::Signal(_), .. })));
        queue.bytes = queue.frames.iter().map(Frame::bytes).sum();
        (queue.writing, queue.written) = (None, seq);
        self.settle(queue);
    }

    /// Says `texts` before anything else that waits, however much that is.
    pub(super) fn replay(&self, texts: impl IntoIterator<Item = Text>) {
        let mut queue = self.lock();
        for text in texts {
            let frame = Frame::Text(text);
            queue.replay_bytes += frame.bytes();
            let Frame::Text(text) = frame else { continue };
            queue.replay.push_back(text);
        }
        self.settle(queue);
        self.ready.notify_one();
    }

    /// Asks whether the client is there.
    pub(super) fn ping(&self) {
        self.push(self.lock(), Frame::Ping);
    }

    /// Ends the connection from outside, for the first reason there is. What waits is dropped.
    pub(super) fn evict(&self, code: ByeCode) {
        let mut queue = self.lock();
        queue.evict(code);
        let held = queue.held();
        queue.account.set(held);
        drop(queue);
        self.told.notify_one();
    }

    /// Has the client given a fresh configuration before its time.
    pub(super) fn renew(&self) {
        self.lock().renews = true;
        self.told.notify_one();
    }

    /// Whether nothing more goes in.
    pub(super) fn is_shut(&self) -> bool {
        self.lock().shut
    }

    /// Waits until the connection is told something from outside.
    pub(super) async fn told(&self) -> Told {
        loop {
            let told = self.lock().told();
            if let Some(told) = told {
                return told;
            }
            self.told.notified().await;
        }
    }

    /// Queues the last frames, which an overflow does not keep out.
    pub(super) fn close(&self, farewell: Option<Text>, frame: Option<(u16, &'static str)>) {
        let mut queue = self.lock();
        queue.shut = true;
        queue.frames.extend(farewell.map(Frame::Text));
        queue.frames.extend(frame.map(|(code, reason)| Frame::Close(code, reason)));
        self.ready.notify_one();
    }

    /// Waits for the next thing to write.
    pub(super) async fn next(&self) -> Frame {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            self.ready.notified().await;
        }
    }

    /// Takes note that what [`Self::next`] gave was written.
    pub(super) fn wrote(&self) {
        let mut queue = self.lock();
        queue.written = queue.writing.take().unwrap_or(queue.written);
        queue.in_flight = 0;
        self.settle(queue);
    }

    /// The `seq` of the last signal that was written; 0 if there was none.
    pub(super) fn written(&self) -> u64 {
        self.lock().written
    }

    fn push(&self, mut queue: MutexGuard<'_, Queue>, frame: Frame) {
        if queue.shut {
            return;
        }
        queue.bytes += frame.bytes();
        if queue.bytes > queue.limit {
            queue.evict(ByeCode::TooSlow);
            self.told.notify_one();
        } else {
            queue.frames.push_back(frame);
            self.ready.notify_one();
        }
        self.settle(queue);
    }

    fn pop(&self) -> Option<Frame> {
        let mut queue = self.lock();
        let frame = queue.pop();
        self.settle(queue);
        frame
    }

    /// Counts what waits by now in the sum. Where that is too much, others may have to go, or this one.
    fn settle(&self, mut queue: MutexGuard<'_, Queue>) {
        let held = queue.held();
        if queue.account.set(held) {
            let backlog = queue.account.backlog().clone();
            // Before those of others are locked.
            drop(queue);
            backlog.settle();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole between any two statements above, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn pop(&mut self) -> Option<Frame> {
        let frame = match self.replay.pop_front() {
            Some(text) => {
                let frame = Frame::Text(text);
                self.replay_bytes = self.replay_bytes.saturating_sub(frame.bytes());
                frame
            }
            None => self.pop_frame()?,
        };
        self.in_flight = frame.bytes();
        self.writing = match &frame {
            Frame::Text(Text { topic: Topic::Signal(seq), .. }) => Some(*seq),
            _ => None,
        };
        Some(frame)
    }

    fn pop_frame(&mut self) -> Option<Frame> {
        let frame = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(frame.bytes());
        if self.frames.is_empty() {
            // Most connections are idle most of the time, and there are many.
            (self.replay, self.frames) = (VecDeque::new(), VecDeque::new());
        }
        Some(frame)
    }

    /// Takes out what is about `topic`; whether there was anything.
    fn take_out(&mut self, topic: Topic) -> bool {
        let is_meant = |frame: &Frame| matches!(frame, Frame::Text(text) if text.topic == topic);
        let found = self.frames.iter().position(is_meant).and_then(|at| self.frames.remove(at));
        self.bytes -= found.as_ref().map_or(0, Frame::bytes);
        found.is_some()
    }

    /// An end is told again and again, all else once.
    fn told(&mut self) -> Option<Told> {
        let renews = std::mem::take(&mut self.renews).then_some(Told::Renew);
        self.evicted.map(Told::End).or(renews)
    }

    fn evict(&mut self, code: ByeCode) {
        self.shut = true;
        self.evicted.get_or_insert(code);
        // Memory goes back at once, not when the connection is gone.
        (self.replay, self.frames) = (VecDeque::new(), VecDeque::new());
        (self.replay_bytes, self.bytes) = (0, 0);
    }

    /// Bytes that count in the sum: what the library has of the frame that is being written, too.
    fn held(&self) -> usize {
        self.replay_bytes + self.bytes + self.in_flight
    }
}

impl Frame {
    /// What a frame counts for: its text, and what holding it costs.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Text(text) => text.json.len(),
            Self::Ping | Self::Close(..) => 0,
        };
        size_of::<Self>() + text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ice::IceConfiguration;
    use crate::signaling::backlog::Backlog;
    use crate::signaling::protocol::{MemberId, Peer, ServerMessage};

    /// One that is in a room.
    fn outbox(limit: usize) -> Arc<Outbox> {
        let outbox = Backlog::new(usize::MAX, Arc::default()).outbox([192, 0, 2, 1].into(), None, 0, limit);
        outbox.admit();
        outbox
    }

    fn pong() -> Text {
        ServerMessage::Pong {}.text()
    }

    fn drain(outbox: &Outbox) -> Vec<Frame> {
        std::iter::from_fn(|| outbox.pop()).collect()
    }

    #[test]
    fn frames_leave_in_order_and_free_their_room() {
        let outbox = outbox(300);
        for _ in 0..100 {
            outbox.say(pong());
            outbox.ping();
            assert_eq!(drain(&outbox), [Frame::Text(pong()), Frame::Ping]);
        }
        assert_eq!(outbox.lock().bytes, 0);
    }

    #[tokio::test]
    async fn an_overflow_drops_everything_but_the_farewell() {
        let outbox = outbox(300);
        for _ in 0..100 {
            outbox.say(pong());
        }
        assert_eq!(outbox.told().await, Told::End(ByeCode::TooSlow));
        outbox.evict(ByeCode::Removed);
        assert_eq!(outbox.told().await, Told::End(ByeCode::TooSlow), "the first reason counts");
        assert_eq!(drain(&outbox), []);
        let bye = ServerMessage::bye(ByeCode::TooSlow).text();
        outbox.close(Some(bye.clone()), Some((1013, "too-slow")));
        outbox.say(pong());
        assert_eq!(drain(&outbox), [Frame::Text(bye), Frame::Close(1013, "too-slow")]);
    }

    #[tokio::test]
    async fn what_is_told_from_outside_comes_once_but_an_end_comes_first_and_stays() {
        let outbox = outbox(300);
        outbox.renew();
        outbox.renew();
        assert_eq!(outbox.told().await, Told::Renew);
        let (told, ()) = tokio::join!(outbox.told(), async {
            // Not of the one that is told already.
            tokio::task::yield_now().await;
            outbox.renew();
            outbox.evict(ByeCode::Removed);
        });
        assert_eq!(told, Told::End(ByeCode::Removed));
        assert_eq!(outbox.told().await, Told::End(ByeCode::Removed));
    }

    #[tokio::test]
    async fn next_waits_for_what_is_said_later() {
        let outbox = outbox(300);
        let (frame, ()) = tokio::join!(outbox.next(), async { outbox.ping() });
        assert_eq!(frame, Frame::Ping);
    }

    #[test]
    fn a_replay_comes_first_and_fills_nothing() {
        let outbox = outbox(300);
        outbox.ping();
        outbox.replay((0..100).map(|_| pong()));
        outbox.say(pong());
        let all = drain(&outbox);
        assert_eq!(all.iter().position(|frame| *frame == Frame::Ping), Some(100));
        assert_eq!((all.len(), outbox.lock().bytes), (102, 0));
    }

    #[test]
    fn what_was_written_is_counted_for_one_membership() {
        let outbox = outbox(10_000);
        let signal = |seq| {
            let data = serde_json::value::to_raw_value(&seq).unwrap();
            ServerMessage::Signal { from: MemberId([1; 16]), seq, data }.text()
        };
        (7..=9).for_each(|seq| outbox.say(signal(seq)));
        let next = || outbox.pop();
        assert_eq!(next(), Some(Frame::Text(signal(7))));
        outbox.wrote();
        assert_eq!((next(), outbox.written()), (Some(Frame::Text(signal(8))), 7));
        // Another one begins while 8 is on its way.
        outbox.say(pong());
        outbox.begin(0);
        outbox.wrote();
        assert_eq!((next(), outbox.written()), (Some(Frame::Text(pong())), 0));
        outbox.wrote();
        assert_eq!((next(), outbox.written(), outbox.lock().bytes), (None, 0, 0));
        outbox.begin(5);
        assert_eq!(outbox.written(), 5);
    }

    #[test]
    fn what_is_superseded_waits_no_longer() {
        let outbox = outbox(10_000);
        let peer = |n| Peer { id: MemberId([n; 16]), name: None, polite: false };
        let came = |n| ServerMessage::PeerJoined(peer(n)).text();
        let left = |n| ServerMessage::PeerLeft { id: MemberId([n; 16]) }.text();
        let ice = |ttl| {
            let ice_transport_policy = crate::ice::TransportPolicy::All;
            let ice = IceConfiguration {
                ice_servers: vec![],
                ice_transport_policy,
                ttl,
                expires_at: String::new(),
            };
            ServerMessage::Ice(ice).text()
        };
        for text in [came(1), ice(1), came(2), left(1), left(3), ice(2)] {
            outbox.say(text);
        }
        assert_eq!(drain(&outbox), [came(2), left(3), ice(2)].map(Frame::Text));
        assert_eq!(outbox.lock().bytes, 0);
        // A flood of comings and goings takes no more room than one.
        for _ in 0..10_000 {
            outbox.say(came(1));
            outbox.say(left(1));
        }
        assert_eq!(drain(&outbox), []);
    }
}
