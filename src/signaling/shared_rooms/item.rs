//! Items that nodes send each other about rooms. Pure.
//!
//! An item is a JSON object: `{"room": "tea", "at": 7, "body": {"request": {"left": {...}}}}`.
//! Unknown kinds and fields are ignored, so that nodes of neighbouring versions work together.
//! Items arrive in order and once; `cluster::link` sees to it.

use std::collections::BTreeSet;

use byway_turn::auth::MemberId;
use byway_turn::closed_set::ClosedSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::value::RawValue;

use crate::access::grant::Role;
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, ErrorCode, RoomName};
use crate::signaling::room::{Heard, KeptSignal, MemberRecord};

/// Item about a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomItem {
    /// Room.
    pub room: RoomName,
    /// Number of the home's attachment to the owner. 0: there is none.
    #[serde(default)]
    pub at: u64,
    /// Number of a request in the process that it comes from. 0: a notice.
    #[serde(default)]
    pub n: u64,
    /// Content.
    pub body: Body,
}

/// Content of an item.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// Home to owner.
    Request(Request),
    /// Owner to home.
    Notice(Notice),
}

/// Content from a home to the owner of the room.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// A newcomer asks to enter.
    Join {
        /// Newcomer.
        member: MemberRecord,
        /// Whether it may enter a locked room.
        passes_lock: bool,
    },
    /// A client asks to resume a membership.
    Resume {
        /// Member.
        id: MemberId,
        /// Last signal that the client has.
        seq: Option<u64>,
    },
    /// The home attaches itself, with its state of the room.
    Adopt(Adoption),
    /// The home turns to another owner. [`Notice::Detached`] answers, after all that came before.
    Detach,
    /// A signal between two members.
    Signal(SharedSignal),
    /// A member has lost its connection.
    Lost {
        /// Member.
        id: MemberId,
        /// Last signal that was written.
        written: u64,
    },
    /// A member has left.
    Left {
        /// Member.
        id: MemberId,
    },
    /// A client has signals.
    Confirm {
        /// Member.
        id: MemberId,
        /// Last signal that the client has.
        seq: u64,
    },
    /// A member is removed.
    Remove {
        /// Host that asks for it; `None`: the operator.
        by: Option<MemberId>,
        /// Member.
        id: MemberId,
    },
    /// A host locks or unlocks the room.
    Lock {
        /// Host.
        by: MemberId,
        /// Whether newcomers are refused.
        locked: bool,
    },
    /// The home counts the signals to a member otherwise than the owner.
    Said {
        /// Member.
        id: MemberId,
        /// Number of the last signal.
        said: u64,
    },
}

/// Content from the owner of the room to a home.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Notice {
    /// The room has changed.
    Room(RoomUpdate),
    /// A newcomer may not enter.
    Refused {
        /// The id that it would have had.
        id: MemberId,
        /// Reason.
        code: Label<ErrorCode>,
    },
    /// A client resumes a membership.
    Resumed {
        /// Member.
        member: MemberRecord,
        /// Last signal that the client has.
        seq: u64,
        /// Signals after that one.
        missed: Vec<KeptSignal>,
        /// The last signals that it got, those among them.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        heard: Vec<Heard>,
    },
    /// A membership cannot be resumed.
    NotResumed {
        /// Member.
        id: MemberId,
        /// The role that it had until now, if it was there.
        role: Option<Role>,
    },
    /// A signal to a member.
    Deliver {
        /// Its number, by the count of the owner.
        seq: u64,
        /// Signal.
        signal: SharedSignal,
    },
    /// A request of a member was rejected.
    Rejected {
        /// Member.
        id: MemberId,
        /// Reason.
        code: Label<ErrorCode>,
    },
    /// The connection of a member has to end.
    Evict {
        /// Member.
        id: MemberId,
        /// Reason.
        code: Label<ByeCode>,
    },
    /// This node is not the owner, or does not know the attachment.
    Bounced(Request),
    /// The home is not attached any more.
    Detached,
}

/// State of a room at a home that attaches itself to the owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adoption {
    /// Whether the room is locked.
    pub locked: bool,
    /// Members of the home, and those of other homes as this one knows them. A member may come in
    /// several parts, with signals in each.
    pub members: Vec<Adopted>,
    /// Members of other homes that the home, as the owner, has given up, and that may be there.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub gave_up: BTreeSet<MemberId>,
    /// Newcomers of the home that ask again, and may be admitted by now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asking: Vec<MemberId>,
    /// Whether another part follows.
    pub more: bool,
}

/// Member of a room, as a home that attaches itself has it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Adopted {
    /// Member.
    pub member: MemberRecord,
    /// Number of the last signal to it. `None`: another home knows that, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<u64>,
    /// The last of those signals, unless the member is present at the home that says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<KeptSignal>,
    /// The last signals that it got.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub heard: Vec<Heard>,
    /// Signals that its home may not have, because it is away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<SharedSignal>,
}

/// Change of a room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomUpdate {
    /// Whether `members` are all.
    pub whole: bool,
    /// Whether the room is locked.
    pub locked: bool,
    /// Members that left, before others came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<MemberId>,
    /// Members that came or have changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<MemberRecord>,
    /// Whether the members of this home meet all others for the first time again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Signal on its way between homes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SharedSignal {
    /// Sender.
    pub from: MemberId,
    /// Receiver.
    pub to: MemberId,
    /// Node of the sender.
    pub node: NodeName,
    /// Time since which that node has the sender.
    pub since: u64,
    /// Number of the signal at that node.
    pub n: u64,
    /// Whether it may have come before: it was not acknowledged.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// Data as sent.
    pub data: Box<RawValue>,
}

/// Code of a closed set, by its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label<T>(pub T);

impl<T: ClosedSet> Serialize for Label<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.label())
    }
}

impl<'de, T: ClosedSet> Deserialize<'de> for Label<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let label = String::deserialize(deserializer)?;
        let found = T::ALL.iter().find(|code| code.label() == label).copied();
        found.map(Self).ok_or_else(|| de::Error::custom("unknown code"))
    }
}

impl Request {
    /// Whether it may come under an attachment that the owner does not know yet.
    #[must_use]
    pub fn attaches(&self) -> bool {
        matches!(self, Self::Join { .. } | Self::Resume { .. } | Self::Adopt(_))
    }

    /// Whether it is sent again if it did not arrive. All others are part of an [`Adoption`], or of
    /// those who wait.
    #[must_use]
    pub fn is_repeated(&self) -> bool {
        matches!(self, Self::Signal(_) | Self::Left { .. } | Self::Remove { .. } | Self::Lock { .. })
    }
}

impl RoomItem {
    /// Reads an item. `None`: it is of a later version, or of none.
    #[must_use]
    pub fn parse(json: &RawValue) -> Option<Self> {
        serde_json::from_str(json.get()).ok()
    }

    /// Writes an item.
    ///
    /// # Panics
    /// Never: an item has texts, numbers and checked raw values.
    #[must_use]
    pub fn to_json(&self) -> Box<RawValue> {
        serde_json::value::to_raw_value(self).expect("texts, numbers and checked raw values serialise")
    }
}
