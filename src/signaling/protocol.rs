//! Messages of the signaling, as `docs/signaling.md` specifies them. Pure: text in, values out.

pub mod report;

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::ice::IceConfiguration;

use self::report::{ReportEvent, TimelineEvent, TimelineMember};

pub use super::codes::{ByeCode, Ending, ErrorCode};
pub use crate::access::names::{DisplayName, Region, RoomName};
pub use byway_turn::auth::MemberId;

/// The WebSocket subprotocol (RFC 6455 section 1.9).
pub const SUBPROTOCOL: &str = "byway.v1";

/// Observations of one `report`.
pub const MAX_REPORTED: usize = 32;

/// Replaces [`MemberId`] in the schema, because its crate does not depend on `schemars`.
pub(super) struct MemberIdText;

/// Message from a client.
#[derive(Debug, JsonSchema)]
#[schemars(tag = "type", rename_all = "kebab-case")]
pub enum ClientMessage {
    /// Enters a room.
    Join(Join),
    /// Sends data to one member of the same room.
    Signal {
        /// Receiver.
        #[schemars(with = "MemberIdText")]
        to: MemberId,
        /// Any JSON value. The server does not inspect it.
        #[schemars(with = "serde_json::Value")]
        data: Box<RawValue>,
    },
    /// Leaves the room; the connection stays.
    Leave {},
    /// Asks for a `pong`.
    Ping {
        /// Last signal that the client has. The server discards those up to it.
        seq: Option<u64>,
    },
    /// Removes another member from the room. For hosts.
    Remove {
        /// The member.
        #[schemars(with = "MemberIdText")]
        id: MemberId,
    },
    /// Locks or unlocks the room. For hosts.
    Lock {
        /// Whether newcomers are refused.
        locked: bool,
    },
    /// Asks for a join token for a guest. For hosts.
    Invite {
        /// Lifetime in seconds, an hour by default. It is limited to 7 days.
        ttl: Option<NonZeroU64>,
        /// `true` if the guest may only receive.
        #[schemars(default)]
        viewer: bool,
    },
    /// Allows or ends reports. The server then discards the reports of a client that ends them.
    Consent {
        /// Whether reports follow.
        reports: bool,
    },
    /// Adds observations of the client's connections to the timeline of the room.
    Report {
        /// At most 32 observations.
        events: Vec<ReportEvent>,
    },
    /// Asks for the timeline of the room.
    Timeline {
        /// Number of the last event that the client has.
        after: Option<u64>,
    },
}

/// Request to enter a room.
#[derive(Debug, JsonSchema)]
pub struct Join {
    /// Name of the room.
    pub room: RoomName,
    /// Name that other members see.
    pub name: Option<DisplayName>,
    /// Join token, for servers that require one.
    pub token: Option<Secret>,
    /// The `resume` of the membership to return to.
    pub resume: Option<Secret>,
    /// Last signal that it received under that membership.
    pub seq: Option<u64>,
    /// `true` to receive only: a viewer sees the members, and no other viewer.
    #[schemars(default)]
    pub viewer: bool,
    /// Region of the relay that is nearest to the client. Other regions precede it: that of the
    /// token, and that which a trusted proxy tells. One that is no region is ignored.
    #[schemars(with = "Option<String>")]
    pub region: Option<Region>,
}

/// Text that proves an identity. It is never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(redacted)")
    }
}

