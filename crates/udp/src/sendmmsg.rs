//! Sending prepared messages by `sendmmsg`. An error may concern the message, its socket or an
//! earlier datagram.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::c_uint;

use super::flush::Report;
use super::options::{allow_fragments, forbid_fragments};
use super::prepare::Prepared;

/// Maximum attempts to send one message. Each attempt clears one pending error, which may be
/// another datagram's.
const ATTEMPTS: u32 = 8;

/// A joined message that the kernel refused to segment.
pub(super) struct Refusal {
    /// Index of the message in the outbox.
    pub(super) message: u16,
    pub(super) error: io::Error,
}

impl<T: Copy> Prepared<T> {
    /// Sends all messages, up to the first that the kernel refuses to segment.
    pub(super) fn send(&mut self, socket: &UdpSocket, report: &mut Report<T>) -> Option<Refusal> {
        self.send_within(ATTEMPTS, socket, report)
    }

    /// Sends the one prepared datagram with DF, or over IPv6 without a Fragment header.
    pub(super) fn send_unfragmented(
        &mut self,
        socket: &UdpSocket,
        destination: IpAddr,
        report: &mut Report<T>,
    ) -> Option<Refusal> {
        // Clear a pending error of another datagram first. A second attempt would put a second
        // "does not fit" into the error queue.
        if let Err(error) = socket.take_error().and_then(|_| forbid_fragments(socket, destination)) {
            report.failed(&self.entries[0], error);
            return None;
        }
        let refusal = self.send_within(1, socket, report);
        // The option could be set just now, so it can be set again.
        let _ = allow_fragments(socket, destination);
        refusal
    }

    /// Sends all messages, each within `attempts` attempts. The kernel reports a socket's pending
    /// error to the next call and then clears it, so an error may belong to another datagram.
    fn send_within(&mut self, attempts: u32, socket: &UdpSocket, report: &mut Report<T>) -> Option<Refusal> {
        self.write_headers();
        let (mut next, mut left) = (0, attempts);
        while next < self.entries.len() {
            report.stats.calls += 1;
            let first = &self.entries[next];
            match send_messages(socket, &mut self.headers[next..]) {
                Ok(count) => {
                    self.entries[next..next + count].iter().for_each(|entry| report.sent(entry));
                    next += count;
                }
                // This arm is first, because the datagrams of a refused message are sent again one
                // by one.
                Err(error) if first.datagrams > 1 && is_refusal(&error) => {
                    return Some(Refusal { message: first.message, error });
                }
                Err(error) if left > 1 && may_be_anothers(&error) => {
                    left -= 1;
                    continue;
                }
                // The send buffer is full, for the remaining messages, too.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.fail_from(next, io::ErrorKind::WouldBlock, report);
                    return None;
                }
                Err(error) => {
                    report.failed(first, error);
                    next += 1;
                }
            }
            left = attempts;
        }
        None
    }

    /// Fails all messages from index `next` on with the same error.
    pub(super) fn fail_from(&self, next: usize, error: io::ErrorKind, report: &mut Report<T>) {
        self.entries[next..].iter().for_each(|entry| report.failed(entry, error.into()));
    }
}

/// Calls `sendmmsg` once, and returns the number of messages that were sent. The next call reports
/// the error of the first unsent message. Calls the kernel by number: musl's function of that name
/// sends the messages one by one.
fn send_messages(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = c_uint::try_from(headers.len()).expect("an outbox has few messages");
    #[expect(unsafe_code, reason = "std sends one datagram at a time, and without control messages")]
    // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers. Each
    // points at a name, pieces and control messages of the stated lengths. `flush` has borrowed
    // them, and the kernel only reads them.
    let sent = unsafe {
        libc::syscall(libc::SYS_sendmmsg, socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether the kernel refused a message because it is joined (udp(7)). The device cannot checksum
/// the segments, IPsec applies, or a segment does not fit the device's packets.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Whether Linux derives this error from ICMP. Most of these errors can also be the datagram's own.
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
