//! From a socket of this machine into an allocation: what a server that relays in its memory would
//! hide.

use std::process::Output;

use byway_test_support::process::{CONFIG, Configuration, Server};
use serde_json::Value;

use super::{probe, rows, trouble};

/// This machine's address as the server sees it is 127.0.0.1, unless asked for otherwise; so the
/// server is elsewhere.
const SERVER: &str = "127.0.0.5";
const EVERY_LOOPBACK: &str = "[\"127.0.0.0/8\"]";

/// Asks a server that listens at an address, whose relay sockets are `at` another and said to be at
/// the `public` one.
async fn asked(listen: &str, at: &str, public: &str, allow: &str) -> Output {
    asked_of(listen, at, public, allow, &[]).await
}

async fn asked_with(listen: &str, at: &str, public: &str, more: &[&str]) -> Output {
    asked_of(listen, at, public, EVERY_LOOPBACK, more).await
}

async fn asked_of(listen: &str, at: &str, public: &str, allow: &str, more: &[&str]) -> Output {
    let config = CONFIG
        .replace("udp = [\"127.0.0.1:0\", \"[::1]:0\"]", &format!("udp = [\"{listen}:0\"]"))
        .replace("[\"127.0.0.1\", \"::1\"]", &format!("[\"{at}\"]\npublic_addresses = [\"{public}\"]"))
        .replace("[\"127.0.0.1/32\", \"::1/128\"]", allow);
    let server = Server::start_with(&config, |_| {});
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}", server.bound.udp_v4());
    let arguments = ["--json", &url, "--username", &username, "--password", &password];
    probe(&Configuration::new(""), &[&arguments[..], more].concat()).await
}

/// Reason for which the check was not made, though all else is well.
fn not_checked(output: &Output) -> String {
    let row = &rows(output)[0];
    assert_eq!((output.status.code(), &row["from_peer_ms"]), (Some(0), &Value::Null), "{row:#}");
    row["from_peer_not_checked"].as_str().expect("a reason").to_owned()
}

#[tokio::test]
async fn relay_ports_that_are_open_are_heard_through() {
    let output = asked(SERVER, SERVER, SERVER, EVERY_LOOPBACK).await;
    let row = &rows(&output)[0];
    assert!(row["from_peer_ms"].is_f64(), "{row:#}");
}

#[tokio::test]
async fn relay_ports_that_are_closed_are_found_though_two_allocations_meet() {
    // The sockets are not where the server says, so that what is sent there vanishes as before a
    // firewall.
    let output = asked(SERVER, "127.0.0.2", SERVER, EVERY_LOOPBACK).await;
    let reason = trouble(&output);
    let row = &rows(&output)[0];
    assert!(row["round_trip_ms"].is_f64(), "they meet in memory: {row:#}");
    let relayed = row["relayed_address"].as_str().unwrap();
    assert_eq!(reason, format!("data from this machine to the relayed address {relayed} is lost"));
}

#[tokio::test]
async fn a_relayed_address_that_is_not_the_host_s_is_a_failure() {
    let output = asked(SERVER, "127.0.0.2", "127.0.0.3", EVERY_LOOPBACK).await;
    let reason = trouble(&output);
    let row = &rows(&output)[0];
    assert!(row["round_trip_ms"].is_f64(), "they meet in memory: {row:#}");
    let relayed = row["relayed_address"].as_str().unwrap();
    assert_eq!(reason, format!("the server says that its relay is at {relayed}, but its host is 127.0.0.5"));
    assert_eq!(row["fault"], "wrong-public-address");
    assert!(row["remedy"].as_str().unwrap().starts_with("set relay.public_addresses to"), "{row:#}");
}

/// The user knows that the relay has another address: it is tried, and found closed.
#[tokio::test]
async fn a_relay_address_that_the_user_names_is_tried() {
    let output = asked_with(SERVER, "127.0.0.2", "127.0.0.3", &["--relay-address", "127.0.0.3"]).await;
    let row = &rows(&output)[0];
    assert_eq!(row["fault"], "relay-ports-blocked", "{row:#}");
    let output = asked_with(SERVER, "127.0.0.2", "127.0.0.2", &["--relay-address", "127.0.0.2"]).await;
    let row = &rows(&output)[0];
    assert!(output.status.success() && row["from_peer_ms"].is_f64(), "{row:#}");
}

/// `turn::client` cannot ask for IPv6; the probe does.
#[tokio::test]
async fn relays_of_both_ip_versions_are_asked_for() {
    let config = CONFIG.replace("[\"127.0.0.1/32\", \"::1/128\"]", "[\"::1/128\"]");
    let server = Server::start_with(&config, |_| {});
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}", server.bound.udp_v6());
    let arguments = ["--json", &url, "--username", &username, "--password", &password];
    let output = probe(&Configuration::new(""), &arguments).await;
    let row = &rows(&output)[0];
    assert_eq!(output.status.code(), Some(0), "{row:#}");
    let relays = row["relays"].as_array().unwrap();
    let families: Vec<_> = relays.iter().map(|relay| relay["family"].as_str().unwrap()).collect();
    assert_eq!(families, ["IPv6", "IPv4"], "{row:#}");
    assert!(relays.iter().all(|relay| relay["round_trip_ms"].is_f64()), "{row:#}");
    assert!(row["relayed_address"].as_str().is_some_and(|relayed| relayed.starts_with("[::1]:")), "{row:#}");

    let one = CONFIG.replace("addresses = [\"127.0.0.1\", \"::1\"]", "addresses = [\"127.0.0.1\"]");
    let server = Server::start_with(&one, |_| {});
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}", server.bound.udp_v6());
    let arguments = ["--json", &url, "--username", &username, "--password", &password];
    let output = probe(&Configuration::new(""), &arguments).await;
    let row = &rows(&output)[0];
    assert_eq!(output.status.code(), Some(0), "{row:#}");
    assert_eq!(row["relays"][0]["refused"], 440, "{row:#}");
    assert_eq!(row["relays"][1]["family"], "IPv4", "{row:#}");
}

#[tokio::test]
async fn a_server_that_does_not_relay_to_this_machine_is_no_failure() {
    let output = asked(SERVER, SERVER, SERVER, "[]").await;
    assert_eq!(not_checked(&output), "the server refuses to relay to this machine's address");
}

#[tokio::test]
async fn a_probe_at_the_relayed_address_itself_is_no_failure() {
    let output = asked("127.0.0.1", "127.0.0.1", "127.0.0.1", "[]").await;
    let reason =
        "the relayed address belongs to this machine, and from it the server accepts only its own relays";
    assert_eq!(not_checked(&output), reason);
}
