//! Runs the real binary on ports that the kernel picks, scrapes its metrics, and kills it on drop.
//!
//! A test never sleeps until the server is ready. [`Server::start`] returns once the server has
//! logged its addresses, which it does in one line after all sockets are bound.

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
use std::os::unix::fs::PermissionsExt as _;
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

/// Realm of [`CONFIG`].
pub const REALM: &str = "byway.test";

/// Secret of [`CONFIG`].
pub const SECRET: &str = "a-test-secret";

/// Configuration of a server on loopback, on free ports. Its relays may reach peers on loopback.
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

/// Maximum wait for the server to start, to end or to do something. It allows for a machine that
/// also compiles.
const PATIENCE: Duration = Duration::from_secs(20);

/// Real time since its start, for waits with a timeout.
struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(clippy::disallowed_methods, reason = "it waits for another process in real time")]
    fn start() -> Self {
        Self(Instant::now())
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A running `byway serve`, killed on drop. If the test panicked, its log is printed.
pub struct Server {
    /// Addresses of its listeners.
    pub bound: Bound,
    child: Child,
    log: Arc<Mutex<String>>,
    /// Receives the listening lines. It is disconnected when the log ends, and so when the process
    /// ends.
    listening: mpsc::Receiver<Bound>,
    configuration: Configuration,
}

impl Server {
    /// Starts a server with [`CONFIG`].
    pub fn start() -> Self {
        Self::start_with(CONFIG, |_| {})
    }

    /// Starts a server with another configuration, and adjusts its command.
    pub fn start_with(config: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let configuration = Configuration::new(config);
        let mut command = configuration.command();
        adjust(&mut command);
        Self::spawn(configuration, command)
    }

    /// Starts a server that may hold `files` file descriptors.
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

    /// Replaces the text of its configuration file at once. It takes effect at a reload.
    pub fn configure(&self, text: &str) {
        let path = self.configuration_path();
        let next = path.with_extension("next");
        std::fs::write(&next, text).expect("the configuration is written");
        std::fs::rename(next, path).expect("it takes the place of the former one");
    }

    /// Replaces the text of its configuration file, and runs `byway reload`.
    pub fn reload(&self, text: &str) -> Output {
        self.configure(text);
        self.configuration.run(&["reload"])
    }

    /// Returns the addresses of the next listening line, which the server logs after they have
    /// changed.
    pub fn listening_again(&self) -> Bound {
        self.listening.recv_timeout(PATIENCE).expect("the listeners have changed")
    }

    /// Waits until the process has ended.
    pub fn ended(&mut self) -> ExitStatus {
        let mut ended = self.listening.recv_timeout(PATIENCE);
        // The server logs its addresses again after they have changed.
        while ended.is_ok() {
            ended = self.listening.recv_timeout(PATIENCE);
        }
        assert_eq!(ended, Err(mpsc::RecvTimeoutError::Disconnected), "still running after {PATIENCE:?}");
        self.child.wait().expect("it is our child")
    }

    /// Returns a command of the same binary with the same configuration.
    pub fn command(&self) -> Command {
        self.configuration.command()
    }

    /// Returns the same command, run in a network namespace.
    pub fn command_in(&self, namespace: &str) -> Command {
        self.configuration.command_in(namespace)
    }

    /// Returns the path of its configuration file.
    pub fn configuration_path(&self) -> PathBuf {
        self.configuration.path()
    }

    /// Returns a username and its password, as `byway credential` issues them.
    pub fn credential(&self, user: &str) -> (String, String) {
        let output = self.configuration.run(&["credential", "--user", user]);
        assert!(output.status.success(), "byway credential: {}", String::from_utf8_lossy(&output.stderr));
        let json: serde_json::Value =
            serde_json::from_slice(&output.stdout).expect("byway credential prints JSON");
        let text = |key: &str| json[key].as_str().unwrap_or_else(|| panic!("no {key} in {json}")).to_owned();
        (text("username"), text("password"))
    }

    /// Returns the value of a `/metrics` series by its full name, such as
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
            assert!(clock.elapsed() < PATIENCE, "{series} is {} instead of {value}", self.metric(series));
        }
    }

    /// Waits until a counter is not zero. The server counts what it sent a moment after sending it.
    pub fn until_counted(&self, series: &str) {
        let clock = Stopwatch::start();
        while self.metric(series) == 0 {
            assert!(clock.elapsed() < PATIENCE, "{series} is 0");
        }
    }

    /// Waits until a line of the log contains these words, and returns the number of such lines.
    pub fn logged(&self, words: &str) -> usize {
        let clock = Stopwatch::start();
        loop {
            let log = self.log();
            match log.lines().filter(|line| line.contains(words)).count() {
                0 => assert!(clock.elapsed() < PATIENCE, "no line with {words} in:\n{log}"),
                found => return found,
            }
            std::thread::yield_now();
        }
    }

    /// Sends a signal, by its name in `kill`.
    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("`kill` starts").success(), "the process is running");
    }

    /// Returns the root of the file system that the process sees.
    pub fn root(&self) -> PathBuf {
        format!("/proc/{}/root", self.child.id()).into()
    }

    /// Returns the name and the status (`/proc/PID/task/TID/status`) of each thread.
    pub fn threads(&self) -> Vec<(String, String)> {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process is running");
        let status = |thread: std::io::Result<std::fs::DirEntry>| {
            std::fs::read_to_string(thread.ok()?.path().join("status")).ok()
        };
        let named = |status: String| {
            let name = status.lines().next()?.strip_prefix("Name:")?.trim().to_owned();
            Some((name, status))
        };
        threads.filter_map(|thread| named(status(thread)?)).collect()
    }

    /// Returns the ID of the thread with this name.
    pub fn thread(&self, name: &str) -> nix::unistd::Pid {
        let threads =
            std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("the process is running");
        let mut threads = threads.map(|thread| thread.expect("the process is running").path());
        let is_it = |thread: &PathBuf| {
            std::fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let thread = threads.find(is_it).unwrap_or_else(|| panic!("no thread {name}"));
        let number = thread.file_name().and_then(|number| number.to_str()?.parse().ok());
        nix::unistd::Pid::from_raw(number.expect("the folder's name is a number"))
    }

    /// Pauses the process while `work` runs, so that it then receives everything at once.
    pub fn meanwhile_paused(&self, work: impl FnOnce()) {
        self.pause();
        work();
        self.signal("CONT");
    }

    /// Stops the process until it receives SIGCONT. Waits until all threads have stopped, because
    /// the signal takes effect later.
    pub fn pause(&self) {
        self.signal("STOP");
        let threads = format!("/proc/{}/task", self.child.id());
        let is_stopped = |thread: std::io::Result<std::fs::DirEntry>| {
            let stat = std::fs::read_to_string(thread.expect("the process is running").path().join("stat"));
            // The state follows the name, which is in parentheses.
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        let clock = Stopwatch::start();
        while !std::fs::read_dir(&threads).expect("the process is running").all(is_stopped) {
            assert!(clock.elapsed() < PATIENCE, "still running");
        }
    }

    /// Limits the process to `more` further file descriptors.
    pub fn leave_descriptors(&self, more: usize) {
        let process = self.child.id();
        let held = std::fs::read_dir(format!("/proc/{process}/fd")).expect("the process is running").count();
        let limit = format!("--nofile={}", held + more);
        // `prlimit` belongs to util-linux, an essential package.
        let set = Command::new("prlimit").args(["--pid", &process.to_string(), &limit]).status();
        assert!(set.expect("`prlimit` starts").success());
    }

    /// Waits until the process uses at most `bytes` of memory.
    pub fn until_memory_is_below(&self, bytes: u64) {
        let clock = Stopwatch::start();
        while self.memory() > bytes {
            assert!(clock.elapsed() < PATIENCE, "{} bytes instead of {bytes}", self.memory());
            std::thread::yield_now();
        }
    }

    /// Returns the resident memory of the process in bytes.
    pub fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))
            .expect("the process is running");
        let resident =
            status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("the kernel reports it");
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

