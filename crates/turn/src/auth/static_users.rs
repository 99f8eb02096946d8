//! Static users: accounts with a fixed name and password, for clients that cannot fetch
//! credentials.
//!
//! A username is either that of a static user or [time-limited](Username), never both: a static
//! name has no colon and is not a number. A secret therefore verifies no static user, and a static
//! user's password verifies no time-limited username.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use stringprep::saslprep;

use super::{Secret, Username, is_name};

/// Prefix of a stored key, as in coturn's `user=NAME:0xKEY`.
const KEY_PREFIX: &str = "0x";

/// Bytes of an MD5 key.
const MD5: usize = 16;

/// Bytes of a SHA-256 key.
const SHA256: usize = 32;

/// Reason why a static user is refused. No reason contains the name or the password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StaticUserError {
    /// The name is empty, too long, or has control characters.
    #[error("a name has 1 to 256 bytes and no control characters")]
    Name,
    /// The name has a colon.
    #[error("a name with a colon could be taken for a time-limited username, `expiry:name`")]
    Colon,
    /// The name is a number.
    #[error("a name of digits could be taken for a time-limited username, an expiry alone")]
    Digits,
    /// SASLprep changes or forbids the name.
    #[error("SASLprep (RFC 4013) changes or forbids this name, so clients would differ about it")]
    UnpreparedName,
    /// The password is empty.
    #[error("the password is empty: everyone would know it")]
    NoPassword,
    /// SASLprep changes or forbids the password.
    #[error("SASLprep (RFC 4013) changes or forbids this password, so clients would differ about it")]
    UnpreparedPassword,
    /// The password begins like a key and is none.
    #[error("after `0x` stand neither the 32 hexadecimal digits of an MD5 key nor the 64 of a SHA-256 key")]
    Key,
}

/// Static user, as an operator configures it.
#[derive(Clone, PartialEq, Eq)]
pub struct StaticUser {
    name: String,
    password: StaticPassword,
}

#[derive(Clone, PartialEq, Eq)]
enum StaticPassword {
    Text(Secret),
    /// Key by MD5 for the realm, as `turnadmin -k` of coturn prints it.
    Md5([u8; MD5]),
    /// Key by SHA-256 for the realm.
    Sha256([u8; SHA256]),
}

impl StaticUser {
    /// Checks a name and a password. A password that begins with `0x` is a key of the long-term
    /// credential mechanism in hexadecimal (RFC 8489 section 9.2.2), which holds for one realm.
    ///
    /// # Errors
    /// [`StaticUserError`].
    pub fn new(name: &str, password: &str) -> Result<Self, StaticUserError> {
        check_name(name)?;
        Ok(Self { name: name.to_owned(), password: StaticPassword::parse(password)? })
    }

    /// The username on the wire.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Characters of the password; `None` if only a key is stored.
    #[must_use]
    pub fn password_length(&self) -> Option<usize> {
        match &self.password {
            StaticPassword::Text(text) => Some(AsRef::<str>::as_ref(text).chars().count()),
            StaticPassword::Md5(_) | StaticPassword::Sha256(_) => None,
        }
    }

    /// Whether only a SHA-256 key is stored, with which no client of RFC 5389 can authenticate.
    #[must_use]
    pub fn excludes_md5(&self) -> bool {
        matches!(self.password, StaticPassword::Sha256(_))
    }
}

impl fmt::Debug for StaticUser {
    /// Redacts the user, so that neither name nor password reaches a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StaticUser([redacted])")
    }
}

impl StaticPassword {
    fn parse(text: &str) -> Result<Self, StaticUserError> {
        if text.is_empty() {
            return Err(StaticUserError::NoPassword);
        }
        if let Some(hex) = text.strip_prefix(KEY_PREFIX) {
            return decode(hex)
                .map(Self::Md5)
                .or_else(|| decode(hex).map(Self::Sha256))
                .ok_or(StaticUserError::Key);
        }
        if !is_prepared(text) {
            return Err(StaticUserError::UnpreparedPassword);
        }
        Ok(Self::Text(Secret::new(text)))
    }
}

/// Checks the name of a static user.
///
/// # Errors
/// [`StaticUserError`].
pub fn check_name(name: &str) -> Result<(), StaticUserError> {
    match name {
        _ if !is_name(name) => Err(StaticUserError::Name),
        _ if name.contains(':') => Err(StaticUserError::Colon),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => Err(StaticUserError::Digits),
        _ if !is_prepared(name) => Err(StaticUserError::UnpreparedName),
        _ => Ok(()),
    }
}

/// Whether text means the same to clients that apply SASLprep (RFC 5389) and those that do not.
fn is_prepared(text: &str) -> bool {
    saslprep(text).is_ok_and(|prepared| prepared == text)
}

/// Decodes exactly `N` bytes in hexadecimal.
fn decode<const N: usize>(hex: &str) -> Option<[u8; N]> {
    let digits = hex.as_bytes();
    if digits.len() != 2 * N || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, place) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(&hex[place..place + 2], 16).ok()?;
    }
    Some(bytes)
}

/// Account of a username: the name under which quotas and revocations count its allocations.
///
/// It is the name part of a time-limited username. For a static user it begins with a control
/// character, which [no issued name](is_name) has. The two thus share neither quota nor revocation,
/// even where their names are equal.
#[must_use]
pub fn account(username: &str) -> Cow<'_, str> {
    match Username::parse(username) {
        Ok(username) => Cow::Borrowed(username.name),
        Err(_) => Cow::Owned(format!("\0{username}")),
    }
}

