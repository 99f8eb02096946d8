//! What a server needs of the machine's network: connections taken in and bounded, addresses read.

pub mod accept;
pub mod connection_limit;
pub mod interfaces;
pub mod local_ports;
pub mod memory_budget;
pub mod trusted_proxies;
