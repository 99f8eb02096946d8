//! Stateless nonces: a time, and a MAC over that time, the client's address and the offered
//! features.
//!
//! ```text
//! obMatJos2 gAAA tttttttt ttmmmmmmm…mmmmmmm
//! │         │    └ 10 bits of time, 32 of MAC: 7 characters
//! │         └ the security features that were offered (section 18.1)
//! └ the nonce cookie of RFC 8489; left out, with the features, if it does not fit (challenge.rs)
//! ```
//!
//! Every character adds to the 401 that unauthenticated clients get, so the nonce is as short as it
//! can be.
//!
//! - The time is the second of issue modulo 1024. It is unambiguous: only one second of the last
//!   1024 matches, the MAC covers the full time, and 600 s is less than 1024 s.
//! - The MAC has 32 bits. A nonce is not secret and grants nothing by itself; a client with a
//!   password gets one by asking. An attacker who forges a nonce can replay a signed request from
//!   another address, after capturing it on the wire at most 600 s before. Each guess, for one
//!   address and port, succeeds once in four thousand million. An attacker on that wire can send
//!   from the client's own address without guessing.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::challenge::ChallengeLevel;
use crate::time::Now;

/// Lifetime of a nonce in seconds. Afterwards the client gets 438 with a fresh one (RFC 8489
/// section 9.2.4).
pub(super) const NONCE_LIFETIME: u64 = 600;

/// Bits of the time in a nonce. The time is stated modulo 2^10 = 1024 seconds, which is more than
/// the lifetime.
const TIME_BITS: u32 = 10;
const MAC_BYTES: usize = 4;

/// Start of a nonce from a server that speaks RFC 8489 (section 9.2).
const COOKIE: [u8; 9] = *b"obMatJos2";
/// Characters of the 24 security feature bits that follow.
const FEATURES: usize = 4;
/// Characters of the nonce cookie: both parts together.
pub(super) const NONCE_COOKIE: usize = COOKIE.len() + FEATURES;
/// Characters of the time and MAC after the cookie.
pub(super) const TIME_AND_MAC: usize = 7;

/// Issues and checks nonces. It keeps no state, so a flood of unauthenticated requests uses no
/// memory.
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

    /// Issues a nonce for `client` at `now` that states the offered `level`.
    pub(super) fn issue(&self, now: Now, client: SocketAddr, level: ChallengeLevel) -> Nonce {
        let mut nonce = Nonce { characters: [0; NONCE_COOKIE + TIME_AND_MAC], start: 0 };
        let (cookie, behind) = nonce.characters.split_at_mut(NONCE_COOKIE);
        let shown = match level.features() {
            Some(features) => {
                let (name, value) = cookie.split_at_mut(COOKIE.len());
                name.copy_from_slice(&COOKIE);
                STANDARD.encode_slice(features, value).expect("3 bytes are 4 characters of base64");
                &*cookie
            }
            None => {
                nonce.start = NONCE_COOKIE;
                &[]
            }
        };
        let digest = self.mac(now.unix, client, shown).finalize().into_bytes();
        let mac = digest.first_chunk::<MAC_BYTES>().copied().unwrap_or_default();
        write_time_and_mac(now.unix, mac, behind);
        nonce
    }

    /// Whether `nonce` was issued to `client` in the last [`NONCE_LIFETIME`] seconds, and not in
    /// the future.
    pub(super) fn check(&self, now: Now, client: SocketAddr, nonce: &[u8]) -> bool {
        let Some((cookie, behind)) = nonce.split_last_chunk::<TIME_AND_MAC>() else { return false };
        // Any other length could make up for a shorter address.
        if ![0, NONCE_COOKIE].contains(&cookie.len()) {
            return false;
        }
        let Some((low, stated)) = read_time_and_mac(*behind) else { return false };
        let age = now.unix.wrapping_sub(low) % (1 << TIME_BITS);
        let Some(issued) = now.unix.checked_sub(age) else { return false };
        // Compared in constant time, so that timing does not reveal how much of a forged nonce was
        // right.
        let ours = self.mac(issued, client, cookie).verify_truncated_left(&stated).is_ok();
        age <= NONCE_LIFETIME && ours
    }

    fn mac(&self, time: u64, client: SocketAddr, cookie: &[u8]) -> Hmac<Sha1> {
        let mut mac = self.key.clone();
        mac.update(&time.to_be_bytes());
        match client.ip() {
            IpAddr::V4(ip) => mac.update(&ip.octets()),
            IpAddr::V6(ip) => mac.update(&ip.octets()),
        }
        mac.update(&client.port().to_be_bytes());
        // The cookie has one of two lengths, whose difference is not that of the two address
        // lengths. Distinct inputs therefore never concatenate to the same bytes.
        mac.update(cookie);
        mac
    }
}

