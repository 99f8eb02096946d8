//! What waits to be written to one connection, bounded by bytes.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::protocol::{Ending, ServerMessage};

/// One thing to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// A message, in no more memory than its bytes.
    Text(Box<str>),
    /// A WebSocket ping.
    Ping,
    /// The last frame: code and reason.
    Close(u16, &'static str),
}

/// The queue between those who have something to say to a connection and the task that writes to it.
///
/// Saying something never waits. A reader that stops makes its own queue overflow, and no one else's.
#[derive(Debug)]
pub(super) struct Outbox {
    limit: usize,
    /// A `std` mutex: held for a push or a pop, never across an await.
    queue: Mutex<Queue>,
    ready: Notify,
    overflow: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Frame>,
    bytes: usize,
    /// Overflowed or closing: nothing more goes in.
    shut: bool,
}

impl Outbox {
    /// A queue that holds up to `limit` bytes of messages.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, queue: Mutex::default(), ready: Notify::new(), overflow: Notify::new() }
    }

    /// Says `message`, unless the queue has overflowed or closes.
    pub(super) fn say(&self, message: &ServerMessage) {
        self.push(Frame::Text(message.to_json().into()));
    }

    /// Asks whether the client is there.
    pub(super) fn ping(&self) {
        self.push(Frame::Ping);
    }

    /// Queues the last frames of an ending. After an overflow they take the place of what was not read.
    pub(super) fn close(&self, ending: Ending) {
        let mut queue = self.lock();
        queue.shut = true;
        if let Ending::Bye(code) = ending {
            queue.frames.push_back(Frame::Text(ServerMessage::bye(code).to_json().into()));
        }
        if let Some((code, reason)) = ending.close_frame() {
            queue.frames.push_back(Frame::Close(code, reason));
        }
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

    /// Waits until more was said than the queue may hold.
    pub(super) async fn overflowed(&self) {
        self.overflow.notified().await;
    }

    fn push(&self, frame: Frame) {
        let mut queue = self.lock();
        if queue.shut {
            return;
        }
        queue.bytes += frame.bytes();
        if queue.bytes > self.limit {
            // Memory goes back at once, not when the connection is gone.
            *queue = Queue { shut: true, ..Queue::default() };
            self.overflow.notify_one();
        } else {
            queue.frames.push_back(frame);
            self.ready.notify_one();
        }
    }

    fn pop(&self) -> Option<Frame> {
        let mut queue = self.lock();
        let frame = queue.frames.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(frame.bytes());
        Some(frame)
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        // A queue is whole between any two statements above, so a panic elsewhere does not spoil it.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Frame {
    /// What a frame counts for: its text, and what holding it costs.
    fn bytes(&self) -> usize {
        let text = match self {
            Self::Text(text) => text.len(),
            Self::Ping | Self::Close(..) => 0,
        };
        size_of::<Self>() + text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signaling::protocol::ByeCode;

    fn drain(outbox: &Outbox) -> Vec<Frame> {
        std::iter::from_fn(|| outbox.pop()).collect()
    }

    #[test]
    fn frames_leave_in_order_and_free_their_room() {
        let outbox = Outbox::new(200);
        for _ in 0..100 {
            outbox.say(&ServerMessage::Pong {});
            outbox.ping();
            assert_eq!(drain(&outbox), [Frame::Text(r#"{"type":"pong"}"#.into()), Frame::Ping]);
        }
        assert_eq!(outbox.lock().bytes, 0);
    }

    #[tokio::test]
    async fn an_overflow_drops_everything_but_the_farewell() {
        let outbox = Outbox::new(200);
        for _ in 0..100 {
            outbox.say(&ServerMessage::Pong {});
        }
        outbox.overflowed().await;
        assert_eq!(drain(&outbox), []);
        outbox.close(Ending::Bye(ByeCode::TooSlow));
        outbox.say(&ServerMessage::Pong {});
        let bye = r#"{"type":"bye","code":"too-slow","retry_ms":1000}"#.into();
        assert_eq!(drain(&outbox), [Frame::Text(bye), Frame::Close(1013, "too-slow")]);
    }

    #[tokio::test]
    async fn next_waits_for_what_is_said_later() {
        let outbox = Outbox::new(200);
        let (frame, ()) = tokio::join!(outbox.next(), async { outbox.ping() });
        assert_eq!(frame, Frame::Ping);
    }
}
