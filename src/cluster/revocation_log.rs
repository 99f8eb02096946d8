//! Revocations of this node that are still in force, for nodes that have missed them. Pure: the
//! caller hands in the time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::message::{MAX_BYTES, MAX_REVOKED_NAME, Revoked};

/// Revocations that are remembered.
pub const MAX_REVOCATIONS: usize = 10_000;

/// Revocations of one message.
pub const MAX_BATCH: usize = 200;

/// Bytes of JSON that the names of one message may take. The rest is for the other fields.
const MAX_BATCH_BYTES: usize = MAX_BYTES - 1024;

/// Revocations in force, at most [`MAX_REVOCATIONS`].
#[derive(Debug, Default)]
pub struct RevocationLog {
    names: BTreeMap<Arc<str>, Entry>,
    /// Names by the order in which they were revoked.
    order: BTreeMap<u64, Arc<str>>,
    /// Names by the end of their revocation.
    ends: BTreeSet<(u64, Arc<str>)>,
    noted: u64,
    dropped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Position in the order of revocations.
    number: u64,
    /// End, in seconds since 1970-01-01 UTC.
    until: u64,
}

impl RevocationLog {
    /// Returns an empty log.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes that `name` is revoked until `until`, in seconds since 1970-01-01 UTC. A revocation
    /// that lasts longer stays.
    ///
    /// Of too many the oldest is dropped and counted. A name that no request to a relay can hold is
    /// not noted.
    pub fn note(&mut self, now_unix: u64, name: &str, until: u64) {
        self.forget_ended(now_unix);
        if until <= now_unix || name.len() > MAX_REVOKED_NAME {
            return;
        }
        let before = self.names.get_key_value(name).map(|(name, entry)| (Arc::clone(name), *entry));
        let name = match before {
            Some((_, entry)) if entry.until >= until => return,
            Some((name, entry)) => {
                self.remove(&name, entry);
                name
            }
            None => name.into(),
        };
        if self.names.len() >= MAX_REVOCATIONS {
            let oldest = self.order.first_key_value().map(|(_, name)| Arc::clone(name));
            if let Some((name, entry)) = oldest.and_then(|name| self.names.get_key_value(&name)) {
                let (name, entry) = (Arc::clone(name), *entry);
                self.remove(&name, entry);
                self.dropped += 1;
            }
        }
        let entry = Entry { number: self.noted, until };
        self.noted += 1;
        self.order.insert(entry.number, Arc::clone(&name));
        self.ends.insert((until, Arc::clone(&name)));
        self.names.insert(name, entry);
    }

    /// Returns the revocations in force, oldest first, in batches that fit into a message each.
    pub fn current(&mut self, now_unix: u64) -> Vec<Vec<Revoked>> {
        self.forget_ended(now_unix);
        let (mut batches, mut bytes) = (Vec::<Vec<Revoked>>::new(), 0);
        for name in self.order.values() {
            let revoked = Revoked { name: name.to_string(), until: self.names[name].until };
            let size = size(&revoked);
            match batches.last_mut() {
                Some(batch) if batch.len() < MAX_BATCH && bytes + size <= MAX_BATCH_BYTES => {
                    bytes += size;
                    batch.push(revoked);
                }
                _ => {
                    bytes = size;
                    batches.push(vec![revoked]);
                }
            }
        }
        batches
    }

    /// Number of revocations in the log.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether the log is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Number of revocations that were dropped while they were in force.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    fn forget_ended(&mut self, now_unix: u64) {
        while let Some((until, name)) = self.ends.first().filter(|(until, _)| *until <= now_unix).cloned() {
            let number = self.names.get(&name).map_or(u64::MAX, |entry| entry.number);
            self.remove(&name, Entry { number, until });
        }
    }

    fn remove(&mut self, name: &Arc<str>, entry: Entry) {
        self.names.remove(name);
        self.order.remove(&entry.number);
        self.ends.remove(&(entry.until, Arc::clone(name)));
    }
}

