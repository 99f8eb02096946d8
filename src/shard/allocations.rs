//! Allocations of all shards together, for the rooms that decide who may have them.

use std::fmt;
use std::sync::Arc;

use byway_turn::server::Shared;

use super::mailbox::MailboxSender;

/// Counts the allocations of all shards by their names, and ends them. A name is the part of a
/// username beside its expiry.
#[derive(Clone)]
pub struct Allocations {
    pub(super) shared: Arc<Shared>,
    pub(super) mailboxes: Arc<[MailboxSender]>,
}

impl Allocations {
    /// Has every shard end the allocations of `name`, and its reserved ports; they are gone within
    /// a round of the shards. The name must have been
    /// [revoked](byway_turn::server::Settings::revocations) before, else others begin.
    pub fn end(&self, name: &str) {
        // A name without allocations is not sent, so that there are no more messages than
        // allocations.
        if self.shared.has_any(name) {
            let name: Arc<str> = name.into();
            self.mailboxes.iter().for_each(|mailbox| mailbox.end_allocations(name.clone()));
        }
    }

    /// Number of allocations of `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> u32 {
        self.shared.allocations_of(name)
    }

    /// Number of all allocations.
    #[must_use]
    pub fn live(&self) -> usize {
        self.shared.allocations()
    }
}

impl fmt::Debug for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allocations({} live)", self.live())
    }
}
