//! Unguessable identifiers from a seed that is handed in. Pure.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

/// HMAC-SHA1 over a counter: never the same twice, and without the seed none tells anything about another.
pub struct Ids {
    key: Hmac<Sha1>,
    next: AtomicU64,
}

impl Ids {
    /// Identifiers under `seed`, which must be secret and differ at each start.
    #[must_use]
    pub fn new(seed: &[u8]) -> Self {
        let key = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        Self { key, next: AtomicU64::new(0) }
    }

    /// The next identifier: 128 bits.
    pub fn draw(&self) -> [u8; 16] {
        let mut mac = self.key.clone();
        mac.update(&self.next.fetch_add(1, Relaxed).to_be_bytes());
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|i| digest[i])
    }

    /// The next identifier as 22 URL-safe characters.
    pub fn draw_text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.draw())
    }
}

impl std::fmt::Debug for Ids {
    /// The seed never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ids(seed redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_identifier_comes_twice_and_the_seed_decides() {
        let (ids, same, other) = (Ids::new(b"one"), Ids::new(b"one"), Ids::new(b"two"));
        let drawn: std::collections::BTreeSet<_> = (0..1_000).map(|_| ids.draw()).collect();
        assert_eq!(drawn.len(), 1_000);
        let first = same.draw();
        assert!(drawn.contains(&first));
        assert_ne!(first, other.draw());
        assert_eq!(same.draw_text().len(), 22);
    }
}
