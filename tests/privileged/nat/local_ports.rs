//! Relay ports that the kernel gives to any program, and a machine that keeps them for relays
//! (threat 49).

use byway_test_support::process::{CONFIG, Server};

use super::namespace::{Namespace, run};

/// Of the configuration that is tested and of the server that starts with it.
fn told(namespace: &Namespace) -> [String; 2] {
    let config = CONFIG.replace(r#"addresses = ["127.0.0.1", "::1"]"#, r#"addresses = ["45.0.0.1"]"#);
    let server = Server::start_in(namespace.name(), &config);
    let checked = server.command_in(namespace.name()).arg("check").output().unwrap();
    [String::from_utf8(checked.stdout).unwrap(), server.log()]
}

#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_49_ports_that_the_kernel_gives_away_are_told_until_they_are_reserved() {
    let namespace = Namespace::new("ports");
    namespace.ip("address add 45.0.0.1/32 dev lo");
    for told in told(&namespace) {
        let remark = "the kernel assigns ports 49152-60999 of relay.ports to any program";
        assert!(told.contains(remark) && told.contains("ip_local_reserved_ports=49152-65535`"), "{told}");
    }
    // As the remark says.
    let reserve = "echo 49152-65535 > /proc/sys/net/ipv4/ip_local_reserved_ports";
    run(namespace.command("sh").args(["-c", reserve]));
    for told in told(&namespace) {
        assert!(!told.contains("the kernel assigns"), "{told}");
    }
}
