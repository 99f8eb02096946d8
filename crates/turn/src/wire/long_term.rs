//! Hashes of the long-term credential mechanism: password to key, username to USERHASH (RFC 8489
//! section 9.2).

use sha2::{Digest as _, Sha256};

/// Algorithm that derives a key from a password (RFC 8489 section 18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// MD5, 0x0001: the algorithm of RFC 5389, and of a client that names none.
    Md5,
    /// SHA-256, 0x0002.
    Sha256,
}

impl PasswordAlgorithm {
    /// Value of PASSWORD-ALGORITHMS (RFC 8489 section 14.11): SHA-256, then MD5, in order of
    /// preference and without parameters.
    pub const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

    /// Decodes PASSWORD-ALGORITHM (section 14.12).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }

    /// Derives the key of a credential: 16 bytes for MD5, 32 for SHA-256 (RFC 8489 section 9.2.2).
    ///
    /// The parts are not normalised: OpaqueString would not change time-limited usernames and their
    /// passwords.
    #[must_use]
    pub fn key(self, username: &str, realm: &str, password: &str) -> Vec<u8> {
        match self {
            Self::Md5 => turn::auth::generate_auth_key(username, realm, password),
            Self::Sha256 => Sha256::digest(format!("{username}:{realm}:{password}")).to_vec(),
        }
    }
}

/// USERHASH of a username (RFC 8489 section 14.4).
#[must_use]
pub fn userhash(username: &str, realm: &str) -> [u8; 32] {
    Sha256::digest(format!("{username}:{realm}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of section 9.2.2, and the same under SHA-256: printf user:realm:pass | sha256sum
    #[test]
    fn a_key_is_the_hash_of_username_realm_and_password() {
        let hex = |key: Vec<u8>| key.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let key = |algorithm: PasswordAlgorithm| hex(algorithm.key("user", "realm", "pass"));
        assert_eq!(key(PasswordAlgorithm::Md5), "8493fbc53ba582fb4c044c456bdc40eb");
        assert_eq!(
            key(PasswordAlgorithm::Sha256),
            "07e934117abd40836e7c6329b54731b2b2d2a5f9a71f544922d75e0730d8251b"
        );
    }

    #[test]
    fn what_is_offered_can_be_read_back_in_order() {
        let offered = PasswordAlgorithm::OFFERED.chunks(4).map(PasswordAlgorithm::parse);
        let both = [Some(PasswordAlgorithm::Sha256), Some(PasswordAlgorithm::Md5)];
        assert_eq!(offered.collect::<Vec<_>>(), both);
    }
}
