//! Renewals: in time, by the authority's wish, without the authority, and on a full disk.

use std::fs::{self, File};
use std::io::Write as _;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use byway_test_support::process::tls::{say, websocket};

use super::authority::Authority;
use super::middleman::Middleman;
use super::site::{Site, attempts, certificate, health, visit};

/// After two thirds of a life of twelve seconds. Clients that are connected notice nothing.
#[test]
fn a_short_life_is_renewed_in_time_under_live_connections() {
    let authority = Authority::with_life(12);
    let site = Site::new(&authority, "[\"call.example.org\"]");
    let server = site.serve();
    server.logged("certificate loaded");
    let root = authority.root();
    let stream = visit(&server, &root, "call.example.org").unwrap();
    let first = certificate(&stream);
    let mut socket = websocket(stream);
    say(&mut socket, r#"{"type":"join","room":"oak"}"#);
    server.logged("renewing the certificate for call.example.org");
    server.until(&attempts("issued"), 2);
    assert_ne!(certificate(&visit(&server, &root, "call.example.org").unwrap()), first);
    assert_eq!(say(&mut socket, r#"{"type":"ping"}"#)["type"], "pong");
    assert_eq!(server.metric("byway_acme_failures"), 0);
    assert_eq!(site.files(), ["account.json", "certificate.pem"]);
}

/// RFC 9773: the authority's window for the first certificate has passed, as before a revocation.
/// Pebble knows no windows: the middleman adds them.
#[test]
fn the_authority_s_window_makes_a_renewal_due() {
    let authority = Authority::start();
    let asked = AtomicU32::new(0);
    let middleman = Middleman::start(&authority, move |port, path, answer| {
        if path == "/dir" {
            let url = format!("{{\"renewalInfo\":\"https://localhost:{port}/window\",");
            return Middleman::answer("200 OK", "", &Middleman::body(&answer).replacen('{', &url, 1));
        }
        if path.starts_with("/window/") {
            let year = if asked.fetch_add(1, Relaxed) == 0 { 2020 } else { 2099 };
            let window = format!(
                "{{\"suggestedWindow\":{{\"start\":\"{year}-01-01T00:00:00Z\",\"end\":\"{year}-01-02T00:00:00Z\"}}}}"
            );
            return Middleman::answer("200 OK", "Retry-After: 3600\r\n", &window);
        }
        answer
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let server = site.serve();
    server.logged("renewing the certificate for call.example.org");
    server.until(&attempts("issued"), 2);
    visit(&server, &authority.root(), "call.example.org").unwrap();
}

/// The authority is down when the renewal is due, and comes back without its accounts.
#[test]
fn without_the_authority_the_old_certificate_serves_on() {
    let mut authority = Authority::with_life(24);
    let site = Site::new(&authority, "[\"call.example.org\"]");
    let server = site.serve();
    server.logged("certificate loaded");
    let root = authority.root();
    let first = certificate(&visit(&server, &root, "call.example.org").unwrap());
    authority.stop();
    server.until(&attempts("unreachable"), 1);
    server.logged("cannot connect to localhost:");
    server.logged("the certificate at hand is valid for");
    assert_eq!(certificate(&visit(&server, &root, "call.example.org").unwrap()), first);

    authority.resume();
    server.signal("HUP");
    server.until(&attempts("issued"), 2);
    visit(&server, &authority.root(), "call.example.org").unwrap();
    assert_eq!(server.metric("byway_acme_failures"), 0);
    assert_eq!(site.files(), ["account.json", "account.json.unusable", "certificate.pem"]);
}

/// Neither the certificate nor the account is lost, and the authority is not asked for another one
/// that could not be stored.
#[test]
#[ignore = "needs root, to mount a small disk"]
fn a_full_disk_loses_nothing() {
    let authority = Authority::with_life(15);
    let site = Site::new(&authority, "[\"call.example.org\"]");
    let server = site.serve_on_a_small_disk();
    server.logged("certificate loaded");
    let root = authority.root();
    let disk = server.root().join(site.acme().strip_prefix("/").unwrap());
    let filler = disk.join("filler");
    let mut file = File::create(&filler).unwrap();
    while file.write_all(&[0; 1024]).is_ok() {}
    drop(file);
    let folder = fs::read_dir(&disk).unwrap().map(|entry| entry.unwrap().path());
    let folder = folder.into_iter().find(|path| path.is_dir()).unwrap();
    let content = |name: &str| fs::read(folder.join(name)).unwrap();
    let (account, pem) = (content("account.json"), content("certificate.pem"));

    server.until(&attempts("state"), 1);
    server.logged("No space left on device");
    server.logged("remedy: free space on its disk");
    visit(&server, &root, "call.example.org").unwrap();
    assert_eq!((content("account.json"), content("certificate.pem")), (account.clone(), pem.clone()));

    fs::remove_file(&filler).unwrap();
    server.signal("HUP");
    server.until(&attempts("issued"), 2);
    assert_eq!(content("account.json"), account);
    assert_ne!(content("certificate.pem"), pem);
    assert_eq!(health(&server).expect_ok().text(), "ok\n");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 2, "no temporary file is left");
}
