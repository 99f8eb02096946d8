//! Receiving: several batches of datagrams by one `recvmmsg`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::ptr;

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int, c_uint};

use super::UNMARKED;
use super::control::{Control, ControlMessage};
use super::name::{self, Name};

/// Bytes of the longest batch, which is also the longest datagram.
const LONGEST: usize = 65_535;

/// Bytes from the beginning of one buffer to that of the next: one cache line more than a multiple
/// of a page, because the beginnings of all buffers in one set of the cache would evict each other.
const STRIDE: usize = 65_536 + 64;

/// Datagrams of one flow as the kernel handed them over: one, or several that it has joined (GRO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// First byte in [`Inbox::bytes`].
    start: usize,
    /// Byte behind the last.
    end: usize,
    /// Bytes of each datagram but the last, which may have fewer.
    size: usize,
    /// Source address; a link-local one with its scope, without which no answer reaches it.
    pub source: SocketAddr,
    /// Destination address, if the socket [tells](super::tell_destination) it.
    pub destination: Option<IpAddr>,
    /// DSCP and ECN, if the socket [tells](super::tell_traffic_class) them, else [`UNMARKED`].
    pub traffic_class: u8,
}

impl Batch {
    /// Returns the ranges of its datagrams in [`Inbox::bytes`], in the order in which they came.
    pub fn datagrams(self) -> impl Iterator<Item = Range<usize>> {
        let Self { start, end, size, .. } = self;
        (0..self.count()).map(move |i| {
            let start = start + i * size;
            start..end.min(start + size)
        })
    }

    /// Number of datagrams.
    #[must_use]
    pub fn count(self) -> usize {
        // An empty datagram is one, too.
        self.length().div_ceil(self.size).max(1)
    }

    /// Whether the kernel has joined several datagrams.
    #[must_use]
    pub fn is_joined(self) -> bool {
        self.length() > self.size
    }

    fn length(self) -> usize {
        self.end - self.start
    }
}

/// Buffers for batches, filled one after the other until they are [cleared](Self::clear). It does
/// not leave its thread.
pub struct Inbox {
    /// Scratch bytes of the owner, then the buffers.
    bytes: Box<[u8]>,
    scratch: usize,
    slots: Box<[Slot]>,
    used: usize,
    /// For the kernel; what they point at is there during a call only.
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
}

/// Name, control messages and length of a batch, as the kernel writes them.
struct Slot {
    name: Name,
    control: Control,
    length: usize,
    is_cut: bool,
}

impl Inbox {
    /// Creates an inbox for so many batches, with so many scratch bytes for its owner, so that a
    /// range of [`Self::bytes`] can also name what came by another way. Memory is taken as it is
    /// used.
    #[must_use]
    pub fn new(batches: usize, scratch: usize) -> Self {
        let slot = || Slot { name: Name::EMPTY, control: Control::new(), length: 0, is_cut: false };
        Self {
            bytes: vec![0; scratch + batches * STRIDE].into(),
            scratch,
            slots: std::iter::repeat_with(slot).take(batches).collect(),
            used: 0,
            headers: Vec::with_capacity(batches),
            parts: Vec::with_capacity(batches),
        }
    }

