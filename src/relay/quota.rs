//! How many allocations there may be: of one name, and in total.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::wire::ErrorCode;

/// Counts allocations across shards. A `std` mutex, since it is held for one look-up and only when an allocation begins
/// or ends.
pub(super) struct Quota {
    per_user: u32,
    total: u32,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    total: u32,
    by_name: BTreeMap<Box<str>, u32>,
}

impl Quota {
    /// `per_user` allocations of one name (0 = no limit) and `total` of all.
    pub(super) fn new(per_user: u32, total: u32) -> Self {
        Self { per_user, total, held: Mutex::default() }
    }

    /// Counts one allocation of `name`, the part of the username behind its expiry.
    ///
    /// # Errors
    /// 486 where the name has all it may have, 508 where the server has.
    pub(super) fn take(&self, name: &str) -> Result<(), ErrorCode> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_name = held.by_name.get(name).copied().unwrap_or(0);
        if self.per_user > 0 && of_name >= self.per_user {
            return Err(ErrorCode::AllocationQuotaReached);
        }
        if held.total >= self.total {
            return Err(ErrorCode::InsufficientCapacity);
        }
        held.total += 1;
        held.by_name.insert(name.into(), of_name + 1);
        Ok(())
    }

    /// Gives one allocation of `name` back.
    pub(super) fn give_back(&self, name: &str) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.total = held.total.saturating_sub(1);
        match held.by_name.get_mut(name) {
            Some(of_name) if *of_name > 1 => *of_name -= 1,
            _ => drop(held.by_name.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_and_the_server_have_limits_of_their_own() {
        let quota = Quota::new(2, 3);
        assert_eq!([quota.take("a"), quota.take("a")], [Ok(()); 2]);
        assert_eq!(quota.take("a"), Err(ErrorCode::AllocationQuotaReached));
        assert_eq!(quota.take("b"), Ok(()));
        assert_eq!(quota.take("c"), Err(ErrorCode::InsufficientCapacity));
        quota.give_back("a");
        assert_eq!(quota.take("c"), Ok(()));
    }

    #[test]
    fn names_that_hold_nothing_leave_nothing_behind() {
        let quota = Quota::new(0, 10);
        for name in ["a", "b", "a"] {
            quota.take(name).unwrap();
        }
        for name in ["a", "b", "a"] {
            quota.give_back(name);
        }
        assert!(quota.held.lock().unwrap().by_name.is_empty());
    }
}
