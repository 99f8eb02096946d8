//! Time-limited credentials and their revocation before they expire.

mod credentials;
mod revocation;

pub use credentials::{Credential, MAX_TTL, Secret, Secrets, Username, UsernameError, is_name};
pub use revocation::{MemberId, Revocations, TooManyRevoked};
