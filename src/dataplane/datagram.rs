//! Datagrams with what their IP headers say (RFC 8656 section 14), by `recvmsg` and `sendmsg`. One at a time, and nothing
//! here allocates.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int};
use socket2::SockAddr;

use super::control::{Control, ControlMessage};
use super::options::{allow_fragments, forbid_fragments};

/// The traffic class of what the server says itself, and of what came over a stream, whose bytes have no class of their
/// own (RFC 8656 section 15): best effort, not ECN-capable.
pub(super) const UNMARKED: u8 = 0;

/// A datagram that was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Received {
    /// Bytes of its payload.
    pub(super) length: usize,
    /// Its source; that of a link-local address with the scope, without which there is no answering it.
    pub(super) from: SocketAddr,
    /// Its destination, if the socket tells.
    pub(super) to: Option<IpAddr>,
    /// Its DSCP and ECN, if the socket tells, else [`UNMARKED`].
    pub(super) traffic_class: u8,
}

/// How a datagram is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// Its destination.
    pub(super) to: SocketAddr,
    /// Its source, where the socket is not bound to one address.
    pub(super) from: Option<IpAddr>,
    /// Its DSCP and ECN.
    pub(super) traffic_class: u8,
    /// Nobody is to fragment it.
    pub(super) dont_fragment: bool,
}

/// Receives a datagram.
///
/// # Errors
/// What the kernel says; a pending error of the socket is cleared by being told.
pub(super) fn receive(socket: &UdpSocket, room: &mut [u8]) -> io::Result<Received> {
    let mut control = Control::new();
    let (length, from) = receive_message(socket, room, &mut control, 0)?;
    let mut received = Received { length, from, to: None, traffic_class: UNMARKED };
    for ControlMessage { level, kind, data } in control.messages() {
        match (level, kind, data) {
            (IPPROTO_IP, libc::IP_TOS, &[tos, ..]) => received.traffic_class = tos,
            (IPPROTO_IPV6, libc::IPV6_TCLASS, &[b0, b1, b2, b3]) => {
                let class = c_int::from_ne_bytes([b0, b1, b2, b3]);
                received.traffic_class = u8::try_from(class).unwrap_or_default();
            }
            // The interface, the local address, and last the destination. The second would also be there for a
            // broadcast, which is not answered: nothing can be sent from its destination.
            (IPPROTO_IP, libc::IP_PKTINFO, &[.., a, b, c, d]) => {
                received.to = Some(Ipv4Addr::new(a, b, c, d).into());
            }
            (IPPROTO_IPV6, libc::IPV6_PKTINFO, _) => {
                received.to = data.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into());
            }
            _ => {}
        }
    }
    Ok(received)
}

/// Sends a datagram.
///
/// # Errors
/// Why it was not sent. That another one, to another peer, was met by an ICMP error is no reason.
pub(super) fn send(socket: &UdpSocket, datagram: &[u8], outgoing: Outgoing) -> io::Result<()> {
    let Outgoing { to, from, traffic_class, dont_fragment } = outgoing;
    let mut control = Control::new();
    if let Some(from) = from {
        push_source(&mut control, from, to);
    }
    // The default of the socket.
    if traffic_class != UNMARKED {
        push_traffic_class(&mut control, traffic_class, to);
    }
    // A pending error of the socket is told to whoever uses it next, and cleared by that.
    let address = SockAddr::from(to);
    if dont_fragment {
        // Trying twice would have the kernel note twice that it does not fit.
        socket.take_error()?;
        forbid_fragments(socket, to.ip())?;
        let sent = send_message(socket, datagram, &address, &control);
        allow_fragments(socket, to.ip())?;
        return sent;
    }
    match send_message(socket, datagram, &address, &control) {
        Err(error) if may_be_anothers(&error) => send_message(socket, datagram, &address, &control),
        sent => sent,
    }
}

/// Whether it is one of the errors that Linux makes of ICMP. Most of them may also be this datagram's own.
fn may_be_anothers(error: &io::Error) -> bool {
    use libc::{
        EACCES, ECONNREFUSED, EHOSTDOWN, EHOSTUNREACH, EMSGSIZE, ENETUNREACH, ENONET, ENOPROTOOPT,
        EOPNOTSUPP, EPROTO,
    };
    matches!(
        error.raw_os_error(),
        Some(
            EACCES
                | ECONNREFUSED
                | EHOSTDOWN
                | EHOSTUNREACH
                | EMSGSIZE
                | ENETUNREACH
                | ENONET
                | ENOPROTOOPT
                | EOPNOTSUPP
                | EPROTO
        )
    )
}

