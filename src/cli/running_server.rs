//! Requests to the running server, through its admin listener: mostly the Unix socket.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::clock::Clock;
use crate::config::{Config, Listen};
use crate::http::admin::{SIGNING, SigningAnswer, SigningTags};
use crate::net::interfaces;
use crate::server::secrets::signing_tags;

/// Longest wait for the outcome of a request. A reload reads files, which a slow file system may
/// delay.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest wait for what the server knows.
const SOON: Duration = Duration::from_secs(5);

/// Bytes of an outcome that are read: far more than any has.
const LONGEST: u64 = 1 << 20;

/// Bytes of a list that are read. 10,000 allocations take half of it.
const LONGEST_LIST: u64 = 8 << 20;

/// Remedy for a user that may not use the server's Unix socket.
pub(super) const AS_ROOT: &str = "run this as root or as the server's user";

/// Sends one request to the server behind a socket, and returns the status and the answer.
///
/// # Errors
/// No server listens there, or it does not answer. [`io::ErrorKind::PermissionDenied`] if this user
/// may not ask.
pub(super) fn ask<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    question: &impl Serialize,
) -> io::Result<(u16, T)> {
    let body = serde_json::to_string(question).map_err(io::Error::other)?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let stream = DeadlineStream::connect(&SockAddr::unix(socket)?, Domain::UNIX, PATIENCE)?;
    let (status, body) = answered(stream, &request, LONGEST)?;
    if status == 403 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let answer = serde_json::from_slice(&body);
    Ok((status, answer.map_err(|_| io::Error::other(format!("the server answered {status}")))?))
}

/// Admin listener of a running server.
#[derive(Clone, Debug)]
pub(super) enum AdminListener {
    /// Takes every request, of root and the server's user.
    Unix(PathBuf),
    /// Shows pages without addresses.
    Tcp(SocketAddr),
}

impl fmt::Display for AdminListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

/// Reason for which there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unanswered {
    /// Cause.
    pub(super) cause: String,
    /// Remedy in the imperative.
    pub(super) remedy: &'static str,
}

impl AdminListener {
    /// Returns the first Unix socket, else the first TCP listener with a known port.
    pub(super) fn of(listen: &Listen) -> Option<Self> {
        let tcp = || listen.admin.iter().find(|listener| listener.port() != 0);
        let unix = listen.admin_sockets.first().map(|path| Self::Unix(path.clone()));
        unix.or_else(|| tcp().map(|listener| Self::Tcp(interfaces::reachable(*listener))))
    }

    /// Whether it takes requests that change something, and shows addresses.
    pub(super) fn is_for_operators(&self) -> bool {
        matches!(self, Self::Unix(_))
    }

    /// Requests a page. Returns the status and the body.
    pub(super) fn get(&self, path: &str) -> Result<(u16, Vec<u8>), Unanswered> {
        self.send("GET", path)
    }

    /// Requests the end of something. Returns the status.
    pub(super) fn delete(&self, path: &str) -> Result<u16, Unanswered> {
        self.send("DELETE", path).map(|(status, _)| status)
    }

    fn send(&self, method: &str, path: &str) -> Result<(u16, Vec<u8>), Unanswered> {
        let host = match self {
            Self::Unix(_) => "localhost".to_owned(),
            Self::Tcp(address) => address.to_string(),
        };
        let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = self.connect().and_then(|stream| answered(stream, &request, LONGEST_LIST));
        let (status, body) = answer.map_err(|error| Unanswered::of(&error))?;
        match (self, status) {
            (Self::Unix(_), 403) => Err(Unanswered::of(&io::ErrorKind::PermissionDenied.into())),
            _ => Ok((status, body)),
        }
    }

    fn connect(&self) -> io::Result<DeadlineStream> {
        match self {
            Self::Unix(path) => DeadlineStream::connect(&SockAddr::unix(path)?, Domain::UNIX, SOON),
            Self::Tcp(at) => DeadlineStream::connect(&(*at).into(), Domain::for_address(*at), SOON),
        }
    }
}

impl Unanswered {
    fn of(error: &io::Error) -> Self {
        let remedy = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "start the server: sudo systemctl start byway"
            }
            io::ErrorKind::PermissionDenied => AS_ROOT,
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                "the server hangs: see its log, then restart it"
            }
            _ => "see the server's log",
        };
        let cause = match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                "no server listens there".to_owned()
            }
            io::ErrorKind::PermissionDenied => "the server refuses this user".to_owned(),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer in time".to_owned(),
            _ => error.to_string(),
        };
        Self { cause, remedy }
    }
}

/// Stream that fails once a deadline has passed, however slowly the other side sends.
struct DeadlineStream {
    socket: Socket,
    clock: Clock,
    within: Duration,
}

impl DeadlineStream {
    /// Connects, without a wait for a server whose queue is full.
    fn connect(at: &SockAddr, domain: Domain, within: Duration) -> io::Result<Self> {
        let clock = Clock::start();
        let socket = Socket::new(domain, Type::STREAM, None)?;
        if domain == Domain::UNIX {
            // A full queue is EAGAIN, which `connect_timeout` takes for progress.
            socket.set_nonblocking(true)?;
            socket.connect(at)?;
            socket.set_nonblocking(false)?;
        } else {
            socket.connect_timeout(at, within)?;
        }
        Ok(Self { socket, clock, within })
    }

