//! Faults of a certificate, reported at the start by file, reason and remedy.

use byway_test_support::process::certificates::{Chain, Folder, Pair};
use byway_test_support::process::{CONFIG, Configuration, Server};
use rcgen::KeyPair;

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
        ("cert.pem", garbage, "its content is not a certificate"),
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
    assert!(hints(&config).contains("hint: the certificate has expired"));
    assert!(!hints(&config).contains("no `tls` listener"));
    let off: String =
        config.lines().filter(|line| !line.starts_with("tls = ")).map(|line| format!("{line}\n")).collect();
    assert!(hints(&off).contains("hint: a certificate but no `tls` listener"));
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
    server.logged("reload: nothing to change in ");
    assert!(server.metric("byway_allocations") == 0);
}

/// A block that a reader of PEM passes over is missed at the first client that needs it.
#[test]
fn threat_38_a_file_that_would_be_read_in_part_is_exit_2() {
    let chain = Chain::new();
    let (pair, other) = (Pair::new(), Pair::new());
    let missing = "a line break is missing between two blocks";
    for (file, content, reason) in [
        ("cert.pem", chain.joined(), format!("line {}: {missing}", chain.leaf.lines().count())),
        ("cert.pem", format!("\u{feff}{}", pair.cert), "it begins with a byte order mark".to_owned()),
        ("cert.pem", pair.cert.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), "a block \"TRUSTED".to_owned()),
        ("cert.pem", format!("{}-----END CERTIFICATE-----\n", pair.cert), "line".to_owned()),
        ("key.pem", format!("{}{}", pair.key, other.key), "2 private keys instead of one".to_owned()),
        (
            "key.pem",
            format!("{}{}", pair.key.trim_end(), other.key),
            format!("line {}: {missing}", pair.key.lines().count()),
        ),
    ] {
        let folder = Folder::with(&pair);
        folder.write(file, &content);
        exits_with(&folder, file, &reason);
    }
    // With the ends of lines of another system, and text between the blocks, it is whole.
    let folder = Folder::with(&pair);
    folder.write("cert.pem", &format!("subject=localhost\r\n{}", chain.whole().replace('\n', "\r\n")));
    folder.write("key.pem", &chain.key.replace('\n', "\r\n"));
    assert_eq!(hints(&folder.config()), "");
}

#[test]
fn threat_38_a_certificate_without_its_chain_is_told_at_the_start_and_by_check() {
    let chain = Chain::new();
    let folder = Folder::with(&Pair::new());
    folder.write("key.pem", &chain.key);
    folder.write("cert.pem", &chain.leaf);
    assert!(hints(&folder.config()).contains("alone in its file, without that of its issuer (CN=an issuer)"));
    folder.serve().logged("WARN the certificate is alone in its file");

    folder.write("cert.pem", &format!("{}{}", chain.leaf, Chain::new().leaf));
    assert!(hints(&folder.config()).contains("certificate 2 in the file is not that of the issuer"));
}

#[test]
fn a_certificate_that_is_signed_by_itself_is_served_and_told() {
    let told = "the certificate is signed by itself: browsers refuse it; have it issued by an authority";
    let folder = Folder::with(&Pair::new());
    assert!(hints(&folder.config()).contains(told));
    folder.serve().logged(&format!("WARN {told}"));
}

/// The key is not to blame for a chain that begins with the issuer.
#[test]
fn a_chain_in_the_wrong_order_is_told_by_the_certificate_that_the_key_matches() {
    let chain = Chain::new();
    let folder = Folder::with(&Pair::new());
    folder.write("key.pem", &chain.key);
    folder.write("cert.pem", &format!("{}{}", chain.issuer, chain.leaf));
    let reason = "the key matches certificate 2 in the file, not the first\n  remedy: put that one first, \
        followed by its issuers";
    exits_with(&folder, "cert.pem", reason);
}

#[test]
fn the_remedy_for_joined_files_is_to_join_them_with_a_line_break() {
    let chain = Chain::new();
    let folder = Folder::with(&Pair::new());
    folder.write("key.pem", &chain.key);
    folder.write("cert.pem", &chain.joined());
    let line = chain.leaf.lines().count();
    let remedy =
        "join the files with a line break between them: (cat cert.pem; echo; cat chain.pem) > fullchain.pem";
    let reason = format!("line {line}: a line break is missing between two blocks\n  remedy: {remedy}");
    exits_with(&folder, "cert.pem", &reason);
}

/// Clients of TURN take it, and a page never connects.
#[test]
fn threat_39_keys_that_browsers_refuse_are_told_at_the_start_and_by_check() {
    for (kind, algorithm) in
        [("Ed25519", &rcgen::PKCS_ED25519), ("ECDSA on P-521", &rcgen::PKCS_ECDSA_P521_SHA256)]
    {
        let chain = Chain::with_key(&KeyPair::generate_for(algorithm).unwrap());
        let folder = Folder::with(&Pair::new());
        folder.write("key.pem", &chain.key);
        folder.write("cert.pem", &chain.whole());
        let told = format!(
            "the certificate has a key of a kind that browsers refuse, {kind}: use ECDSA on P-256, or RSA of 2048 bits or more"
        );
        assert!(hints(&folder.config()).contains(&told), "{}", hints(&folder.config()));
        folder.serve().logged(&format!("WARN {told}"));
    }
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384] {
        let chain = Chain::with_key(&KeyPair::generate_for(algorithm).unwrap());
        let folder = Folder::with(&Pair::new());
        folder.write("key.pem", &chain.key);
        folder.write("cert.pem", &chain.whole());
        assert_eq!(hints(&folder.config()), "");
    }
}

/// The lines in which `check` tells of a certificate's faults.
fn hints(config: &str) -> String {
    let output = Configuration::new(config).run(&["check"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said = String::from_utf8(output.stdout).expect("the report is text");
    said.lines()
        .filter(|line| line.starts_with("  hint: ") && line.contains("certificate"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn exits_with(folder: &Folder, file: &str, reason: &str) {
    let configuration = Configuration::new(&folder.config());
    // Between the two stands the line of the configuration.
    let (reason, remedy) = reason.split_once("\n  remedy: ").unwrap_or((reason, ""));
    for command in ["check", "serve"] {
        let output = configuration.run(&[command]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        let expected = format!("{}: {reason}", folder.path(file).display());
        let line = said.lines().find(|line| line.contains(&expected)).unwrap_or_default();
        let key = if file == "cert.pem" { ": `tls.cert`: " } else { ": `tls.key`: " };
        assert!(line.contains(".toml:") && line.contains(key) && said.contains("^^^"), "{said}");
        assert!(
            said.contains(&expected) && said.contains(&format!("\n  remedy: {remedy}")),
            "{expected} in\n{said}"
        );
    }
}