/// Addresses of the listeners, from the line that the server logs after all sockets are bound.
///
/// For example:
/// `listening udp=127.0.0.1:40001,[::1]:40002 http=127.0.0.1:40003 admin=127.0.0.1:40004`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// STUN and TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// HTTPS, WSS, and STUN and TURN over TLS.
    pub tls: Vec<SocketAddr>,
    /// Web page, `/ice` and `/ws`.
    pub http: Vec<SocketAddr>,
    /// `/metrics` and `/healthz`.
    pub admin: Vec<SocketAddr>,
}

impl Bound {
    /// Parses a line of the log; `None` if it is another line.
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
                // `off` if no certificate is configured.
                "tls" => bound.tls = addresses().unwrap_or_default(),
                "http" => bound.http = addresses()?,
                "admin" => bound.admin = addresses()?,
                // No test needs the rest of the line, such as the relay's ports.
                _ => {}
            }
        }
        Some(bound)
    }

    /// Returns the UDP listener of IPv4.
    pub fn udp_v4(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv4()).expect("an IPv4 listener")
    }

    /// Returns the TCP listener of IPv4.
    pub fn tcp_v4(&self) -> SocketAddr {
        *self.tcp.iter().find(|address| address.is_ipv4()).expect("an IPv4 listener")
    }

    /// Returns the TLS listener.
    pub fn tls(&self) -> SocketAddr {
        *self.tls.first().expect("a TLS listener")
    }

    /// Returns the UDP listener of IPv6.
    pub fn udp_v6(&self) -> SocketAddr {
        *self.udp.iter().find(|address| address.is_ipv6()).expect("an IPv6 listener")
    }
}

