//! State of one HTTP connection: the event that it waits for, its deadline, and the memory that it
//! holds.
//!
//! The [`Metered`](super::metered_stream::Metered) stream, the service and [`serve`](super::serve)
//! share it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Request;
use byway_turn::lock::lock;
use byway_turn::rate_limit::Gcra;
use hyper::body::{Frame, SizeHint};

use super::frames::End;
use super::limits::{HttpLimits, Protocol};
use crate::net::memory_budget::{Eviction, Reservation};

/// Time that one frame costs: 100 a second, twice what the signaling takes in messages.
const FRAME_COSTS: Duration = Duration::from_millis(10);

/// Frames at once: more than the burst of messages that the signaling answers with an error.
const FRAMES_AT_ONCE: u32 = 1_024;

/// Frames that an answered HTTP/2 request is worth: its head, its body and the windows of its
/// response.
const FRAMES_OF_A_REQUEST: u32 = 4;

/// Bytes of a header field beside its name and value, as hyper keeps it.
const FIELD_OVERHEAD: usize = 104;

/// ConnectionState of one connection, and the memory that it holds.
#[derive(Debug)]
pub(super) struct ConnectionState {
    limits: HttpLimits,
    protocol: Protocol,
    frames: Gcra,
    /// Bytes of the budget, until a WebSocket releases them.
    memory: Arc<Reservation>,
    /// A `std` mutex: held for a few assignments, never across an await.
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The client that the memory is counted for: a trusted proxy's, or the one that it has named
    /// last.
    client: IpAddr,
    /// Counts the changes of what the connection waits for.
    changes: u64,
    /// Bytes of a head or a frame that has begun and whose end is still to come.
    unfinished: usize,
    /// Requests whose response is not yet written.
    under_way: u32,
    /// Whether a request has succeeded on this connection.
    is_known: bool,
    /// Bytes of the requests whose body is still to come.
    held: usize,
    /// Bytes of the connection itself, whatever it does.
    base: usize,
    eviction: Eviction,
    upgrade: Upgrade,
}

/// Progress of a connection towards a WebSocket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Upgrade {
    /// No request asked for one.
    #[default]
    None,
    /// A request asked, and nothing came behind its head.
    Asked,
    /// The client sent more before the answer, which RFC 6455 section 4.1 forbids.
    TooEarly,
    /// Granted: what comes next are frames.
    Granted,
    /// Refused, although it was granted already: nothing is read any more.
    Over,
}

/// Decision on the response to a request that asked for a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    /// The request did not ask.
    NotAsked,
    /// Frames begin behind the head.
    Granted,
    /// No WebSocket, and the connection has to close.
    Refused,
}

/// A request under way; ends on drop.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<ConnectionState>);

/// Bytes of a request whose body is still to come; returned on drop.
#[derive(Debug)]
pub(super) struct BodyReservation {
    state: Arc<ConnectionState>,
    bytes: usize,
}

impl ConnectionState {
    /// A connection of `client` that has asked nothing yet, and has reserved what it takes by
    /// itself.
    pub(super) fn new(
        limits: HttpLimits,
        protocol: Protocol,
        client: IpAddr,
        (memory, eviction): (Reservation, Eviction),
    ) -> Arc<Self> {
        let inner = Inner {
            client,
            changes: 0,
            unfinished: 0,
            under_way: 0,
            is_known: false,
            held: 0,
            base: protocol.base(),
            eviction,
            upgrade: Upgrade::None,
        };
        let (frames, memory) = (Gcra::default(), Arc::new(memory));
        Arc::new(Self { limits, protocol, frames, memory, inner: Mutex::new(inner) })
    }

    /// Counts the memory of a trusted proxy's connection for the client that it has named.
    pub(super) fn speaks_for(&self, client: IpAddr) {
        let mut inner = self.lock();
        if std::mem::replace(&mut inner.client, client) != client {
            self.memory.move_to(client);
        }
    }

    /// The client that the memory is counted for.
    pub(super) fn client(&self) -> IpAddr {
        self.lock().client
    }

    /// Charges `frames` to the connection at monotonic time `now`; false if there were too many.
    pub(super) fn charge(&self, now: Duration, frames: u32) -> bool {
        self.frames.take(now, FRAME_COSTS * frames, FRAME_COSTS * FRAMES_AT_ONCE).is_ok()
    }

    /// An HTTP connection was read so far that `unfinished` bytes are those of a head or a frame
    /// without its end.
    pub(super) fn read(&self, unfinished: usize) {
        let mut inner = self.lock();
        if (inner.unfinished == 0) != (unfinished == 0) {
            inner.changes += 1;
        }
        let before = std::mem::replace(&mut inner.unfinished, unfinished);
        if in_steps(before) != in_steps(unfinished) {
            self.reserve(&inner);
        }
    }

    /// The same for HTTP/1.1, where the `end` of a head may be followed by a WebSocket.
    pub(super) fn read_http1(&self, end: Option<End>, passed_an_upgrade: bool, unfinished: usize) {
        self.read(unfinished);
        let mut inner = self.lock();
        inner.upgrade = match (inner.upgrade, end) {
            (Upgrade::None, Some(End::Upgrade)) if !passed_an_upgrade => Upgrade::Asked,
            (Upgrade::None, _) if !passed_an_upgrade => Upgrade::None,
            (upgrade @ (Upgrade::Granted | Upgrade::Over), _) => upgrade,
            _ => Upgrade::TooEarly,
        };
    }

