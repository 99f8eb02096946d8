//! The section `[acme]`.

use super::{parsed, refused};
use crate::tls::acme::Challenge;

const LISTEN: &str = "listen.tls = [\"127.0.0.1:443\"]\n";

#[test]
fn names_and_addresses_are_settings_and_stand_for_a_certificate() {
    let config = parsed(&format!(
        "{LISTEN}[acme]\nnames = [\"Call.Example.org\", \"203.0.113.10\", \"2001:db8::7\"]\nmail = \"admin@example.org\""
    ));
    let acme = config.acme.unwrap();
    let names: Vec<_> = acme.names.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["call.example.org", "203.0.113.10", "2001:db8::7"]);
    assert_eq!((acme.mail.as_str(), acme.challenge), ("admin@example.org", Challenge::TlsAlpn01));
    assert!(config.tls.is_none() && acme.directory.contains("letsencrypt") && acme.ca_file.is_none());
    assert!(parsed("").acme.is_none());
}

#[test]
fn a_relative_state_directory_starts_from_the_file_s_folder() {
    let text = format!("{LISTEN}[acme]\nnames = [\"a.example\"]\nstate_dir = \"state\"");
    let config = crate::config::Config::parse(&text, "f.toml", Some("/etc/byway".as_ref())).unwrap();
    let file = config.acme.unwrap().files().cert;
    assert_eq!(
        file,
        std::path::Path::new("/etc/byway/state/acme-v02.api.letsencrypt.org-directory/certificate.pem")
    );
}

#[test]
fn what_an_authority_would_refuse_is_a_mistake() {
    let acme = |keys: &str| refused(&format!("{LISTEN}[acme]\n{keys}"));
    for (keys, words) in [
        ("names = [\"https://call.example.org\"]", "is not a name for a certificate"),
        ("names = [\"call.example.org:443\"]", "is not a name for a certificate"),
        ("names = [\"call_me.example.org\"]", "is not a name for a certificate"),
        ("names = [\"a..example\"]", "is not a name for a certificate"),
        ("names = [\"*\"]", "is not a name for a certificate"),
        ("names = [\"b\u{fc}ro.example\"]", "begins with xn--"),
        ("names = [\"0.0.0.0\"]", "0.0.0.0 is not the address of one machine"),
        ("names = [\"a.example\", \"A.example\"]", "this is in the list twice"),
        ("names = [\"*.example.org\"]", "*.example.org is a wildcard, which only \"dns-01\" can prove"),
        (
            "names = [\"203.0.113.10\"]\nchallenge = \"dns-01\"",
            "\"dns-01\" cannot prove the address 203.0.113.10",
        ),
        ("names = [\"a.example\"]\nchallenge = \"dns-01\"", "\"dns-01\" needs a program"),
        ("names = [\"a.example\"]\nchallenge = \"dns\"", "\"dns\" is not a challenge"),
        ("names = [\"a.example\"]\nmail = \"admin\"", "this is not a mail address"),
        ("names = [\"a.example\"]\nmail = \"mailto:admin@example.org\"", "this is not a mail address"),
        (
            "names = [\"a.example\"]\ndirectory = \"http://ca.example/dir\"",
            "not the URL of an ACME directory",
        ),
        ("names = [\"a.example\"]\ndirectory = \"acme-v02\"", "not the URL of an ACME directory"),
        ("names = [\"a.example\"]\nca_file = \"/nowhere/ca.pem\"", "/nowhere/ca.pem: No such file"),
        ("names = [\"a.example\"]\ndns_hook = \"/nowhere/hook\"", "/nowhere/hook: not a program"),
        ("names = [\"a.example\"]\nstaging = true", "is not a key"),
    ] {
        let error = acme(keys);
        assert!(error.contains(words) && error.contains("remedy: "), "{words} in {error}");
        assert!(!error.contains("TLS needs a certificate"), "{error}");
    }
}

#[test]
fn a_challenge_needs_its_listener_and_a_certificate_has_one_source() {
    let error = refused("[acme]\nnames = [\"a.example\"]");
    assert!(error.contains("\"tls-alpn-01\" needs a `tls` listener"), "{error}");
    let error = refused("listen.http = []\n[acme]\nnames = [\"a.example\"]\nchallenge = \"http-01\"");
    assert!(error.contains("\"http-01\" needs an `http` listener"), "{error}");
    let error =
        refused(&format!("{LISTEN}tls = {{ cert = \"a\", key = \"b\" }}\nacme.names = [\"a.example\"]"));
    assert!(error.contains("`acme.names`: [tls] names a certificate, too"), "{error}");
}
