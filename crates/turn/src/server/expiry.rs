//! The one deadline wheel: each allocation has one entry, at the earliest thing of its own that
//! ends.

use std::time::Duration;

/// One slot a second, further ahead than any lifetime reaches. What lies beyond is looked at again
/// when the wheel has come round.
const SLOTS: u64 = 4096;

/// A timer wheel over slab keys. Setting, moving and removing take constant time, and nothing is
/// left behind by entries that were moved: a client that allocates and deletes all day costs no
/// memory.
pub(super) struct Wheel {
    slots: Vec<Vec<usize>>,
    /// By key: which slot, and where in it.
    places: Vec<Option<(usize, usize)>>,
    /// Every slot up to this second has been emptied.
    done: u64,
    /// No entry is due before this second; it may lag behind a removal, which costs one look.
    earliest: Option<u64>,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Self { slots: (0..SLOTS).map(|_| Vec::new()).collect(), places: Vec::new(), done: 0, earliest: None }
    }

    /// Puts `key` at `deadline`, wherever it was before.
    pub(super) fn set(&mut self, key: usize, now: Duration, deadline: Duration) {
        self.remove(key);
        self.advance(now);
        // Rounded up, so that what is looked at when its second comes is over.
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

    /// Takes `key` off the wheel, if it is on it.
    pub(super) fn remove(&mut self, key: usize) {
        let Some((slot, at)) = self.places.get_mut(key).and_then(Option::take) else { return };
        self.slots[slot].swap_remove(at);
        if let Some(&moved) = self.slots[slot].get(at) {
            self.places[moved] = Some((slot, at));
        }
    }

    /// When to call [`Wheel::pop`] next; never later than the earliest deadline, rounded up to its
    /// second.
    pub(super) fn next(&self) -> Option<Duration> {
        self.earliest.map(Duration::from_secs)
    }

    /// Takes one key off whose second has come.
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
            // After a long sleep one round has seen every slot.
            self.done = (self.done + 1).max(now.as_secs().saturating_sub(SLOTS));
        }
        let ahead = (1..SLOTS).find(|ahead| !self.slots[Self::slot(self.done + ahead)].is_empty());
        self.earliest = ahead.map(|ahead| self.done + ahead);
        None
    }

    /// Nothing is due before `earliest`: up to there the hand can move without a look.
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
        /// Against a plain sorted map: nothing comes early, nothing is lost, nothing comes twice.
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
