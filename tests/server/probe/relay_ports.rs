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
    let config = CONFIG
        .replace("udp = [\"127.0.0.1:0\", \"[::1]:0\"]", &format!("udp = [\"{listen}:0\"]"))
        .replace("[\"127.0.0.1\", \"::1\"]", &format!("[\"{at}\"]\npublic_addresses = [\"{public}\"]"))
        .replace("[\"127.0.0.1/32\", \"::1/128\"]", allow);
    let server = Server::start_with(&config, |_| {});
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}", server.bound.udp_v4());
    let arguments = ["--json", &url, "--username", &username, "--password", &password];
    probe(&Configuration::new(""), &arguments).await
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
async fn a_loss_on_another_way_than_the_server_s_own_is_no_failure() {
    let output = asked(SERVER, "127.0.0.2", "127.0.0.3", EVERY_LOOPBACK).await;
    let reason = "data to the relayed address was lost, and that is not the address that answered";
    assert_eq!(not_checked(&output), reason);
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
