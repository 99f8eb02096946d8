//! Nonces without memory: a time, and a MAC over that time and the client's address.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::clock::Now;

/// Seconds that a nonce is good for; afterwards the client gets 438 with a fresh one (RFC 8489 section 9.2.4).
pub(super) const NONCE_LIFETIME: u64 = 600;

/// Characters of a nonce: 4 bytes of time and 8 of MAC, in base64. Each one more weighs on the 401 that strangers get.
pub(super) const NONCE_LENGTH: usize = 16;

/// Makes nonces and knows them again. No state: a flood of strangers leaves nothing behind.
#[derive(Clone)]
pub(super) struct Nonces {
    key: Hmac<Sha1>,
}

impl Nonces {
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut key: Hmac<Sha1> = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        key.update(b"nonce");
        Self { key }
    }

    /// A nonce for `client`, from now on.
    pub(super) fn issue(&self, now: Now, client: SocketAddr) -> [u8; NONCE_LENGTH] {
        // The low 32 bits of the time do until 2106; a wrap then costs one 438.
        let time: [u8; 4] = now.unix.to_be_bytes().last_chunk().copied().unwrap_or_default();
        let digest = self.mac(time, client).finalize().into_bytes();
        let mut raw = [0; 12];
        raw[..4].copy_from_slice(&time);
        raw[4..].copy_from_slice(&digest[..8]);
        let mut nonce = [0; NONCE_LENGTH];
        URL_SAFE_NO_PAD.encode_slice(raw, &mut nonce).expect("12 bytes are 16 characters of base64");
        nonce
    }

    /// Whether `nonce` was issued to `client` in the last [`NONCE_LIFETIME`] seconds, and not in the future.
    pub(super) fn check(&self, now: Now, client: SocketAddr, nonce: &[u8]) -> bool {
        let mut raw = [0; 12];
        if URL_SAFE_NO_PAD.decode_slice(nonce, &mut raw) != Ok(raw.len()) {
            return false;
        }
        let [t0, t1, t2, t3, stated @ ..] = raw;
        let time = [t0, t1, t2, t3];
        let age = now.unix.checked_sub(u64::from(u32::from_be_bytes(time)));
        let fresh = age.is_some_and(|age| age <= NONCE_LIFETIME);
        // In constant time: how much of a forged one was right does not show.
        let ours = self.mac(time, client).verify_truncated_left(&stated).is_ok();
        fresh && ours
    }

    fn mac(&self, time: [u8; 4], client: SocketAddr) -> Hmac<Sha1> {
        let mut mac = self.key.clone();
        mac.update(&time);
        match client.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac.update(&client.port().to_be_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };

    fn at(unix: u64) -> Now {
        Now { unix, ..NOW }
    }

    #[test]
    fn a_nonce_is_good_for_its_lifetime_and_not_before_it() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        let nonce = nonces.issue(NOW, client);
        assert!(nonces.check(NOW, client, &nonce));
        assert!(nonces.check(at(NOW.unix + NONCE_LIFETIME), client, &nonce));
        assert!(!nonces.check(at(NOW.unix + NONCE_LIFETIME + 1), client, &nonce));
        assert!(!nonces.check(at(NOW.unix - 1), client, &nonce));
    }

    #[test]
    fn a_nonce_is_good_for_its_client_only() {
        let nonces = Nonces::new(&[1; 32]);
        let nonce = nonces.issue(NOW, "192.0.2.1:4000".parse().unwrap());
        for other in ["192.0.2.1:4001", "192.0.2.2:4000", "[2001:db8::1]:4000"] {
            assert!(!nonces.check(NOW, other.parse().unwrap(), &nonce), "{other}");
        }
    }

    #[test]
    fn a_forged_nonce_is_refused() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        let nonce = nonces.issue(NOW, client);
        for at in 0..NONCE_LENGTH {
            let mut forged = nonce;
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(!nonces.check(NOW, client, &forged), "character {at}");
        }
        for bad in [&b""[..], &nonce[..15], b"AAAAAAAAAAAAAAAA", b"AAAAAAAAAAAAAAAAA", &[0xFF; 16]] {
            assert!(!nonces.check(NOW, client, bad), "{bad:02x?}");
        }
        assert!(!Nonces::new(&[2; 32]).check(NOW, client, &nonce));
    }
}
