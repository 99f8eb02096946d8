//! The end of the server.

mod drain;
mod flood;
