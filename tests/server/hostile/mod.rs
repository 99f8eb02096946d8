//! Attacks of strangers and clients on a server.

mod malformed;
mod own_listeners;
mod reserved_ports;
mod wrong_credentials;
