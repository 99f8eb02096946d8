//! What is wrong with a certificate is said at the start, by file, reason and remedy.

use crate::certificates::{Folder, Pair};
use crate::support::{CONFIG, Configuration, Server};

#[test]
fn a_certificate_that_cannot_be_served_is_exit_2() {
    let (pair, other) = (Pair::new(), Pair::new());
    let chain_end = format!("{}{}", pair.cert, &other.cert[..other.cert.len() - 40]);
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let encrypted_of_old = "-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n\
                            -----END EC PRIVATE KEY-----\n";
    let garbage = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (file, content, reason) in [
        ("cert.pem", "", "no certificate in this file"),
        ("cert.pem", pair.key.as_str(), "no certificate in this file"),
        ("cert.pem", &chain_end, "cut off before its -----END line"),
        ("cert.pem", &pair.cert.replace("MII", "M!I"), "damaged: not base64"),
        ("cert.pem", garbage, "what is in it is no certificate"),
        ("cert.pem", &other.cert, "the key does not match the certificate"),
        ("key.pem", &other.key, "the key does not match the certificate"),
        ("key.pem", &pair.cert, "no private key in this file"),
        ("key.pem", encrypted, "the key is encrypted"),
        ("key.pem", encrypted_of_old, "the key is encrypted"),
    ] {
        let folder = Folder::with(&pair);
        folder.write(file, content);
        let at_fault = if reason.starts_with("the key") { "key.pem" } else { file };
        exits_with(&folder, at_fault, reason);
    }
    let folder = Folder::with(&pair);
    std::fs::remove_file(folder.path("key.pem")).unwrap();
    exits_with(&folder, "key.pem", "No such file or directory");
}

#[test]
fn check_names_whom_the_certificate_is_for() {
    let folder = Folder::with(&Pair::new());
    let output = Configuration::new(&folder.config()).run(&["check"]);
    assert!(output.status.success());
    assert!(String::from_utf8_lossy(&output.stdout).contains("certificate for localhost\n"));
}

#[test]
fn check_says_what_nobody_would_see_of_a_certificate() {
    let folder = Folder::with(&Pair::expired());
    let hints = |config: &str| {
        let output = Configuration::new(config).run(&["check"]);
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("the report is text")
    };
    let config = folder.config();
    assert!(hints(&config).contains("hint: the certificate is expired"));
    assert!(!hints(&config).contains("no `tls` listener"));
    let off: String =
        config.lines().filter(|line| !line.starts_with("tls = ")).map(|line| format!("{line}\n")).collect();
    assert!(hints(&off).contains("hint: a certificate and no `tls` listener"));
}

#[test]
fn an_expired_certificate_is_served_and_told() {
    let folder = Folder::with(&Pair::expired());
    let server = folder.serve();
    server.logged("cert.pem: expired");
    assert_eq!(server.metric("byway_certificate_expiry_timestamp_seconds"), 1_609_372_800);
}

/// `systemctl reload` of a server that has nothing to reload is no reason to end.
#[test]
fn sighup_without_a_certificate_changes_nothing() {
    let server = Server::start_with(CONFIG, |_| {});
    server.signal("HUP");
    server.logged("nothing to reload");
    assert!(server.metric("byway_allocations") == 0);
}

fn exits_with(folder: &Folder, file: &str, reason: &str) {
    let configuration = Configuration::new(&folder.config());
    for command in ["check", "serve"] {
        let output = configuration.run(&[command]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let expected = format!("{}: {reason}", folder.path(file).display());
        assert!(said.contains(&expected) && said.contains("\n  remedy: "), "{expected} in\n{said}");
    }
}
