//! Why a load could not be put on a server, and what to do about it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use super::link::{Carrier, Way};
use crate::cli::probe::error::ProbeError;
use crate::cli::probe::server_path::Over;

/// Why nothing was measured.
#[derive(Debug)]
pub(super) enum LoadError {
    /// What the server did, or did not, when so many clients were through.
    Probe { trouble: ProbeError, done: u64 },
    /// This machine stands behind a NAT, so that the relay cannot reach a peer on it.
    BehindNat { local: IpAddr, seen: SocketAddr },
    /// The server relays from another address than its own, and the load would go there.
    Elsewhere { server: SocketAddr, relayed: SocketAddr },
    /// The server's process does not tell what it takes.
    Process { pid: u32, error: io::Error },
    /// The system lacks something.
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
    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Probe { trouble: ProbeError::Code { code: 403, .. }, .. } => {
                "have the server let this machine be a peer ([peers] allow, on a server for tests), or load it by `pair`"
            }
            Self::Probe { trouble: ProbeError::Code { code: 486, .. }, .. } => {
                "raise quota.allocations_per_user or, if the credentials are signed here, allocations_per_address; or \
                 ask for fewer --clients"
            }
            Self::Probe { trouble, .. } => trouble.remedy(),
            Self::BehindNat { .. } => "load it by `pair`, or from a machine with a public address",
            Self::Elsewhere { .. } => {
                "name the server by that address, if it is its own, or load it by `to-peer` or `pair`"
            }
            Self::Process { .. } => "correct the number, or run this as the same user or as root",
            Self::Io(error) if error.raw_os_error() == Some(libc::EMFILE) => {
                "ask for fewer --clients, or raise this shell's limit (ulimit -n)"
            }
            Self::Io(_) => "ask for fewer --clients",
        }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Probe { trouble, done: 0 } => write!(f, "{trouble}"),
            Self::Probe { trouble, done } => write!(f, "{trouble}, after {done} clients got through"),
            Self::BehindNat { local, seen } => {
                write!(f, "this machine is {local}, and the server sees {seen}: a peer here is not reached")
            }
            Self::Elsewhere { server, relayed } => {
                write!(
                    f,
                    "the server is {}, and relays from {}: no load is sent there",
                    server.ip(),
                    relayed.ip()
                )
            }
            Self::Process { pid, error } => write!(f, "cannot read what process {pid} takes: {error}"),
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

    /// What an error of a link says of the server.
    pub(super) fn trouble(&self, error: &io::Error) -> ProbeError {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                ProbeError::broken(error)
            }
            _ => ProbeError::unreached(self.over(), self.server, error),
        }
    }
}
