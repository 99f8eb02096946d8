//! What can go wrong between a client and a server, in plain words, and what to do about it.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use super::certificate::Fault;
use super::server_path::Over;

/// What the client was doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Step {
    /// Connecting to the port.
    Connection,
    /// Agreeing on TLS.
    Handshake,
    /// Asking for its own address.
    Binding,
    /// Asking for a relay.
    Allocation,
}

/// What a server speaks where STUN was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Speaks {
    Http,
    Tls,
    Other,
}

/// Reason for which a probe stopped. `Display` is the reason, [`ProbeError::remedy`] what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) enum ProbeError {
    /// The name has no address.
    UnknownHost { host: String, error: String },
    /// This machine has no way there.
    Unreachable { server: SocketAddr, error: String },
    /// Something on the way there says that it lets nothing through, or that the machine is off.
    TurnedAway { over: Over, server: SocketAddr },
    /// The machine is there, the server is not.
    NothingListens { over: Over, server: SocketAddr },
    /// No answer within the bound.
    Silent { step: Step, over: Over },
    /// A stream that the server ended.
    Closed { step: Option<Step> },
    /// Another server has the port.
    Foreign(Speaks),
    /// The answer to the first words of TLS was none of TLS.
    NoTls,
    /// A TLS connection that one of both did not want.
    Tls { error: String },
    /// Nobody to verify a certificate by.
    NoRoots,
    /// A certificate that does not prove who the server is.
    Certificate(Fault),
    /// A certificate of this machine's configuration that tells no name to verify by.
    OwnCertificate { file: String, reason: String },
    /// An error response, by its code (RFC 8489 section 14.8, RFC 8656 section 19).
    Code { step: &'static str, code: u16 },
    /// An answer that this client cannot use.
    Odd { step: &'static str, error: String },
    /// What went into one allocation did not come out of the other.
    Lost { from: SocketAddr, to: SocketAddr },
    /// What this machine sent to a relayed address did not come out of the allocation.
    Blocked { relayed: SocketAddr },
    /// A relayed address of a network of the server's own, lost on the way there, though the server
    /// itself was reached by one of the internet's.
    Private { relayed: SocketAddr },
    /// No username and password, and none to be had.
    NoLogin { asked: String, remedy: &'static str },
}

impl ProbeError {
    /// A step that `turn::client` ended with an error.
    pub(in crate::cli) fn refused(step: Step, error: &turn::Error) -> Self {
        let name = match step {
            Step::Connection => "connection",
            Step::Handshake => "TLS handshake",
            Step::Binding => "STUN binding",
            Step::Allocation => "allocation",
        };
        if matches!(error, turn::Error::Stun(_)) && step == Step::Allocation {
            // The client wants to be asked for credentials first and found no NONCE in the answer.
            return Self::Odd { step: name, error: "the answer does not ask for credentials".to_owned() };
        }
        Self::from_text(name, error.to_string())
    }

    /// Data through the relay that `turn::client` ended with an error.
    pub(in crate::cli) fn relay(error: &webrtc_util::Error) -> Self {
        Self::from_text("relayed round trip", error.to_string())
    }

    /// A socket that cannot be made for `server`.
    pub(in crate::cli) fn unreachable(server: SocketAddr, error: &io::Error) -> Self {
        Self::Unreachable { server, error: error.to_string() }
    }

    /// A socket that cannot reach `server`: because nothing listens there, or something on the way
    /// refuses, if not for a reason of this machine. Firewalls that refuse say so by
    /// "administratively prohibited" (firewalld) or "port unreachable", which is what a machine
    /// without a server says, too.
    pub(in crate::cli) fn unreached(over: Over, server: SocketAddr, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => Self::NothingListens { over, server },
            io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied => {
                Self::TurnedAway { over, server }
            }
            _ => Self::unreachable(server, error),
        }
    }

    /// A stream that failed, or never became one of TLS.
    pub(in crate::cli) fn broken(error: &io::Error) -> Self {
        use rustls::Error::{InvalidCertificate, InvalidMessage};
        match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(InvalidCertificate(error)) => Self::Certificate(Fault::from(error)),
            Some(InvalidMessage(_)) => Self::NoTls,
            Some(error) => Self::Tls { error: error.to_string() },
            None => Self::Closed { step: None },
        }
    }

    /// `turn::client` hands on an error response as a text, `... (error 401: Unauthorized)`.
    fn from_text(step: &'static str, error: String) -> Self {
        let code = error.split_once("(error ").and_then(|(_, rest)| rest.split_once(':'));
        match code.and_then(|(code, _)| code.parse().ok()) {
            Some(code) => Self::Code { step, code },
            None => Self::Odd { step, error },
        }
    }

    /// What to do about it.
    pub(in crate::cli) fn remedy(&self) -> &'static str {
        match self {
            Self::UnknownHost { .. } => {
                "correct the name, or add an A or AAAA record to its DNS zone; if no other name has an address here \
                 either, this machine is offline or has no name server"
            }
            Self::Unreachable { .. } => {
                "connect this machine to that network, or probe an address it can reach"
            }
            Self::TurnedAway { .. } => {
                "let it through to this port on the server's firewall and at its provider, or start the machine; if \
                 nothing else is reached from here, ask whoever runs this network"
            }
            Self::NothingListens { .. } => "start the server (byway serve), or correct the port",
            Self::Silent { step: Step::Binding, over: Over::Udp } => {
                "let UDP through to this port on the server's firewall and at its provider, or correct the host"
            }
            Self::Silent { step: Step::Connection, .. } => {
                "let TCP through to this port on the server's firewall and at its provider, or correct the host"
            }
            Self::Silent { step: Step::Handshake, .. } => {
                "correct the port if it speaks no TLS (turn:HOST:PORT?transport=tcp); else see what keeps the server busy"
            }
            Self::Silent { step: Step::Binding, .. }
            | Self::Foreign(Speaks::Http | Speaks::Other)
            | Self::Closed { step: None } => {
                "correct the port if another server has it; a Byway that is full turns connections away, see its /metrics"
            }
            Self::Silent { step: Step::Allocation, .. } => {
                "turn on TURN at this server: it answers STUN only"
            }
            Self::Foreign(Speaks::Tls) => "probe this port by turns:HOST:PORT, or correct the port",
            Self::NoTls | Self::Closed { step: Some(_) } => {
                "probe this port by turn:HOST:PORT?transport=tcp, or correct the port"
            }
            Self::Tls { .. } => {
                "let the server offer TLS 1.2 or 1.3 with today's cipher suites, and ask for no client certificate"
            }
            Self::NoRoots => "install the package ca-certificates, or give --ca FILE",
            Self::Certificate(fault) => fault.remedy(),
            Self::OwnCertificate { .. } => {
                "mend it by what byway check says; probe as a user who may read it (sudo), or name a URL"
            }
            Self::Code { code: 401 | 438, .. } => {
                "take a fresh credential made with this server's secret (byway credential --user NAME); compare clocks"
            }
            Self::Code { code: 403, .. } => {
                "let the server relay to its own relayed addresses: its peer rules refuse them, so two relayed \
                 callers cannot meet"
            }
            Self::Code { code: 440, .. } => {
                "give the server's machine such an address, and name it, or a wildcard, in relay.addresses; the server's \
                 /healthz and its log say which one is missing"
            }
            Self::Code { code: 486, .. } => {
                "wait until older allocations end, or raise quota.allocations_per_user"
            }
            Self::Code { code: 508, .. } => "wait until relay ports are free, or widen relay.ports",
            Self::Code { .. } | Self::Odd { .. } => {
                "see byway_turn_errors at the server's /metrics; RUST_LOG=debug shows this client's side"
            }
            Self::Lost { .. } => {
                "let UDP through to the relay ports (relay.ports) on the server's firewall and at its provider; \
                 behind a 1:1 NAT set relay.public_addresses"
            }
            Self::Blocked { .. } => {
                "let UDP through to the relay ports (relay.ports) on the server's firewall and at its provider; where \
                 this machine's own network lets out UDP to few ports only, probe from another"
            }
            Self::Private { .. } => {
                "set relay.public_addresses to the address that the internet reaches the server by, and have the NAT before \
                 it forward the relay ports (relay.ports)"
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
                write!(f, "{over} to {server} is refused on the way, or that machine is off")
            }
            Self::NothingListens { over, server } => write!(f, "nothing listens on {over} {server}"),
            Self::Silent { step: Step::Connection, .. } => f.write_str("no answer to a TCP connection"),
            Self::Silent { step: Step::Handshake, .. } => f.write_str("no answer to the TLS handshake"),
            Self::Silent { step: Step::Binding, .. } => f.write_str("no answer to STUN binding requests"),
            Self::Silent { step: Step::Allocation, .. } => f.write_str("no answer to Allocate requests"),
            Self::Closed { step: Some(Step::Handshake) } => {
                f.write_str("the server closed the connection in the TLS handshake")
            }
            Self::Closed { .. } => f.write_str("the server closed the connection"),
            Self::Foreign(Speaks::Http) => f.write_str("a web server answers there: HTTP and not STUN"),
            Self::Foreign(Speaks::Tls) => f.write_str("the server speaks TLS there"),
            Self::Foreign(Speaks::Other) => f.write_str("what answers there speaks no STUN"),
            Self::NoTls => f.write_str("the server speaks no TLS there"),
            Self::Tls { error } => write!(f, "no agreement on TLS: {error}"),
            Self::NoRoots => f.write_str("this machine knows no issuer of certificates"),
            Self::Certificate(fault) => fault.fmt(f),
            Self::OwnCertificate { file, reason } => write!(f, "{file}: {reason}"),
            Self::Code { step, code } => {
                let meaning = match code {
                    400 => " (bad request)",
                    401 => " (wrong or expired credential)",
                    403 => " (forbidden)",
                    437 => " (allocation mismatch)",
                    438 => " (stale nonce)",
                    440 => " (the server has no address of this version of IP to relay from, or not now)",
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
                write!(f, "the relayed address {relayed} is one that the internet does not reach")
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
