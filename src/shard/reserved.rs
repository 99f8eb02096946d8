//! Relay sockets held in reserve for the shard that receives their token.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use byway_turn::lock::lock;

/// Maximum number of early datagrams that are discarded when the token is used. The permissions of
/// the allocation filter the rest.
const DISCARDED: usize = 1024;

/// Reserved sockets of all shards, by their addresses.
///
/// This is the only lock of the shards. It is taken when EVEN-PORT reserves a port, and when the
/// reservation ends. Only such Allocate requests wait for it.
#[derive(Clone, Debug, Default)]
pub(super) struct ReservedSockets(Arc<Mutex<BTreeMap<SocketAddr, UdpSocket>>>);

impl ReservedSockets {
    /// Holds a socket.
    pub(super) fn hold(&self, address: SocketAddr, socket: UdpSocket) {
        self.lock().insert(address, socket);
    }

    /// Removes and returns a socket if it exists. Discards the datagrams that it has received,
    /// because they belong to no allocation.
    pub(super) fn take(&self, address: SocketAddr) -> Option<UdpSocket> {
        let socket = self.lock().remove(&address)?;
        // The socket does not block. Any error ends the loop, too.
        (0..DISCARDED).take_while(|_| socket.recv(&mut []).is_ok()).for_each(drop);
        Some(socket)
    }

    /// Closes a socket.
    pub(super) fn close(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, UdpSocket>> {
        // The map is consistent between any two statements, so a panic of another thread does not
        // matter.
        lock(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn a_socket_is_handed_over_without_what_came_before() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let reserved = ReservedSockets::default();
        reserved.hold(address, socket);
        let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
        for datagram in [&b"early"[..], b"", b"and another"] {
            peer.send_to(datagram, address).unwrap();
        }
        let socket = reserved.clone().take(address).unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        peer.send_to(b"late", address).unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).unwrap(), 4);
        assert!(reserved.take(address).is_none(), "a socket can be taken once");
    }

    #[test]
    fn its_port_is_held_until_it_is_closed() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let reserved = ReservedSockets::default();
        reserved.hold(address, socket);
        assert_eq!(UdpSocket::bind(address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        reserved.close(address);
        UdpSocket::bind(address).unwrap();
    }
}
