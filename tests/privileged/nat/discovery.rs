//! coturn's client finds out, from behind a NAT of each kind, which kind it is (RFC 5780), in
//! network namespaces. The kinds are those of the laboratory, tests/e2e/lab/nat: so they are what
//! they are called there.
//!
//! `turnutils_natdiscovery` waits three seconds for each answer that a NAT lets not through, which
//! is why the kinds are tried side by side.

use byway_test_support::process::Server;

use super::namespace::{Namespace, run};

/// On port 3478 of two addresses; the other port comes by itself.
const CONFIG: &str = r#"
realm = "byway.test"
[listen]
udp = ["203.0.113.10:3478", "203.0.113.11:3478"]
tcp = ["127.0.0.1:0"]
http = ["127.0.0.1:0"]
admin = ["127.0.0.1:0"]
[relay]
addresses = ["203.0.113.10"]
shards = 2
[credentials]
secrets = ["a-test-secret"]
"#;

const CLIENT: &str = "192.168.1.2";

#[test]
#[ignore = "needs root: tests/run nat"]
fn full_cone() {
    is_found_to_be("full", "Endpoint Independent Mapping", "Endpoint Independent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn address_restricted_cone() {
    is_found_to_be("addr", "Endpoint Independent Mapping", "Address Dependent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn port_restricted_cone() {
    is_found_to_be("port", "Endpoint Independent Mapping", "Address and Port Dependent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn symmetric() {
    is_found_to_be("sym", "Address and Port Dependent Mapping", "Address and Port Dependent Filtering");
}

fn is_found_to_be(kind: &str, mapping: &str, filtering: &str) {
    let lab = Lab::new(kind);
    let server = Server::start_in(lab.server.name(), CONFIG);
    assert_eq!(server.bound.udp.len(), 4, "two addresses with two ports");
    let output = lab
        .client
        .command("timeout")
        .args(["60", "turnutils_natdiscovery", "-m", "-f", "203.0.113.10"])
        .output()
        .expect("`ip` starts");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    for found in [mapping, filtering] {
        assert!(printed.contains(&format!("NAT with {found}!")), "{found}:\n{printed}");
    }
}

/// A server, a router with a NAT, and a client behind it.
struct Lab {
    server: Namespace,
    _router: Namespace,
    client: Namespace,
}

impl Lab {
    fn new(kind: &str) -> Self {
        let [server, router, client] =
            ["srv", "router", "client"].map(|role| Namespace::new(&format!("{kind}-{role}")));
        server.ip(&format!("link add eth0 type veth peer name wan netns {}", router.name()));
        client.ip(&format!("link add eth0 type veth peer name lan netns {}", router.name()));
        for (namespace, device, address) in [
            (&server, "eth0", "203.0.113.10/24"),
            (&server, "eth0", "203.0.113.11/24"),
            (&router, "wan", "203.0.113.21/24"),
            (&router, "lan", "192.168.1.1/24"),
            (&client, "eth0", &format!("{CLIENT}/24")),
        ] {
            namespace.ip(&format!("address add {address} dev {device}"));
            namespace.ip(&format!("link set {device} up"));
        }
        client.ip("route add default via 192.168.1.1");
        run(router.command("sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
        let nat = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/lab/nat");
        let (file, client_is) = (format!("{nat}/{kind}.nft"), format!("client={CLIENT}"));
        run(router.command("nft").args(["-I", nat, "-D", &client_is, "-f", &file]));
        Self { server, _router: router, client }
    }
}