/// A configuration file in its own folder, deleted on drop.
pub struct Configuration {
    directory: TempDir,
}

impl Configuration {
    /// Creates a folder with a configuration file of this text.
    pub fn new(text: &str) -> Self {
        let configuration = Self { directory: TempDir::new().expect("a temporary directory") };
        std::fs::write(configuration.path(), text).expect("the configuration is written");
        // It holds a secret, so the server would warn of a file that others can read.
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(configuration.path(), private).expect("the file is ours");
        configuration
    }

    /// Returns the path of the configuration file.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("turnserver.toml")
    }

    /// Returns the command `byway --config` with this file.
    pub fn command(&self) -> Command {
        let mut command = byway();
        command.arg("--config").arg(self.path());
        command
    }

    /// Returns the same command, run in a network namespace.
    pub fn command_in(&self, namespace: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", namespace]).arg(binary()).arg("--config").arg(self.path());
        clean(&mut command);
        command
    }

    /// Returns the same command, limited to `files` file descriptors.
    pub fn command_with_files(&self, files: u16) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {files} && exec \"$0\" \"$@\"")]);
        clean(shell.arg(binary()).arg("--config").arg(self.path()));
        shell
    }

    /// Runs `byway --config` with this file and further arguments; returns output and exit status.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("the binary starts")
    }
}

/// Returns the path of the binary under test, of the same profile as the test.
///
/// Cargo passes the path to tests that it runs. Otherwise, as with sudo, the binary is in the
/// folder above the test's own.
fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("CARGO_BIN_EXE_byway") {
        return path.into();
    }
    let test = std::env::current_exe().expect("the kernel knows the test's own path");
    test.ancestors().nth(2).expect("cargo puts tests into a folder within the profile's").join("byway")
}

/// Returns a command of the binary under test.
pub fn byway() -> Command {
    let mut command = Command::new(binary());
    clean(&mut command);
    command
}

/// Isolates a command from the caller's configuration, log settings and service manager.
fn clean(command: &mut Command) {
    command
        .env_remove("BYWAY_CONFIG")
        .env_remove("NOTIFY_SOCKET")
        .env_remove("JOURNAL_STREAM")
        .env_remove("RUST_LOG")
        .env("NO_COLOR", "1");
}

/// Returns a port that is free at 127.0.0.1 and 127.0.0.2; the next higher port is free, too.
///
/// It lies below the kernel's ephemeral ports and is returned once, so no other test takes it
/// meanwhile.
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

/// Returns base64(HMAC-SHA1(secret, username)), computed without the code under test.
pub fn password(secret: &str, username: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret.as_bytes()).expect("HMAC takes any key");
    mac.update(username.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// Raises the soft limit of file descriptors to the hard limit, for the floods of all tests in this
/// process.
///
/// The server inherits the limit; by itself, it would raise its own limit as far.
fn raise_descriptor_limit() {
    static RAISED: Once = Once::new();
    RAISED.call_once(|| {
        rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit may be raised to the hard one");
    });
}

/// Collects the log on a separate thread, and sends the addresses of each listening line.
fn follow(stderr: ChildStderr, log: Arc<Mutex<String>>) -> mpsc::Receiver<Bound> {
    let (tell, listening) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let bound = Bound::parse(&line);
            let mut log = log.lock().expect("no reader panicked");
            log.push_str(&line);
            log.push('\n');
            drop(log);
            // By now, the receiver finds the line in the log.
            if let Some(bound) = bound {
                let _ = tell.send(bound);
            }
        }
    });
    listening
}