    /// Records whether a request is answered with 101. One that `has_body` must not be: its body
    /// would be taken for frames.
    pub(super) fn switch(&self, granted: bool, has_body: bool) -> Switch {
        let mut inner = self.lock();
        match (inner.upgrade, granted) {
            (Upgrade::Asked, true) if !has_body => {
                inner.upgrade = Upgrade::Granted;
                inner.base = self.protocol.base_of_websocket();
                self.reserve(&inner);
                Switch::Granted
            }
            (Upgrade::None, false) => Switch::NotAsked,
            (_, true) => {
                inner.upgrade = Upgrade::Over;
                Switch::Refused
            }
            (_, false) => Switch::Refused,
        }
    }

    /// Whether what comes next are a WebSocket's frames.
    pub(super) fn is_websocket(&self) -> bool {
        self.lock().upgrade == Upgrade::Granted
    }

    /// Whether nothing may be read any more: a WebSocket was granted that hyper hands over whatever
    /// its answer is.
    pub(super) fn is_over(&self) -> bool {
        self.lock().upgrade == Upgrade::Over
    }

    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> UnderWay {
        let mut inner = self.lock();
        inner.under_way += 1;
        inner.changes += 1;
        UnderWay(self.clone())
    }

    /// Reserves memory for a request whose body is still to come, if the connection may hold as
    /// much.
    pub(super) fn hold<B>(self: &Arc<Self>, request: &Request<B>) -> Option<BodyReservation>
    where
        B: HttpBody,
    {
        let bytes = bytes_of(request);
        let mut inner = self.lock();
        let held = inner.held + bytes;
        if inner.base + held > self.limits.memory_of_one {
            return None;
        }
        inner.held = held;
        self.reserve(&inner);
        Some(BodyReservation { state: self.clone(), bytes })
    }

    /// A request was answered well.
    pub(super) fn vouch(&self) {
        let mut inner = self.lock();
        inner.is_known = true;
        self.memory.renew();
    }

    /// A request over HTTP/2 was answered: what its frames cost is returned.
    pub(super) fn answered(&self) {
        self.frames.give_back(FRAME_COSTS * FRAMES_OF_A_REQUEST);
    }

    /// Whether a request was answered well.
    pub(super) fn is_known(&self) -> bool {
        self.lock().is_known
    }

    /// Time that the connection may stay as it is, and the count of changes that led there.
    pub(super) fn patience(&self) -> (u64, Duration) {
        let inner = self.lock();
        let patience = match *inner {
            Inner { under_way: 1.., .. } => self.limits.response_within,
            Inner { unfinished: 0, is_known: true, .. } => self.limits.idle_within,
            _ => self.limits.head_within,
        };
        (inner.changes, patience)
    }

    /// Whether it waits for a request, no part of which has come.
    pub(super) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.under_way == 0 && inner.unfinished == 0
    }

    /// Reservation of the connection. A WebSocket has it released when something else bounds it.
    pub(super) fn memory(&self) -> Arc<Reservation> {
        self.memory.clone()
    }

    /// Resolves when the connection has to give its memory to others.
    pub(super) fn poll_evicted(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.lock();
        ready!(Pin::new(&mut inner.eviction).poll(cx));
        if self.memory.is_released() { Poll::Pending } else { Poll::Ready(()) }
    }

    fn reserve(&self, inner: &Inner) {
        self.memory.resize(inner.base + inner.held + in_steps(inner.unfinished));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A state is whole between any two statements above.
        lock(&self.inner)
    }
}

/// Bytes of an unfinished head or frame that count beyond the buffers that every connection has.
fn in_steps(unfinished: usize) -> usize {
    const STEP: usize = 4 * 1_024;
    unfinished / STEP * STEP
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut inner = self.0.lock();
        inner.under_way -= 1;
        inner.changes += 1;
        if inner.under_way == 0 {
            // Over HTTP/1.1, the body that was read last is no head that has begun.
            inner.unfinished = 0;
            self.0.reserve(&inner);
        }
    }
}

impl Drop for BodyReservation {
    fn drop(&mut self) {
        let mut inner = self.state.lock();
        inner.held -= self.bytes;
        self.state.reserve(&inner);
    }
}

/// Bytes that a request takes until its body is there.
fn bytes_of<B: HttpBody>(request: &Request<B>) -> usize {
    let fields = request.headers().iter();
    let head: usize = fields.map(|(name, value)| FIELD_OVERHEAD + name.as_str().len() + value.len()).sum();
    let uri = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    // A longer body is refused; a body without a declared length may reach this size.
    let longest = u64::from(super::params::LONGEST_BODY);
    let body = request.body().size_hint().exact().map_or(longest, |length| length.min(longest));
    size_of::<Request<()>>() + head + uri + usize::try_from(body).unwrap_or(usize::MAX)
}

/// A response's body, whose request is under way until all of it is written.
pub(super) struct Sending {
    body: Body,
    _under_way: UnderWay,
}

impl Sending {
    pub(super) fn new(body: Body, under_way: UnderWay) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl HttpBody for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
