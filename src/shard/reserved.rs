//! Relay sockets held in reserve, for the shard that is given their token.

use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};

use byway_turn::lock::lock;

/// Datagrams that came before the token was used and are discarded then, at most. The permissions
/// of the allocation meet the rest.
const DISCARDED: usize = 1024;

/// The sockets in reserve of all shards, by their addresses.
///
/// The one lock of the shards: it is taken when EVEN-PORT reserves a port, and when that ends. No
/// datagram waits for it but such an Allocate request.
#[derive(Clone, Debug, Default)]
pub(super) struct ReservedSockets(Arc<Mutex<BTreeMap<SocketAddr, UdpSocket>>>);

impl ReservedSockets {
    /// Holds a socket.
    pub(super) fn hold(&self, address: SocketAddr, socket: UdpSocket) {
        self.lock().insert(address, socket);
    }

    /// Lets go of a socket, if it is there. What it has received belongs to nobody.
    pub(super) fn take(&self, address: SocketAddr) -> Option<UdpSocket> {
        let socket = self.lock().remove(&address)?;
        // It does not block: an error ends it, too.
        (0..DISCARDED).take_while(|_| socket.recv(&mut []).is_ok()).for_each(drop);
        Some(socket)
    }

    /// Closes a socket.
    pub(super) fn close(&self, address: SocketAddr) {
        self.lock().remove(&address);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SocketAddr, UdpSocket>> {
        // The map is whole between any two statements: what panicked elsewhere does not concern it.
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
        assert!(reserved.take(address).is_none(), "it is there once");
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
