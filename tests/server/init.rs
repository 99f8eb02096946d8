//! `byway init`: the file that it writes, its refusals, and its questions on a terminal.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};

use byway_test_support::process::byway;
use byway_test_support::process::interrupts::uninterrupted;
use nix::pty::openpty;
use tempfile::TempDir;

/// A folder for a configuration.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("turnserver.toml")
    }

    fn command(&self) -> Command {
        let mut command = byway();
        command.arg("--config").arg(self.file()).arg("init");
        command
    }

    /// Runs `byway init` without a terminal.
    fn init(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).stdin(Stdio::null()).output().expect("the binary starts")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("the file is there")
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.folder.path()).expect("the folder is there").next().is_none()
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("stderr is UTF-8")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file is there").permissions().mode() & 0o7777
}

/// The lines of a configuration that set something, without the secret.
fn settings(text: &str) -> Vec<&str> {
    let is_setting =
        |line: &&str| !line.is_empty() && !line.starts_with('#') && !line.starts_with("secrets = ");
    text.lines().filter(is_setting).collect()
}

#[test]
fn one_command_without_a_terminal_writes_what_a_public_server_needs() {
    let place = Place::new();
    let output = place.init(&["--domain", "203.0.113.10", "--yes", "--no-start"]);
    let (out, said) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(0), "{out}{said}");
    assert_eq!(mode(&place.file()), 0o600);
    let text = place.text();
    let settings = settings(&text);
    for line in ["admin = [\"127.0.0.1:9090\"]", "names = [\"203.0.113.10\"]", "access = \"token\""] {
        assert!(settings.contains(&line), "{line} in:\n{text}");
    }
    for part in [
        "  sudo ufw allow 443,3478/tcp\n  sudo ufw allow 443,3478,49152:65535/udp\n",
        "tcp dport '{ 443, 3478 }' accept\n",
        "udp dport '{ 443, 3478, 49152-65535 }' accept\n",
        "your provider's firewall",
        "turnserver.toml: ok\n",
        "Start the server: byway --config ",
        "For another: sudo byway invite --host\n\nhttps://203.0.113.10/#token=",
    ] {
        assert!(out.contains(part), "{part} in:\n{out}");
    }
    assert!(!out.contains('\u{2588}'), "a QR code in a file:\n{out}");
    let secret = text.lines().find_map(|line| line.strip_prefix("secrets = [\"")).expect("a secret");
    assert!(!out.contains(secret.trim_end_matches("\"]")), "the secret is shown");

    // The secrets of two servers differ.
    let other = Place::new();
    other.init(&["--domain", "203.0.113.10", "--yes", "--no-start"]);
    assert!(!other.text().contains(secret) && secret.len() > 40);
}

