//! Remedies that match the operator's intention.

use super::*;

/// Checks the remedy of each text.
fn are_told(cases: &[(&str, &str)]) {
    for (text, remedy) in cases {
        let error = refused(text);
        assert!(error.ends_with(&format!("\n  remedy: {remedy}")), "{text}\n{error}");
    }
}

/// A wrong guess that the operator follows changes another setting: `access = "token"` as a secret
/// disables access control.
#[test]
fn a_key_of_another_section_is_told_where_it_belongs() {
    are_told(&[
        ("[signaling]\ntrusted_proxies = []", "move it under [listen]"),
        ("[relay]\nsecrets = [\"north-north\"]", "move it under [credentials] or [tokens]"),
        ("[tokens]\naccess = \"token\"", "move it under [ice]"),
        ("hosts = [\"call.example.org\"]", "move it under [http]"),
        ("[listen]\nrealm = \"example.org\"", "move it to the top, above the first [section]"),
        ("[relay.tls]\ncert = \"a\"", "write it as its own section: [tls]"),
        ("[http]\nhost = [\"call.example.org\"]", "did you mean `hosts`?"),
    ]);
    assert!(!refused("[relay]\nsecrets = [\"north-north\"]").contains("north"));
}

#[test]
fn a_remedy_is_an_example_of_what_was_meant() {
    let range = "use an address such as \"172.18.0.2\" or a range such as \"172.18.0.0/16\", without a port or a name";
    let ascii = "write its ASCII form, which begins with xn--";
    are_told(&[
        ("listen.trusted_proxies = [\"proxy\"]", range),
        ("peers.allow = [\"10.0.0.1:80\"]", range),
        (
            "listen.proxy_protocol = [\"udp\"]",
            "use \"tcp\", \"tls\" and \"http\", the keys of the listeners behind the proxy",
        ),
        ("credentials.ttl = 600", "write it in quotes and with its unit, such as \"600s\" or \"10m\""),
        ("relay.nap = 1", "write it in quotes and with its unit, such as \"200us\" or \"1ms\""),
        ("relay.send_buffer = 65536", "write it in quotes and with its unit, such as \"64KiB\" or \"1MiB\""),
        (
            "quota.bandwidth_per_allocation = 0",
            "write it in quotes and with its unit, such as \"64KiB\" or \"1MiB\", or \"0\" for no cap",
        ),
        ("http.hosts = [\"ex\u{e4}mple.org\"]", ascii),
        ("signaling.allowed_origins = [\"https://ex\u{e4}mple.org\"]", ascii),
    ]);
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("long"), "x".repeat(65_537)).unwrap();
    let text = "credentials.secret_files = [\"long\"]";
    let error = Config::parse(text, "f.toml", Some(dir.path())).unwrap_err().to_string();
    assert!(error.ends_with("\n  remedy: use a file that contains only the secret"), "{error}");
}

#[test]
fn threat_40_the_password_in_a_url_is_hidden() {
    let url = "turn:alice:hunter2secret@example.org:3478?transport=udp";
    let error = refused(&format!("ice.urls = [\"stun:example.org\", \"{url}\"]"));
    assert_eq!(
        error,
        "f.toml:1:33: `ice.urls`: a TURN URL has no user or password: /ice adds credentials itself\n  \
         1 | ice.urls = [\"stun:example.org\", …]\n    \
         |                                 ^\n  \
         remedy: remove everything up to the @; write a URL such as \"turn:turn.example.org:3478?transport=udp\""
    );
    // In a file that does not parse, or for another reason.
    for text in
        [format!("ice.urls = [\"{url}\" 5]"), format!("ice.urls = \"{url}\""), format!("realm = \"{url}\" x")]
    {
        assert!(!refused(&text).contains("hunter2secret"), "{text}");
    }
}
