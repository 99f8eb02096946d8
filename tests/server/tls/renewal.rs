//! Threat 26: certificates change under live connections, for the better or not at all.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use byway_test_support::process::certificates::{Chain, Folder, Pair};
use byway_test_support::process::tls::{binding, connect, get, get_as, say, trusting, websocket};

const LOADED: &str = r#"byway_certificate_loads_total{outcome="loaded"}"#;
const FAILED: &str = r#"byway_certificate_loads_total{outcome="failed"}"#;

#[test]
fn threat_26_sighup_swaps_the_certificate_under_live_connections() {
    let (old, new) = (Pair::new(), Pair::new());
    let folder = Folder::with(&old);
    let server = folder.serve();
    let mut turn = connect(&trusting(&old, &["stun.turn"]), server.bound.tls()).unwrap();
    let mut ann = websocket(connect(&trusting(&old, &["http/1.1"]), server.bound.tls()).unwrap());
    say(&mut ann, r#"{"type":"join","room":"oak"}"#);

    folder.write("cert.pem", &new.cert);
    folder.write("key.pem", &new.key);
    server.signal("HUP");
    server.logged("certificate loaded");

    get(&mut connect(&trusting(&new, &[]), server.bound.tls()).unwrap(), "/ice").expect_ok();
    assert!(connect(&trusting(&old, &[]), server.bound.tls()).is_err());
    binding(&mut turn);
    assert_eq!(say(&mut ann, r#"{"type":"ping"}"#)["type"], "pong");
}

/// As when a domain is added and another given up: browsers are told of the names that the
/// certificate has by now, and the server answers for these alone.
#[test]
fn threat_33_names_follow_a_renewal_for_other_names() {
    let old = Pair::naming(&["localhost", "old.example.org"]);
    let new = Pair::naming(&["localhost", "call.example.org", "*.eu.example.org"]);
    let folder = Folder::with(&old);
    let server = folder.serve();
    let asked = |pair: &Pair, host: &str| {
        let mut stream = connect(&trusting(pair, &["http/1.1"]), server.bound.tls()).unwrap();
        get_as(&mut stream, host, "/ice")
    };
    let turns =
        |pair: &Pair, host: &str| asked(pair, host).expect_ok().text().contains(&format!("turns:{host}:"));
    assert!(turns(&old, "localhost") && turns(&old, "old.example.org"));
    assert_eq!(asked(&old, "call.example.org").status, 421);
    folder.write("cert.pem", &new.cert);
    folder.write("key.pem", &new.key);
    server.signal("HUP");
    server.logged("certificate loaded: for localhost,call.example.org,*.eu.example.org");
    assert!(turns(&new, "localhost") && turns(&new, "call.example.org") && turns(&new, "a.eu.example.org"));
    for host in ["old.example.org", "a.b.eu.example.org"] {
        assert_eq!(asked(&new, host).status, 421, "{host}");
    }
}

/// As certbot does: the files are symbolic links into an archive, and a renewal replaces the links.
#[test]
fn threat_26_a_renewal_by_symbolic_links_is_noticed() {
    let (old, new) = (Pair::new(), Pair::new());
    let folder = Folder::with(&old);
    for (name, content) in [("cert2.pem", &new.cert), ("key2.pem", &new.key)] {
        folder.write(name, content);
    }
    for name in ["cert", "key"] {
        fs::rename(folder.path(&format!("{name}.pem")), folder.path(&format!("{name}1.pem"))).unwrap();
        symlink(format!("{name}1.pem"), folder.path(&format!("{name}.pem"))).unwrap();
    }
    let server = folder.serve();
    connect(&trusting(&old, &[]), server.bound.tls()).unwrap();
    for name in ["cert", "key"] {
        symlink(format!("{name}2.pem"), folder.path("next")).unwrap();
        fs::rename(folder.path("next"), folder.path(&format!("{name}.pem"))).unwrap();
    }
    server.logged("certificate loaded");
    connect(&trusting(&new, &[]), server.bound.tls()).unwrap();
}

#[test]
fn threat_26_what_does_not_parse_or_match_is_told_once_and_the_last_good_one_is_kept() {
    let (old, new) = (Pair::new(), Pair::new());
    let folder = Folder::with(&old);
    let server = folder.serve();
    let keeps = |failures, reason: &str| {
        server.until(FAILED, failures);
        connect(&trusting(&old, &[]), server.bound.tls()).unwrap();
        assert_eq!(server.logged(reason), 1, "{}", server.log());
    };
    folder.write("cert.pem", &new.cert[..new.cert.len() / 2]);
    keeps(1, "cert.pem: cut off before its -----END line");
    folder.write("cert.pem", &new.cert);
    keeps(2, "key.pem: the key does not match the certificate");
    fs::remove_file(folder.path("key.pem")).unwrap();
    keeps(3, "key.pem: No such file");
    folder.write("key.pem", &new.key);
    server.until(LOADED, 1);
    connect(&trusting(&new, &[]), server.bound.tls()).unwrap();
    assert_eq!(server.logged("the last good certificate is kept"), 3);
}

/// A chain whose last certificate would be passed over is no renewal; a lone certificate is one,
/// and is warned of.
#[test]
fn threat_38_a_renewal_is_read_whole_or_not_at_all() {
    let chain = Chain::new();
    let folder = Folder::with(&Pair::new());
    let server = folder.serve();
    folder.write("key.pem", &chain.key);
    folder.write("cert.pem", &chain.joined());
    server.until(FAILED, 1);
    server.logged("a line break is missing between two blocks");
    folder.write("cert.pem", &chain.leaf);
    server.until(LOADED, 1);
    server.logged("WARN the certificate is alone in its file, without that of its issuer (CN=an issuer)");
    folder.write("cert.pem", &chain.whole());
    server.until(LOADED, 2);
    assert_eq!(server.logged("the certificate is alone"), 1);
}

/// Opening a pipe waits for its writer. Here nobody waits: not the next renewal, and not the end of
/// the process.
#[test]
fn threat_26_a_pipe_in_the_place_of_a_file_stops_nothing() {
    let (old, new) = (Pair::new(), Pair::new());
    let folder = Folder::with(&old);
    let mut server = folder.serve();
    fs::remove_file(folder.path("cert.pem")).unwrap();
    assert!(Command::new("mkfifo").arg(folder.path("cert.pem")).status().unwrap().success());
    server.logged("cert.pem: not a regular file");

    fs::remove_file(folder.path("cert.pem")).unwrap();
    folder.write("cert.pem", &new.cert);
    folder.write("key.pem", &new.key);
    server.until(LOADED, 1);
    connect(&trusting(&new, &[]), server.bound.tls()).unwrap();
    assert!(server.terminate().success());
}
