//! Sending what an outbox has gathered, by `sendmmsg`.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int, c_uint};

use super::UNMARKED;
use super::control::{Control, ControlMessage};
use super::inbox::empty_header;
use super::name::Name;
use super::options::{allow_fragments, forbid_fragments};
use super::outbox::{Message, Outbox, Outgoing, Part};

/// After a device has refused to segment: how many messages go one by one before it is asked again. Its driver may have
/// been told otherwise, or the route may be another one by then.
const REFUSED_FOR: u32 = 1000;

/// How often a message is sent again because of errors that may be other datagrams'. Each attempt clears one.
const ATTEMPTS: u32 = 8;

/// What padding is made of.
static ZEROS: [u8; 3] = [0; 3];

/// What went out in one flush.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// System calls.
    pub calls: u64,
    /// Datagrams that left by themselves.
    pub alone: u64,
    /// Datagrams that left in messages which the kernel segments.
    pub segmented: u64,
    /// Messages that a device, or the size of its packets, kept from being segmented.
    pub refused: u64,
}

/// Datagrams that have had one fate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub datagrams: u64,
    /// Bytes of their payloads.
    pub bytes: u64,
}

impl<S: Copy + Ord, T: Copy + PartialEq> Outbox<S, T> {
    /// Sends everything, for each socket in the order in which it was put in, and `tell`s what became of it. `bytes` are
    /// what payloads are spans of. A datagram that does not go is lost, as in any network: nothing here waits.
    pub fn flush<'a>(
        &mut self,
        bytes: &[u8],
        find: impl Fn(S) -> Option<&'a UdpSocket>,
        mut tell: impl FnMut(T, Tally, io::Result<()>),
    ) -> Sent {
        self.bytes = 0;
        let Self { own, parts, messages, order, segmentation, kernel, .. } = self;
        order.clear();
        order.extend((0..).take(messages.len()));
        order.sort_unstable_by_key(|&place| (messages[usize::from(place)].socket, place));
        let mut sent = Sent::default();
        let mut rest = &order[..];
        while let [first, ..] = *rest {
            let Message { socket, outgoing, .. } = messages[usize::from(first)];
            let goes_along = |place: &&u16| {
                let message = &messages[usize::from(**place)];
                message.socket == socket && !message.outgoing.dont_fragment
            };
            let count = if outgoing.dont_fragment { 1 } else { rest.iter().take_while(goes_along).count() };
            kernel.clear();
            for &place in &rest[..count] {
                let message = &messages[usize::from(place)];
                let joined = message.count > 1 && !message.is_refused && segmentation.is_on();
                kernel.lay_out(message, place, joined, parts, own, bytes);
            }
            let mut told = |place: u16, tally: Tally, outcome: io::Result<()>| {
                tell(messages[usize::from(place)].tag, tally, outcome);
            };
            let refused = match find(socket) {
                Some(socket) if outgoing.dont_fragment => {
                    kernel.send_whole(socket, outgoing.to.ip(), &mut told, &mut sent)
                }
                Some(socket) => kernel.send(socket, true, &mut told, &mut sent),
                None => kernel.lose(&mut told),
            };
            match refused {
                Some((place, error)) => {
                    segmentation.refused(&error);
                    sent.refused += 1;
                    messages[usize::from(place)].is_refused = true;
                    let done = rest.iter().take_while(|other| **other != place).count();
                    rest = &rest[done..];
                }
                None => rest = &rest[count..],
            }
        }
        own.clear();
        parts.clear();
        messages.clear();
        sent
    }
}

/// Whether to have the kernel segment.
pub(super) struct Segmentation {
    is_possible: bool,
    /// So many messages go one by one before it is tried again.
    paused: u32,
}

impl Segmentation {
    pub(super) fn new(is_possible: bool) -> Self {
        Self { is_possible, paused: 0 }
    }

    pub(super) fn is_possible(&self) -> bool {
        self.is_possible
    }

    /// Whether the next joined message is to be segmented by the kernel.
    fn is_on(&mut self) -> bool {
        let is_on = self.is_possible && self.paused == 0;
        self.paused = self.paused.saturating_sub(1);
        is_on
    }

    /// Takes in why a message was refused. A size that does not fit is that message's own matter.
    fn refused(&mut self, error: &io::Error) {
        if error.raw_os_error() == Some(libc::EIO) {
            self.paused = REFUSED_FOR;
        }
    }
}

/// What `sendmmsg` reads. The pointers in it are good during a call only.
pub(super) struct Kernel {
    entries: Vec<Entry>,
    names: Vec<(Name, u32)>,
    controls: Vec<Control>,
    pieces: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

/// One message to the kernel: one datagram, or joined ones.
#[derive(Clone, Copy)]
struct Entry {
    /// Its place in the outbox.
    message: u16,
    /// Its place among the names and controls.
    envelope: usize,
    /// Where its pieces begin.
    pieces: usize,
    tally: Tally,
}

/// A message that was not segmented, by its place in the outbox, and why.
type Refused = Option<(u16, io::Error)>;

impl Kernel {
    pub(super) fn new(messages: usize, parts: usize) -> Self {
        Self {
            entries: Vec::with_capacity(parts),
            names: Vec::with_capacity(messages),
            controls: Vec::with_capacity(messages),
            pieces: Vec::with_capacity(3 * parts),
            headers: Vec::with_capacity(parts),
        }
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.names.clear();
        self.controls.clear();
        self.pieces.clear();
    }

