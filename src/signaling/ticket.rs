//! Tickets by which clients resume their memberships. Pure.

use byway_turn::auth::Secrets;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::protocol::MemberId;

/// Bytes of a ticket behind the id.
const PROOF: usize = 16;

/// Text whose tag is the key of a cluster. Tags of room names are visible to clients
/// (`ice::label`). No room's name has a line feed, and no message of nodes begins like this.
const PURPOSE: &str = "tickets\n";

/// Maker of tickets. A ticket is a member's id, which everyone in the room knows, and a proof that
/// only the maker can make.
pub struct Tickets {
    issuing: Hmac<Sha1>,
    /// Former keys, whose tickets are good, too.
    others: Vec<Hmac<Sha1>>,
}

impl Tickets {
    /// Tickets of one process. `seed` is secret and differs at each start, with which all
    /// memberships end.
    #[must_use]
    pub fn of_process(seed: &[u8; 32]) -> Self {
        Self { issuing: key(seed), others: Vec::new() }
    }

    /// Tickets that are good on every node with one of these secrets, and after a restart. The
    /// first secret issues them.
    #[must_use]
    pub fn of_cluster(secrets: &Secrets) -> Self {
        let others = secrets.tags(PURPOSE).skip(1).map(|tag| key(tag.as_bytes())).collect();
        Self { issuing: key(secrets.tag(PURPOSE).as_bytes()), others }
    }

    /// The ticket of `id`, the same for as long as the membership and the secret live.
    pub(super) fn issue(&self, id: MemberId) -> String {
        let proof = proof(&self.issuing, id).finalize().into_bytes();
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(&proof[..PROOF]))
    }

    /// Returns the member that this is a ticket of.
    pub(super) fn read(&self, ticket: &str) -> Option<MemberId> {
        let (id, shown) = ticket.split_once('.')?;
        let id = MemberId::parse(id)?;
        let mut bytes = [0; PROOF];
        let length = URL_SAFE_NO_PAD.decode_slice(shown, &mut bytes).ok()?;
        // In constant time, so that a proof cannot be found byte by byte.
        let is_of = |key| proof(key, id).verify_truncated_left(&bytes).is_ok();
        let mut keys = std::iter::once(&self.issuing).chain(&self.others);
        (length == PROOF && keys.any(is_of)).then_some(id)
    }
}

fn key(secret: &[u8]) -> Hmac<Sha1> {
    let mut key: Hmac<Sha1> = Hmac::new_from_slice(secret).expect("HMAC takes a key of any length");
    key.update(b"ticket");
    key
}

fn proof(key: &Hmac<Sha1>, id: MemberId) -> Hmac<Sha1> {
    let mut mac = key.clone();
    mac.update(&id.0);
    mac
}

impl std::fmt::Debug for Tickets {
    /// The keys never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_its_member_alone() {
        let tickets = Tickets::of_process(&[1; 32]);
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
        assert_eq!(Tickets::of_process(&[2; 32]).read(&ticket), None, "of another start");
    }

    fn of_cluster(secrets: &[&str]) -> Tickets {
        Tickets::of_cluster(&Secrets::new(secrets).unwrap())
    }

    #[test]
    fn a_ticket_of_a_cluster_is_good_where_its_secret_is_known() {
        let ann = MemberId([1; 16]);
        let ticket = of_cluster(&["north"]).issue(ann);
        for (secrets, good) in [
            (&["north"][..], true),
            (&["south", "north"], true),
            (&["north", "south"], true),
            (&["west", "south", "north"], true),
            (&["south"], false),
        ] {
            let read = of_cluster(secrets).read(&ticket);
            assert_eq!(read, good.then_some(ann), "{secrets:?}");
        }
        assert_ne!(of_cluster(&["south", "north"]).issue(ann), ticket, "the first secret issues");
        assert_eq!(of_cluster(&["south"]).read(&of_cluster(&["south", "north"]).issue(ann)), Some(ann));
    }

    /// The tag of a room's name is in the names of its members, which clients see.
    #[test]
    fn no_room_has_the_key_as_its_label() {
        assert_eq!(crate::signaling::protocol::RoomName::new(PURPOSE.to_owned()), None);
    }
}
