//! Receiving several batches of datagrams by one `recvmmsg`.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::ptr;

use libc::{IPPROTO_IP, IPPROTO_IPV6, c_int, c_uint};

use super::UNMARKED;
use super::control::{Control, ControlMessage};
use super::name::{self, Name};

/// Maximum bytes of a batch, and of a datagram.
const LONGEST: usize = 65_535;

/// Bytes from the start of one buffer to the start of the next: a multiple of a page, plus one
/// cache line. Without that line, all buffers would begin in the same set of the cache and evict
/// each other.
const STRIDE: usize = 65_536 + 64;

/// Datagrams of one flow as the kernel delivered them: one, or several that it joined (GRO).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    /// Index of the first byte in [`Inbox::bytes`].
    start: usize,
    /// Index after the last byte.
    end: usize,
    /// Bytes of each datagram; the last may be shorter.
    size: usize,
    /// Source address. A link-local address has its scope, which an answer needs.
    pub source: SocketAddr,
    /// Destination address, if [`tell_destination`](super::tell_destination) is set on the socket.
    pub destination: Option<IpAddr>,
    /// DSCP and ECN, if [`tell_traffic_class`](super::tell_traffic_class) is set on the socket,
    /// else [`UNMARKED`].
    pub traffic_class: u8,
}

impl Batch {
    /// Returns the ranges of its datagrams in [`Inbox::bytes`], in order of arrival.
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
        // An empty datagram counts, too.
        self.length().div_ceil(self.size).max(1)
    }

    /// Whether the kernel joined several datagrams.
    #[must_use]
    pub fn is_joined(self) -> bool {
        self.length() > self.size
    }

    fn length(self) -> usize {
        self.end - self.start
    }
}

/// Buffers for received batches, filled one after the other until they are [cleared](Self::clear).
/// An inbox is not `Send`.
pub struct Inbox {
    /// Scratch bytes of the owner, followed by the buffers.
    bytes: Box<[u8]>,
    scratch: usize,
    slots: Box<[Slot]>,
    used: usize,
    /// Headers for the kernel. Their pointers are valid during a call only.
    headers: Vec<libc::mmsghdr>,
    parts: Vec<libc::iovec>,
}

/// Name, control messages and length of a batch, as written by the kernel.
struct Slot {
    name: Name,
    control: Control,
    length: usize,
    is_cut: bool,
}

impl Inbox {
    /// Creates an inbox with room for `batches` batches, and `scratch` bytes for its owner.
    ///
    /// Scratch bytes let ranges of [`Self::bytes`] also name data from other sources. Memory is
    /// allocated as it is used.
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

    /// Returns the bytes that ranges of datagrams index.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the scratch bytes of the owner, which are the first of [`Self::bytes`].
    pub fn scratch(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.scratch]
    }

    /// Returns the number of further batches that fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.slots.len() - self.used
    }

    /// Discards all received batches.
    pub fn clear(&mut self) {
        self.used = 0;
    }

    /// Receives up to `most` batches after those that are present, and returns their places. Fewer
    /// than requested means that the socket has no more.
    ///
    /// # Errors
    /// The error of the kernel. A pending error of the socket is cleared when it is reported.
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
            slot.control.set_length(from_length(header.msg_hdr.msg_controllen));
        }
        self.used = first + received;
        Ok(first..self.used)
    }

    /// Writes headers for the next `count` buffers, which `recvmmsg` fills.
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
            header.msg_controllen = to_length(slot.control.room().len());
            headers.push(libc::mmsghdr { msg_hdr: header, msg_len: 0 });
        }
    }

    /// Returns the batch at a place that [`Self::receive`] returned. `None` means that it has no
    /// source address, which no datagram lacks.
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
                // `in_pktinfo`: the interface, the local address, and the destination. A broadcast
                // has a local address, too, but is not answered: its destination cannot be a
                // source.
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
            // The batch was longer than its buffer, so its last datagram is incomplete. Drop that
            // one.
            batch.end -= slot.length % batch.size;
        }
        Some(batch)
    }
}

/// Calls `recvmmsg` once, and returns the number of filled headers. Calls the kernel by number, as
/// for `sendmmsg`.
fn receive_messages(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = c_uint::try_from(headers.len()).expect("an inbox has few places");
    #[expect(unsafe_code, reason = "std receives one datagram at a time")]
    // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers.
    // `write_headers` gave each its own buffer, name and room for control messages, with their
    // lengths. The inbox owns that memory and is borrowed mutably, so nothing else accesses it
    // during the call. The timeout is null.
    let received = unsafe {
        libc::syscall(
            libc::SYS_recvmmsg,
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            count,
            libc::MSG_DONTWAIT,
            ptr::null_mut::<libc::timespec>(),
        )
    };
    usize::try_from(received).map_err(|_| io::Error::last_os_error())
}

/// Converts a length for a header. The kernel's type is `size_t`, and so is glibc's. musl has a
/// shorter one with padding, which [`empty_header`] zeroed.
pub(super) fn to_length<T: TryFrom<usize>>(bytes: usize) -> T {
    T::try_from(bytes).ok().expect("lengths in a header are below 64 KiB")
}

/// Converts a length that the kernel wrote, with the types of [`to_length`].
pub(super) fn from_length<T: TryInto<usize>>(bytes: T) -> usize {
    bytes.try_into().ok().expect("the kernel writes no more than the room that it was given")
}

/// Returns a zeroed header.
pub(super) fn empty_header() -> libc::msghdr {
    #[expect(unsafe_code, reason = "it has padding on some systems, and therefore no constructor")]
    // SAFETY: a struct of pointers and integers, for which zero is a valid value.
    unsafe {
        std::mem::zeroed()
    }
}
