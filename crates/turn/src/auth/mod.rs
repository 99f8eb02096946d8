//! Time-limited credentials, their revocation before they expire, and static users.

mod credentials;
mod revocation;
mod static_users;

pub use credentials::{Credential, MAX_TTL, Secret, Secrets, Username, UsernameError, is_name};
pub use revocation::{MemberId, Revocations, TooManyRevoked};
pub use static_users::{StaticUser, StaticUserError, StaticUsers, account, check_name};
