//! The real binary under test: started on ports the kernel picks, scraped over HTTP, gone when
//! dropped.
//!
//! A test never sleeps to wait for the server. [`Server::start`] returns when the server has said,
//! in the one line it logs once every socket is bound, where it listens.

pub mod background;
pub mod certificates;
pub mod http;
pub mod interrupts;
pub mod member;
pub mod sockets;
pub mod stun;
pub mod tls;
pub mod train;

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};
use std::sync::{Arc, Mutex, Once, mpsc};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use tempfile::TempDir;

/// The realm of [`CONFIG`].
pub const REALM: &str = "byway.test";

/// The secret of [`CONFIG`].
pub const SECRET: &str = "a-test-secret";

/// A server on loopback alone, on free ports, whose relays may reach peers on loopback.
pub const CONFIG: &str = r#"
realm = "byway.test"
[listen]
udp = ["127.0.0.1:0", "[::1]:0"]
tcp = ["127.0.0.1:0", "[::1]:0"]
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

/// Longest start or end before a test fails: generous, for a machine that builds meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// Real time since its start, for waits that have a bound.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "another process is waited for, in its time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A running `byway serve`; killed when dropped. If the test panicked, its log is shown.
pub struct Server {
    /// Addresses of its listeners.
    pub bound: Bound,
    child: Child,
    log: Arc<Mutex<String>>,
    /// Ends with the log, and so with the process.
    listening: mpsc::Receiver<Bound>,
    configuration: Configuration,
}

impl Server {
    /// Starts the server of [`CONFIG`].
    pub fn start() -> Self {
        Self::start_with(CONFIG, |_| {})
    }

    /// Starts a server of another configuration, and with more in its environment.
    pub fn start_with(config: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let configuration = Configuration::new(config);
        let mut command = configuration.command();
        adjust(&mut command);
        Self::spawn(configuration, command)
    }

    /// Starts a server that may hold so many file descriptors.
    pub fn start_with_files(config: &str, files: u16) -> Self {
        let configuration = Configuration::new(config);
        let command = configuration.command_with_files(files);
        Self::spawn(configuration, command)
    }

    /// Starts a server in a network namespace.
    pub fn start_in(namespace: &str, config: &str) -> Self {
        let configuration = Configuration::new(config);
        let command = configuration.command_in(namespace);
        Self::spawn(configuration, command)
    }

