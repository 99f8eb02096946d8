//! The part of WebSocket (RFC 6455) that a load of small messages needs, without a thread or task
//! per connection.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::Range;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

/// End of an HTTP head.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// Bit of a masked frame, whose key is the four bytes after the length. A key of zeros changes
/// nothing.
const MASKED: u8 = 0x80;

/// One end of a connection. Only masks and the HTTP head distinguish the sides.
pub(crate) struct WebSocket {
    pub(crate) stream: TcpStream,
    side: Side,
    has_met: bool,
    /// Incomplete frame or head.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// Received data. A connection that breaks for any reason ends.
pub(crate) enum Heard<'a> {
    /// HTTP head of the other side.
    Head(&'a str),
    Text(&'a [u8]),
    /// Close frame, possibly in answer to ours.
    Close,
    End,
}

impl WebSocket {
    /// Starts to connect. Clients take loopback addresses in turn, because each address has 28,000
    /// ports.
    pub(crate) fn connect(server: SocketAddr, turn: usize) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM.nonblocking(), None)?;
        let [.., last] = (2 + turn % 8).to_be_bytes();
        socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into())?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        Ok(Self::new(TcpStream::from_std(socket.into()), Side::Client))
    }

    pub(crate) fn new(stream: TcpStream, side: Side) -> Self {
        // Without this option, the socket works but is slower.
        let _ = stream.set_nodelay(true);
        Self { stream, side, has_met: false, unread: Vec::new(), unsent: Vec::new() }
    }

    /// Reads everything that has arrived, and answers pings. `is_closed` means that the poll
    /// reported the end of the other side, so it reads until that end.
    pub(crate) fn read(&mut self, buffer: &mut [u8], is_closed: bool, mut hear: impl FnMut(Heard<'_>)) {
        loop {
            let length = match self.stream.read(buffer) {
                Ok(0) => return hear(Heard::End),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(_) => return hear(Heard::End),
            };
            let mut carried = std::mem::take(&mut self.unread);
            let bytes = if carried.is_empty() {
                &buffer[..length]
            } else {
                carried.extend_from_slice(&buffer[..length]);
                &carried[..]
            };
            let taken = self.take(bytes, &mut hear);
            if taken < bytes.len() {
                self.unread = bytes[taken..].to_vec();
            }
            // Later data causes another event of the poll.
            if length < buffer.len() && !is_closed {
                return;
            }
        }
    }

    /// Handles the whole frames of `bytes`; returns their length in bytes.
    fn take(&mut self, bytes: &[u8], hear: &mut impl FnMut(Heard<'_>)) -> usize {
        let mut at = 0;
        if !self.has_met {
            let Some(end) = bytes.windows(4).position(|window| window == END_OF_HEAD) else { return 0 };
            self.has_met = true;
            at = end + END_OF_HEAD.len();
            hear(Heard::Head(str::from_utf8(&bytes[..end]).unwrap_or_default()));
        }
        while let Some((code, range)) = frame(&bytes[at..]) {
            let payload = &bytes[at..][range.clone()];
            at += range.end;
            match code {
                TEXT => hear(Heard::Text(payload)),
                PING => self.send(PONG, payload),
                CLOSE => hear(Heard::Close),
                _ => {}
            }
        }
        at
    }

    pub(crate) fn head(&mut self, head: &str) {
        self.push(head.as_bytes());
    }

    pub(crate) fn text(&mut self, text: &[u8]) {
        self.send(TEXT, text);
    }

    /// Sends a close frame like a page that the user leaves (1001).
    pub(crate) fn close(&mut self) {
        self.send(CLOSE, &1001u16.to_be_bytes());
    }

    fn send(&mut self, code: u8, payload: &[u8]) {
        let mask: (u8, &[u8]) = if self.side == Side::Client { (MASKED, &[0; 4]) } else { (0, &[]) };
        let mut frame = Vec::with_capacity(payload.len() + 14);
        frame.push(0x80 | code);
        match payload.len() {
            length @ ..126 => frame.push(mask.0 | u8::try_from(length).expect("below 126")),
            length => {
                frame.push(mask.0 | 126);
                frame.extend(u16::try_from(length).expect("messages of the bench are shorter").to_be_bytes());
            }
        }
        frame.extend(mask.1);
        frame.extend(payload);
        self.push(&frame);
    }

    fn push(&mut self, bytes: &[u8]) {
        self.unsent.extend_from_slice(bytes);
        self.flush();
    }

    /// Writes pending bytes. A later read reports a broken connection.
    pub(crate) fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(length) => sent += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        if sent == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
    }
}

/// Returns code and payload range of the first frame, if it is complete.
fn frame(bytes: &[u8]) -> Option<(u8, Range<usize>)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    let (length, mut at) = match second & !MASKED {
        126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?, 10),
        length => (usize::from(length), 2),
    };
    if second & MASKED != 0 {
        at += 4;
    }
    (bytes.len() >= at + length).then_some((first & 0x0f, at..at + length))
}
