//! Signature of a request, by which the receiver knows the sender, the content and its age.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// Returns the value of `Byway-Signature` for a body that is sent at `unix`, in seconds since 1970.
///
/// The time is signed with the body, so that a receiver can refuse a request that another party
/// recorded and sends again later.
pub(super) fn sign(secret: &[u8], unix: u64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(format!("{unix}.").as_bytes());
    mac.update(body);
    let mut value = format!("t={unix},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(value, "{byte:02x}").expect("writing to a String does not fail");
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by `printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac a-secret`.
    #[test]
    fn the_signature_is_that_of_other_programs() {
        assert_eq!(
            sign(b"a-secret", 1_700_000_000, br#"{"a":1}"#),
            "t=1700000000,v1=18a1396a720cbf5a6d3abfce80973b6d360b24ca302dba672536bb9482887da2"
        );
    }

    #[test]
    fn the_secret_the_time_and_the_body_all_count() {
        let of = |secret: &[u8], unix, body: &[u8]| {
            let value = sign(secret, unix, body);
            value.split_once("v1=").map(|(_, digest)| digest.to_owned())
        };
        let plain = of(b"secret", 17, b"body");
        assert_ne!(of(b"secreu", 17, b"body"), plain);
        assert_ne!(of(b"secret", 18, b"body"), plain);
        assert_ne!(of(b"secret", 17, b"bodz"), plain);
        assert_eq!(of(b"secret", 17, b"body"), plain);
    }
}