/// Keys of the static users of one realm.
#[derive(Clone, Default)]
pub struct StaticUsers(BTreeMap<Box<str>, StaticKeys>);

/// Keys of one static user. At least one is there.
#[derive(Clone)]
pub(crate) struct StaticKeys {
    pub(crate) md5: Option<Box<[u8]>>,
    pub(crate) sha256: Option<Box<[u8]>>,
}

impl StaticUsers {
    /// Derives the keys with `derive`, which is handed the name and the password and returns the
    /// keys by MD5 and by SHA-256. Of two users with one name, the last counts.
    pub(crate) fn derived(users: &[StaticUser], derive: impl Fn(&str, &str) -> [Vec<u8>; 2]) -> Self {
        let keys = |user: &StaticUser| match &user.password {
            StaticPassword::Text(password) => {
                let [md5, sha256] = derive(&user.name, password.as_ref());
                StaticKeys { md5: Some(md5.into()), sha256: Some(sha256.into()) }
            }
            StaticPassword::Md5(key) => StaticKeys { md5: Some((*key).into()), sha256: None },
            StaticPassword::Sha256(key) => StaticKeys { md5: None, sha256: Some((*key).into()) },
        };
        Self(users.iter().map(|user| (user.name.as_str().into(), keys(user))).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `username` is a static user's.
    #[must_use]
    pub fn contains(&self, username: &str) -> bool {
        self.0.contains_key(username)
    }

    /// Returns the keys of a user.
    pub(crate) fn keys(&self, username: &str) -> Option<&StaticKeys> {
        self.0.get(username)
    }
}

impl fmt::Debug for StaticUsers {
    /// Redacts names and keys, so that they never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StaticUsers({} redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_never_that_of_a_time_limited_user() {
        for (name, error) in [
            ("", StaticUserError::Name),
            (&*"a".repeat(257), StaticUserError::Name),
            ("a\nb", StaticUserError::Name),
            ("a\0b", StaticUserError::Name),
            ("17:camera", StaticUserError::Colon),
            ("camera:17", StaticUserError::Colon),
            ("a:b", StaticUserError::Colon),
            (":", StaticUserError::Colon),
            ("17", StaticUserError::Digits),
            ("99999999999999999999", StaticUserError::Digits),
            // Decomposed, a compatibility character, a soft hyphen, a no-break space.
            ("u\u{308}ber", StaticUserError::UnpreparedName),
            ("\u{ff21}", StaticUserError::UnpreparedName),
            ("ca\u{ad}mera", StaticUserError::UnpreparedName),
            ("a\u{a0}b", StaticUserError::UnpreparedName),
            ("a\u{e000}", StaticUserError::UnpreparedName),
        ] {
            assert_eq!(StaticUser::new(name, "password"), Err(error), "{name:?}");
        }
        for name in ["camera", "+4917", "17a", "a b", "sip.phone@example.org", "\u{fc}ber", "\u{661}"] {
            let user = StaticUser::new(name, "password").unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert!(Username::parse(user.name()).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_password_is_text_or_a_key_in_coturns_form() {
        let password = |text: &str| StaticUser::new("camera", text).map(|user| user.password);
        assert!(password("geheim") == Ok(StaticPassword::Text(Secret::new("geheim"))));
        assert!(password("0X00") == Ok(StaticPassword::Text(Secret::new("0X00"))));
        let md5 = "0x8493fbc53ba582fb4c044c456bdc40eb";
        assert!(matches!(password(md5), Ok(StaticPassword::Md5([0x84, 0x93, .., 0xEB]))));
        assert!(matches!(password(&md5.to_uppercase().replace("0X", "0x")), Ok(StaticPassword::Md5(_))));
        assert!(matches!(
            password(&format!("0x{}", "ab".repeat(32))),
            Ok(StaticPassword::Sha256([0xAB, ..]))
        ));
        for (text, error) in [
            ("", StaticUserError::NoPassword),
            ("0x", StaticUserError::Key),
            ("0x8493fbc53ba582fb4c044c456bdc40e", StaticUserError::Key),
            ("0x8493fbc53ba582fb4c044c456bdc40eg", StaticUserError::Key),
            ("0x+493fbc53ba582fb4c044c456bdc40eb", StaticUserError::Key),
            (&*format!("0x{}", "\u{fc}".repeat(16)), StaticUserError::Key),
            ("u\u{308}ber", StaticUserError::UnpreparedPassword),
            ("a\u{7}", StaticUserError::UnpreparedPassword),
        ] {
            assert!(password(text) == Err(error), "{text:?}");
        }
    }

    #[test]
    fn an_account_is_that_of_one_kind_of_user() {
        assert_eq!(account("17:camera"), "camera");
        assert_eq!(account("17"), "17");
        assert_eq!(account("camera"), "\0camera");
        assert!(!is_name(&account("camera")));
    }

    #[test]
    fn users_stay_out_of_logs() {
        let user = StaticUser::new("camera", "geheim").unwrap();
        let users = StaticUsers::derived(std::slice::from_ref(&user), |_, password| {
            [password.into(), password.into()]
        });
        assert_eq!(format!("{user:?} {users:?}"), "StaticUser([redacted]) StaticUsers(1 redacted)");
    }
}
