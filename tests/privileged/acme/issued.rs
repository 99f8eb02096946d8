//! Orders that succeed, by each challenge, and what is on disk afterwards.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use byway_test_support::process::tls::get_as;

use super::authority::Authority;
use super::site::{Site, attempts, certificate, health, mode, visit};

#[test]
fn tls_alpn_01_needs_no_other_port_and_a_restart_no_other_order() {
    let mut authority = Authority::start();
    let site = Site::new(&authority, "[\"call.example.org\", \"turn.example.org\"]");
    let mut server = site.serve();
    server.logged("certificate loaded: for call.example.org,turn.example.org, valid until");
    let root = authority.root();
    let mut stream = visit(&server, &root, "turn.example.org").unwrap();
    let first = certificate(&stream);
    let ice = get_as(&mut stream, "turn.example.org", "/ice").expect_ok();
    assert!(ice.text().contains("turns:turn.example.org:"), "{}", ice.text());
    assert_eq!(health(&server).expect_ok().text(), "ok\n");
    assert_eq!(server.metric(&attempts("issued")), 1);
    assert_eq!(server.metric("byway_acme_failures"), 0);
    server.until_counted("byway_tls_connections_total{outcome=\"challenge\"}");
    server.logged("open https://call.example.org:");

    assert_eq!(site.files(), ["account.json", "certificate.pem"]);
    assert_eq!((mode(&site.acme()), mode(&site.folder())), (0o700, 0o700));
    for file in site.files() {
        assert_eq!(mode(&site.folder().join(file)), 0o600);
    }
    assert!(server.terminate().success());

    authority.stop();
    let server = site.serve();
    server.logged("certificate for call.example.org");
    assert_eq!(certificate(&visit(&server, &root, "call.example.org").unwrap()), first);
    assert_eq!(health(&server).expect_ok().text(), "ok\n");
    assert!(!server.log().contains("ordering a certificate"), "{}", server.log());
}

/// RFC 8738: the authority asks for the reverse names of both addresses.
#[test]
fn bare_addresses_get_a_certificate_by_their_reverse_names() {
    let authority = Authority::start();
    let site = Site::new(&authority, "[\"127.0.0.1\", \"::1\"]");
    let server = site.serve();
    server.logged("certificate loaded: for 127.0.0.1,::1");
    let root = authority.root();
    for address in ["127.0.0.1", "::1"] {
        visit(&server, &root, address).unwrap();
    }
    assert!(visit(&server, &root, "call.example.org").is_err());
}

#[test]
fn http_01_is_answered_on_the_http_listener() {
    let authority = Authority::start();
    let more = "challenge = \"http-01\"\nmail = \"admin@example.org\"";
    let site = Site::at(&authority, &authority.directory(), "[\"call.example.org\", \"127.0.0.1\"]", more);
    let server = site.serve();
    server.logged("certificate loaded: for call.example.org,127.0.0.1");
    visit(&server, &authority.root(), "call.example.org").unwrap();
    assert_eq!(server.metric("byway_tls_connections_total{outcome=\"challenge\"}"), 0);
    // The page is gone with the order.
    let asked = byway_test_support::process::http::get(
        server.bound.http[0],
        "/.well-known/acme-challenge/0123456789abcdef",
    );
    assert_eq!(asked.status, 404);
}

/// A program sets the record at pebble's name server, and removes it.
#[test]
fn dns_01_is_answered_by_a_program_also_for_a_wildcard() {
    let authority = Authority::start();
    let folder = tempfile::tempdir().unwrap();
    let (hook, calls) = (folder.path().join("hook"), folder.path().join("calls"));
    let script = format!(
        "#!/bin/bash\nset -e\necho \"$@\" >>{}\n\
         if [[ $1 == present ]]; then path=set-txt; else path=clear-txt; fi\n\
         body=\"{{\\\"host\\\":\\\"$2.\\\",\\\"value\\\":\\\"$3\\\"}}\"\n\
         exec 3<>/dev/tcp/127.0.0.1/{}\n\
         printf 'POST /%s HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n%s' $path ${{#body}} \"$body\" >&3\n\
         grep -q '200 OK' <&3\n",
        calls.display(),
        authority.dns_management,
    );
    fs::write(&hook, script).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o700)).unwrap();
    let more = format!("challenge = \"dns-01\"\ndns_hook = {hook:?}");
    let site = Site::at(&authority, &authority.directory(), "[\"*.example.org\"]", &more);
    let server = site.serve();
    server.logged("certificate loaded: for *.example.org");
    visit(&server, &authority.root(), "call.example.org").unwrap();
    let calls = fs::read_to_string(calls).unwrap();
    let calls: Vec<Vec<_>> = calls.lines().map(|line| line.split(' ').collect()).collect();
    assert_eq!((calls.len(), calls[0][0], calls[1][0]), (2, "present", "cleanup"), "{calls:?}");
    assert_eq!((calls[0][1], &calls[0][1..]), ("_acme-challenge.example.org", &calls[1][1..]));
}
