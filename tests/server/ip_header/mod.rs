//! IP header fields that the relay passes on (RFC 8656 sections 11.5, 13 to 15).

mod fragments;
mod icmp;
mod traffic_class;
mod wildcard;
