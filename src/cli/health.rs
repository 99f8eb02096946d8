//! `byway health`: asks the running server for its `/healthz`, for container runtimes and monitors.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use crate::config::{Config, Listen};
use crate::net::interfaces;

use super::running_server::{AS_ROOT, exchange};
use super::{CliError, CommandOutcome};

/// Longest wait to connect, and then for each part of the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are read.
const LIMIT: u64 = 64 * 1024;

/// Prints the server's answer. A server that lacks an address or drains is alive: a restart would
/// end its calls and change nothing.
pub(super) fn run(config: &Config) -> Result<CommandOutcome, CliError> {
    let at = Listener::of(&config.listen).ok_or(CliError::Usage(
        "no `admin` listener with a fixed port or a Unix socket answers /healthz\n  remedy: set `admin` under [listen]",
    ))?;
    let (is_alive, text) = match at.ask() {
        Ok(answer) => judge(&answer),
        Err(error) => {
            let remedy = match error.kind() {
                io::ErrorKind::PermissionDenied => AS_ROOT,
                _ => "start the server",
            };
            (false, format!("no answer from {at}: {error}\n  remedy: {remedy}\n"))
        }
    };
    super::print(&text)?;
    Ok(if is_alive { CommandOutcome::Done } else { CommandOutcome::FaultFound })
}

/// Listener to ask.
pub(super) enum Listener<'a> {
    Tcp(SocketAddr),
    Unix(&'a Path),
}

impl fmt::Display for Listener<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl<'a> Listener<'a> {
    /// Returns the first TCP listener with a known port, which serves every user, else a socket.
    fn of(listen: &'a Listen) -> Option<Self> {
        let fixed = listen.admin.iter().find(|listener| listener.port() != 0);
        let tcp = fixed.map(|listener| Self::Tcp(interfaces::reachable(*listener)));
        tcp.or_else(|| listen.admin_sockets.first().map(|path| Self::Unix(path)))
    }

    /// Requests `/healthz`, and returns the whole answer.
    pub(super) fn ask(&self) -> io::Result<String> {
        match self {
            Self::Tcp(at) => {
                let stream = TcpStream::connect_timeout(at, PATIENCE)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                health_over(stream, &at.to_string())
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                health_over(stream, "localhost")
            }
        }
    }
}

/// Requests `/healthz` and reads the answer.
fn health_over(stream: impl io::Read + io::Write, host: &str) -> io::Result<String> {
    let request = format!("GET /healthz HTTP/1.0\r\nHost: {host}\r\n\r\n");
    let (answer, outcome) = exchange(stream, &request, LIMIT);
    if answer.is_empty() {
        outcome?;
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// Whether no part of the server is down, and the text for the user.
fn judge(answer: &str) -> (bool, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    match status {
        "200" | "503" => (!body.lines().any(|line| line.starts_with("down:")), body.to_owned()),
        "403" => (false, format!("the server refuses this user\n  remedy: {AS_ROOT}\n")),
        _ => {
            let start = head.lines().next().unwrap_or_default();
            (false, format!("not the answer of Byway: {start:?}\n  remedy: find the program on that port\n"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_part_that_is_down_is_a_fault() {
        let judged = |answer: &str| judge(answer).0;
        assert!(judged("HTTP/1.0 200 OK\r\n\r\nok\n"));
        assert!(judged("HTTP/1.0 503 Service Unavailable\r\n\r\ndegraded: an address\ndraining\n"));
        assert!(!judged("HTTP/1.0 503 Service Unavailable\r\n\r\ndegraded: an address\ndown: shard 0\n"));
        assert!(!judged("HTTP/1.0 421 Misdirected Request\r\n\r\n"));
        assert!(!judged("HTTP/1.1 403 Forbidden\r\n\r\n"));
        assert!(!judged("SSH-2.0-OpenSSH"));
        assert!(!judged(""));
    }
}