/// Bytes of a revocation in a message, with its comma.
fn size(revoked: &Revoked) -> usize {
    // A control character takes six.
    let of = |c: char| match c {
        '"' | '\\' => 2,
        c if c < ' ' => 6,
        c => c.len_utf8(),
    };
    let name: usize = revoked.name.chars().map(of).sum();
    name + r#"{"name":"","until":18446744073709551615},"#.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(log: &mut RevocationLog, now: u64) -> Vec<(String, u64)> {
        let batches = log.current(now);
        assert_eq!(log.len(), batches.iter().map(Vec::len).sum::<usize>());
        batches.into_iter().flatten().map(|Revoked { name, until }| (name, until)).collect()
    }

    #[test]
    fn revocations_are_listed_in_their_order_until_they_end() {
        let mut log = RevocationLog::new();
        assert!(log.is_empty() && log.current(0).is_empty());
        log.note(100, "b", 200);
        log.note(100, "a", 150);
        log.note(100, "c", u64::MAX);
        log.note(100, "past", 100);
        let all = [("b".into(), 200), ("a".into(), 150), ("c".into(), u64::MAX)];
        assert_eq!(names(&mut log, 149), all);
        assert_eq!(names(&mut log, 150), [("b".into(), 200), ("c".into(), u64::MAX)]);
        assert_eq!(names(&mut log, 200), [("c".into(), u64::MAX)]);
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn the_longer_revocation_of_a_name_counts() {
        let mut log = RevocationLog::new();
        log.note(100, "a", 200);
        log.note(100, "b", 200);
        log.note(100, "a", 150);
        assert_eq!(names(&mut log, 100), [("a".into(), 200), ("b".into(), 200)]);
        log.note(100, "a", 250);
        assert_eq!(names(&mut log, 100), [("b".into(), 200), ("a".into(), 250)]);
        assert_eq!(names(&mut log, 200), [("a".into(), 250)]);
        assert_eq!((log.order.len(), log.ends.len()), (1, 1));
    }

    #[test]
    fn threat_60_of_many_names_the_newest_stay_and_the_rest_is_counted() {
        let mut log = RevocationLog::new();
        log.note(0, "ends", 1);
        for number in 0..100_000 {
            log.note(1, &format!("n{number}"), 100);
        }
        assert_eq!(log.len(), MAX_REVOCATIONS);
        assert_eq!(log.dropped(), 90_000);
        let names = names(&mut log, 1);
        assert_eq!((names[0].0.as_str(), names[9_999].0.as_str()), ("n90000", "n99999"));
        assert_eq!((log.order.len(), log.ends.len()), (MAX_REVOCATIONS, MAX_REVOCATIONS));
        assert!(log.current(100).is_empty() && log.is_empty());
        assert_eq!((log.order.len(), log.ends.len(), log.dropped()), (0, 0, 90_000));
    }

    #[test]
    fn a_name_that_no_request_holds_is_not_noted() {
        let mut log = RevocationLog::new();
        log.note(0, &"a".repeat(MAX_REVOKED_NAME + 1), 100);
        assert!(log.is_empty());
        log.note(0, &"a".repeat(MAX_REVOKED_NAME), 100);
        assert_eq!(log.len(), 1);
    }

    #[test]
    fn a_batch_has_two_hundred_names_or_as_many_as_fit() {
        let mut log = RevocationLog::new();
        for number in 0..450 {
            log.note(0, &format!("n{number}"), 100);
        }
        let batches: Vec<_> = log.current(0).iter().map(Vec::len).collect();
        assert_eq!(batches, [200, 200, 50]);
        let mut log = RevocationLog::new();
        for number in 0..200 {
            log.note(0, &format!("{number:03}{}", "\u{1}".repeat(MAX_REVOKED_NAME - 3)), 100);
        }
        let batches: Vec<_> = log.current(0).iter().map(Vec::len).collect();
        assert_eq!(batches, [20, 20, 20, 20, 20, 20, 20, 20, 20, 20]);
    }

    proptest! {
        /// The size of a batch decides, so an estimate below the truth would lose a message.
        #[test]
        fn no_revocation_is_larger_than_its_estimate(name in ".{0,40}", until in any::<u64>()) {
            let revoked = Revoked { name, until };
            prop_assert!(serde_json::to_string(&revoked).unwrap().len() < size(&revoked));
        }

        #[test]
        fn the_log_holds_what_a_list_would(
            notes in prop::collection::vec((0_u64..4, "[a-e]", 0_u64..40), 0..80),
        ) {
            let (mut log, mut list, mut now) = (RevocationLog::new(), Vec::<(String, u64)>::new(), 0);
            for (wait, name, until) in notes {
                now += wait;
                log.note(now, &name, until);
                list.retain(|(_, until)| *until > now);
                let before = list.iter().find(|(noted, _)| *noted == name).map(|(_, until)| *until);
                if until > now && before.is_none_or(|before| before < until) {
                    list.retain(|(noted, _)| *noted != name);
                    list.push((name, until));
                }
                prop_assert_eq!(names(&mut log, now), list.clone());
                prop_assert_eq!((log.order.len(), log.ends.len()), (list.len(), list.len()));
            }
        }
    }
}
