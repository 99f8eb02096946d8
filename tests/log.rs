//! What the log does not hold, at whatever level it is kept; and that nothing hangs on whether anybody takes it.
#![allow(clippy::panic, reason = "the helpers of tests are tests")]

mod support;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use support::{CONFIG, SECRET, Server, http};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{self, Message};

/// Credentials are for those they are issued to, and whoever knows a room can enter it.
#[test]
fn the_most_talkative_log_holds_no_credential_and_no_word_of_a_room() {
    let server = Server::start_with(CONFIG, |command| {
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

/// A reader of the log that has gone: `2>&1 | head`, a supervisor that has died, a terminal that was closed.
#[test]
fn threat_30_a_log_whose_reader_is_gone_ends_nothing_and_is_counted() {
    let (reader, writer) = io::pipe().expect("a pipe");
    let running = Running::start(writer.into(), |_| {});
    drop(reader);
    running.goes_on("byway_log_lines_lost_total");
}

/// A disk that is full takes no line from the first on.
#[test]
fn threat_30_a_log_on_a_full_disk_keeps_nothing_from_starting() {
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let running = Running::start(full.into(), |_| {});
    running.goes_on("byway_log_lines_lost_total");
}

/// A reader that has stopped, as a terminal does at Ctrl-S: whoever writes to it waits for ever.
#[test]
fn threat_30_a_log_whose_reader_stopped_holds_nothing_up() {
    let (reader, mut log) = UnixStream::pair().expect("two ends");
    log.set_nonblocking(true).expect("it does not block");
    while log.write(&[b'.'; 64]).is_ok() {}
    log.set_nonblocking(false).expect("it blocks again");
    // With every frame told, what may wait is soon too much.
    let running = Running::start(OwnedFd::from(log).into(), |command| {
        command.env("RUST_LOG", "trace");
    });
    running.until(|running| running.metric("byway_log_lines_lost_total") > 0);
    running.goes_on("byway_log_lines_lost_total");
    drop(reader);
}

/// A server whose log is somewhere else than in the hands of the test, with a certificate.
struct Running {
    child: Child,
    admin: SocketAddr,
    folder: TempDir,
}

impl Running {
    fn start(log: Stdio, adjust: impl FnOnce(&mut Command)) -> Self {
        let folder = TempDir::new().expect("a folder");
        renew(&folder);
        let port = support::free_port();
        let admin = SocketAddr::from(([127, 0, 0, 1], port));
        let config = CONFIG
            .replace(
                "[listen]",
                "[tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n[listen]\ntls = [\"127.0.0.1:0\"]",
            )
            .replace("admin = [\"127.0.0.1:0\"]", &format!("admin = [\"{admin}\"]"));
        let path = folder.path().join("turnserver.toml");
        std::fs::write(&path, config).expect("the configuration is written");
        let mut command = support::byway();
        command.arg("--config").arg(path).arg("serve").stderr(log);
        adjust(&mut command);
        let child = command.spawn().expect("the binary starts");
        let running = Self { child, admin, folder };
        // It has said nothing that could be heard.
        running.until(|running| running.metrics().is_some());
        running
    }

    fn metrics(&self) -> Option<String> {
        TcpStream::connect(self.admin).ok()?;
        Some(http::get(self.admin, "/metrics").expect_ok().text().to_owned())
    }

    fn metric(&self, series: &str) -> u64 {
        let metrics = self.metrics().expect("the server answers");
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {series} in\n{metrics}")).parse().expect("a number")
    }

    fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let clock = byway::clock::Clock::start();
        while !is_so(self) {
            assert!(clock.now().mono < Duration::from_secs(30), "it has not come to that");
            std::thread::yield_now();
        }
    }

    /// Renewal after renewal is served, lines are lost and counted, and the end is that of a server that waits for calls.
    fn goes_on(mut self, lost: &str) {
        for renewals in 1..=3 {
            renew(&self.folder);
            self.signal("HUP");
            self.until(|running| {
                running.metric("byway_certificate_loads_total{outcome=\"loaded\"}") >= renewals
            });
        }
        self.until(|running| running.metric(lost) > 0);
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

/// `journalctl -p warning` finds warnings by their priority, which the journal reads before each line (sd-daemon(3)).
#[test]
fn lines_for_the_journal_have_their_priority() {
    let folder = TempDir::new().expect("a folder");
    let configuration = folder.path().join("turnserver.toml");
    std::fs::write(&configuration, CONFIG).expect("the configuration is written");
    let says = |stream: &dyn Fn(&std::fs::Metadata) -> String, config: &str| {
        std::fs::write(&configuration, config).expect("the configuration is written");
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let pipe = File::from(OwnedFd::from(writer.try_clone().expect("a second end"))).metadata();
        let mut command = support::byway();
        command.arg("--config").arg(&configuration).arg("serve");
        command.env("JOURNAL_STREAM", stream(&pipe.expect("it has an inode"))).stderr(writer);
        let mut child = command.spawn().expect("the binary starts");
        drop(command);
        let mut said = String::new();
        let mut lines = BufReader::new(&mut reader).lines().map_while(Result::ok);
        while let Some(line) = lines.next() {
            said += &(line + "\n");
            if said.contains("listening ") {
                break;
            }
        }
        child.kill().and_then(|()| child.wait()).expect("it is our child");
        said
    };
    let journal = |pipe: &std::fs::Metadata| format!("{}:{}", pipe.dev(), pipe.ino());
    let other = |pipe: &std::fs::Metadata| format!("{}:{}", pipe.dev(), pipe.ino() + 1);
    let said = says(&journal, CONFIG);
    assert!(
        said.lines().all(|line| line.starts_with("<6>")) && said.contains("<6> INFO listening "),
        "{said}"
    );
    let said = says(&journal, "realm = 5\n");
    assert!(said.lines().count() > 1 && said.lines().all(|line| line.starts_with("<3>")), "{said}");
    assert!(!says(&other, CONFIG).contains("<6>"), "another stream is not the journal");
}

/// `systemctl reload` after a change that it does not take in.
#[test]
fn a_reload_names_what_takes_a_restart_and_no_value() {
    let server = Server::start();
    let file = server.configuration_path();
    server.signal("HUP");
    server.logged("as they were at the start");
    std::fs::write(
        &file,
        CONFIG.replace("a-test-secret", "a-fresh-secret") + "[ice]\napi_keys = [\"a-key-of-a-backend\"]\n",
    )
    .expect("it is written");
    server.signal("HUP");
    server.logged("not in force until a restart: [credentials], [ice]");
    std::fs::write(&file, CONFIG.replace("a-test-secret", "a-secret\" \"-torn-apart"))
        .expect("it is written");
    server.signal("HUP");
    server.logged("the settings are kept, and a restart would fail: ");
    server.logged("remedy: TOML is written");
    for secret in ["a-test-secret", "a-fresh-secret", "a-key-of", "torn-apart"] {
        assert!(!server.log().contains(secret), "{}", server.log());
    }
}