/// Nonce as sent on the wire.
pub(super) struct Nonce {
    characters: [u8; NONCE_COOKIE + TIME_AND_MAC],
    /// Start of the nonce in `characters`: 0, or after the room for the cookie if there is none.
    start: usize,
}

impl Nonce {
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.characters.get(self.start..).unwrap_or_default()
    }
}

/// Whether a nonce, ours or not, says that PASSWORD-ALGORITHMS came with it (section 9.2.4).
pub(super) fn says_password_algorithms(nonce: &[u8]) -> bool {
    let features = nonce.strip_prefix(&COOKIE).and_then(|rest| rest.first_chunk::<FEATURES>());
    let mut decoded = [0; 3];
    let features = features.map(|features| STANDARD.decode_slice(features, &mut decoded));
    // Section 18.1: the first bit of the first byte.
    features == Some(Ok(decoded.len())) && decoded[0] & 0x80 != 0
}

/// Writes the 42 bits of time and MAC as 7 characters. The 8th character of 48 bits would always be
/// `A`, so it is left out.
fn write_time_and_mac(unix: u64, mac: [u8; MAC_BYTES], out: &mut [u8]) {
    let low = unix % (1 << TIME_BITS);
    let bits = (low << 32 | u64::from(u32::from_be_bytes(mac))) << 6;
    let [_, _, raw @ ..] = bits.to_be_bytes();
    let mut characters = [0; TIME_AND_MAC + 1];
    URL_SAFE_NO_PAD.encode_slice(raw, &mut characters).expect("6 bytes are 8 characters of base64");
    out.copy_from_slice(&characters[..TIME_AND_MAC]);
}

