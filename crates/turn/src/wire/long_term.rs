//! What the long-term credential mechanism hashes: passwords to keys, usernames to USERHASH (RFC
//! 8489 section 9.2).

use sha2::{Digest as _, Sha256};

/// How a key is made of a password (section 18.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordAlgorithm {
    /// 0x0001: what RFC 5389 knows, and what a client means that names none.
    Md5,
    /// 0x0002
    Sha256,
}

impl PasswordAlgorithm {
    /// The value of PASSWORD-ALGORITHMS (section 14.11): both, the one to be preferred first,
    /// neither with parameters.
    pub const OFFERED: [u8; 8] = [0, 2, 0, 0, 0, 1, 0, 0];

    /// Reads a PASSWORD-ALGORITHM (section 14.12).
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        match value {
            [0, 1, 0, 0] => Some(Self::Md5),
            [0, 2, 0, 0] => Some(Self::Sha256),
            _ => None,
        }
    }

    /// The key of a credential (section 9.2.2). Its parts are taken as they are: time-limited
    /// usernames and their passwords are as OpaqueString would leave them.
    #[must_use]
    pub fn key(self, username: &str, realm: &str, password: &str) -> Vec<u8> {
        match self {
            Self::Md5 => turn::auth::generate_auth_key(username, realm, password),
            Self::Sha256 => Sha256::digest(format!("{username}:{realm}:{password}")).to_vec(),
        }
    }
}

/// The USERHASH of a username (section 14.4).
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
