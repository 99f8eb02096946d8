//! Why datagrams are dropped.

use crate::closed_set;

closed_set! {
    /// Reason for which a datagram was dropped. It labels a metric.
    pub enum DropReason {
        /// Neither STUN nor ChannelData by its first byte.
        NotTurn = "not_turn",
        /// A STUN or ChannelData message that does not parse: truncated, over-long, or forged.
        Malformed = "malformed",
        /// A FINGERPRINT that does not fit its message.
        BadFingerprint = "bad_fingerprint",
        /// A response, or an indication that no client sends.
        Unexpected = "unexpected",
        /// From source port 0, which nothing honest uses and no answer reaches.
        PortZero = "port_zero",
        /// From a client without an allocation.
        NoAllocation = "no_allocation",
        /// On a channel that is not bound.
        NoChannel = "no_channel",
        /// To or from a peer without a permission.
        NoPermission = "no_permission",
        /// To a peer that the peer policy refuses.
        PeerDenied = "peer_denied",
        /// To a relay address of this server whose allocation is gone.
        RelayGone = "relay_gone",
        /// Beyond the bandwidth of its allocation.
        Bandwidth = "bandwidth",
        /// A payload that does not fit into a message to the client.
        TooLong = "too_long",
        /// From a stranger whose address has used up its answers of this second.
        StrangerBudget = "stranger_budget",
        /// A repeated Allocate request whose first copy is still waiting for its relay socket.
        Pending = "pending",
        /// An ICMP error of a type that clients are not told, or beyond what one allocation is told
        /// a second.
        Icmp = "icmp",
        /// The socket had no room; media is dropped rather than queued.
        SendFull = "send_full",
        /// The kernel refused to send (unreachable network, a local firewall).
        SendFailed = "send_failed",
    }
}
