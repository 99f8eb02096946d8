//! Health check of the shards: a STUN Binding request to each, through its mailbox.
//!
//! A request from a socket is unsuitable for two reasons:
//!
//! - It would reach only the shard that the kernel picks by a hash of its 4-tuple.
//! - It would fail if a firewall blocks traffic of this machine to itself, or if the rate limit of
//!   its address is reached. Neither is a reason to restart a server.
//!
//! The mailbox reaches each shard's own thread between its rounds. The request there takes the path
//! of every request: the relay must answer it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::server::{Action, Answer, FiveTuple, ListenerId, Transport};
use byway_turn::time::Now;
use futures_util::future::join_all;
use tokio::time::timeout;

use super::mailbox::MailboxSender;
use super::poll_loop::{Buffers, Shard};

/// Binding request (RFC 8489 section 5) with an arbitrary transaction ID.
const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42watchdog....";

/// First bytes of its success response.
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Health check of the shards of a data plane.
#[derive(Clone)]
pub struct Pulse {
    pub(super) mailboxes: Arc<[MailboxSender]>,
}

impl Pulse {
    /// Returns the indices of the shards that do not answer `within` this time.
    pub async fn silent(&self, within: Duration) -> Vec<usize> {
        let answers = join_all(self.mailboxes.iter().map(|mailbox| timeout(within, mailbox.ping()))).await;
        let is_silent = |answer: &Result<Result<(), _>, _>| !matches!(answer, Ok(Ok(())));
        let answers = answers.iter().enumerate();
        answers.filter(|(_, answer)| is_silent(answer)).map(|(shard, _)| shard).collect()
    }
}

impl fmt::Debug for Pulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pulse of {} shards", self.mailboxes.len())
    }
}

impl Shard {
    /// Whether the relay answers a Binding request. The request is charged to an address that no
    /// client can have.
    pub(super) fn answers_a_binding(&mut self, now: Now, buffers: &mut Buffers) -> bool {
        let nobody = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let transport = Transport::Udp(ListenerId(0));
        let five_tuple = FiveTuple { client: SocketAddr::new(nobody, 1), server: nobody, transport };
        let action = self.relay.client_datagram(now, five_tuple, &REQUEST, &mut buffers.reply);
        let transaction = 8..20;
        matches!(action, Action::Reply { answer: Answer::Binding, .. })
            && buffers.reply.as_bytes().starts_with(&SUCCESS)
            && buffers.reply.as_bytes().get(transaction.clone()) == REQUEST.get(transaction)
    }
}
