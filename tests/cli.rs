//! The commands as a person or a script meets them: exit codes and what is printed.

use std::path::PathBuf;
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use tempfile::TempDir;

/// A configuration in a folder of its own.
struct File {
    dir: TempDir,
}

impl File {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("turnserver.toml"), text).expect("the configuration is written");
        Self { dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("turnserver.toml")
    }

    /// Runs `byway --config FILE` with more arguments.
    fn byway(&self, arguments: &[&str]) -> Output {
        byway(&[&["--config", self.path().to_str().expect("a path in UTF-8")], arguments].concat())
    }
}

fn byway(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_byway"))
        .args(arguments)
        .env_remove("BYWAY_CONFIG")
        .env_remove("RUST_LOG")
        .output()
        .expect("the binary starts")
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("stderr is UTF-8")
}

#[test]
fn help_names_the_commands() {
    let output = byway(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for command in ["serve", "check", "credential", "probe", "--config <FILE>"] {
        assert!(stdout(&output).contains(&format!("  {command}")), "{command}:\n{}", stdout(&output));
    }
}

#[test]
fn an_unknown_command_is_exit_2() {
    let output = byway(&["prob"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a similar subcommand exists: 'probe'"), "{}", stderr(&output));
}

#[test]
fn check_says_ok_and_what_is_served() {
    let file = File::new("[listen]\nudp = [\"0.0.0.0:3478\"]\nadmin = []\n");
    let output = file.byway(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        format!(
            "{}: ok\n  udp   0.0.0.0:3478\n  http  127.0.0.1:8080, [::1]:8080\n  admin off\n  \
             relay 127.0.0.1, ::1, ports 49152-65535\n  \
             hint: no secrets: the server draws one at each start, and nothing else can sign credentials\n  \
             hint: other machines reach the `udp` listeners, but relay.addresses is loopback: no peer is reached\n",
            file.path().display()
        )
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn check_reads_the_file_named_by_the_environment() {
    let file = File::new("realm = 5");
    let output = Command::new(env!("CARGO_BIN_EXE_byway"))
        .arg("check")
        .env("BYWAY_CONFIG", file.path())
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_mistake_is_exit_2_with_file_line_caret_reason_and_remedy() {
    let cases = [
        (
            "realm = \"a\"\n[peers]\nallow = [\"10.0.0.0/33\"]\n",
            r#":3:10: `peers.allow`: "33" is not the length of an IPv4 range
  3 | allow = ["10.0.0.0/33"]
    |          ^^^^^^^^^^^^^
  remedy: a length from 0 to 32 behind the slash, such as "10.0.0.0/32"
"#,
        ),
        (
            "relam = \"a\"\n",
            r#":1:1: `relam` is not a key
  1 | relam = "a"
    | ^^^^^
  remedy: did you mean `realm`?
"#,
        ),
        (
            "[credentials]\nsecret_files = [\"/nowhere/secret\"]\n",
            r#":2:17: `credentials.secret_files`: /nowhere/secret: No such file or directory (os error 2)
  2 | secret_files = ["/nowhere/secret"]
    |                 ^^^^^^^^^^^^^^^^^
  remedy: a text file with one secret that this user can read
"#,
        ),
    ];
    for (text, shown) in cases {
        let file = File::new(text);
        // Whatever the command: nothing runs on a configuration that is wrong.
        for command in [&["check"][..], &["serve"], &[], &["credential", "--user", "a"], &["probe"]] {
            let output = file.byway(command);
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            assert_eq!(stderr(&output), format!("{}{shown}", file.path().display()), "{command:?}");
            assert_eq!(stdout(&output), "", "{command:?}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_exit_2() {
    let output = byway(&["check", "--config", "/nowhere/turnserver.toml"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "/nowhere/turnserver.toml: No such file or directory (os error 2)\n  \
         remedy: name a configuration file: --config FILE, or BYWAY_CONFIG in the environment\n"
    );
}

#[test]
fn a_credential_is_what_the_secret_makes_of_the_username() {
    let file = File::new(
        "listen.udp = [\"0.0.0.0:3478\"]\nrelay.addresses = [\"192.0.2.7\"]\n\
         credentials.secrets = [\"north-north\", \"south-south\"]",
    );
    let output = file.byway(&["credential", "--user", "alice", "--ttl", "1h 30m"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);

    let json: serde_json::Value = serde_json::from_str(stdout(&output)).expect("JSON");
    let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["password", "ttl", "uris", "username"]);
    assert_eq!(json["ttl"], 5400);
    assert_eq!(json["uris"], serde_json::json!(["turn:192.0.2.7:3478?transport=udp"]));

    let username = json["username"].as_str().expect("a text");
    let mut mac = Hmac::<Sha1>::new_from_slice(b"north-north").expect("HMAC takes any key");
    mac.update(username.as_bytes());
    assert_eq!(json["password"], STANDARD.encode(mac.finalize().into_bytes()));

    let (expiry, name) = username.split_once(':').expect("expiry:name");
    let ends_in = expiry.parse::<u64>().expect("digits") - byway::clock::Clock::start().now().unix;
    assert_eq!(name, "alice");
    assert!((5340..=5400).contains(&ends_in), "{ends_in}");
}

#[test]
fn without_a_secret_there_is_no_credential() {
    let file = File::new("");
    let output = file.byway(&["credential", "--user", "alice"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        format!(
            "{}: no secret to sign with; a running server draws one that no other process knows\n  \
             remedy: set `secrets` or `secret_files` under [credentials] and restart the server\n",
            file.path().display()
        )
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn arguments_out_of_bounds_are_exit_2() {
    let file = File::new("credentials.secrets = [\"north-north\"]");
    let cases = [
        (&["credential"][..], "--user <NAME>"),
        (&["credential", "--user", ""], "a name has 1 to 256 bytes and no control characters"),
        (&["credential", "--user", "a\nb"], "a name has 1 to 256 bytes and no control characters"),
        (
            &["credential", "--user", "a", "--ttl", "600"],
            "a duration is written \"90s\", \"10m\" or \"1h 30m\"",
        ),
        (&["credential", "--user", "a", "--ttl", "8days"], "a credential is good for 1 second to 7 days"),
        (&["probe", "example.org"], "a STUN or TURN URL begins with stun:, stuns:, turn: or turns:"),
        (&["probe", "turns:example.org"], "the probe speaks UDP only, in this version"),
        (&["probe", "turn:example.org?transport=tcp"], "the probe speaks UDP only, in this version"),
        (&["probe", "--username", "a"], "--password <P>"),
    ];
    for (arguments, reason) in cases {
        let output = file.byway(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{arguments:?}\n{}", stderr(&output));
    }
}

#[test]
fn a_port_that_the_system_chose_cannot_be_probed_by_guessing() {
    let file = File::new("listen.udp = [\"127.0.0.1:0\"]");
    let output = file.byway(&["probe"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        format!(
            "{}: no UDP listener with a fixed port to probe\n  \
             remedy: name a URL: byway probe turn:HOST:PORT\n",
            file.path().display()
        )
    );
}
