//! Datagrams for `turn::client` over a socket that is connected, and so learns when ICMP says that
//! nobody listens there.
//!
//! `turn::client` would only fall silent. To ask after its silence would be too late: the other
//! machine says it to the first few datagrams, and then once a second.

use std::io;
use std::net::SocketAddr;

use async_trait::async_trait;
use tokio::net::UdpSocket;
use tokio::sync::watch;
use webrtc_util::Conn;

use super::error::ProbeError;
use super::reason::make_legible;
use super::server_path::{Over, connected};
use super::stream::Ended;

type Result<T> = std::result::Result<T, webrtc_util::Error>;

/// A socket that sends to a server, and hears it alone.
pub(super) struct ConnectedConn {
    socket: UdpSocket,
    server: SocketAddr,
    ended: watch::Sender<Option<ProbeError>>,
}

impl ConnectedConn {
    pub(super) async fn to(server: SocketAddr) -> io::Result<(Self, Ended)> {
        let socket = connected(server).await?;
        let (ended, hears) = Ended::new();
        Ok((Self { socket, server, ended }, hears))
    }

    fn end(&self, error: &io::Error) {
        self.ended.send_replace(Some(ProbeError::unreached(Over::Udp, self.server, error)));
    }
}

#[async_trait]
impl Conn for ConnectedConn {
    async fn connect(&self, _: SocketAddr) -> Result<()> {
        Ok(())
    }

    async fn recv(&self, message: &mut [u8]) -> Result<usize> {
        loop {
            match self.socket.recv(message).await {
                Ok(length) => {
                    make_legible(&mut message[..length]);
                    return Ok(length);
                }
                Err(error) if is_size(&error) => {}
                Err(error) => {
                    self.end(&error);
                    return Err(error.into());
                }
            }
        }
    }

    async fn recv_from(&self, message: &mut [u8]) -> Result<(usize, SocketAddr)> {
        Ok((self.recv(message).await?, self.server))
    }

    async fn send(&self, message: &[u8]) -> Result<usize> {
        // Mostly what ICMP said of an earlier one. This one is lost, as any may be.
        if let Err(error) = self.socket.send(message).await
            && !is_size(&error)
        {
            self.end(&error);
        }
        Ok(message.len())
    }

    async fn send_to(&self, message: &[u8], _: SocketAddr) -> Result<usize> {
        self.send(message).await
    }

    fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        Some(self.server)
    }

    async fn close(&self) -> Result<()> {
        Ok(())
    }

    fn as_any(&self) -> &(dyn std::any::Any + Send + Sync) {
        self
    }
}

/// Whether a datagram was larger than the way to the server lets through, as ICMP says of a tunnel:
/// that one is lost, and the system sends the next in fragments.
fn is_size(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}