    /// Time that is left.
    fn left(&self) -> io::Result<Duration> {
        let left = self.within.saturating_sub(self.clock.now().mono);
        // Zero would mean without end.
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for DeadlineStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for DeadlineStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Sends a request, and returns the status and the body of the answer.
fn answered(stream: DeadlineStream, request: &str, longest: u64) -> io::Result<(u16, Vec<u8>)> {
    let (mut answer, outcome) = exchange(stream, request, longest);
    if answer.len() as u64 >= longest {
        return Err(io::Error::other("the answer is too long"));
    }
    let Some((status, start)) = parse(&answer) else {
        outcome?;
        return Err(io::Error::other(match answer.is_empty() {
            true => "the server sent no answer",
            false => "what answers there is not Byway",
        }));
    };
    if status != 403 {
        outcome?;
    }
    answer.drain(..start);
    Ok((status, answer))
}

/// Sends a request and reads up to `longest` bytes, until the server closes. Returns all that came,
/// and the first error: a server that refuses this user closes the connection early, and its answer
/// says so.
pub(super) fn exchange(
    mut stream: impl Read + Write,
    request: &str,
    longest: u64,
) -> (Vec<u8>, io::Result<()>) {
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = stream.take(longest).read_to_end(&mut answer);
    (answer, sent.and(read.map(drop)))
}

/// Returns the status of an answer, and the place at which its body begins.
fn parse(answer: &[u8]) -> Option<(u16, usize)> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, end + 4))
}

/// Returns a part of a path with every byte escaped that is not a letter, a digit or `-._~`.
pub(super) fn escaped(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for byte in part.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => escaped.push(byte.into()),
            _ => escaped += &format!("%{byte:02X}"),
        }
    }
    escaped
}

/// Secret that a command signs with.
#[derive(Clone, Copy)]
pub(super) enum Signs {
    Credentials,
    Tokens,
}

/// Warns if a server runs that does not know the secret which `config` signs with. Without a server
/// or a socket it is silent.
pub(super) fn warn_unless_known(config: &Config, signs: Signs) {
    let all = signing_tags(config);
    let first = |tags: Vec<String>| tags.into_iter().take(1).collect();
    let (question, what) = match signs {
        Signs::Credentials => {
            (SigningTags { credentials: first(all.credentials), tokens: Vec::new() }, "credential")
        }
        Signs::Tokens => (SigningTags { credentials: Vec::new(), tokens: first(all.tokens) }, "invitation"),
    };
    let mut answers = config.listen.admin_sockets.iter().filter_map(|socket| {
        ask::<SigningAnswer>(socket, SIGNING, &question).ok().map(|(_, answer)| answer.known)
    });
    if answers.next() == Some(false) {
        // Whether it can be told or not, the answer is on stdout.
        let _ = writeln!(
            io::stderr(),
            "the running server refuses this {what}: it does not know the secret or the realm of this configuration\n  \
             remedy: run `byway reload`"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::thread;

    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(answer), Some((200, answer.len() - 2)));
        for cut in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2\r\n\r\n"] {
            assert_eq!(parse(cut.as_bytes()), None, "{cut}");
        }
    }

    #[test]
    fn a_name_cannot_leave_its_part_of_a_path() {
        assert_eq!(escaped("tea-room_1.~"), "tea-room_1.~");
        assert_eq!(
            escaped("a/../b?x#y%2F z\r\nHost: é"),
            "a%2F..%2Fb%3Fx%23y%252F%20z%0D%0AHost%3A%20%C3%A9"
        );
    }

    /// The server hangs, and its queue is full: `connect` of a Unix socket would wait without end.
    #[test]
    fn threat_57_nobody_waits_for_a_server_that_hangs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let hanging = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        hanging.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        hanging.listen(0).unwrap();
        let mut queued = Vec::new();
        while let Ok(stream) = DeadlineStream::connect(&SockAddr::unix(&path).unwrap(), Domain::UNIX, SOON) {
            queued.push(stream);
        }
        let refused = AdminListener::Unix(path).get("/status").unwrap_err();
        assert_eq!(refused.cause, "no answer in time");
    }

    #[test]
    fn threat_57_an_answer_that_trickles_or_never_ends_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("admin.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let hostile = thread::spawn(move || {
            // One byte at a time, for as long as anybody reads.
            let (mut stream, _) = listener.accept().unwrap();
            while stream.write_all(b"H").is_ok() {
                thread::park_timeout(Duration::from_millis(5));
            }
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
            while stream.write_all(&[b'['; 1 << 16]).is_ok() {}
        });
        let at = SockAddr::unix(&path).unwrap();
        let stream = DeadlineStream::connect(&at, Domain::UNIX, Duration::from_millis(200)).unwrap();
        let error = answered(stream, "GET / HTTP/1.1\r\n\r\n", LONGEST).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        let refused = AdminListener::Unix(path).get("/status").unwrap_err();
        assert_eq!(refused.cause, "the answer is too long");
        hostile.join().unwrap();
    }
}
