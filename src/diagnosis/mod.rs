//! Diagnosis: pure judgements on facts about an installation. The facts are handed in by
//! `byway check`, `byway doctor`, `byway probe` and the server's start.

pub mod addresses;
pub mod certificate;
pub mod clock;
pub mod cluster;
pub mod configuration;
pub mod finding;
pub mod front_door;
pub mod machine;
pub mod outside;
pub mod ports;
pub mod running;

pub use finding::{Finding, State};
