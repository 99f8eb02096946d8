//! Form of the log's lines: text or JSON, priorities for the journal, levels by module.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Command};
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::{CONFIG, Configuration, Server, byway};
use serde_json::Value;

/// A server whose standard error is a file, which may stand in for the journal.
struct Logging {
    child: Child,
    log: Log,
    configuration: Configuration,
}

/// Such a file.
struct Log(tempfile::NamedTempFile);

impl Log {
    fn new() -> Self {
        Self(tempfile::NamedTempFile::new().expect("a file"))
    }

    fn file(&self) -> File {
        File::options().append(true).open(self.0.path()).expect("the file is there")
    }

    /// `JOURNAL_STREAM` of a process that writes to this file.
    fn stream(&self) -> String {
        let file = self.0.as_file().metadata().expect("it is open");
        format!("{}:{}", file.dev(), file.ino())
    }

    fn said(&self) -> String {
        fs::read_to_string(self.0.path()).expect("it is text")
    }

    /// Waits until a line has these words, and returns all lines.
    fn until(&self, words: &str) -> String {
        let clock = Clock::start();
        loop {
            let said = self.said();
            if said.contains(words) {
                return said;
            }
            assert!(clock.now().mono < Duration::from_secs(20), "no {words} in:\n{said}");
            std::thread::yield_now();
        }
    }
}

impl Logging {
    /// Starts a server with these lines under `[log]`.
    fn start(settings: &str, adjust: impl FnOnce(&mut Command, &Log)) -> Self {
        let log = Log::new();
        let configuration = Configuration::new(&with(settings));
        let mut command = configuration.command();
        command.arg("serve").stderr(log.file());
        adjust(&mut command, &log);
        let child = command.spawn().expect("the binary starts");
        Self { child, log, configuration }
    }

    fn in_journal(settings: &str) -> Self {
        Self::start(settings, |command, log| {
            command.env("JOURNAL_STREAM", log.stream());
        })
    }

