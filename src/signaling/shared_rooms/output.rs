//! Actions for the driver of the rooms.

use std::sync::Arc;

use super::item::RoomItem;
use crate::access::grant::Role;
use crate::access::names::NodeName;
use crate::signaling::protocol::{ByeCode, Ending, ErrorCode, MemberId, RoomName};
use crate::signaling::room::{Delivery, Entered, Resumed};

/// Action for the driver.
#[derive(Debug)]
pub enum Output {
    /// A message for a member of this node, if it has a connection.
    Say(Delivery),
    /// A newcomer of this node is in its room. It is told by the driver, before all that follows.
    Entered {
        /// Member.
        id: MemberId,
        /// State of the room.
        entered: Entered,
        /// Whether it is the first member of this node there.
        opens: bool,
    },
    /// A newcomer of this node was refused.
    Refused {
        /// The id that it would have had.
        id: MemberId,
        /// Reason.
        code: ErrorCode,
    },
    /// A client of this node has resumed a membership.
    Resumed {
        /// Member.
        id: MemberId,
        /// State of the room, and the signals that it missed.
        resumed: Resumed,
    },
    /// A client of this node cannot resume a membership, which has ended.
    NotResumed {
        /// Member.
        id: MemberId,
        /// The role that it had until now, if it was in the room.
        role: Option<Role>,
    },
    /// The connection of a member of this node has to end.
    Evict {
        /// Member.
        id: MemberId,
        /// Reason.
        code: ByeCode,
    },
    /// A member of another node is of this one by now.
    Came {
        /// Room.
        room: RoomName,
        /// Member.
        id: MemberId,
        /// Whether it is the first member of this node there.
        opens: bool,
    },
    /// A member of this node has moved to another one.
    Moved {
        /// Room.
        room: RoomName,
        /// Member.
        id: MemberId,
        /// Whether it was the last one of this node in the room.
        closes: bool,
    },
    /// A member has left the cluster's room.
    Left {
        /// Room.
        room: RoomName,
        /// Member.
        id: MemberId,
        /// Name in its credentials.
        user: Arc<str>,
        /// Cause.
        ending: Ending,
        /// Whether it was a member of this node.
        is_local: bool,
        /// Whether it was the last one of this node in the room.
        closes: bool,
    },
    /// An item for another node.
    Send {
        /// Receiver.
        to: NodeName,
        /// Item.
        item: RoomItem,
    },
}
