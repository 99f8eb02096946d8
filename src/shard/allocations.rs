//! The allocations of all shards together, for those who know who may have them.

use std::fmt;
use std::sync::Arc;

use byway_turn::server::Shared;

use super::mailbox::Slot;

/// Counts the allocations of a data plane by their names, and ends them. A name is the part of a username beside its expiry.
#[derive(Clone)]
pub struct Allocations {
    pub(super) shared: Arc<Shared>,
    pub(super) slots: Arc<[Slot]>,
}

impl Allocations {
    /// Has every shard end what allocations `name` has, and what it has in reserve; they are gone within a round of the shards. The name must have lost
    /// its [`Revocations`](byway_turn::server::Settings::revocations) before, else others begin.
    pub fn end(&self, name: &str) {
        // Whoever takes part in no call is not told of to anyone, so that there are no more letters than allocations.
        if self.shared.has_any(name) {
            let name: Arc<str> = name.into();
            self.slots.iter().for_each(|slot| slot.end(name.clone()));
        }
    }

    /// How many allocations `name` has.
    #[must_use]
    pub fn of(&self, name: &str) -> u32 {
        self.shared.allocations_of(name)
    }

    /// How many allocations there are.
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
