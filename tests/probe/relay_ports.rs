//! From a socket of this machine into an allocation: what a server that relays in its memory would hide.

use std::process::Output;

use crate::support::{CONFIG, Server};
use crate::{probe, rows, trouble};

/// A server whose relay sockets are at `addresses`, which tells clients that they are at `public`, asked over UDP.
async fn asked(addresses: &str, public: &str, allow: &str) -> Output {
    let config = CONFIG
        .replace("[\"127.0.0.1\", \"::1\"]", &format!("[\"{addresses}\"]\npublic_addresses = {public}"))
        .replace("[\"127.0.0.1/32\", \"::1/128\"]", allow);
    let server = Server::start_with(&config, |_| {});
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}", server.bound.udp_v4());
    let arguments = ["--json", &url, "--username", &username, "--password", &password];
    probe(&crate::Configuration::new(""), &arguments).await
}

#[tokio::test]
async fn relay_ports_that_are_closed_are_found_though_two_allocations_meet() {
    // What is sent to 127.0.0.1 does not reach the sockets at 127.0.0.2: to the sender that is a closed firewall.
    let output = asked("127.0.0.2", "[\"127.0.0.1\"]", "[\"127.0.0.0/8\"]").await;
    let reason = trouble(&output);
    let row = &rows(&output)[0];
    assert!(row["round_trip_ms"].is_f64(), "they meet in memory: {row:#}");
    let relayed = row["relayed_address"].as_str().unwrap();
    assert_eq!(reason, format!("data from this machine to the relayed address {relayed} is lost"));
}

#[tokio::test]
async fn a_loss_with_other_explanations_is_not_checked_and_no_failure() {
    let output = asked("127.0.0.2", "[\"127.0.0.3\"]", "[\"127.0.0.0/8\"]").await;
    let row = &rows(&output)[0];
    assert_eq!((&row["ok"], &row["from_peer_ms"]), (&true.into(), &serde_json::Value::Null), "{row:#}");
    let reason = row["from_peer_not_checked"].as_str().unwrap();
    assert_eq!(reason, "data to the relayed address was lost, and it is not the server's, which answers UDP");
}

#[tokio::test]
async fn a_server_that_does_not_relay_to_this_machine_is_not_checked_for_it() {
    let output = asked("127.0.0.1", "[]", "[]").await;
    let row = &rows(&output)[0];
    assert_eq!((output.status.code(), &row["ok"]), (Some(0), &true.into()), "{row:#}");
    let reason = row["from_peer_not_checked"].as_str().unwrap();
    assert_eq!(reason, "the server refuses to relay to this machine's address");
}
