//! Single counts, and families with one count for each value of a label.

use std::fmt::Debug;
use std::ops::Index;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use byway_turn::closed_set::ClosedSet;

/// Count that one thread writes and others read. An update is a load and a store, without a locked
/// instruction.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds `n`. Only the owning thread may call this.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Subtracts `n`. Only the owning thread may call this.
    pub fn subtract(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(n), Relaxed);
    }

    /// Sets the count. Only the owning thread may call this.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Returns the count, as another thread sees it.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Count that any thread writes.
#[derive(Debug, Default)]
pub struct SharedCount(AtomicU64);

impl SharedCount {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Subtracts `n`.
    pub fn subtract(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Sets the count.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// Returns the count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// One count for each value of a closed set. The value is the count's label.
#[derive(Debug)]
pub struct Family<S: ClosedSet, C: Debug + Default>(S::Table<C>);

impl<S: ClosedSet, C: Debug + Default> Default for Family<S, C> {
    fn default() -> Self {
        Self(S::Table::default())
    }
}

impl<S: ClosedSet, C: Debug + Default> Index<S> for Family<S, C> {
    type Output = C;

    fn index(&self, value: S) -> &C {
        &self.0.as_ref()[value.index()]
    }
}