impl ClientMessage {
    /// Reads one text frame. Fields that the protocol does not know are ignored, so that it can
    /// grow.
    ///
    /// By hand in two steps, because serde's tagged enums keep their input in a form that
    /// [`RawValue`] cannot be read from, and because an unknown type is another error than a bad
    /// message.
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
        struct Fields<'a> {
            #[serde(borrow)]
            room: Cow<'a, str>,
            #[serde(borrow)]
            name: Option<Cow<'a, str>>,
            token: Option<String>,
            resume: Option<String>,
            seq: Option<u64>,
            viewer: Option<bool>,
            region: Option<Cow<'a, str>>,
        }
        #[derive(Deserialize)]
        struct Signal<'a> {
            #[serde(borrow)]
            to: Cow<'a, str>,
            data: Box<RawValue>,
        }

        #[derive(Deserialize)]
        struct Ping {
            seq: Option<u64>,
        }

        #[derive(Deserialize)]
        struct Remove<'a> {
            #[serde(borrow)]
            id: Cow<'a, str>,
        }

        #[derive(Deserialize)]
        struct Lock {
            locked: bool,
        }

        #[derive(Deserialize)]
        struct Invite {
            ttl: Option<NonZeroU64>,
            viewer: Option<bool>,
        }

        #[derive(Deserialize)]
        struct Consent {
            reports: bool,
        }

        #[derive(Deserialize)]
        struct Report {
            events: Vec<ReportEvent>,
        }

        #[derive(Deserialize)]
        struct Timeline {
            after: Option<u64>,
        }

        match object::<Tag<'_>>(text)?.kind.as_ref() {
            "join" => {
                let Fields { room, name, token, resume, seq, viewer, region } = object(text)?;
                let room = RoomName::new(room.into_owned()).ok_or(ErrorCode::BadRoom)?;
                // A page passes on what its input field holds, and an empty field is no name.
                let name = name.filter(|name| !name.is_empty());
                let name = name.map(|name| DisplayName::new(name.into_owned()).ok_or(ErrorCode::BadName));
                let (token, resume) = (token.map(Secret), resume.map(Secret));
                let viewer = viewer.unwrap_or(false);
                let region = region.and_then(|region| region.parse().ok());
                Ok(Self::Join(Join { room, name: name.transpose()?, token, resume, seq, viewer, region }))
            }
            "signal" => {
                let Signal { to, data } = object(text)?;
                Ok(Self::Signal { to: MemberId::parse(&to).ok_or(ErrorCode::NoSuchPeer)?, data })
            }
            "leave" => Ok(Self::Leave {}),
            "ping" => {
                let Ping { seq } = object(text)?;
                Ok(Self::Ping { seq })
            }
            "remove" => {
                let Remove { id } = object(text)?;
                Ok(Self::Remove { id: MemberId::parse(&id).ok_or(ErrorCode::NoSuchPeer)? })
            }
            "lock" => {
                let Lock { locked } = object(text)?;
                Ok(Self::Lock { locked })
            }
            "invite" => {
                let Invite { ttl, viewer } = object(text)?;
                Ok(Self::Invite { ttl, viewer: viewer.unwrap_or(false) })
            }
            "consent" => {
                let Consent { reports } = object(text)?;
                Ok(Self::Consent { reports })
            }
            "report" => {
                let Report { events } = object(text)?;
                if events.len() > MAX_REPORTED {
                    return Err(ErrorCode::BadMessage);
                }
                Ok(Self::Report { events })
            }
            "timeline" => {
                let Timeline { after } = object(text)?;
                Ok(Self::Timeline { after })
            }
            _ => Err(ErrorCode::UnknownType),
        }
    }
}

/// Reads a JSON object. A derived struct would also take an array of its fields' values; the
/// protocol does not.
pub(super) fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ErrorCode> {
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ErrorCode::BadMessage);
    }
    serde_json::from_str(text).map_err(|_| ErrorCode::BadMessage)
}

