//! Opening, binding and options of the shards' sockets.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use byway_udp::{allow_fragments, keep_errors, tell_destination, tell_traffic_class};
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use super::tuning::Tuning;

/// Accept backlog. The kernel caps it at `net.core.somaxconn`.
const BACKLOG: i32 = 1024;

/// Listening sockets of one shard.
#[derive(Debug, Default)]
pub struct ShardListeners {
    /// UDP sockets by [`byway_turn::server::ListenerId`]. `None` if the machine does not have the
    /// address yet.
    pub(super) udp: Vec<Option<UdpSocket>>,
    pub(super) tcp: Vec<TcpListener>,
}

impl ShardListeners {
    /// Returns a warning with its remedy if the kernel gave the UDP sockets smaller buffers than
    /// requested. The limits are the same for all sockets, so one is checked.
    #[must_use]
    pub fn cut_buffers(&self, tuning: &Tuning) -> Option<String> {
        let socket = SockRef::from(self.udp.iter().flatten().next()?);
        let (mut cut, mut remedy) = (Vec::new(), Vec::new());
        for (key, asked, granted, limit) in [
            ("receive_buffer", tuning.receive_buffer, socket.recv_buffer_size(), "rmem_max"),
            ("send_buffer", tuning.send_buffer, socket.send_buffer_size(), "wmem_max"),
        ] {
            // The kernel allocates and reports twice the requested size. The extra half is for its
            // bookkeeping.
            let granted = granted.ok()? / 2;
            if granted < asked {
                cut.push(format!("{granted} bytes of the {asked} that relay.{key} asks for"));
                remedy.push(format!("net.core.{limit}={asked}"));
            }
        }
        let (cut, remedy) = (cut.join(" and "), remedy.join(" "));
        (!cut.is_empty()).then(|| {
            format!("the kernel gives each UDP listener {cut}; run `sysctl -w {remedy}` and restart")
        })
    }
}

/// Addresses that every shard listens on, with the ports that the kernel chose for port 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// UDP and TCP addresses that the machine does not have yet. Their sockets follow through
    /// [`super::ShardUpdates`].
    pub missing: Vec<SocketAddr>,
}

/// Failure to listen on an address.
#[derive(Debug)]
pub struct BindFailed {
    /// `udp` or `tcp`.
    pub listener: &'static str,
    /// The address.
    pub address: SocketAddr,
    /// Error of the kernel.
    pub error: io::Error,
}

/// Binds every address for every shard before any is served. Addresses that the machine lacks are
/// deferred.
///
/// # Errors
/// Returns [`BindFailed`] with the error of the kernel.
pub fn bind_listeners(
    wanted: &Addresses,
    shards: usize,
    tuning: &Tuning,
) -> Result<(Vec<ShardListeners>, Addresses), BindFailed> {
    let mut by_shard = Vec::new();
    by_shard.resize_with(shards, ShardListeners::default);
    let mut bound = Addresses::default();
    for &address in &wanted.udp {
        match bind_udp_listeners(address, shards, tuning) {
            Ok((sockets, address)) => {
                bound.udp.push(address);
                let sockets = by_shard.iter_mut().zip(sockets);
                sockets.for_each(|(listeners, socket)| listeners.udp.push(Some(socket)));
            }
            Err(error) if is_missing(&error) => {
                bound.udp.push(address);
                bound.missing.push(address);
                by_shard.iter_mut().for_each(|listeners| listeners.udp.push(None));
            }
            Err(error) => return Err(BindFailed { listener: "udp", address, error }),
        }
    }
    for &address in &wanted.tcp {
        match bind_tcp_listeners(address, shards) {
            Ok((sockets, address)) => {
                bound.tcp.push(address);
                let sockets = by_shard.iter_mut().zip(sockets);
                sockets.for_each(|(listeners, socket)| listeners.tcp.push(socket));
            }
            Err(error) if is_missing(&error) => {
                bound.tcp.push(address);
                bound.missing.push(address);
            }
            Err(error) => return Err(BindFailed { listener: "tcp", address, error }),
        }
    }
    Ok((by_shard, bound))
}

/// Whether binding failed because the machine does not have the address (yet, or any more).
#[must_use]
pub fn is_missing(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
}

/// Binds a UDP listener for every shard. Also returns its address, because the kernel may choose
/// the port.
///
/// # Errors
/// The error of the kernel.
pub fn bind_udp_listeners(
    address: SocketAddr,
    shards: usize,
    tuning: &Tuning,
) -> io::Result<(Vec<UdpSocket>, SocketAddr)> {
    let (sockets, address) = bind_shared(address, shards, |address| udp_listener(address, tuning))?;
    Ok((sockets.into_iter().map(UdpSocket::from).collect(), address))
}

/// Binds a TCP listener for every shard. Also returns its address.
///
/// # Errors
/// The error of the kernel.
pub fn bind_tcp_listeners(address: SocketAddr, shards: usize) -> io::Result<(Vec<TcpListener>, SocketAddr)> {
    let (sockets, address) = bind_shared(address, shards, tcp_listener)?;
    for socket in &sockets {
        socket.listen(BACKLOG)?;
    }
    Ok((sockets.into_iter().map(TcpListener::from).collect(), address))
}

