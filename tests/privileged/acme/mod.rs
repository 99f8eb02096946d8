//! Certificates from a real ACME authority: pebble, of Let's Encrypt.
//!
//! `tests/run acme` installs it. Pebble connects to the ports that its configuration names, so no
//! test needs port 443 or 80. Its name server leads every name to 127.0.0.1.

mod authority;
mod issued;
mod middleman;
mod refused;
mod renewed;
mod site;
mod switched;