    /// Bytes that the ranges of datagrams index.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Scratch bytes of the owner, which are the first of [`Self::bytes`].
    pub fn scratch(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.scratch]
    }

    /// Number of further batches that there is room for.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.len() - self.used
    }

    /// Discards what was received.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Receives at most so many batches behind those that are there, and returns their places.
    /// Fewer than asked for: the socket has run dry.
    ///
    /// # Errors
    /// The kernel's error; a pending error of the socket is cleared by being reported.
    pub fn receive(&mut self, socket: &UdpSocket, most: usize) -> io::Result<Range<usize>> {
        let first = self.used;
        self.write_headers(self.room().min(most));
        let received = match receive_messages(socket, &mut self.headers) {
            Ok(received) => received,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(first..first),
            Err(error) => return Err(error),
        };
        for (slot, header) in self.slots[first..].iter_mut().zip(&self.headers).take(received) {
            slot.length = header.msg_len as usize;
            slot.is_cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
            slot.control.set_length(header.msg_hdr.msg_controllen);
        }
        self.used = first + received;
        Ok(first..self.used)
    }

    /// Writes a header for each of the next `count` buffers, which `recvmmsg` fills.
    fn write_headers(&mut self, count: usize) {
        let Self { bytes, slots, headers, parts, scratch, used: first } = self;
        let buffers = bytes[*scratch..].chunks_exact_mut(STRIDE).skip(*first).take(count);
        parts.clear();
        parts.extend(
            buffers.map(|buffer| libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: LONGEST }),
        );
        headers.clear();
        for (slot, part) in slots[*first..].iter_mut().zip(parts) {
            let mut header = empty_header();
            header.msg_name = slot.name.as_mut_ptr();
            header.msg_namelen = name::ROOM;
            header.msg_iov = part;
            header.msg_iovlen = 1;
            header.msg_control = slot.control.room().as_mut_ptr().cast();
            header.msg_controllen = slot.control.room().len();
            headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
    }

    /// Returns the batch at a place that [`Self::receive`] has returned. `None`: it came without an
    /// address, which no datagram does.
    #[must_use]
    pub fn batch(&self, place: usize) -> Option<Batch> {
        let slot = &self.slots[place];
        let start = self.scratch + place * STRIDE;
        let source = slot.name.address()?;
        let mut batch = Batch {
            start,
            end: start + slot.length,
            size: slot.length.max(1),
            source,
            destination: None,
            traffic_class: UNMARKED,
        };
        for ControlMessage { level, kind, data } in slot.control.messages() {
            match (level, kind, data) {
                (IPPROTO_IP, libc::IP_TOS, &[tos, ..]) => batch.traffic_class = tos,
                (IPPROTO_IPV6, libc::IPV6_TCLASS, &[b0, b1, b2, b3]) => {
                    let class = c_int::from_ne_bytes([b0, b1, b2, b3]);
                    batch.traffic_class = u8::try_from(class).unwrap_or_default();
                }
                // The interface, the local address, and last the destination. The second would also
                // be there for a broadcast, which is not answered: nothing can be sent from its
                // destination.
                (IPPROTO_IP, libc::IP_PKTINFO, &[.., a, b, c, d]) => {
                    batch.destination = Some(Ipv4Addr::new(a, b, c, d).into());
                }
                (IPPROTO_IPV6, libc::IPV6_PKTINFO, _) => {
                    batch.destination = data.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into());
                }
                (libc::SOL_UDP, libc::UDP_GRO, &[b0, b1, b2, b3]) => {
                    let size = c_int::from_ne_bytes([b0, b1, b2, b3]);
                    batch.size = usize::try_from(size).unwrap_or_default().max(1);
                }
                _ => {}
            }
        }
        if slot.is_cut {
            // Longer than any buffer: what is left of the datagram at the cut is none.
            batch.end -= slot.length % batch.size;
        }
        Some(batch)
    }
}

/// Calls `recvmmsg` once, and returns the number of headers that it has filled.
fn receive_messages(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = c_uint::try_from(headers.len()).expect("an inbox has few places");
    #[expect(unsafe_code, reason = "std receives one datagram at a time")]
    // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers, and
    // `write_headers` has pointed each at a buffer, a name and room for control messages of its
    // own, as long as it says: memory that the inbox owns, which is borrowed mutably while this is
    // called, and that nothing touches during the call. There is no timeout to read or write.
    let received = unsafe {
        libc::recvmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT, ptr::null_mut())
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Returns a header of zeros.
pub(super) fn empty_header() -> libc::msghdr {
    #[expect(unsafe_code, reason = "it has padding on some systems, and so no constructor")]
    // SAFETY: a struct of pointers and integers, for all of which zero is a value.
    unsafe {
        std::mem::zeroed()
    }
}
