//! Accept loop: connections of the TCP listeners, and those that other threads have accepted.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use byway_turn::time::Now;
use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::mailbox::TurnConnection;
use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;
use super::schedule::Served;

/// Maximum number of connections that one listener accepts per turn.
pub(super) const ACCEPTS: usize = 32;

/// Delay until a listener retries after running out of descriptors or memory.
const RESUME_AFTER: Duration = Duration::from_millis(50);

/// TCP listeners of a shard.
#[derive(Default)]
pub(super) struct TcpListeners {
    /// `None` in the place of a closed listener, which another one takes over.
    listeners: Vec<Option<Listening>>,
    /// Time at which to accept again, after descriptors or memory ran out.
    resume_at: Option<Duration>,
}

struct Listening {
    listener: TcpListener,
    /// Whether the listener is in the queue of ready sockets.
    ready: bool,
}

impl TcpListeners {
    /// Adds a listener and registers it with the poll of `registry`.
    pub(super) fn add(&mut self, listener: TcpListener, registry: &Registry) -> io::Result<()> {
        let vacant = self.listeners.iter().position(Option::is_none);
        let place = vacant.unwrap_or(self.listeners.len());
        let token = PollToken::TcpListener(place).into();
        registry.register(&mut SourceFd(&listener.as_raw_fd()), token, Interest::READABLE)?;
        self.listeners.resize_with(self.listeners.len().max(place + 1), || None);
        self.listeners[place] = Some(Listening { listener, ready: false });
        Ok(())
    }

    /// Closes the listener with this address. The kernel refuses the connections that nobody has
    /// accepted.
    pub(super) fn close(&mut self, address: SocketAddr) {
        let is_it = |listening: &Listening| listening.listener.local_addr().is_ok_and(|own| own == address);
        for place in &mut self.listeners {
            *place = place.take().filter(|listening| !is_it(listening));
        }
    }

    /// Returns the flag that marks a listener as queued.
    pub(super) fn ready(&mut self, place: usize) -> Option<&mut bool> {
        self.listeners.get_mut(place)?.as_mut().map(|listening| &mut listening.ready)
    }

    pub(super) fn resume_at(&self) -> Option<Duration> {
        self.resume_at
    }
}

impl Shard {
    /// Accepts pending connections of a listener, up to [`ACCEPTS`].
    pub(super) fn serve_tcp_listener(&mut self, now: Now, buffers: &mut Buffers, place: usize) -> Served {
        for _ in 0..ACCEPTS {
            let Some(Some(Listening { listener, .. })) = self.tcp_listeners.listeners.get(place) else {
                return Served::DRY;
            };
            match listener.accept() {
                Ok((socket, client)) => {
                    let prepared = socket.set_nonblocking(true).and_then(|()| socket.local_addr());
                    if let Ok(server) = prepared {
                        self.admit(now, buffers, TurnConnection { socket, tls: None, client, server });
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Served::DRY,
                Err(error) if is_out_of_room(&error) => {
                    // Without a connection to evict, the pending one waits until another ends.
                    if !self.evict_unauthenticated(now, buffers) {
                        self.tcp_listeners.resume_at = Some(now.mono + RESUME_AFTER);
                        return Served::DRY;
                    }
                }
                // The connection ended while it was pending.
                Err(error) => tracing::trace!(%error, "accepting failed"),
            }
        }
        Served { batches: 0, is_dry: false }
    }

    /// Adds a connection if the limits permit it, and returns its place.
    pub(super) fn admit(
        &mut self,
        now: Now,
        buffers: &mut Buffers,
        connection: TurnConnection,
    ) -> Option<usize> {
        // The client of a new connection may be honest. The client of the oldest one without an
        // allocation is probably not.
        let limiter = self.connections.limiter.clone();
        let client = connection.client.ip();
        let permit = limiter.admit_or(client, || self.evict_unauthenticated(now, buffers))?;
        let admitted = self.connections.insert(now, connection, permit, self.poll.registry());
        self.limit_unauthenticated(now, buffers);
        self.counters.connections.set(self.connections.count() as u64);
        admitted.inspect_err(|error| tracing::debug!(%error, "a connection cannot be registered")).ok()
    }

    /// Makes all listeners ready again once the retry delay has passed.
    pub(super) fn resume_accepting(&mut self, now: Now) {
        if self.tcp_listeners.resume_at.is_some_and(|at| at <= now.mono) {
            self.tcp_listeners.resume_at = None;
            let listeners = self.tcp_listeners.listeners.len();
            (0..listeners).for_each(|place| self.make_ready(PollToken::TcpListener(place)));
        }
    }
}

/// Whether the error means that descriptors or memory ran out. Closing connections frees both.
fn is_out_of_room(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM))
}
