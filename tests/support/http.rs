//! One plain HTTP request, as small as a test needs it. The server's own HTTP stack is not asked to test itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The header section, status line included.
    pub(crate) head: String,
    /// The body as text.
    pub(crate) body: String,
}

impl Answer {
    /// The body of a 200.
    pub(crate) fn expect_ok(self) -> String {
        assert_eq!(self.status, 200, "{}", self.head);
        self.body
    }

    /// The value of a header field, by its lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.into_iter().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// `GET path`. HTTP/1.0, so that the body is neither chunked nor kept waiting.
pub(crate) fn get(server: SocketAddr, path: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the HTTP listener accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout is set");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n").expect("the request is sent");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("the answer arrives");
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an empty line ends the head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}
