//! Allocations of all shards, for the rooms that decide which clients may have them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::server::{AllocationId, Shared};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::accounts::Question;
use super::mailbox::MailboxSender;
use crate::events::AllocationKey;
use crate::sessions::{AllocationSource, LiveAllocation, Unanswered};

/// Time that a shard may take for an answer. One that takes longer hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

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

    /// Whether there are as many as the quota allows, but for the part that is kept for client
    /// networks that hold few.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.shared.is_full()
    }
}

/// Asks a shard, and waits for its answer.
async fn ask<T>(
    mailbox: &MailboxSender,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Result<T, Unanswered> {
    let (answer, answered) = oneshot::channel();
    mailbox.ask(question(answer));
    timeout(ANSWER_WITHIN, answered).await.ok().and_then(Result::ok).ok_or(Unanswered)
}

impl AllocationSource for Allocations {
    fn list(&self) -> BoxFuture<'_, Result<Vec<LiveAllocation>, Unanswered>> {
        async {
            let mut allocations = Vec::new();
            for mailbox in self.mailboxes.iter() {
                let mut next = Some(0);
                while let Some(first) = next {
                    let page = ask(mailbox, |answer| Question::List { first, answer }).await?;
                    allocations.extend(page.allocations);
                    next = page.next;
                }
            }
            Ok(allocations)
        }
        .boxed()
    }

    fn end(&self, key: AllocationKey) -> BoxFuture<'_, Result<bool, Unanswered>> {
        async move {
            let Some(mailbox) = self.mailboxes.get(usize::from(key.shard)) else { return Ok(false) };
            let allocation = AllocationId { slot: key.slot, generation: key.generation };
            ask(mailbox, |answer| Question::End { allocation, answer }).await
        }
        .boxed()
    }
}

impl fmt::Debug for Allocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Allocations({} live)", self.live())
    }
}
