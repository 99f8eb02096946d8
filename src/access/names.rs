//! Names of rooms, members and regions, checked once where they come in. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of a room: 1 to 128 characters, none of them a control character. Where access is open,
/// knowing it is enough to enter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomName(String);

impl RoomName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks a name.
    #[must_use]
    pub fn new(name: String) -> Option<Self> {
        (has_chars(&name, Self::MAX_CHARS) && !name.chars().any(char::is_control)).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Name that other members are shown: 1 to 64 characters that cannot rearrange the text around
/// them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct DisplayName(String);

impl DisplayName {
    /// The longest name, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Checks a name. Control characters, line breaks and bidirectional controls (Unicode Standard
    /// Annex 9 section 2) are rejected rather than stripped: two people must not end up with one
    /// name.
    #[must_use]
    pub fn new(name: String) -> Option<Self> {
        let rearranges = |c: char| {
            c.is_control()
                || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        };
        (has_chars(&name, Self::MAX_CHARS) && !name.chars().any(rearranges)).then_some(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Name of a region: 1 to 32 lower-case letters, digits and `-`. The relays of a cluster are in
/// regions, and so are the clients that they are chosen for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Region(Box<str>);

impl Region {
    /// The longest name, in bytes.
    pub const MAX_LEN: usize = 32;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Region {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let is_allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_region = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all(is_allowed);
        is_region.then(|| Self(text.into())).ok_or("A region is 1 to 32 lower-case letters, digits and `-`.")
    }
}

impl TryFrom<String> for Region {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        text.parse()
    }
}

impl From<Region> for String {
    fn from(region: Region) -> Self {
        region.0.into()
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Between 1 and `max` characters, counted no further than that.
fn has_chars(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().take(max + 1).count())
}