    fn spawn(configuration: Configuration, mut command: Command) -> Self {
        raise_descriptor_limit();
        command.arg("serve").stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");

        let log = Arc::new(Mutex::new(String::new()));
        let listening = follow(child.stderr.take().expect("stderr is piped"), Arc::clone(&log));
        let Ok(bound) = listening.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!(
                "no listening line within {PATIENCE:?}; the log:\n{}",
                log.lock().expect("no writer panicked")
            );
        };
        Self { bound, child, log, listening, configuration }
    }

    /// Returns the log so far.
    pub fn log(&self) -> String {
        self.log.lock().expect("no writer panicked").clone()
    }

    /// Sends SIGTERM and waits until the process has ended.
    pub fn terminate(&mut self) -> ExitStatus {
        self.signal("TERM");
        self.ended()
    }

    /// Waits until the process has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let mut ended = self.listening.recv_timeout(PATIENCE);
        // It says where it listens again when that has changed.
        while ended.is_ok() {
            ended = self.listening.recv_timeout(PATIENCE);
        }
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "still there after {PATIENCE:?}");
        self.child.wait().expect("it is our child")
    }

    /// A command of the same binary under the same configuration.
    pub fn command(&self) -> Command {
        self.configuration.command()
    }

    /// The same in a network namespace.
    pub fn command_in(&self, namespace: &str) -> Command {
        self.configuration.command_in(namespace)
    }

    /// Its configuration file.
    pub fn configuration_path(&self) -> PathBuf {
        self.configuration.path()
    }

    /// A username and its password, as `byway credential` issues them.
    pub fn credential(&self, user: &str) -> (String, String) {
        let output = self.configuration.run(&["credential", "--user", user]);
        assert!(output.status.success(), "byway credential: {}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("byway credential prints JSON");
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned();
        (text("username"), text("password"))
    }

    /// One series of `/metrics` by its full name, such as
    /// `byway_relayed_bytes_total{direction="to_peer"}`.
    pub fn metric(&self, series: &str) -> u64 {
        let answer = http::get(self.bound.admin[0], "/metrics").expect_ok();
        let body = answer.text();
        let value = body.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no series {series} in:\n{body}"));
        value.parse().unwrap_or_else(|_| panic!("{series} is {value}, not a count"))
    }

    /// Waits until a gauge has this value.
    pub fn until(&self, series: &str, value: u64) {
        let clock = Stopwatch::start();
        while self.metric(series) != value {
            assert!(clock.elapsed() < PATIENCE, "{series} is {} and not {value}", self.metric(series));
        }
    }

    /// Waits until a count is no longer zero: what was sent is counted a moment after it has left.
    pub fn until_counted(&self, series: &str) {
        let clock = Stopwatch::start();
        while self.metric(series) == 0 {
            assert!(clock.elapsed() < PATIENCE, "{series} is 0");
        }
    }

    /// Waits until the log has a line with these words, and yields how many it has.
    pub fn logged(&self, words: &str) -> usize {
        let clock = Stopwatch::start();
        loop {
            let log = self.log();
            match log.lines().filter(|line| line.contains(words)).count() {
                0 => assert!(clock.elapsed() < PATIENCE, "nothing about {words} in:\n{log}"),
                found => return found,
            }
            std::thread::yield_now();
        }
    }

    /// Sends a signal, by its name as `kill` knows it.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("`kill` starts").success(), "the process is there to be told");
    }

    /// Returns the status of each thread (`/proc/PID/task/TID/status`), by its name.
    pub fn threads(&self) -> Vec<(String, String)> {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
        let status = |thread: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread.ok()?.path().join("status")).ok()
        };
        let named = |status: String| {
            let name = status.lines().next()?.strip_prefix("Name:")?.trim().to_owned();
            Some((name, status))
        };
        threads.filter_map(|thread| named(status(thread)?)).collect()
    }

    /// The process's thread of this name.
    pub fn thread(&self, name: &str) -> nix::unistd::Pid {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it lives");
        let mut threads = threads.map(|thread| thread.expect("it lives").path());
        let is_it = |thread: &PathBuf| {
            std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let thread = threads.find(is_it).unwrap_or_else(|| panic!("no thread {name}"));
        let number = thread.file_name().and_then(|number| number.to_str()?.parse().ok());
        nix::unistd::Pid::from_raw(number.expect("its folder is a number"))
    }

    /// Has the process find all at once what `work` sends.
    pub fn meanwhile_paused(&self, work: impl FnOnce()) {
        self.pause();
        work();
        self.signal("CONT");
    }

    /// Stops the process in its tracks, until it is sent CONT. The signal alone says nothing of
    /// when.
    pub fn pause(&self) {
        self.signal("STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.expect("it lives").path().join("stat"));
            // The state stands behind the name, which is in parentheses.
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        let clock = Stopwatch::start();
        while !std::fs::read_dir(&threads).expect("it lives").all(is_stopped) {
            assert!(clock.elapsed() < PATIENCE, "still running");
        }
    }

    /// From now on the process may have only so many file descriptors more.
    pub fn leave_descriptors(&self, more: usize) {
        let process = self.child.id();
        let held = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it lives").count();
        let limit = format!("--nofile={}", held + more);
        // Of util-linux, an essential package.
        let set = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
        assert!(set.expect("`prlimit` starts").success());
    }

    /// Waits until the process has no more memory in use than `bytes`.
    pub fn until_memory_is_below(&self, bytes: u64) {
        let clock = Stopwatch::start();
        while self.memory() > bytes {
            assert!(clock.elapsed() < PATIENCE, "{} bytes and not {bytes}", self.memory());
            std::thread::yield_now();
        }
    }

    /// Bytes of memory that the process has in use.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it lives");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel says it");
        let kibibytes = resident.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
        kibibytes * 1024
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

/// Addresses of the listeners, taken from the line that is logged once every socket is bound:
/// `listening udp=127.0.0.1:40001,[::1]:40002 tcp=127.0.0.1:40005 http=127.0.0.1:40003 admin=127.0.0.1:40004`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTPS, WSS, and STUN and TURN over TLS.
    pub tls: Vec<SocketAddr>,
    /// The page, `/ice` and `/ws`.
    pub http: Vec<SocketAddr>,
    /// `/metrics` and `/healthz`.
    pub admin: Vec<SocketAddr>,
}

impl Bound {
    /// Reads one line of the log; `None` if it is another line.
    pub fn parse(line: &str) -> Option<Self> {
        let (_, lists) = line.split_once("listening ")?;
        let mut bound = Self::default();
        for (listener, addresses) in lists.split_whitespace().filter_map(|list| list.split_once('=')) {
            let addresses = || match addresses {
                "-" => Some(Vec::new()),
                _ => addresses.split(',').map(|address| address.parse().ok()).collect(),
            };
            match listener {
                "udp" => bound.udp = addresses()?,
                "tcp" => bound.tcp = addresses()?,
                // Off where no certificate is configured.
                "tls" => bound.tls = addresses().unwrap_or_default(),
                "http" => bound.http = addresses()?,
                "admin" => bound.admin = addresses()?,
                // What else the line tells, such as the relay's ports, no test needs.
                _ => {}
            }
        }
        Some(bound)
    }

    /// The UDP listener of IPv4.
    pub fn udp_v4(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv4()).expect("an IPv4 listener")
    }

    /// The TCP listener of IPv4.
    pub fn tcp_v4(&self) -> SocketAddr {
        *self.tcp.iter().find(|address| address.is_ipv4()).expect("an IPv4 listener")
    }

    /// The TLS listener.
    pub fn tls(&self) -> SocketAddr {
        *self.tls.first().expect("a TLS listener")
    }

    /// The UDP listener of IPv6.
    pub fn udp_v6(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }
}

