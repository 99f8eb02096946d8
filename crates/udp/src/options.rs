//! Socket options for which neither std nor socket2 has words.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};

use libc::c_int;

/// Has the kernel tell the DSCP and ECN of each datagram.
pub fn tell_traffic_class(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_RECVTOS, libc::IPV6_RECVTCLASS);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Has the kernel tell the destination of each datagram.
pub fn tell_destination(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Has the kernel keep the ICMP errors that datagrams have met.
pub fn keep_errors(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_RECVERR, libc::IPV6_RECVERR);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Lets routers fragment what is sent, and this machine, too.
///
/// For IPv4 that is `OMIT` rather than `DONT`: without DF the path MTU matters to nobody, so that
/// forged ICMP cannot have media cut into small pieces; and "fragmentation needed", of interest
/// where DF was asked for, is kept for the client. IPv6 routers do not fragment, so there the path
/// MTU counts.
pub fn allow_fragments(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let v4 = (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT);
    let v6 = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
    set(socket, bound_to, v4, v6)
}

/// Sends with DF, or without a Fragment header. What a path is known to carry does not matter: it
/// is the client that measures it.
pub(super) fn forbid_fragments(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let v4 = (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE);
    let v6 = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE);
    set(socket, bound_to, v4, v6)
}

/// Has the kernel put datagrams of one flow together as they come (UDP_GRO).
pub fn join_received(socket: &impl AsFd) -> io::Result<()> {
    set_one(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Whether the kernel knows how to take messages apart (UDP_SEGMENT). A device may still refuse.
#[must_use]
pub fn may_segment(socket: &impl AsFd) -> bool {
    // Zero is the default: it changes nothing.
    set_one(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// Sets an option of a socket's family.
fn set(socket: &impl AsFd, bound_to: IpAddr, v4: (c_int, c_int), v6: (c_int, c_int)) -> io::Result<()> {
    let (level, (name, value)) =
        if bound_to.is_ipv4() { (libc::IPPROTO_IP, v4) } else { (libc::IPPROTO_IPV6, v6) };
    set_one(socket, level, name, value)
}

pub(super) fn set_one(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("an int has few bytes");
    #[expect(unsafe_code, reason = "the options above are the kernel's alone")]
    // SAFETY: the descriptor is open while it is borrowed, and `value` is as long as `length` says.
    let outcome = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
