//! Accept loops, limits of connections, proxies, addresses of the machine, and the HTTPS client.

pub mod accept;
pub mod connection_limit;
pub mod http_client;
pub mod interfaces;
pub mod local_ports;
pub mod memory_budget;
pub mod proxy_header;
pub mod proxy_protocol;
pub mod trusted_proxies;