#[test]
fn every_answer_has_a_flag() {
    let place = Place::new();
    let output = place.init(&[
        "--domain",
        "203.0.113.10",
        "--mail",
        "admin@example.org",
        "--access",
        "open",
        "--acme-directory",
        "https://ca.example/dir",
        "--no-start",
        "--yes",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = place.text();
    for line in
        ["mail = \"admin@example.org\"", "directory = \"https://ca.example/dir\"", "open_to_everyone = true"]
    {
        assert!(settings(&text).contains(&line), "{line} in:\n{text}");
    }
    assert!(stdout(&output).ends_with("The call page, for everyone:\n\nhttps://203.0.113.10/\n\n"));
}

#[test]
fn threat_54_settings_are_never_overwritten_and_comments_are() {
    let place = Place::new();
    fs::write(place.file(), "# Mine.\nrealm = \"mine\"\n").expect("it is written");
    let output = place.init(&["--domain", "203.0.113.10", "--yes", "--no-start"]);
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains(": this file sets keys already\n  remedy: move it away"), "{said}");
    assert_eq!((stdout(&output), place.text().as_str()), ("", "# Mine.\nrealm = \"mine\"\n"));

    fs::write(place.file(), "# Comments alone.\n\n#realm = \"mine\"\n").expect("it is written");
    let output = place.init(&["--domain", "203.0.113.10", "--yes", "--no-start"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(mode(&place.file()), 0o600);
    // A second run finds the settings of the first.
    let before = place.text();
    assert_eq!(place.init(&["--domain", "203.0.113.11", "--yes"]).status.code(), Some(2));
    assert_eq!(place.text(), before);
}

#[test]
fn bad_input_is_one_error_and_writes_nothing() {
    let place = Place::new();
    let missing = place.folder.path().join("missing.pem").display().to_string();
    for (arguments, part) in [
        (&["--yes"][..], "the name of the server is missing\n  remedy: add --domain NAME"),
        (&[], "missing: --domain NAME-or-ADDRESS, --mail MAIL, --access token|open\n  remedy: add them"),
        (&["--domain", "*.example.org", "--yes"], "a wildcard"),
        (&["--domain", "a.example b.example", "--yes"], "give one name"),
        (&["--domain", "a.example", "--domain", "b.example", "--yes"], "cannot be used multiple times"),
        (&["--domain", "https://a.example", "--yes"], "without https://"),
        (&["--domain", "127.0.0.1", "--yes"], "no other machine reaches 127.0.0.1"),
        (&["--domain", "203.0.113.10", "--mail", "nobody", "--yes"], "give one address"),
        (&["--domain", "203.0.113.10", "--access", "all", "--yes"], "give \"token\" or \"open\""),
        (&["--domain", "203.0.113.10", "--acme-directory", "http://ca.example", "--yes"], "https:// URL"),
        (&["--domain", "203.0.113.10", "--acme-ca", &missing, "--yes"], "missing.pem: "),
    ] {
        let output = place.init(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(part), "{arguments:?}: {said}");
        assert!(place.is_empty() && output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_warning_stops_a_command_that_nobody_confirms() {
    let place = Place::new();
    let complete = ["--domain", "nothing.invalid", "--mail", "", "--access", "token", "--no-start"];
    let output = place.init(&complete);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("warning: nothing.invalid does not resolve"), "{said}");
    assert!(said.ends_with("add --yes to write the configuration anyway\n"), "{said}");
    assert!(place.is_empty());

    let output = place.init(&["--domain", "nothing.invalid", "--yes", "--no-start"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("warning: nothing.invalid does not resolve"));
    assert!(place.text().contains("names = [\"nothing.invalid\"]"));
}

#[test]
fn a_private_address_is_a_warning() {
    let place = Place::new();
    let output = place.init(&["--domain", "10.255.255.254", "--yes", "--no-start"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("warning: "), "{}", stderr(&output));
}

#[test]
fn a_taken_port_is_named_before_the_file_is_written() {
    // Another program of this machine may have the port already, which serves as well.
    let _held = TcpListener::bind("0.0.0.0:3478");
    let place = Place::new();
    let output = place.init(&["--domain", "203.0.113.10", "--mail", "", "--access", "token", "--no-start"]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("uses TCP port 3478, so the server cannot start\n  remedy: stop it"), "{said}");
    assert!(place.is_empty());
}

#[test]
fn a_place_that_cannot_be_written_is_an_error_before_the_questions() {
    for path in ["/nowhere/byway/turnserver.toml", "/proc/version", "/dev/null"] {
        let mut command = byway();
        command.args(["--config", path, "init", "--domain", "203.0.113.10", "--yes"]);
        let output = command.output().expect("the binary starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{path}: {said}");
        assert!(
            said.starts_with(path) && said.contains("\n  remedy: ") && stdout(&output).is_empty(),
            "{said}"
        );
    }
}

/// `byway init` on a terminal of its own.
struct Terminal {
    child: Child,
    output: BufReader<File>,
    input: File,
    /// Text that was shown.
    shown: String,
}

impl Terminal {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let terminal = openpty(None, None).expect("a terminal");
        // `setsid --ctty` gives the process this terminal, so that Ctrl-C on it is a signal. A test
        // in the background of a script ignores that signal, and so would the process.
        let mut command = Command::new("env");
        let init = place.command();
        command
            .args(["--default-signal=INT", "setsid", "--ctty", "--wait"])
            .arg(init.get_program())
            .args(init.get_args())
            .args(arguments);
        let slave = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("a descriptor"));
        command.stdin(slave(&terminal.slave)).stdout(slave(&terminal.slave)).stderr(slave(&terminal.slave));
        let child = command.spawn().expect("`setsid` starts");
        // The terminal ends with the process, which then has its only end.
        drop((terminal.slave, command));
        let input = File::from(terminal.master.try_clone().expect("a descriptor"));
        Self { child, output: BufReader::new(File::from(terminal.master)), input, shown: String::new() }
    }

    /// Waits until a text is shown behind everything so far.
    fn expect(&mut self, text: &str) {
        let from = self.shown.len();
        while !self.shown[from..].contains(text) {
            let mut byte = [0];
            let read = uninterrupted(|| self.output.read(&mut byte));
            assert!(matches!(read, Ok(1)), "{text} is not shown:\n{}", self.shown);
            self.shown.push(char::from(byte[0]));
        }
    }

    fn type_in(&mut self, text: &str) {
        self.input.write_all(text.as_bytes()).expect("the terminal takes it");
    }

    /// Reads to the end, and returns the text of the whole dialogue.
    fn ended(mut self) -> (ExitStatus, String) {
        let mut rest = Vec::new();
        // EIO is the end of a terminal.
        loop {
            match self.output.fill_buf() {
                Ok([]) => break,
                Ok(bytes) => {
                    rest.extend_from_slice(bytes);
                    let read = bytes.len();
                    self.output.consume(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let status = self.child.wait().expect("it is our child");
        (status, self.shown + &String::from_utf8_lossy(&rest))
    }
}

#[test]
fn three_questions_on_a_terminal_make_a_configuration() {
    let place = Place::new();
    let mut terminal = Terminal::start(&place, &["--no-start"]);
    terminal.expect("Name of this server");
    terminal.type_in("*.example.org\n");
    terminal.expect("a wildcard is not the name of one server");
    terminal.expect("Name of this server");
    terminal.type_in("nothing.invalid\n");
    terminal.expect("Mail address for the certificate authority");
    terminal.type_in("\n");
    terminal.expect("Callers");
    terminal.type_in("\n");
    // Three answers, and a confirmation because the name does not resolve.
    terminal.expect("warning: nothing.invalid does not resolve");
    terminal.expect("Write the configuration anyway?");
    assert!(place.is_empty());
    terminal.type_in("y\n");
    let (status, shown) = terminal.ended();
    assert!(status.success(), "{shown}");
    assert!(place.text().contains("names = [\"nothing.invalid\"]"));
    assert!(place.text().contains("access = \"token\""));
    assert!(shown.contains("https://nothing.invalid/"), "{shown}");
    assert!(shown.contains("\x1b[30;107m"), "no QR code:\n{shown}");
}

#[test]
fn a_no_writes_nothing() {
    let place = Place::new();
    let arguments = ["--domain", "nothing.invalid", "--mail", "", "--access", "open"];
    let mut terminal = Terminal::start(&place, &arguments);
    terminal.expect("Write the configuration anyway?");
    terminal.type_in("n\n");
    let (status, shown) = terminal.ended();
    assert_eq!(status.code(), Some(2), "{shown}");
    assert!(shown.contains("nothing was written") && place.is_empty(), "{shown}");
}

#[test]
fn ctrl_c_and_the_end_of_the_input_write_nothing() {
    for (typed, code, signal) in [("\x03", None, Some(libc::SIGINT)), ("\x04", Some(2), None)] {
        let place = Place::new();
        let mut terminal = Terminal::start(&place, &[]);
        terminal.expect("Name of this server");
        terminal.type_in("203.0.113.10\n");
        terminal.expect("Mail address");
        terminal.type_in(typed);
        let (status, shown) = terminal.ended();
        assert!(place.is_empty(), "{shown}");
        assert_eq!((status.code(), status.signal()), (code, signal), "{shown}");
    }
}
