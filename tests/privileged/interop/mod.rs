//! coturn's own clients against the real binary: an independent reading of RFC 8489 and RFC 8656.
//! HAProxy and nginx in front of it speak the PROXY protocol. `nats-server` connects several.
//!
//! `tests/run interop` installs them; a machine without them fails here rather
//! than passing by. `turnutils_uclient` exits with 0 even if every packet was lost, so what it
//! printed is read, and `/metrics` beside it.

mod binding;
mod cluster;
mod harm;
mod imported;
mod lab;
mod prometheus;
mod proxies;
mod refused;
mod relayed;
mod uclient;
