//! One WebSocket, from its first frame to its last, whatever is spoken over it.
//!
//! A connection reads and writes in one task: `listen` ends for one of the reasons of [`Ending`],
//! and meanwhile `write` empties the queue. Whatever the ending, the conversation ends first and
//! the closing handshake follows, so that a stopped client delays nobody.

use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use byway_turn::time::Now;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::ConnectionLimits;
use super::SignalingCounters;
use super::flood_guard::{FloodGuard, Verdict};
use super::protocol::{ByeCode, Ending, ErrorCode, Text};
use super::send_queue::{Backlog, Frame, SendQueue, Told};
use crate::clock::Clock;
use crate::live::Live;
use crate::net::memory_budget::Reservation;
use crate::phase::{Phase, PhaseWatch};

/// Close code of a client that will return over another connection (RFC 6455
/// section 7.4.2 leaves 4000 to 4999 to applications).
const BACK_SOON: u16 = 4000;

/// Bytes of the buffer that every connection has for as long as it lives: most of an idle one's
/// memory. Candidates fit, and descriptions come in a few pieces.
const READ_BUFFER: usize = 1024;

/// Conversation over a WebSocket.
pub(super) trait Conversation {
    /// Takes in a text frame.
    fn hear(&mut self, now: Now, text: &str);

    /// A frame is not taken in, for a reason that holds for every protocol.
    fn refuse(&mut self, code: ErrorCode);

    /// The client has every signal up to `seq`, where signals are numbered.
    fn confirm(&mut self, _seq: u64) {}

    /// Time at which to wake it next, monotonic, if at all.
    fn next_deadline(&self) -> Option<Duration>;

    /// That time has come. A code ends the connection.
    fn wake(&mut self, now: Now) -> Option<ByeCode>;

    /// A request that had to wait was answered.
    fn answered(&mut self, _now: Now) {}

    /// The client is to be given what is newer than it has, where there is such a thing.
    fn renew(&mut self, _now: Now) {}

    /// Ends the session. Returns a message to send before the connection closes.
    fn end(&mut self, now: Now, ending: Ending) -> Option<Text>;
}

/// WebSocket split in halves, to be read and written at the same time. Futures hold a reference to
/// this instead of the socket: each nested future reserves space for its arguments, and a socket is
/// large.
pub(super) struct Halves {
    sink: SplitSink<WebSocket, Message>,
    stream: SplitStream<WebSocket>,
}

impl From<WebSocket> for Halves {
    fn from(socket: WebSocket) -> Self {
        let (sink, stream) = socket.split();
        Self { sink, stream }
    }
}

/// Limits, counters and phase that all WebSockets share.
#[derive(Debug)]
pub struct SignalingConnections {
    settings: Live<ConnectionLimits>,
    pub(super) clock: Clock,
    pub(super) counters: Arc<SignalingCounters>,
    phase: PhaseWatch,
    /// Has a receiver in each connection.
    open: watch::Sender<()>,
    backlog: Arc<Backlog>,
}

impl SignalingConnections {
    /// None yet. All end when the server drains, and so do those that come later.
    #[must_use]
    pub fn new(
        settings: ConnectionLimits,
        clock: Clock,
        counters: Arc<SignalingCounters>,
        phase: PhaseWatch,
    ) -> Self {
        let backlog = Backlog::new(settings.max_queued, counters.clone());
        Self { settings: Live::new(settings), clock, counters, phase, open: watch::Sender::new(()), backlog }
    }

    /// The limits at present.
    pub(super) fn settings(&self) -> ConnectionLimits {
        **self.settings.load()
    }

    /// Replaces the limits. Connections keep the sizes that they began with.
    pub(super) fn set_limits(&self, settings: ConnectionLimits) {
        self.settings.store(settings);
    }

    /// A queue for a connection from `client`, which holds `memory` of unauthenticated clients
    /// until it is in a room.
    pub(super) fn send_queue(&self, client: IpAddr, memory: Arc<Reservation>) -> Arc<SendQueue> {
        let ConnectionLimits { max_stranger_queue, max_queue, .. } = self.settings();
        self.backlog.queue(client, Some(memory), max_stranger_queue, max_queue)
    }

    /// Waits until the server drains and the last connection is closed.
    pub async fn ended(&self) {
        self.phase.clone().reached(Phase::Draining).await;
        self.open.closed().await;
    }

