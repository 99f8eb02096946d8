//! Randomness from a seed that the caller passes in: unpredictable to others, replayable in tests.
//! Pure.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// Generator that computes HMAC-SHA1 over a counter. Without the seed no value reveals another.
pub struct Prng {
    key: Hmac<Sha1>,
    next: AtomicU64,
}

impl Prng {
    /// Creates the stream of `seed` for one `purpose`; other purposes give independent streams.
    ///
    /// The seed must be secret and differ at each start.
    #[must_use]
    pub fn new(seed: &[u8; 32], purpose: &str) -> Self {
        let mut key: Hmac<Sha1> = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        key.update(purpose.as_bytes());
        Self { key, next: AtomicU64::new(0) }
    }

    /// Returns the next `N` bytes, at most the 20 of a digest. With 16 bytes, values neither repeat
    /// nor can be guessed.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        const { assert!(N <= 20) };
        let mut mac = self.key.clone();
        mac.update(&self.next.fetch_add(1, Relaxed).to_be_bytes());
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|i| digest[i])
    }

    /// Returns the next token of 128 unpredictable bits, as 22 URL-safe characters.
    pub fn token128(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<16>())
    }

    /// Returns the next token of 96 unpredictable bits, as 16 URL-safe characters.
    pub fn token96(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes::<12>())
    }

    /// Returns the next 64 bits.
    pub fn number(&self) -> u64 {
        u64::from_be_bytes(self.bytes())
    }

    /// Returns an index below `length`, which must not be zero.
    pub fn below(&self, length: usize) -> usize {
        // The bias is below 2^-47 for a port range.
        usize::try_from(self.number() % length as u64).unwrap_or(0)
    }
}

impl std::fmt::Debug for Prng {
    /// Redacts the seed, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Prng(seed redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_purposes_differ() {
        let draw = |seed, purpose| Prng::new(&[seed; 32], purpose).number();
        assert_eq!(draw(1, "ports"), draw(1, "ports"));
        assert_ne!(draw(1, "ports"), draw(2, "ports"));
        assert_ne!(draw(1, "ports"), draw(1, "relay"));
    }

    #[test]
    fn nothing_comes_twice() {
        let random = Prng::new(&[1; 32], "names");
        let drawn: std::collections::BTreeSet<_> = (0..1_000).map(|_| random.token128()).collect();
        assert_eq!(drawn.len(), 1_000);
        assert!(drawn.iter().all(|name| name.len() == 22));
    }
}