    /// Reloads with these lines under `[log]`.
    fn reload(&self, settings: &str) {
        // Not in place: the server may still be reading for the reload before.
        let new = self.configuration.path().with_extension("new");
        fs::write(&new, with(settings)).expect("it is written");
        fs::rename(&new, self.configuration.path()).expect("it is renamed");
        let kill = Command::new("kill").args(["-s", "HUP", &self.child.id().to_string()]).status();
        assert!(kill.expect("`kill` starts").success());
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn with(settings: &str) -> String {
    format!("{CONFIG}[log]\n{settings}\n")
}

/// Parses each line after its priority, which all lines have.
fn objects(said: &str) -> Vec<(char, Value)> {
    let object = |line: &str| {
        let (priority, object) = line.strip_prefix('<').and_then(|line| line.split_once('>')).expect(line);
        (priority.parse().expect(line), serde_json::from_str(object).expect(line))
    };
    said.lines().map(object).collect()
}

/// `journalctl -p warning` finds warnings by their priority, which the journal reads before each
/// line (sd-daemon(3)).
#[test]
fn lines_for_the_journal_have_their_priority() {
    let said = Logging::in_journal("").log.until("listening ");
    assert!(
        said.lines().all(|line| line.starts_with("<6>")) && said.contains("<6> INFO listening "),
        "{said}"
    );
    let other = Logging::start("", |command, log| {
        command.env("JOURNAL_STREAM", format!("{}0", log.stream()));
    });
    let said = other.log.until("listening ");
    assert!(!said.contains("<6>"), "another stream is not the journal: {said}");
}

/// Reasons to end come from no event of the log: a wrong configuration, a wrong argument, a port
/// that is taken.
#[test]
fn every_line_of_a_start_that_fails_has_the_priority_of_an_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let taken = format!("http = [\"{}\"]", taken.local_addr().expect("it is bound"));
    for (config, argument, words) in [
        ("realm = 5\n", "serve", "remedy: write a string"),
        ("realm = 5\n", "check", "remedy: write a string"),
        (CONFIG, "sevre", "unrecognized subcommand"),
        (&CONFIG.replace("http = [\"127.0.0.1:0\"]", &taken), "serve", "remedy: stop the program"),
    ] {
        let (log, configuration) = (Log::new(), Configuration::new(config));
        let mut command = configuration.command();
        command.arg(argument).stderr(log.file()).env("JOURNAL_STREAM", log.stream());
        assert!(!command.status().expect("the binary starts").success());
        let said = log.said();
        assert!(said.contains(words), "{argument}: {said}");
        let errors = said.lines().filter(|line| line.starts_with("<3>")).count();
        let others = said.lines().filter(|line| line.starts_with("<6>")).count();
        assert!(errors > 1 && errors + others == said.lines().count(), "{argument}: {said}");
    }
}

/// `ExecStartPre=byway check` writes to the journal, too.
#[test]
fn the_hints_of_check_are_warnings_in_the_journal() {
    let (log, configuration) = (Log::new(), Configuration::new("realm = \"test\"\n"));
    let mut command = configuration.command();
    command.arg("check").stdout(log.file()).env("JOURNAL_STREAM", log.stream());
    assert!(command.status().expect("the binary starts").success());
    let said = log.said();
    assert!(said.contains("\n<4>  hint: no secrets"), "{said}");
    assert!(said.lines().all(|line| line.starts_with("<4>  hint: ") || !line.starts_with('<')), "{said}");
}

#[test]
fn json_is_one_object_per_line_with_its_priority() {
    let logging = Logging::in_journal("format = \"json\"");
    logging.log.until("listening ");
    // An error of several lines, with quotes.
    fs::write(logging.configuration.path(), "realm = 5\n").expect("it is written");
    let kill = Command::new("kill").args(["-s", "HUP", &logging.child.id().to_string()]).status();
    assert!(kill.expect("`kill` starts").success());
    let said = logging.log.until("a restart would fail");
    let objects = objects(&said);
    for (priority, object) in &objects {
        let expected = match object["level"].as_str() {
            Some("ERROR") => '3',
            Some("WARN") => '4',
            _ => '6',
        };
        assert_eq!(*priority, expected, "{object}");
        let keys: Vec<_> = object.as_object().expect("an object").keys().map(String::as_str).collect();
        assert_eq!(keys, ["fields", "level", "message", "target", "timestamp"]);
    }
    let (_, error) = objects.iter().find(|(priority, _)| *priority == '3').expect("the error");
    let message = error["message"].as_str().expect("it is text");
    assert!(message.contains(":1:9: ") && message.contains("\n  1 | realm = 5\n"), "{message}");
    assert_eq!(error["target"], "byway::server::reload");
}

/// The reason for the end is an object, too, once the configuration is known.
#[test]
fn json_holds_for_the_last_words() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let http = format!("http = [\"{}\"]", taken.local_addr().expect("it is bound"));
    let config = with("format = \"json\"").replace("http = [\"127.0.0.1:0\"]", &http);
    let output = Configuration::new(&config).run(&["serve"]);
    let said = String::from_utf8(output.stderr).expect("it is text");
    let last: Value = serde_json::from_str(said.lines().last().expect("a line")).expect(&said);
    assert_eq!((&last["level"], &last["target"]), (&"ERROR".into(), &"byway".into()));
    assert!(last["message"].as_str().expect("text").contains("cannot listen on "), "{said}");
}

