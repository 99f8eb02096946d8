//! Batched UDP input and output for Linux servers with many flows.
//!
//! Nearly all CPU time of a relay is the kernel's. The kernel spends most of it per trip through
//! its UDP stack, not per byte or per system call. With this crate, many datagrams share a system
//! call, and many datagrams of one flow share a trip.
//!
//! - An [`Inbox`] receives [`Batch`]es: single datagrams, or datagrams of one flow that the kernel
//!   has joined.
//! - An [`Outbox`] queues datagrams ([`Transmit`]) for many sockets, and joins those of one flow to
//!   messages that the kernel segments again.
//! - [`Outbox::flush`] sends each socket's messages by one call, and returns the [`Outcome`] of
//!   every datagram.
//!
//! # Features
//!
//! - **`recvmmsg` and `sendmmsg`**: one system call for many datagrams ([recvmmsg(2)],
//!   [sendmmsg(2)]).
//! - **GRO** (`UDP_GRO`): [`join_received`] lets the kernel join incoming datagrams of one flow
//!   ([udp(7)]).
//! - **GSO** (`UDP_SEGMENT`): one message carries up to 63 datagrams of up to 1,252 bytes
//!   ([udp(7)], [segmentation offloads]). [`may_segment`] tells whether the kernel supports it.
//! - **Packet information** (`IP_PKTINFO`, `IPV6_PKTINFO`): [`tell_destination`] adds the
//!   destination to each batch, and [`Destination::source`] sets the source of an answer ([ip(7)],
//!   [RFC 3542 section 6.2]).
//! - **Traffic class** (`IP_TOS`, `IPV6_TCLASS`): [`tell_traffic_class`] adds DSCP and ECN to each
//!   batch, and [`Destination::traffic_class`] sets them ([RFC 3542 section 6.5]).
//! - **Fragmentation** (`IP_MTU_DISCOVER`, `IPV6_MTU_DISCOVER`): [`allow_fragments`] for a socket,
//!   and [`Destination::dont_fragment`] for a single datagram ([ip(7)], [ipv6(7)]).
//! - **Error queue** (`IP_RECVERR`, `IPV6_RECVERR`): [`keep_errors`] lets the kernel queue ICMP
//!   errors. [`receive_error`] returns each with the destination of its datagram ([ip(7)],
//!   [RFC 8656 section 11.5]).
//! - **Heap** (`malloc_trim`): [`return_free_pages`] returns free memory to the kernel after a
//!   flood ([malloc_trim(3)]).
//!
//! # Guarantees
//!
//! - No flow is reordered.
//! - Payloads are not copied in user space: an outbox sends them from the inbox.
//! - After the first few rounds, nothing here allocates.
//! - No call waits for the network. A datagram that cannot be sent is lost, and its outcome says
//!   why.
//! - If the kernel or a device lacks an offload, datagrams go one by one. Support is detected by
//!   trying.
//!
//! The crate contains no protocol, no event loop and no clock. It holds the only unsafe code of its
//! workspace.
//!
//! # Example
//!
//! This server answers each datagram with a header and the datagram itself. Both sockets are on
//! loopback:
//!
//! ```
//! use std::net::UdpSocket;
//!
//! use byway_udp::{Destination, Inbox, Outbox, Transmit, UNMARKED, join_received, may_segment};
//!
//! # fn main() -> std::io::Result<()> {
//! let server = UdpSocket::bind("127.0.0.1:0")?;
//! let client = UdpSocket::bind("127.0.0.1:0")?;
//! let _ = join_received(&server); // without GRO, each batch has one datagram
//! let mut inbox = Inbox::new(8, 0);
//! let mut outbox = Outbox::new(may_segment(&server));
//!
//! client.send_to(b"ping", server.local_addr()?)?;
//! server.peek_from(&mut [0])?; // `receive` does not wait; a real server polls its sockets
//!
//! let places = inbox.receive(&server, inbox.room())?;
//! for place in places {
//!     let Some(batch) = inbox.batch(place) else { continue };
//!     for payload in batch.datagrams() {
//!         let header = b"echo: ";
//!         if !outbox.has_room(header.len()) {
//!             outbox.flush(inbox.bytes(), |()| Some(&server));
//!         }
//!         outbox.push(Transmit {
//!             socket: (),
//!             tag: (),
//!             destination: Destination {
//!                 address: batch.source,
//!                 source: None,
//!                 traffic_class: UNMARKED,
//!                 dont_fragment: false,
//!             },
//!             header,
//!             payload,
//!             padding: 0,
//!         });
//!     }
//! }
//! let flushed = outbox.flush(inbox.bytes(), |()| Some(&server));
//! for outcome in flushed.outcomes {
//!     outcome.result?;
//! }
//! inbox.clear();
//!
//! let mut answer = [0; 32];
//! let (length, _) = client.recv_from(&mut answer)?;
//! assert_eq!(&answer[..length], b"echo: ping");
//! # Ok(())
//! # }
//! ```
//!
//! [recvmmsg(2)]: https://man7.org/linux/man-pages/man2/recvmmsg.2.html
//! [sendmmsg(2)]: https://man7.org/linux/man-pages/man2/sendmmsg.2.html
//! [udp(7)]: https://man7.org/linux/man-pages/man7/udp.7.html
//! [ip(7)]: https://man7.org/linux/man-pages/man7/ip.7.html
//! [ipv6(7)]: https://man7.org/linux/man-pages/man7/ipv6.7.html
//! [malloc_trim(3)]: https://man7.org/linux/man-pages/man3/malloc_trim.3.html
//! [segmentation offloads]: https://docs.kernel.org/networking/segmentation-offloads.html
//! [RFC 3542 section 6.2]: https://www.rfc-editor.org/rfc/rfc3542#section-6.2
//! [RFC 3542 section 6.5]: https://www.rfc-editor.org/rfc/rfc3542#section-6.5
//! [RFC 8656 section 11.5]: https://www.rfc-editor.org/rfc/rfc8656#section-11.5

mod control;
mod error_queue;
mod flush;
mod heap;
mod inbox;
mod name;
mod options;
mod outbox;
mod prepare;
mod segmentation;
mod sendmmsg;
#[cfg(test)]
mod tests;

pub use error_queue::{Undelivered, receive_error};
pub use flush::{Flushed, Outcome, SendStats};
pub use heap::return_free_pages;
pub use inbox::{Batch, Inbox};
pub use options::{
    allow_fragments, join_received, keep_errors, may_segment, tell_destination, tell_traffic_class,
};
pub use outbox::{Destination, Outbox, Transmit};

/// Traffic class of datagrams without marks: best effort, not ECN-capable.
///
/// It applies to the server's own datagrams, and to data that came over a stream. The bytes of a
/// stream have no traffic class of their own (RFC 8656 section 15).
pub const UNMARKED: u8 = 0;
