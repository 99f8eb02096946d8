//! Preparing messages for `sendmmsg`: names, control messages and the pieces of each datagram.

use std::net::{IpAddr, SocketAddr};

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int};

use super::UNMARKED;
use super::control::{Control, ControlMessage};
use super::inbox::{empty_header, to_length};
use super::name::Name;
use super::outbox::{Destination, Message, Part};

/// Padding bytes.
static ZEROS: [u8; 3] = [0; 3];

/// Messages in the form that `sendmmsg` reads. The pointers are valid during
/// [`Outbox::flush`](super::Outbox::flush) only.
pub(super) struct Prepared<T> {
    pub(super) entries: Vec<Entry<T>>,
    names: Vec<(Name, u32)>,
    controls: Vec<Control>,
    pieces: Vec<libc::iovec>,
    pub(super) headers: Vec<libc::mmsghdr>,
}

/// One message for the kernel: one datagram, or several that are joined.
#[derive(Clone, Copy)]
pub(super) struct Entry<T> {
    /// Index of the message in the outbox.
    pub(super) message: u16,
    pub(super) tag: T,
    pub(super) datagrams: u64,
    /// Bytes of the payloads.
    pub(super) bytes: u64,
    /// Index into `names` and `controls`.
    envelope: usize,
    /// Index of the first piece.
    pieces: usize,
}

/// Data of the outbox and its caller that a message refers to.
#[derive(Clone, Copy)]
pub(super) struct Contents<'a> {
    pub(super) parts: &'a [Part],
    pub(super) headers: &'a [u8],
    pub(super) payloads: &'a [u8],
}

impl<T: Copy> Prepared<T> {
    pub(super) fn new(messages: usize, parts: usize) -> Self {
        Self {
            entries: Vec::with_capacity(parts),
            names: Vec::with_capacity(messages),
            controls: Vec::with_capacity(messages),
            pieces: Vec::with_capacity(3 * parts),
            headers: Vec::with_capacity(parts),
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.names.clear();
        self.controls.clear();
        self.pieces.clear();
    }

    /// Adds the message with index `place` in the outbox: as one if `is_joined`, else datagram by
    /// datagram.
    pub(super) fn add<S>(
        &mut self,
        message: &Message<S, T>,
        place: u16,
        is_joined: bool,
        contents: Contents<'_>,
    ) {
        let Contents { parts, headers, payloads } = contents;
        let envelope = self.add_envelope(message.destination, is_joined.then_some(message.size));
        let mut part = &parts[usize::from(message.first)];
        for i in 0..message.count {
            if i == 0 || !is_joined {
                let pieces = self.pieces.len();
                let (message, tag) = (place, message.tag);
                self.entries.push(Entry { message, tag, datagrams: 0, bytes: 0, envelope, pieces });
            }
            self.add_piece(&headers[part.header.clone()]);
            self.add_piece(&payloads[part.payload.clone()]);
            self.add_piece(&ZEROS[..part.padding]);
            if let Some(entry) = self.entries.last_mut() {
                entry.datagrams += 1;
                entry.bytes += part.payload.len() as u64;
            }
            part = &parts[usize::from(part.next)];
        }
    }

    /// Adds the name and the control messages that all datagrams of a message share, and returns
    /// their index.
    fn add_envelope(&mut self, destination: Destination, segment: Option<usize>) -> usize {
        let Destination { address, source, traffic_class, .. } = destination;
        let mut control = Control::new();
        if let Some(source) = source {
            push_source(&mut control, source, address);
        }
        // `UNMARKED` is the socket's default and needs no control message.
        if traffic_class != UNMARKED {
            push_traffic_class(&mut control, traffic_class, address);
        }
        if let Some(size) = segment {
            let size = u16::try_from(size).expect("no segment is longer than SEGMENT_MAX");
            let data = &size.to_ne_bytes();
            control.push(ControlMessage { level: libc::SOL_UDP, kind: libc::UDP_SEGMENT, data });
        }
        let envelope = self.names.len();
        self.names.push(Name::of(address));
        self.controls.push(control);
        envelope
    }

    fn add_piece(&mut self, piece: &[u8]) {
        if !piece.is_empty() {
            self.pieces
                .push(libc::iovec { iov_base: piece.as_ptr().cast_mut().cast(), iov_len: piece.len() });
        }
    }

    /// Writes the headers. Nothing that they point at may move afterwards.
    pub(super) fn write_headers(&mut self) {
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
            header.msg_iovlen = to_length(pieces.len());
            header.msg_control = control.as_ptr().cast_mut().cast();
            header.msg_controllen = to_length(control.len());
            self.headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
    }
}

/// Adds the source address. A link-local source needs an interface, which is the destination's
/// scope.
fn push_source(control: &mut Control, source: IpAddr, destination: SocketAddr) {
    match source {
        // `in_pktinfo`: any interface, the source, and a destination that the kernel ignores.
        IpAddr::V4(ip) => {
            let mut data = [0; 12];
            data[4..8].copy_from_slice(&ip.octets());
            control.push(ControlMessage { level: IPPROTO_IP, kind: libc::IP_PKTINFO, data: &data });
        }
        IpAddr::V6(ip) => {
            let interface = if let SocketAddr::V6(to) = destination { to.scope_id() } else { 0 };
            let mut data = [0; 20];
            data[..16].copy_from_slice(&ip.octets());
            data[16..].copy_from_slice(&interface.to_ne_bytes());
            control.push(ControlMessage { level: IPPROTO_IPV6, kind: libc::IPV6_PKTINFO, data: &data });
        }
    }
}

fn push_traffic_class(control: &mut Control, traffic_class: u8, destination: SocketAddr) {
    let data = &c_int::from(traffic_class).to_ne_bytes();
    let (level, kind) = match destination {
        SocketAddr::V4(_) => (IPPROTO_IP, libc::IP_TOS),
        SocketAddr::V6(_) => (IPPROTO_IPV6, libc::IPV6_TCLASS),
    };
    control.push(ControlMessage { level, kind, data });
}