#[test]
fn a_reload_changes_format_and_levels() {
    let logging = Logging::start("", |_, _| {});
    let said = logging.log.until("listening ");
    assert!(said.contains(" INFO listening ") && !said.contains('{'), "{said}");

    logging.reload("format = \"json\"\nlevel = \"warn\"");
    // At `warn`, the answer to this reload is suppressed; the answer to the next one is not.
    logging.reload("format = \"json\"\nlevel = \"warn,byway::server::reload=info\"");
    let said = logging.log.until("\"target\":\"byway::server::reload\"");
    let json: Vec<_> = said.lines().filter(|line| line.starts_with('{')).collect();
    for line in json {
        let object: Value = serde_json::from_str(line).expect(line);
        assert_eq!(object["target"], "byway::server::reload", "only this module logs below `warn`");
    }

    logging.reload("format = \"text\"\nlevel = \"debug\"");
    logging.log.until(" INFO reload: in force from ");
    // A file that cannot be parsed changes nothing.
    logging.reload("level = \"inof\"");
    let said = logging.log.until("a restart would fail");
    assert!(said.contains("`log.level`: \"inof\" is not a level"), "{said}");
}

#[test]
fn a_level_by_module_shows_its_lines_alone() {
    let server = Server::start_with(&with("level = \"warn,byway::server::startup_log=info\""), |_| {});
    let log = server.log();
    let is_of_module = |line: &str| line.contains(" listening ") || line.contains(" open http");
    assert!(!log.is_empty() && log.lines().all(is_of_module), "{log}");

    let off = with("level = \"off\"");
    let server = Server::start_with(&off, |command| {
        command.env("RUST_LOG", "info");
    });
    assert!(server.log().contains("listening "), "RUST_LOG overrides it");
}

/// A typing error in the environment must not silence the log.
#[test]
fn an_invalid_rust_log_is_ignored_and_told() {
    let server = Server::start_with(CONFIG, |command| {
        command.env("RUST_LOG", "byway=loud");
    });
    assert_eq!(server.logged("WARN RUST_LOG is ignored, because it is invalid"), 1);
}

/// A secret that every user of the machine can read is told by the server and by `check`, with the
/// remedy, and keeps neither from succeeding.
#[test]
fn files_with_secrets_that_others_can_read_are_told() {
    let configuration = Configuration::new(CONFIG);
    let (file, secret) = (configuration.path(), configuration.path().with_file_name("secret"));
    let mode = |path: &std::path::Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    };
    let hints = || {
        let output = configuration.run(&["check"]);
        let said = String::from_utf8(output.stdout).expect("it is text");
        assert!(output.status.success(), "{said}");
        said.lines().filter(|line| line.contains("holds a secret")).map(str::to_owned).collect::<Vec<_>>()
    };
    mode(&file, 0o640);
    assert_eq!(hints(), [""; 0]);
    for (bits, words) in [
        (0o644, "every user of this machine can read it"),
        (0o660, "its group can change it"),
        (0o666, "every user of this machine can change it"),
    ] {
        mode(&file, bits);
        let path = file.display();
        let expected = format!(
            "  hint: {path} holds a secret, and {words}: run `chmod 640 {path}`, with the service's user as its \
             owner or in its group"
        );
        assert_eq!(hints(), [expected], "{bits:o}");
    }

    // The file itself has no secret any more, and names one.
    fs::write(&secret, "a-secret-of-a-file\n").expect("it is written");
    mode(&secret, 0o644);
    let config = CONFIG.replace("secrets = [\"a-test-secret\"]", "secret_files = [\"secret\"]");
    fs::write(&file, &config).expect("it is written");
    let told = hints();
    assert!(told.len() == 1 && told[0].contains(&secret.display().to_string()), "{told:?}");

    let log = Log::new();
    let child = configuration.command().arg("serve").stderr(log.file()).spawn().expect("the binary starts");
    let running = Logging { child, log, configuration };
    let said = running.log.until("listening ");
    let warnings = said.lines().filter(|line| line.contains(" WARN ") && line.contains("holds a secret"));
    assert_eq!(warnings.count(), 1, "{said}");
}

/// The embedded default has no secret and no file.
#[test]
fn the_embedded_default_has_no_secret_to_tell_of() {
    let output = byway().arg("check").output().expect("the binary starts");
    let said = String::from_utf8(output.stdout).expect("it is text");
    assert!(!said.contains("holds a secret"), "{said}");
}
