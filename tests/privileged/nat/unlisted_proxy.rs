//! A reverse proxy that the configuration lacks: its clients share one address's limits, which
//! nothing else shows.

use byway_test_support::process::{CONFIG, Server, http};

use super::namespace::Namespace;

const TOLD: &str = "requests from 10.9.9.9 name other clients";

#[test]
#[ignore = "needs root: tests/run nat"]
fn threat_34_a_proxy_of_a_private_network_that_is_not_listed_is_told_once() {
    let machine = Namespace::new("proxy");
    machine.ip("address add 10.9.9.9/32 dev lo");
    machine.ip("address add 45.0.0.1/32 dev lo");
    machine.within(|| {
        let listen = |more: &str| {
            let http = format!("http = [\"10.9.9.9:0\", \"45.0.0.1:0\"]\n{more}");
            let config = CONFIG.replace("http = [\"127.0.0.1:0\"]\n", &http);
            Server::start_with(&format!("{config}[ice]\nopen_to_everyone = true\n"), |_| {})
        };
        let server = listen("");
        let [private, public] = server.bound.http[..] else { panic!("{:?}", server.bound.http) };
        let ask = |server, field: &str| http::ask(server, "GET", "/ice", &[field], "").expect_ok();
        // Of a public address anybody can say so: the advice to trust it would be an attacker's.
        ask(public, "X-Forwarded-For: 192.0.2.1");
        ask(private, "Accept: */*");
        assert!(!server.log().contains("trusted_proxies"), "{}", server.log());
        for field in ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.2"]
        {
            ask(private, field);
        }
        server.logged("trusted_proxies = [\"10.9.9.9\"]");
        assert_eq!(server.log().matches(TOLD).count(), 1, "{}", server.log());
        let server = listen("trusted_proxies = [\"10.9.9.9\"]\n");
        ask(server.bound.http[0], "X-Forwarded-For: 192.0.2.1");
        assert!(!server.log().contains(TOLD), "{}", server.log());
    });
}
