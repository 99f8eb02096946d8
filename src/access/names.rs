//! Names of rooms and members, checked once where they come in. Pure.

use serde::Serialize;

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

/// Between 1 and `max` characters, counted no further than that.
fn has_chars(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().take(max + 1).count())
}
