//! A minimal HTTP client for tests, so that the server's HTTP stack does not test itself.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// Maximum wait for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer whose end is the end of the connection.
#[derive(Debug)]
pub struct Answer {
    /// Status code.
    pub status: u16,
    /// Body, which must not be chunked.
    pub body: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Answer {
    /// Parses everything that was received until the connection closed.
    pub fn parse(bytes: &[u8]) -> Self {
        let end =
            bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an empty line ends the head");
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in UTF-8");
        let (status, fields) = head.split_once("\r\n").unwrap_or((head, ""));
        let field = |line: &str| {
            let (name, value) = line.split_once(':').expect("name: value");
            (name.to_ascii_lowercase(), value.trim().to_owned())
        };
        Self {
            status: status.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status code"),
            headers: fields.lines().map(field).collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    /// Returns all values of a header field, by its lower-case name.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the value of a header field, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("a body in UTF-8")
    }

    /// Returns the body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a body in JSON")
    }

    /// Returns the answer, whose status must be 200.
    pub fn expect_ok(self) -> Self {
        assert_eq!(self.status, 200, "{self:?}");
        self
    }
}

/// Sends `GET path`, and returns the answer.
pub fn get(server: SocketAddr, path: &str) -> Answer {
    ask(server, "GET", path, &[], "")
}

/// Sends any request, and returns the answer. With HTTP/1.0, the body is not chunked and the
/// connection closes.
pub fn ask(server: SocketAddr, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    let length = body.len();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: {server}\r\nContent-Length: {length}\r\n{headers}\r\n");
    exchange(server, &format!("{head}{body}"))
}

/// Sends a request over a Unix socket, and returns the answer.
pub fn ask_unix(socket: &Path, method: &str, path: &str) -> Answer {
    let mut stream = UnixStream::connect(socket).expect("the Unix socket accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout is set");
    let request = format!("{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("the request is sent");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Answer::parse(&answer)
}

/// Sends this text on a new connection, and returns the answer. The server must close the
/// connection.
pub fn exchange(server: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect_timeout(&server, PATIENCE).expect("the HTTP listener accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a read timeout is set");
    // A rejected body may cause a reset, preceded by the answer.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    Answer::parse(&answer)
}
