//! Schedule: bounded work for each ready socket in turn, so that no flood starves the others.

use std::collections::VecDeque;

use byway_turn::time::Now;

use super::poll_loop::{Buffers, Shard};
use super::poll_token::PollToken;

/// Batches that the inbox holds: what relay sockets bring gathers there for the listeners, so that
/// one call sends it to many clients.
pub(super) const BATCHES: usize = 16;

/// Bytes that are sent although more might gather: what the fastest cache holds. Beyond that, a
/// payload has left it by the time that the kernel copies it.
const WARM: usize = 32 * 1024;

/// Bytes from others that are sent before it is the listeners' turn again: a fraction of a
/// millisecond's work, in which a listener's buffer does not run over.
const ROUND: usize = 256 * 1024;

/// Relay sockets, connections and the like that have a turn before it is the listeners' again.
const TURNS: usize = 16;

/// Sockets that may have something waiting, each once. Readiness is told once (edge-triggered), so
/// a socket stays queued until it has been read dry.
#[derive(Default)]
pub(super) struct ReadyQueues {
    /// UDP listeners. They have a queue of their own, for they are few and serve every client.
    listeners: VecDeque<PollToken>,
    others: VecDeque<PollToken>,
    /// Whether messages may be waiting in the mailbox.
    has_mail: bool,
}

/// Result of one turn.
pub(super) struct Served {
    /// Number of batches that were served.
    pub(super) batches: usize,
    /// Whether nothing more waits until the kernel names the socket ready again.
    pub(super) is_dry: bool,
}

impl Served {
    /// Nothing is left, or the socket is gone.
    pub(super) const DRY: Self = Self { batches: 0, is_dry: true };
}

impl Shard {
    /// Whether something is known to wait.
    pub(super) fn has_work(&self) -> bool {
        !self.ready.listeners.is_empty() || !self.ready.others.is_empty() || self.ready.has_mail
    }

    /// Puts a socket into its queue, if it is there and not in the queue yet.
    pub(super) fn make_ready(&mut self, token: PollToken) {
        match token {
            PollToken::Mailbox => return self.ready.has_mail = true,
            // Whatever has expired is ended in each round.
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

    /// Notes that a socket has errors waiting. Only relay sockets keep any.
    pub(super) fn note_error(&mut self, token: PollToken) {
        if let PollToken::RelaySocket(place) = token
            && let Some(Some(relay)) = self.relay_sockets.get_mut(place)
        {
            relay.has_errors = true;
        }
    }

    /// Returns the mark of a socket that it is in its queue.
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

    /// Gives each ready listener one turn, then some of the other sockets; returns the number of
    /// batches that were served.
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
            // Each of these goes to a socket of its own, or is an answer: nothing is won by letting
            // it wait for more.
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

    /// Gives a socket its turn; returns the number of batches that were served.
    fn serve(&mut self, now: Now, buffers: &mut Buffers, token: PollToken) -> usize {
        let Served { batches, is_dry } = match token {
            PollToken::UdpListener(place) => self.serve_udp_listener(now, buffers, place),
            PollToken::RelaySocket(place) => self.serve_relay_socket(now, buffers, place),
            PollToken::TcpListener(place) => self.serve_tcp_listener(now, buffers, place),
            PollToken::Connection(place) => self.serve_connection(now, buffers, place),
            PollToken::Mailbox | PollToken::Timer => Served::DRY,
        };
        // It may have been closed by what it received.
        if let Some(queued) = self.is_queued(token) {
            *queued = false;
        }
        if !is_dry {
            self.make_ready(token);
        }
        batches
    }
}
