//! One WebSocket, from its first frame to its last.
//!
//! A connection reads and writes in one task: `Session::listen` ends for one of the reasons of [`Ending`], and
//! meanwhile `write` empties the outbox. Whatever the ending, the member leaves its room first and the closing
//! handshake comes after, so that nobody waits for a client that has stopped.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite;

use super::outbox::{Frame, Outbox};
use super::protocol::{ByeCode, ClientMessage, Ending, ErrorCode, MemberId, ServerMessage};
use super::rate::{Meter, Verdict};
use super::{Hub, Settings};
use crate::ice::{Host, IceConfiguration};

/// Sets a WebSocket's limits. Its library is made for trusted peers: 128 KiB of buffer for reading, messages of
/// 64 MiB and a write buffer without end are what a stranger could make us hold.
pub fn limit(upgrade: WebSocketUpgrade, settings: &Settings) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(4 * 1024)
        .max_message_size(settings.max_message)
        .max_frame_size(settings.max_message)
        // Every frame is flushed before the next is taken from the outbox, which does the queueing.
        .write_buffer_size(0)
        // One of our own messages: the largest signal and its envelope, or a `joined` with a full room and many URLs.
        .max_write_buffer_size(
            settings.max_message + settings.limits.members.saturating_mul(1024) + 64 * 1024,
        )
}

/// Serves one connection of a client that reached us as `host`, until it ends.
pub async fn run(socket: WebSocket, hub: Arc<Hub>, host: Option<Host>) {
    let outbox = Arc::new(Outbox::new(hub.settings.max_queue));
    let (sink, mut stream) = socket.split();
    let mut writer = pin!(write(sink, &outbox));
    // Held until the connection is closed: `Hub::shut_down` waits for it.
    let mut stopping = hub.stopping.subscribe();
    let mut session = Session::new(&hub, &outbox, host);
    let ending = tokio::select! {
        ending = session.listen(&mut stream, &mut stopping) => ending,
        () = &mut writer => Ending::Lost,
    };
    drop(session);
    hub.counters.closed(ending);

    outbox.close(ending);
    let handshake = async {
        if ending.close_frame().is_some() {
            writer.await;
        }
        // Reading on sends what the library owes, such as the answer to a close frame, and ends with the client's.
        while let Some(Ok(_)) = stream.next().await {}
        if ending == Ending::Bye(ByeCode::TooLarge) {
            // The rest of the message cannot be read. Closing a socket on unread bytes resets the connection and may
            // take the reason with it, so give the client the time to see it.
            std::future::pending::<()>().await;
        }
    };
    if ending != Ending::Lost {
        let _ = timeout(hub.settings.close_within, handshake).await;
    }
}

/// Writes what the outbox holds, until the last frame is out or the connection breaks.
async fn write(mut sink: SplitSink<WebSocket, Message>, outbox: &Outbox) {
    loop {
        let (message, last) = match outbox.next().await {
            Frame::Text(text) => (Message::Text(String::from(text).into()), false),
            Frame::Ping => (Message::Ping(Vec::new().into()), false),
            Frame::Close(code, reason) => {
                (Message::Close(Some(CloseFrame { code, reason: reason.into() })), true)
            }
        };
        if sink.send(message).await.is_err() || last {
            return;
        }
    }
}

struct Session<'a> {
    hub: &'a Hub,
    outbox: &'a Arc<Outbox>,
    host: Option<Host>,
    /// The name in this connection's credentials: what the relay's quotas count by.
    user: String,
    meter: Meter,
    member: Option<MemberId>,
    /// Pings since the client was last heard.
    unanswered: u8,
}

impl<'a> Session<'a> {
    fn new(hub: &'a Hub, outbox: &'a Arc<Outbox>, host: Option<Host>) -> Self {
        hub.counters.connections.add(1);
        let (user, meter) = (hub.random.name(), Meter::new(hub.settings.rate));
        Self { hub, outbox, host, user, meter, member: None, unanswered: 0 }
    }

