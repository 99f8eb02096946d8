//! Enums with a label for each value: error codes, drop reasons, outcomes. They label metrics, so
//! nothing that a client sends can make a series.

use std::fmt::Debug;

/// An enum with a label for each value, declared by `closed_set!`.
pub trait ClosedSet: Copy + 'static {
    /// One `T` for each value.
    type Table<T: Debug + Default>: AsRef<[T]> + Debug + Default;

    /// Every value, in the order of [`index`](Self::index).
    const ALL: &'static [Self];

    /// The value's name in metrics and on the wire.
    fn label(self) -> &'static str;

    /// The value's position in [`ALL`](Self::ALL).
    fn index(self) -> usize;

    /// Reads a label in any letter case.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.label().eq_ignore_ascii_case(text))
    }
}

/// Declares an enum with a label for each value, and its [`ClosedSet`].
#[macro_export]
macro_rules! closed_set {
    (
        $(#[$of_type:meta])*
        $visibility:vis enum $name:ident { $($(#[$of_value:meta])* $value:ident = $label:literal),+ $(,)? }
    ) => {
        $(#[$of_type])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$of_value])* $value),+
        }

        impl $crate::closed_set::ClosedSet for $name {
            type Table<T: ::std::fmt::Debug + Default> = [T; [$($label),+].len()];

            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn label(self) -> &'static str {
                match self {
                    $(Self::$value => $label),+
                }
            }

            fn index(self) -> usize {
                self as usize
            }
        }
    };
    // With a sentence for each value, which is its documentation, too.
    (
        $(#[$of_type:meta])*
        $visibility:vis enum $name:ident { $($value:ident = $label:literal: $sentence:literal),+ $(,)? }
    ) => {
        $crate::closed_set! {
            $(#[$of_type])*
            $visibility enum $name { $(#[doc = $sentence] $value = $label),+ }
        }

        impl $name {
            /// One sentence for the developer who meets this value.
            #[must_use]
            $visibility fn sentence(self) -> &'static str {
                match self {
                    $(Self::$value => $sentence),+
                }
            }
        }
    };
}
