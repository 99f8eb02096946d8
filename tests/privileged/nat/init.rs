//! `byway init` on machines with other addresses than this one, and on a full disk.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use byway_test_support::process::{Server, byway};
use tempfile::TempDir;

use super::namespace::Namespace;

/// A machine with these addresses on its one network card, which a bridge stands in for.
struct Machine {
    namespace: Namespace,
    folder: TempDir,
}

impl Machine {
    fn new(name: &str, addresses: &[&str], gateways: &[&str]) -> Self {
        let namespace = Namespace::new(name);
        namespace.ip("link add eth0 type bridge");
        namespace.ip("link set eth0 up");
        for address in addresses {
            namespace.ip(&format!("address add {address} dev eth0"));
        }
        for gateway in gateways {
            namespace.ip(&format!("route add default via {gateway}"));
        }
        Self { namespace, folder: tempfile::tempdir().expect("a folder") }
    }

    /// Lines of `/etc/hosts` on this machine, which stand in for the DNS.
    fn resolves(&self, lines: &str) -> Hosts {
        let folder = PathBuf::from("/etc/netns").join(self.namespace.name());
        fs::create_dir_all(&folder).expect("root may");
        fs::write(folder.join("hosts"), lines).expect("root may");
        Hosts(folder)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("turnserver.toml")
    }

    fn init(&self, domain: &str) -> Output {
        let init = byway();
        let mut command = self.namespace.command(&init.get_program().to_string_lossy());
        command.arg("--config").arg(self.file());
        command.args(["init", "--domain", domain, "--yes", "--no-start"]);
        command.output().expect("`ip` starts")
    }

    /// Runs `byway init`. Returns the configuration and the remarks.
    fn written(&self, domain: &str) -> (String, String) {
        let output = self.init(domain);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        (fs::read_to_string(self.file()).expect("it is written"), said)
    }
}

/// A folder of `ip netns exec`, deleted on drop.
struct Hosts(PathBuf);

impl Drop for Hosts {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_name_that_points_to_the_machine_needs_no_remark_and_its_server_runs() {
    let machine = Machine::new("here", &["45.0.0.1/24", "2a00::1/64 nodad"], &["45.0.0.254"]);
    let _hosts = machine.resolves("45.0.0.1 call.example.org\n2a00::1 call.example.org\n");
    let (text, said) = machine.written("call.example.org");
    assert_eq!(said, "");
    assert!(
        text.contains("udp = [\"0.0.0.0:3478\", \"[::]:3478\", \"0.0.0.0:443\", \"[::]:443\"]"),
        "{text}"
    );
    assert!(
        text.contains("addresses = [\"0.0.0.0\", \"::\"]") && !text.contains("public_addresses"),
        "{text}"
    );

    // The authority cannot be reached from here, so the server runs without a certificate.
    let state = machine.folder.path().join("acme").display().to_string();
    let text = text.replace("[acme]\n", &format!("[acme]\nstate_dir = \"{state}\"\n"));
    let server = Server::start_in(machine.namespace.name(), &text);
    let log = server.log();
    assert!(log.contains(" relay=45.0.0.1,2a00::1 "), "{log}");
    let mut probe = server.command_in(machine.namespace.name());
    let output = probe.args(["probe", "--json"]).output().expect("`ip` starts");
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let plain: Vec<_> = rows.iter().filter(|row| !row["url"].to_string().contains("turns:")).collect();
    assert_eq!(plain.len(), 6, "{rows:#?}");
    assert!(plain.iter().all(|row| row["ok"] == true), "{rows:#?}");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn behind_a_nat_the_relay_tells_the_address_of_the_name() {
    let machine = Machine::new("nat", &["10.0.0.5/24"], &["10.0.0.1"]);
    let _hosts = machine.resolves("45.0.0.1 call.example.org\n");
    let (text, said) = machine.written("call.example.org");
    assert!(
        said.starts_with("note: this machine has 10.0.0.5, and callers use 45.0.0.1: a 1:1 NAT"),
        "{said}"
    );
    assert!(text.contains("\npublic_addresses = [\"45.0.0.1\"]\n"), "{text}");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_name_that_points_elsewhere_and_a_machine_without_a_network_are_warnings() {
    let machine = Machine::new("elsewhere", &["45.0.0.1/24"], &["45.0.0.254"]);
    let _hosts = machine.resolves("46.0.0.1 call.example.org\n");
    let (_, said) = machine.written("call.example.org");
    assert!(
        said.starts_with("warning: call.example.org points elsewhere: it resolves to 46.0.0.1"),
        "{said}"
    );

    let machine = Machine::new("alone", &[], &[]);
    let (text, said) = machine.written("call.example.org");
    assert!(said.starts_with("warning: this machine has no network"), "{said}");
    assert!(said.contains("warning: call.example.org does not resolve"), "{said}");
    assert!(text.contains("tls = [\"0.0.0.0:443\"]"), "{text}");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn ipv6_alone_has_no_ipv4_listener() {
    let machine = Machine::new("six", &["2a00::1/64 nodad"], &[]);
    machine.namespace.ip("-6 route add default via 2a00::ffff");
    let _hosts = machine.resolves("2a00::1 call.example.org\n");
    let (text, said) = machine.written("call.example.org");
    assert!(said.starts_with("note: this machine serves IPv6 only"), "{said}");
    assert!(text.contains("udp = [\"[::]:3478\", \"[::]:443\"]"), "{text}");
    assert!(text.contains("addresses = [\"::\"]"), "{text}");
}

/// A file system of a few kibibytes, which only the process sees.
#[test]
#[ignore = "needs root: tests/run nat"]
fn a_full_or_read_only_disk_is_one_error_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = folder.path().display();
    let binary = byway().get_program().to_string_lossy().into_owned();
    for (before, part) in [
        (format!("head -c 20000 /dev/zero > {at}/filler 2> /dev/null"), "free some space on this disk"),
        (format!("mount -o remount,ro {at}"), "name a file on a writable file system"),
    ] {
        let script = format!(
            "mount -t tmpfs -o size=16k tmpfs {at} && {{ {before}; \
             {binary} --config {at}/turnserver.toml init --domain 203.0.113.10 --yes --no-start; \
             code=$?; ls -A {at}; exit $code; }}"
        );
        let output =
            Command::new("unshare").args(["--mount", "sh", "-c", &script]).output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(": cannot be written: ") && said.contains(part), "{said}");
        let left = String::from_utf8_lossy(&output.stdout);
        assert!(matches!(left.trim_end(), "" | "filler"), "{left}");
    }
}
