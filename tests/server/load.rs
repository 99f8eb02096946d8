//! `byway load`, black box: every mode against the real server on loopback, and what it says where
//! nothing gets through.
use std::net::{TcpListener, UdpSocket};
use std::process::Output;
use std::time::Duration;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{CONFIG, SECRET, Server, byway, free_port};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any run of these tests, and than any step that waits for an answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Few clients, and a rate that every machine keeps.
const GENTLE: [&str; 6] = ["--clients", "4", "--rate", "200", "--seconds", "0.5"];

fn load(mode: &str, url: &str, more: &[&str]) -> Output {
    let clock = byway::clock::Clock::start();
    let gentle = GENTLE.chunks(2).filter(|option| !more.contains(&option[0])).flatten();
    let output = byway().args(["load", mode, url, "--json"]).args(gentle).args(more).output();
    assert!(clock.now().mono < PATIENCE, "it ends by itself, and soon");
    output.expect("the binary starts")
}

/// The object that a run prints which went well.
fn report(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one object")
}

/// Error of a run that failed.
fn complaint(output: &Output) -> String {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("remedy: "), "{said}");
    said
}

/// Loads a server that issues credentials for its secret, and checks that nothing was lost, late or
/// left behind.
fn goes_well(server: &Server, mode: &str, url: &str, more: &[&str]) -> Value {
    let report = report(&load(mode, url, &[&["--secret", SECRET], more].concat()));
    let traffic = &report["traffic"];
    assert_eq!(report["mode"], mode);
    assert_eq!((&traffic["loss"], &traffic["reordered"]), (&0.0.into(), &0.into()), "{report}");
    assert_eq!(traffic["delivered"], traffic["sent"], "{report}");
    let sent = traffic["sent"].as_u64().unwrap();
    assert!((1..=100).contains(&sent), "200 a second for half a second are 100: {report}");
    assert!(
        traffic["p50_ms"].as_f64() > Some(0.0) && traffic["p50_ms"].as_f64() <= traffic["p99_ms"].as_f64()
    );
    server.until("byway_allocations", 0);
    report
}

