//! Reasons for which datagrams are dropped.

use crate::closed_set;

closed_set! {
    /// Reason for which a datagram was dropped, as a metric label.
    pub enum DropReason {
        /// Its first byte is that of neither STUN nor ChannelData.
        NotTurn = "not_turn",
        /// A STUN or ChannelData message that does not parse: truncated, too long or forged.
        Malformed = "malformed",
        /// A FINGERPRINT that does not match its message.
        BadFingerprint = "bad_fingerprint",
        /// A response, an unsupported method, or an indication that no client sends.
        Unexpected = "unexpected",
        /// From source port 0, which no legitimate client uses and no answer reaches.
        PortZero = "port_zero",
        /// From a client without an allocation.
        NoAllocation = "no_allocation",
        /// On a channel that is not bound.
        NoChannel = "no_channel",
        /// To or from a peer without a permission.
        NoPermission = "no_permission",
        /// To or from a peer that the peer policy denies.
        PeerDenied = "peer_denied",
        /// To a relay address of this server whose allocation has ended.
        RelayGone = "relay_gone",
        /// Beyond the bandwidth cap of its allocation.
        Bandwidth = "bandwidth",
        /// A payload that does not fit into a message to the client.
        TooLong = "too_long",
        /// From an unauthenticated client whose address has reached its rate limit.
        StrangerBudget = "stranger_budget",
        /// A retransmitted Allocate request whose first copy is still waiting for its relay socket.
        Pending = "pending",
        /// An ICMP error of a type that is not reported to clients, or beyond the rate limit of its
        /// allocation.
        Icmp = "icmp",
        /// The socket buffer was full. Media is dropped rather than queued.
        SendFull = "send_full",
        /// The kernel refused to send (unreachable network, local firewall).
        SendFailed = "send_failed",
    }
}
