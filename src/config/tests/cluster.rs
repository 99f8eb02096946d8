//! The section `[cluster]`.

use super::*;

const SECRETS: &str = "credentials.secrets = [\"north-north\"]\n";

fn section(text: &str) -> String {
    format!("{SECRETS}[cluster]\n{text}")
}

#[test]
fn without_a_broker_there_is_no_cluster() {
    for text in ["", "node = \"fra-1\"\nregion = \"eu\"", "credentials_file = \"absent.creds\""] {
        assert!(parsed(&section(text)).cluster.is_none(), "{text}");
    }
}

#[test]
fn a_node_of_a_cluster() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("bus.creds"), "byway:a-password\n").unwrap();
    let text = section(
        "nats = [\"tls://nats.example.org\", \"nats://10.0.0.7:4223\"]\ncredentials_file = \"bus.creds\"\n\
         node = \"fra-1\"\nregion = \"eu-west\"\nadvertise = [\"turn:a.example:3478?transport=udp\"]\n\
         region_header = \"X-Region\"",
    );
    let cluster = Config::parse(&text, "f.toml", Some(dir.path())).unwrap().cluster.unwrap();
    assert_eq!(cluster.nats, ["tls://nats.example.org:4222", "nats://10.0.0.7:4223"]);
    assert_eq!(cluster.credentials_file, Some(dir.path().join("bus.creds")));
    assert_eq!((cluster.node.as_str(), cluster.region.unwrap().as_str()), ("fra-1", "eu-west"));
    assert_eq!(cluster.advertise, ["turn:a.example:3478?transport=udp"]);
    assert_eq!(cluster.region_header.as_deref(), Some("x-region"));
}

#[test]
fn a_broker_without_tls_is_near() {
    for url in [
        "nats://localhost:4222",
        "nats://127.0.0.1",
        "nats://192.168.1.2:1",
        "nats://[::1]:4222",
        "nats://[fd00::1]/",
        "tls://[2001:db8::1]:4222",
        "tls://203.0.113.1",
    ] {
        assert!(parsed(&section(&format!("node = \"a\"\nnats = [\"{url}\"]"))).cluster.is_some(), "{url}");
    }
    for (url, reason) in [
        ("nats://nats.example.org:4222", "everyone on the way"),
        ("nats://203.0.113.1", "everyone on the way"),
        ("nats://127.0.0.1.example.org", "everyone on the way"),
        ("nats://[2001:db8::1]:4222", "everyone on the way"),
        ("ws://127.0.0.1:4222", "neither tls:// nor nats://"),
        ("127.0.0.1:4222", "neither tls:// nor nats://"),
        ("tls://a.example/path", "more than a scheme, a host and a port"),
        ("tls://a.example:4222?x=1", "more than a scheme, a host and a port"),
        ("tls://a.example:0", "more than a scheme, a host and a port"),
        ("tls://", "not a URL"),
        ("", "not a URL"),
    ] {
        let error = refused(&section(&format!("nats = [\"{url}\"]")));
        assert!(error.contains("`cluster.nats`") && error.contains(reason), "{url}\n{error}");
    }
}

#[test]
fn mistakes_name_the_key_and_the_remedy() {
    let on = "nats = [\"nats://127.0.0.1\"]\nnode = \"a\"\n";
    let many: Vec<_> = (0..17).map(|n| format!("\"tls://a{n}.example\"")).collect();
    for (text, remedy) in [
        (format!("[cluster]\n{on}"), "set `secrets` under [credentials], to the same on every node"),
        (section("node = \"fra.1\""), "use a name such as \"fra-1\""),
        (section("region = \"EU\""), "use a name such as \"eu-west\""),
        (section("advertise = [\"http://a\"]"), "turn:turn.example.org:3478?transport=udp\""),
        (section("advertise = [\"stun:a.example\"]"), "add one that begins with turn: or turns:"),
        (section("region_header = \"X Region\""), "use a name such as \"X-Region\""),
        (section("nats = [\"tls://a\", \"tls://a:4222\"]"), "remove one of the two"),
        (section(&format!("nats = [{}]", many.join(","))), "name at most 16"),
    ] {
        let error = refused(&text);
        assert!(error.ends_with(remedy), "{text}\n{error}");
    }
}

#[test]
fn threat_40_mistakes_show_no_credentials_of_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let seed = "SUAGEHEIMGEHEIM";
    fs::write(dir.path().join("bus.creds"), seed).unwrap();
    for (text, remedy) in [
        ("nats = [\"tls://byway:geheim@a.example\"]", "credentials_file"),
        ("nats = [\"tls://a.example\"]\ncredentials_file = \"bus.creds\"", "user:password"),
        ("nats = [\"tls://a.example\"]\ncredentials_file = \"byway:geheim\"", "a file of its own"),
        ("nats = [\"tls://a.example\"]\ncredentials_file = \"SUAGEHEIMGEHEIM\"", "a file of its own"),
    ] {
        let error = Config::parse(&section(text), "f.toml", Some(dir.path())).unwrap_err().to_string();
        assert!(!error.to_lowercase().contains("geheim") && error.contains(remedy), "{text}\n{error}");
    }
}

#[test]
fn every_key_of_the_cluster_needs_a_restart() {
    let changed = |text: &str| {
        let changes = parsed(&section("nats = [\"tls://a.example\"]\nnode = \"a\"")).changes(&parsed(text));
        changes.into_iter().map(|change| (change.key, change.restart)).collect::<Vec<_>>()
    };
    let reason = Some("a node joins its cluster as it starts");
    assert_eq!(
        changed(&section("nats = [\"tls://a.example\"]\nnode = \"a\"\nregion = \"eu\"")),
        [("cluster.region", reason)]
    );
    let off = changed(&section(""));
    assert!(off.len() == 6 && off.iter().all(|(key, why)| key.starts_with("cluster.") && *why == reason));
}