/// A link-local source goes with the interface that the destination's scope names.
fn push_source(control: &mut Control, from: IpAddr, to: SocketAddr) {
    match from {
        // An interface (any), the source, and a destination that the kernel does not look at.
        IpAddr::V4(ip) => {
            let mut data = [0; 12];
            data[4..8].copy_from_slice(&ip.octets());
            control.push(ControlMessage { level: IPPROTO_IP, kind: libc::IP_PKTINFO, data: &data });
        }
        IpAddr::V6(ip) => {
            let interface = if let SocketAddr::V6(to) = to { to.scope_id() } else { 0 };
            let mut data = [0; 20];
            data[..16].copy_from_slice(&ip.octets());
            data[16..].copy_from_slice(&interface.to_ne_bytes());
            control.push(ControlMessage { level: IPPROTO_IPV6, kind: libc::IPV6_PKTINFO, data: &data });
        }
    }
}

fn push_traffic_class(control: &mut Control, traffic_class: u8, to: SocketAddr) {
    let data = &c_int::from(traffic_class).to_ne_bytes();
    let (level, kind) = match to {
        SocketAddr::V4(_) => (IPPROTO_IP, libc::IP_TOS),
        SocketAddr::V6(_) => (IPPROTO_IPV6, libc::IPV6_TCLASS),
    };
    control.push(ControlMessage { level, kind, data });
}

/// One `recvmsg`: the length of what came, and the address that goes with it.
pub(super) fn receive_message(
    socket: &UdpSocket,
    room: &mut [u8],
    control: &mut Control,
    flags: c_int,
) -> io::Result<(usize, SocketAddr)> {
    let mut payload = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    let mut header = empty_header();
    header.msg_iov = &raw mut payload;
    header.msg_iovlen = 1;
    header.msg_control = control.room().as_mut_ptr().cast();
    header.msg_controllen = control.room().len();
    let fill = |address: *mut socket2::SockAddrStorage, length: *mut libc::socklen_t| {
        header.msg_name = address.cast();
        #[expect(unsafe_code, reason = "std has no words for control messages")]
        // SAFETY: `length` is valid while `fill` runs, and says how much room there is at `address`. The descriptor is
        // open while `socket` is borrowed. Payload and control messages go to memory that is borrowed mutably and as
        // long as the header says.
        let received = unsafe {
            header.msg_namelen = *length;
            let received = libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags);
            *length = header.msg_namelen;
            received
        };
        usize::try_from(received).map_err(|_| io::Error::last_os_error())
    };
    #[expect(unsafe_code, reason = "the kernel writes the address")]
    // SAFETY: where `fill` succeeds, the kernel has written an address of the length that it told.
    let (length, from) = unsafe { SockAddr::try_init(fill) }?;
    control.set_length(header.msg_controllen);
    // Never without an address; the caller drops what is.
    let from = from.as_socket().ok_or(io::ErrorKind::InvalidData)?;
    Ok((length, from))
}