    async fn listen(
        &mut self,
        stream: &mut SplitStream<WebSocket>,
        stopping: &mut watch::Receiver<bool>,
    ) -> Ending {
        let Settings { ping_every, idle_after, .. } = self.hub.settings;
        // Half of the lifetime, so that a page which restarts ICE at any time has a credential that lasts a while.
        let refresh_every = (self.hub.ice.ttl() / 2).max(Duration::from_secs(1));
        let mut pings = interval(ping_every);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pings.reset();
        let mut idle = pin!(sleep(idle_after));
        let mut refresh = pin!(sleep(refresh_every));
        loop {
            tokio::select! {
                frame = stream.next() => {
                    let before = self.member;
                    if let Some(ending) = self.hear(frame) {
                        return ending;
                    }
                    match (before, self.member) {
                        (None, Some(_)) => refresh.set(sleep(refresh_every)),
                        (Some(_), None) => idle.set(sleep(idle_after)),
                        _ => {}
                    }
                }
                _ = pings.tick() => {
                    if self.unanswered == 2 {
                        return Ending::Bye(ByeCode::Silent);
                    }
                    self.unanswered += 1;
                    self.outbox.ping();
                }
                () = &mut idle, if self.member.is_none() => return Ending::Bye(ByeCode::Idle),
                () = &mut refresh, if self.member.is_some() => {
                    self.outbox.say(&ServerMessage::Ice(self.ice()));
                    refresh.set(sleep(refresh_every));
                }
                () = self.outbox.overflowed() => return Ending::Bye(ByeCode::TooSlow),
                _ = stopping.wait_for(|stopping| *stopping) => return Ending::Bye(ByeCode::ShuttingDown),
            }
        }
    }

    /// Takes what the connection brings; whatever it is, it proves that the client is there.
    fn hear(&mut self, frame: Option<Result<Message, axum::Error>>) -> Option<Ending> {
        self.unanswered = 0;
        let message = match frame {
            Some(Ok(Message::Close(_))) | None => return Some(Ending::Client),
            Some(Ok(message)) => message,
            Some(Err(error)) => {
                let ending = ending_of(error);
                if ending == Ending::Bye(ByeCode::TooLarge) {
                    self.refuse(ErrorCode::TooLarge);
                }
                return Some(ending);
            }
        };
        self.hub.counters.received.add(1);
        match self.meter.judge(self.hub.clock.now().mono) {
            Verdict::Accept => {
                if let Err(code) = self.obey(&message) {
                    self.refuse(code);
                }
            }
            Verdict::Refuse => self.refuse(ErrorCode::RateLimited),
            Verdict::Ignore => {}
            Verdict::Flood => return Some(Ending::Bye(ByeCode::Flooding)),
        }
        None
    }

    fn obey(&mut self, message: &Message) -> Result<(), ErrorCode> {
        match message {
            Message::Text(text) => match ClientMessage::parse(text)? {
                ClientMessage::Join { .. } if self.member.is_some() => return Err(ErrorCode::AlreadyJoined),
                ClientMessage::Join { room, name } => {
                    self.member = Some(self.hub.join(self.outbox, room, name, self.ice())?);
                }
                ClientMessage::Signal { to, data } => {
                    self.hub.signal(self.member.ok_or(ErrorCode::NotJoined)?, to, data)?;
                }
                ClientMessage::Leave => self.hub.leave(self.member.take().ok_or(ErrorCode::NotJoined)?),
                ClientMessage::Ping => self.outbox.say(&ServerMessage::Pong {}),
            },
            Message::Binary(_) => return Err(ErrorCode::BinaryFrame),
            // The library answers a ping by itself.
            Message::Ping(_) | Message::Pong(_) | Message::Close(_) => {}
        }
        Ok(())
    }

    fn refuse(&self, code: ErrorCode) {
        self.hub.counters.refused(code);
        self.outbox.say(&ServerMessage::error(code));
    }

    fn ice(&self) -> IceConfiguration {
        self.hub.ice.issue(self.hub.clock.now(), self.host.as_ref(), &self.user)
    }
}

impl Drop for Session<'_> {
    /// However a connection ends, its member does not stay behind.
    fn drop(&mut self) {
        if let Some(id) = self.member.take() {
            self.hub.leave(id);
        }
        self.hub.counters.connections.subtract(1);
    }
}

/// What an error of the library means. axum wraps the errors of the very version of tungstenite we name.
fn ending_of(error: axum::Error) -> Ending {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => Ending::Bye(ByeCode::TooLarge),
        Some(tungstenite::Error::Utf8(_)) => Ending::NotUtf8,
        Some(tungstenite::Error::Protocol(
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake,
        )) => Ending::Lost,
        Some(tungstenite::Error::Protocol(_)) => Ending::Violation,
        _ => Ending::Lost,
    }
}
