//! Allocations of all shards, for the rooms that decide which clients may have them.

use std::fmt;
use std::sync::Arc;

use byway_turn::server::Shared;

use super::mailbox::MailboxSender;

/// Handle that counts and ends the allocations of all shards by their names. A name is the part of
/// a username beside its expiry.
#[derive(Clone)]
pub struct Allocations {
    pub(super) shared: Arc<Shared>,
    pub(super) mailboxes: Arc<[MailboxSender]>,
}

impl Allocations {
    /// Ends the allocations of `name` and its reserved ports on every shard, within one round of
    /// the shards. The caller must have [revoked](byway_turn::server::Settings::revocations) the
    /// name before, or new allocations can begin.
    pub fn end(&self, name: &str) {
        // Send only names with allocations, so that messages never outnumber allocations.
        if self.shared.has_any(name) {
            let name: Arc<str> = name.into();
            self.mailboxes.iter().for_each(|mailbox| mailbox.end_allocations(name.clone()));
        }
    }

    /// Returns the number of allocations of `name`.
    #[must_use]
    pub fn of(&self, name: &str) -> u32 {
        self.shared.allocations_of(name)
    }

    /// Returns the number of all allocations.
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
