//! Claims of a join token, as they are written (RFC 7519 section 4). Pure.

use serde::{Deserialize, Deserializer, Serialize};

use crate::access::grant::{Grant, Rights, Role};

/// The claims (RFC 7519 section 4).
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Claims {
    pub(super) aud: Audience,
    #[serde(deserialize_with = "seconds")]
    pub(super) exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_seconds")]
    pub(super) nbf: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) room: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_count")]
    pub(super) max_members: Option<usize>,
    #[serde(default, skip_serializing_if = "is_not_so")]
    pub(super) host: Option<bool>,
    #[serde(default, skip_serializing_if = "is_not_so")]
    pub(super) viewer: Option<bool>,
    #[serde(default, skip_serializing_if = "is_not_so")]
    pub(super) operator: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<String>,
}

impl Claims {
    /// Returns the rights, if the claims go together. An operator's token is for no room, so none
    /// of a room's claims may stand beside it.
    pub(super) fn rights(self) -> Option<Rights> {
        let Self { aud: _, exp: _, nbf: _, room, name, max_members, host, viewer, operator, region } = self;
        let (host, viewer) = (host.unwrap_or(false), viewer.unwrap_or(false));
        if operator.unwrap_or(false) {
            let is_of_room = host
                || viewer
                || room.is_some()
                || name.is_some()
                || max_members.is_some()
                || region.is_some();
            return (!is_of_room).then_some(Rights::Operator);
        }
        let role = Role::of(host, viewer).ok()?;
        let grant = Grant::new(room?, name, max_members).ok()?.with_region(region.as_deref()).ok()?;
        Some(Rights::Room(grant.with_role(role)))
    }
}

/// One or several (RFC 7519 section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Audience {
    One(String),
    Several(Vec<String>),
}

impl Default for Audience {
    /// Nobody.
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// Whether a claim means the same as its absence.
#[expect(clippy::ref_option, reason = "serde hands the field over so")]
fn is_not_so(claim: &Option<bool>) -> bool {
    !matches!(claim, Some(true))
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970-01-01 UTC, of which some libraries write
/// fractions.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Date {
        Whole(u64),
        Fraction(f64),
    }
    match Date::deserialize(deserializer)? {
        Date::Whole(seconds) => Ok(seconds),
        // Below 2^53 there is nothing to lose but the fraction.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
        Date::Fraction(seconds) if (0.0..9e15).contains(&seconds) => Ok(seconds as u64),
        Date::Fraction(_) => Err(serde::de::Error::custom("out of bounds")),
    }
}

/// A number of members, which some libraries write as 2.0.
fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Whole(usize),
        Float(f64),
    }
    match Option::<Count>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Count::Whole(count)) => Ok(Some(count)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
        Some(Count::Float(count)) if count.fract() == 0.0 && (0.0..1e9).contains(&count) => {
            Ok(Some(count as usize))
        }
        Some(Count::Float(_)) => Err(serde::de::Error::custom("not a count")),
    }
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Seconds(#[serde(deserialize_with = "seconds")] u64);
    Ok(Option::<Seconds>::deserialize(deserializer)?.map(|Seconds(seconds)| seconds))
}
