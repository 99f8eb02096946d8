//! Sending of the outbox, and counting of the outcomes.

use std::io;
use std::net::UdpSocket;

use byway_turn::server::{Answer, DropReason, ListenerId, RelayId};
use byway_udp::{Flushed, Outcome, SendStats};

use super::counters::Direction;
use super::poll_loop::{Buffers, Shard};

/// Socket to send a datagram from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SocketId {
    Listener(ListenerId),
    Relay(RelayId),
}

/// Kind of a datagram, for counting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum TrafficKind {
    Relayed(Direction),
    Response(Answer),
}

impl Shard {
    /// Sends everything in the outbox, and counts the outcomes. A failed send affects only its own
    /// datagrams: an unreachable peer ends neither its allocation nor its shard.
    pub(super) fn flush(&self, buffers: &mut Buffers) {
        let Buffers { inbox, outbox, .. } = buffers;
        if outbox.is_empty() {
            return;
        }
        let Flushed { stats, outcomes } = outbox.flush(inbox.bytes(), |id| self.socket(id));
        outcomes.for_each(|outcome| self.count_outcome(&outcome));
        self.count_sends(stats);
    }

    /// Sends everything in the outbox, and clears the inbox, whose datagrams have all been served.
    pub(super) fn flush_and_clear(&self, buffers: &mut Buffers) {
        self.flush(buffers);
        buffers.inbox.clear();
    }

    fn socket(&self, id: SocketId) -> Option<&UdpSocket> {
        match id {
            SocketId::Listener(id) => self.listener(id).ok().map(|listener| &listener.socket),
            SocketId::Relay(id) => self.relay_socket(id).map(|relay| &relay.socket),
        }
    }

    fn count_outcome(&self, outcome: &Outcome<TrafficKind>) {
        let Outcome { tag, datagrams, bytes, ref result } = *outcome;
        match (result, tag) {
            (Ok(()), TrafficKind::Relayed(direction)) => self.counters.relayed(direction, datagrams, bytes),
            (Ok(()), TrafficKind::Response(answer)) => {
                (0..datagrams).for_each(|_| self.counters.answered(answer));
            }
            (Err(error), _) => self.counters.dropped(drop_reason(error), datagrams),
        }
    }

    fn count_sends(&self, stats: SendStats) {
        self.counters.send_calls.add(stats.calls);
        self.counters.sent_alone.add(stats.alone);
        self.counters.sent_segmented.add(stats.segmented);
        self.counters.segmentation_refused.add(stats.refused);
    }
}

/// Returns the reason under which a failed send is counted.
fn drop_reason(error: &io::Error) -> DropReason {
    // `ErrorKind` has no kind for ENOBUFS, which means a full device queue.
    if error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(libc::ENOBUFS) {
        return DropReason::SendFull;
    }
    tracing::trace!(%error, "sending failed");
    DropReason::SendFailed
}
