//! Addresses that clients are told on machines with other addresses than this one.

use byway_test_support::process::Server;

use super::namespace::Namespace;

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
[http]
hosts = ["call.example.org"]
"#;

/// IPv4 only, with this address to be told.
fn with_public(address: &str) -> String {
    let addresses = r#"addresses = ["0.0.0.0", "::"]"#;
    WILDCARDS.replace(addresses, &format!("addresses = [\"0.0.0.0\"]\npublic_addresses = [\"{address}\"]"))
}

/// A server on a machine with these addresses on its one network card, which a bridge stands in
/// for.
struct Machine {
    namespace: Namespace,
    server: Server,
}

impl Machine {
    fn start(name: &str, config: &str, addresses: &[&str], gateway: &str) -> Self {
        let namespace = Namespace::new(name);
        namespace.ip("link add eth0 type bridge");
        namespace.ip("link set eth0 up");
        for address in addresses {
            namespace.ip(&format!("address add {address} dev eth0"));
        }
        namespace.ip(&format!("route add default via {gateway}"));
        let server = Server::start_in(namespace.name(), config);
        Self { namespace, server }
    }

    /// The relay's addresses, as the listening line has them.
    fn relay(&self) -> String {
        let log = self.server.log();
        let (_, relay) = log.split_once(" relay=").expect("the listening line names the relay");
        relay.split_whitespace().next().expect("an address").to_owned()
    }

    fn starts_without_a_warning(&self) {
        let log = self.server.log();
        assert!(!log.contains("WARN"), "{log}");
    }

    /// Two clients are told to relay from `told`, and meet there.
    fn relays_a_round_trip(&self, told: &str) {
        let probe = self.server.command_in(self.namespace.name()).arg("probe").output().expect("`ip` starts");
        let said = String::from_utf8_lossy(&probe.stdout);
        assert!(probe.status.success() && said.contains(&format!(" {told}:")), "{said}");
    }
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_machine_with_a_private_address_only_says_so_and_what_to_set() {
    let machine = Machine::start("private", WILDCARDS, &["10.0.0.5/24"], "10.0.0.1");
    let log = machine.server.log();
    let line =
        "clients get the relay address 10.0.0.5, which the internet cannot reach: set relay.public_addresses";
    assert_eq!(log.matches(line).count(), 1, "{log}");
    assert_eq!(log.matches("no relaying by IPv6").count(), 1, "{log}");
    assert_eq!(machine.relay(), "10.0.0.5");
    machine.relays_a_round_trip("10.0.0.5");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn a_private_address_that_is_meant_is_not_remarked_on() {
    Machine::start("meant", &with_public("10.0.0.5"), &["10.0.0.5/24"], "10.0.0.1")
        .starts_without_a_warning();
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn the_public_address_of_a_machine_is_found_by_family() {
    // The route leads out from the private one, and still the public one is told.
    let addresses = ["10.0.0.5/24", "45.0.0.1/24", "fd00::5/64 nodad", "2a00::5/64 nodad"];
    let machine = Machine::start("public", WILDCARDS, &addresses, "10.0.0.1");
    assert_eq!(machine.relay(), "45.0.0.1,2a00::5");
    machine.starts_without_a_warning();
    machine.relays_a_round_trip("45.0.0.1");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn of_two_public_addresses_the_one_that_leads_out_is_told() {
    let addresses = ["45.0.0.1/24", "45.0.1.1/24"];
    for (gateway, told) in [("45.0.0.254", "45.0.0.1"), ("45.0.1.254", "45.0.1.1")] {
        assert_eq!(Machine::start("two", WILDCARDS, &addresses, gateway).relay(), told);
    }
}

/// The hairpin: no router has to turn packets around for two clients that are told an address no
/// interface has.
#[test]
#[ignore = "needs root: tests/run nat"]
fn behind_a_nat_two_relayed_clients_meet_under_the_public_address() {
    let machine = Machine::start("behind", &with_public("203.0.113.10"), &["10.0.0.5/24"], "10.0.0.1");
    assert_eq!(machine.relay(), "0.0.0.0->203.0.113.10");
    machine.starts_without_a_warning();
    machine.relays_a_round_trip("203.0.113.10");
}
