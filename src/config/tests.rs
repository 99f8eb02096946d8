//! Accepted configurations, and the diagnostics of rejected ones.

use std::fs;

use proptest::prelude::*;

use super::*;

#[cfg(feature = "acme")]
mod acme;
#[cfg(feature = "nats")]
mod cluster;
mod remedies;
mod secrets;
mod users;

#[cfg(not(feature = "acme"))]
#[test]
fn a_build_without_acme_says_so() {
    let error = refused("listen.tls = [\"127.0.0.1:443\"]\n[acme]\nnames = [\"a.example\"]");
    assert!(error.contains("`acme.names`: this build has no ACME client"), "{error}");
}

#[cfg(not(feature = "nats"))]
#[test]
fn a_build_without_nats_says_so() {
    let error = refused("credentials.secrets = [\"north-north\"]\n[cluster]\nnats = [\"tls://a.example\"]");
    assert!(error.contains("`cluster.nats`: this build has no NATS client"), "{error}");
}

fn parsed(text: &str) -> Config {
    Config::parse(text, "f.toml", None).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn clear(secrets: &[Secret]) -> Vec<&str> {
    secrets.iter().map(AsRef::as_ref).collect()
}

fn refused(text: &str) -> String {
    Config::parse(text, "f.toml", None).expect_err(text).to_string()
}

/// All settings but `optional_ipv6`, which depends on the origin of an address, not on the address.
fn values(config: &Config) -> String {
    format!("{:?}", Config { optional_ipv6: true, ..config.clone() })
}

#[test]
fn the_embedded_file_says_what_holds_without_it() {
    assert_eq!(values(&parsed(EMBEDDED)), values(&Config::embedded()));
}

#[test]
fn a_key_that_is_left_out_has_the_embedded_value() {
    let keys = EMBEDDED.lines().filter(|line| !line.starts_with('#') && line.contains(" = "));
    for key in keys.clone() {
        let without = EMBEDDED.replace(&format!("\n{key}\n"), "\n");
        assert_ne!(without, EMBEDDED, "{key}");
        assert_eq!(values(&parsed(&without)), values(&Config::embedded()), "{key}");
    }
    assert_eq!(keys.count(), 71, "every key of the reference is met");
}

#[test]
fn the_embedded_default_listens_on_loopback_alone() {
    let config = Config::embedded();
    let listen = &config.listen;
    let all = [&listen.udp, &listen.tcp, &listen.tls, &listen.http, &listen.admin].into_iter().flatten();
    assert!(all.map(SocketAddr::ip).all(|ip| ip.is_loopback()));
    assert!(config.relay.addresses.iter().all(IpAddr::is_loopback));
    assert!(config.credentials.secrets.is_empty(), "a committed secret would be a public password");
}

#[test]
fn only_the_embedded_ipv6_addresses_are_optional() {
    assert!(Config::embedded().optional_ipv6);
    assert!(parsed("[listen]\nudp = [\"127.0.0.1:0\"]").optional_ipv6);
    assert!(!parsed("[listen]\nudp = [\"[::1]:0\"]").optional_ipv6);
    assert!(!parsed("[listen]\nadmin = [\"127.0.0.1:0\", \"[::1]:0\"]").optional_ipv6);
    assert!(!parsed("[relay]\naddresses = [\"::1\"]").optional_ipv6);
}

#[test]
fn a_public_server() {
    let config = parsed(
        r#"
        realm = "example.org"
        listen.udp = ["0.0.0.0:3478", "[::]:3478"]
        listen.http = ["0.0.0.0:0"]
        listen.admin = []
        listen.tcp = []
        listen.trusted_proxies = ["172.18.0.0/16", "192.0.2.1"]
        [relay]
        addresses = ["0.0.0.0", "2001:db8::10"]
        public_addresses = ["203.0.113.10"]
        ports = "50000 - 50000"
        port_rest = "1m 30s"
        shards = 0x2
        offload = false
        receive_buffer = "512MiB"
        send_buffer = "64KiB"
        relay_buffer = "1MiB"
        nap = "200us"
        busy_poll = "0s"
        incoming_cpu = true
        drain = "0s"
        [credentials]
        secrets = ["north-north", "south-south"]
        ttl = "7days"
        strict_expiry = false
        [tokens]
        secrets = ["east-east"]
        audience = "calls"
        [peers]
        allow = ["10.1.0.0/16", "fd00::/8"]
        deny = ["198.51.100.7", "2001:db8::7"]
        [quota]
        allocations_per_user = 0
        [ice]
        open_to_everyone = true
        transport_policy = "relay"
        urls = ["turn:example.org:3478?transport=udp"]
        api_keys = ["a-key-of-a-backend"]
        [signaling]
        resume_window = "0s"
        joins_per_second = 0
        max_message = "16KiB"
        allowed_origins = ["https://Example.org:443", "http://localhost:3000", "http://[2001:DB8:0::1]"]
        [http]
        hosts = ["call.example.org", "*.example.net", "2001:DB8::10"]
        "#,
    );
    assert_eq!(config.realm, "example.org");
    assert_eq!(config.listen.http, ["0.0.0.0:0".parse().unwrap()]);
    assert!(config.listen.admin.is_empty());
    assert_eq!(config.relay.ports, 50_000..=50_000);
    assert_eq!(config.relay.port_rest, Duration::from_secs(90));
    assert_eq!(config.relay.shards, 2);
    assert!(!config.relay.tuning.offload && config.relay.tuning.incoming_cpu);
    assert_eq!([config.relay.tuning.receive_buffer, config.relay.tuning.send_buffer], [512 << 20, 64 << 10]);
    assert_eq!(config.relay.tuning.relay_buffer, 1 << 20);
    assert_eq!(
        [config.relay.tuning.nap, config.relay.tuning.busy_poll],
        [Duration::from_micros(200), Duration::ZERO]
    );
    assert_eq!(clear(&config.credentials.secrets), ["north-north", "south-south"]);
    assert_eq!(config.credentials.ttl, byway_turn::auth::MAX_TTL);
    assert!(!config.credentials.strict_expiry && config.relay.drain.is_zero());
    assert_eq!((clear(&config.tokens.secrets), &*config.tokens.audience), (vec!["east-east"], "calls"));
    assert_eq!(clear(&config.ice.api_keys), ["a-key-of-a-backend"]);
    assert_eq!(
        (config.signaling.settings.resume_window, config.signaling.joins_per_second),
        (Duration::ZERO, 0)
    );
    assert_eq!(format!("{:?}", config.peers.deny), "[198.51.100.7/32, 2001:db8::7/128]");
    assert_eq!(config.quota.allocations_per_user, 0);
    assert_eq!(config.ice.transport_policy, TransportPolicy::Relay);
    assert_eq!(config.signaling.settings.max_message, 16 << 10);
    let origins: Vec<_> = config.signaling.allowed_origins.iter().map(ToString::to_string).collect();
    assert_eq!(origins, ["https://example.org", "http://localhost:3000", "http://[2001:db8::1]"]);
    assert_eq!(config.http.hosts.len(), 3);
    assert!(config.listen.trusted_proxies.trust("172.18.0.9".parse().unwrap()));
}

#[test]
fn wildcards_of_both_families_may_stand_for_what_the_machine_has() {
    let relay = parsed("relay.addresses = [\"0.0.0.0\", \"::\"]").relay;
    assert!(relay.addresses.iter().all(IpAddr::is_unspecified) && relay.public_addresses.is_empty());
}

#[test]
fn the_certificate_s_files_start_from_the_configuration_s_folder() {
    let tls = "listen.tls = [\"127.0.0.1:443\"]\ntls.cert = \"full.pem\"\ntls.key = \"/etc/key.pem\"";
    let config = Config::parse(tls, "f.toml", Some(Path::new("/etc/byway"))).unwrap();
    let files = CertificateFiles { cert: "/etc/byway/full.pem".into(), key: "/etc/key.pem".into() };
    assert_eq!(config.tls, Some(Tls { files, places: Places::default() }));
    assert_eq!(config.listen.tls, ["127.0.0.1:443".parse().unwrap()]);
    // A certificate without a listener is accepted.
    assert!(parsed("[tls]\ncert = \"a\"\nkey = \"b\"").tls.is_some());
}

#[test]
fn a_public_tls_listener_must_be_confirmed_as_a_plain_one_must() {
    let tls = "listen.tls = [\"[::]:443\"]\ntls = { cert = \"a\", key = \"b\" }";
    let error = refused(tls);
    assert!(error.contains("`listen.tls`: everyone who reaches [::]:443 gets relay credentials"), "{error}");
    assert!(error.contains("confirm open access with `open_to_everyone = true`"), "{error}");
    parsed(&format!("{tls}\nice.open_to_everyone = true"));
}

#[test]
fn secret_files_come_behind_secrets_and_start_from_the_file_s_folder() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("north"), "north-north\n").unwrap();
    fs::write(dir.path().join("turnserver.toml"), "credentials.secret_files = [\"north\"]").unwrap();
    let config = Config::load(Some(&dir.path().join("turnserver.toml"))).unwrap();
    assert_eq!(clear(&config.credentials.secrets), ["north-north"]);

    let both = "credentials.secrets = [\"south-south\"]\ncredentials.secret_files = [\"north\"]";
    let config = Config::parse(both, "f.toml", Some(dir.path())).unwrap();
    assert_eq!(clear(&config.credentials.secrets), ["south-south", "north-north"]);

    fs::write(dir.path().join("north"), "x\n".repeat(65536)).unwrap();
    let error = Config::parse(both, "f.toml", Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("longer than 64 KiB"), "{error}");
    fs::write(dir.path().join("north"), "short\n").unwrap();
    let error = Config::parse(both, "f.toml", Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("a secret of 5 characters"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Config::load(Some(Path::new("/nowhere/turnserver.toml"))).unwrap_err().to_string();
    assert_eq!(
        error,
        "/nowhere/turnserver.toml: No such file or directory (os error 2)\n  \
         remedy: name a configuration file: --config FILE, or BYWAY_CONFIG in the environment"
    );
}

/// Texts with one mistake each, and the whole diagnostic.
const MISTAKES: &[(&str, &str)] = &[
    (
        "realm = 5",
        r#"
f.toml:1:9: `realm`: a whole number is not a string in quotes
  1 | realm = 5
    |         ^
  remedy: write a string in quotes"#,
    ),
    (
        "realm = \"the \\\"best\\\"\"",
        r#"
f.toml:1:9: `realm`: '"' is not allowed in a realm
  1 | realm = "the \"best\""
    |         ^^^^^^^^^^^^^^
  remedy: use no quotes, backslashes or control characters; a domain name is a good choice"#,
    ),
    (
        "# comment\nrelm = \"x\"",
        r#"
f.toml:2:1: `relm` is not a key
  2 | relm = …
    | ^^^^
  remedy: did you mean `realm`?"#,
    ),
    (
        "[Listen]",
        r#"
f.toml:1:2: `Listen` is not a key
  1 | [Listen]
    |  ^^^^^^
  remedy: did you mean `listen`?"#,
    ),
    (
        "[tls]\nfullchain = \"a.pem\"",
        r#"
f.toml:2:1: `tls.fullchain` is not a key
  2 | fullchain = …
    | ^^^^^^^^^
  remedy: use one of the keys known here: cert, key"#,
    ),
    (
        "[signaling]\nclowns = 3",
        r#"
f.toml:2:1: `signaling.clowns` is not a key
  2 | clowns = …
    | ^^^^^^
  remedy: use one of the keys known here: max_rooms, max_members, max_viewers, max_message, resume_window, joins_per_second, allowed_origins"#,
    ),
    (
        "listen = 3",
        r#"
f.toml:1:10: `listen` is a section, not a whole number
  1 | listen = …
    |          ^
  remedy: write a line [listen] with its keys below"#,
    ),
    (
        "realm = \"a",
        r#"
f.toml:1:11: invalid basic string, expected `"`
  1 | realm = "a
    |           ^
  remedy: write TOML: key = "text", key = 5, key = ["a", "b"], [section]"#,
    ),
    (
        "[listen]\nudp = [\"[::]:3478\"\nhttp = 3\n",
        r#"
f.toml:3:1: missing comma between array elements, expected `,`
  3 | http = 3
    | ^
  remedy: write TOML: key = "text", key = 5, key = ["a", "b"], [section]"#,
    ),
    (
        "realm = \"a\"\nrealm = \"b\"",
        r#"
f.toml:2:1: duplicate key
  2 | realm = "b"
    | ^^^^^
  remedy: keep one of the two"#,
    ),
    (
        "[listen]\nudp = [\"[::]:3478\", \"1.2.3.4\"]",
        r#"
f.toml:2:21: `listen.udp`: "1.2.3.4" is not a socket address
  2 | udp = ["[::]:3478", "1.2.3.4"]
    |                     ^^^^^^^^^
  remedy: add the port: "1.2.3.4:3478""#,
    ),
    (
        "[listen]\nudp = [\"fd00::1:3478\"]",
        r#"
f.toml:2:8: `listen.udp`: "fd00::1:3478" is not a socket address
  2 | udp = ["fd00::1:3478"]
    |        ^^^^^^^^^^^^^^
  remedy: put brackets around the address: "[fd00::1]:3478""#,
    ),
    (
        "[listen]\nudp = [\"127.0.0.1:80\"]\ntcp = [\"127.0.0.1:80\"]\nadmin = [\"127.0.0.1:80\"]",
        r#"
f.toml:4:10: `listen.admin`: 127.0.0.1:80 is already in `listen.tcp`
  4 | admin = ["127.0.0.1:80"]
    |          ^^^^^^^^^^^^^^
  remedy: configure another port for one of the two; a `tls` listener serves TURN over TLS and the page on one port"#,
    ),
    (
        "[listen]\nudp = [\"[::]:3478\", \"[0::0]:3478\"]",
        r#"
f.toml:2:21: `listen.udp`: this is in the list twice
  2 | udp = ["[::]:3478", "[0::0]:3478"]
    |                     ^^^^^^^^^^^^^
  remedy: remove one of the two"#,
    ),
    (
        "[listen]\nhttp = [\"0.0.0.0:80\"]",
        r#"
f.toml:2:9: `listen.http`: everyone who reaches 0.0.0.0:80 gets relay credentials, because ice.access is "open"
  2 | http = ["0.0.0.0:80"]
    |         ^^^^^^^^^^^^
  remedy: set `access = "token"` under [ice], confirm open access with `open_to_everyone = true`, or listen on "127.0.0.1:80""#,
    ),
    (
        "[listen]\ntls = [\"0.0.0.0:443\"]",
        r#"
f.toml:2:8: `listen.tls`: TLS needs a certificate
  2 | tls = ["0.0.0.0:443"]
    |        ^^^^^^^^^^^^^
  remedy: set `names` under [acme], or name its files: cert = "/path/fullchain.pem" and key = "/path/privkey.pem" under [tls]"#,
    ),
    (
        "[tls]\ncert = \"a.pem\"",
        r#"
f.toml:2:8: `tls.cert`: a certificate without its key
  2 | cert = "a.pem"
    |        ^^^^^^^
  remedy: name the key in `key`"#,
    ),
    (
        "[relay]\naddresses = [\"10.0.0.1\", \"10.0.0.2\"]",
        r#"
f.toml:2:26: `relay.addresses`: a second IPv4 address
  2 | addresses = ["10.0.0.1", "10.0.0.2"]
    |                          ^^^^^^^^^^
  remedy: keep one IPv4 address"#,
    ),
    (
        "[relay]\naddresses = [\"10.0.0.1\"]\npublic_addresses = [\"2001:db8::1\"]",
        r#"
f.toml:2:13: `relay.addresses`: no IPv6 address to go with the public address 2001:db8::1
  2 | addresses = ["10.0.0.1"]
    |             ^^^^^^^^^^^^
  remedy: add the machine's own IPv6 address, or remove the public one"#,
    ),
    (
        "[relay]\nports = \"49152-70000\"",
        r#"
f.toml:2:9: `relay.ports`: "70000" is not a port
  2 | ports = "49152-70000"
    |         ^^^^^^^^^^^^^
  remedy: use two ports between 1024 and 65535, low-high, as in "49152-65535""#,
    ),
    (
        "[relay]\nrelay_buffer = \"4KiB\"",
        r#"
f.toml:2:16: `relay.relay_buffer`: "4KiB" is out of bounds
  2 | relay_buffer = "4KiB"
    |                ^^^^^^
  remedy: use a size from "64.0 KiB" to "64.0 MiB", or "0" for the system's default"#,
    ),
    (
        "[relay]\nnap = \"2ms\"",
        r#"
f.toml:2:7: `relay.nap`: "2ms" is out of bounds
  2 | nap = "2ms"
    |       ^^^^^
  remedy: use a duration from "0s" to "1ms", such as "200us""#,
    ),
    (
        "[relay]\nbusy_poll = \"50us\"\nnap = \"200us\"",
        r#"
f.toml:2:13: `relay.busy_poll`: it excludes `nap`: one spends CPU to save latency, the other the reverse
  2 | busy_poll = "50us"
    |             ^^^^^^
  remedy: set this or `nap` to "0s""#,
    ),
    (
        "[credentials]\nttl = \"2s\"",
        r#"
f.toml:2:7: `credentials.ttl`: "2s" is out of bounds
  2 | ttl = "2s"
    |       ^^^^
  remedy: use a duration from "10s" to "7days", such as "90s", "10m" or "1h 30m""#,
    ),
    (
        "[credentials]\nsecrets = [\"geheim\"]",
        r#"
f.toml:2:12: `credentials.secrets`: a secret of 6 characters can be guessed, and its holder relays without limit
  2 | secrets = […]
    |            ^
  remedy: use at least 8 characters, better 32 random ones: openssl rand -base64 24"#,
    ),
    (
        "[credentials]\nsecret_files = [\"/nowhere\"]",
        r#"
f.toml:2:17: `credentials.secret_files`: /nowhere: No such file or directory (os error 2)
  2 | secret_files = ["/nowhere"]
    |                 ^^^^^^^^^^
  remedy: use a file that contains only the secret, readable by this user"#,
    ),
    (
        "[peers]\nallow = [\"10.0.0.0/33\"]",
        r#"
f.toml:2:10: `peers.allow`: "33" is not the length of an IPv4 range
  2 | allow = ["10.0.0.0/33"]
    |          ^^^^^^^^^^^^^
  remedy: use a length from 0 to 32 after the slash, such as "10.0.0.0/32""#,
    ),
    (
        "[peers]\ndeny = [\"10.1.2.3/8\"]",
        r#"
f.toml:2:9: `peers.deny`: 10.1.2.3/8 has address bits after its length of 8
  2 | deny = ["10.1.2.3/8"]
    |         ^^^^^^^^^^^^
  remedy: write "10.0.0.0/8" for the whole range or "10.1.2.3" for the one address"#,
    ),
    (
        "[quota]\nbandwidth_per_allocation = \"1kB\"",
        r#"
f.toml:2:28: `quota.bandwidth_per_allocation`: "1kB" is out of bounds
  2 | bandwidth_per_allocation = "1kB"
    |                            ^^^^^
  remedy: use a size from "64.0 KiB" to "1.0 TiB", or "0" for no cap"#,
    ),
    (
        "[signaling]\nmax_message = \"64 apples\"\nmax_rooms = -1",
        r#"
f.toml:2:15: `signaling.max_message`: "64 apples" is not a size
  2 | max_message = "64 apples"
    |               ^^^^^^^^^^^
  remedy: use a size from "4.0 KiB" to "1.0 MiB"

f.toml:3:13: `signaling.max_rooms`: -1 is out of bounds
  3 | max_rooms = -1
    |             ^^
  remedy: use a whole number from 1 to 1000000"#,
    ),
];

#[test]
fn a_mistake_is_shown_with_its_place_reason_and_remedy() {
    for (text, shown) in MISTAKES {
        assert_eq!(refused(text), shown.trim_start(), "{text}");
    }
}

#[test]
fn values_that_are_close_to_good_ones_are_refused() {
    let bad = [
        "realm = \"\"",
        "listen.udp = [\"localhost:3478\"]",
        "listen.udp = [\"::1:3478\"]",
        "listen.udp = \"127.0.0.1:3478\"",
        "listen.tcp = [\"0.0.0.0\"]",
        "listen.tls = [\"127.0.0.1:443\"]",
        "listen.tls = [\"[::]:443\"]\ntls.cert = \"a\"\ntls.key = \"b\"",
        "tls.key = \"b\"",
        "listen.http = [\"[::]:80\"]",
        "relay.addresses = []",
        "relay.addresses = [\"224.0.0.1\"]",
        "relay.addresses = [\"ff02::1\"]",
        "relay.addresses = [\"255.255.255.255\"]",
        "relay.public_addresses = [\"0.0.0.0\"]",
        "relay.ports = \"1023-2000\"",
        "relay.ports = \"3000-2000\"",
        "relay.ports = \"3000\"",
        "relay.ports = [3000, 4000]",
        "relay.port_rest = \"120\"",
        "relay.port_rest = \"2h\"",
        "relay.shards = 257",
        "relay.offload = \"auto\"",
        "relay.receive_buffer = 4194304",
        "relay.receive_buffer = \"0\"",
        "relay.receive_buffer = \"513MiB\"",
        "relay.send_buffer = \"63KiB\"",
        "relay.relay_buffer = \"65MiB\"",
        "relay.relay_buffer = 0",
        "relay.nap = \"1001us\"",
        "relay.nap = 1",
        "relay.busy_poll = \"11ms\"",
        "relay.incoming_cpu = 1",
        "credentials.ttl = \"8days\"",
        "credentials.ttl = 600",
        "peers.allow = [\"10.0.0.0/\"]",
        "peers.allow = [\"10.0.0/8\"]",
        "peers.allow = [\"::/129\"]",
        "peers.allow = [\"10.0.0.0/8\", \"10.0.0.0/8\"]",
        "quota.allocations = 0",
        "quota.allocations = 4294967297",
        "quota.allocations_per_user = 4294967296",
        "ice.access = \"closed\"",
        "ice.api_keys = [\"short\"]",
        "ice.api_keys = [\"sixteen or more, but with spaces\"]",
        "tokens.jwks_file = \"nowhere.json\"",
        "credentials.strict_expiry = 1",
        "relay.drain = \"2h\"",
        "ice.open_to_everyone = \"yes\"",
        "ice.transport_policy = \"direct\"",
        "ice.urls = [\"http://example.org\"]",
        "signaling.resume_window = \"11m\"",
        "signaling.max_members = 1",
        "signaling.max_viewers = 257",
        "signaling.max_message = \"1KiB\"",
        "signaling.allowed_origins = [\"*\"]",
        "signaling.allowed_origins = [\"null\"]",
        "signaling.allowed_origins = [\"https://example.org/\"]",
        "signaling.allowed_origins = [\"https://*.example.org\"]",
        "signaling.allowed_origins = [\"https://ex\u{e4}mple.org\"]",
        "signaling.allowed_origins = [\"https://example.org\", \"HTTPS://Example.ORG:443\"]",
        "http.hosts = [\"*\"]",
        "http.hosts = [\"\"]",
        "http.hosts = [\"call.example.org:443\"]",
        "http.hosts = [\"https://call.example.org\"]",
        "http.hosts = [\"call.example.org/call\"]",
        "http.hosts = [\"ex\u{e4}mple.org\"]",
        "http.hosts = [\"call.example.org\", \"CALL.example.org\"]",
        "http.host = [\"call.example.org\"]",
        "listen.trusted_proxies = [\"172.18.0.1/16\"]",
        "listen.trusted_proxies = [\"proxy\"]",
    ];
    for text in bad {
        let error = refused(text);
        assert!(error.starts_with("f.toml:1:") && error.contains("\n  remedy: "), "{text}\n{error}");
    }
}

/// The diagnostics of a file of another kind, named by mistake, stay short.
#[test]
fn threat_41_of_many_mistakes_the_first_are_told_and_the_others_counted() {
    let text: String = (0..20_000).map(|number| format!("k{number}=1\n")).collect();
    let error = refused(&text);
    assert_eq!(error.matches("is not a key").count(), 20);
    assert!(error.ends_with("\n\nand 19980 more"), "{error}");
    let error = refused(&format!("{}=1", "k".repeat(200_000)));
    assert!(error.len() < 500, "{error}");
}

proptest! {
    #[test]
    fn any_text_is_a_configuration_or_a_mistake(text in "\\PC{0,200}") {
        let _ = Config::parse(&text, "f.toml", None).map_err(|error| error.to_string());
    }

    /// Texts that the TOML parser accepts: a known key with any string or any value.
    #[test]
    fn any_value_is_accepted_or_shown_with_its_place(
        key in prop::sample::select(EMBEDDED.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).map(|(key, _)| key).filter(|key| *key != "secret_files").collect::<Vec<_>>()),
        section in prop::sample::select(vec!["listen", "relay", "credentials", "peers", "quota", "ice", "signaling"]),
        value in "\"[0-9a-z:./\\[\\] -]{0,20}\"|\\[\"[0-9a-f:./-]{0,20}\"\\]|[0-9]{1,30}|-1|1\\.5|true|\\{\\}|1979-05-27",
    ) {
        let text = format!("[{section}]\n{key} = {value}\n");
        if let Err(error) = Config::parse(&text, "f.toml", None) {
            prop_assert!(error.to_string().starts_with("f.toml:2:"), "{}", error);
        }
    }

    #[test]
    fn any_change_of_a_character_is_survived(at in 0..EMBEDDED.len(), with in any::<char>()) {
        let at = EMBEDDED.floor_char_boundary(at);
        let text = format!("{}{with}{}", &EMBEDDED[..at], &EMBEDDED[at..]);
        let _ = Config::parse(&text, "f.toml", None).map_err(|error| error.to_string());
    }
}
