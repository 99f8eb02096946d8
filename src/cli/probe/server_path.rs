//! The way to a server: an address there, and what carries messages to it.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;
use webrtc_util::Conn;

use crate::config::{IceUrl, Transport};

use super::PATIENCE;
use super::datagram::ConnectedConn;
use super::error::{ProbeError, Step};
use super::stream::{Ended, FramedConn, Stream};
use super::trust_roots::Trust;

/// How many tenths of [`PATIENCE`] each attempt at a TCP connection has; all of it together.
const ATTEMPTS: [u32; 4] = [1, 2, 3, 4];

/// A way to a server.
#[derive(Debug)]
pub(in crate::cli) struct ServerPath {
    pub(in crate::cli) server: SocketAddr,
    carrier: Carrier,
}

#[derive(Debug)]
enum Carrier {
    Udp,
    Tcp,
    Tls(Trust, ServerName<'static>),
}

/// What carries messages, for those who read about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Over {
    Udp,
    Tcp,
    Tls,
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        })
    }
}

impl ServerPath {
    /// The way that `url` asks for, to one of its host's addresses.
    pub(in crate::cli) fn of(url: &IceUrl, server: SocketAddr, trust: &Trust) -> Result<Self, ProbeError> {
        match (url.scheme.encrypts(), url.transport) {
            (true, _) => Self::tls(server, &url.host, trust),
            (false, Transport::Tcp) => Ok(Self::tcp(server)),
            (false, Transport::Udp) => Ok(Self { server, carrier: Carrier::Udp }),
        }
    }

    pub(in crate::cli) fn tcp(server: SocketAddr) -> Self {
        Self { server, carrier: Carrier::Tcp }
    }

    /// TLS to a server that shows a certificate for `host`: a name, which it is told (SNI), or an
    /// address, which it is not (RFC 6066 section 3).
    pub(in crate::cli) fn tls(server: SocketAddr, host: &str, trust: &Trust) -> Result<Self, ProbeError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|error| ProbeError::UnknownHost { host: host.to_owned(), error: error.to_string() })?;
        Ok(Self { server, carrier: Carrier::Tls(trust.clone(), name) })
    }

    pub(in crate::cli) fn over(&self) -> Over {
        match self.carrier {
            Carrier::Udp => Over::Udp,
            Carrier::Tcp => Over::Tcp,
            Carrier::Tls(..) => Over::Tls,
        }
    }

    /// What `turn::client` talks over, and how one hears that it has ended.
    pub(in crate::cli) async fn open(&self) -> Result<(Arc<dyn Conn + Send + Sync>, Ended), ProbeError> {
        if self.over() == Over::Udp {
            let conn = ConnectedConn::to(self.server).await;
            let (conn, ended) = conn.map_err(|error| ProbeError::unreachable(self.server, &error))?;
            return Ok((Arc::new(conn), ended));
        }
        let (stream, local) = self.stream().await?;
        let (conn, ended) = FramedConn::new(stream, local, self.server);
        Ok((Arc::new(conn), ended))
    }

    /// A byte stream, and its address here.
    pub(in crate::cli) async fn stream(&self) -> Result<(Box<dyn Stream>, SocketAddr), ProbeError> {
        let stream = self.connect().await?;
        let local = stream.local_addr().map_err(|error| ProbeError::unreachable(self.server, &error))?;
        let Carrier::Tls(trust, name) = &self.carrier else { return Ok((Box::new(stream), local)) };
        match timeout(PATIENCE, trust.handshake(stream, name.clone())).await {
            Ok(stream) => Ok((Box::new(stream?), local)),
            Err(_) => Err(ProbeError::Silent { step: Step::Handshake, over: Over::Tls }),
        }
    }

    /// A TCP connection. The kernel repeats a first packet that is lost after a second only, and
    /// where packets are lost two of them are at times: so several attempts follow each other, each
    /// longer than the one before, for those far away.
    async fn connect(&self) -> Result<TcpStream, ProbeError> {
        let refused = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => ProbeError::Silent { step: Step::Connection, over: self.over() },
            _ => ProbeError::unreached(Over::Tcp, self.server, &error),
        };
        for tenths in ATTEMPTS {
            let Ok(connected) = timeout(PATIENCE * tenths / 10, TcpStream::connect(self.server)).await else {
                continue;
            };
            let stream = connected.map_err(refused)?;
            // A client of media does not wait for more to send. A socket that refuses is merely
            // slower.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
        Err(ProbeError::Silent { step: Step::Connection, over: self.over() })
    }
}

/// A UDP socket that is connected: there is a route to the server, though nothing was sent yet.
pub(in crate::cli) async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket_for(server).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// A UDP socket of the server's family.
pub(in crate::cli) async fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).await
}