/// Binds one address `count` times. The first socket sets SO_REUSEPORT only after it has bound. If
/// another program or a second server uses the port, binding thus fails rather than silently losing
/// half the clients.
fn bind_shared(
    address: SocketAddr,
    count: usize,
    open: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<(Vec<Socket>, SocketAddr)> {
    let first = open(address)?;
    first.bind(&address.into())?;
    first.set_reuse_port(true)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count {
        let next = open(address)?;
        next.set_reuse_port(true)?;
        next.bind(&address.into())?;
        sockets.push(next);
    }
    Ok((sockets, address))
}

fn udp_listener(address: SocketAddr, tuning: &Tuning) -> io::Result<Socket> {
    let socket = udp_socket(address)?;
    if address.ip().is_unspecified() {
        tell_destination(&socket, address.ip())?;
    }
    // A refusal costs only headroom for bursts.
    let _ = socket.set_recv_buffer_size(tuning.receive_buffer);
    let _ = socket.set_send_buffer_size(tuning.send_buffer);
    Ok(socket)
}

fn tcp_listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address, Type::STREAM, Protocol::TCP)?;
    // A restart must not wait until old connections time out. On Linux this option shares no live
    // port.
    socket.set_reuse_address(true)?;
    Ok(socket)
}

/// Binds a TCP listener for exclusive use by one runtime.
///
/// # Errors
/// The error of the kernel.
pub fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = tcp_listener(address)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Binds a relay socket.
pub(super) fn bind_relay(address: SocketAddr, tuning: &Tuning) -> io::Result<UdpSocket> {
    let socket = udp_socket(address)?;
    if tuning.relay_buffer > 0 {
        let _ = socket.set_recv_buffer_size(tuning.relay_buffer);
        let _ = socket.set_send_buffer_size(tuning.relay_buffer);
    }
    // On failure clients get no ICMP errors of their peers.
    let _ = keep_errors(&socket, address.ip());
    socket.bind(&address.into())?;
    Ok(socket.into())
}

fn udp_socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = new_socket(address, Type::DGRAM, Protocol::UDP)?;
    // Relaying works on kernels without these options. If a client requests DF, only its datagram
    // fails.
    let _ = tell_traffic_class(&socket, address.ip());
    let _ = allow_fragments(&socket, address.ip());
    Ok(socket)
}

fn new_socket(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // Each family has its own listener. Mapped addresses would be a second form of IPv4
        // addresses.
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    fn any(udp: usize, tcp: usize) -> Addresses {
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        Addresses { udp: vec![any; udp], tcp: vec![any; tcp], missing: vec![] }
    }

    fn asking_for(buffer: usize) -> Tuning {
        Tuning {
            offload: true,
            receive_buffer: buffer,
            send_buffer: buffer,
            relay_buffer: 0,
            nap: Duration::ZERO,
            busy_poll: Duration::ZERO,
            incoming_cpu: false,
        }
    }

    #[test]
    fn a_second_server_on_the_port_is_an_error() {
        for (wanted, listener) in [(any(1, 0), "udp"), (any(0, 1), "tcp")] {
            let (listeners, bound) = bind_listeners(&wanted, 2, &asking_for(1 << 16)).unwrap();
            assert_eq!(listeners.len(), 2);
            let failed = bind_listeners(&bound, 2, &asking_for(1 << 16)).err().unwrap();
            assert_eq!((failed.listener, failed.error.kind()), (listener, io::ErrorKind::AddrInUse));
            assert!(bound.udp.contains(&failed.address) || bound.tcp.contains(&failed.address));
        }
    }

    #[test]
    fn every_shard_listens_on_every_address() {
        let (listeners, bound) = bind_listeners(&any(2, 2), 3, &asking_for(1 << 16)).unwrap();
        for ShardListeners { udp, tcp } in listeners {
            let udp = udp.iter().flatten().map(|socket| socket.local_addr().unwrap()).collect();
            let tcp = tcp.iter().map(|socket| socket.local_addr().unwrap()).collect();
            assert_eq!(Addresses { udp, tcp, missing: vec![] }, bound);
        }
    }

    #[test]
    fn threat_35_an_address_that_the_machine_lacks_is_left_for_later() {
        let absent: SocketAddr = "192.0.2.77:3478".parse().unwrap();
        let mut wanted = any(1, 1);
        wanted.udp.insert(0, absent);
        wanted.tcp.push(absent);
        let (listeners, bound) = bind_listeners(&wanted, 2, &asking_for(1 << 16)).unwrap();
        assert_eq!((bound.udp[0], bound.tcp[1], &*bound.missing), (absent, absent, &[absent; 2][..]));
        for ShardListeners { udp, tcp } in listeners {
            // The indices are the same on every shard.
            assert_eq!((udp[0].is_none(), udp[1].is_some(), tcp.len()), (true, true, 1));
        }
    }

    #[test]
    fn a_buffer_that_the_kernel_has_cut_is_told_with_its_remedy() {
        // Larger than any machine grants. The kernel doubles the size in an int.
        const TOO_MUCH: usize = 1 << 30;
        let limit = |name| fs::read_to_string(format!("/proc/sys/net/core/{name}")).unwrap();
        let (receive, send) = (limit("rmem_max"), limit("wmem_max"));
        let told = |tuning: Tuning| bind_listeners(&any(1, 1), 1, &tuning).unwrap().0[0].cut_buffers(&tuning);
        assert_eq!(
            told(asking_for(TOO_MUCH)).unwrap(),
            format!(
                "the kernel gives each UDP listener {} bytes of the {TOO_MUCH} that relay.receive_buffer asks for and \
                 {} bytes of the {TOO_MUCH} that relay.send_buffer asks for; \
                 run `sysctl -w net.core.rmem_max={TOO_MUCH} net.core.wmem_max={TOO_MUCH}` and restart",
                receive.trim(),
                send.trim()
            )
        );
        let of_one = told(Tuning { send_buffer: 1 << 16, ..asking_for(TOO_MUCH) }).unwrap();
        assert!(!of_one.contains("send_buffer") && !of_one.contains("wmem_max"), "{of_one}");
        assert_eq!(told(asking_for(1 << 16)), None);
        assert_eq!(ShardListeners::default().cut_buffers(&asking_for(TOO_MUCH)), None);
    }
}
