//! Accept loops, limits of connections, proxies, and addresses of the machine.

pub mod accept;
pub mod connection_limit;
pub mod interfaces;
pub mod local_ports;
pub mod memory_budget;
pub mod proxy_header;
pub mod proxy_protocol;
pub mod trusted_proxies;
