//! Error queue of a relay socket: ICMP errors about datagrams that were not delivered (RFC 8656
//! section 11.5, ip(7)).

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::{IPPROTO_IP, IPPROTO_IPV6, SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6, SO_EE_ORIGIN_LOCAL};

use super::control::{Control, ControlMessage};
use super::inbox::{empty_header, from_length, to_length};
use super::name::{self, Name};

/// ICMP error about a datagram that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undelivered {
    /// Destination of the datagram; its port is 0 if the kernel does not report one.
    pub to: SocketAddr,
    /// Type of the ICMP or ICMPv6 error.
    pub kind: u8,
    /// Code of the ICMP or ICMPv6 error.
    pub code: u8,
    /// Further information of the error, such as the MTU of the next hop.
    pub information: u32,
}

/// Removes and returns the oldest error of the queue. `None` means that it does not come from the
/// network.
///
/// # Errors
/// The error of the kernel; `WouldBlock` if the queue is empty.
pub fn receive_error(socket: &UdpSocket) -> io::Result<Option<Undelivered>> {
    let mut control = Control::new();
    let to = receive(socket, &mut control)?;
    let of_interest = |message: &ControlMessage<'_>| {
        matches!(
            (message.level, message.kind),
            (IPPROTO_IP, libc::IP_RECVERR) | (IPPROTO_IPV6, libc::IPV6_RECVERR)
        )
    };
    let error = control.messages().find(of_interest);
    Ok(error.and_then(|message| undelivered(message.data, to)))
}

/// Removes the oldest error, and returns the destination of its datagram. The kernel also offers
/// that datagram's payload, which is discarded.
fn receive(socket: &UdpSocket, control: &mut Control) -> io::Result<SocketAddr> {
    let mut name = Name::EMPTY;
    let mut header = empty_header();
    header.msg_name = name.as_mut_ptr();
    header.msg_namelen = name::ROOM;
    header.msg_control = control.room().as_mut_ptr().cast();
    header.msg_controllen = to_length(control.room().len());
    #[expect(unsafe_code, reason = "std does not read control messages")]
    // SAFETY: the descriptor is open while `socket` is borrowed. The name and the control messages
    // are written to memory that is borrowed mutably and has the length in the header. The header
    // has no buffer for a payload, so the kernel writes none.
    let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE) };
    if received < 0 {
        return Err(io::Error::last_os_error());
    }
    control.set_length(from_length(header.msg_controllen));
    // The kernel always gives an address; the caller discards an error without one.
    name.address().ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Parses a `sock_extended_err`: errno, then origin, type, code, padding, then information.
fn undelivered(error: &[u8], to: SocketAddr) -> Option<Undelivered> {
    let (&errno, error) = error.split_first_chunk()?;
    let (&[origin, kind, code, _], error) = error.split_first_chunk()?;
    let (&information, _) = error.split_first_chunk()?;
    let information = u32::from_ne_bytes(information);
    match (origin, i32::from_ne_bytes(errno)) {
        (SO_EE_ORIGIN_ICMP | SO_EE_ORIGIN_ICMP6, _) => Some(Undelivered { to, kind, code, information }),
        // The datagram exceeds the MTU of the server's own link. Report it like an error from any
        // other hop.
        (SO_EE_ORIGIN_LOCAL, libc::EMSGSIZE) => {
            let (kind, code) = if to.is_ipv4() { (3, 4) } else { (2, 0) };
            Some(Undelivered { to, kind, code, information })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::{allow_fragments, forbid_fragments, keep_errors};
    use super::super::tests::wait;
    use super::*;

    fn relay(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_nonblocking(true).unwrap();
        let ip = socket.local_addr().unwrap().ip();
        keep_errors(&socket, ip).unwrap();
        allow_fragments(&socket, ip).unwrap();
        socket
    }

    /// Waits ten seconds at most for the next error, and returns it.
    fn next_error(socket: &UdpSocket) -> Option<Undelivered> {
        loop {
            match receive_error(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(socket, mio::event::Event::is_error);
                }
                received => return received.unwrap(),
            }
        }
    }

    #[test]
    fn a_port_that_nobody_listens_on_is_unreachable() {
        for (address, kind, code) in [("127.0.0.1:0", 3, 3), ("[::1]:0", 1, 4)] {
            let socket = relay(address);
            // Connected to itself: it keeps its port from others and receives nothing from them.
            let deaf = UdpSocket::bind(address).unwrap();
            let to = deaf.local_addr().unwrap();
            deaf.connect(to).unwrap();
            socket.send_to(b"hello", to).unwrap();
            assert_eq!(next_error(&socket), Some(Undelivered { to, kind, code, information: 0 }));
            assert_eq!(
                receive_error(&socket).unwrap_err().kind(),
                io::ErrorKind::WouldBlock,
                "an error is reported once"
            );
        }
    }

    #[test]
    fn what_does_not_fit_the_first_link_is_too_big() {
        let socket = relay("[::1]:0");
        let to = socket.local_addr().unwrap();
        forbid_fragments(&socket, to.ip()).unwrap();
        assert!(socket.send_to(&[7; 65_520], to).is_err());
        let Some(Undelivered { to: peer, kind, code, information }) = next_error(&socket) else {
            panic!("no network error in the queue")
        };
        assert_eq!((peer.ip(), kind, code, information), (to.ip(), 2, 0, 65_536));
        assert_eq!(
            receive_error(&socket).unwrap_err().kind(),
            io::ErrorKind::WouldBlock,
            "an error is reported once"
        );
    }
}
