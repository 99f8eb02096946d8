//! Time-limited credentials, compatible with coturn's `use-auth-secret`.
//!
//! A username is `expiry:name`, its password `base64(HMAC-SHA1(secret, username))`. Every holder of
//! the secret can issue and verify credentials without a database. coturn also accepts an expiry
//! alone, and `name:expiry`. This server accepts both too, but issues neither.
//!
//! The first secret signs and all verify. An operator can therefore replace a secret while
//! credentials under the old one are still in use.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::time::Now;

/// Longest time that an expiry may lie ahead. A credential with a later expiry was not issued by
/// this server or a sane backend, and would never end.
pub const MAX_TTL: Duration = Duration::from_secs(7 * 24 * 3600);

/// Reason why a username is not valid here. Unauthenticated clients get the same 401 for each (RFC
/// 8489 section 9.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Neither `expiry:name`, nor `name:expiry`, nor an expiry alone. An expiry has 1 to 19 decimal
    /// digits.
    #[error("not of the form expiry:name")]
    Malformed,
    /// The expiry has passed.
    #[error("expired")]
    Expired,
    /// The expiry lies more than [`MAX_TTL`] ahead.
    #[error("expires too far ahead")]
    TooFarAhead,
}

/// Parsed username: `expiry:name`, `name:expiry` or an expiry alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Username<'a> {
    /// Expiry, in seconds since 1970-01-01 UTC.
    pub expiry: u64,
    /// Part that is not the expiry. Quotas count by it, so a fresh expiry does not raise a quota.
    ///
    /// If it would be empty it is the whole username. Otherwise all clients without a name would
    /// share one quota.
    pub name: &'a str,
}

impl<'a> Username<'a> {
    /// Splits a username at its first colon, as coturn does.
    ///
    /// The expiry is the left side if that consists of digits, else the right side. Only plain
    /// digits count: no sign, no space, no overflow of `u64`.
    ///
    /// # Errors
    /// [`UsernameError::Malformed`].
    pub fn parse(username: &'a str) -> Result<Self, UsernameError> {
        let (left, right) = username.split_once(':').unwrap_or((username, ""));
        let (digits, name) = if is_digits(left) { (left, right) } else { (right, left) };
        let is_expiry = is_digits(digits) && digits.len() <= 19;
        let expiry = is_expiry.then(|| digits.parse().ok()).flatten().ok_or(UsernameError::Malformed)?;
        Ok(Self { expiry, name: if name.is_empty() { username } else { name } })
    }

