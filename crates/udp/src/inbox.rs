//! Receiving: up to a batch of trains by one `recvmmsg`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::ptr;

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int, c_uint};

use super::UNMARKED;
use super::control::{Control, ControlMessage};
use super::name::{self, Name};

/// Bytes of the longest train, which is also the longest datagram.
const LONGEST: usize = 65_535;

/// From the beginning of one buffer to that of the next: one cache line more than a multiple of a page, because the
/// beginnings of all buffers in one set of the cache would drive each other out.
const STRIDE: usize = 65_536 + 64;

/// Datagrams as they came: one, or several of one flow that the kernel has put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Train {
    /// First byte in [`Inbox::bytes`].
    start: usize,
    /// Byte behind the last.
    end: usize,
    /// Bytes of each datagram but the last, which may have fewer.
    size: usize,
    /// The source; a link-local one with its scope, without which there is no answering it.
    pub from: SocketAddr,
    /// The destination, if the socket tells.
    pub to: Option<IpAddr>,
    /// DSCP and ECN, if the socket tells, else [`UNMARKED`].
    pub traffic_class: u8,
}

impl Train {
    /// Where its datagrams lie in [`Inbox::bytes`], in the order in which they came.
    pub fn datagrams(self) -> impl Iterator<Item = Range<usize>> {
        let Self { start, end, size, .. } = self;
        (0..self.count()).map(move |i| {
            let start = start + i * size;
            start..end.min(start + size)
        })
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> usize {
        // An empty datagram is one, too.
        self.length().div_ceil(self.size).max(1)
    }

    /// Whether the kernel has put several datagrams together.
    #[must_use]
    pub fn is_joined(self) -> bool {
        self.length() > self.size
    }

    fn length(self) -> usize {
        self.end - self.start
    }
}

/// Buffers for trains, filled one after the other until they are [cleared](Self::clear). It does not leave its thread.
pub struct Inbox {
    /// Room for the owner's own use, then the buffers.
    bytes: Box<[u8]>,
    own: usize,
    slots: Box<[Slot]>,
    used: usize,
    /// For the kernel; what they point at is there during a call only.
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
}

/// What the kernel says of a train.
struct Slot {
    name: Name,
    control: Control,
    length: usize,
    is_cut: bool,
}

impl Inbox {
    /// An inbox for so many trains, with so many bytes beside them that are the owner's, so that a span of
    /// [`Self::bytes`] can also name what came by another way. Memory is taken as it is used.
    #[must_use]
    pub fn new(trains: usize, own: usize) -> Self {
        let slot = || Slot { name: Name::EMPTY, control: Control::new(), length: 0, is_cut: false };
        Self {
            bytes: vec![0; own + trains * STRIDE].into(),
            own,
            slots: std::iter::repeat_with(slot).take(trains).collect(),
            used: 0,
            headers: Vec::with_capacity(trains),
            parts: Vec::with_capacity(trains),
        }
    }

    /// All that there is, for spans to index.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The owner's own bytes, which are the first.
    pub fn own(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.own]
    }

    /// How many more trains there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.len() - self.used
    }

    /// Forgets what was received.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Receives at most so many trains behind those that are there, and yields their places. Fewer than asked for: the
    /// socket has run dry.
    ///
    /// # Errors
    /// What the kernel says; a pending error of the socket is cleared by being told.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> io::Result<Range<usize>> {
        let first = self.used;
        let slots = &mut self.slots[first..];
        let count = slots.len().min(most);
        let slots = &mut slots[..count];
        let buffers = self.bytes[self.own..].chunks_exact_mut(STRIDE).skip(first);
        self.parts.clear();
        self.parts.extend(
            buffers
                .take(count)
                .map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST }),
        );
        self.headers.clear();
        for (slot, part) in slots.iter_mut().zip(&mut self.parts) {
            let mut header = empty_header();
            header.msg_name = slot.name.as_mut_ptr();
            header.msg_namelen = name::ROOM;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.room().as_mut_ptr().cast();
            header.msg_controllen = slot.control.room().len();
            self.headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
        let headers = self.headers.as_mut_ptr();
        let count = c_uint::try_from(count).expect("an inbox has few places");
        #[expect(unsafe_code, reason = "std receives one datagram at a time")]
        // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers, and each points at a
        // buffer, a name and room for control messages of its own, as long as it says: memory that `self` owns, has
        // borrowed mutably above, and does not touch during the call. There is no timeout to read or write.
        let received = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), headers, count, libc::MSG_DONTWAIT, ptr::null_mut())
        };
        let Ok(received) = usize::try_from(received) else {
            let error = io::Error::last_os_error();
            return if error.kind() == ErrorKind::WouldBlock { Ok(first..first) } else { Err(error) };
        };
        for (slot, header) in slots.iter_mut().zip(&self.headers).take(received) {
            slot.length = header.msg_len as usize;
            slot.is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.control.set_length(header.msg_hdr.msg_controllen);
        }
        self.used = first + received;
        Ok(first..self.used)
    }

    /// The train at a place that [`Self::receive`] has yielded. `None`: it came without an address, which no datagram does.
    #[must_use]
    pub fn train(&self, place: usize) -> Option<Train> {
        let slot = &self.slots[place];
        let start = self.own + place * STRIDE;
        let from = slot.name.address()?;
        let mut train = Train {
            start,
            end: start + slot.length,
            size: slot.length.max(1),
            from,
            to: None,
            traffic_class: UNMARKED,
        };
        for ControlMessage { level, kind, data } in slot.control.messages() {
            match (level, kind, data) {
                (IPPROTO_IP, libc::IP_TOS, &[tos, ..]) => train.traffic_class = tos,
                (IPPROTO_IPV6, libc::IPV6_TCLASS, &[b0, b1, b2, b3]) => {
                    let class = c_int::from_ne_bytes([b0, b1, b2, b3]);
                    train.traffic_class = u8::try_from(class).unwrap_or_default();
                }
                // The interface, the local address, and last the destination. The second would also be there for a
                // broadcast, which is not answered: nothing can be sent from its destination.
                (IPPROTO_IP, libc::IP_PKTINFO, &[.., a, b, c, d]) => {
                    train.to = Some(Ipv4Addr::new(a, b, c, d).into());
                }
                (IPPROTO_IPV6, libc::IPV6_PKTINFO, _) => {
                    train.to = data.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into());
                }
                (libc::SOL_UDP, libc::UDP_GRO, &[b0, b1, b2, b3]) => {
                    let size = c_int::from_ne_bytes([b0, b1, b2, b3]);
                    train.size = usize::try_from(size).unwrap_or_default().max(1);
                }
                _ => {}
            }
        }
        if slot.is_cut {
            // Longer than any buffer: what is left of the datagram at the cut is none.
            train.end -= slot.length % train.size;
        }
        Some(train)
    }
}

pub(super) fn empty_header() -> libc::msghdr {
    #[expect(unsafe_code, reason = "it has padding on some systems, and so no constructor")]
    // SAFETY: a struct of pointers and integers, for all of which zero is a value.
    unsafe {
        std::mem::zeroed()
    }
}
