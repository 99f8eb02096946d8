//! Sending prepared messages: `sendmmsg`, and the errors that concern a message, its socket or
//! another datagram.

use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;

use libc::c_uint;

use super::flush::Report;
use super::options::{allow_fragments, forbid_fragments};
use super::prepare::Prepared;

/// Attempts at a message that meets errors which may be other datagrams'. Each attempt clears one.
const ATTEMPTS: u32 = 8;

/// A message that was not segmented.
pub(super) struct Refusal {
    /// Place of the message in the outbox.
    pub(super) message: u16,
    pub(super) error: io::Error,
}

impl<T: Copy> Prepared<T> {
    /// Sends everything, up to a message that is refused for being joined.
    pub(super) fn send(&mut self, socket: &UdpSocket, report: &mut Report<T>) -> Option<Refusal> {
        self.send_within(ATTEMPTS, socket, report)
    }

    /// Sends the one datagram that is prepared, with DF or without a Fragment header.
    pub(super) fn send_unfragmented(
        &mut self,
        socket: &UdpSocket,
        destination: IpAddr,
        report: &mut Report<T>,
    ) -> Option<Refusal> {
        // Trying twice would have the kernel note twice that it does not fit, so another's error
        // goes first.
        if let Err(error) = socket.take_error().and_then(|_| forbid_fragments(socket, destination)) {
            report.failed(&self.entries[0], error);
            return None;
        }
        let refusal = self.send_within(1, socket, report);
        // What was possible just now is possible again.
        let _ = allow_fragments(socket, destination);
        refusal
    }

    /// Sends everything, each message within so many attempts. The kernel reports a pending error
    /// of a socket to its next user and clears it by that, so an error may be another datagram's.
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
                // First, for what goes one by one can be tried again then.
                Err(error) if first.datagrams > 1 && is_refusal(&error) => {
                    return Some(Refusal { message: first.message, error });
                }
                Err(error) if left > 1 && may_be_anothers(&error) => {
                    left -= 1;
                    continue;
                }
                // The socket has no room: not for the others either.
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

    /// Reports the same error for all messages from a place on.
    pub(super) fn fail_from(&self, next: usize, error: io::ErrorKind, report: &mut Report<T>) {
        self.entries[next..].iter().for_each(|entry| report.failed(entry, error.into()));
    }
}

/// Calls `sendmmsg` once, and returns the number of messages that were sent. The next call reports
/// the error of the first that was not.
fn send_messages(socket: &UdpSocket, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let count = c_uint::try_from(headers.len()).expect("an outbox has few messages");
    #[expect(unsafe_code, reason = "std sends one datagram at a time, and without control messages")]
    // SAFETY: the descriptor is open while `socket` is borrowed. There are `count` headers; each
    // points at a name, pieces and control messages as long as it says, which `flush` has borrowed,
    // and which are only read.
    let sent = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, libc::MSG_DONTWAIT) };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

/// Whether a joined message was refused for being one: by a device that cannot checksum what the
/// kernel segments, by IPsec, or because a segment does not fit the device's packets (udp(7)).
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE | libc::EOPNOTSUPP))
}

/// Whether it is one of the errors that Linux makes of ICMP. Most of them may also be this
/// datagram's own.
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
