//! One connection of a client: bytes in, bytes out, TLS between them or not. It never blocks and
//! never grows.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use byway_turn::server::{DropReason, FiveTuple};
use byway_turn::wire::{frame_length, frame_padding};

use super::mailbox::TurnConnection;
use crate::net::connection_limit::ConnectionPermit;

/// Bytes that may wait for a client that reads too slowly; beyond them its media is dropped. A
/// quarter of a second of a video call: what is older than that is of no use to it.
const OUTBOX_MAX: usize = 64 * 1024;

/// Room beyond [`OUTBOX_MAX`] for responses, so that a client whose media has filled it still hears
/// of its requests.
const OUTBOX_RESERVE: usize = 8 * 1024;

/// Bytes that the kernel takes beyond what is on its way (TCP_NOTSENT_LOWAT): media that waits
/// there is late, too.
const MAX_UNSENT: u32 = 32 * 1024;

/// Bytes that are given to TLS before they are sent: a record's worth, or as many records as that.
const RECORD: usize = 16 * 1024;

/// Times that TLS may take in what has come without a byte for us, as a flood of empty records
/// would have it, before it is the next connection's turn.
const RECORDS: usize = 8;

/// Bytes that TLS may take in of a client without an allocation before there is a byte for us: the
/// longest record (RFC 8446 section 5.2: 2^14 + 256 bytes; RFC 5246 section 6.2.3: 2^14 + 2048) and
/// a few changes of keys. Without, the library would join a handshake message of 64 KiB.
const UNAUTHENTICATED_TLS_MAX: usize = 20 * 1024;

/// Bytes of buffer that a connection keeps when it is idle.
const KEPT: usize = 2 * 1024;

/// Bytes that a connection without an allocation holds at most: a message and a chunk of 4 KiB
/// behind it, and the answers of a turn.
const UNAUTHENTICATED_HOLDS: usize = 16 * 1024;

/// Bytes that it holds at most with TLS: its session, a record that is to be served, and the
/// beginning of another or of a handshake message.
const UNAUTHENTICATED_TLS_HOLDS: usize = 64 * 1024;

/// A connection.
pub(super) struct Connection {
    pub(super) five_tuple: FiveTuple,
    socket: TcpStream,
    tls: Option<Box<rustls::ServerConnection>>,
    /// Bytes that TLS has taken in since it last yielded a byte of the client's.
    tls_overhead: usize,
    /// The beginning of a message whose rest is still to come; where it `is_behind`, also messages
    /// in front of it.
    pub(super) inbox: Vec<u8>,
    /// Whole messages may wait in the inbox for its next turn.
    pub(super) is_behind: bool,
    /// Messages on their way to the client; the first may have begun to leave.
    outbox: Vec<u8>,
    /// It is in the queue of ready sockets.
    pub(super) ready: bool,
    /// It is in the list of those with something to send.
    pub(super) unsent: bool,
    /// The socket took less than all at the last write: the kernel will say when there is room for
    /// more.
    pub(super) is_blocked: bool,
    /// Its client has an allocation, so its buffers keep their size.
    pub(super) has_allocation: bool,
    /// Its client had an allocation at the last check.
    pub(super) had_allocation: bool,
    _permit: ConnectionPermit,
}

/// Result of reading a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Read {
    /// Number of bytes; there may be more.
    Bytes(usize),
    /// Nothing, until the kernel says that there is something.
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
        // A socket that refuses them is merely slower.
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

    /// Bytes that it holds at most while its client has no allocation.
    pub(super) fn may_hold(&self) -> usize {
        if self.tls.is_some() { UNAUTHENTICATED_TLS_HOLDS } else { UNAUTHENTICATED_HOLDS }
    }

    /// Reads some of what has come into `room`.
    ///
    /// # Errors
    /// The connection is over.
    pub(super) fn read(&mut self, room: &mut [u8]) -> io::Result<Read> {
        let Some(tls) = &mut self.tls else { return Read::of(self.socket.read(room)) };
        for _ in 0..RECORDS {
            match Read::of(tls.reader().read(room))? {
                Read::WouldBlock => {}
                read => return Ok(read),
            }
            // The end of the connection is no error here: the reader then says which kind of end.
            let taken = match tls.read_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::WouldBlock),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                read => read?,
            };
            match tls.process_new_packets() {
                Ok(state) if state.plaintext_bytes_to_read() > 0 => self.tls_overhead = 0,
                Ok(_) => self.tls_overhead += taken,
                Err(error) => {
                    // The alert that says what was wrong.
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

    /// Puts a message into the outbox: a header, then a payload.
    ///
    /// # Errors
    /// [`DropReason::SendFull`]: the client reads too slowly.
    pub(super) fn put(&mut self, [head, payload]: [&[u8]; 2], urgency: Urgency) -> Result<(), DropReason> {
        let room = match urgency {
            Urgency::Media => OUTBOX_MAX,
            Urgency::Response => OUTBOX_MAX + OUTBOX_RESERVE,
        };
        let length = head.len() + payload.len();
        // That of a Data indication, which is inside of it, is as long as the stream's own would
        // be.
        let padding = frame_padding(length);
        // A message may be longer than the whole outbox: an empty one takes any.
        if !self.outbox.is_empty() && self.outbox.len() + length + padding.len() > room {
            return Err(DropReason::SendFull);
        }
        for part in [head, payload, padding] {
            self.outbox.extend_from_slice(part);
        }
        Ok(())
    }

    /// Sends as much of the outbox as goes without waiting. The kernel says when there is room for
    /// more.
    ///
    /// # Errors
    /// The connection has broken; reading says so, too.
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

    /// Gives memory back that nothing is in.
    pub(super) fn give_back(&mut self) {
        self.inbox.shrink_to_fit();
        self.outbox.shrink_to(KEPT);
    }

    /// Says goodbye in TLS, as far as that goes without waiting. The socket closes when `self` is
    /// dropped.
    pub(super) fn close(mut self) {
        let _ = self.flush();
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            let _ = tls.write_tls(&mut self.socket);
        }
    }
}

/// Gives the first messages of an outbox to TLS, each in a record of its own: coturn's clients take
/// what a record holds for one message.
fn write_records(tls: &mut rustls::ServerConnection, outbox: &[u8]) -> io::Result<usize> {
    let mut written = 0;
    while written < outbox.len().min(RECORD) {
        let rest = &outbox[written..];
        // Of a message that has begun to leave, this finds no end or a wrong one, and then only the
        // records are longer or more than they need be.
        let end = frame_length(rest).ok().flatten().map_or(rest.len(), |length| length.min(rest.len()));
        let taken = tls.writer().write(&rest[..end])?;
        written += taken;
        if taken < end {
            break;
        }
    }
    // TLS takes nothing more, as at the end of a key (RFC 8446 section 5.5): its client has been
    // told.
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
        // One more byte than there is room for makes a vector twice as large.
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