    /// Checks the expiry against the wall clock.
    ///
    /// # Errors
    /// [`UsernameError::Expired`] or [`UsernameError::TooFarAhead`].
    pub fn check(&self, now: Now) -> Result<(), UsernameError> {
        if self.expiry <= now.unix {
            Err(UsernameError::Expired)
        } else if self.expiry - now.unix > MAX_TTL.as_secs() {
            Err(UsernameError::TooFarAhead)
        } else {
            Ok(())
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a credential may be issued for `name`: 1 to 256 bytes without control characters.
///
/// Such a name fits behind `expiry:` in the USERNAME attribute (RFC 8489 section 14.3: fewer than
/// 509 bytes), with room to spare. Logs and tables show it on one line.
#[must_use]
pub fn is_name(name: &str) -> bool {
    (1..=256).contains(&name.len()) && !name.contains(char::is_control)
}

/// Shared secret, key or password as an operator configures it. It cannot be printed by accident:
/// `Debug` redacts it, and it has no `Display`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `text` as a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl AsRef<str> for Secret {
    /// Returns the secret in the clear, to send it or to compute with it.
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<[u8]> for Secret {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::fmt::Debug for Secret {
    /// Redacts the secret, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Credential as a browser receives it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Username: `expiry:name`.
    pub username: String,
    /// Password: `base64(HMAC-SHA1(secret, username))`.
    pub password: String,
    /// Expiry, in seconds since 1970-01-01 UTC.
    pub expires_at: u64,
}

impl std::fmt::Debug for Credential {
    /// Omits the password, so that it never reaches a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { username, password: _, expires_at } = self;
        f.debug_struct("Credential")
            .field("username", username)
            .field("expires_at", expires_at)
            .finish_non_exhaustive()
    }
}

/// Shared secrets, as HMAC states that are cloned for each use.
#[derive(Clone)]
pub struct Secrets {
    signing: Hmac<Sha1>,
    /// Secrets that only verify.
    others: Vec<Hmac<Sha1>>,
}

impl Secrets {
    /// Takes the secrets, the signing one first; `None` if `secrets` is empty.
    #[must_use]
    pub fn new<S: AsRef<[u8]>>(secrets: &[S]) -> Option<Self> {
        let mut keys = secrets
            .iter()
            .map(|secret| Hmac::new_from_slice(secret.as_ref()).expect("HMAC takes a key of any length"));
        Some(Self { signing: keys.next()?, others: keys.collect() })
    }

    /// Issues a credential for `name` that expires `ttl` from now, at most [`MAX_TTL`].
    #[must_use]
    pub fn issue(&self, now: Now, name: &str, ttl: Duration) -> Credential {
        let expires_at = now.unix.saturating_add(ttl.min(MAX_TTL).as_secs());
        let username = format!("{expires_at}:{name}");
        let password = password(&self.signing, &username);
        Credential { username, password, expires_at }
    }

    /// Returns 16 URL-safe characters that stand for `text`. Only a holder of the signing secret
    /// can compute them.
    #[must_use]
    pub fn tag(&self, text: &str) -> String {
        tag(&self.signing, text)
    }

    /// Returns the [tag](Self::tag) of `text` under each secret, the signing one first.
    pub fn tags<'a>(&'a self, text: &'a str) -> impl Iterator<Item = String> + 'a {
        std::iter::once(&self.signing).chain(&self.others).map(move |secret| tag(secret, text))
    }

    /// Returns the password of `username` under each secret, the signing one first.
    pub fn passwords<'a>(&'a self, username: &'a str) -> impl Iterator<Item = String> + 'a {
        std::iter::once(&self.signing).chain(&self.others).map(move |secret| password(secret, username))
    }
}

fn tag(secret: &Hmac<Sha1>, text: &str) -> String {
    let mut mac = secret.clone();
    // The prefix has no digits, so the input is not a username and the tag reveals nothing about
    // any password.
    mac.update(b"tag:");
    mac.update(text.as_bytes());
    let digest = mac.finalize().into_bytes();
    URL_SAFE_NO_PAD.encode(&digest[..12])
}

fn password(secret: &Hmac<Sha1>, username: &str) -> String {
    let mut mac = secret.clone();
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

impl std::fmt::Debug for Secrets {
    /// Redacts the secrets, so that they never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secrets({} redacted)", 1 + self.others.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };

    #[test]
    fn issues_what_coturn_verifies() {
        // printf '1700000600:alice' | openssl dgst -sha1 -hmac north -binary | base64
        let credential = Secrets::new(&["north"]).unwrap().issue(NOW, "alice", Duration::from_secs(600));
        assert_eq!(credential.username, "1700000600:alice");
        assert_eq!(credential.password, "gthUwOpcRoLI0MMCziCEBOWYnpo=");
        assert_eq!(credential.expires_at, 1_700_000_600);
    }

    #[test]
    fn the_first_secret_signs_and_all_verify() {
        let old = Secrets::new(&["old"]).unwrap().issue(NOW, "bob", Duration::from_secs(60));
        let both = Secrets::new(&["new", "old"]).unwrap();
        assert!(both.passwords(&old.username).any(|p| p == old.password));
        let new = both.issue(NOW, "bob", Duration::from_secs(60));
        assert_ne!(new.password, old.password);
        assert_eq!(both.passwords(&new.username).next(), Some(new.password));
    }

    #[test]
    fn no_secret_is_no_secrets() {
        assert!(Secrets::new::<&str>(&[]).is_none());
    }

    #[test]
    fn a_tag_is_the_same_for_all_who_share_the_secret() {
        // printf 'tag:tea' | openssl dgst -sha1 -hmac north -binary | head -c 12 | basenc
        // --base64url
        assert_eq!(Secrets::new(&["north"]).unwrap().tag("tea"), "Dl3SJX5-cqdcxF5F");
        assert_ne!(Secrets::new(&["south"]).unwrap().tag("tea"), "Dl3SJX5-cqdcxF5F");
    }

    #[test]
    fn threat_37_the_expiry_stands_on_either_side_or_alone() {
        for (username, expiry, name) in [
            ("17:a", 17, "a"),
            ("17:a:b", 17, "a:b"),
            ("a:17", 17, "a"),
            ("+1:17", 17, "+1"),
            // A name of digits alone stands behind the expiry.
            ("17:18", 17, "18"),
            ("9999999999999999999:17", 9_999_999_999_999_999_999, "17"),
            // Without a name, each username is a user of its own.
            ("17", 17, "17"),
            ("17:", 17, "17:"),
            (":17", 17, ":17"),
        ] {
            assert_eq!(Username::parse(username), Ok(Username { expiry, name }), "{username:?}");
        }
    }

    #[test]
    fn threat_9_only_plain_digits_are_an_expiry() {
        for bad in [
            "",
            ":",
            ":a",
            "a",
            "+17",
            " 17",
            "17 ",
            "+1:a",
            " 1:a",
            "1 :a",
            "-1:a",
            "0x1:a",
            "a:+1",
            "a: 1",
            "a:1 ",
            "a:",
            "a:b:17",
            ":17:18",
            "99999999999999999999",
            "99999999999999999999:a",
            // Its expiry is the left side, whatever is on the right.
            "99999999999999999999:17",
            "a:99999999999999999999",
            "\u{661}:a",
            "a:\u{661}",
        ] {
            assert_eq!(Username::parse(bad), Err(UsernameError::Malformed), "{bad:?}");
        }
    }

    #[test]
    fn an_expiry_lies_ahead_but_not_far_ahead() {
        let at = |expiry| Username { expiry, name: "a" }.check(NOW);
        assert_eq!(at(NOW.unix), Err(UsernameError::Expired));
        assert_eq!(at(NOW.unix + 1), Ok(()));
        assert_eq!(at(NOW.unix + MAX_TTL.as_secs()), Ok(()));
        assert_eq!(at(NOW.unix + MAX_TTL.as_secs() + 1), Err(UsernameError::TooFarAhead));
        assert_eq!(at(9_999_999_999_999_999_999), Err(UsernameError::TooFarAhead));
    }

    #[test]
    fn secrets_stay_out_of_logs() {
        let secrets = Secrets::new(&["north", "south"]).unwrap();
        assert_eq!(format!("{secrets:?}"), "Secrets(2 redacted)");
        assert_eq!(format!("{:?}", Secret::new("north")), "[redacted]");
        let credential = secrets.issue(NOW, "alice", Duration::from_secs(600));
        assert!(!format!("{credential:?}").contains(&credential.password), "{credential:?}");
    }
}
