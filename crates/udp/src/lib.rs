//! UDP sockets with all that Linux can do: many datagrams for each system call, and batches of them
//! for each trip through the network stack.
//!
//! Nearly all that a relay costs is the kernel's, and most of that is paid per trip through its UDP
//! stack, not per byte or per system call. So datagrams travel together where they can:
//!
//! - An [`Inbox`] receives [`Batch`]es: datagrams of one flow that the kernel has put together
//!   (UDP_GRO), or single ones.
//! - An [`Outbox`] gathers datagrams ([`Transmit`]) for many sockets, and joins those of one flow
//!   to messages that the kernel takes apart again (UDP_SEGMENT, "GSO").
//! - [`Outbox::flush`] sends each socket's messages by one call, and returns the [`Outcome`] of
//!   every datagram.
//!
//! An offload that the kernel or a device lacks is found out by trying, and datagrams go one by one
//! instead. No flow is reordered, and after the first few rounds nothing here allocates. Payloads
//! are never copied: what an outbox sends lies in the inbox.

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

/// The traffic class of what the server says itself, and of what came over a stream, whose bytes
/// have no class of their own (RFC 8656 section 15): best effort, not ECN-capable.
pub const UNMARKED: u8 = 0;