    /// Whether the server drains, so that no client can resume.
    pub(super) fn are_ending(&self) -> bool {
        self.phase.has_reached(Phase::Draining)
    }

    /// Sets the limits of a WebSocket. The defaults of its library suit trusted peers: any client
    /// could make the server hold a read buffer of 128 KiB, messages of 64 MiB and an unbounded
    /// write buffer.
    pub fn limit(&self, upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
        let settings = self.settings();
        upgrade
            .read_buffer_size(READ_BUFFER)
            .max_message_size(settings.max_message)
            .max_frame_size(settings.max_message)
            // Every frame is flushed before the next is taken from the queue, which does the
            // queueing.
            .write_buffer_size(0)
            // One of our own messages: the largest signal and its envelope, or a `joined` with a
            // full room and many URLs.
            .max_write_buffer_size(
                settings.max_message + settings.rooms.in_one().saturating_mul(1024) + 64 * 1024,
            )
    }

    /// Runs `conversation` over `socket` until it ends. Its outgoing messages wait in `queue`.
    pub(super) async fn run(
        &self,
        socket: impl Into<Halves>,
        queue: &SendQueue,
        conversation: &mut impl Conversation,
    ) {
        let Halves { sink, mut stream } = socket.into();
        let mut writer = pin!(write(sink, queue));
        // Held until the connection is closed: `ended` waits for it.
        let _open = self.open.subscribe();
        self.counters.connections.add(1);
        let ending = tokio::select! {
            ending = self.listen(&mut stream, self.phase.clone(), queue, conversation) => ending,
            () = &mut writer => Ending::Lost,
        };
        let farewell = conversation.end(self.clock.now(), ending);
        self.counters.connections.subtract(1);
        self.counters.closed(ending);

        queue.close(farewell, ending.close_frame());
        let handshake = async {
            if ending.close_frame().is_some() {
                writer.await;
            }
            // Reading on sends what the library owes, such as the answer to a close frame, and ends
            // with the client's.
            while let Some(Ok(_)) = stream.next().await {}
            if ending == Ending::Bye(ByeCode::TooLarge) {
                // The rest of the message cannot be read. Closing a socket on unread bytes resets
                // the connection and may take the reason with it, so give the client the time to
                // see it.
                std::future::pending::<()>().await;
            }
        };
        // A client that announced its return gets an answer, too. Memory that others need is not
        // kept for a client that does not read: it gets what its socket accepts at once.
        let patience = match ending {
            Ending::Bye(ByeCode::Crowded) => Duration::ZERO,
            _ => self.settings().close_within,
        };
        let _ = timeout(patience, handshake).await;
    }

    /// Sends `why` over `socket` and closes it without reading.
    pub(super) async fn turn_away(&self, mut socket: WebSocket, why: Text) {
        let handshake = async {
            let close = CloseFrame { code: 1008, reason: "refused".into() };
            for message in [Message::Text((&*why.json).into()), Message::Close(Some(close))] {
                if socket.send(message).await.is_err() {
                    return;
                }
            }
            while let Some(Ok(_)) = socket.recv().await {}
        };
        let _ = timeout(self.settings().close_within, handshake).await;
    }

    async fn listen(
        &self,
        stream: &mut SplitStream<WebSocket>,
        mut phase: PhaseWatch,
        queue: &SendQueue,
        conversation: &mut impl Conversation,
    ) -> Ending {
        let ConnectionLimits { ping_every, rate, .. } = self.settings();
        let mut guard = FloodGuard::new(rate);
        // Pings since the client's last message.
        let mut unanswered = 0;
        let mut ping_at = self.clock.now().mono + ping_every;
        let mut wakes_at = Duration::ZERO;
        let mut alarm = pin!(sleep(ping_every));
        loop {
            let next = conversation.next_deadline().map_or(ping_at, |deadline| deadline.min(ping_at));
            if next != wakes_at {
                wakes_at = next;
                alarm.set(sleep(next.saturating_sub(self.clock.now().mono)));
            }
            tokio::select! {
                frame = stream.next() => {
                    unanswered = 0;
                    if let Some(ending) = self.hear(frame, &mut guard, conversation) {
                        return ending;
                    }
                }
                () = &mut alarm => {
                    wakes_at = Duration::ZERO;
                    let now = self.clock.now();
                    if conversation.next_deadline().is_some_and(|deadline| deadline <= now.mono)
                        && let Some(code) = conversation.wake(now)
                    {
                        return Ending::Bye(code);
                    }
                    if ping_at <= now.mono {
                        if unanswered == 2 {
                            return Ending::Bye(ByeCode::Silent);
                        }
                        unanswered += 1;
                        ping_at = now.mono + ping_every;
                        queue.ping();
                    }
                }
                told = queue.told() => match told {
                    Told::End(code) => return Ending::Bye(code),
                    Told::Answered => conversation.answered(self.clock.now()),
                    Told::Renew => conversation.renew(self.clock.now()),
                },
                () = phase.reached(Phase::Draining) => return Ending::Bye(ByeCode::ShuttingDown),
            }
        }
    }

