//! Errors between a client and a server, each with its remedy.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::certificate::CertificateFault;
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

/// Name of the step in an error response to an Allocate request.
pub(in crate::cli) const ALLOCATION: &str = "allocation";

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
    /// The steps together took longer than this.
    Late { within: Duration },
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
    Certificate(CertificateFault),
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
    /// The server says a relayed address that does not belong to its host. Nothing was sent there.
    Elsewhere { relayed: SocketAddr, host: Vec<IpAddr> },
    /// The row of the other IP version works, so IPv6 alone is broken.
    Ipv6(Box<ProbeError>),
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
            Step::Allocation => ALLOCATION,
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
            Some(InvalidCertificate(error)) => Self::Certificate(CertificateFault::from(error)),
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
            Self::Late { within } => write!(f, "the server delayed the steps beyond {} s", within.as_secs()),
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
            Self::Elsewhere { relayed, host } => {
                let host: Vec<_> = host.iter().map(ToString::to_string).collect();
                write!(
                    f,
                    "the server says that its relay is at {relayed}, but its host is {}",
                    host.join(" and ")
                )
            }
            Self::Ipv6(error) => write!(f, "{error}, while IPv4 works"),
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
