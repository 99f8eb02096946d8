//! Label of a room in a username.

use byway_turn::auth::Secrets;

use crate::access::Policy;

/// Bytes of the longest room name that a username contains.
const LONGEST: usize = 64;

/// Returns the label of `room` in `expiry:ROOM.MEMBER`, which allows statistics per room.
///
/// It is the room's name if access takes a token and the name is plain. A username travels in clear
/// text, and with open access everyone who knows a room's name can enter. The label is then a keyed
/// hash of 16 characters. All servers that share `secrets` compute the same hash, and no one else
/// can.
pub(super) fn label(policy: Policy, room: &str, secrets: &Secrets) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if policy == Policy::Token && (1..=LONGEST).contains(&room.len()) && room.bytes().all(plain) {
        return room.to_owned();
    }
    secrets.tag(room)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_keeps_its_name_only_where_knowing_it_lets_nobody_in() {
        let secrets = Secrets::new(&["north"]).unwrap();
        let label = |policy, room: &str| label(policy, room, &secrets);
        let longest = "a".repeat(64);
        for plain in ["tea", "Tea_1-x", longest.as_str()] {
            assert_eq!(label(Policy::Token, plain), plain);
            assert_ne!(label(Policy::Open, plain), plain);
        }
        for odd in ["", "a.b", "a:b", "a b", "caf\u{e9}", &"a".repeat(65)] {
            let tag = label(Policy::Token, odd);
            assert_eq!(tag, label(Policy::Open, odd));
            assert!(tag.len() == 16 && !tag.contains(['.', ':', '=', '+', '/']), "{tag}");
        }
        assert_ne!(label(Policy::Open, "a"), label(Policy::Open, "b"));
    }
}
