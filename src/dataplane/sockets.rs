//! Sockets as the data plane needs them.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

/// Bytes asked of the kernel for a listening socket each way, which it cuts at `net.core.rmem_max`: room for the
/// datagrams of a few milliseconds at full rate.
const LISTENER_BUFFER: usize = 4 << 20;

/// The listening sockets of one shard, by [`crate::relay::ListenerId`].
pub struct Listeners(pub(super) Vec<UdpSocket>);

/// Binds every address for every shard, all before any is served, and says what was bound (port 0 becomes a port).
///
/// # Errors
/// The address that cannot be bound, and why.
pub fn bind_listeners(
    addresses: &[SocketAddr],
    shards: usize,
) -> Result<(Vec<Listeners>, Vec<SocketAddr>), (SocketAddr, io::Error)> {
    let mut by_shard: Vec<Listeners> = (0..shards).map(|_| Listeners(Vec::new())).collect();
    let mut bound = Vec::new();
    for &address in addresses {
        let (sockets, address) = bind_shared(address, shards).map_err(|error| (address, error))?;
        bound.push(address);
        for (listeners, socket) in by_shard.iter_mut().zip(sockets) {
            listeners.0.push(socket);
        }
    }
    Ok((by_shard, bound))
}

/// Binds one address `count` times. The first socket binds alone and only then agrees to share, so that another
/// program on the port, or a second server, is an error rather than a silent thief of half the clients.
fn bind_shared(address: SocketAddr, count: usize) -> io::Result<(Vec<UdpSocket>, SocketAddr)> {
    let first = udp_socket(address)?;
    grow_buffers(&first);
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let first = UdpSocket::from(first);
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = udp_socket(address)?;
        grow_buffers(&next);
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        sockets.push(next.into());
    }
    Ok((sockets, address))
}

/// Binds a relay socket.
pub(super) fn bind_relay(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = udp_socket(address)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // Each family has its own listener; mapped addresses would be a second spelling of IPv4 ones.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// A refusal costs only headroom at bursts.
fn grow_buffers(socket: &Socket) {
    let _ = socket.set_recv_buffer_size(LISTENER_BUFFER);
    let _ = socket.set_send_buffer_size(LISTENER_BUFFER);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_port_is_an_error() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listeners, bound) = bind_listeners(&[any], 2).unwrap();
        assert_eq!(listeners.len(), 2);
        let (address, error) = bind_listeners(&bound, 2).err().unwrap();
        assert_eq!((address, error.kind()), (bound[0], io::ErrorKind::AddrInUse));
    }

    #[test]
    fn every_shard_listens_on_every_address() {
        let any = "127.0.0.1:0".parse().unwrap();
        let (listeners, bound) = bind_listeners(&[any, any], 3).unwrap();
        for Listeners(sockets) in listeners {
            let addresses: Vec<SocketAddr> =
                sockets.iter().map(|socket| socket.local_addr().unwrap()).collect();
            assert_eq!(addresses, bound);
        }
    }
}