fn read_time_and_mac(characters: [u8; TIME_AND_MAC]) -> Option<(u64, [u8; MAC_BYTES])> {
    let mut whole = [b'A'; TIME_AND_MAC + 1];
    whole[..TIME_AND_MAC].copy_from_slice(&characters);
    let mut raw = [0; 8];
    URL_SAFE_NO_PAD.decode_slice(whole, &mut raw[2..]).ok()?;
    let bits = u64::from_be_bytes(raw) >> 6;
    let [_, _, _, _, mac @ ..] = bits.to_be_bytes();
    Some((bits >> 32, mac))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
    const SIZES: [(ChallengeLevel, usize); 3] = [
        (ChallengeLevel::PasswordAlgorithms, 20),
        (ChallengeLevel::NoFeature, 20),
        (ChallengeLevel::Rfc5389, 7),
    ];

    fn at(unix: u64) -> Now {
        Now { unix, ..NOW }
    }

    #[test]
    fn a_nonce_is_good_for_its_lifetime_and_not_before_it() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        for (level, size) in SIZES {
            let nonce = nonces.issue(NOW, client, level);
            assert_eq!(nonce.as_bytes().len(), size);
            // Ages beyond 1024 s look like smaller ones, and must not be accepted.
            for age in 0..5000 {
                let good = nonces.check(at(NOW.unix + age), client, nonce.as_bytes());
                assert_eq!(good, age <= NONCE_LIFETIME, "{level:?} after {age} s");
                assert!(age == 0 || !nonces.check(at(NOW.unix - age), client, nonce.as_bytes()));
            }
        }
    }

    #[test]
    fn a_nonce_is_good_for_its_client_only() {
        let nonces = Nonces::new(&[1; 32]);
        for (level, _) in SIZES {
            let nonce = nonces.issue(NOW, "192.0.2.1:4000".parse().unwrap(), level);
            for other in ["192.0.2.1:4001", "192.0.2.2:4000", "[2001:db8::1]:4000"] {
                assert!(!nonces.check(NOW, other.parse().unwrap(), nonce.as_bytes()), "{other}");
            }
        }
    }

    /// 2001:db8:0:1::5 with port 4000 begins with the bytes of 32.1.13.184 with port 0. Without the
    /// length check, its remaining bytes could pass for a cookie.
    #[test]
    fn a_nonce_of_an_ipv6_client_is_none_of_an_ipv4_client_whose_address_begins_like_it() {
        let nonces = Nonces::new(&[1; 32]);
        let of_v6 = nonces.issue(NOW, "[2001:db8:0:1::5]:4000".parse().unwrap(), ChallengeLevel::Rfc5389);
        let rest = [0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0x0F, 0xA0];
        let forged = [&rest[..], of_v6.as_bytes()].concat();
        assert!(!nonces.check(NOW, "32.1.13.184:0".parse().unwrap(), &forged));
    }

    #[test]
    fn a_forged_nonce_is_refused() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        for (level, size) in SIZES {
            let nonce = nonces.issue(NOW, client, level);
            for at in 0..size {
                let mut forged = nonce.as_bytes().to_vec();
                forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
                assert!(!nonces.check(NOW, client, &forged), "{level:?}, character {at}");
            }
            assert!(!nonces.check(NOW, client, &nonce.as_bytes()[1..]));
            assert!(!Nonces::new(&[2; 32]).check(NOW, client, nonce.as_bytes()));
        }
        for bad in [&b""[..], b"AAAAAA", b"AAAAAAA", b"AAAAAAAA", &[b'A'; 20], &[0xFF; 7], &[0xFF; 20]] {
            assert!(!nonces.check(NOW, client, bad), "{bad:02x?}");
        }
        // The nonce's time would be before the Unix epoch.
        assert!(!nonces.check(at(0), client, b"AAB____"));
    }

    /// An attacker in the path cannot withdraw an offer: a nonce with its cookie removed is
    /// invalid.
    #[test]
    fn a_nonce_cannot_be_turned_into_one_that_offers_less() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        let full = nonces.issue(NOW, client, ChallengeLevel::PasswordAlgorithms);
        let without_cookie = &full.as_bytes()[NONCE_COOKIE..];
        let without_feature = [b"obMatJos2AAAA", without_cookie].concat();
        assert!(!nonces.check(NOW, client, without_cookie));
        assert!(!nonces.check(NOW, client, &without_feature));
    }

    #[test]
    fn the_cookie_says_what_is_offered() {
        let (nonces, client) = (Nonces::new(&[1; 32]), "192.0.2.1:4000".parse().unwrap());
        let nonce = |level| nonces.issue(NOW, client, level);
        assert!(nonce(ChallengeLevel::PasswordAlgorithms).as_bytes().starts_with(b"obMatJos2gAAA"));
        assert!(nonce(ChallengeLevel::NoFeature).as_bytes().starts_with(b"obMatJos2AAAA"));
        assert!(says_password_algorithms(nonce(ChallengeLevel::PasswordAlgorithms).as_bytes()));
        assert!(!says_password_algorithms(nonce(ChallengeLevel::NoFeature).as_bytes()));
        assert!(!says_password_algorithms(nonce(ChallengeLevel::Rfc5389).as_bytes()));
        // Nonces of any server: both features, the second alone, and no features at all.
        assert!(says_password_algorithms(b"obMatJos2wAAAf//499k954d6OL34oL9FSTvy64sA"));
        for other in [&b"obMatJos2QAAAf//4"[..], b"obMatJos2g", b"obMatJos2", b"obMatJos2=AAA", b"", b"gAAA"]
        {
            assert!(!says_password_algorithms(other), "{other:?}");
        }
    }
}
