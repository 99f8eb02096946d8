//! Tickets by which clients resume their memberships. Pure.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::protocol::MemberId;

/// Bytes of a ticket behind the id.
const PROOF: usize = 16;

/// Makes tickets: a member's id, which everyone in the room knows, and the proof that only we can
/// make.
pub(super) struct Tickets(Hmac<Sha1>);

impl Tickets {
    /// `seed` is secret and differs at each start, with which all memberships end.
    pub(super) fn new(seed: &[u8; 32]) -> Self {
        let mut key: Hmac<Sha1> = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        key.update(b"ticket");
        Self(key)
    }

    /// The ticket of `id`, the same for as long as the membership lives.
    pub(super) fn issue(&self, id: MemberId) -> String {
        let proof = self.of(id).finalize().into_bytes();
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(&proof[..PROOF]))
    }

    /// Returns the member that this is a ticket of.
    pub(super) fn read(&self, ticket: &str) -> Option<MemberId> {
        let (id, proof) = ticket.split_once('.')?;
        let id = MemberId::parse(id)?;
        let mut bytes = [0; PROOF];
        let length = URL_SAFE_NO_PAD.decode_slice(proof, &mut bytes).ok()?;
        // In constant time, so that a proof cannot be found byte by byte.
        (length == PROOF && self.of(id).verify_truncated_left(&bytes).is_ok()).then_some(id)
    }

    fn of(&self, id: MemberId) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        mac.update(&id.0);
        mac
    }
}

impl std::fmt::Debug for Tickets {
    /// The key never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_member_alone() {
        let tickets = Tickets::new(&[1; 32]);
        let (ann, bob) = (MemberId([1; 16]), MemberId([2; 16]));
        let ticket = tickets.issue(ann);
        assert_eq!(tickets.read(&ticket), Some(ann));
        let (_, proof) = ticket.split_once('.').unwrap();
        for forged in [
            format!("{bob}.{proof}"),
            ann.to_string(),
            format!("{ann}."),
            format!("{ann}.{}", &proof[..20]),
            format!("{ticket}A"),
            format!("{ann}.{}", "A".repeat(22)),
            String::new(),
        ] {
            assert_eq!(tickets.read(&forged), None, "{forged}");
        }
        assert_eq!(Tickets::new(&[2; 32]).read(&ticket), None, "of another start");
    }
}
