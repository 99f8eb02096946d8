//! Enums with a label for each value: error codes, drop reasons, outcomes. They label metrics, so
//! client input cannot create a time series.

use std::fmt::Debug;

/// Enum with a label for each value, declared by `closed_set!`.
pub trait ClosedSet: Copy + 'static {
    /// Array with one `T` for each value, indexed by [`index`](Self::index).
    type Table<T: Debug + Default>: AsRef<[T]> + Debug + Default;

    /// All values, in the order of [`index`](Self::index).
    const ALL: &'static [Self];

    /// Name of the value in metrics and on the wire.
    fn label(self) -> &'static str;

    /// Position of the value in [`ALL`](Self::ALL).
    fn index(self) -> usize;

    /// Returns the value whose label is `text`, in any letter case.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|value| value.label().eq_ignore_ascii_case(text))
    }
}

/// Declares an enum with a label for each value and implements [`ClosedSet`] for it.
///
/// With `Value = "label": "Sentence."` the sentence becomes the value's documentation and the
/// result of its `sentence` method.
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
    // With a sentence for each value, which is also its documentation.
    (
        $(#[$of_type:meta])*
        $visibility:vis enum $name:ident { $($value:ident = $label:literal: $sentence:literal),+ $(,)? }
    ) => {
        $crate::closed_set! {
            $(#[$of_type])*
            $visibility enum $name { $(#[doc = $sentence] $value = $label),+ }
        }

        impl $name {
            /// One sentence for a developer who meets this value.
            #[must_use]
            $visibility fn sentence(self) -> &'static str {
                match self {
                    $(Self::$value => $sentence),+
                }
            }
        }
    };
}
