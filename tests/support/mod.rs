//! The real binary under test: started on ports the kernel picks, scraped over HTTP, gone when dropped.
//!
//! A test never sleeps to wait for the server. [`Server::start`] returns when the server has said, in the one line it
//! logs once every socket is bound, where it listens.
#![allow(dead_code, reason = "each test binary includes this module and uses a part of it")]
#![allow(clippy::panic, reason = "a panic is how a test fails")]

pub(crate) mod http;
pub(crate) mod stun;

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;

/// The secret of [`CONFIG`].
pub(crate) const SECRET: &str = "a-test-secret";

/// A server on loopback alone, on free ports, whose relays may reach peers on loopback.
pub(crate) const CONFIG: &str = r#"
realm = "byway.test"
[listen]
udp = ["127.0.0.1:0", "[::1]:0"]
http = ["127.0.0.1:0"]
admin = ["127.0.0.1:0"]
[relay]
addresses = ["127.0.0.1", "::1"]
shards = 2
[credentials]
secrets = ["a-test-secret"]
[peers]
allow = ["127.0.0.1/32", "::1/128"]
[quota]
unauthenticated_per_second = 0
"#;

/// How long a start may take before the test says that it failed: generous, for a machine that builds meanwhile.
const START: Duration = Duration::from_secs(20);

/// A running `byway serve`; killed when dropped. If the test panicked, its log is shown.
pub(crate) struct Server {
    /// Where it listens.
    pub(crate) bound: Bound,
    child: Child,
    log: Arc<Mutex<String>>,
    listening: Receiver<Bound>,
    directory: TempDir,
}

impl Server {
    /// Starts the server of [`CONFIG`].
    pub(crate) fn start() -> Self {
        Self::start_with(CONFIG, |_| {})
    }

    /// Starts a server of another configuration, and with more in its environment.
    pub(crate) fn start_with(config: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        Self::spawn(config, |file| {
            let mut command = byway(file);
            adjust(&mut command);
            command
        })
    }

    /// Starts a server that may hold so many file descriptors.
    pub(crate) fn start_with_files(config: &str, files: u16) -> Self {
        Self::spawn(config, |file| {
            let mut shell = Command::new("sh");
            shell.args([
                "-c",
                &format!("ulimit -n {files} && exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_byway"),
            ]);
            clean(&mut shell, file);
            shell
        })
    }

    fn spawn(config: &str, command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = TempDir::new().expect("a temporary directory");
        let file = directory.path().join("turnserver.toml");
        std::fs::write(&file, config).expect("the configuration is written");

        let mut command = command(&file);
        command.arg("serve").stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");

        let log = Arc::new(Mutex::new(String::new()));
        let listening = follow(child.stderr.take().expect("stderr is piped"), Arc::clone(&log));
        let Ok(bound) = listening.recv_timeout(START) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "no listening line within {START:?}; the log:\n{}",
                log.lock().expect("no writer panicked")
            );
        };
        Self { bound, child, log, listening, directory }
    }

    /// What the server has logged so far.
    pub(crate) fn log(&self) -> String {
        self.log.lock().expect("no writer panicked").clone()
    }

    /// The process id, for a test that sends signals.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end by itself, for at most `limit`; `None` if it lives on.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        // The thread that follows the log lets go of its end of the channel at the end of the log, which is the process's.
        match self.listening.recv_timeout(limit) {
            Err(RecvTimeoutError::Disconnected) => Some(self.child.wait().expect("the child is ours")),
            Ok(_) | Err(RecvTimeoutError::Timeout) => None,
        }
    }

    /// A command of the same binary under the same configuration.
    pub(crate) fn command(&self) -> Command {
        byway(&self.config())
    }

    /// A username and its password, as `byway credential` issues them.
    pub(crate) fn credential(&self, user: &str) -> (String, String) {
        let output = self.command().args(["credential", "--user", user]).output().expect("the binary starts");
        assert!(output.status.success(), "byway credential: {}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("byway credential prints JSON");
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned();
        (text("username"), text("password"))
    }

    /// One series of `/metrics` by its full name, such as `byway_relayed_bytes_total{direction="to_peer"}`.
    pub(crate) fn metric(&self, series: &str) -> u64 {
        let body = http::get(self.bound.admin[0], "/metrics").expect_ok();
        let value = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no series {series} in:\n{body}"));
        value.parse().unwrap_or_else(|_| panic!("{series} is {value}, not a count"))
    }

    fn config(&self) -> PathBuf {
        self.directory.path().join("turnserver.toml")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- the server's log ---\n{}", self.log());
        }
    }
}

/// Where a server listens, taken from the line it logs once every socket is bound:
/// `listening udp=127.0.0.1:40001,[::1]:40002 http=127.0.0.1:40003 admin=127.0.0.1:40004`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Bound {
    /// STUN and TURN over UDP.
    pub(crate) udp: Vec<SocketAddr>,
    /// The page, `/ice` and `/ws`.
    pub(crate) http: Vec<SocketAddr>,
    /// `/metrics` and `/healthz`.
    pub(crate) admin: Vec<SocketAddr>,
}

impl Bound {
    /// Reads one line of the log; `None` if it is another line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (_, lists) = line.split_once("listening ")?;
        let mut bound = Self::default();
        for (listener, addresses) in lists.split_whitespace().filter_map(|list| list.split_once('=')) {
            let addresses =
                || addresses.split(',').map(|address| address.parse().ok()).collect::<Option<_>>();
            match listener {
                "udp" => bound.udp = addresses()?,
                "http" => bound.http = addresses()?,
                "admin" => bound.admin = addresses()?,
                // What else the line tells, such as the relay's ports, no test needs.
                _ => {}
            }
        }
        Some(bound)
    }

    /// The UDP listener of IPv4.
    pub(crate) fn udp_v4(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv4()).expect("an IPv4 listener")
    }

    /// The UDP listener of IPv6.
    pub(crate) fn udp_v6(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }
}

/// The binary under test with a configuration; neither the caller's log settings nor a service manager reach it.
fn byway(config: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byway"));
    clean(&mut command, config);
    command
}

fn clean(command: &mut Command, config: &Path) {
    command
        .arg("--config")
        .arg(config)
        .env_remove("NOTIFY_SOCKET")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
}

/// Collects the log on a thread of its own, and tells where the server listens when it has said so.
fn follow(stderr: ChildStderr, log: Arc<Mutex<String>>) -> Receiver<Bound> {
    let (tell, listening) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Some(bound) = Bound::parse(&line) {
                let _ = tell.send(bound);
            }
            let mut log = log.lock().expect("no reader panicked");
            log.push_str(&line);
            log.push('\n');
        }
    });
    listening
}
