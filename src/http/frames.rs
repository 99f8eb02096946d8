//! Boundaries of frames and heads in the bytes that a client sends. Pure: it parses lengths and
//! nothing else.
//!
//! hyper answers PING and SETTINGS by itself, and the WebSocket library joins fragments by itself.
//! Neither tells us, so what they cost is counted here, in the bytes on their way to them.

/// Octets of an HTTP/2 frame header (RFC 9113 section 4.1).
const HTTP2_HEADER: usize = 9;

/// Octets of the client's connection preface (RFC 9113 section 3.4).
const HTTP2_PREFACE: u64 = 24;

/// Octets of the longest WebSocket frame header (RFC 6455 section 5.2).
const WEBSOCKET_HEADER: usize = 14;

/// The frames of an HTTP/2 connection, from the preface on.
#[derive(Debug)]
pub(super) struct Http2 {
    header: [u8; HTTP2_HEADER],
    have: usize,
    /// Octets of the payload that are still to come.
    payload: u64,
    /// A header block lasts until END_HEADERS.
    in_headers: bool,
}

/// Octets that a header block may take while it has no end: as many fields as one may have, as the
/// library keeps them.
const HEADER_BLOCK: usize = 48 * 1024;

/// Octets of the longest frame that we take (RFC 9113 section 4.2).
const HTTP2_FRAME: u64 = 16 * 1024;

impl Http2 {
    /// At the beginning of a connection.
    pub(super) fn new() -> Self {
        Self { header: [0; HTTP2_HEADER], have: 0, payload: HTTP2_PREFACE, in_headers: false }
    }

    /// Takes in what comes next; yields how many frames begin in it.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        loop {
            bytes = skip(&mut self.payload, bytes);
            if bytes.is_empty() {
                return frames;
            }
            let wanted = (HTTP2_HEADER - self.have).min(bytes.len());
            self.header[self.have..self.have + wanted].copy_from_slice(&bytes[..wanted]);
            self.have += wanted;
            bytes = &bytes[wanted..];
            if self.have == HTTP2_HEADER {
                self.have = 0;
                frames += 1;
                self.begin();
            }
        }
    }

    fn begin(&mut self) {
        const HEADERS: u8 = 1;
        const CONTINUATION: u8 = 9;
        const END_HEADERS: u8 = 4;
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload = u32::from_be_bytes([0, a, b, c]).into();
        if matches!(kind, HEADERS | CONTINUATION) {
            self.in_headers = flags & END_HEADERS == 0;
        }
    }

    /// Octets that the library may hold for a frame or a header block whose end is still to come.
    /// It makes room for all of a frame when it has read its header.
    pub(super) fn unfinished(&self) -> usize {
        let block = if self.in_headers { HEADER_BLOCK } else { 0 };
        let frame = usize::try_from(self.payload.min(HTTP2_FRAME)).unwrap_or(usize::MAX);
        block + frame + self.have
    }
}

/// The frames of a WebSocket, from the end of its opening handshake on.
#[derive(Debug, Default)]
pub(super) struct WebSocket {
    header: [u8; WEBSOCKET_HEADER],
    have: usize,
    payload: u64,
    /// The frame that has begun is one of data, and no control frame.
    is_data: bool,
    /// The frame that has begun is the last of its message.
    is_final: bool,
    /// Octets of a message whose end is still to come.
    unfinished: usize,
}

impl WebSocket {
    /// Takes in what comes next; yields how many frames begin in it.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> u32 {
        let mut frames = 0;
        loop {
            let before = bytes.len();
            bytes = skip(&mut self.payload, bytes);
            if self.is_data {
                self.unfinished = self.unfinished.saturating_add(before - bytes.len());
            }
            if self.payload == 0 && self.is_data && self.is_final {
                self.unfinished = 0;
            }
            let Some((&next, rest)) = bytes.split_first() else { return frames };
            self.header[self.have] = next;
            self.have += 1;
            bytes = rest;
            if self.have == self.header_length() {
                self.begin();
                frames += 1;
            }
        }
    }

    /// Octets of a message whose end is still to come: what the library holds.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    /// Octets of the header that has begun, as far as its second octet tells.
    fn header_length(&self) -> usize {
        let [_, second, ..] = self.header;
        if self.have < 2 {
            return 2;
        }
        let extended = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        2 + extended + mask
    }

    fn begin(&mut self) {
        self.have = 0;
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.header;
        self.payload = match second & 0x7f {
            126 => u16::from_be_bytes([a, b]).into(),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            length => length.into(),
        };
        self.is_final = first & 0x80 != 0;
        // Opcodes 8 to 15 are control frames, which may stand between those of a message.
        self.is_data = first & 0x08 == 0;
    }
}

/// The heads of HTTP/1.1 requests, and among them those that ask for a WebSocket. Bodies are
/// scanned alike, which does no harm: whatever is a head for hyper has its end, and its fields
/// before that, here, too.
#[derive(Debug, Default)]
pub(super) struct Http1 {
    /// Octets of the line that has begun, but for carriage returns.
    line: usize,
    /// Number of octets of `upgrade:websocket` that match the line so far.
    matched: Option<usize>,
    asks_for_websocket: bool,
    end: Option<End>,
    unfinished: usize,
}

/// Element that the last octet completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// A request without `Upgrade: websocket`.
    Request,
    /// A request with it.
    Upgrade,
}

impl Http1 {
    /// Takes in what comes next; yields whether an upgrade's head ends in it before its last octet.
    pub(super) fn take(&mut self, bytes: &[u8]) -> bool {
        let mut passed_an_upgrade = false;
        for &byte in bytes {
            passed_an_upgrade |= self.end == Some(End::Upgrade);
            self.step(byte);
        }
        passed_an_upgrade
    }

