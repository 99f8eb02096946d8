//! Datagrams that are sent in batches, as a busy client or peer sends them.

use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrStorage, sendmsg};

/// Limits of one message: UDP_MAX_SEGMENTS, and the size of an IP packet.
const DATAGRAMS: usize = 64;
const BYTES: usize = 65_000;

/// Sends datagrams in order, in as few messages as possible. `None` sends to the connected address.
///
/// The kernel segments a message into datagrams of one size; only the last may be shorter.
pub fn send_in_trains(socket: &UdpSocket, to: Option<SocketAddr>, datagrams: &[Vec<u8>]) {
    let mut rest = datagrams;
    while let Some(first) = rest.first() {
        let size = first.len();
        let most = (BYTES / size.max(1)).clamp(1, DATAGRAMS);
        let same = rest.iter().take(most).take_while(|datagram| datagram.len() == size).count();
        let shorter = rest.get(same).is_some_and(|next| same < most && (1..size).contains(&next.len()));
        let (train, others) = rest.split_at(same + usize::from(shorter));
        send_train(socket, to, train);
        rest = others;
    }
}

fn send_train(socket: &UdpSocket, to: Option<SocketAddr>, train: &[Vec<u8>]) {
    let size = u16::try_from(train[0].len()).expect("a datagram's length fits 16 bits");
    let parts: Vec<IoSlice<'_>> = train.iter().map(|datagram| IoSlice::new(datagram)).collect();
    let segments = [ControlMessage::UdpGsoSegments(&size)];
    let control = if train.len() > 1 { &segments[..] } else { &[] };
    let to = to.map(SockaddrStorage::from);
    let sent = sendmsg(socket.as_raw_fd(), &parts, control, MsgFlags::empty(), to.as_ref());
    assert_eq!(sent, Ok(train.iter().map(Vec::len).sum()), "{} of {size} bytes", train.len());
}
