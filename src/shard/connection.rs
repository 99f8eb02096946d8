//! One TCP or TLS connection of a client. It never blocks, and its buffers are bounded.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use byway_turn::server::{DropReason, FiveTuple};
use byway_turn::wire::{frame_length, frame_padding};

use super::mailbox::TurnConnection;
use crate::net::connection_limit::ConnectionPermit;

/// Bytes that may wait for a client that reads too slowly. Beyond that its media is dropped. This
/// is a quarter of a second of a video call, and older media is useless to the client.
const OUTBOX_MAX: usize = 64 * 1024;

/// Room beyond [`OUTBOX_MAX`] for responses, so that a client still gets them when media fills the
/// outbox.
const OUTBOX_RESERVE: usize = 8 * 1024;

/// Limit of unsent bytes that the kernel buffers (TCP_NOTSENT_LOWAT). Media that waits there is
/// late, too.
const MAX_UNSENT: u32 = 32 * 1024;

/// Bytes that are passed to TLS before they are sent: one full record, or several shorter ones.
const RECORD: usize = 16 * 1024;

/// TLS reads per turn that may yield no plaintext. A flood of empty records thus delays other
/// connections by a bounded time.
const RECORDS: usize = 8;

/// Bytes that TLS may read from a client without an allocation before it yields plaintext. They
/// hold the longest record (RFC 8446 section 5.2: 2^14 + 256 bytes; RFC 5246 section 6.2.3: 2^14 +
/// 2048) and a few key updates. Without this limit the library would join a handshake message of 64
/// KiB.
const UNAUTHENTICATED_TLS_MAX: usize = 20 * 1024;

/// Bytes of buffer that an idle connection keeps.
const KEPT: usize = 2 * 1024;

/// Maximum bytes that a connection without an allocation holds: a message, a chunk of 4 KiB behind
/// it, and the responses of one turn.
const UNAUTHENTICATED_HOLDS: usize = 16 * 1024;

/// Maximum bytes that such a connection holds with TLS: its session, a pending record, and the
/// beginning of another record or a handshake message.
const UNAUTHENTICATED_TLS_HOLDS: usize = 64 * 1024;

/// Connection of a client.
pub(super) struct Connection {
    pub(super) five_tuple: FiveTuple,
    socket: TcpStream,
    tls: Option<Box<rustls::ServerConnection>>,
    /// Bytes that TLS has read since it last yielded plaintext.
    tls_overhead: usize,
    /// Beginning of a message whose rest has not arrived. If the connection `is_behind`, whole
    /// messages precede it.
    pub(super) inbox: Vec<u8>,
    /// Whether whole messages may wait in the inbox for the next turn.
    pub(super) is_behind: bool,
    /// Messages to the client. The first may be partly sent.
    outbox: Vec<u8>,
    /// Whether the connection is in the queue of ready sockets.
    pub(super) ready: bool,
    /// Whether it is in the list of connections with data to send.
    pub(super) unsent: bool,
    /// Whether the last write was partial. The kernel reports when there is room for more.
    pub(super) is_blocked: bool,
    /// Whether its client has an allocation. Its buffers then keep their size.
    pub(super) has_allocation: bool,
    /// Whether its client had an allocation at the last check.
    pub(super) had_allocation: bool,
    _permit: ConnectionPermit,
}

/// Result of reading a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Number of bytes. More may be available.
    Bytes(usize),
    /// Nothing until the kernel reports the socket readable.
    WouldBlock,
}

impl Read {
    fn of(read: io::Result<usize>) -> io::Result<Self> {
        match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => Ok(Self::Bytes(bytes)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Self::WouldBlock),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Self::Bytes(0)),
            Err(error) => Err(error),
        }
    }
}

/// Urgency of a message to a client that reads too slowly.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Urgency {
    /// Relayed payloads.
    Media,
    /// Responses.
    Response,
}