/// A configuration in a folder of its own, there until dropped.
pub struct Configuration {
    directory: TempDir,
}

impl Configuration {
    /// A folder with a configuration file of this text.
    pub fn new(text: &str) -> Self {
        let configuration = Self { directory: TempDir::new().expect("a temporary directory") };
        std::fs::write(configuration.path(), text).expect("the configuration is written");
        configuration
    }

    /// Path of the configuration file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("turnserver.toml")
    }

    /// `byway --config` with this file.
    pub fn command(&self) -> Command {
        let mut command = byway();
        command.arg("--config").arg(self.path());
        command
    }

    /// The same in a network namespace.
    pub fn command_in(&self, namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(binary()).arg("--config").arg(self.path());
        clean(&mut command);
        command
    }

    /// The same with so many file descriptors at most.
    pub fn command_with_files(&self, files: u16) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        clean(shell.arg(binary()).arg("--config").arg(self.path()));
        shell
    }

    /// Output and exit status of `byway --config` with this file and more arguments.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the binary starts")
    }
}

/// The binary under test, of the profile that the test is built with.
///
/// Cargo says where it is. Where something else runs the test, as sudo does, it lies in the folder
/// above the test's own.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGO_BIN_EXE_byway") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the kernel knows the test's own path");
    test.ancestors().nth(2).expect("cargo has a folder for tests within the profile's").join("byway")
}

/// A command of the binary under test.
pub fn byway() -> Command {
    let mut command = Command::new(binary());
    clean(&mut command);
    command
}

/// The caller's configuration, log settings and service manager do not reach it.
fn clean(command: &mut Command) {
    command
        .env_remove("BYWAY_CONFIG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
}

/// A port that is free at 127.0.0.1 and 127.0.0.2, and the next higher one, too. From below what
/// the kernel hands out, and never the same again, so that no other test has it a moment later.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 6000).expect("it is below 6000");
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Relaxed)) % 6000 * 2;
        let all = ["127.0.0.1", "127.0.0.2"].map(|ip| [(ip, port), (ip, port + 1)]);
        if all.as_flattened().iter().all(|address| UdpSocket::bind(address).is_ok()) {
            return port;
        }
    }
}

/// base64(HMAC-SHA1(secret, username)), computed without the code under test.
pub fn password(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Lets the floods of all tests in this process have the file descriptors that they need, as far as
/// its hard limit goes.
///
/// A server that inherits the limit would have raised its own as far.
fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    });
}

/// Collects the log on a thread of its own, and tells where the server listens when it has said so.
fn follow(stderr: ChildStderr, log: Arc<Mutex<String>>) -> mpsc::Receiver<Bound> {
    let (tell, listening) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let bound = Bound::parse(&line);
            let mut log = log.lock().expect("no reader panicked");
            log.push_str(&line);
            log.push('\n');
            drop(log);
            // Whoever is told finds the line in the log.
            if let Some(bound) = bound {
                let _ = tell.send(bound);
            }
        }
    });
    listening
}
