//! Errors that prevent a load, each with its remedy.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::link::{Carrier, Way};
use crate::cli::probe::error::ProbeError;
use crate::cli::probe::server_path::Over;

/// Reason for which nothing was measured.
#[derive(Debug)]
pub(super) enum LoadError {
    /// The server rejected a request, or did not answer, after `done` clients had succeeded.
    Probe { trouble: ProbeError, done: u64 },
    /// This machine is behind a NAT, so the relay cannot reach a peer on it.
    BehindNat { local: IpAddr, seen: SocketAddr },
    /// The server relays from an address other than its own, and the load would go there.
    Elsewhere { server: SocketAddr, relayed: SocketAddr },
    /// The CPU time or memory of the server's process cannot be read.
    Process { pid: u32, error: io::Error },
    /// The system lacks a resource.
    Io(io::Error),
}

impl From<ProbeError> for LoadError {
    fn from(trouble: ProbeError) -> Self {
        Self::Probe { trouble, done: 0 }
    }
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl LoadError {
    /// Remedy for the user.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Probe { trouble: ProbeError::Code { code: 403, .. }, .. } => {
                "let the server relay to this machine ([peers] allow, on a test server), or use mode `pair`"
            }
            Self::Probe { trouble: ProbeError::Code { code: 486, .. }, .. } => {
                "raise quota.allocations_per_user or, if the credentials are signed here, allocations_per_address; or \
                 lower --clients"
            }
            Self::Probe { trouble, .. } => trouble.remedy(),
            Self::BehindNat { .. } => "use mode `pair`, or run from a machine with a public address",
            Self::Elsewhere { .. } => {
                "if that address is the server's own, use it in the URL; else use mode `to-peer` or `pair`"
            }
            Self::Process { .. } => "correct --pid, or run as the same user or as root",
            Self::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                "lower --clients, or raise this shell's limit (ulimit -n)"
            }
            Self::Io(_) => "lower --clients",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe { trouble, done: 0 } => write!(f, "{trouble}"),
            Self::Probe { trouble, done } => write!(f, "{trouble}, after {done} clients succeeded"),
            Self::BehindNat { local, seen } => {
                write!(
                    f,
                    "this machine is {local}, but the server sees {seen}: the relay cannot reach a peer behind this NAT"
                )
            }
            Self::Elsewhere { server, relayed } => {
                write!(
                    f,
                    "the server is {}, but relays from {}: no load is sent to another host",
                    server.ip(),
                    relayed.ip()
                )
            }
            Self::Process { pid, error } => {
                write!(f, "cannot read the CPU time and memory of process {pid}: {error}")
            }
            Self::Io(error) => write!(f, "{error}"),
        }
    }
}

impl Way {
    pub(super) fn over(&self) -> Over {
        match self.carrier {
            Carrier::Udp => Over::Udp,
            Carrier::Tcp => Over::Tcp,
            Carrier::Tls(..) => Over::Tls,
        }
    }

    /// Converts an error of a link into an error of the server.
    pub(super) fn trouble(&self, error: &io::Error) -> ProbeError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ProbeError::broken(error)
            }
            _ => ProbeError::unreached(self.over(), self.server, error),
        }
    }
}