    /// Adds a message, as one if it is `joined`, else datagram by datagram.
    fn lay_out<S, T>(
        &mut self,
        message: &Message<S, T>,
        place: u16,
        joined: bool,
        parts: &[Part],
        own: &[u8],
        bytes: &[u8],
    ) {
        let Outgoing { to, from, traffic_class, .. } = message.outgoing;
        let mut control = Control::new();
        if let Some(from) = from {
            push_source(&mut control, from, to);
        }
        // The default of the socket.
        if traffic_class != UNMARKED {
            push_traffic_class(&mut control, traffic_class, to);
        }
        if joined {
            let size = u16::try_from(message.size).expect("no segment is longer than SEGMENT_MAX");
            let data = &size.to_ne_bytes();
            control.push(ControlMessage { level: libc::SOL_UDP, kind: libc::UDP_SEGMENT, data });
        }
        let envelope = self.names.len();
        self.names.push(Name::of(to));
        self.controls.push(control);

        let mut part = &parts[usize::from(message.first)];
        for i in 0..message.count {
            if i == 0 || !joined {
                let tally = Tally { datagrams: 0, bytes: 0 };
                self.entries.push(Entry { message: place, envelope, pieces: self.pieces.len(), tally });
            }
            self.add(&own[part.head.clone()]);
            self.add(&bytes[part.payload.clone()]);
            self.add(&ZEROS[..part.padding]);
            if let Some(entry) = self.entries.last_mut() {
                entry.tally.datagrams += 1;
                entry.tally.bytes += part.payload.len() as u64;
            }
            part = &parts[usize::from(part.next)];
        }
    }

    fn add(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.pieces
                .push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
        }
    }

    /// Sends what is laid out, up to a message that is refused for being joined. A socket's pending error is told to
    /// whoever uses it next, and cleared by that: it may be another datagram's, so what meets one `may_try_again`.
    fn send(
        &mut self,
        socket: &UdpSocket,
        may_try_again: bool,
        tell: &mut impl FnMut(u16, Tally, io::Result<()>),
        sent: &mut Sent,
    ) -> Refused {
        self.address();
        let attempts = if may_try_again { ATTEMPTS } else { 1 };
        let (mut at, mut left) = (0, attempts);
        while at < self.entries.len() {
            sent.calls += 1;
            let Entry { message, tally, .. } = self.entries[at];
            match send_messages(socket, &mut self.headers[at..]) {
                Ok(count) => {
                    for entry in &self.entries[at..at + count] {
                        let way =
                            if entry.tally.datagrams > 1 { &mut sent.segmented } else { &mut sent.alone };
                        *way += entry.tally.datagrams;
                        tell(entry.message, entry.tally, Ok(()));
                    }
                    at += count;
                }
                // First, for what goes one by one can be tried again then.
                Err(error) if tally.datagrams > 1 && is_refusal(&error) => return Some((message, error)),
                Err(error) if left > 1 && may_be_anothers(&error) => {
                    left -= 1;
                    continue;
                }
                // The socket has no room: not for the others either.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    for entry in &self.entries[at..] {
                        tell(entry.message, entry.tally, Err(io::ErrorKind::WouldBlock.into()));
                    }
                    return None;
                }
                Err(error) => {
                    tell(message, tally, Err(error));
                    at += 1;
                }
            }
            left = attempts;
        }
        None
    }

    /// Sends the one datagram that is laid out, with DF or without a Fragment header.
    fn send_whole(
        &mut self,
        socket: &UdpSocket,
        to: IpAddr,
        tell: &mut impl FnMut(u16, Tally, io::Result<()>),
        sent: &mut Sent,
    ) -> Refused {
        // Trying twice would have the kernel note twice that it does not fit, so another's error goes first.
        if let Err(error) = socket.take_error().and_then(|_| forbid_fragments(socket, to)) {
            let Entry { message, tally, .. } = self.entries[0];
            tell(message, tally, Err(error));
            return None;
        }
        let refused = self.send(socket, false, tell, sent);
        // What was possible just now is possible again.
        let _ = allow_fragments(socket, to);
        refused
    }

    /// There is no socket for it.
    fn lose(&self, tell: &mut impl FnMut(u16, Tally, io::Result<()>)) -> Refused {
        for entry in &self.entries {
            tell(entry.message, entry.tally, Err(io::ErrorKind::NotConnected.into()));
        }
        None
    }

    /// Writes the headers, once everything that they point at is in its place.
    fn address(&mut self) {
        self.headers.clear();
        for (i, entry) in self.entries.iter().enumerate() {
            let end = self.entries.get(i + 1).map_or(self.pieces.len(), |next| next.pieces);
            let pieces = &self.pieces[entry.pieces..end];
            let (name, length) = &self.names[entry.envelope];
            let control = self.controls[entry.envelope].as_bytes();
            let mut header = empty_header();
            header.msg_name = name.as_ptr().cast_mut();
            header.msg_namelen = *length;
            header.msg_iov = pieces.as_ptr().cast_mut();
            header.msg_iovlen = pieces.len();
            header.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_controllen = control.len();
            self.headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
    }
}

/// One `sendmmsg`: how many of the messages went. The first that did not go is told by the next call.
fn send_messages(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = c_uint::try_from(headers.len()).expect("an outbox has few messages");
    #[expect(unsafe_code, reason = "std sends one datagram at a time, and without control messages")]
    // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers; each points at a name, pieces
    // and control messages as long as it says, which `flush` has borrowed, and which are only read.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether a joined message was refused for being one: by a device that cannot checksum what the kernel segments, by IPsec,
/// or because a segment does not fit the device's packets (udp(7)).
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_refuses_is_asked_again_later() {
        let mut segmentation = Segmentation::new(true);
        segmentation.refused(&io::Error::from_raw_os_error(libc::EINVAL));
        assert!(segmentation.is_on(), "that message was too large");
        segmentation.refused(&io::Error::from_raw_os_error(libc::EIO));
        assert!((0..REFUSED_FOR).all(|_| !segmentation.is_on()));
        assert!(segmentation.is_on());
    }
}
