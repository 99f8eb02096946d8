//! Receiver of webhooks that keeps what it gets, and answers as a test wants.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::Value;
use sha2::Sha256;

/// Secret of the signatures.
pub(super) const SECRET: &str = "a-secret-of-webhooks";

/// Longest wait for a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// Receiver on loopback. Its thread ends with the process.
pub(super) struct Sink {
    pub address: SocketAddr,
    received: Receiver<Received>,
}

/// Request that arrived.
pub(super) struct Received {
    head: Vec<String>,
    pub body: String,
}

impl Sink {
    /// Starts a receiver. `answer` gets the number of the request, from 0, and writes the answer.
    pub(super) fn start(answer: impl Fn(usize, &mut TcpStream) + Send + Clone + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, received) = channel();
        thread::spawn(move || {
            let mut count = 0;
            for stream in listener.incoming().flatten() {
                serve(stream, &mut count, &answer, &sender);
            }
        });
        Self { address, received }
    }

    /// Starts a receiver that answers 204.
    pub(super) fn good() -> Self {
        Self::start(|_, stream| answer(stream, "204 No Content", ""))
    }

    /// Returns the next request.
    pub(super) fn next(&self) -> Received {
        self.received.recv_timeout(PATIENCE).expect("a request arrives")
    }

    /// Returns the next request of this type, and skips others.
    pub(super) fn next_of(&self, kind: &str) -> Value {
        loop {
            let message = self.next().verified();
            if message["type"] == kind {
                return message;
            }
        }
    }

    /// Whether no request has arrived that was not taken.
    pub(super) fn is_empty(&self) -> bool {
        self.received.try_recv().is_err()
    }
}

/// Writes an answer without a body.
pub(super) fn answer(stream: &mut TcpStream, status: &str, fields: &str) {
    let _ = write!(stream, "HTTP/1.1 {status}\r\n{fields}Content-Length: 0\r\n\r\n");
}

/// Serves the requests of one connection, one after the other.
fn serve(
    stream: TcpStream,
    count: &mut usize,
    answer: &impl Fn(usize, &mut TcpStream),
    sender: &Sender<Received>,
) {
    let mut writer = stream.try_clone().unwrap();
    let mut reader = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            match reader.read_line(&mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) if line.trim().is_empty() => break,
                Ok(_) => head.push(line.trim().to_owned()),
            }
        }
        let received = Received { head, body: String::new() };
        let length = received.field("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        if reader.read_exact(&mut body).is_err() {
            return;
        }
        let body = String::from_utf8(body).unwrap();
        let _ = sender.send(Received { body, ..received });
        answer(*count, &mut writer);
        *count += 1;
    }
}

impl Received {
    /// Returns the value of a header field.
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.head.iter().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// Checks the request as docs/webhooks.md tells a receiver to, and returns its message.
    pub(super) fn verified(&self) -> Value {
        assert!(self.head[0].starts_with("POST /hook?key=t0ken HTTP/1.1"), "{:?}", self.head);
        assert_eq!(self.field("content-type"), Some("application/json"));
        let signature = self.field("byway-signature").unwrap();
        let (time, digest) = signature.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(format!("{time}.{}", self.body).as_bytes());
        let expected: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(digest, expected);
        let message: Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(message["id"], self.field("byway-delivery").unwrap());
        assert_eq!(message["realm"], "byway.test");
        message
    }
}
