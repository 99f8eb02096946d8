//! Errors between a client and a server, each with its remedy.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::certificate::Fault;
use super::server_path::Over;

/// Step of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Step {
    /// Connecting to the port.
    Connection,
    /// Performing the TLS handshake.
    Handshake,
    /// Sending a Binding request.
    Binding,
    /// Sending an Allocate request.
    Allocation,
}

/// Protocol of a server where STUN was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Speaks {
    Http,
    Tls,
    Other,
}

/// Reason for which a probe stopped. `Display` gives the reason, [`ProbeError::remedy`] the remedy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum ProbeError {
    /// The name does not resolve to an address.
    UnknownHost { host: String, error: String },
    /// This machine has no route to the server.
    Unreachable { server: SocketAddr, error: String },
    /// An ICMP error says that the path is administratively blocked or the machine is off.
    TurnedAway { over: Over, server: SocketAddr },
    /// The machine answers, but no server listens on the port.
    NothingListens { over: Over, server: SocketAddr },
    /// No answer before the deadline.
    Silent { step: Step, over: Over },
    /// The server closed the stream.
    Closed { step: Option<Step> },
    /// Another service uses the port.
    Foreign(Speaks),
    /// The answer to the TLS ClientHello is not TLS.
    NoTls,
    /// The server has no certificate to present, or none for this name.
    NoCertificate,
    /// One side rejected the TLS handshake.
    Tls { error: String },
    /// No trusted roots to verify a certificate with.
    NoRoots,
    /// The certificate does not prove the server's identity.
    Certificate(Fault),
    /// The certificate in this machine's configuration gives no name to verify with.
    OwnCertificate { file: String, reason: String },
    /// Error response with its code (RFC 8489 section 14.8, RFC 8656 section 19).
    Code { step: &'static str, code: u16 },
    /// Response that this client cannot use.
    Odd { step: &'static str, error: String },
    /// Data sent into one allocation did not arrive at the other.
    Lost { from: SocketAddr, to: SocketAddr },
    /// Data sent from this machine to a relayed address did not arrive at the allocation.
    Blocked { relayed: SocketAddr },
    /// Data to a relayed address was lost, and that address is private to the server's network. The
    /// server itself was reached at a public address.
    Private { relayed: SocketAddr },
    /// No username and password were given, and none could be obtained.
    NoLogin { asked: String, remedy: &'static str },
}

impl ProbeError {
    /// Converts an error with which `turn::client` ended a step.
    pub(in crate::cli) fn refused(step: Step, error: &turn::Error) -> Self {
        let name = match step {
            Step::Connection => "connection",
            Step::Handshake => "TLS handshake",
            Step::Binding => "STUN binding",
            Step::Allocation => "allocation",
        };
        if matches!(error, turn::Error::Stun(_)) && step == Step::Allocation {
            // `turn::client` expects a challenge first and found no NONCE in the response.
            return Self::Odd { step: name, error: "the server does not request credentials".to_owned() };
        }
        Self::from_text(name, error.to_string())
    }

    /// Converts an error with which `turn::client` ended a relayed round trip.
    pub(in crate::cli) fn relay(error: &webrtc_util::Error) -> Self {
        Self::from_text("relayed round trip", error.to_string())
    }

    /// Converts an error of opening or connecting a socket for `server`.
    pub(in crate::cli) fn unreachable(server: SocketAddr, error: &io::Error) -> Self {
        Self::Unreachable { server, error: error.to_string() }
    }

    /// Converts an error of a socket that cannot reach `server`. Either nothing listens there, or a
    /// firewall on the path rejects, or the cause is on this machine. A rejecting firewall sends
    /// "administratively prohibited" (firewalld) or "port unreachable". A machine without a server
    /// also sends the latter.
    pub(in crate::cli) fn unreached(over: Over, server: SocketAddr, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::NothingListens { over, server },
            io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied => {
                Self::TurnedAway { over, server }
            }
            _ => Self::unreachable(server, error),
        }
    }

    /// Converts an error of a stream, or of its TLS handshake.
    pub(in crate::cli) fn broken(error: &io::Error) -> Self {
        use rustls::AlertDescription::{AccessDenied, UnrecognisedName};
        use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(InvalidCertificate(error)) => Self::Certificate(Fault::from(error)),
            Some(InvalidMessage(_)) => Self::NoTls,
            // The alert of Byway, and that of RFC 6066 section 3.
            Some(AlertReceived(AccessDenied | UnrecognisedName)) => Self::NoCertificate,
            Some(error) => Self::Tls { error: error.to_string() },
            None => Self::Closed { step: None },
        }
    }

    /// Parses the error code out of the text of `turn::client`: `... (error 401: Unauthorized)`.
    fn from_text(step: &'static str, error: String) -> Self {
        let code = error.split_once("(error ").and_then(|(_, rest)| rest.split_once(':'));
        match code.and_then(|(code, _)| code.parse().ok()) {
            Some(code) => Self::Code { step, code },
            None => Self::Odd { step, error },
        }
    }

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
            Self::Code { .. } | Self::Odd { .. } => {
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
            Self::NoLogin { remedy, .. } => remedy,
        }
    }
}

