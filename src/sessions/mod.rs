//! Sessions: the traffic of the clients, by allocation and by user, for the operator.
//!
//! Live allocations are asked for from the shards that own them. Those that have ended are summed
//! by user from [events](crate::events).

mod live;
mod totals;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::events::{AllocationKey, EventSender};

pub use live::{AllocationSource, LiveAllocation, Unanswered};
pub use totals::{EndedUsage, UsageSums, UsageTotals};

/// Live and ended allocations, for the operator.
#[derive(Clone)]
pub struct Sessions {
    live: Arc<dyn AllocationSource>,
    /// Held while the shards are asked, so that many requests at once do not add up.
    asking: Arc<Mutex<()>>,
    totals: Arc<UsageTotals>,
    events: EventSender,
}

/// Traffic of one user since the server's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserUsage {
    /// Live allocations.
    pub live: usize,
    /// Allocations that have ended, and the traffic of both.
    pub sums: UsageSums,
}

impl Sessions {
    /// Creates a handle. `totals` consumes what `events` sends.
    pub fn new(live: impl AllocationSource + 'static, totals: Arc<UsageTotals>, events: EventSender) -> Self {
        Self { live: Arc::new(live), asking: Arc::default(), totals, events }
    }

    /// Returns the live allocations.
    ///
    /// # Errors
    /// A shard does not answer.
    pub async fn allocations(&self) -> Result<Vec<LiveAllocation>, Unanswered> {
        let _asking = self.asking.lock().await;
        self.live.list().await
    }

    /// Ends an allocation. Returns whether there was one. Its client can begin another one with the
    /// same credentials.
    ///
    /// # Errors
    /// The shard does not answer.
    pub async fn end(&self, key: AllocationKey) -> Result<bool, Unanswered> {
        let _asking = self.asking.lock().await;
        self.live.end(key).await
    }

    /// Returns the traffic of every user that is told apart, and that of all others.
    ///
    /// # Errors
    /// A shard does not answer.
    pub async fn usage(&self) -> Result<(HashMap<Arc<str>, UserUsage>, UsageSums), Unanswered> {
        // Listed first: an allocation that ends meanwhile counts twice, until the next answer. The
        // other order would not count it at all.
        let live = self.allocations().await?;
        let EndedUsage { users, others } = self.totals.page();
        let ended = users.into_iter().map(|(user, sums)| (user, UserUsage { live: 0, sums }));
        let mut users: HashMap<_, UserUsage> = ended.collect();
        for allocation in live {
            let user = users.entry(allocation.facts.user.clone()).or_default();
            user.live += 1;
            user.sums.add(&allocation.usage);
        }
        Ok((users, others))
    }

    /// Returns the time since which traffic is summed, in seconds since 1970-01-01 UTC.
    #[must_use]
    pub fn since(&self) -> u64 {
        self.totals.since()
    }

    /// Returns the number of events that a consumer was too slow for.
    #[must_use]
    pub fn lost_events(&self) -> u64 {
        self.events.lost()
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}