/// Message from the server.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ServerMessage {
    /// The client is a member now.
    Joined {
        /// Your identity until you leave.
        #[schemars(with = "MemberIdText")]
        id: MemberId,
        /// The other members that you see, in order of arrival.
        peers: Vec<Peer>,
        /// Whether you are a host of the room.
        host: bool,
        /// Whether you are a viewer.
        viewer: bool,
        /// Whether the room is locked.
        locked: bool,
        /// Ticket for `join` after a lost connection. `null` if the server does not keep lost
        /// members.
        resume: Option<String>,
        /// The same object as `/ice` answers.
        ice: IceConfiguration,
    },
    /// Data from another member.
    Signal {
        /// Sender, set by the server.
        #[schemars(with = "MemberIdText")]
        from: MemberId,
        /// 1 for the first signal you get in this room, then one more for each.
        seq: u64,
        /// The data as sent, byte for byte.
        #[schemars(with = "serde_json::Value")]
        data: Box<RawValue>,
    },
    /// A member joined.
    PeerJoined(Peer),
    /// A member left.
    PeerLeft {
        /// The member.
        #[schemars(with = "MemberIdText")]
        id: MemberId,
    },
    /// A member, maybe you, is a host now.
    Host {
        /// The member.
        #[schemars(with = "MemberIdText")]
        id: MemberId,
    },
    /// The room was locked or unlocked.
    Locked {
        /// Whether newcomers are refused.
        locked: bool,
    },
    /// The answer to `invite`.
    #[serde(rename_all = "camelCase")]
    Invitation {
        /// Join token for this room.
        token: String,
        /// Time of its expiry (RFC 3339).
        expires_at: String,
    },
    /// The answer to `timeline`: the next events that you may see.
    Timeline {
        /// The members that the events name.
        members: Vec<TimelineMember>,
        /// The events in order of their numbers.
        events: Vec<TimelineEvent>,
        /// The `after` of the next request.
        next: u64,
        /// Whether there are more events now.
        more: bool,
        /// Observations of all members that exceeded a limit.
        dropped: u64,
    },
    /// The answer to `ping`.
    Pong {},
    /// A fresh configuration, in time before the last one ends.
    Ice(IceConfiguration),
    /// The frame was not accepted; the connection stays open.
    Error {
        /// Reason.
        code: ErrorCode,
        /// One sentence for the developer.
        message: &'static str,
        /// Milliseconds to wait before a retry, if a retry can help.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
    /// The last message before the server closes.
    Bye {
        /// Reason.
        code: ByeCode,
        /// Milliseconds to wait before connecting again. Without it, an unchanged retry will not
        /// help.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
        /// `true` where the membership waits for the client to resume it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        resume: bool,
    },
}

impl ServerMessage {
    /// The `error` for `code`.
    #[must_use]
    pub fn error(code: ErrorCode) -> Self {
        Self::Error { code, message: code.sentence(), retry_ms: None }
    }

    /// The `error` for what is refused until `wait` is over.
    #[must_use]
    pub fn error_until(code: ErrorCode, wait: Duration) -> Self {
        let retry_ms = u64::try_from(wait.as_millis()).map_or(u64::MAX, |ms| ms.saturating_add(1));
        Self::Error { code, message: code.sentence(), retry_ms: Some(retry_ms) }
    }

    /// The `bye` for `code`.
    #[must_use]
    pub fn bye(code: ByeCode) -> Self {
        Self::Bye { code, retry_ms: code.retry_ms(), resume: code.stays() }
    }

    /// The message as it waits to be written.
    #[must_use]
    pub fn text(&self) -> Text {
        let topic = match self {
            Self::Signal { seq, .. } => Topic::Signal(*seq),
            Self::PeerJoined(peer) => Topic::Came(peer.id),
            Self::PeerLeft { id } => Topic::Left(*id),
            Self::Ice(_) => Topic::Ice,
            Self::Host { id } => Topic::Host(*id),
            Self::Locked { .. } => Topic::Locked,
            _ => Topic::Other,
        };
        Text { json: self.to_json().into(), topic }
    }

    /// The message as one text frame.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and checked raw values always serialise")
    }
}

/// A message as it waits to be written: in no more memory than its bytes, however many wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The text frame.
    pub json: Arc<str>,
    /// Subject, by which a later message may supersede it.
    pub topic: Topic,
}

/// Subject of a message: a later one may supersede another that still waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// A signal with this `seq`.
    Signal(u64),
    /// A member joined.
    Came(MemberId),
    /// Someone left.
    Left(MemberId),
    /// The configuration.
    Ice,
    /// A member is a host now.
    Host(MemberId),
    /// Whether the room is locked.
    Locked,
    /// Anything else.
    Other,
}

/// One member of a room, as another one sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Peer {
    /// Identity in the room.
    #[schemars(with = "MemberIdText")]
    pub id: MemberId,
    /// Name of their choice; `null` if they gave none.
    pub name: Option<DisplayName>,
    /// Your role towards them in perfect negotiation: of any two members, exactly one is polite.
    pub polite: bool,
    /// Whether they are a host of the room.
    pub host: bool,
    /// Whether they receive only.
    pub viewer: bool,
}

#[cfg(test)]
mod tests;