#[test]
fn every_mode_delivers_what_it_sends() {
    let server = Server::start();
    let url = format!("turn:{}", server.bound.udp_v4());
    for mode in ["to-peer", "to-client", "both", "pair"] {
        for more in [&[][..], &["--indications", "--size", "1201"], &["--train", "8", "--join"]] {
            let report = goes_well(&server, mode, &url, more);
            assert_eq!(report["setup"]["done"], 4, "{report}");
        }
    }
    let report = goes_well(&server, "binding", &url, &[]);
    assert_eq!(report["setup"], Value::Null, "{report}");
    let v6 = format!("turn:{}", server.bound.udp_v6());
    goes_well(&server, "both", &v6, &[]);
    goes_well(&server, "pair", &v6, &["--indications"]);
    assert_eq!(server.metric(r#"byway_turn_errors_total{code="403"}"#), 0);
}

#[test]
fn over_tcp_too() {
    let server = Server::start();
    let url = format!("turn:{}?transport=tcp", server.bound.tcp_v4());
    goes_well(&server, "both", &url, &["--indications", "--size", "1201", "--train", "8"]);
    for mode in ["to-peer", "to-client", "both", "pair", "binding"] {
        assert_eq!(goes_well(&server, mode, &url, &[])["transport"], "tcp");
    }
}

#[test]
fn over_tls_too_if_the_certificate_is_good() {
    let folder = TempDir::new().unwrap();
    let file = |name: &str| folder.path().join(name).display().to_string();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(file("key.pem"), key.serialize_pem()).unwrap();
    let tls = format!("\n[tls]\ncert = {:?}\nkey = {:?}\n", file("cert.pem"), file("key.pem"));
    let config = CONFIG.replace("tcp = [", "tls = [\"127.0.0.1:0\"]\ntcp = [") + &tls;
    let server = Server::start_with(&config, |_| {});
    let url = format!("turns:{}", server.bound.tls());
    for mode in ["to-peer", "to-client", "both", "pair"] {
        let report = goes_well(&server, mode, &url, &["--ca", &file("cert.pem")]);
        assert_eq!(report["transport"], "tls");
    }
    let said = complaint(&load("pair", &url, &["--secret", SECRET]));
    assert!(said.contains("the certificate is"), "{said}");
}

#[test]
fn allocations_are_held_or_come_and_go() {
    let server = Server::start();
    let url = format!("turn:{}", server.bound.udp_v4());
    let held = report(&load("idle", &url, &["--secret", SECRET, "--clients", "50"]));
    assert_eq!((&held["setup"]["done"], &held["setup"]["failed"]), (&50.into(), &0.into()), "{held}");
    let cycles = report(&load("allocate", &url, &["--secret", SECRET]));
    let done = cycles["cycles"]["done"].as_u64().unwrap();
    assert!((1..=101).contains(&done), "200 a second for half a second are 100: {cycles}");
    assert_eq!(cycles["cycles"]["failed"], 0, "{cycles}");
    // What is under way at the end is left to expire.
    assert!(server.metric("byway_allocations") <= 4);
}

#[test]
fn the_server_s_process_is_measured_if_it_is_named() {
    let server = Server::start();
    let url = format!("turn:{}", server.bound.udp_v4());
    let pid = std::process::id().to_string();
    let report = report(&load("to-peer", &url, &["--secret", SECRET, "--pid", &pid]));
    assert!(report["process"]["memory_bytes"].as_u64() > Some(0), "{report}");
    assert!(report["process"]["cpu_us_each"].is_f64(), "{report}");
}

#[test]
fn the_highest_rate_is_found_within_its_bound() {
    let server = Server::start();
    let url = format!("turn:{}", server.bound.udp_v4());
    let more = ["--secret", SECRET, "--find-max", "1", "--rate", "50000", "--seconds", "0.05"];
    let traffic = &report(&load("to-peer", &url, &more))["traffic"];
    assert!(traffic["loss"].as_f64() < Some(0.01), "{traffic}");
    assert!(traffic["delivered"].as_u64() > Some(0), "{traffic}");
}

/// Without a URL and a login it loads the configuration's own server.
#[test]
fn a_configuration_s_own_server_is_loaded() {
    let port = free_port();
    let config =
        CONFIG.replace("udp = [\"127.0.0.1:0\", \"[::1]:0\"]", &format!("udp = [\"127.0.0.1:{port}\"]"));
    let server = Server::start_with(&config, |_| {});
    let output = server.command().args(["load", "pair"]).args(GENTLE).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with(&format!("pair over UDP to 127.0.0.1:{port}: ")), "{said}");
    assert!(said.contains("\n  lost       0 of "), "{said}");
    assert!(said.contains(" ms (p99.9)"), "{said}");
}

#[test]
fn what_keeps_clients_out_is_said_with_a_remedy() {
    let server = Server::start();
    let url = format!("turn:{}", server.bound.udp_v4());
    let said = complaint(&load("pair", &url, &["--username", "1:x", "--password", "wrong"]));
    assert!(said.contains("401"), "{said}");

    // One user has a quota.
    let server = Server::start_with(&CONFIG.replace("[quota]", "[quota]\nallocations_per_user = 16"), |_| {});
    let url = format!("turn:{}", server.bound.udp_v4());
    let (username, password) = server.credential("alice");
    let login = ["--username", &username, "--password", &password, "--clients", "20", "--window", "1"];
    let said = complaint(&load("pair", &url, &login));
    assert!(said.contains("486") && said.contains("after 16 clients"), "{said}");

    let strict = Server::start_with(&CONFIG.replace("allow = [\"127.0.0.1/32\", \"::1/128\"]", ""), |_| {});
    let url = format!("turn:{}", strict.bound.udp_v4());
    let said = complaint(&load("to-peer", &url, &["--secret", SECRET]));
    assert!(said.contains("403") && said.contains("[peers] allow"), "{said}");
    goes_well(&strict, "pair", &url, &[]);
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_so_before_long() {
    // Connected to itself, and so deaf to others while it keeps them off its port.
    let deaf = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = deaf.local_addr().unwrap();
    deaf.connect(address).unwrap();
    let said = complaint(&load("pair", &format!("turn:{address}"), &["--secret", SECRET]));
    assert!(said.starts_with(&format!("nothing listens on UDP {address}")), "{said}");

    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("turn:{}", silent.local_addr().unwrap());
    let said = complaint(&load("pair", &url, &["--secret", SECRET]));
    assert!(said.starts_with("no answer to STUN binding requests"), "{said}");

    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = mute.local_addr().unwrap();
    let said = complaint(&load("pair", &format!("turn:{address}?transport=tcp"), &["--secret", SECRET]));
    assert!(said.starts_with("no answer to STUN binding requests"), "{said}");
    let said = complaint(&load("pair", &format!("turns:{address}"), &["--secret", SECRET]));
    assert!(said.starts_with("no answer to the TLS handshake"), "{said}");
}

/// A server that answers once, and then no more.
#[test]
fn nothing_delivered_is_exit_1() {
    let server = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("stun:{}", server.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        let mut request = [0; 20];
        let (_, client) = uninterrupted(|| server.recv_from(&mut request)).unwrap();
        request[0] = 0x01;
        server.send_to(&request, client).unwrap();
        server
    });
    let output = load("binding", &url, &[]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["traffic"]["delivered"], &report["traffic"]["loss"]), (&0.into(), &1.0.into()));
    assert!(report["traffic"]["p50_ms"].is_null(), "{report}");
    drop(answering.join().unwrap());
}

#[test]
fn what_makes_no_sense_is_exit_2() {
    for (mode, url, more) in [
        ("pair", "turn:127.0.0.1", &["--clients", "3"][..]),
        ("pair", "stun:127.0.0.1", &[]),
        ("pair", "turns:127.0.0.1?transport=udp", &[]),
        ("binding", "turn:127.0.0.1", &["--seconds", "241"]),
        ("binding", "turn:127.0.0.1", &["--rate", "0"]),
        ("to-peer", "turn:127.0.0.1", &["--size", "23"]),
    ] {
        let output = load(mode, url, &[&["--secret", SECRET], more].concat());
        assert_eq!(output.status.code(), Some(2), "{mode} {url} {more:?}");
    }
}

#[test]
fn the_help_says_what_it_does_to_a_server_and_in_which_units() {
    let help = byway().args(["load", "--help"]).output().unwrap();
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    for part in ["others may be using", "in seconds", "per second", "Bytes", "percent", "at most 240"] {
        assert!(help.contains(part), "{part}:\n{help}");
    }
}
