//! Send queue of one connection: its unwritten frames, bounded by bytes. `backlog` bounds the
//! queues of all connections together.

mod backlog;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use byway_turn::lock::lock;
use tokio::sync::Notify;

use self::backlog::Account;
pub(super) use self::backlog::Backlog;
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
    /// To take in the answer to a request that had to wait.
    Answered,
    /// To give its client what is newer than the client has.
    Renew,
}

/// The queue between those who have something to say to a connection and the task that writes to
/// it.
///
/// Saying something never waits. A reader that stops makes its own queue overflow, and no one
/// else's.
#[derive(Debug)]
pub(super) struct SendQueue {
    /// Bytes that may wait once the connection is in a room.
    member_limit: usize,
    /// A `std` mutex: held for a push or a pop, never across an await.
    inner: Mutex<Inner>,
    ready: Notify,
    told: Notify,
}

#[derive(Debug)]
struct Inner {
    /// Its part of the sum.
    account: Account,
    /// The connection's share of the memory for unauthenticated clients, until it is in a room.
    memory: Option<Arc<Reservation>>,
    /// Frames that come before all else: they were bounded where they were kept, and count in the
    /// sum alone.
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
    /// A request of the client was answered.
    is_answered: bool,
    /// The client is to be given a fresh configuration.
    renews: bool,
    /// The `seq` of the signal that is being written.
    writing: Option<u64>,
    /// The `seq` of the last signal that was written.
    written: u64,
}

impl SendQueue {
    /// A queue that holds up to `stranger` bytes of messages, and up to `member` once the
    /// connection is in a room, when `memory` is released.
    fn new(account: Account, memory: Option<Arc<Reservation>>, stranger: usize, member: usize) -> Self {
        let inner = Inner {
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
            is_answered: false,
            renews: false,
        };
        Self { member_limit: member, inner: Mutex::new(inner), ready: Notify::new(), told: Notify::new() }
    }

    /// The connection has come into a room, where more may wait for it, and which bounds it instead
    /// of its memory.
    pub(super) fn admit(&self) {
        let mut inner = self.lock();
        (inner.is_member, inner.limit) = (true, self.member_limit);
        if let Some(memory) = inner.memory.take() {
            memory.release();
        }
    }

    /// Returns the waiting bytes, and whether the receiver is in a room.
    pub(super) fn held(&self) -> (usize, bool) {
        let inner = self.lock();
        (inner.held(), inner.is_member)
    }

    /// Says `text`, unless the queue has overflowed or closes. What it makes needless waits no
    /// longer.
    pub(super) fn say(&self, text: Text) {
        let mut inner = self.lock();
        match text.topic {
            Topic::Ice | Topic::Locked => inner.take_out(|waiting| waiting == text.topic),
            Topic::Host(_) => inner.take_out(|waiting| matches!(waiting, Topic::Host(_))),
            // A member that joined and left before the reader was notified is not reported.
            Topic::Left(id) if inner.take_out(|waiting| waiting == Topic::Came(id)) => {
                inner.take_out(|waiting| waiting == Topic::Host(id));
                return self.settle(inner);
            }
            _ => false,
        };
        self.push(inner, Frame::Text(text));
    }

    /// A membership begins, or goes on, whose client has the signals up to `seq`. Those that still
    /// wait here are of another one, which has numbers of its own.
    pub(super) fn begin(&self, seq: u64) {
        self.admit();
        let mut inner = self.lock();
        inner.frames.retain(|frame| !matches!(frame, Frame::Text(Text { topic: Topic::Signal(_), .. })));
        inner.bytes = inner.frames.iter().map(Frame::bytes).sum();
        (inner.writing, inner.written) = (None, seq);
        self.settle(inner);
    }

    /// Says `texts` before anything else that waits, however much that is.
    pub(super) fn replay(&self, texts: impl IntoIterator<Item = Text>) {
        let mut inner = self.lock();
        for text in texts {
            let frame = Frame::Text(text);
            inner.replay_bytes += frame.bytes();
            let Frame::Text(text) = frame else { continue };
            inner.replay.push_back(text);
        }
        self.settle(inner);
        self.ready.notify_one();
    }

    /// Asks whether the client is there.
    pub(super) fn ping(&self) {
        self.push(self.lock(), Frame::Ping);
    }

    /// Ends the connection from outside, for the first reason there is. What waits is dropped.
    pub(super) fn evict(&self, code: ByeCode) {
        let mut inner = self.lock();
        inner.evict(code);
        let held = inner.held();
        inner.account.set(held);
        drop(inner);
        self.told.notify_one();
    }

