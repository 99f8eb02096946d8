//! Why datagrams are dropped.

/// Why a datagram was dropped. A closed set: it labels a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Neither STUN nor ChannelData by its first byte.
    NotTurn,
    /// A STUN or ChannelData message that does not parse: truncated, over-long, or forged.
    Malformed,
    /// A FINGERPRINT that does not fit its message.
    BadFingerprint,
    /// A response, or an indication that no client sends.
    Unexpected,
    /// From source port 0, which nothing honest uses and no answer reaches.
    PortZero,
    /// From a client without an allocation.
    NoAllocation,
    /// On a channel that is not bound.
    NoChannel,
    /// To or from a peer without a permission.
    NoPermission,
    /// To a peer that the gate refuses.
    PeerDenied,
    /// To a relay address of this server whose allocation is gone.
    RelayGone,
    /// Beyond the bandwidth of its allocation.
    Bandwidth,
    /// A payload that does not fit into a message to the client.
    TooLong,
    /// From a stranger whose address has used up its answers of this second.
    StrangerBudget,
    /// A repeated Allocate request whose first copy is still waiting for its relay socket.
    Pending,
    /// An ICMP error of a type that clients are not told, or beyond what one allocation is told a second.
    Icmp,
    /// The socket had no room; media is dropped rather than queued.
    SendFull,
    /// The kernel refused to send (unreachable network, a local firewall).
    SendFailed,
}

impl Reason {
    /// Every reason with its label.
    pub const ALL: [(Self, &'static str); 17] = [
        (Self::NotTurn, "not_turn"),
        (Self::Malformed, "malformed"),
        (Self::BadFingerprint, "bad_fingerprint"),
        (Self::Unexpected, "unexpected"),
        (Self::PortZero, "port_zero"),
        (Self::NoAllocation, "no_allocation"),
        (Self::NoChannel, "no_channel"),
        (Self::NoPermission, "no_permission"),
        (Self::PeerDenied, "peer_denied"),
        (Self::RelayGone, "relay_gone"),
        (Self::Bandwidth, "bandwidth"),
        (Self::TooLong, "too_long"),
        (Self::StrangerBudget, "stranger_budget"),
        (Self::Pending, "pending"),
        (Self::Icmp, "icmp"),
        (Self::SendFull, "send_full"),
        (Self::SendFailed, "send_failed"),
    ];
}
