//! Allocations of a shard, with every index into them.

use std::collections::{BTreeSet, HashMap};

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use slab::Slab;

use super::allocation::Allocation;
use super::{AllocationId, FiveTuple, RelayId};
use crate::time::Now;

/// Slab of allocations, indexed by identifier, by 5-tuple and by name.
pub(super) struct Table {
    slab: Slab<(u32, Allocation)>,
    by_five_tuple: HashMap<FiveTuple, AllocationId, SeedableRandomState>,
    by_name: ByName,
    generation: u32,
}

impl Table {
    /// Creates an empty table. `seed` keeps an attacker from choosing addresses that collide.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self {
            slab: Slab::new(),
            by_five_tuple: HashMap::with_hasher(hasher.clone()),
            by_name: ByName(HashMap::with_hasher(hasher)),
            generation: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Adds an allocation. Its 5-tuple must not have one yet.
    pub(super) fn insert(&mut self, allocation: Allocation) -> AllocationId {
        self.generation = self.generation.wrapping_add(1);
        let place = self.slab.vacant_entry();
        let slot = u32::try_from(place.key()).expect("fewer than 2^32 allocations fit into memory");
        let id = AllocationId { slot, generation: self.generation };
        self.by_five_tuple.insert(allocation.five_tuple, id);
        self.by_name.insert(&allocation.account(), id);
        place.insert((self.generation, allocation));
        id
    }

    pub(super) fn remove(&mut self, id: AllocationId) -> Option<Allocation> {
        self.get(id)?;
        let (_, allocation) = self.slab.try_remove(id.slot as usize)?;
        self.by_five_tuple.remove(&allocation.five_tuple);
        self.by_name.remove(&allocation.account(), id);
        Some(allocation)
    }

    pub(super) fn get(&self, id: AllocationId) -> Option<&Allocation> {
        let (generation, allocation) = self.slab.get(id.slot as usize)?;
        (*generation == id.generation).then_some(allocation)
    }

    pub(super) fn get_mut(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        let (generation, allocation) = self.slab.get_mut(id.slot as usize)?;
        (*generation == id.generation).then_some(allocation)
    }

    /// Returns the identifier of the allocation in a slot of the slab.
    pub(super) fn id_at(&self, slot: usize) -> Option<AllocationId> {
        let (generation, _) = self.slab.get(slot)?;
        Some(AllocationId { slot: u32::try_from(slot).ok()?, generation: *generation })
    }

    /// Returns the number of slots of the slab, vacant ones included.
    pub(super) fn slots(&self) -> usize {
        self.slab.capacity()
    }

    /// Returns all allocations, expired or not.
    pub(super) fn ids(&self) -> Vec<AllocationId> {
        self.by_five_tuple.values().copied().collect()
    }

    /// Returns the allocations of a name, expired or not.
    pub(super) fn named(&self, name: &str) -> Vec<AllocationId> {
        self.by_name.0.get(name).into_iter().flatten().copied().collect()
    }

    /// Returns the allocation of a 5-tuple, expired or not.
    pub(super) fn find(&self, five_tuple: &FiveTuple) -> Option<(AllocationId, &Allocation)> {
        let id = *self.by_five_tuple.get(five_tuple)?;
        Some((id, self.get(id)?))
    }

    /// Returns the allocation of a 5-tuple unless it has expired, also if the timer is late.
    pub(super) fn unexpired(&self, now: Now, five_tuple: &FiveTuple) -> Option<(AllocationId, &Allocation)> {
        self.find(five_tuple).filter(|(_, allocation)| !allocation.has_expired(now.mono))
    }

    /// Returns the live allocation behind a relay socket unless its address has expired, also if
    /// the timer is late.
    pub(super) fn living(&self, now: Now, relay: RelayId) -> Option<&Allocation> {
        let allocation = self.get(relay.allocation).filter(|allocation| allocation.live)?;
        let relayed = allocation.relayed.get(relay.family)?;
        (!relayed.has_expired(now.mono)).then_some(allocation)
    }
}

/// Allocations of each name. The values are sets, because one name may have all allocations.
struct ByName(HashMap<Box<str>, BTreeSet<AllocationId>, SeedableRandomState>);

impl ByName {
    fn insert(&mut self, name: &str, id: AllocationId) {
        self.0.entry(name.into()).or_default().insert(id);
    }

    fn remove(&mut self, name: &str, id: AllocationId) {
        if let Some(ids) = self.0.get_mut(name) {
            ids.remove(&id);
            if ids.is_empty() {
                self.0.remove(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_allocations_leaves_nothing_behind() {
        let mut table = Table::new(1);
        let id = |slot| AllocationId { slot, generation: 7 };
        for (name, slot) in [("a", 0), ("b", 1), ("a", 2)] {
            table.by_name.insert(name, id(slot));
        }
        table.by_name.remove("a", id(0));
        assert_eq!(
            (table.named("a"), table.named("b"), table.named("c")),
            (vec![id(2)], vec![id(1)], vec![])
        );
        table.by_name.remove("a", id(2));
        table.by_name.remove("b", id(1));
        assert!(table.by_name.0.is_empty());
    }
}