    /// Has the client given a fresh configuration before its time.
    pub(super) fn renew(&self) {
        self.lock().renews = true;
        self.told.notify_one();
    }

    /// Tells the connection that a request, which had to wait, was answered.
    pub(super) fn answered(&self) {
        self.lock().is_answered = true;
        self.told.notify_one();
    }

    /// Whether nothing more goes in.
    pub(super) fn is_shut(&self) -> bool {
        self.lock().shut
    }

    /// Waits until another task has a request for the connection.
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
        let mut inner = self.lock();
        inner.shut = true;
        inner.frames.extend(farewell.map(Frame::Text));
        inner.frames.extend(frame.map(|(code, reason)| Frame::Close(code, reason)));
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
        let mut inner = self.lock();
        inner.written = inner.writing.take().unwrap_or(inner.written);
        inner.in_flight = 0;
        self.settle(inner);
    }

    /// The `seq` of the last signal that was written; 0 if there was none.
    pub(super) fn written(&self) -> u64 {
        self.lock().written
    }

    fn push(&self, mut inner: MutexGuard<'_, Inner>, frame: Frame) {
        if inner.shut {
            return;
        }
        inner.bytes += frame.bytes();
        if inner.bytes > inner.limit {
            inner.evict(ByeCode::TooSlow);
            self.told.notify_one();
        } else {
            inner.frames.push_back(frame);
            self.ready.notify_one();
        }
        self.settle(inner);
    }

    fn pop(&self) -> Option<Frame> {
        let mut inner = self.lock();
        let frame = inner.pop();
        self.settle(inner);
        frame
    }

    /// Counts what waits by now in the sum. Where that is too much, others may have to go, or this
    /// one.
    fn settle(&self, mut inner: MutexGuard<'_, Inner>) {
        let held = inner.held();
        if inner.account.set(held) {
            let backlog = inner.account.backlog().clone();
            // Before those of others are locked.
            drop(inner);
            backlog.settle();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A queue is whole between any two statements above, so a panic elsewhere does not spoil
        // it.
        lock(&self.inner)
    }
}

impl Inner {
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

    /// Takes out the first message on such a topic; whether there was one.
    fn take_out(&mut self, is_superseded: impl Fn(Topic) -> bool) -> bool {
        let is_meant = |frame: &Frame| matches!(frame, Frame::Text(text) if is_superseded(text.topic));
        let found = self.frames.iter().position(is_meant).and_then(|at| self.frames.remove(at));
        self.bytes -= found.as_ref().map_or(0, Frame::bytes);
        found.is_some()
    }

    /// Returns the next request for the connection. An end is returned each time, all else once.
    fn told(&mut self) -> Option<Told> {
        if let Some(code) = self.evicted {
            return Some(Told::End(code));
        }
        // The answer comes first, because only a member is given more.
        if std::mem::take(&mut self.is_answered) {
            return Some(Told::Answered);
        }
        std::mem::take(&mut self.renews).then_some(Told::Renew)
    }

    fn evict(&mut self, code: ByeCode) {
        self.shut = true;
        self.evicted.get_or_insert(code);
        // Memory is released at once, not when the connection ends.
        (self.replay, self.frames) = (VecDeque::new(), VecDeque::new());
        (self.replay_bytes, self.bytes) = (0, 0);
    }

    /// Bytes that count in the sum: what the library has of the frame that is being written, too.
    fn held(&self) -> usize {
        self.replay_bytes + self.bytes + self.in_flight
    }
}

impl Frame {
    /// Bytes that a frame counts for: its text, and the frame itself.
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
    use crate::signaling::protocol::{MemberId, Peer, ServerMessage};

    /// One that is in a room.
    fn queue(limit: usize) -> Arc<SendQueue> {
        let queue = Backlog::new(usize::MAX, Arc::default()).queue([192, 0, 2, 1].into(), None, 0, limit);
        queue.admit();
        queue
    }

    fn pong() -> Text {
        ServerMessage::Pong {}.text()
    }

    fn drain(queue: &SendQueue) -> Vec<Frame> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn frames_leave_in_order_and_free_their_room() {
        let queue = queue(300);
        for _ in 0..100 {
            queue.say(pong());
            queue.ping();
            assert_eq!(drain(&queue), [Frame::Text(pong()), Frame::Ping]);
        }
        assert_eq!(queue.lock().bytes, 0);
    }

