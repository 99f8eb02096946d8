//! Diagnosis: pure judgements on facts about an installation. The facts are handed in by
//! `byway check`, `byway doctor`, `byway probe` and the server's start.

pub mod finding;
pub mod front_door;

pub use finding::{Finding, State};
