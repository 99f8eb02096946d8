//! coturn's client finds out, from behind a NAT of each kind, which kind it is (RFC 5780), in network namespaces.
//!
//! `turnutils_natdiscovery` waits three seconds for each answer that a NAT lets not through, which is why the kinds are tried
//! side by side.

use std::io::Write as _;
use std::process::Stdio;

use crate::namespace::{Namespace, run};
use crate::support::Server;

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

const MASQUERADE: &str = "oifname wan masquerade";

#[test]
#[ignore = "needs root: tests/run nat"]
fn full_cone() {
    let nat =
        Nat { source: MASQUERADE, inbound: "iifname wan meta l4proto udp dnat to 192.168.1.2", outbound: "" };
    nat.is_found_to_be("full", "Endpoint Independent Mapping", "Endpoint Independent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn address_restricted_cone() {
    let nat = Nat {
        source: MASQUERADE,
        inbound: "iifname wan udp dport . ip saddr @seen dnat to 192.168.1.2",
        outbound: "oifname wan meta l4proto udp update @seen { udp sport . ip daddr }",
    };
    nat.is_found_to_be("addr", "Endpoint Independent Mapping", "Address Dependent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn port_restricted_cone() {
    let nat = Nat { source: MASQUERADE, inbound: "", outbound: "" };
    nat.is_found_to_be("port", "Endpoint Independent Mapping", "Address and Port Dependent Filtering");
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn symmetric() {
    let nat = Nat { source: "oifname wan masquerade fully-random", inbound: "", outbound: "" };
    nat.is_found_to_be("sym", "Address and Port Dependent Mapping", "Address and Port Dependent Filtering");
}

/// What makes a kind of NAT, as rules of nftables.
struct Nat {
    /// How the source of a packet is rewritten on its way out.
    source: &'static str,
    /// What comes in that no packet has asked for.
    inbound: &'static str,
    /// What is remembered of packets on their way out.
    outbound: &'static str,
}

impl Nat {
    fn is_found_to_be(&self, name: &str, mapping: &str, filtering: &str) {
        let lab = Lab::new(name, self);
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
}

/// A server, a router with a NAT, and a client behind it.
struct Lab {
    server: Namespace,
    router: Namespace,
    client: Namespace,
}

impl Lab {
    fn new(name: &str, nat: &Nat) -> Self {
        let [server, router, client] =
            ["srv", "router", "client"].map(|role| Namespace::new(&format!("{name}-{role}")));
        server.ip(&format!("link add eth0 type veth peer name wan netns {}", router.name()));
        client.ip(&format!("link add eth0 type veth peer name lan netns {}", router.name()));
        for (namespace, device, address) in [
            (&server, "eth0", "203.0.113.10/24"),
            (&server, "eth0", "203.0.113.11/24"),
            (&router, "wan", "203.0.113.21/24"),
            (&router, "lan", "192.168.1.1/24"),
            (&client, "eth0", "192.168.1.2/24"),
        ] {
            namespace.ip(&format!("address add {address} dev {device}"));
            namespace.ip(&format!("link set {device} up"));
        }
        client.ip("route add default via 192.168.1.1");
        run(router.command("sh").args(["-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"]));
        let lab = Self { server, router, client };
        lab.route(nat);
        lab
    }

    /// Makes a NAT of the router. What nobody has asked for and the NAT does not let in is dropped before it is tracked:
    /// it would take the port from the client's own packets.
    fn route(&self, Nat { source, inbound, outbound }: &Nat) {
        let rules = format!(
            "table ip nat {{
                set seen {{ type inet_service . ipv4_addr; flags dynamic,timeout; timeout 60s; size 4096; }}
                chain outbound {{ type filter hook forward priority -10; {outbound}
                }}
                chain router {{ type filter hook input priority 0; iifname wan ct state new drop
                }}
                chain inbound {{ type nat hook prerouting priority -100; {inbound}
                }}
                chain source {{ type nat hook postrouting priority 100; {source}
                }}
            }}"
        );
        let mut nft =
            self.router.command("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("`ip` starts");
        let mut input = nft.stdin.take().expect("it is piped");
        input.write_all(rules.as_bytes()).expect("nft reads its rules");
        drop(input);
        assert!(nft.wait().expect("it is our child").success(), "nft takes the rules");
    }
}
