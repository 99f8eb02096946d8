//! What clients are told on machines with other addresses than this one.

use crate::support::{Configuration, Server};

/// A wildcard for everything, as on a machine whose address nobody wants to write down.
const WILDCARDS: &str = r#"
[listen]
udp = ["0.0.0.0:3478"]
tcp = []
http = ["127.0.0.1:8080"]
admin = []
[relay]
addresses = ["0.0.0.0", "::"]
[credentials]
secrets = ["a-test-secret"]
"#;

/// IPv4 only, with this address to be told.
fn with_public(address: &str) -> String {
    let addresses = r#"addresses = ["0.0.0.0", "::"]"#;
    WILDCARDS.replace(addresses, &format!("addresses = [\"0.0.0.0\"]\npublic_addresses = [\"{address}\"]"))
}

/// A bridge stands in for a network card.
const CARD: &str = "ip link set lo up\nip link add eth0 type bridge\nip link set eth0 up";

fn machine(addresses: &[&str], gateway: &str) -> String {
    let add = |address: &&str| format!("\nip address add {address} dev eth0");
    let addresses: String = addresses.iter().map(add).collect();
    format!("{CARD}{addresses}\nip route add default via {gateway}")
}

/// The relay of the listening line.
fn relay(server: &Server) -> String {
    let log = server.log();
    let (_, relay) = log.split_once(" relay=").expect("the listening line names the relay");
    relay.split_whitespace().next().expect("an address").to_owned()
}

/// Two clients are told to relay from `told`, and meet there.
fn relays_a_round_trip(server: &Server, told: &str) {
    let probe = server.command_beside().arg("probe").output().expect("nsenter starts");
    let said = String::from_utf8_lossy(&probe.stdout);
    assert!(probe.status.success() && said.contains(&format!(" {told}:")), "{said}");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_machine_with_a_private_address_only_says_so_and_what_to_set() {
    let server = Server::start_in_namespace(WILDCARDS, &machine(&["10.0.0.5/24"], "10.0.0.1"));
    let log = server.log();
    let line = "clients are told to relay from 10.0.0.5, which the internet does not reach: set relay.public_addresses";
    assert_eq!(log.matches(line).count(), 1, "{log}");
    assert_eq!(log.matches("no relaying by IPv6").count(), 1, "{log}");
    assert_eq!(relay(&server), "10.0.0.5");
    relays_a_round_trip(&server, "10.0.0.5");

    let server = Server::start_in_namespace(&with_public("10.0.0.5"), &machine(&["10.0.0.5/24"], "10.0.0.1"));
    assert!(!server.log().contains("WARN"), "what is meant is not remarked on: {}", server.log());
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn the_public_address_of_a_machine_is_found_by_family() {
    // The route leads out from the private one, and still the public one is told.
    let addresses = ["10.0.0.5/24", "45.0.0.1/24", "fd00::5/64 nodad", "2a00::5/64 nodad"];
    let server = Server::start_in_namespace(WILDCARDS, &machine(&addresses, "10.0.0.1"));
    assert_eq!(relay(&server), "45.0.0.1,2a00::5");
    assert!(!server.log().contains("WARN"), "{}", server.log());
    relays_a_round_trip(&server, "45.0.0.1");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn of_two_public_addresses_the_one_that_leads_out_is_told() {
    let addresses = ["45.0.0.1/24", "45.0.1.1/24"];
    for (gateway, told) in [("45.0.0.254", "45.0.0.1"), ("45.0.1.254", "45.0.1.1")] {
        let server = Server::start_in_namespace(WILDCARDS, &machine(&addresses, gateway));
        assert_eq!(relay(&server), told);
    }
}

/// The hairpin: no router has to turn packets around for two clients that are told an address no interface has.
#[test]
#[ignore = "needs root: tests/run nat"]
fn behind_a_nat_two_relayed_clients_meet_under_the_public_address() {
    let config =
        WILDCARDS.replace(r#""::"]"#, "]\npublic_addresses = [\"203.0.113.10\"]").replace(", ]", "]");
    let server = Server::start_in_namespace(&config, &machine(&["10.0.0.5/24"], "10.0.0.1"));
    assert_eq!(relay(&server), "0.0.0.0->203.0.113.10");
    assert!(!server.log().contains("WARN"), "{}", server.log());
    relays_a_round_trip(&server, "203.0.113.10");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_machine_without_any_address_is_an_error_with_its_remedy() {
    let configuration = Configuration::new(WILDCARDS);
    let output = configuration.in_namespace("ip link set lo up").output().expect("unshare starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "the network may come up later: {said}");
    for part in ["no relaying by IPv4", "no relaying by IPv6", "remedy: name this machine's address"] {
        assert!(said.contains(part), "{said}");
    }
}
