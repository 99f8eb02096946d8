//! `byway status` and `byway top` beside a running server, and the admin pages that they ask.

use std::fs::{self, File, Permissions};
use std::io::{BufReader, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;

use byway_test_support::process::http::{ask, get};
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::member::Member;
use byway_test_support::process::{CONFIG, Configuration, Server};
use nix::pty::{Winsize, openpty};
use serde_json::Value;

fn with_socket() -> String {
    CONFIG.replace("admin = [\"127.0.0.1:0\"]", "admin = [\"127.0.0.1:0\", \"unix:admin.sock\"]")
}

fn socket_of(server: &Server) -> PathBuf {
    server.configuration_path().with_file_name("admin.sock")
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    server.command().args(arguments).output().unwrap()
}

fn text(output: &Output) -> &str {
    str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn status_tells_the_state_and_exits_by_it() {
    let server = Server::start_with(&with_socket(), |_| {});
    let _ann = Member::join(&server, "tea");
    let told = run(&server, &["status"]);
    assert_eq!(told.status.code(), Some(0), "{told:?}");
    let shown = text(&told);
    for part in [
        ": running since ".to_owned(),
        format!("  configuration: {}\n", server.configuration_path().display()),
        format!("udp={}", server.bound.udp_v4()),
        "  certificate: none\n".to_owned(),
        "  now: 0 allocations, 1 room, 1 member\n".to_owned(),
    ] {
        assert!(shown.contains(&part), "{part} is not in\n{shown}");
    }
    let json: Value = serde_json::from_slice(&run(&server, &["status", "--json"]).stdout).unwrap();
    assert_eq!(
        json,
        get(server.bound.admin[0], "/status").expect_ok().json(),
        "every listener says the same"
    );
    let keys = ["version", "pid", "began", "phase", "configuration", "listening", "down", "degraded"];
    for key in keys.iter().chain(&["allocations", "rooms", "members", "certificate", "relayed"]) {
        assert!(json.get(*key).is_some(), "{key}: {json}");
    }
    let all: Value = serde_json::from_slice(&run(&server, &["top", "--json"]).stdout).unwrap();
    assert_eq!(all["rooms"]["rooms"][0]["room"], "tea", "{all}");

    // Without a server, each says so.
    let configuration = Configuration::new(&with_socket());
    let nobody = configuration.run(&["status"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        text(&nobody).contains("admin.sock: no server listens there\n  remedy: start the server"),
        "{nobody:?}"
    );
    assert!(text(&nobody).ends_with("  more: byway explain not-running\n"), "{nobody:?}");
    for command in ["status", "top"] {
        let nobody = configuration.run(&[command, "--json"]);
        assert_eq!(nobody.status.code(), Some(1));
        let json: Value = serde_json::from_slice(&nobody.stdout).unwrap();
        assert_eq!(json["fault"], "not-running", "{json}");
    }
    let no_terminal = run(&server, &["top"]);
    assert_eq!(no_terminal.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&no_terminal.stderr).contains("--json"), "{no_terminal:?}");
}

#[test]
fn threat_57_nobody_changes_a_room_over_tcp_or_as_another_user() {
    let server = Server::start_with(&with_socket(), |_| {});
    let ann = Member::join(&server, "tea");
    let admin = server.bound.admin[0];
    let listed = get(admin, "/rooms").expect_ok().json();
    let room = &listed["rooms"][0];
    assert_eq!((&room["room"], &room["locked"], &listed["total"]), (&"tea".into(), &false.into(), &1.into()));
    let member = &room["members"][0];
    assert_eq!(member["id"], ann.id, "{listed}");
    assert!(!listed.to_string().contains("127.0.0.1"), "no address over TCP: {listed}");
    assert_eq!(get(admin, "/rooms?limit=0").status, 400);
    assert_eq!(get(admin, "/rooms?limit=10001").status, 400);
    let path = format!("/rooms/tea/members/{}", ann.id);
    for method in ["DELETE", "POST"] {
        assert_eq!(ask(admin, method, &path, &[], "").status, 404, "{method} over TCP");
    }
    for path in ["/status", "/rooms"] {
        let rebound = ask(admin, "GET", path, &["Host: evil.example"], "");
        assert!([400, 421].contains(&rebound.status), "{path}: {rebound:?}");
        assert_eq!(ask(admin, "POST", path, &[], "").status, 405, "{path}");
        assert_eq!(get(server.bound.http[0], path).status, 404, "{path} on the public listener");
    }
    let socket = socket_of(&server);
    if fs::metadata(&socket).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let folder = socket.parent().unwrap();
    for (path, mode) in [(folder, 0o755), (&*socket, 0o666), (&*server.configuration_path(), 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let own = server.command();
    for arguments in [&["status"][..], &["top", "--json"]] {
        let mut other = Command::new("setpriv");
        other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        other.arg(own.get_program()).args(own.get_args()).args(arguments);
        let refused = other.output().unwrap();
        assert_eq!(refused.status.code(), Some(1), "{refused:?}");
        let told = text(&refused);
        assert!(told.contains("the server refuses this user") && !told.contains("tea"), "{told}");
    }
}

/// `byway top` on a terminal of its own, which understands as much as the command needs.
struct Terminal {
    child: Child,
    output: BufReader<File>,
    input: File,
    /// Lines of the screen, and the place of the cursor.
    lines: Vec<Vec<char>>,
    cursor: (usize, usize),
    /// Control sequences so far, without those that move the cursor or set a style.
    sequences: Vec<String>,
}

impl Terminal {
    const ROWS: u16 = 24;
    const COLUMNS: u16 = 110;

    fn start(command: &Command, arguments: &[&str]) -> Self {
        let size = Winsize { ws_row: Self::ROWS, ws_col: Self::COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let terminal = openpty(Some(&size), None).unwrap();
        let mut started = Command::new("setsid");
        started
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args())
            .args(arguments);
        started.env("TERM", "xterm-256color").env("NO_COLOR", "1");
        let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().unwrap());
        started.stdin(slave(&terminal.slave)).stdout(slave(&terminal.slave)).stderr(slave(&terminal.slave));
        let child = started.spawn().unwrap();
        drop((terminal.slave, started));
        Self {
            child,
            input: File::from(terminal.master.try_clone().unwrap()),
            output: BufReader::new(File::from(terminal.master)),
            lines: vec![vec![' '; Self::COLUMNS.into()]; Self::ROWS.into()],
            cursor: (0, 0),
            sequences: Vec::new(),
        }
    }

    fn press(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
    }

    fn screen(&self) -> String {
        self.lines.iter().map(|line| line.iter().collect::<String>() + "\n").collect()
    }

    /// Reads until the screen has a text.
    fn expect(&mut self, text: &str) {
        while !self.screen().contains(text) {
            assert!(self.read(), "{text} is not shown:\n{}", self.screen());
        }
    }

    /// Takes in what was written; whether the terminal is still open.
    fn read(&mut self) -> bool {
        let Some(first) = self.byte() else { return false };
        let length = match first {
            0x1b => return self.sequence(),
            0xc0..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xff => 4,
            _ => 1,
        };
        let mut bytes = vec![first];
        while bytes.len() < length {
            let Some(next) = self.byte() else { return false };
            bytes.push(next);
        }
        let text = String::from_utf8(bytes).unwrap();
        let (row, column) = self.cursor;
        if !text.contains(char::is_control) && column < Self::COLUMNS.into() {
            self.lines[row][column] = text.chars().next().unwrap();
            self.cursor = (row, column + 1);
        }
        true
    }

    fn sequence(&mut self) -> bool {
        let mut sequence = String::new();
        loop {
            let Some(next) = self.byte() else { return false };
            sequence.push(next.into());
            if sequence.len() > 1 && next.is_ascii_alphabetic() || !sequence.starts_with('[') {
                break;
            }
        }
        let numbers: Vec<usize> =
            sequence.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
        match (sequence.chars().last(), &numbers[..]) {
            (Some('H'), [row, column]) => self.cursor = (row - 1, column - 1),
            (Some('J'), _) => self.lines.iter_mut().for_each(|line| line.fill(' ')),
            (Some('m'), _) => {}
            _ => self.sequences.push(sequence),
        }
        true
    }

    /// The next byte, or none at the end of the terminal, which is EIO.
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        matches!(uninterrupted(|| self.output.read(&mut byte)), Ok(1)).then_some(byte[0])
    }

    fn ended(mut self) -> ExitStatus {
        while self.read() {}
        assert!(self.sequences.iter().any(|sequence| sequence == "[?1049l"), "the terminal is as it was");
        self.child.wait().unwrap()
    }
}

#[test]
fn top_removes_a_member_and_outlives_its_server() {
    let folder = Configuration::new(CONFIG);
    let socket = folder.path().with_file_name("admin.sock");
    let text = with_socket().replace("unix:admin.sock", &format!("unix:{}", socket.display()));
    let mut server = Server::start_with(&text, |_| {});
    let mut ann = Member::join(&server, "tea");
    let mut top = Terminal::start(&server.command(), &["top", "--interval", "200ms", "--addresses"]);
    top.expect("no allocations");
    top.press("2");
    top.expect(&ann.id);
    top.press("k");
    top.expect("Remove?");
    top.press("y");
    assert_eq!(ann.hear()["code"], "removed");
    top.expect("removed: ");
    top.expect("no rooms");
    assert!(server.terminate().success());
    top.expect("no server listens there");
    let _next = Server::start_with(&text, |_| {});
    top.expect("\nok  unix:");
    top.press("q");
    assert!(top.ended().success());
}

/// Hangs after each connection, and then sends what no server would.
#[test]
fn threat_57_top_answers_its_user_while_the_server_hangs() {
    let configuration = Configuration::new(&with_socket());
    let path = configuration.path().with_file_name("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let hostile = thread::spawn(move || {
        // It accepts and never answers.
        let held = listener.accept().unwrap();
        let (mut second, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = uninterrupted(|| second.read(&mut request));
        let garbage = "[".repeat(1 << 20) + "\u{1b}]0;owned\u{7}";
        let _ = second.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{garbage}").as_bytes());
        drop((held, second));
        // Held until the test has read the screen.
        listener
    });
    let mut top = Terminal::start(&configuration.command(), &["top", "--interval", "200ms"]);
    top.expect("asking");
    top.press("?");
    top.expect("Keys");
    top.press("?");
    top.expect("no answer in time");
    top.expect("not that of this version");
    assert!(!top.sequences.iter().any(|sequence| sequence.starts_with(']')), "{:?}", top.sequences);
    top.press("q");
    assert!(top.ended().success());
    drop(hostile.join().unwrap());
}
