//! Running server: its state, secrets, metrics and clock, through the admin listener.

use std::io;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crate::cli::http_client::unix_time;
use crate::cli::running_server::{ask, exchange};
use crate::clock::Clock;
use crate::cluster::status::ClusterStatus;
use crate::config::Config;
use crate::diagnosis::clock::Reading;
use crate::diagnosis::running::Server;
use crate::http::admin::status::{STATUS, Status};
use crate::http::admin::{SIGNING, SigningAnswer};
use crate::net::interfaces;
use crate::server::secrets::signing_tags;

/// Longest wait to connect, and for each part of an answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read: more than `/metrics` has.
const LONGEST: u64 = 1 << 20;

/// Result of all questions.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) server: Server,
    pub(super) pid: Option<u32>,
    /// Page `/metrics`; empty if the server gave none.
    metrics: String,
    /// Clock of the server's process.
    pub(super) clock: Option<Reading>,
    /// Cluster of the server, if it is in one.
    pub(super) cluster: Option<ClusterStatus>,
    /// Time of the answer, in seconds since 1970; 0 without one.
    pub(super) now: u64,
}

impl Asked {
    pub(super) fn is_up(&self) -> bool {
        matches!(self.server, Server::Up { .. })
    }

    /// Returns the value of a series by its full name.
    pub(super) fn metric(&self, series: &str) -> Option<u64> {
        let value = self.metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        value.split(' ').next()?.parse().ok()
    }
}

/// Asks the server that runs with this configuration. `unit` is the state of its unit.
pub(super) fn ask_all(config: &Config, unit: Option<&str>) -> Asked {
    let listen = &config.listen;
    let nothing =
        |server| Asked { server, pid: None, metrics: String::new(), clock: None, cluster: None, now: 0 };
    let socket = listen.admin_sockets.first();
    let fixed = listen.admin.iter().find(|listener| listener.port() != 0);
    let at = match (socket, fixed) {
        (Some(socket), _) => format!("unix:{}", socket.display()),
        (None, Some(listener)) => interfaces::reachable(*listener).to_string(),
        (None, None) => return nothing(Server::NoListener),
    };
    let get = |path: &str| match (socket, fixed) {
        (Some(socket), _) => UnixStream::connect(socket).and_then(|stream| {
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            get_over(stream, "localhost", path)
        }),
        (None, Some(listener)) => {
            let at = interfaces::reachable(*listener);
            TcpStream::connect_timeout(&at, PATIENCE).and_then(|stream| {
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                get_over(stream, &at.to_string(), path)
            })
        }
        (None, None) => Err(io::ErrorKind::NotFound.into()),
    };
    let (head, body) = match get(STATUS) {
        Ok(answer) => answer,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return nothing(Server::Refused { at });
        }
        Err(error) => {
            let error = unit.map_or_else(|| error.to_string(), |unit| format!("{error}; {unit}"));
            return nothing(Server::Silent { at, error });
        }
    };
    let now = Clock::start().now().unix;
    let date = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        unix_time(value).filter(|_| name.eq_ignore_ascii_case("date"))
    });
    let Ok(status) = serde_json::from_str::<Status>(&body) else {
        let error = format!("not the answer of Byway: {}", head.lines().next().unwrap_or_default());
        return nothing(Server::Silent { at, error });
    };
    let knows_secrets = socket.and_then(|socket| {
        let answer = ask::<SigningAnswer>(socket, SIGNING, &signing_tags(config)).ok();
        answer.map(|(_, answer)| answer.known)
    });
    let server = Server::Up {
        about: format!("version {}, process {}, {}", status.version, status.pid, status.phase),
        version: status.version,
        down: status.down,
        degraded: status.degraded,
        knows_secrets,
    };
    let clock = date.map(|other| Reading { from: "the running server".to_owned(), own: now, other });
    let metrics = get("/metrics").map(|(_, body)| body).unwrap_or_default();
    Asked { server, pid: Some(status.pid), metrics, clock, cluster: status.facts.cluster, now }
}

/// Sends a `GET`, and returns the head and the body of the answer.
fn get_over(stream: impl io::Read + io::Write, host: &str, path: &str) -> io::Result<(String, String)> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    let (answer, outcome) = exchange(stream, &request, LONGEST);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    if answer.is_empty() {
        outcome?;
    }
    let (head, body) =
        answer.split_once("\r\n\r\n").ok_or_else(|| io::Error::other("the answer is not HTTP"))?;
    if head.split(' ').nth(1) == Some("403") {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let is_chunked = head.lines().any(|line| line.eq_ignore_ascii_case("transfer-encoding: chunked"));
    let body = if is_chunked { joined(body) } else { body.to_owned() };
    Ok((head.to_owned(), body))
}

/// Joins the chunks of a body. Lines of sizes are dropped, because no line of the answers is
/// hexadecimal.
fn joined(body: &str) -> String {
    let is_size = |line: &&str| !line.is_empty() && u64::from_str_radix(line, 16).is_ok();
    body.split("\r\n").filter(|line| !is_size(line)).collect()
}
