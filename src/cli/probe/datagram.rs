//! Datagrams for `turn::client` over a connected socket, which receives ICMP errors such as "port
//! unreachable".
//!
//! `turn::client` itself would only time out. A check after its timeout would come too late: the
//! other machine sends ICMP errors for the first few datagrams, and then one per second.

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

/// Socket that sends to one server and receives from it only.
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
        // The error usually stems from an earlier datagram. This one is lost too, as any may be.
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

/// Whether a datagram exceeded the path MTU, as ICMP reports of a tunnel. That datagram is lost,
/// and the system fragments the next one.
fn is_size(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EMSGSIZE)
}