/// One `sendmsg`.
fn send_message(socket: &UdpSocket, datagram: &[u8], to: &SockAddr, control: &Control) -> io::Result<()> {
    let mut payload = libc::iovec { iov_base: datagram.as_ptr().cast_mut().cast(), iov_len: datagram.len() };
    let control = control.as_bytes();
    let mut header = empty_header();
    header.msg_name = to.as_ptr().cast_mut().cast();
    header.msg_namelen = to.len();
    header.msg_iov = &raw mut payload;
    header.msg_iovlen = 1;
    header.msg_control = control.as_ptr().cast_mut().cast();
    header.msg_controllen = control.len();
    #[expect(unsafe_code, reason = "std has no words for control messages")]
    // SAFETY: the descriptor is open while `socket` is borrowed. Address, payload and control messages are borrowed, as
    // long as the header says, and only read.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const header, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn empty_header() -> libc::msghdr {
    #[expect(unsafe_code, reason = "it has padding on some systems, and so no constructor")]
    // SAFETY: a struct of pointers and integers, for all of which zero is a value.
    unsafe {
        std::mem::zeroed()
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::{keep_errors, tell_destination, tell_traffic_class};
    use super::*;
    use mio::unix::SourceFd;
    use std::time::Duration;

    const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        let ip = socket.local_addr().unwrap().ip();
        tell_traffic_class(&socket, ip).unwrap();
        allow_fragments(&socket, ip).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        socket
    }

    fn to(socket: &UdpSocket) -> Outgoing {
        let to = socket.local_addr().unwrap();
        Outgoing { to, from: None, traffic_class: 0, dont_fragment: false }
    }

    #[test]
    fn the_traffic_class_goes_with_its_datagram_and_no_other() {
        for address in LOOPBACK {
            let (sender, receiver) = (bound(address), bound(address));
            // Expedited forwarding and CE; ECT(0) alone; all ones; none.
            for traffic_class in [0xBB, 0x02, 0xFF, 0x00] {
                send(&sender, b"hello", Outgoing { traffic_class, ..to(&receiver) }).unwrap();
                let mut room = [0; 16];
                let received = receive(&receiver, &mut room).unwrap();
                let from = sender.local_addr().unwrap();
                assert_eq!(received, Received { length: 5, from, to: None, traffic_class });
                assert_eq!(&room[..5], b"hello");
            }
        }
    }

    #[test]
    fn an_answer_leaves_from_where_the_datagram_went() {
        for (any, asked) in [("0.0.0.0:0", "127.0.0.5"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
            let server = bound(any);
            let asked: IpAddr = asked.parse().unwrap();
            tell_destination(&server, asked).unwrap();
            // Connected: an answer from elsewhere does not arrive.
            let client = bound(if asked.is_ipv4() { LOOPBACK[0] } else { LOOPBACK[1] });
            client.connect((asked, server.local_addr().unwrap().port())).unwrap();
            client.send(b"ask").unwrap();
            let received = receive(&server, &mut [0; 16]).unwrap();
            assert_eq!(received.to, Some(asked));
            let answer = Outgoing { from: received.to, traffic_class: 0x03, ..to(&client) };
            send(&server, b"answer", answer).unwrap();
            assert_eq!(receive(&client, &mut [0; 16]).unwrap().traffic_class, 0x03);
        }
    }

    /// Loopback carries 65,536 bytes at a time, which an IPv6 datagram can exceed and an IPv4 one cannot.
    #[test]
    fn what_must_not_be_fragmented_is_not_sent_where_it_does_not_fit() {
        let (sender, receiver) = (bound(LOOPBACK[1]), bound(LOOPBACK[1]));
        let large = vec![7; 65_520];
        for _ in 0..2 {
            let whole = Outgoing { dont_fragment: true, ..to(&receiver) };
            assert_eq!(send(&sender, &large, whole).unwrap_err().raw_os_error(), Some(libc::EMSGSIZE));
            send(&sender, b"small", whole).unwrap();
            assert_eq!(receive(&receiver, &mut [0; 16]).unwrap().length, 5);
            send(&sender, &large, to(&receiver)).unwrap();
            assert_eq!(receive(&receiver, &mut vec![0; 65_535]).unwrap().length, large.len());
        }
    }

    /// A peer without a socket answers with an ICMP error, which the kernel tells whoever sends next.
    #[test]
    fn an_error_that_another_peer_has_caused_loses_no_datagram() {
        for address in LOOPBACK {
            let (sender, receiver) = (bound(address), bound(address));
            keep_errors(&sender, sender.local_addr().unwrap().ip()).unwrap();
            // Connected to itself, and so deaf to others while it keeps them off its port.
            let deaf = bound(address);
            deaf.connect(deaf.local_addr().unwrap()).unwrap();
            for dont_fragment in [false, true, false, true] {
                send(&sender, b"to nobody", to(&deaf)).unwrap();
                wait_for_error(&sender);
                send(&sender, b"hello", Outgoing { dont_fragment, ..to(&receiver) }).unwrap();
                assert_eq!(receive(&receiver, &mut [0; 16]).unwrap().length, 5);
            }
        }
    }

    #[test]
    fn an_error_of_its_own_is_told() {
        let sender = bound(LOOPBACK[0]);
        let refused = send(&sender, b"x", Outgoing { to: "127.0.0.1:0".parse().unwrap(), ..to(&sender) });
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EINVAL));
        let broadcast =
            send(&sender, b"x", Outgoing { to: "255.255.255.255:9".parse().unwrap(), ..to(&sender) });
        assert_eq!(broadcast.unwrap_err().raw_os_error(), Some(libc::EACCES));
    }

    /// Returns once the socket has an error pending.
    fn wait_for_error(socket: &UdpSocket) {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(1);
        let (mut source, interest) = (SourceFd(&socket.as_raw_fd()), mio::Interest::READABLE);
        poll.registry().register(&mut source, mio::Token(0), interest).unwrap();
        for _ in 0..100 {
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            if events.iter().any(mio::event::Event::is_error) {
                return;
            }
        }
        panic!("no error within ten seconds");
    }
}
