//! Orders that fail: each is one clear line, and the server runs on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use byway_test_support::process::{Server, http, stun};

use super::authority::{Authority, BLOCKED};
use super::middleman::Middleman;
use super::site::{Site, attempts, health, visit};

/// The line of the log about the failure.
fn failure(server: &Server) -> String {
    server.logged("ERROR no certificate for ");
    let log = server.log();
    log.lines().find(|line| line.contains("ERROR no certificate for ")).unwrap().to_owned()
}

/// Everything but TLS is served, and `/healthz` says what is missing.
#[test]
fn a_refusal_is_said_with_its_remedy_and_the_rest_is_served() {
    let authority = Authority::start();
    let site = Site::new(&authority, &format!("[{BLOCKED:?}]"));
    let server = site.serve();
    let line = failure(&server);
    for words in [
        "no certificate for blocked.example.org: the authority says: ",
        "(rejectedIdentifier); TLS is not served yet; next attempt in ",
        "remedy: use names and addresses that the authority accepts",
    ] {
        assert!(line.contains(words), "{words} in {line}");
    }
    server.until(&attempts("refused"), 1);
    let health = health(&server);
    assert_eq!(health.status, 503);
    assert!(
        health.text().starts_with("degraded: no certificate for blocked.example.org: the authority says")
    );

    assert!(visit(&server, &authority.root(), BLOCKED).is_err());
    server.until_counted("byway_tls_connections_total{outcome=\"no_certificate\"}");
    stun::binding(server.bound.udp_v4());
    http::get(server.bound.http[0], "/ice").expect_ok();
}

/// As with a firewall: the authority connects to a port where nothing listens.
#[test]
fn an_authority_that_cannot_connect_names_the_port_to_open() {
    let authority = Authority::start();
    let more = "challenge = \"http-01\"";
    let mut site = Site::at(&authority, &authority.directory(), "[\"call.example.org\"]", more);
    site.listen_elsewhere("http");
    let line = failure(&site.serve());
    assert!(line.contains("for call.example.org, the authority says: "), "{line}");
    assert!(line.contains("(connection)") && line.contains("open TCP port 80 in every firewall"), "{line}");

    let mut site = Site::new(&authority, "[\"call.example.org\"]");
    site.listen_elsewhere("tls");
    let line = failure(&site.serve());
    assert!(
        line.contains("Failed to connect to 127.0.0.1:") && line.contains("and TCP port 443 to this"),
        "{line}"
    );
}

#[test]
fn an_authority_that_is_not_trusted_or_not_there_is_named() {
    let mut authority = Authority::start();
    let site = Site::at(&authority, &authority.directory(), "[\"call.example.org\"]", "");
    let server = site.untrusting(&authority).serve();
    let line = failure(&server);
    assert!(line.contains("invalid peer certificate") && line.contains("`ca_file` under [acme]"), "{line}");
    drop(server);
    authority.stop();
    let line = failure(&site.serve());
    assert!(line.contains("cannot connect to localhost:") && line.contains("network and DNS"), "{line}");
}

#[test]
fn threat_52_an_answer_that_is_cut_short_is_no_certificate() {
    let authority = Authority::start();
    let middleman = Middleman::start(&authority, |_, path, answer| match path.starts_with("/certZ/") {
        true => answer[..answer.len() - 400].to_vec(),
        false => answer,
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("the answer of localhost") && line.contains(" is incomplete: "), "{line}");
    assert_eq!(site.files(), ["account.json"]);
}

/// The same with a length that agrees: the chain itself is not whole.
#[test]
fn threat_52_a_chain_that_is_cut_short_is_no_certificate() {
    let authority = Authority::start();
    let middleman = Middleman::start(&authority, |_, path, answer| match path.starts_with("/certZ/") {
        true => {
            let chain = Middleman::body(&answer);
            Middleman::answer("200 OK", "Replay-Nonce: bm9uY2U\r\n", &chain[..chain.len() / 4])
        }
        false => answer,
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("the authority's certificate cannot be used: cut off before"), "{line}");
    assert_eq!(site.files(), ["account.json"]);
}

#[test]
fn a_limit_of_the_authority_is_waited_for() {
    let authority = Authority::start();
    let middleman = Middleman::start(&authority, |_, path, answer| match path {
        "/order-plz" => {
            let problem = r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many certificates","status":429}"#;
            Middleman::answer(
                "429 Too Many Requests",
                "Retry-After: 360000\r\nReplay-Nonce: bm9uY2U\r\n",
                problem,
            )
        }
        _ => answer,
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("too many certificates (rateLimited)"), "{line}");
    assert!(line.contains("next attempt in 4 days"), "{line}");
    server.until(&attempts("rate_limited"), 1);
}

#[test]
fn a_profile_that_the_authority_lacks_is_named() {
    let authority = Authority::start();
    let more = "profile = \"tiny\"";
    let site = Site::at(&authority, &authority.directory(), "[\"call.example.org\"]", more);
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("the authority has no profile \"tiny\"; its profiles: none"), "{line}");
}

/// The program of DNS-01 controls a whole zone, and the authority is trusted with one name.
#[test]
fn threat_52_a_question_about_another_name_reaches_no_program() {
    let authority = Authority::start();
    let middleman = Middleman::start(&authority, |_, path, answer| match path.starts_with("/authZ/") {
        true => {
            let body = Middleman::body(&answer).replace("call.example.org", "pool.example.org");
            Middleman::answer("200 OK", "Replay-Nonce: bm9uY2U\r\n", &body)
        }
        false => answer,
    });
    let folder = tempfile::tempdir().unwrap();
    let (hook, calls) = (folder.path().join("hook"), folder.path().join("calls"));
    fs::write(&hook, format!("#!/bin/sh\necho \"$@\" >>{}\n", calls.display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    let more = format!("challenge = \"dns-01\"\ndns_hook = {hook:?}");
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", &more);
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("something else than the names of the order"), "{line}");
    assert!(!calls.exists());
}

/// As with a clock that is years ahead: the authority would be asked without end.
#[test]
fn threat_52_a_certificate_that_has_expired_is_none() {
    let authority = Authority::with_life(1);
    let site = Site::new(&authority, "[\"call.example.org\"]");
    let server = site.serve();
    let line = failure(&server);
    assert!(
        line.contains("it has already expired") && line.contains("remedy: set this machine's clock"),
        "{line}"
    );
    assert_eq!(server.metric(&attempts("issued")), 0);
    assert_eq!(site.files(), ["account.json"]);
}

/// The client library panics at a URL that is none. The log has its place, and not what it says.
#[test]
fn threat_27_a_panic_at_an_answer_is_a_failed_attempt_and_is_not_quoted() {
    let authority = Authority::start();
    let middleman = Middleman::start(&authority, |_, _, _| {
        let urls = ["newNonce", "newAccount", "newOrder"].map(|key| format!("{key:?}:\"file:///a-quote\""));
        Middleman::answer("200 OK", "", &format!("{{{}}}", urls.join(",")))
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let server = site.serve();
    let line = failure(&server);
    assert!(line.contains("the attempt broke off"), "{line}");
    assert!(!server.log().contains("infallible"), "{}", server.log());
    server.until(&attempts("refused"), 1);
    stun::binding(server.bound.udp_v4());
}
