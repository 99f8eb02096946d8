//! Why a frame was not accepted, and why a connection ended: the closed sets that pages switch on and metrics count by.

use serde::{Serialize, Serializer};

/// Why a frame was not accepted. A closed set: it labels a metric, and pages switch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// `bad-message`
    BadMessage,
    /// `unknown-type`
    UnknownType,
    /// `binary-frame`
    BinaryFrame,
    /// `too-large`
    TooLarge,
    /// `rate-limited`
    RateLimited,
    /// `bad-room`
    BadRoom,
    /// `bad-name`
    BadName,
    /// `already-joined`
    AlreadyJoined,
    /// `not-joined`
    NotJoined,
    /// `room-full`
    RoomFull,
    /// `too-many-rooms`
    TooManyRooms,
    /// `no-such-peer`
    NoSuchPeer,
    /// `token-required`
    TokenRequired,
    /// `bad-token`
    BadToken,
    /// `token-expired`
    TokenExpired,
    /// `token-not-yet-valid`
    TokenNotYetValid,
    /// `token-too-far-ahead`
    TokenTooFarAhead,
    /// `wrong-room`
    WrongRoom,
}

impl ErrorCode {
    /// Every code with its name and its sentence, in the order of the type.
    pub const ALL: [(Self, &'static str, &'static str); 18] = [
        (
            Self::BadMessage,
            "bad-message",
            "The frame is not a JSON object with the fields that its type needs.",
        ),
        (Self::UnknownType, "unknown-type", "No message has this type."),
        (Self::BinaryFrame, "binary-frame", "Messages are JSON in text frames."),
        (Self::TooLarge, "too-large", "The message is longer than this server accepts."),
        (Self::RateLimited, "rate-limited", "Messages come too fast; this one was ignored."),
        (Self::BadRoom, "bad-room", "A room is 1 to 128 characters without control characters."),
        (
            Self::BadName,
            "bad-name",
            "A name is 1 to 64 characters without control or bidirectional characters.",
        ),
        (Self::AlreadyJoined, "already-joined", "This connection is in a room; leave it first."),
        (Self::NotJoined, "not-joined", "This connection is in no room; join one first."),
        (Self::RoomFull, "room-full", "The room has as many members as this server allows."),
        (
            Self::TooManyRooms,
            "too-many-rooms",
            "This server has as many rooms as it allows, or your network as many as one may have.",
        ),
        (Self::NoSuchPeer, "no-such-peer", "No other member of your room has this id."),
        (Self::TokenRequired, "token-required", "This server lets in whom a join token invites."),
        (Self::BadToken, "bad-token", "The join token is none that this server takes."),
        (Self::TokenExpired, "token-expired", "The join token has expired; ask for another."),
        (
            Self::TokenNotYetValid,
            "token-not-yet-valid",
            "The join token is not valid yet: its `nbf` is more than 30 s ahead of the server's clock.",
        ),
        (
            Self::TokenTooFarAhead,
            "token-too-far-ahead",
            "The join token's `exp` or `nbf` is more than a year ahead: milliseconds? They are in seconds.",
        ),
        (Self::WrongRoom, "wrong-room", "The join token is for another room."),
    ];

    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// One sentence for the developer.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        Self::ALL[self as usize].2
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Why the server closes. A closed set: it labels a metric, and pages switch on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByeCode {
    /// A message was longer than the server accepts.
    TooLarge,
    /// The client does not read what it is sent.
    TooSlow,
    /// The client keeps sending faster than it may.
    Flooding,
    /// The connection was in no room for too long.
    Idle,
    /// The client did not answer the server's pings.
    Silent,
    /// The server stops.
    ShuttingDown,
    /// The membership was resumed over another connection.
    Replaced,
    /// Someone with an API key has removed the member.
    Removed,
}

impl ByeCode {
    /// Every code with its name and its WebSocket close code (RFC 6455 section 7.4.1), in the order of the type.
    pub const ALL: [(Self, &'static str, u16); 8] = [
        (Self::TooLarge, "too-large", 1009),
        (Self::TooSlow, "too-slow", 1013),
        (Self::Flooding, "flooding", 1008),
        (Self::Idle, "idle", 1008),
        (Self::Silent, "silent", 1008),
        (Self::ShuttingDown, "shutting-down", 1001),
        (Self::Replaced, "replaced", 4001),
        (Self::Removed, "removed", 4003),
    ];

    /// The name on the wire, which is also the reason in the close frame.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// The code in the close frame.
    #[must_use]
    pub fn close_code(self) -> u16 {
        Self::ALL[self as usize].2
    }

    /// How long to stay away, in milliseconds, where coming back unchanged can help.
    pub(super) fn retry_ms(self) -> Option<u64> {
        matches!(self, Self::TooSlow | Self::Silent | Self::ShuttingDown).then_some(1_000)
    }

    /// Whether the member stays for a while, to be resumed: the connection was at fault, not the client.
    pub(super) fn stays(self) -> bool {
        matches!(self, Self::TooSlow | Self::Silent)
    }
}

/// How a connection ended. A closed set: it labels a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it.
    Client,
    /// It broke, or the client says that it will be back.
    Lost,
    /// The client broke the rules of WebSocket (RFC 6455 section 7.1.7).
    Violation,
    /// A text frame was not UTF-8 (RFC 6455 section 8.1).
    NotUtf8,
    /// The server closed it.
    Bye(ByeCode),
}

impl Ending {
    /// The label of every ending.
    pub const LABELS: [&'static str; 4 + ByeCode::ALL.len()] = [
        "client",
        "lost",
        "violation",
        "not-utf8",
        "too-large",
        "too-slow",
        "flooding",
        "idle",
        "silent",
        "shutting-down",
        "replaced",
        "removed",
    ];

    /// Where [`Self::LABELS`] has its label.
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Lost => 1,
            Self::Violation => 2,
            Self::NotUtf8 => 3,
            Self::Bye(code) => 4 + code as usize,
        }
    }

    /// Whether the member stays for a while, to be resumed.
    #[must_use]
    pub fn stays(self) -> bool {
        match self {
            Self::Lost => true,
            Self::Bye(code) => code.stays(),
            Self::Client | Self::Violation | Self::NotUtf8 => false,
        }
    }

    /// Code and reason of the close frame that we owe the client, if any.
    #[must_use]
    pub fn close_frame(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Client | Self::Lost => None,
            Self::Violation => Some((1002, "violation")),
            Self::NotUtf8 => Some((1007, "not-utf8")),
            Self::Bye(code) => Some((code.close_code(), code.name())),
        }
    }
}

impl Serialize for ByeCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