impl fmt::Display for ProbeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownHost { host, error } => write!(f, "{host} has no address: {error}"),
            Self::Unreachable { server, error } => write!(f, "{server} cannot be reached: {error}"),
            Self::TurnedAway { over, server } => {
                write!(f, "a firewall or router rejects {over} to {server}, or that machine is off")
            }
            Self::NothingListens { over, server } => write!(f, "nothing listens on {over} {server}"),
            Self::Silent { step: Step::Connection, .. } => f.write_str("no answer to a TCP connection"),
            Self::Silent { step: Step::Handshake, .. } => f.write_str("no answer to the TLS handshake"),
            Self::Silent { step: Step::Binding, .. } => f.write_str("no answer to STUN binding requests"),
            Self::Silent { step: Step::Allocation, .. } => f.write_str("no answer to Allocate requests"),
            Self::Closed { step: Some(Step::Handshake) } => {
                f.write_str("the server closed the connection during the TLS handshake")
            }
            Self::Closed { .. } => f.write_str("the server closed the connection"),
            Self::Foreign(Speaks::Http) => f.write_str("a web server answers there: HTTP instead of STUN"),
            Self::Foreign(Speaks::Tls) => f.write_str("the server speaks TLS there"),
            Self::Foreign(Speaks::Other) => f.write_str("the service there does not speak STUN"),
            Self::NoTls => f.write_str("the server does not speak TLS there"),
            Self::NoCertificate => f.write_str("the server has no certificate yet, or none for this name"),
            Self::Tls { error } => write!(f, "the TLS handshake failed: {error}"),
            Self::NoRoots => f.write_str("this machine has no trusted certificate issuers"),
            Self::Certificate(fault) => fault.fmt(f),
            Self::OwnCertificate { file, reason } => write!(f, "{file}: {reason}"),
            Self::Code { step, code } => {
                let meaning = match code {
                    400 => " (bad request)",
                    401 => " (wrong or expired credential)",
                    403 => " (forbidden)",
                    437 => " (allocation mismatch)",
                    438 => " (stale nonce)",
                    440 => " (the server has no relay address of this IP version, or not at present)",
                    486 => " (the user's quota is used up)",
                    508 => " (the server has no capacity left)",
                    _ => "",
                };
                write!(f, "{step} refused with {code}{meaning}")
            }
            Self::Odd { step, error } => write!(f, "{step}: {error}"),
            Self::Lost { from, to } => {
                write!(f, "data between the relayed addresses {from} and {to} is lost")
            }
            Self::Blocked { relayed } => {
                write!(f, "data from this machine to the relayed address {relayed} is lost")
            }
            Self::Private { relayed } => {
                write!(f, "the relayed address {relayed} cannot be reached from the internet")
            }
            Self::NoLogin { asked, .. } => write!(f, "no credential: {asked}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_is_found_in_what_the_client_hands_on() {
        let told =
            turn::Error::Other("Allocate error response (error 486: Allocation Quota Reached)".to_owned());
        let trouble = ProbeError::refused(Step::Allocation, &told);
        assert_eq!(trouble, ProbeError::Code { step: "allocation", code: 486 });
        assert_eq!(trouble.to_string(), "allocation refused with 486 (the user's quota is used up)");
    }

    #[test]
    fn other_texts_are_handed_on() {
        for text in ["", "(error ", "(error x: y)", "(error 99999999: y)"] {
            let told = turn::Error::Other(text.to_owned());
            let trouble = ProbeError::refused(Step::Binding, &told);
            assert_eq!(trouble, ProbeError::Odd { step: "STUN binding", error: text.to_owned() });
        }
    }
}
