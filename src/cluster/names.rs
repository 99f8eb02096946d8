//! Names of nodes and regions. Pure.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Declares a name of limited length and characters.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $longest:literal, $allowed:expr, $error:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = &'static str;

            fn from_str(text: &str) -> Result<Self, &'static str> {
                let allowed: fn(u8) -> bool = $allowed;
                let is_good = (1..=$longest).contains(&text.len()) && text.bytes().all(allowed);
                is_good.then(|| Self(text.into())).ok_or($error)
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

name! {
    /// Name of a node, unique in its cluster.
    NodeName, 64, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
    "A node's name is 1 to 64 letters, digits, `-` and `_`."
}

name! {
    /// Name of a region, in lower case.
    Region, 32, |byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-',
    "A region is 1 to 32 lower-case letters, digits and `-`."
}
