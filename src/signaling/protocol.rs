//! The messages of the signaling, as `docs/signaling.md` specifies them. Pure: text in, values out.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::ice::IceConfiguration;

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
    /// The value of `type` for every message.
    pub const TYPES: [&'static str; 4] = ["join", "signal", "leave", "ping"];

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
                let name = name
                    .map(|name| DisplayName::new(name.into_owned()).ok_or(ErrorCode::BadName))
                    .transpose()?;
                Ok(Self::Join { room, name })
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
    /// The value of `type` for every message.
    pub const TYPES: [&'static str; 8] =
        ["joined", "signal", "peer-joined", "peer-left", "pong", "ice", "error", "bye"];

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

/// Names one membership: drawn at `join`, never used again. 128 bits, so that it can be neither guessed nor met twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub [u8; 16]);

impl MemberId {
    /// Reads what [`fmt::Display`] writes, and nothing else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut id).ok()?;
        (length == id.len()).then_some(Self(id))
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
mod tests {
    use super::*;

    const ID: MemberId = MemberId([7; 16]);
    const ID_TEXT: &str = "BwcHBwcHBwcHBwcHBwcHBw";

    fn refused(text: &str) -> ErrorCode {
        ClientMessage::parse(text).expect_err(text)
    }

    #[test]
    fn every_client_message_is_read() {
        let join =
            ClientMessage::parse(r#"{"name":"Al\u00e9","type":"join","room":"r","token":"t","new":[1]}"#)
                .unwrap();
        assert!(
            matches!(join, ClientMessage::Join { room, name: Some(name) } if room.0 == "r" && name.0 == "Alé")
        );
        let join = ClientMessage::parse(r#" {"type":"join","room":"r","name":null,"resume":null}"#).unwrap();
        assert!(matches!(join, ClientMessage::Join { name: None, .. }));
        assert!(matches!(ClientMessage::parse(r#"{"type":"leave"}"#), Ok(ClientMessage::Leave)));
        assert!(matches!(ClientMessage::parse(r#"{"type":"ping"}"#), Ok(ClientMessage::Ping)));
    }

    #[test]
    fn data_is_kept_byte_for_byte() {
        for data in [r#"{"a" : 1.50, "b":"\u0041"}"#, "null", "1e999", r#""x""#, "[ ]"] {
            let text = format!(r#"{{"type":"signal","to":"{ID_TEXT}","data":{data}}}"#);
            let Ok(ClientMessage::Signal { to: ID, data: kept }) = ClientMessage::parse(&text) else {
                panic!("{text}")
            };
            assert_eq!(kept.get(), data);
            let sent = ServerMessage::Signal { from: ID, seq: 1, data: kept }.to_json();
            assert_eq!(sent, format!(r#"{{"type":"signal","from":"{ID_TEXT}","seq":1,"data":{data}}}"#));
        }
    }

    #[test]
    fn what_is_not_the_protocol_has_a_code() {
        use ErrorCode::{BadMessage, NoSuchPeer, UnknownType};
        let deep = format!(r#"{{"type":"signal","to":"{ID_TEXT}","data":{}}}"#, "[".repeat(10_000));
        for bad in [
            "",
            "x",
            "[]",
            "null",
            "1",
            "\"join\"",
            r#"["join"]"#,
            r#"["ping"]"#,
            "{}",
            r#"{"type":1}"#,
            r#"{"type":"ping"} {"type":"ping"}"#,
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":"join"}"#,
            r#"{"type":"join","room":1}"#,
            r#"{"type":"join","room":"r","name":1}"#,
            r#"{"type":"signal","data":1}"#,
            r#"{"type":"join","room":"a","room":"b"}"#,
            r#"{"type":"signal","to":"x"}"#,
            &deep,
        ] {
            assert_eq!(refused(bad), BadMessage, "{bad:.80}");
        }
        for kind in ["", "Join", "joined", "peer-left", "join "] {
            assert_eq!(refused(&format!(r#"{{"type":"{kind}"}}"#)), UnknownType);
        }
        for to in ["", "x", "BwcHBwcHBwcHBwcHBwcHBx", "BwcHBwcHBwcHBwcHBwcHBw==", "BwcHBwcHBwcHBwcHBwcHBwAA"]
        {
            assert_eq!(refused(&format!(r#"{{"type":"signal","to":"{to}","data":1}}"#)), NoSuchPeer, "{to}");
        }
    }

    #[test]
    fn names_are_bounded_and_cannot_rearrange_text() {
        assert!(RoomName::new("a".repeat(128)).is_some() && RoomName::new("é".repeat(128)).is_some());
        for bad in ["", "a\nb", "\0", "\u{85}", &"a".repeat(129)] {
            assert_eq!(RoomName::new(bad.to_owned()), None, "{bad:?}");
        }
        assert!(
            DisplayName::new("Zoë 👩‍💻 שלום".to_owned()).is_some()
                && DisplayName::new("é".repeat(64)).is_some()
        );
        for bad in [
            "",
            "a\tb",
            "\u{7f}",
            "\u{202e}evil",
            "\u{2066}x",
            "\u{200f}",
            "\u{61c}",
            "a\u{2028}b",
            &"a".repeat(65),
        ] {
            assert_eq!(DisplayName::new(bad.to_owned()), None, "{bad:?}");
        }
    }

    #[test]
    fn tables_are_in_the_order_of_their_types() {
        assert!(ErrorCode::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(ByeCode::ALL.iter().enumerate().all(|(i, row)| row.0 as usize == i));
        assert!(
            ByeCode::ALL.iter().all(|(code, name, _)| Ending::LABELS[Ending::Bye(*code).index()] == *name)
        );
    }

    #[test]
    fn server_messages_in_full() {
        let peer = |name| Peer { id: ID, name, polite: true };
        let ice = IceConfiguration {
            ice_servers: vec![],
            ice_transport_policy: crate::config::TransportPolicy::Relay,
            ttl: 1,
            expires_at: "e".to_owned(),
        };
        let ice_json = r#""iceServers":[],"iceTransportPolicy":"relay","ttl":1,"expiresAt":"e""#;
        let expected = [
            (
                ServerMessage::Joined { id: ID, peers: vec![peer(None)], resume: (), ice: ice.clone() },
                format!(
                    r#"{{"type":"joined","id":"{ID_TEXT}","peers":[{{"id":"{ID_TEXT}","name":null,"polite":true}}],"resume":null,"ice":{{{ice_json}}}}}"#
                ),
            ),
            (
                ServerMessage::PeerJoined(peer(DisplayName::new("\"".to_owned()))),
                format!(r#"{{"type":"peer-joined","id":"{ID_TEXT}","name":"\"","polite":true}}"#),
            ),
            (ServerMessage::PeerLeft { id: ID }, format!(r#"{{"type":"peer-left","id":"{ID_TEXT}"}}"#)),
            (ServerMessage::Pong {}, r#"{"type":"pong"}"#.to_owned()),
            (ServerMessage::Ice(ice), format!(r#"{{"type":"ice",{ice_json}}}"#)),
            (
                ServerMessage::error(ErrorCode::UnknownType),
                r#"{"type":"error","code":"unknown-type","message":"No message has this type."}"#.to_owned(),
            ),
            (
                ServerMessage::bye(ByeCode::ShuttingDown),
                r#"{"type":"bye","code":"shutting-down","retry_ms":1000}"#.to_owned(),
            ),
            (ServerMessage::bye(ByeCode::Idle), r#"{"type":"bye","code":"idle"}"#.to_owned()),
        ];
        for (message, json) in expected {
            assert_eq!(message.to_json(), json);
        }
    }
}
