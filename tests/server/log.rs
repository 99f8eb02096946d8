//! Things that the log does not hold, at whatever level it is kept; and that nothing hangs on
//! whether anybody takes it.
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use byway_test_support::process::{CONFIG, SECRET, Server, byway, free_port, http};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message};

/// Formats of a line.
const FORMATS: [&str; 2] = ["text", "json"];

/// Credentials are secrets of their clients, and everyone who knows a room's name can enter it.
#[test]
fn the_most_talkative_log_holds_no_credential_and_no_word_of_a_room() {
    for format in FORMATS {
        keeps_secrets(format);
    }
}

fn keeps_secrets(format: &str) {
    let server = Server::start_with(&format!("{CONFIG}[log]\nformat = \"{format}\"\n"), |command| {
        command.env("RUST_LOG", "trace,tungstenite=trace,tungstenite::protocol=trace");
    });
    let site = server.bound.http[0];
    let ice = http::get(site, "/ice").expect_ok();
    let ice: serde_json::Value = serde_json::from_slice(&ice.body).expect("/ice is JSON");

    let stream = TcpStream::connect(site).expect("the server accepts");
    let (mut socket, _) = tungstenite::client(format!("ws://{site}/ws"), stream).expect("a WebSocket");
    let mut say = |text: &str| {
        socket.send(Message::text(text)).expect("the frame is sent");
        let answer = socket.read().expect("an answer").into_text().expect("in text");
        serde_json::from_str::<serde_json::Value>(&answer).expect("in JSON")
    };
    let joined = say(r#"{"type":"join","room":"an-unguessable-room","name":"a-name-on-a-screen"}"#);
    let nobody = "AAAAAAAAAAAAAAAAAAAAAA";
    let error = say(&format!(r#"{{"type":"signal","to":"{nobody}","data":"a-session-description"}}"#));
    assert_eq!(error["code"], "no-such-peer");
    drop(socket);

    let password =
        |ice: &serde_json::Value| ice["iceServers"][1]["credential"].as_str().expect("a password").to_owned();
    let log = server.log();
    assert_eq!(log.contains("\"level\":\"TRACE\""), format == "json", "{log}");
    assert!(log.contains("TRACE"), "the log is kept at the level that was asked for");
    for kept in [
        password(&ice).as_str(),
        &password(&joined["ice"]),
        SECRET,
        "an-unguessable-room",
        "a-name-on-a-screen",
        "a-session-description",
    ] {
        assert!(!log.contains(kept), "the log holds {kept}");
    }
}

/// A reader of the log that has gone: `2>&1 | head`, a supervisor that has died, a terminal that
/// was closed.
#[test]
fn threat_30_a_log_whose_reader_is_gone_ends_nothing_and_is_counted() {
    for format in FORMATS {
        let (reader, writer) = io::pipe().expect("a pipe");
        let running = Running::start(format, writer.into(), |_| {});
        drop(reader);
        running.goes_on(Some("byway_log_lines_lost_total"));
    }
}

/// `2>&-`: the process has no standard error at all.
#[test]
fn threat_30_a_server_without_standard_error_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let (command, admin) = Running::command(&folder, "json");
    let mut shell = Command::new("sh");
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&-"]).arg(command.get_program()).args(command.get_args());
    shell.env_remove("JOURNAL_STREAM").env_remove("RUST_LOG");
    let child = shell.spawn().expect("`sh` starts");
    let running = Running { child, admin, folder };
    running.until(|running| running.metrics().is_some());
    // Rust opens /dev/null in its place, which takes every line.
    running.goes_on(None);
}

/// A disk that is full takes no line from the first on.
#[test]
fn threat_30_a_log_on_a_full_disk_keeps_nothing_from_starting() {
    for format in FORMATS {
        let full = File::options().write(true).open("/dev/full").expect("Linux has it");
        let running = Running::start(format, full.into(), |_| {});
        running.goes_on(Some("byway_log_lines_lost_total"));
    }
}

/// A reader that has stopped, as a terminal does at Ctrl-S: a writer to it waits for ever.
#[test]
fn threat_30_a_log_whose_reader_stopped_holds_nothing_up() {
    for (format, blocks) in [("text", true), ("json", true), ("json", false)] {
        stopped_reader(format, blocks);
    }
}

fn stopped_reader(format: &str, blocks: bool) {
    let (reader, mut log) = UnixStream::pair().expect("two ends");
    log.set_nonblocking(true).expect("it does not block");
    while matches!(log.write(&[b'.'; 64]), Ok(1..)) {}
    log.set_nonblocking(!blocks).expect("it blocks again");
    // With every frame told, what may wait is soon too much.
    let running = Running::start(format, OwnedFd::from(log).into(), |command| {
        command.env("RUST_LOG", "trace");
    });
    running.until(|running| running.metric("byway_log_lines_lost_total") > 0);
    running.goes_on(Some("byway_log_lines_lost_total"));
    drop(reader);
}

/// `TasksMax=`, `ulimit -u`: without a thread there is no start, and no panic either.
#[test]
fn threat_30_a_start_without_threads_is_one_error_and_exit_1() {
    let folder = TempDir::new().expect("a folder");
    let (command, _) = Running::command(&folder, "text");
    // Root has no limit: the test changes to another user, and other users have this limit.
    let limits: &[u32] = if is_root(&folder) { &[1, 2, 3, 5] } else { &[1] };
    for &limit in limits {
        let output = limited(&folder, 0, &command, limit).output().expect("`prlimit` starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{limit}: {said}");
        let reason = match limit {
            1 => "cannot start the log's thread: ",
            2 | 3 => "cannot start the threads of HTTP: ",
            _ => "cannot start the data plane: ",
        };
        assert!(said.contains(reason) && !said.contains("panicked"), "{limit}: {said}");
    }
}

/// A renewal takes a thread. Where there is none the task panics, is counted and started again, and
/// calls go on; with a thread to be had again, so do renewals.
#[test]
fn threat_30_a_task_that_finds_no_thread_is_started_again() {
    let folder = TempDir::new().expect("a folder");
    if !is_root(&folder) {
        return;
    }
    let (command, admin) = Running::command(&folder, "text");
    let log = folder.path().join("log");
    // The main thread, that of the log, two of HTTP, one of handshakes, two shards.
    let mut command = limited(&folder, 1, &command, 7);
    let child = command.stderr(File::create(&log).expect("a file")).spawn().expect("`prlimit` starts");
    let running = Running { child, admin, folder };
    running.until(|running| running.metrics().is_some());
    running.until(|running| running.metric("byway_tasks_ended_total{task=\"certificate\"}") > 1);
    assert!(running.metric("byway_panics_total{thread=\"http\"}") > 1);
    http::get(admin, "/healthz").expect_ok();
    let said = std::fs::read_to_string(&log).expect("the log is read");
    assert!(
        said.contains("ERROR the background task `certificate` panicked; it is started again in "),
        "{said}"
    );
    // What a panic says may hold an address or a secret; where it was does not.
    assert!(said.contains("ERROR thread http panicked at ") && !said.contains("OS can't spawn"), "{said}");

    let process = running.child.id().to_string();
    let raised = as_somebody(1).args(["prlimit", "--pid", &process, "--nproc=100:100"]).status();
    assert!(raised.expect("`prlimit` starts").success());
    renew(&running.folder);
    running.until(|running| running.metric("byway_certificate_loads_total{outcome=\"loaded\"}") > 0);
}

/// Panics have the priority of errors and the format of other lines, also at a level that
/// suppresses errors.
#[test]
fn threat_30_a_panic_has_its_priority_and_format_at_any_level() {
    for (format, level) in [("text", "info"), ("text", "off"), ("json", "info"), ("json", "off")] {
        let folder = TempDir::new().expect("a folder");
        if !is_root(&folder) {
            return;
        }
        let (command, admin) = Running::command(&folder, format);
        let path = folder.path().join("log");
        let log = File::create(&path).expect("a file");
        let stream = log.metadata().map(|log| format!("{}:{}", log.dev(), log.ino()));
        let mut command = limited(&folder, 2, &command, 7);
        command.env("JOURNAL_STREAM", stream.expect("it is open")).env("RUST_LOG", level);
        let child = command.stderr(log).spawn().expect("`prlimit` starts");
        let running = Running { child, admin, folder };
        running.until(|running| running.metrics().is_some());
        let said = || std::fs::read_to_string(&path).expect("the log is read");
        running.until(|_| said().matches("thread http panicked at ").count() > 1);
        let said = said();
        let panic = said.lines().find(|line| line.contains("thread http panicked at ")).expect(&said);
        let line = panic.strip_prefix("<3>").expect(panic);
        match format {
            "json" => {
                let object: serde_json::Value = serde_json::from_str(line).expect(line);
                assert_eq!(object["level"], "ERROR");
                assert!(
                    object["message"].as_str().is_some_and(|text| text.starts_with("thread http panicked"))
                );
            }
            _ => assert!(line.trim_start_matches("ERROR ").starts_with("thread http panicked at "), "{line}"),
        }
        assert_eq!(said.contains("listening "), level == "info", "{said}");
        assert!(said.lines().all(|line| line.starts_with('<')), "{said}");
    }
}

fn is_root(folder: &TempDir) -> bool {
    std::fs::metadata(folder.path()).expect("it is there").uid() == 0
}

/// Runs a command as a user who has no other process; each test has one of its own.
fn as_somebody(number: u32) -> Command {
    let somebody = (60_000 + std::process::id() % 1_500 * 3 + number).to_string();
    let mut command = Command::new("setpriv");
    command.args(["--clear-groups", "--regid", &somebody, "--reuid", &somebody]);
    command
}

/// The same command for a process with this limit of threads: as a user of its own, if root runs
/// the test.
fn limited(folder: &TempDir, user: u32, command: &Command, threads: u32) -> Command {
    let mut limited = if is_root(folder) { as_somebody(user) } else { Command::new("env") };
    limited.arg("prlimit").arg(format!("--nproc={threads}:100"));
    let program = folder.path().join("byway");
    if is_root(folder) {
        // This user cannot enter root's folders.
        std::fs::copy(command.get_program(), &program).expect("a copy");
        let open = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("others may enter");
        limited.arg(&program);
    } else {
        limited.arg(command.get_program());
    }
    limited.args(command.get_args()).env_remove("JOURNAL_STREAM").env_remove("RUST_LOG").env("NO_COLOR", "1");
    limited
}

/// A server whose log is somewhere else than in the hands of the test, with a certificate.
struct Running {
    child: Child,
    admin: SocketAddr,
    folder: TempDir,
}

impl Running {
    fn start(format: &str, log: Stdio, adjust: impl FnOnce(&mut Command)) -> Self {
        let folder = TempDir::new().expect("a folder");
        let (mut command, admin) = Self::command(&folder, format);
        adjust(command.stderr(log));
        let child = command.spawn().expect("the binary starts");
        let running = Self { child, admin, folder };
        // It has said nothing that could be heard.
        running.until(|running| running.metrics().is_some());
        running
    }

    /// Command that starts a server in this folder, and the address of its metrics.
    fn command(folder: &TempDir, format: &str) -> (Command, SocketAddr) {
        renew(folder);
        let port = free_port();
        let admin = SocketAddr::from(([127, 0, 0, 1], port));
        let config = CONFIG
            .replace(
                "[listen]",
                "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n[listen]\ntls = [\"127.0.0.1:0\"]",
            )
            .replace("admin = [\"127.0.0.1:0\"]", &format!("admin = [\"{admin}\"]"))
            + &format!("[log]\nformat = \"{format}\"\n");
        let path = folder.path().join("turnserver.toml");
        std::fs::write(&path, config).expect("the configuration is written");
        let mut command = byway();
        command.arg("--config").arg(path).arg("serve");
        (command, admin)
    }

    fn metrics(&self) -> Option<String> {
        TcpStream::connect(self.admin).ok()?;
        Some(http::get(self.admin, "/metrics").expect_ok().text().to_owned())
    }

    fn metric(&self, series: &str) -> u64 {
        let metrics = self.metrics().expect("the server answers");
        // A server that answers already may still be starting its tasks.
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.map_or(0, |value| value.parse().expect("a number"))
    }

    fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let clock = byway::clock::Clock::start();
        while !is_so(self) {
            assert!(clock.now().mono < Duration::from_secs(30), "it has not come to that");
            std::thread::yield_now();
        }
    }

    /// Renewal after renewal is served, lines that are `lost` are counted, and the end is that of a
    /// server that waits for calls.
    fn goes_on(mut self, lost: Option<&str>) {
        for renewals in 1..=3 {
            renew(&self.folder);
            self.signal("HUP");
            self.until(|running| {
                running.metric("byway_certificate_loads_total{outcome=\"loaded\"}") >= renewals
            });
        }
        if let Some(lost) = lost {
            self.until(|running| running.metric(lost) > 0);
        }
        assert_eq!(self.metric("byway_tasks_ended_total{task=\"certificate\"}"), 0);
        self.signal("TERM");
        let clock = byway::clock::Clock::start();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(clock.now().mono < Duration::from_secs(30), "it does not end");
            std::thread::yield_now();
        };
        assert_eq!(status.code(), Some(0), "{status:?}");
    }

    fn signal(&self, name: &str) {
        let kill = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(kill.expect("`kill` starts").success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Puts a fresh certificate and its key into a folder.
fn renew(folder: &TempDir) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let parameters = rcgen::CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let certificate = parameters.self_signed(&key).expect("a certificate");
    std::fs::write(folder.path().join("cert.pem"), certificate.pem()).expect("it is written");
    std::fs::write(folder.path().join("key.pem"), key.serialize_pem()).expect("it is written");
}

/// `systemctl reload` after a change that it does not take in.
#[test]
fn a_reload_names_what_takes_a_restart_and_no_value() {
    let server = Server::start();
    let file = server.configuration_path();
    server.signal("HUP");
    server.logged("reload: nothing to change in ");
    std::fs::write(
        &file,
        CONFIG.replace("a-test-secret", "a-fresh-secret").replace("shards = 2", "shards = 3")
            + "[ice]\napi_keys = [\"a-key-of-a-backend\"]\n",
    )
    .expect("it is written");
    server.signal("HUP");
    server.logged("turnserver.toml: credentials.secrets, ice.api_keys");
    server.logged("not in force until a restart: relay.shards (");
    std::fs::write(&file, CONFIG.replace("a-test-secret", "a-secret\" \"-torn-apart"))
        .expect("it is written");
    server.signal("HUP");
    server.logged("reload refused: the settings are kept, and a restart would fail: ");
    server.logged("remedy: write TOML");
    for secret in ["a-test-secret", "a-fresh-secret", "a-key-of", "torn-apart"] {
        assert!(!server.log().contains(secret), "{}", server.log());
    }
}

/// The page of a proxy's users does not work, and only the log tells the operator.
#[test]
fn threat_33_what_a_proxy_without_the_host_breaks_is_told_once() {
    let server = Server::start();
    let site = server.bound.http[0];
    for _ in 0..3 {
        assert_eq!(http::exchange(site, "GET /ice HTTP/1.0\r\n\r\n").status, 400);
        let page = ["Origin: https://call.example.org"];
        assert_eq!(http::ask(site, "GET", "/ice", &page, "").status, 403);
    }
    server.logged("refused a page of https://call.example.org, which asked for the host 127.0.0.1");
    server.logged("refused a request without one well-formed Host");
    for told in ["refused a page of", "without one well-formed Host"] {
        assert_eq!(server.log().matches(told).count(), 1, "{}", server.log());
    }
    assert!(server.log().contains("have the proxy pass on the Host"), "{}", server.log());
}
