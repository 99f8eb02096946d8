//! The allocations of a shard, and every index into them.

use std::collections::HashMap;

use foldhash::SharedSeed;
use foldhash::fast::SeedableRandomState;
use slab::Slab;

use super::allocation::Allocation;
use super::{AllocationId, FiveTuple};

/// A slab of allocations, found by identity or by 5-tuple.
pub(super) struct Table {
    slab: Slab<(u32, Allocation)>,
    by_five_tuple: HashMap<FiveTuple, AllocationId, SeedableRandomState>,
    generation: u32,
}

impl Table {
    /// `seed` keeps an attacker from choosing addresses that collide.
    pub(super) fn new(seed: u64) -> Self {
        let hasher = SeedableRandomState::with_seed(seed, SharedSeed::global_fixed());
        Self { slab: Slab::new(), by_five_tuple: HashMap::with_hasher(hasher), generation: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.slab.len()
    }

    /// Puts an allocation in; its 5-tuple has none yet.
    pub(super) fn insert(&mut self, allocation: Allocation) -> AllocationId {
        self.generation = self.generation.wrapping_add(1);
        let five_tuple = allocation.five_tuple;
        let slot = self.slab.insert((self.generation, allocation));
        let slot = u32::try_from(slot).expect("fewer than 2^32 allocations fit into memory");
        let id = AllocationId { slot, generation: self.generation };
        self.by_five_tuple.insert(five_tuple, id);
        id
    }

    pub(super) fn remove(&mut self, id: AllocationId) -> Option<Allocation> {
        self.get(id)?;
        let (_, allocation) = self.slab.try_remove(id.slot as usize)?;
        self.by_five_tuple.remove(&allocation.five_tuple);
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

    /// The allocation at a place of the slab.
    pub(super) fn id_at(&self, slot: usize) -> Option<AllocationId> {
        let (generation, _) = self.slab.get(slot)?;
        Some(AllocationId { slot: u32::try_from(slot).ok()?, generation: *generation })
    }

    /// The allocation of a 5-tuple, unexpired or not.
    pub(super) fn find(&self, five_tuple: &FiveTuple) -> Option<(AllocationId, &Allocation)> {
        let id = *self.by_five_tuple.get(five_tuple)?;
        Some((id, self.get(id)?))
    }
}
