//! Live allocations of all shards.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::events::{AllocationFacts, AllocationKey, Usage};

/// Live allocation at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveAllocation {
    /// Facts about it.
    pub facts: Arc<AllocationFacts>,
    /// Time since its start.
    pub age: Duration,
    /// Time until it ends unless its client refreshes it.
    pub expires_in: Duration,
    /// Number of permissions.
    pub permissions: usize,
    /// Number of bound channels.
    pub channels: usize,
    /// Traffic so far.
    pub usage: Usage,
}

impl LiveAllocation {
    /// Returns its bytes in both directions.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.usage.to_peer.bytes.saturating_add(self.usage.to_client.bytes)
    }
}

/// A shard does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a shard of the relay does not answer")]
pub struct Unanswered;

/// Allocations of all shards, for those who may not know the shards.
pub trait AllocationSource: Send + Sync {
    /// Returns the live allocations. Those that begin or end meanwhile may be left out.
    fn list(&self) -> BoxFuture<'_, Result<Vec<LiveAllocation>, Unanswered>>;

    /// Ends an allocation. Returns whether there was one.
    fn end(&self, key: AllocationKey) -> BoxFuture<'_, Result<bool, Unanswered>>;
}
