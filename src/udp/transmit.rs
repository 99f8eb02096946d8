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
        let Self { own, parts, messages, order, segmentation, kernel } = self;
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
            self.add(&own[part.head.range()]);
            self.add(&bytes[part.payload.range()]);
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
    /// whoever uses it next, and cleared by that: it may be another datagram's, so what meets one `may_try_twice`.
    fn send(
        &mut self,
        socket: &UdpSocket,
        may_try_twice: bool,
        tell: &mut impl FnMut(u16, Tally, io::Result<()>),
        sent: &mut Sent,
    ) -> Refused {
        self.address();
        let (mut at, mut tried) = (0, !may_try_twice);
        while at < self.entries.len() {
            sent.calls += 1;
            let Entry { message, tally, .. } = self.entries[at];
            match send_messages(socket, &mut self.headers[at..]) {
                Ok(count) => {
                    for entry in &self.entries[at..at + count] {
                        let left =
                            if entry.tally.datagrams > 1 { &mut sent.segmented } else { &mut sent.alone };
                        *left += entry.tally.datagrams;
                        tell(entry.message, entry.tally, Ok(()));
                    }
                    at += count;
                }
                Err(error) if !tried && may_be_anothers(&error) => {
                    tried = true;
                    continue;
                }
                Err(error) if tally.datagrams > 1 && is_refusal(&error) => return Some((message, error)),
                Err(error) => {
                    tell(message, tally, Err(error));
                    at += 1;
                }
            }
            tried = !may_try_twice;
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
            let pieces = &mut self.pieces[entry.pieces..end];
            let (name, length) = &mut self.names[entry.envelope];
            let control = self.controls[entry.envelope].as_bytes();
            let mut header = empty_header();
            header.msg_name = name.as_mut_ptr();
            header.msg_namelen = *length;
            header.msg_iov = pieces.as_mut_ptr();
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
    use std::time::Duration;

    use mio::unix::SourceFd;

    use super::super::options::set_one;
    use super::super::{Inbox, Train, join_received, keep_errors, tell_destination, tell_traffic_class};
    use super::*;
    use crate::wire::Span;

    const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

    fn bound(address: &str) -> UdpSocket {
        let socket = UdpSocket::bind(address).unwrap();
        let ip = socket.local_addr().unwrap().ip();
        tell_traffic_class(&socket, ip).unwrap();
        allow_fragments(&socket, ip).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    fn to(socket: &UdpSocket) -> Outgoing {
        let to = socket.local_addr().unwrap();
        Outgoing { to, from: None, traffic_class: UNMARKED, dont_fragment: false }
    }

    /// Sends datagrams from one socket; yields what became of them, by the place of the first of each fate.
    fn send(socket: &UdpSocket, segment: bool, datagrams: &[(&[u8], Outgoing)]) -> (Vec<Fate>, Sent) {
        let mut outbox = Outbox::new(segment);
        let mut bytes = Vec::new();
        for (datagram, outgoing) in datagrams {
            let start = bytes.len();
            bytes.extend_from_slice(datagram);
            outbox.push(((), ()), *outgoing, (&[], Span { start, end: bytes.len() }, 0));
        }
        let mut fates = Vec::new();
        let sent = outbox.flush(
            &bytes,
            |()| Some(socket),
            |(), tally, outcome| {
                fates.push((tally.datagrams, outcome.err().and_then(|error| error.raw_os_error())));
            },
        );
        assert!(outbox.is_empty());
        (fates, sent)
    }

    /// How many datagrams, and the error that they met.
    type Fate = (u64, Option<i32>);

    const GONE: Fate = (1, None);

    /// Sends one datagram.
    fn send_one(socket: &UdpSocket, datagram: &[u8], outgoing: Outgoing) -> Fate {
        let (fates, _) = send(socket, true, &[(datagram, outgoing)]);
        assert_eq!(fates.len(), 1);
        fates[0]
    }

    /// The next trains, waited for with a bound.
    fn receive(socket: &UdpSocket, inbox: &mut Inbox) -> Vec<Train> {
        inbox.clear();
        for _ in 0..100 {
            let places = inbox.receive(socket, inbox.room()).unwrap();
            if !places.is_empty() {
                return places.map(|place| inbox.train(place).unwrap()).collect();
            }
            wait(socket, |_| true);
        }
        panic!("nothing within ten seconds");
    }

    /// The next datagram, which comes alone.
    fn receive_one(socket: &UdpSocket) -> (Train, Vec<u8>) {
        let mut inbox = Inbox::new(2, 0);
        let trains = receive(socket, &mut inbox);
        let datagrams: Vec<Span> = trains[0].datagrams().collect();
        assert_eq!((trains.len(), datagrams.len()), (1, 1));
        (trains[0], inbox.bytes()[datagrams[0].range()].to_vec())
    }

    #[test]
    fn the_traffic_class_goes_with_its_datagram_and_no_other() {
        for address in LOOPBACK {
            let (sender, receiver) = (bound(address), bound(address));
            // Expedited forwarding and CE; ECT(0) alone; all ones; none.
            for traffic_class in [0xBB, 0x02, 0xFF, 0x00] {
                assert_eq!(send_one(&sender, b"hello", Outgoing { traffic_class, ..to(&receiver) }), GONE);
                let (train, bytes) = receive_one(&receiver);
                assert_eq!((train.from, train.to), (sender.local_addr().unwrap(), None));
                assert_eq!((train.traffic_class, &bytes[..]), (traffic_class, &b"hello"[..]));
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
            let (train, _) = receive_one(&server);
            assert_eq!(train.to, Some(asked));
            let answer = Outgoing { from: train.to, traffic_class: 0x03, ..to(&client) };
            assert_eq!(send_one(&server, b"answer", answer), GONE);
            assert_eq!(receive_one(&client).0.traffic_class, 0x03);
        }
    }

    /// Sizes of one flow, in order: what is as long as the first one joins it, a shorter one ends that.
    #[test]
    fn a_flow_arrives_in_order_whether_the_kernel_joins_it_or_not() {
        let sizes = [160, 160, 160, 40, 160, 160, 0, 1200, 1200, 1300, 7, 7, 7, 1460, 1460];
        let datagrams: Vec<Vec<u8>> = (0..).zip(sizes).map(|(i, size)| vec![i; size]).collect();
        for address in LOOPBACK {
            for (segment, join) in [(true, true), (true, false), (false, true), (false, false)] {
                let (sender, receiver) = (bound(address), bound(address));
                if join {
                    join_received(&receiver).unwrap();
                }
                let way = Outgoing { traffic_class: 0x02, ..to(&receiver) };
                let all: Vec<_> = datagrams.iter().map(|datagram| (&datagram[..], way)).collect();
                let (fates, sent) = send(&sender, segment, &all);
                assert!(fates.iter().all(|(_, error)| error.is_none()), "{fates:?}");
                let segmented = if segment { 4 + 2 + 2 + 2 + 2 } else { 0 };
                let total = sizes.len() as u64;
                assert_eq!((sent.segmented, sent.alone), (segmented, total - segmented));
                assert_eq!((sent.calls, sent.refused), (1, 0));

                let (mut inbox, mut came) = (Inbox::new(32, 100), Vec::new());
                let mut joined = 0;
                while came.len() < sizes.len() {
                    for train in receive(&receiver, &mut inbox) {
                        assert_eq!(train.traffic_class, 0x02);
                        joined += usize::from(train.is_joined());
                        came.extend(train.datagrams().map(|span| inbox.bytes()[span.range()].to_vec()));
                    }
                }
                assert_eq!(came, datagrams);
                assert_eq!(joined > 0, segment && join, "loopback hands over what was joined as it is");
            }
        }
    }

    /// Three flows that take turns, from two sockets: each is joined, none reordered.
    #[test]
    fn flows_that_take_turns_are_sorted_out() {
        let senders = [bound(LOOPBACK[0]), bound(LOOPBACK[0])];
        let receivers = [bound(LOOPBACK[0]), bound(LOOPBACK[0])];
        receivers.iter().for_each(|receiver| join_received(receiver).unwrap());
        let flows = [(0, 0), (1, 1), (0, 1)];
        let (mut outbox, mut bytes) = (Outbox::new(true), Vec::new());
        for i in 0..10 {
            for (flow, &(from, at)) in (0..).zip(&flows) {
                let span = Span { start: bytes.len(), end: bytes.len() + 100 };
                bytes.extend([[flow, i]; 50].concat());
                outbox.push((from, flow), to(&receivers[at]), (b"head", span, 3));
            }
        }
        let mut tallies = Vec::new();
        let sent = outbox.flush(
            &bytes,
            |from: usize| Some(&senders[from]),
            |flow, tally, outcome| {
                outcome.unwrap();
                tallies.push((flow, tally));
            },
        );
        let tally = Tally { datagrams: 10, bytes: 1000 };
        assert_eq!(tallies, [(0, tally), (2, tally), (1, tally)], "by socket, then as they came");
        assert_eq!(sent, Sent { calls: 2, alone: 0, segmented: 30, refused: 0 });
        let mut inbox = Inbox::new(8, 0);
        for (receiver, flows) in receivers.iter().zip([vec![0], vec![2, 1]]) {
            for flow in flows {
                let train = receive(receiver, &mut inbox).remove(0);
                assert_eq!(train.count(), 10);
                for (i, span) in (0..).zip(train.datagrams()) {
                    let expected = [&b"head"[..], &[[flow, i]; 50].concat(), &[0; 3]].concat();
                    assert_eq!(inbox.bytes()[span.range()], expected);
                }
                if receiver.peek(&mut [0]).is_err() {
                    break;
                }
            }
        }
    }

    /// The kernel segments nothing for a socket that asks for no checksums: one refusal that needs no device.
    #[test]
    fn what_is_refused_for_being_joined_goes_one_by_one() {
        let (sender, receiver) = (bound(LOOPBACK[0]), bound(LOOPBACK[0]));
        set_one(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
        let (small, large) = ([7; 100], [8; 200]);
        let sizes = [&small[..], &small, &small, &large, &large];
        let datagrams: Vec<_> = sizes.into_iter().map(|datagram| (datagram, to(&receiver))).collect();
        let (fates, sent) = send(&sender, true, &datagrams);
        assert_eq!(fates, [GONE; 5]);
        assert_eq!((sent.alone, sent.segmented, sent.refused), (5, 0, 2));
        let mut inbox = Inbox::new(8, 0);
        let trains = receive(&receiver, &mut inbox);
        let came = trains.iter().flat_map(|train| train.datagrams());
        assert!(came.map(|span| &inbox.bytes()[span.range()]).eq(sizes));
    }

    #[test]
    fn a_device_that_refuses_is_asked_again_later() {
        let mut segmentation = Segmentation::new(true);
        segmentation.refused(&io::Error::from_raw_os_error(libc::EINVAL));
        assert!(segmentation.is_on(), "that message was too large");
        segmentation.refused(&io::Error::from_raw_os_error(libc::EIO));
        assert!((0..REFUSED_FOR).all(|_| !segmentation.is_on()));
        assert!(segmentation.is_on());
    }

    /// Loopback carries 65,536 bytes at a time, which an IPv6 datagram can exceed and an IPv4 one cannot.
    #[test]
    fn what_must_not_be_fragmented_is_not_sent_where_it_does_not_fit() {
        let (sender, receiver) = (bound(LOOPBACK[1]), bound(LOOPBACK[1]));
        let large = vec![7; 65_520];
        for _ in 0..2 {
            let whole = Outgoing { dont_fragment: true, ..to(&receiver) };
            assert_eq!(send_one(&sender, &large, whole), (1, Some(libc::EMSGSIZE)));
            assert_eq!(send_one(&sender, b"small", whole), GONE);
            assert_eq!(receive_one(&receiver).1, b"small");
            assert_eq!(send_one(&sender, &large, to(&receiver)), GONE);
            assert_eq!(receive_one(&receiver).1, large);
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
                assert_eq!(send_one(&sender, b"to nobody", to(&deaf)), GONE);
                wait(&sender, mio::event::Event::is_error);
                let way = Outgoing { dont_fragment, ..to(&receiver) };
                assert_eq!(send_one(&sender, b"hello", way), GONE);
                assert_eq!(receive_one(&receiver).1, b"hello");
            }
        }
    }

    #[test]
    fn an_error_is_told_of_its_own_datagram_alone() {
        let (sender, receiver) = (bound(LOOPBACK[0]), bound(LOOPBACK[0]));
        let nowhere = Outgoing { to: "127.0.0.1:0".parse().unwrap(), ..to(&receiver) };
        let broadcast = Outgoing { to: "255.255.255.255:9".parse().unwrap(), ..to(&receiver) };
        let all = [(b"a", to(&receiver)), (b"x", nowhere), (b"b", to(&receiver)), (b"x", broadcast)];
        let all: Vec<_> = all.iter().map(|(datagram, way)| (&datagram[..], *way)).collect();
        let (fates, _) = send(&sender, false, &all);
        assert_eq!(fates, [GONE, (1, Some(libc::EINVAL)), GONE, (1, Some(libc::EACCES))]);
        assert_eq!(receive(&receiver, &mut Inbox::new(4, 0)).len(), 2);
    }

    /// Returns once the socket has such news, or after a tenth of a second.
    fn wait(socket: &UdpSocket, of_interest: fn(&mio::event::Event) -> bool) {
        let mut poll = mio::Poll::new().unwrap();
        let mut events = mio::Events::with_capacity(1);
        let (mut source, interest) = (SourceFd(&socket.as_raw_fd()), mio::Interest::READABLE);
        poll.registry().register(&mut source, mio::Token(0), interest).unwrap();
        for _ in 0..100 {
            poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
            if events.iter().any(of_interest) {
                return;
            }
        }
        panic!("no news within ten seconds");
    }
}