    /// Takes what the connection brings; whatever it is, it proves that the client is there.
    fn hear(
        &self,
        frame: Option<Result<Message, axum::Error>>,
        guard: &mut FloodGuard,
        conversation: &mut impl Conversation,
    ) -> Option<Ending> {
        let message = match frame {
            Some(Ok(Message::Close(frame))) => return Some(ending_by(frame.as_ref())),
            // Without a close frame, the client has not decided to leave.
            None => return Some(Ending::Lost),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let ending = ending_of(error);
                if ending == Ending::Bye(ByeCode::TooLarge) {
                    self.refuse(ErrorCode::TooLarge, conversation);
                }
                return Some(ending);
            }
        };
        self.counters.received.add(1);
        let now = self.clock.now();
        match guard.judge(now.mono) {
            Verdict::Accept => match message {
                Message::Text(text) => conversation.hear(now, &text),
                Message::Binary(_) => self.refuse(ErrorCode::BinaryFrame, conversation),
                Message::Pong(payload) => {
                    if let Ok(seq) = <[u8; 8]>::try_from(&*payload) {
                        conversation.confirm(u64::from_be_bytes(seq));
                    }
                }
                // The library answers a ping by itself.
                Message::Ping(_) | Message::Close(_) => {}
            },
            Verdict::Refuse => self.refuse(ErrorCode::RateLimited, conversation),
            Verdict::Ignore => {}
            Verdict::Flood => return Some(Ending::Bye(ByeCode::Flooding)),
        }
        None
    }

    fn refuse(&self, code: ErrorCode, conversation: &mut impl Conversation) {
        self.counters.refused(code);
        conversation.refuse(code);
    }
}

/// Writes what the queue holds, until the last frame is out or the connection breaks.
async fn write(mut sink: SplitSink<WebSocket, Message>, queue: &SendQueue) {
    loop {
        let (message, last) = match queue.next().await {
            Frame::Text(Text { json, .. }) => (Message::Text((&*json).into()), false),
            // Comes back in the pong (RFC 6455 section 5.5.3), and so does the news that all before
            // it has arrived.
            Frame::Ping => {
                let payload = queue.written().to_be_bytes().to_vec();
                (Message::Ping(payload.into()), false)
            }
            Frame::Close(code, reason) => {
                (Message::Close(Some(CloseFrame { code, reason: reason.into() })), true)
            }
        };
        if sink.send(message).await.is_err() || last {
            return;
        }
        queue.wrote();
    }
}

/// Meaning of the client's own close frame.
fn ending_by(frame: Option<&CloseFrame>) -> Ending {
    match frame {
        Some(frame) if frame.code == BACK_SOON => Ending::Lost,
        _ => Ending::Client,
    }
}

/// Meaning of an error of the library. axum wraps the errors of the very version of tungstenite we
/// name.
fn ending_of(error: axum::Error) -> Ending {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Ending::Bye(ByeCode::TooLarge),
        Some(tungstenite::Error::Utf8(_)) => Ending::NotUtf8,
        Some(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )) => Ending::Lost,
        Some(tungstenite::Error::Protocol(_)) => Ending::Violation,
        // The stream beneath has charged every frame, among them those that the library joins or
        // answers by itself.
        Some(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::QuotaExceeded => {
            Ending::Bye(ByeCode::Flooding)
        }
        // Nor has it memory for a connection in no room.
        Some(tungstenite::Error::Io(error)) if error.kind() == std::io::ErrorKind::ResourceBusy => {
            Ending::Bye(ByeCode::Crowded)
        }
        _ => Ending::Lost,
    }
}
