//! `byway doctor`, black box: what it says of sound installations, and of those that are not.

mod front_door;
mod hostile;
mod installation;
mod outside;

use std::process::{Command, Output};

use byway_test_support::process::free_port;
use serde_json::Value;

/// Configuration on loopback with fixed ports, which a command can know, and an admin socket in its
/// folder.
struct Setup {
    text: String,
    /// Port of STUN and TURN, over UDP and TCP.
    turn: u16,
    /// Port of the page.
    http: u16,
}

impl Setup {
    fn new() -> Self {
        let (turn, http) = (free_port(), free_port());
        let text = format!(
            r#"realm = "byway.test"
[listen]
udp = ["127.0.0.1:{turn}"]
tcp = ["127.0.0.1:{turn}"]
http = ["127.0.0.1:{http}"]
admin = ["unix:admin.sock"]
[relay]
addresses = ["127.0.0.1"]
shards = 1
[credentials]
secrets = ["a-test-secret"]
[peers]
allow = ["127.0.0.1/32"]
[quota]
unauthenticated_per_second = 0
"#
        );
        Self { text, turn, http }
    }

    fn with(&self, old: &str, new: &str) -> String {
        assert!(self.text.contains(old), "{old}");
        self.text.replace(old, new)
    }
}

/// Report of a run.
struct Report {
    output: Output,
    json: Value,
}

/// Runs `byway doctor --json` by a command of the binary.
fn doctor(mut command: Command, arguments: &[&str]) -> Report {
    let output = command.args(["doctor", "--json"]).args(arguments).output().expect("the binary starts");
    let json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {} {}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    });
    Report { output, json }
}

impl Report {
    fn findings(&self) -> &[Value] {
        self.json["findings"].as_array().expect("a list")
    }

    fn failed(&self) -> Vec<&Value> {
        self.findings().iter().filter(|finding| finding["state"] == "failed").collect()
    }

    /// Returns the only finding with this fault, whose remedy is not empty.
    fn only(&self, fault: &str) -> &Value {
        let found: Vec<_> = self.findings().iter().filter(|finding| finding["fault"] == fault).collect();
        assert_eq!(found.len(), 1, "{fault} in {:#}", self.json);
        assert_ne!(found[0]["remedy"], "", "{:#}", found[0]);
        found[0]
    }

    /// Asserts that this fault is a failure, and that the exit code says so.
    fn fails_by(&self, fault: &str) -> &Value {
        let found = self.only(fault);
        assert_eq!(found["state"], "failed", "{found:#}");
        assert_eq!((self.output.status.code(), &self.json["ok"]), (Some(1), &Value::Bool(false)));
        found
    }

    /// Returns the finding whose statement begins with these words.
    fn about(&self, words: &str) -> &Value {
        let is_it = |finding: &&Value| finding["what"].as_str().is_some_and(|what| what.starts_with(words));
        self.findings().iter().find(is_it).unwrap_or_else(|| panic!("{words} in {:#}", self.json))
    }

    fn is_sound(&self) {
        assert!(self.failed().is_empty(), "{:#}", self.json);
        assert_eq!(self.output.status.code(), Some(0));
        assert_eq!(String::from_utf8_lossy(&self.output.stderr), "");
    }
}
