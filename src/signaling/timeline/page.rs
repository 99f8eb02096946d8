//! The part of a timeline that a member may read, a page at a time.

use super::call::{Call, Entry, Recorded};
use crate::signaling::protocol::MemberId;
use crate::signaling::protocol::report::{Happening, TimelineEvent, TimelineMember};

/// Bytes of a page on the wire. The smallest queue of a reader holds it.
const BYTES: usize = 12 * 1_024;

/// Next events for a member.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePage {
    /// Members that the events name.
    pub members: Vec<TimelineMember>,
    /// Events in order of their numbers.
    pub events: Vec<TimelineEvent>,
    /// Number to ask for more with.
    pub next: u64,
    /// Whether there are more events now.
    pub more: bool,
    /// Events of the call that exceeded a limit.
    pub dropped: u64,
}

impl TimelinePage {
    /// Page of a member that is not recorded.
    pub(super) fn empty(after: u64) -> Self {
        Self { members: Vec::new(), events: Vec::new(), next: after, more: false, dropped: 0 }
    }
}

impl Call {
    /// The events behind number `after` that `reader` may see.
    pub(super) fn page(&self, reader: MemberId, after: u64) -> TimelinePage {
        let mut page = TimelinePage { dropped: self.dropped, ..TimelinePage::empty(after) };
        let Some(reader) = self.recorded(reader) else { return page };
        let after = after.max(reader.since);
        let mut waiting: Vec<(&Recorded, &Entry)> = Vec::new();
        for member in &self.members {
            let begin = member.events.partition_point(|entry| entry.n <= after);
            let events = member.events.range(begin..);
            waiting
                .extend(events.filter(|entry| self.sees(reader, member, entry)).map(|entry| (member, entry)));
        }
        waiting.sort_unstable_by_key(|(_, entry)| entry.n);
        let mut bytes = 0;
        for (member, entry) in waiting {
            let event = self.event(member, entry);
            let named = [Some(event.member), event.peer].into_iter().flatten();
            let named: Vec<_> =
                named.filter(|id| page.members.iter().all(|member| member.id != *id)).collect();
            let named: Vec<_> =
                named.into_iter().filter_map(|id| self.recorded(id).map(Recorded::seen)).collect();
            bytes += size_of_json(&event) + named.iter().map(size_of_json).sum::<usize>();
            if bytes > BYTES {
                page.more = true;
                break;
            }
            page.next = event.n;
            page.members.extend(named);
            page.events.push(event);
        }
        page
    }

    /// Whether `reader` may see an event of `member`.
    fn sees(&self, reader: &Recorded, member: &Recorded, entry: &Entry) -> bool {
        let is_self = |id: MemberId| id == reader.participant.id;
        let hides = |other: &Recorded| {
            reader.participant.viewer && other.participant.viewer && !is_self(other.participant.id)
        };
        if hides(member) || entry.peer.and_then(|peer| self.recorded(peer)).is_some_and(hides) {
            return false;
        }
        let is_public = matches!(entry.what, Happening::Room(_));
        is_public || member.reports || is_self(member.participant.id)
    }

    fn recorded(&self, id: MemberId) -> Option<&Recorded> {
        self.members.iter().find(|member| member.participant.id == id)
    }
}

/// Bytes of a value on the wire.
fn size_of_json(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(BYTES, |text| text.len() + 1)
}
