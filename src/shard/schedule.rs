//! Scheduling: bounded work for each ready socket in turn, so that no flood starves the others.

use std::collections::VecDeque;

use byway_turn::time::Now;

use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;

/// Batches that the inbox holds. Datagrams from relay sockets gather there, so that one call on a
/// listener sends them to many clients.
pub(super) const BATCHES: usize = 16;

/// Bytes in the outbox that trigger a flush: the size of the fastest cache. Beyond that, a payload
/// has left the cache by the time the kernel copies it.
const WARM: usize = 32 * 1024;

/// Bytes from other sockets that are sent before the listeners are served again. They take a
/// fraction of a millisecond, in which a listener's buffer does not overflow.
const ROUND: usize = 256 * 1024;

/// Maximum number of other sockets, such as relay sockets and connections, served before the
/// listeners are served again.
const TURNS: usize = 16;

/// Queues of sockets with pending input, each socket once. Readiness is edge-triggered, so a socket
/// stays queued until a read finds it empty.
#[derive(Default)]
pub(super) struct ReadyQueues {
    /// UDP listeners. They have their own queue, because they are few and serve every client.
    listeners: VecDeque<PollToken>,
    others: VecDeque<PollToken>,
    /// Whether the mailbox may hold messages.
    has_mail: bool,
}

/// Result of one turn.
pub(super) struct Served {
    /// Number of served batches.
    pub(super) batches: usize,
    /// Whether the socket is empty until the kernel reports it ready again.
    pub(super) is_dry: bool,
}

impl Served {
    /// The socket is empty or gone.
    pub(super) const DRY: Self = Self { batches: 0, is_dry: true };
}

impl Shard {
    /// Whether any queue or the mailbox has pending work.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.listeners.is_empty() || !self.ready.others.is_empty() || self.ready.has_mail
    }

    /// Queues a socket if it exists and is not queued yet.
    pub(super) fn make_ready(&mut self, token: PollToken) {
        match token {
            PollToken::Mailbox => return self.ready.has_mail = true,
            // Every round handles expiry.
            PollToken::Timer => return,
            _ => {}
        }
        if self.is_queued(token).is_some_and(|queued| !std::mem::replace(queued, true)) {
            let queue = match token {
                PollToken::UdpListener(_) => &mut self.ready.listeners,
                _ => &mut self.ready.others,
            };
            queue.push_back(token);
        }
    }

    /// Marks a socket as having pending errors. Only relay sockets keep errors.
    pub(super) fn note_error(&mut self, token: PollToken) {
        if let PollToken::RelaySocket(place) = token
            && let Some(Some(relay)) = self.relay_sockets.get_mut(place)
        {
            relay.has_errors = true;
        }
    }

    /// Returns the flag that marks a socket as queued.
    fn is_queued(&mut self, token: PollToken) -> Option<&mut bool> {
        match token {
            PollToken::UdpListener(place) => {
                self.listeners.get_mut(place)?.as_mut().map(|listener| &mut listener.ready)
            }
            PollToken::RelaySocket(place) => {
                self.relay_sockets.get_mut(place)?.as_mut().map(|relay| &mut relay.ready)
            }
            PollToken::TcpListener(place) => self.tcp_listeners.ready(place),
            PollToken::Connection(place) => self.connections.ready(place),
            PollToken::Mailbox | PollToken::Timer => None,
        }
    }

    /// Serves each ready listener once, then some of the other sockets. Returns the number of
    /// served batches.
    pub(super) fn serve_round(&mut self, now: Now, buffers: &mut Buffers) -> usize {
        let mut batches = self.serve_listeners(now, buffers);
        batches += self.serve_others(now, buffers);
        if self.ready.has_mail {
            self.ready.has_mail = !self.serve_mailbox(now, buffers);
        }
        self.flush_and_clear(buffers);
        self.connections.flush();
        batches
    }

    fn serve_listeners(&mut self, now: Now, buffers: &mut Buffers) -> usize {
        let mut batches = 0;
        for _ in 0..self.ready.listeners.len() {
            let Some(token) = self.ready.listeners.pop_front() else { break };
            batches += self.serve(now, buffers, token);
            // Each of these datagrams leaves by a different socket or is a response, so gathering
            // more gains nothing.
            self.flush_and_clear(buffers);
        }
        batches
    }

    fn serve_others(&mut self, now: Now, buffers: &mut Buffers) -> usize {
        let (mut batches, mut bytes) = (0, 0);
        for _ in 0..self.ready.others.len().min(TURNS) {
            let Some(token) = self.ready.others.pop_front() else { break };
            batches += self.serve(now, buffers, token);
            if buffers.outbox.bytes() >= WARM {
                bytes += buffers.outbox.bytes();
                self.flush_and_clear(buffers);
            }
            if bytes >= ROUND {
                break;
            }
        }
        batches
    }

    /// Serves a socket for one turn. Returns the number of served batches.
    fn serve(&mut self, now: Now, buffers: &mut Buffers, token: PollToken) -> usize {
        let Served { batches, is_dry } = match token {
            PollToken::UdpListener(place) => self.serve_udp_listener(now, buffers, place),
            PollToken::RelaySocket(place) => self.serve_relay_socket(now, buffers, place),
            PollToken::TcpListener(place) => self.serve_tcp_listener(now, buffers, place),
            PollToken::Connection(place) => self.serve_connection(now, buffers, place),
            PollToken::Mailbox | PollToken::Timer => Served::DRY,
        };
        // The input may have closed the socket.
        if let Some(queued) = self.is_queued(token) {
            *queued = false;
        }
        if !is_dry {
            self.make_ready(token);
        }
        batches
    }
}
