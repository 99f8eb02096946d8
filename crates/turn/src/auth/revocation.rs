//! Revocation of credentials that have not expired. Pure; the relay reads it, the signaling writes
//! it.
//!
//! A room member has credentials under a name that ends in its [`MemberId`]. They are valid exactly
//! as long as the member is present. The server stores the members that are present, not those that
//! have left, so the rooms bound its memory.
//!
//! Each ID carries a seal, by which this process recognises the IDs that it issued. Other names
//! were made up by another party, or come from another server with the same secret. A credential
//! under such a name is valid until it expires, unless the name is revoked.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha1::Sha1;

use crate::lock::lock;
use crate::prng::Prng;
use crate::time::Now;

/// Maximum number of names that are revoked by hand at one time.
const MAX_REVOKED: usize = 100_000;
/// Bytes of the seal of a [`MemberId`]. One in four billion foreign names matches it by chance, and
/// is then refused.
const SEAL: usize = 4;

/// Identity of one membership of one room, drawn when it begins and never reused. It consists of 96
/// unpredictable bits and the seal.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemberId(pub [u8; 16]);

impl MemberId {
    /// Parses the form that [`fmt::Display`] writes, and no other: 22 URL-safe characters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; 16];
        let length = URL_SAFE_NO_PAD.decode_slice(text, &mut id).ok()?;
        (length == id.len()).then_some(Self(id))
    }

    /// Returns the member in which a credential's name ends: `room.member`.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::parse(name.rsplit_once('.')?.1)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl Serialize for MemberId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MemberId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not the id of a member"))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Error: the table of revoked names is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many names are revoked at one time")]
pub struct TooManyRevoked;

/// Members that are present, and names that were revoked.
pub struct Revocations {
    random: Prng,
    seal: Hmac<Sha1>,
    /// A `std` mutex, held for one look-up: by the relay once per request, never for a payload.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    here: BTreeSet<MemberId>,
    /// End of each revocation, in seconds since 1970-01-01 UTC. By then every credential under the
    /// name has expired.
    revoked: BTreeMap<Box<str>, u64>,
    /// The same revocations, ordered by their end.
    ends: BTreeSet<(u64, Box<str>)>,
}

impl Revocations {
    /// Creates a registry without members. `seed` must be secret and differ at each start.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length.
    #[must_use]
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut seal: Hmac<Sha1> = Hmac::new_from_slice(seed).expect("HMAC takes a key of any length");
        seal.update(b"seal");
        Self { random: Prng::new(seed, "members"), seal, state: Mutex::default() }
    }

    /// Adds a member and returns its new ID. Credentials under that ID are valid from now on.
    pub fn enter(&self) -> MemberId {
        let mut id: [u8; 16] = self.random.bytes();
        let seal = self.seal_of(&id);
        id[16 - SEAL..].copy_from_slice(&seal);
        let member = MemberId(id);
        self.lock().here.insert(member);
        member
    }

    /// Removes a member. Credentials under its ID are invalid from now on.
    pub fn leave(&self, member: MemberId) {
        self.lock().here.remove(&member);
    }

    /// Revokes every credential under `name` until `until`, in seconds since 1970-01-01 UTC. A
    /// revocation that already lasts longer stays.
    ///
    /// By `until` the last credential under the name must have expired: the revocation is then
    /// forgotten.
    ///
    /// # Errors
    /// [`TooManyRevoked`]: 100,000 names are revoked, and this one is not.
    pub fn revoke(&self, now: Now, name: &str, until: u64) -> Result<(), TooManyRevoked> {
        let mut state = self.lock();
        state.forget(now.unix);
        match state.revoked.get(name).copied() {
            Some(end) if end >= until => return Ok(()),
            Some(end) => drop(state.ends.remove(&(end, name.into()))),
            None if state.revoked.len() >= MAX_REVOKED => return Err(TooManyRevoked),
            None => {}
        }
        state.revoked.insert(name.into(), until);
        state.ends.insert((until, name.into()));
        Ok(())
    }

    /// Ends the name of a member, whichever process issued its ID: the member leaves if this one
    /// did, and the name is revoked until `until` otherwise.
    ///
    /// # Errors
    /// [`TooManyRevoked`], as [`Self::revoke`].
    pub fn end(&self, now: Now, name: &str, until: u64) -> Result<(), TooManyRevoked> {
        match self.own(name) {
            Some(member) => {
                self.leave(member);
                Ok(())
            }
            None => self.revoke(now, name, until),
        }
    }

    /// Whether an unexpired credential under `name` is valid.
    #[must_use]
    pub fn is_good(&self, now: Now, name: &str) -> bool {
        let ours = self.own(name);
        let state = self.lock();
        ours.is_none_or(|member| state.here.contains(&member))
            && state.revoked.get(name).is_none_or(|end| *end <= now.unix)
    }

    /// The member in which `name` ends, if this process issued its ID.
    fn own(&self, name: &str) -> Option<MemberId> {
        MemberId::of(name).filter(|member| member.0[16 - SEAL..] == self.seal_of(&member.0))
    }

    fn seal_of(&self, id: &[u8; 16]) -> [u8; SEAL] {
        let mut mac = self.seal.clone();
        mac.update(&id[..16 - SEAL]);
        let digest = mac.finalize().into_bytes();
        std::array::from_fn(|i| digest[i])
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every statement leaves the state consistent, so a panic elsewhere does not affect it.
        lock(&self.state)
    }
}

