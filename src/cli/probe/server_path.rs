//! Path to a server: its address and the transport.

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

/// Timeouts of successive TCP connection attempts, in tenths of [`PATIENCE`]; together they make it
/// up.
const ATTEMPTS: [u32; 4] = [1, 2, 3, 4];

/// Path to a server.
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

/// Transport, as shown to the user.
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
    /// Returns the path that `url` asks for, to one of its host's addresses.
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

    /// Returns a TLS path to a server that must present a certificate for `host`. A name is sent as
    /// SNI, an address is not (RFC 6066 section 3).
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

    /// Opens a connection for `turn::client`, and returns a handle that reports its end.
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

    /// Opens a byte stream, and returns it with its local address.
    pub(in crate::cli) async fn stream(&self) -> Result<(Box<dyn Stream>, SocketAddr), ProbeError> {
        let stream = self.connect().await?;
        let local = stream.local_addr().map_err(|error| ProbeError::unreachable(self.server, &error))?;
        let Carrier::Tls(trust, name) = &self.carrier else { return Ok((Box::new(stream), local)) };
        match timeout(PATIENCE, trust.handshake(stream, name.clone())).await {
            Ok(stream) => Ok((Box::new(stream?), local)),
            Err(_) => Err(ProbeError::Silent { step: Step::Handshake, over: Over::Tls }),
        }
    }

    /// Opens a TCP connection in several attempts. The kernel retransmits a lost SYN only after a
    /// second, and a lossy path may drop two in a row. Each attempt has a longer timeout than the
    /// one before, for distant servers.
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
            // Media must not wait for more data to send (Nagle). A socket that rejects the option
            // is merely slower.
            let _ = stream.set_nodelay(true);
            return Ok(stream);
        }
        Err(ProbeError::Silent { step: Step::Connection, over: self.over() })
    }
}

/// Opens a connected UDP socket: success means that a route to the server exists; nothing has been
/// sent.
pub(in crate::cli) async fn connected(server: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket_for(server).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// Opens a UDP socket of the server's address family.
pub(in crate::cli) async fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).await
}