    #[tokio::test]
    async fn an_overflow_drops_everything_but_the_farewell() {
        let queue = queue(300);
        for _ in 0..100 {
            queue.say(pong());
        }
        assert_eq!(queue.told().await, Told::End(ByeCode::TooSlow));
        queue.evict(ByeCode::Removed);
        assert_eq!(queue.told().await, Told::End(ByeCode::TooSlow), "the first reason counts");
        assert_eq!(drain(&queue), []);
        let bye = ServerMessage::bye(ByeCode::TooSlow).text();
        queue.close(Some(bye.clone()), Some((1013, "too-slow")));
        queue.say(pong());
        assert_eq!(drain(&queue), [Frame::Text(bye), Frame::Close(1013, "too-slow")]);
    }

    #[tokio::test]
    async fn what_is_told_from_outside_comes_once_but_an_end_comes_first_and_stays() {
        let queue = queue(300);
        queue.renew();
        queue.renew();
        assert_eq!(queue.told().await, Told::Renew);
        let (told, ()) = tokio::join!(queue.told(), async {
            // Not woken by a request that was returned already.
            tokio::task::yield_now().await;
            queue.renew();
            queue.evict(ByeCode::Removed);
        });
        assert_eq!(told, Told::End(ByeCode::Removed));
        assert_eq!(queue.told().await, Told::End(ByeCode::Removed));
    }

    #[tokio::test]
    async fn an_answer_comes_before_what_is_newer() {
        let queue = queue(300);
        queue.renew();
        queue.answered();
        assert_eq!((queue.told().await, queue.told().await), (Told::Answered, Told::Renew));
    }

    #[tokio::test]
    async fn next_waits_for_what_is_said_later() {
        let queue = queue(300);
        let (frame, ()) = tokio::join!(queue.next(), async { queue.ping() });
        assert_eq!(frame, Frame::Ping);
    }

    #[test]
    fn a_replay_comes_first_and_fills_nothing() {
        let queue = queue(300);
        queue.ping();
        queue.replay((0..100).map(|_| pong()));
        queue.say(pong());
        let all = drain(&queue);
        assert_eq!(all.iter().position(|frame| *frame == Frame::Ping), Some(100));
        assert_eq!((all.len(), queue.lock().bytes), (102, 0));
    }

    #[test]
    fn what_was_written_is_counted_for_one_membership() {
        let queue = queue(10_000);
        let signal = |seq| {
            let data = serde_json::value::to_raw_value(&seq).unwrap();
            ServerMessage::Signal { from: MemberId([1; 16]), seq, data }.text()
        };
        (7..=9).for_each(|seq| queue.say(signal(seq)));
        let next = || queue.pop();
        assert_eq!(next(), Some(Frame::Text(signal(7))));
        queue.wrote();
        assert_eq!((next(), queue.written()), (Some(Frame::Text(signal(8))), 7));
        // Another one begins while 8 is on its way.
        queue.say(pong());
        queue.begin(0);
        queue.wrote();
        assert_eq!((next(), queue.written()), (Some(Frame::Text(pong())), 0));
        queue.wrote();
        assert_eq!((next(), queue.written(), queue.lock().bytes), (None, 0, 0));
        queue.begin(5);
        assert_eq!(queue.written(), 5);
    }

    #[test]
    fn what_is_superseded_waits_no_longer() {
        let queue = queue(10_000);
        let peer = |n| Peer { id: MemberId([n; 16]), name: None, polite: false, host: false, viewer: false };
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
            queue.say(text);
        }
        assert_eq!(drain(&queue), [came(2), left(3), ice(2)].map(Frame::Text));
        let host = |n| ServerMessage::Host { id: MemberId([n; 16]) }.text();
        let locked = |locked| ServerMessage::Locked { locked }.text();
        for text in [host(1), locked(true), came(2), host(2), locked(false), left(2), came(3)] {
            queue.say(text);
        }
        assert_eq!(drain(&queue), [locked(false), came(3)].map(Frame::Text), "2 was never there");
        for text in [host(1), left(1), host(2), left(4)] {
            queue.say(text);
        }
        assert_eq!(drain(&queue), [left(1), host(2), left(4)].map(Frame::Text));
        assert_eq!(queue.lock().bytes, 0);
        // A flood of comings and goings takes no more room than one.
        for _ in 0..10_000 {
            queue.say(came(1));
            queue.say(left(1));
        }
        assert_eq!(drain(&queue), []);
    }
}
