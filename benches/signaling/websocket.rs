//! As much of a WebSocket (RFC 6455) as a load of small messages needs, without a thread or a task
//! for each.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::ops::Range;

use mio::net::TcpStream;
use socket2::{Domain, Socket, Type};

/// Where an HTTP head ends.
const END_OF_HEAD: &[u8] = b"\r\n\r\n";
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// With it a frame is masked, by the four bytes that follow the length. A key of zeros changes
/// nothing.
const MASKED: u8 = 0x80;

/// One end, which only the masks and the first words tell from the other.
pub(crate) struct WebSocket {
    pub(crate) stream: TcpStream,
    side: Side,
    has_met: bool,
    /// The beginning of a frame, or of a head.
    unread: Vec<u8>,
    unsent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Client,
    Server,
}

/// What was read. A connection that breaks ends, whatever broke it.
pub(crate) enum Heard<'a> {
    /// The other side's HTTP head.
    Head(&'a str),
    Text(&'a [u8]),
    /// Goodbye, which the other side may be saying in answer to ours.
    Close,
    End,
}

impl WebSocket {
    /// Begins to connect, from an address of loopback that the many of a bench take in turn: one
    /// has 28,000 ports.
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
        // A socket without it is slower.
        let _ = stream.set_nodelay(true);
        Self { stream, side, has_met: false, unread: Vec::new(), unsent: Vec::new() }
    }

    /// Reads all there is, and answers pings. With the poll's word that the other side has closed,
    /// that is all until then.
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
            // What comes later is a new event of the poll.
            if length < buffer.len() && !is_closed {
                return;
            }
        }
    }

    /// Whole frames of `bytes`; how many bytes those were.
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

    /// Says goodbye, as a page does that is left (1001).
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
                frame.extend(u16::try_from(length).expect("a bench says nothing longer").to_be_bytes());
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

    /// Writes what could not be written before. A connection that broke says so when it is read.
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

/// Code of the first frame and where its payload is, if all of it is there.
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
