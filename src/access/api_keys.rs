//! API keys of programs. Pure.

use std::fmt;

use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// API keys, kept as digests and compared in constant time: neither a key's bytes nor its length
/// can be found by measuring.
pub struct ApiKeys(Vec<CtOutput<Hmac<Sha256>>>);

impl ApiKeys {
    /// These keys.
    #[must_use]
    pub fn new<S: AsRef<str>>(keys: &[S]) -> Self {
        Self(keys.iter().map(|key| digest(key.as_ref())).collect())
    }

    /// Whether `key` is one of them.
    pub(super) fn has(&self, key: &str) -> bool {
        let digest = digest(key);
        // All are compared: which of them matches takes no time of its own either.
        self.0.iter().fold(false, |found, known| found | (*known == digest))
    }
}

fn digest(key: &str) -> CtOutput<Hmac<Sha256>> {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(b"api key").expect("HMAC takes a key of any length");
    mac.update(key.as_bytes());
    mac.finalize()
}

impl fmt::Debug for ApiKeys {
    /// Keys never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({} redacted)", self.0.len())
    }
}