    /// Element that the last octet completed, if any.
    pub(super) fn end(&self) -> Option<End> {
        self.end
    }

    /// Octets since then.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }

    fn step(&mut self, byte: u8) {
        const FIELD: &[u8] = b"upgrade:websocket";
        const VALUE: usize = b"upgrade:".len();
        self.end = None;
        self.unfinished = self.unfinished.saturating_add(1);
        match byte {
            // An empty line ends a head; hyper takes lines without a carriage return, too.
            b'\n' if self.line == 0 => {
                let asked = std::mem::take(&mut self.asks_for_websocket);
                self.end = Some(if asked { End::Upgrade } else { End::Request });
                self.unfinished = 0;
            }
            b'\n' => (self.line, self.matched) = (0, Some(0)),
            b'\r' => {}
            _ => {
                self.line = self.line.saturating_add(1);
                self.matched = match self.matched {
                    Some(VALUE) if matches!(byte, b' ' | b'\t') => Some(VALUE),
                    Some(at) if FIELD.get(at).is_some_and(|known| byte.eq_ignore_ascii_case(known)) => {
                        Some(at + 1)
                    }
                    _ => None,
                };
                self.asks_for_websocket |= self.matched == Some(FIELD.len());
            }
        }
    }
}

/// Skips what belongs to a payload.
fn skip<'a>(payload: &mut u64, bytes: &'a [u8]) -> &'a [u8] {
    let here = usize::try_from(*payload).unwrap_or(usize::MAX).min(bytes.len());
    *payload -= here as u64;
    &bytes[here..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In pieces of every size, as the network may cut them.
    fn in_pieces(bytes: &[u8], mut take: impl FnMut(usize, &[u8])) {
        for size in 1..=bytes.len() {
            bytes.chunks(size).for_each(|piece| take(size, piece));
        }
    }

    #[test]
    fn threat_32_every_frame_of_http2_is_counted_however_it_is_cut() {
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        bytes.extend(b"\0\0\0\x04\0\0\0\0\0"); // SETTINGS
        // A PING whose payload looks like a frame.
        bytes.extend(b"\0\0\x08\x06\0\0\0\0\0\0\0\0\x04\x06\0\0\0");
        bytes.extend(b"\0\0\x02\x01\0\0\0\0\x01ab"); // HEADERS without END_HEADERS
        bytes.extend(b"\0\0\x01\x09\x04\0\0\0\x01c"); // CONTINUATION with it
        let mut all = (0, Http2::new(), 0);
        in_pieces(&bytes, |size, piece| {
            if all.0 != size {
                all = (size, Http2::new(), 0);
            }
            all.2 += all.1.take(piece);
            if all.2 == 3 {
                assert!(all.1.unfinished() > HEADER_BLOCK / 2, "{size}: a header block has no end yet");
            }
        });
        assert_eq!((all.2, all.1.unfinished()), (4, 0));
        let mut partial = Http2::new();
        partial.take(&bytes[..bytes.len() - 1]);
        assert!(partial.unfinished() > 0);
    }

    #[test]
    fn threat_32_every_frame_of_a_websocket_is_counted_however_it_is_cut() {
        let mut bytes = b"\x01\x82maskab".to_vec(); // a first fragment
        bytes.extend(b"\x89\x84mask\x80\x80\x80\x80"); // a ping between
        bytes.extend(b"\x00\x80mask"); // an empty continuation
        bytes.extend(b"\x00\xfe\0\x03maskabc"); // one with a longer length than it needs
        bytes.extend(b"\x80\xff\0\0\0\0\0\0\0\x01maskd"); // and another, the last
        for size in 1..=bytes.len() {
            let (mut frames, mut largest, mut walker) = (0, 0, WebSocket::default());
            for piece in bytes.chunks(size) {
                frames += walker.take(piece);
                largest = largest.max(walker.unfinished());
            }
            assert_eq!((frames, walker.unfinished()), (5, 0), "{size}");
            if size == 1 {
                assert_eq!(largest, 5, "the ping is not part of the message");
            }
        }
    }

    #[test]
    fn the_end_of_a_head_is_found_and_whether_it_asks_for_a_websocket() {
        for (head, end) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", End::Request),
            ("GET / HTTP/1.1\nHost: x\n\n", End::Request),
            ("GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", End::Upgrade),
            ("GET /ws HTTP/1.1\nuPgRaDe:\t WebSocket \r\nHost: x\n\r\n", End::Upgrade),
            ("GET /ws HTTP/1.1\r\nUpgrade: h2c\r\nUpgrade: websocket\r\n\r\n", End::Upgrade),
            ("POST / HTTP/1.1\r\nUpgrade: h2c\r\nX: upgrade: websocket\r\n\r\n", End::Request),
        ] {
            let mut walker = Http1::default();
            assert!(!walker.take(head.as_bytes()));
            assert_eq!((walker.end(), walker.unfinished()), (Some(end), 0), "{head}");
            assert_eq!(walker.take(b"\x81"), end == End::Upgrade, "what follows an upgrade's head is told");
            assert_eq!(walker.end(), None);
        }
    }

    /// A frame in front of the answer could otherwise end like a head, and hide from then on what
    /// is counted.
    #[test]
    fn threat_32_a_frame_ahead_of_the_answer_is_told_even_if_it_ends_like_a_head() {
        let mut walker = Http1::default();
        assert!(
            walker
                .take(b"GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\x81\xfe\nUpgrade: websocket\r\n\r\n")
        );
        assert_eq!(walker.end(), Some(End::Upgrade));
    }
}
