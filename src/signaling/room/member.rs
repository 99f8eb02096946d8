//! One member of a room, and the signals that are kept for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;

use super::super::protocol::{DisplayName, MemberId, Peer, Text};
use super::Newcomer;
use crate::access::grant::Role;
use crate::access::names::{NodeName, Region};

/// Member of a room.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    pub(super) name: Option<DisplayName>,
    pub(super) role: Role,
    /// Limit of its token, which its guests get, too.
    pub(super) max_members: Option<usize>,
    /// The network that it came from last.
    pub(super) network: ClientNetwork,
    /// Number of signals to this member so far; the `seq` of the last one.
    pub(super) said: u64,
    /// The last of them.
    pub(super) kept: VecDeque<Text>,
    pub(super) kept_bytes: usize,
    pub(super) absence: Option<Absence>,
    /// Name in its credentials.
    pub(super) user: Arc<str>,
    /// Region that its token names.
    pub(super) region: Option<Region>,
    /// Node with its connection; `None` = this one.
    pub(super) home: Option<NodeName>,
    /// Place in the order of arrival, the same on all nodes; never changes.
    pub(super) arrival: u64,
    /// Time since which its home has it, in seconds since 1970-01-01 UTC.
    pub(super) since: u64,
    /// The last signals to this member in a cluster, by their sender: since when its home had the
    /// sender, and the number there.
    pub(super) heard: BTreeMap<MemberId, (u64, u64)>,
    /// Whether a home that has died knew more of them.
    pub(super) has_forgotten: bool,
    /// Whether `said` counts only the signals of the time since another node told of the member.
    pub(super) is_floating: bool,
}

/// State of a member without a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Absence {
    pub(super) until: Duration,
    /// The `seq` of the last signal written to the connection that was lost.
    pub(super) written: u64,
}

impl From<Newcomer> for Member {
    fn from(newcomer: Newcomer) -> Self {
        let Newcomer { id, name, role, max_members, network, user, region, home, came, passes_lock: _ } =
            newcomer;
        Self {
            id,
            name,
            role,
            max_members,
            network,
            said: 0,
            kept: VecDeque::new(),
            kept_bytes: 0,
            absence: None,
            user,
            region,
            home,
            arrival: came,
            since: came / 1_000_000,
            heard: BTreeMap::new(),
            has_forgotten: false,
            is_floating: false,
        }
    }
}

impl Member {
    /// As another member sees it, that is `polite` towards it.
    pub(super) fn seen(&self, polite: bool) -> Peer {
        let (host, viewer) = (self.is_host(), self.is_viewer());
        Peer { id: self.id, name: self.name.clone(), polite, host, viewer }
    }

    /// Whether this member and `other` know of each other: viewers see members only.
    pub(super) fn sees(&self, other: &Self) -> bool {
        !(self.is_viewer() && other.is_viewer())
    }

    pub(super) fn is_viewer(&self) -> bool {
        self.role == Role::Viewer
    }

    pub(super) fn is_host(&self) -> bool {
        self.role == Role::Host
    }

    /// Forgets the oldest signal; how many bytes that frees.
    pub(super) fn forget_oldest(&mut self) -> usize {
        let bytes = self.kept.pop_front().as_ref().map_or(0, size_of_kept);
        self.kept_bytes -= bytes;
        if self.kept.is_empty() {
            // Most members are silent most of the time, and there are many.
            self.kept = VecDeque::new();
        }
        bytes
    }

    /// Forgets the signals up to `seq`; how many bytes that frees.
    pub(super) fn forget_up_to(&mut self, seq: u64) -> usize {
        let newer = self.said.saturating_sub(seq);
        let mut freed = 0;
        while self.kept.len() as u64 > newer {
            freed += self.forget_oldest();
        }
        freed
    }
}

/// Bytes of a signal that is kept: its text, and what holding it costs.
pub(super) fn size_of_kept(text: &Text) -> usize {
    size_of::<Text>() + text.json.len()
}