impl Connection {
    pub(super) fn new(connection: TurnConnection, five_tuple: FiveTuple, permit: ConnectionPermit) -> Self {
        let TurnConnection { socket, tls, .. } = connection;
        let options = socket2::SockRef::from(&socket);
        // A socket that refuses these options is merely slower.
        let _ = options.set_tcp_nodelay(true);
        let _ = options.set_tcp_notsent_lowat(MAX_UNSENT);
        Self {
            five_tuple,
            socket,
            tls,
            tls_overhead: 0,
            inbox: Vec::new(),
            is_behind: false,
            outbox: Vec::new(),
            ready: false,
            unsent: false,
            is_blocked: false,
            has_allocation: false,
            had_allocation: false,
            _permit: permit,
        }
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns the maximum bytes that it holds while its client has no allocation.
    pub(super) fn may_hold(&self) -> usize {
        if self.tls.is_some() { UNAUTHENTICATED_TLS_HOLDS } else { UNAUTHENTICATED_HOLDS }
    }

    /// Reads available bytes into `room`.
    ///
    /// # Errors
    /// The connection has ended.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Read> {
        let Some(tls) = &mut self.tls else { return Read::of(self.socket.read(room)) };
        for _ in 0..RECORDS {
            match Read::of(tls.reader().read(room))? {
                Read::WouldBlock => {}
                read => return Ok(read),
            }
            // The end of the connection is not an error here. The reader then tells a clean end
            // from a truncated one.
            let taken = match tls.read_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::WouldBlock),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => self.tls_overhead = 0,
                Ok(_) => self.tls_overhead += taken,
                Err(error) => {
                    // Send the alert with the cause.
                    let _ = tls.write_tls(&mut self.socket);
                    return Err(io::Error::other(error));
                }
            }
            if self.tls_overhead > UNAUTHENTICATED_TLS_MAX && !self.has_allocation {
                return Err(ErrorKind::InvalidData.into());
            }
        }
        Ok(Read::Bytes(0))
    }

    /// Appends a message to the outbox: a header, then a payload.
    ///
    /// # Errors
    /// Returns [`DropReason::SendFull`] if the client reads too slowly.
    pub(super) fn put(&mut self, [head, payload]: [&[u8]; 2], urgency: Urgency) -> Result<(), DropReason> {
        let room = match urgency {
            Urgency::Media => OUTBOX_MAX,
            Urgency::Response => OUTBOX_MAX + OUTBOX_RESERVE,
        };
        let length = head.len() + payload.len();
        // A Data indication is padded inside, by the same length as the stream's own padding.
        let padding = frame_padding(length);
        // A message may exceed the limit, so an empty outbox accepts any.
        if !self.outbox.is_empty() && self.outbox.len() + length + padding.len() > room {
            return Err(DropReason::SendFull);
        }
        for part in [head, payload, padding] {
            self.outbox.extend_from_slice(part);
        }
        Ok(())
    }

    /// Sends as much of the outbox as possible without blocking. The kernel reports when there is
    /// room for more.
    ///
    /// # Errors
    /// The connection is broken. Reading reports that, too.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut sent = 0;
        self.is_blocked = false;
        let flushed = loop {
            let written = match &mut self.tls {
                Some(tls) if tls.wants_write() => tls.write_tls(&mut self.socket).map(|_| 0),
                _ if sent == self.outbox.len() => break Ok(()),
                Some(tls) => write_records(tls, &self.outbox[sent..]),
                None => self.socket.write(&self.outbox[sent..]),
            };
            match written {
                Ok(written) => sent += written,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_blocked = true;
                    break Ok(());
                }
                Err(error) => break Err(error),
            }
        };
        self.outbox.drain(..sent);
        if !self.has_allocation {
            self.give_back();
        }
        flushed
    }

    /// Frees unused buffer memory.
    pub(super) fn give_back(&mut self) {
        self.inbox.shrink_to_fit();
        self.outbox.shrink_to(KEPT);
    }

    /// Sends the TLS close_notify alert if that does not block. The socket closes when `self` is
    /// dropped.
    pub(super) fn close(mut self) {
        let _ = self.flush();
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
    }
}

/// Passes the first messages of an outbox to TLS, each in its own record. coturn's clients treat
/// each record as one message.
fn write_records(tls: &mut rustls::ServerConnection, outbox: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < outbox.len().min(RECORD) {
        let rest = &outbox[written..];
        // For a partly sent message this finds a wrong end or none. Records are then merely longer,
        // or more of them, than necessary.
        let end = frame_length(rest).ok().flatten().map_or(rest.len(), |length| length.min(rest.len()));
        let taken = tls.writer().write(&rest[..end])?;
        written += taken;
        if taken < end {
            break;
        }
    }
    // TLS accepts nothing more, as at the end of a key's lifetime (RFC 8446 section 5.5). The
    // client has been informed.
    if written == 0 { Err(ErrorKind::WriteZero.into()) } else { Ok(written) }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;

    use super::*;
    use crate::net::connection_limit::ConnectionLimiter;
    use byway_turn::server::{StreamId, Transport};
    use byway_turn::wire::REPLY_MAX;

    #[test]
    fn threat_29_what_waits_for_a_stranger_is_kept_without_room_to_spare() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let mut socket = TcpStream::connect(server).unwrap();
        let _client = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.write(&[0; 64 * 1024]).is_ok() {}

        let client = socket.local_addr().unwrap();
        let transport = Transport::Stream(StreamId { shard: 0, slot: 0, generation: 0 });
        let five_tuple = FiveTuple { client, server: server.ip(), transport };
        let permit = ConnectionLimiter::new(1, 1, Arc::default()).admit(client.ip()).unwrap();
        let mut connection =
            Connection::new(TurnConnection { socket, tls: None, client, server }, five_tuple, permit);
        for _ in 0..8 {
            connection.put([&[0; REPLY_MAX], &[]], Urgency::Response).unwrap();
        }
        // One byte beyond the capacity doubles the vector.
        connection.put([&[0; 4], &[]], Urgency::Response).unwrap();
        connection.flush().unwrap();
        assert!(connection.is_blocked);
        assert!(
            connection.outbox.capacity() < connection.may_hold() * 2 / 3,
            "{}",
            connection.outbox.capacity()
        );
    }
}
