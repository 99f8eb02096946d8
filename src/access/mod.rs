//! Who may enter: the policy, join tokens, and the names that these are for. Pure.

pub mod names;
pub mod tokens;

/// Requirement for joining rooms and for getting credentials.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// None: everyone may.
    Open,
    /// A join token.
    Token,
}
