//! Whether every shard answers: a STUN Binding request to each, by its mailbox.
//!
//! A request from a socket would reach the one shard that the kernel picks for its 4-tuple, by a
//! hash that nobody can aim; and it would fail where a firewall keeps this machine from itself, or
//! the rate limit of its address is reached, for which no server is to be restarted. The mailbox
//! reaches a shard's own thread between its rounds, and what is asked there goes the way of every
//! request: through the relay, which has to make the answer.

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

/// A Binding request (RFC 8489 section 5), its transaction ID of no account.
const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42watchdog....";

/// The beginning of its success response.
const SUCCESS: [u8; 2] = [0x01, 0x01];

/// Asks the shards of a data plane.
#[derive(Clone)]
pub struct Pulse {
    pub(super) mailboxes: Arc<[MailboxSender]>,
}

impl Pulse {
    /// The numbers of the shards that have not answered `within` this time.
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
    /// Whether the relay answers a Binding request. It is charged to an address that no client has.
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
