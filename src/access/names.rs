//! Names of rooms, members, regions and nodes, checked once where they come in. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Name of a room: 1 to 128 characters, none of them a control character. Where access is open,
/// knowing it is enough to enter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
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

/// Lets the checked names of these types pass through serde.
macro_rules! through_text {
    ($($name:ident: $rule:literal)*) => {$(
        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, &'static str> {
                Self::new(text).ok_or($rule)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    )*};
}

through_text! {
    RoomName: "A room is 1 to 128 characters without control characters."
    DisplayName: "A name is 1 to 64 characters without control or bidirectional characters."
}

/// Defines a name of ASCII characters, in configurations, tokens and messages alike.
macro_rules! ascii_name {
    ($(#[$doc:meta])* $name:ident, $max:literal, $is_allowed:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The longest name, in bytes.
            pub const MAX_LEN: usize = $max;

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let is_name = (1..=Self::MAX_LEN).contains(&text.len()) && text.bytes().all($is_allowed);
                is_name.then(|| Self(text.into())).ok_or($rule)
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;

            fn try_from(text: String) -> Result<Self, &'static str> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

ascii_name! {
    /// Name of a region: 1 to 32 lower-case letters, digits and `-`. The relays of a cluster are in
    /// regions, and so are the clients that they are chosen for.
    Region, 32,
    |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
    "A region is 1 to 32 lower-case letters, digits and `-`."
}

ascii_name! {
    /// Name of a node, unique in its cluster: 1 to 64 letters, digits, `-` and `_`.
    NodeName, 64,
    |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    "A node's name is 1 to 64 letters, digits, `-` and `_`."
}

/// Between 1 and `max` characters, counted no further than that.
fn has_chars(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.chars().take(max + 1).count())
}
