//! Reasons to reject a frame and to end a connection: the closed sets that pages switch on and
//! metrics count by.

use std::fmt::Debug;

use serde::{Serialize, Serializer};

use byway_turn::closed_set;
use byway_turn::closed_set::ClosedSet;

closed_set! {
    /// Reason for which a frame was not accepted. It labels a metric, and pages switch on it.
    pub enum ErrorCode {
        BadMessage = "bad-message": "The frame is not a JSON object with the fields that its type needs.",
        UnknownType = "unknown-type": "No message has this type.",
        BinaryFrame = "binary-frame": "Messages are JSON in text frames.",
        TooLarge = "too-large": "The message is longer than this server accepts.",
        RateLimited = "rate-limited": "Messages come too fast; this one was ignored.",
        BadRoom = "bad-room": "A room is 1 to 128 characters without control characters.",
        BadName = "bad-name": "A name is 1 to 64 characters without control or bidirectional characters.",
        AlreadyJoined = "already-joined": "This connection is in a room; leave it first.",
        NotJoined = "not-joined": "This connection is in no room; join one first.",
        RoomFull = "room-full": "The room has as many members as this server allows.",
        ViewersFull = "viewers-full": "The room has as many viewers as this server allows.",
        RoomLocked = "room-locked": "The room is locked; ask a host to unlock it.",
        TooManyRooms = "too-many-rooms": "This server has as many rooms as it allows, or your network as many as one may have.",
        NoSuchPeer = "no-such-peer": "No other member of your room has this id.",
        NoConsent = "no-consent": "Reports need consent; send `consent` first.",
        NotHost = "not-host": "Only a host of the room may do this.",
        NoTokens = "no-tokens": "This server asks for no join tokens; the link to the room is enough.",
        TokenRequired = "token-required": "A join token is required.",
        BadToken = "bad-token": "The join token is not valid for this server.",
        TokenExpired = "token-expired": "The join token has expired; ask for another.",
        TokenNotYetValid = "token-not-yet-valid": "The join token is not valid yet: its `nbf` is more than 30 s ahead of the server's clock.",
        TokenTooFarAhead = "token-too-far-ahead": "The join token's `exp` or `nbf` is more than a year ahead: milliseconds? They are in seconds.",
        WrongRoom = "wrong-room": "The join token is for another room.",
    }
}

impl Serialize for ErrorCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

closed_set! {
    /// Reason for which the server closes. It labels a metric, and pages switch on it.
    pub enum ByeCode {
        /// A message was longer than the server accepts.
        TooLarge = "too-large",
        /// The client does not read what it is sent.
        TooSlow = "too-slow",
        /// The client keeps sending faster than it may.
        Flooding = "flooding",
        /// The connection was in no room for too long.
        Idle = "idle",
        /// The connection was in no room, and others needed its memory.
        Crowded = "crowded",
        /// The client did not answer the server's pings.
        Silent = "silent",
        /// The server stops.
        ShuttingDown = "shutting-down",
        /// The membership was resumed over another connection.
        Replaced = "replaced",
        /// A host, or a program with an API key, has removed the member.
        Removed = "removed",
    }
}

impl ByeCode {
    /// WebSocket close code (RFC 6455 section 7.4.1) of the close frame; its reason is the label.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::TooLarge => 1009,
            Self::TooSlow | Self::Crowded => 1013,
            Self::Flooding | Self::Idle | Self::Silent => 1008,
            Self::ShuttingDown => 1001,
            Self::Replaced => 4001,
            Self::Removed => 4003,
        }
    }

    /// Time to stay away, in milliseconds, where coming back unchanged can help.
    pub(super) fn retry_ms(self) -> Option<u64> {
        matches!(self, Self::TooSlow | Self::Crowded | Self::Silent | Self::ShuttingDown).then_some(1_000)
    }

    /// Whether the member stays for a while, to be resumed: the connection was at fault, not the
    /// client.
    pub(super) fn stays(self) -> bool {
        matches!(self, Self::TooSlow | Self::Silent)
    }
}

/// Ending of a connection. A closed set: it labels a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it.
    Client,
    /// It broke, or the client announced its return.
    Lost,
    /// The client broke the rules of WebSocket (RFC 6455 section 7.1.7).
    Violation,
    /// A text frame was not UTF-8 (RFC 6455 section 8.1).
    NotUtf8,
    /// The server closed it.
    Bye(ByeCode),
}

impl ClosedSet for Ending {
    type Table<T: Debug + Default> = [T; 4 + ByeCode::ALL.len()];

    const ALL: &'static [Self] = &[
        Self::Client,
        Self::Lost,
        Self::Violation,
        Self::NotUtf8,
        Self::Bye(ByeCode::TooLarge),
        Self::Bye(ByeCode::TooSlow),
        Self::Bye(ByeCode::Flooding),
        Self::Bye(ByeCode::Idle),
        Self::Bye(ByeCode::Crowded),
        Self::Bye(ByeCode::Silent),
        Self::Bye(ByeCode::ShuttingDown),
        Self::Bye(ByeCode::Replaced),
        Self::Bye(ByeCode::Removed),
    ];

    fn label(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Violation => "violation",
            Self::NotUtf8 => "not-utf8",
            Self::Bye(code) => code.label(),
        }
    }

    fn index(self) -> usize {
        match self {
            Self::Client => 0,
            Self::Lost => 1,
            Self::Violation => 2,
            Self::NotUtf8 => 3,
            Self::Bye(code) => 4 + code.index(),
        }
    }
}

impl Ending {
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
            Self::Violation => Some((1002, self.label())),
            Self::NotUtf8 => Some((1007, self.label())),
            Self::Bye(code) => Some((code.close_code(), self.label())),
        }
    }
}

impl Serialize for ByeCode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}
