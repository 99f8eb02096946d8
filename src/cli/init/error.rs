//! Errors of `byway init`.

/// Error of `byway init`. Unless the reason says otherwise, nothing was written.
#[derive(Debug, thiserror::Error)]
#[error("{reason}\n  remedy: {remedy}")]
pub struct InitError {
    reason: String,
    remedy: String,
    /// Whether the same command may succeed later.
    pub(in crate::cli) is_passing: bool,
}

impl InitError {
    /// An error of the arguments, the answers or the machine as it is.
    pub(super) fn new(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into(), is_passing: false }
    }

    /// An error that another attempt may not meet.
    pub(super) fn passing(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_passing: true, ..Self::new(reason, remedy) }
    }
}
