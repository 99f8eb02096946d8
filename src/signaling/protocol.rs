//! The messages of the signaling, as `docs/signaling.md` specifies them. Pure: text in, values out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ice::IceConfiguration;

pub use crate::standing::MemberId;

/// The WebSocket subprotocol (RFC 6455 section 1.9).
pub const SUBPROTOCOL: &str = "byway.v1";

/// What a client says.
#[derive(Debug)]
pub enum ClientMessage {
    /// Enters a room.
    Join {
        /// Which.
        room: RoomName,
        /// What the others are shown.
        name: Option<DisplayName>,
    },
    /// Says something to one member of the same room.
    Signal {
        /// To whom.
        to: MemberId,
        /// Anything; never looked into.
        data: Box<RawValue>,
    },
    /// Leaves the room; the connection stays.
    Leave,
    /// Asks for a `pong`.
    Ping,
}

impl ClientMessage {
    /// Reads one text frame. Fields that the protocol does not know are ignored, so that it can grow.
    ///
    /// By hand in two steps, because serde's tagged enums keep their input in a form that [`RawValue`] cannot be
    /// read from, and because an unknown type is another error than a bad message.
    ///
    /// # Errors
    /// The code to answer with.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        #[derive(Deserialize)]
        struct Tag<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
        }
        #[derive(Deserialize)]
        struct Join<'a> {
            #[serde(borrow)]
            room: Cow<'a, str>,
            #[serde(borrow)]
            name: Option<Cow<'a, str>>,
        }
        #[derive(Deserialize)]
        struct Signal<'a> {
            #[serde(borrow)]
            to: Cow<'a, str>,
            data: Box<RawValue>,
        }

        match object::<Tag<'_>>(text)?.kind.as_ref() {
            "join" => {
                let Join { room, name } = object(text)?;
                let room = RoomName::new(room.into_owned()).ok_or(ErrorCode::BadRoom)?;
                // A page passes on what its input field holds, and an empty field is no name.
                let name = name.filter(|name| !name.is_empty());
                let name = name.map(|name| DisplayName::new(name.into_owned()).ok_or(ErrorCode::BadName));
                Ok(Self::Join { room, name: name.transpose()? })
            }
            "signal" => {
                let Signal { to, data } = object(text)?;
                Ok(Self::Signal { to: MemberId::parse(&to).ok_or(ErrorCode::NoSuchPeer)?, data })
            }
            "leave" => Ok(Self::Leave),
            "ping" => Ok(Self::Ping),
            _ => Err(ErrorCode::UnknownType),
        }
    }
}

/// Reads a JSON object. A derived struct would also take an array of its fields' values; the protocol does not.
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ErrorCode> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ErrorCode::BadMessage);
    }
    serde_json::from_str(text).map_err(|_| ErrorCode::BadMessage)
}

/// What the server says.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// You are in.
    Joined {
        /// Who you are, as long as you stay.
        id: MemberId,
        /// Who was there before you, in order of arrival.
        peers: Vec<Peer>,
        /// Always `null`: this server cannot resume a lost connection.
        resume: (),
        /// What `/ice` would answer.
        ice: IceConfiguration,
    },
    /// Someone said something to you.
    Signal {
        /// Who; stamped by the server.
        from: MemberId,
        /// 1 for the first signal you get in this room, then one more for each.
        seq: u64,
        /// As it was sent, byte for byte.
        data: Box<RawValue>,
    },
    /// Someone came.
    PeerJoined(Peer),
    /// Someone went.
    PeerLeft {
        /// Who.
        id: MemberId,
    },
    /// The answer to `ping`.
    Pong {},
    /// A fresh configuration, in time before the last one ends.
    Ice(IceConfiguration),
    /// Your frame was not accepted; the connection stays.
    Error {
        /// Why.
        code: ErrorCode,
        /// One sentence for the developer.
        message: &'static str,
    },
    /// The last message before the server closes.
    Bye {
        /// Why.
        code: ByeCode,
        /// How long to wait before coming back, in milliseconds; without it, do not come back unchanged.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u32>,
    },
}

impl ServerMessage {
    /// The `error` for `code`.
    #[must_use]
    pub fn error(code: ErrorCode) -> Self {
        Self::Error { code, message: code.sentence() }
    }

    /// The `bye` for `code`.
    #[must_use]
    pub fn bye(code: ByeCode) -> Self {
        Self::Bye { code, retry_ms: code.retry_ms() }
    }

    /// The message as one text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, integers and checked raw values always serialise")
    }
}

/// One member of a room, as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Peer {
    /// Who.
    pub id: MemberId,
    /// What they call themselves; `null` if they gave no name.
    pub name: Option<DisplayName>,
    /// Your role towards them in perfect negotiation: of any two members, exactly one is polite.
    pub polite: bool,
}

/// The name of a room: 1 to 128 characters, none of them a control character. Who knows it can enter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomName(String);

impl RoomName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks a name.
    #[must_use]
    pub fn new(name: String) -> Option<Self> {
        (has_chars(&name, Self::MAX_CHARS) && !name.chars().any(char::is_control)).then_some(Self(name))
    }
}

/// What a member is called on the others' screens: 1 to 64 characters that cannot rearrange the text around them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DisplayName(String);

impl DisplayName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Checks a name. Control characters, line breaks and bidirectional controls (Unicode Standard Annex 9 section
    /// 2) are refused rather than stripped: two people must not end up with one name.
    #[must_use]
    pub fn new(name: String) -> Option<Self> {
        let rearranges = |c: char| {
            c.is_control()
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        (has_chars(&name, Self::MAX_CHARS) && !name.chars().any(rearranges)).then_some(Self(name))
    }
}

/// Between 1 and `max` characters, counted no further than that.
fn has_chars(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().take(max + 1).count())
}

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
}

impl ErrorCode {
    /// Every code with its name and its sentence, in the order of the type.
    pub const ALL: [(Self, &'static str, &'static str); 12] = [
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
        (Self::TooManyRooms, "too-many-rooms", "This server has as many rooms as it allows."),
        (Self::NoSuchPeer, "no-such-peer", "No other member of your room has this id."),
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
}

impl ByeCode {
    /// Every code with its name and its WebSocket close code (RFC 6455 section 7.4.1), in the order of the type.
    pub const ALL: [(Self, &'static str, u16); 6] = [
        (Self::TooLarge, "too-large", 1009),
        (Self::TooSlow, "too-slow", 1013),
        (Self::Flooding, "flooding", 1008),
        (Self::Idle, "idle", 1008),
        (Self::Silent, "silent", 1008),
        (Self::ShuttingDown, "shutting-down", 1001),
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
    fn retry_ms(self) -> Option<u32> {
        matches!(self, Self::TooSlow | Self::Silent | Self::ShuttingDown).then_some(1_000)
    }
}

/// How a connection ended. A closed set: it labels a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The client closed it.
    Client,
    /// It broke.
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

#[cfg(test)]
mod tests;
