//! Randomness that is handed in as a seed: unguessable to others, replayable in tests.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// HMAC-SHA1 over a counter. Drawn from only when an allocation begins.
pub(super) struct Random {
    key: Hmac<Sha1>,
    counter: u64,
}

impl Random {
    /// A stream of its own for each `purpose`.
    pub(super) fn new(seed: &[u8; 32], purpose: &str) -> Self {
        let mut key: Hmac<Sha1> = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        key.update(purpose.as_bytes());
        Self { key, counter: 0 }
    }

    /// The next eight bytes.
    pub(super) fn bytes(&mut self) -> [u8; 8] {
        let mut mac = self.key.clone();
        mac.update(&self.counter.to_be_bytes());
        self.counter += 1;
        let [a, b, c, d, e, f, g, h, ..]: [u8; 20] = mac.finalize().into_bytes().into();
        [a, b, c, d, e, f, g, h]
    }

    /// The next number.
    pub(super) fn number(&mut self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// An index below `length`, which is not zero.
    pub(super) fn below(&mut self, length: usize) -> usize {
        // The bias is below 2^-47 for a port range.
        usize::try_from(self.number() % length as u64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_purposes_differ() {
        let draw = |seed, purpose| Random::new(&[seed; 32], purpose).number();
        assert_eq!(draw(1, "ports"), draw(1, "ports"));
        assert_ne!(draw(1, "ports"), draw(2, "ports"));
        assert_ne!(draw(1, "ports"), draw(1, "nonce"));
        let mut random = Random::new(&[1; 32], "ports");
        assert_ne!(random.number(), random.number());
    }
}
