//! The server as another server sees it.

use byway_test_support::process::Server;

use super::{Setup, doctor};

#[test]
fn a_stun_server_elsewhere_shows_a_wrong_public_address() {
    let elsewhere = Server::start();
    let from = format!("stun:{}", elsewhere.bound.udp_v4());
    let setup = Setup::new();
    let right = Server::start_with(&setup.text, |_| {});
    let report = doctor(right.command(), &["--from", &from]);
    report.is_sound();
    assert_eq!(report.about("public address, as stun:")["evidence"], "127.0.0.1");

    let wrong = setup.with("shards = 1", "shards = 1\npublic_addresses = [\"203.0.113.5\"]");
    let wrong = wrong + &format!("[doctor]\nfrom = \"{from}\"\n");
    assert!(right.reload(&wrong).status.success());
    let report = doctor(right.command(), &[]);
    let failed = report.failed();
    let found = failed.iter().find(|finding| finding["section"] == "outside").expect("a finding");
    assert_eq!(found["fault"], "wrong-public-address", "{found:#}");
    assert!(found["remedy"].as_str().unwrap().contains("public_addresses = [\"127.0.0.1\"]"), "{found:#}");
}

#[test]
fn a_relay_elsewhere_reaches_the_listener_and_a_relay_port() {
    let elsewhere = Server::start();
    let (username, password) = elsewhere.credential("doctor");
    let from = format!("turn:{}", elsewhere.bound.udp_v4());
    let setup = Setup::new();
    let server = Server::start_with(&setup.text, |_| {});
    let login = ["--from", &from, "--username", &username, "--password", &password];
    let report = doctor(server.command(), &login);
    report.is_sound();
    assert_eq!(report.about(&format!("UDP 127.0.0.1:{}, from", setup.turn))["state"], "ok");
    assert_eq!(report.about("relay port 127.0.0.1:")["state"], "ok", "{:#}", report.json);
    let report = doctor(server.command(), &["--from", &from]);
    assert_eq!(report.about("ports from outside")["state"], "skipped");
}

/// The relayed address that the other server names may be anybody's.
#[test]
fn threat_56_this_server_sends_to_no_address_that_the_other_chose() {
    let config = byway_test_support::process::CONFIG
        .replace("shards = 2", "shards = 2\npublic_addresses = [\"203.0.113.9\", \"2001:db8::9\"]");
    let elsewhere = Server::start_with(&config, |_| {});
    let (username, password) = elsewhere.credential("doctor");
    let from = format!("turn:{}", elsewhere.bound.udp_v4());
    let server = Server::start_with(&Setup::new().text, |_| {});
    let login = ["--from", &from, "--username", &username, "--password", &password];
    let report = doctor(server.command(), &login);
    let found = report.about("relay ports, from turn:");
    assert_eq!(found["state"], "skipped", "{found:#}");
    assert!(found["evidence"].as_str().unwrap().contains("203.0.113.9"), "{found:#}");
}
