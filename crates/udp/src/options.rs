//! Socket options that neither std nor socket2 offers.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd as _};

use libc::c_int;

/// Makes the kernel report the DSCP and ECN of each received datagram (`IP_RECVTOS`,
/// `IPV6_RECVTCLASS`).
///
/// `bound_to` is the socket's own address, which selects the family.
pub fn tell_traffic_class(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_RECVTOS, libc::IPV6_RECVTCLASS);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Makes the kernel report the destination of each received datagram (`IP_PKTINFO`,
/// `IPV6_RECVPKTINFO`).
///
/// `bound_to` is the socket's own address, which selects the family.
pub fn tell_destination(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Makes the kernel queue the ICMP errors about sent datagrams (`IP_RECVERR`, `IPV6_RECVERR`).
///
/// `bound_to` is the socket's own address, which selects the family.
pub fn keep_errors(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let (v4, v6) = (libc::IP_RECVERR, libc::IPV6_RECVERR);
    set(socket, bound_to, (v4, 1), (v6, 1))
}

/// Allows this host and routers to fragment sent datagrams.
///
/// IPv4 uses `OMIT` instead of `DONT`: without DF the path MTU must not matter, so forged ICMP
/// cannot force media into small fragments. `OMIT` also keeps "fragmentation needed" in the error
/// queue for clients that ask for DF. IPv6 routers do not fragment, so there the path MTU counts.
///
/// `bound_to` is the socket's own address, which selects the family.
pub fn allow_fragments(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let v4 = (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT);
    let v6 = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
    set(socket, bound_to, v4, v6)
}

/// Sends with DF, or over IPv6 without a Fragment header. The known path MTU is ignored, because
/// the client measures it.
pub(super) fn forbid_fragments(socket: &impl AsFd, bound_to: IpAddr) -> io::Result<()> {
    let v4 = (libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE);
    let v6 = (libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE);
    set(socket, bound_to, v4, v6)
}

/// Makes the kernel join received datagrams of one flow (UDP_GRO).
pub fn join_received(socket: &impl AsFd) -> io::Result<()> {
    set_one(socket, libc::SOL_UDP, libc::UDP_GRO, 1)
}

/// Whether the kernel can segment messages (UDP_SEGMENT). A device may still refuse.
#[must_use]
pub fn may_segment(socket: &impl AsFd) -> bool {
    // Zero is the default, so this changes nothing.
    set_one(socket, libc::SOL_UDP, libc::UDP_SEGMENT, 0).is_ok()
}

/// Sets the option for the socket's family.
fn set(socket: &impl AsFd, bound_to: IpAddr, v4: (c_int, c_int), v6: (c_int, c_int)) -> io::Result<()> {
    let (level, (name, value)) =
        if bound_to.is_ipv4() { (libc::IPPROTO_IP, v4) } else { (libc::IPPROTO_IPV6, v6) };
    set_one(socket, level, name, value)
}

pub(super) fn set_one(socket: &impl AsFd, level: c_int, name: c_int, value: c_int) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(&value)).expect("an int has few bytes");
    #[expect(unsafe_code, reason = "std does not offer these options")]
    // SAFETY: the descriptor is open while it is borrowed, and `value` has `length` bytes.
    let outcome = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
