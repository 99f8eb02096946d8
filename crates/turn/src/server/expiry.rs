//! The only timer wheel: each allocation has one entry, at its earliest deadline.

use std::time::Duration;

/// Slots of one second each, which reach further than any lifetime. A later deadline is checked
/// again when the wheel has come round.
const SLOTS: u64 = 4096;

/// Timer wheel over slab keys. Setting, moving and removing take constant time. A moved entry
/// leaves nothing behind, so a client that allocates and deletes all day uses no memory.
pub(super) struct Wheel {
    slots: Vec<Vec<usize>>,
    /// Slot and index in it, by key.
    places: Vec<Option<(usize, usize)>>,
    /// Second up to which every slot has been emptied.
    done: u64,
    /// No entry is due before this second. After a removal it may be too early, which costs one
    /// scan.
    earliest: Option<u64>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), places: Vec::new(), done: 0, earliest: None }
    }

    /// Sets the deadline of `key`, and removes its former one.
    pub(super) fn set(&mut self, key: usize, now: Duration, deadline: Duration) {
        self.remove(key);
        self.advance(now);
        // Rounded up, so that an entry has expired when its second comes.
        let second = deadline.as_secs() + u64::from(deadline.subsec_nanos() > 0);
        let second = second.clamp(self.done + 1, self.done + SLOTS - 1);
        let slot = Self::slot(second);
        if self.places.len() <= key {
            self.places.resize(key + 1, None);
        }
        self.places[key] = Some((slot, self.slots[slot].len()));
        self.slots[slot].push(key);
        self.earliest = Some(self.earliest.map_or(second, |earliest| earliest.min(second)));
    }

    /// Removes `key`, if it has an entry.
    pub(super) fn remove(&mut self, key: usize) {
        let Some((slot, at)) = self.places.get_mut(key).and_then(Option::take) else { return };
        self.slots[slot].swap_remove(at);
        if let Some(&moved) = self.slots[slot].get(at) {
            self.places[moved] = Some((slot, at));
        }
    }

    /// Returns the time at which to call [`Wheel::pop`] next. It is never later than the earliest
    /// deadline, rounded up to its second.
    pub(super) fn next(&self) -> Option<Duration> {
        self.earliest.map(Duration::from_secs)
    }

    /// Removes and returns one key whose second has come.
    pub(super) fn pop(&mut self, now: Duration) -> Option<usize> {
        self.advance(now);
        if self.earliest? > now.as_secs() {
            return None;
        }
        while self.done < now.as_secs() {
            let slot = Self::slot(self.done + 1);
            if let Some(key) = self.slots[slot].pop() {
                self.places[key] = None;
                return Some(key);
            }
            // After a long sleep, one round has visited every slot.
            self.done = (self.done + 1).max(now.as_secs().saturating_sub(SLOTS));
        }
        let ahead = (1..SLOTS).find(|ahead| !self.slots[Self::slot(self.done + ahead)].is_empty());
        self.earliest = ahead.map(|ahead| self.done + ahead);
        None
    }

    /// Moves the hand forward without a scan, as nothing is due before `earliest`.
    fn advance(&mut self, now: Duration) {
        if self.earliest.is_none_or(|earliest| earliest > now.as_secs()) {
            self.done = self.done.max(now.as_secs());
        }
    }

    fn slot(second: u64) -> usize {
        usize::try_from(second % SLOTS).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn due(wheel: &mut Wheel, now: Duration) -> Vec<usize> {
        let mut keys: Vec<usize> = std::iter::from_fn(|| wheel.pop(now)).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn keys_come_out_when_their_second_has_come() {
        let mut wheel = Wheel::new();
        wheel.set(0, Duration::ZERO, Duration::from_millis(1500));
        wheel.set(1, Duration::ZERO, Duration::from_secs(300));
        wheel.set(2, Duration::ZERO, Duration::from_secs(300));
        assert_eq!(wheel.next(), Some(Duration::from_secs(2)));
        assert!(due(&mut wheel, Duration::from_millis(1999)).is_empty());
        assert_eq!(due(&mut wheel, Duration::from_secs(2)), [0]);
        assert_eq!(wheel.next(), Some(Duration::from_secs(300)));
        wheel.remove(1);
        assert_eq!(due(&mut wheel, Duration::from_secs(301)), [2]);
        assert_eq!(wheel.next(), None);
    }

    proptest! {
        /// Compares with a sorted map: nothing comes early, nothing is lost, nothing comes twice.
        #[test]
        fn it_agrees_with_a_sorted_map(
            steps in proptest::collection::vec((0_usize..20, 0_u64..6000, 0_u64..700, any::<bool>()), 1..200)
        ) {
            let (mut wheel, mut model) = (Wheel::new(), BTreeMap::new());
            let mut now = Duration::ZERO;
            for (key, ahead, pass, set) in steps {
                if set {
                    wheel.set(key, now, now + Duration::from_secs(ahead));
                    let second = (now.as_secs() + ahead).clamp(now.as_secs() + 1, now.as_secs() + SLOTS - 1);
                    model.insert(key, second);
                } else {
                    wheel.remove(key);
                    model.remove(&key);
                }
                now += Duration::from_secs(pass);
                let expected: Vec<usize> =
                    model.iter().filter(|(_, second)| **second <= now.as_secs()).map(|(key, _)| *key).collect();
                model.retain(|_, second| *second > now.as_secs());
                if let Some(next) = wheel.next() {
                    prop_assert!(expected.is_empty() || next <= now);
                }
                prop_assert_eq!(due(&mut wheel, now), expected);
            }
            prop_assert_eq!(wheel.slots.iter().map(Vec::len).sum::<usize>(), model.len());
        }
    }
}
