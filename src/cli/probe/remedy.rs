//! Remedy of each error, and its entry in the documentation.

use crate::fault::Fault;

use super::error::{ProbeError, Speaks, Step};
use super::server_path::Over;

impl ProbeError {
    /// Remedy of a server that answers over IPv4 only.
    pub(in crate::cli) const IPV6_REMEDY: &str =
        "let the server listen on that IPv6 address and allow it in its firewall, or remove the AAAA record";

    /// Remedy for the operator or the caller.
    pub(in crate::cli) fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownHost { .. } => {
                "correct the name, or add an A or AAAA record to its DNS zone; if no other name resolves here either, \
                 connect this machine to the network or set its name server"
            }
            Self::Unreachable { .. } => {
                "connect this machine to that network, or probe an address that it can reach"
            }
            Self::TurnedAway { .. } => {
                "allow this port in the server's firewall and at its provider, or start the machine; if nothing else \
                 can be reached from here, ask the operator of this network"
            }
            Self::NothingListens { .. } => "start the server (`byway serve`), or correct the port",
            Self::Silent { step: Step::Binding, over: Over::Udp } => {
                "allow UDP to this port in the server's firewall and at its provider, or correct the host"
            }
            Self::Silent { step: Step::Connection, .. } => {
                "allow TCP to this port in the server's firewall and at its provider, or correct the host"
            }
            Self::Silent { step: Step::Handshake, .. } => {
                "if the port does not use TLS, probe turn:HOST:PORT?transport=tcp; else find out what keeps the server busy"
            }
            Self::Silent { step: Step::Binding, .. }
            | Self::Foreign(Speaks::Http | Speaks::Other)
            | Self::Closed { step: None } => {
                "correct the port if another service uses it; if it is a Byway at its connection limit, see its /metrics"
            }
            Self::Silent { step: Step::Allocation, .. } => "enable TURN on this server: it answers STUN only",
            Self::Foreign(Speaks::Tls) => "probe this port as turns:HOST:PORT, or correct the port",
            Self::NoTls | Self::Closed { step: Some(_) } => {
                "probe this port as turn:HOST:PORT?transport=tcp, or correct the port"
            }
            Self::NoCertificate => {
                "give the server a certificate for this name; a Byway with [acme] gets one itself, and `byway health` on its \
                 machine says what delays it"
            }
            Self::Tls { .. } => {
                "let the server offer TLS 1.2 or 1.3 with current cipher suites and request no client certificate"
            }
            Self::NoRoots => "install the package ca-certificates, or give --ca FILE",
            Self::Certificate(fault) => fault.remedy(),
            Self::OwnCertificate { .. } => {
                "fix what `byway check` reports; probe as a user who may read the file (sudo), or give a URL"
            }
            Self::Code { code: 401 | 438, .. } => {
                "get a new credential from this server's secret (`byway credential --user NAME`); compare the machines' clocks"
            }
            Self::Code { code: 403, .. } => {
                "allow the server's own relayed addresses in its peer rules, which reject them, so two relayed \
                 callers cannot connect"
            }
            Self::Code { code: 440, .. } => {
                "give the server's machine such an address and list it, or a wildcard, in relay.addresses; see the \
                 server's /healthz and log for the missing one"
            }
            Self::Code { code: 486, .. } => {
                "wait until older allocations end, or raise quota.allocations_per_user"
            }
            Self::Code { code: 508, .. } => "wait until relay ports are free, or widen relay.ports",
            Self::Code { .. } | Self::Odd { .. } | Self::Late { .. } => {
                "see byway_turn_errors_total at the server's /metrics; set RUST_LOG=debug to see this client's side"
            }
            Self::Lost { .. } => {
                "allow UDP to the relay ports (relay.ports) in the server's firewall and at its provider; \
                 behind a 1:1 NAT, set relay.public_addresses"
            }
            Self::Blocked { .. } => {
                "allow UDP to the relay ports (relay.ports) in the server's firewall and at its provider; if this \
                 machine's network allows UDP to few ports only, probe from another network"
            }
            Self::Private { .. } => {
                "set relay.public_addresses to the server's public address, and let its NAT forward the relay ports \
                 (relay.ports)"
            }
            Self::Elsewhere { .. } => {
                "set relay.public_addresses to the address of the server's host and restart it, or correct the DNS record; if \
                 the relay has that address besides, give --relay-address"
            }
            Self::Ipv6(_) => Self::IPV6_REMEDY,
            Self::NoLogin { remedy, .. } => remedy,
        }
    }

    /// Entry of the documentation.
    pub(in crate::cli) fn fault(&self) -> Fault {
        let blocked = |over: &Over| match over {
            Over::Udp => Fault::UdpBlocked,
            Over::Tcp | Over::Tls => Fault::TcpBlocked,
        };
        match self {
            Self::UnknownHost { .. } => Fault::NameUnresolved,
            Self::Unreachable { .. } => Fault::NoRoute,
            Self::TurnedAway { over, .. } | Self::Silent { step: Step::Connection, over } => blocked(over),
            Self::Silent { step: Step::Binding, over: Over::Udp } => Fault::UdpBlocked,
            Self::NothingListens { .. } => Fault::NotRunning,
            Self::Silent { step: Step::Binding, .. } | Self::Foreign(_) | Self::Closed { step: None } => {
                Fault::PortTaken
            }
            Self::Silent { step: Step::Handshake, .. }
            | Self::Closed { step: Some(_) }
            | Self::NoTls
            | Self::Tls { .. } => Fault::TlsHandshake,
            Self::Silent { step: Step::Allocation, .. } => Fault::NoRelay,
            Self::NoCertificate => Fault::CertificateMissing,
            Self::NoRoots => Fault::CertificateUntrusted,
            Self::Certificate(fault) => fault.fault(),
            Self::OwnCertificate { .. } => Fault::ConfigurationInvalid,
            Self::Code { code: 401 | 438, .. } | Self::NoLogin { .. } => Fault::CredentialsRefused,
            Self::Code { code: 403 | 440, .. } => Fault::NoRelay,
            Self::Code { code: 486 | 508, .. } => Fault::LimitReached,
            Self::Code { .. } | Self::Odd { .. } | Self::Late { .. } => Fault::Degraded,
            Self::Lost { .. } | Self::Blocked { .. } => Fault::RelayPortsBlocked,
            Self::Private { .. } => Fault::PublicAddressUnset,
            Self::Elsewhere { .. } => Fault::WrongPublicAddress,
            Self::Ipv6(_) => Fault::Ipv6Broken,
        }
    }
}