impl State {
    fn forget(&mut self, now: u64) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now)
            && let Some((_, name)) = self.ends.pop_first()
        {
            self.revoked.remove(&name);
        }
    }
}

impl fmt::Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        write!(f, "Revocations({} here, {} revoked)", state.here.len(), state.revoked.len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(unix: u64) -> Now {
        Now { mono: Duration::ZERO, unix }
    }

    #[test]
    fn a_member_is_good_while_here() {
        let revocations = Revocations::new(&[1; 32]);
        let (ann, bob) = (revocations.enter(), revocations.enter());
        assert_ne!(ann, bob);
        let name = format!("tea.{ann}");
        assert!(revocations.is_good(at(100), &name));
        revocations.leave(ann);
        assert!(
            !revocations.is_good(at(100), &name) && !revocations.is_good(at(100), &format!("other.{ann}"))
        );
        assert!(revocations.is_good(at(100), &format!("tea.{bob}")));
    }

    #[test]
    fn names_that_are_not_ours_are_good_until_revoked() {
        let revocations = Revocations::new(&[1; 32]);
        let foreign = Revocations::new(&[2; 32]).enter();
        for name in ["alice", "", "a.b", &format!("tea.{foreign}")] {
            assert!(revocations.is_good(at(100), name), "{name}");
            revocations.revoke(at(100), name, 200).unwrap();
            assert!(!revocations.is_good(at(100), name), "{name}");
        }
    }

    #[test]
    fn the_name_of_a_member_ends_whichever_process_issued_it() {
        let revocations = Revocations::new(&[1; 32]);
        let (own, foreign) = (revocations.enter(), Revocations::new(&[2; 32]).enter());
        for name in [format!("tea.{own}"), format!("tea.{foreign}")] {
            revocations.end(at(100), &name, 200).unwrap();
            assert!(!revocations.is_good(at(100), &name), "{name}");
        }
        let state = revocations.lock();
        assert!(state.here.is_empty());
        assert_eq!(state.revoked.len(), 1, "the other process knows no member that left");
    }

    #[test]
    fn what_was_revoked_is_forgotten_when_it_has_expired_anyway() {
        let revocations = Revocations::new(&[1; 32]);
        revocations.revoke(at(100), "a", 200).unwrap();
        revocations.revoke(at(100), "b", 150).unwrap();
        revocations.revoke(at(100), "b", 300).unwrap();
        revocations.revoke(at(250), "c", 400).unwrap();
        let state = revocations.lock();
        assert_eq!(state.revoked.keys().map(|name| &**name).collect::<Vec<_>>(), ["b", "c"]);
        assert_eq!(state.ends.len(), 2);
    }

    /// Otherwise a name that is used again, such as a person's, would stay refused until the
    /// operator revokes another one.
    #[test]
    fn a_name_is_good_again_when_what_was_revoked_has_expired() {
        let revocations = Revocations::new(&[1; 32]);
        revocations.revoke(at(100), "alice", 200).unwrap();
        revocations.revoke(at(100), "alice", 150).unwrap();
        assert!(!revocations.is_good(at(199), "alice"), "the longer one holds");
        assert!(revocations.is_good(at(200), "alice"));
    }

    #[test]
    fn the_list_is_bounded() {
        let revocations = Revocations::new(&[1; 32]);
        for n in 0..MAX_REVOKED {
            revocations.revoke(at(0), &n.to_string(), 10).unwrap();
        }
        assert_eq!(revocations.revoke(at(9), "one more", 20), Err(TooManyRevoked));
        assert_eq!(revocations.revoke(at(9), "0", 20), Ok(()), "it is there already");
        assert!(revocations.is_good(at(9), "one more"));
        assert_eq!(revocations.revoke(at(10), "one more", 20), Ok(()));
    }
}
