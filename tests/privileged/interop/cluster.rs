//! Several servers as a cluster, over Debian's `nats-server`. The broker is killed, stopped, and
//! asked for credentials.

mod adapters;
mod rooms;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::certificates::{Chain, Folder, Pair};
use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, socket};
use byway_test_support::process::{CONFIG, Server, free_port, http};
use byway_test_support::turn::{Request, channel_data};
use serde_json::Value;
use tempfile::TempDir;

const KEY: &str = "Authorization: Bearer a-key-for-programs";
const LIVE: &str = r#"byway_cluster_nodes{presence="live"}"#;
const CONNECTED: &str = "byway_cluster_connected";
const ALLOCATIONS: &str = "byway_allocations";

/// Longest revocation: a second on an idle machine, and much shorter than any credential.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Longest time until a broker that says nothing is noticed: 3 s on an idle machine. The client's
/// own default takes minutes.
const NOTICED: Duration = Duration::from_secs(10);

/// Longest wait for anything else.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running `nats-server`, killed on drop.
struct Broker {
    child: Option<Child>,
    port: u16,
    folder: TempDir,
}

impl Broker {
    /// Starts a broker with these lines beside its address.
    fn start(lines: &str) -> Self {
        let mut broker = Self::absent(lines);
        broker.begin();
        broker
    }

    /// Reserves the address of a broker that does not run.
    fn absent(lines: &str) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        fs::write(folder.path().join("nats.conf"), format!("listen: \"127.0.0.1:{port}\"\n{lines}\n"))
            .unwrap();
        Self { child: None, port, folder }
    }

    /// Starts it, and waits until it accepts.
    fn begin(&mut self) {
        let mut command = Command::new("nats-server");
        command
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        self.child = Some(command.spawn().expect("`tests/run interop` installs nats-server"));
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let child = self.child.as_mut().unwrap();
            assert!(child.try_wait().unwrap().is_none(), "nats-server does not start");
            thread::yield_now();
        }
    }

    /// Kills it, as a power cut would.
    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Publishes payloads as a client without a secret of the nodes would. Returns when the broker
    /// has taken them.
    fn publish(&self, payloads: &[Vec<u8>]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
        for payload in payloads {
            stream.write_all(format!("PUB byway.v1.all {}\r\n", payload.len()).as_bytes()).unwrap();
            stream.write_all(payload).unwrap();
            stream.write_all(b"\r\n").unwrap();
        }
        stream.write_all(b"PING\r\n").unwrap();
        let mut lines = BufReader::new(stream).lines();
        assert!(lines.any(|line| line.unwrap() == "PONG"), "the broker has taken them");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Configuration of a node, which relays from an address of its own.
struct Node {
    name: &'static str,
    region: &'static str,
    nats: String,
    secret: &'static str,
    lines: String,
}

impl Node {
    fn new(name: &'static str, broker: &Broker) -> Self {
        let region = name.split_once('-').unwrap().0;
        Self { name, region, nats: broker.url(), secret: "a-test-secret", lines: String::new() }
    }

    fn config(&self) -> String {
        let Self { name, region, nats, secret, lines } = self;
        let port = free_port();
        let config = CONFIG
            .replace(r#"udp = ["127.0.0.1:0", "[::1]:0"]"#, &format!("udp = [\"127.0.0.1:{port}\"]"))
            .replace(r#"addresses = ["127.0.0.1", "::1"]"#, r#"addresses = ["127.0.0.1"]"#)
            .replace("a-test-secret", secret);
        format!(
            "{config}[ice]\napi_keys = [\"a-key-for-programs\"]\n[cluster]\nnats = [\"{nats}\"]\nnode = \"{name}\"\n\
             region = \"{region}\"\nadvertise = [\"turn:127.0.0.1:{port}?transport=udp\"]\n{lines}\n"
        )
    }

    fn start(&self) -> Server {
        Server::start_with(&self.config(), |_| {})
    }
}

/// A broker and two nodes that know each other.
fn pair() -> (Broker, [Server; 2]) {
    let broker = Broker::start("");
    let nodes = ["fra-1", "nyc-1"].map(|name| Node::new(name, &broker).start());
    nodes.iter().for_each(|node| node.until(LIVE, 1));
    (broker, nodes)
}

fn status(server: &Server) -> Value {
    http::get(server.bound.admin[0], "/status").expect_ok().json()["cluster"].take()
}

/// Waits until the state of the cluster, as this node sees it, is as wanted.
fn until(server: &Server, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let clock = Clock::start();
    loop {
        let status = status(server);
        if is_so(&status) {
            return status;
        }
        assert!(clock.now().mono < PATIENCE, "{what}: {status}");
    }
}

/// Runs `work`. Returns the time until `is_so`.
fn measured(work: impl FnOnce(), is_so: impl Fn() -> bool) -> Duration {
    let clock = Clock::start();
    work();
    while !is_so() {
        assert!(clock.now().mono < PATIENCE);
    }
    clock.now().mono
}

/// A client of this node with a credential that another may have issued, and its relayed address.
fn relaying(server: &Server, credential: &(String, String)) -> (Client, SocketAddr) {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    let mut client = Client::with(Link::Udp(socket), credential.clone());
    let relayed = client.granted(&Request::allocate()).relayed();
    (client, relayed)
}

fn allocated(server: &Server, credential: &(String, String)) -> Client {
    relaying(server, credential).0
}

fn revoke(server: &Server, username: &str) {
    let path = format!("/v1/turn/keys/any/credentials/{username}/revoke");
    assert_eq!(http::ask(server.bound.http[0], "POST", &path, &[KEY], "").status, 204);
}

/// Lines of the log with these words.
fn lines(server: &Server, words: &str) -> usize {
    server.log().lines().filter(|line| line.contains(words)).count()
}

#[test]
fn nodes_know_each_other_and_one_that_stops_says_so() {
    let (_broker, [fra, mut nyc]) = pair();
    let seen = until(&fra, "nyc-1", |status| status["nodes"][0]["node"] == "nyc-1");
    let node = &seen["nodes"][0];
    assert_eq!((&node["region"], &node["presence"]), (&"nyc".into(), &"live".into()));
    assert_eq!(node["urls"][0], format!("turn:{}?transport=udp", nyc.bound.udp_v4()));
    assert_eq!((&seen["connected"], &seen["error"]), (&true.into(), &"".into()));
    let credential = nyc.credential("alice");
    let client = allocated(&nyc, &credential);
    until(&fra, "its load", |status| status["nodes"][0]["allocations"] == 1);
    nyc.signal("TERM");
    until(&fra, "it drains", |status| status["nodes"][0]["draining"] == true);
    drop(client);
    nyc.signal("TERM");
    // It is gone at once, and not after five seconds of silence.
    let gone =
        measured(|| assert!(nyc.ended().success()), || status(&fra)["nodes"].as_array().unwrap().is_empty());
    assert!(gone < Duration::from_secs(3), "{gone:?}");
    assert_eq!(fra.logged("node nyc-1 has left the cluster"), 1);
    assert_eq!(fra.logged("the messages of the cluster are not encrypted on the way to nats://"), 1);
}

#[test]
fn a_credential_that_one_node_revokes_ends_on_all_within_a_second() {
    let (_broker, [fra, nyc]) = pair();
    let credential = fra.credential("alice");
    let mut client = allocated(&nyc, &credential);
    let took = measured(|| revoke(&fra, &credential.0), || nyc.metric(ALLOCATIONS) == 0);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(client.asked(&Request::allocate()).code(), 401);
    allocated(&nyc, &fra.credential("bob"));
}

#[test]
fn a_member_that_leaves_loses_its_allocations_on_all_nodes() {
    let (_broker, [fra, nyc]) = pair();
    let [mut ann, bob] = [(); 2].map(|()| Member::join(&fra, "tea"));
    let mut clients = [&ann, &bob].map(|member| allocated(&nyc, &member.credential));
    let took = measured(|| ann.say(r#"{"type":"leave"}"#), || nyc.metric(ALLOCATIONS) == 1);
    assert!(took < AT_ONCE, "{took:?}");
    assert_eq!(clients[0].asked(&Request::refresh(600)).code(), 401);
    assert_eq!(clients[0].asked(&Request::allocate()).code(), 401);
    clients[1].granted(&Request::refresh(600));
    let path = format!("/rooms/tea/members/{}", bob.id);
    let remove = || assert_eq!(http::ask(fra.bound.http[0], "DELETE", &path, &[KEY], "").status, 204);
    assert!(measured(remove, || nyc.metric(ALLOCATIONS) == 0) < AT_ONCE);
}

/// URL of the relay that a client gets, and its credential.
fn offered(server: &Server, headers: &[&str]) -> (String, (String, String)) {
    let ice = http::ask(server.bound.http[0], "GET", "/ice", headers, "").expect_ok().json();
    let entries = ice["iceServers"].as_array().unwrap();
    let turn = entries.iter().find(|entry| entry.get("username").is_some()).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&turn["urls"][0]), (text(&turn["username"]), text(&turn["credential"])))
}

fn url_of(server: &Server) -> String {
    format!("turn:{}?transport=udp", server.bound.udp_v4())
}

#[test]
fn a_client_gets_the_relay_of_its_region_while_that_takes_clients() {
    let broker = Broker::start("");
    let [fra, nyc] = ["fra-1", "nyc-1"].map(|name| {
        let lines = "region_header = \"X-Region\"".to_owned();
        Node { lines, ..Node::new(name, &broker) }.start()
    });
    for node in [&fra, &nyc] {
        node.until(LIVE, 1);
    }
    let (url, credential) = offered(&fra, &["X-Region: NYC"]);
    assert_eq!(url, url_of(&nyc));
    let (mut far, at_nyc) = relaying(&nyc, &credential);
    for headers in [&[][..], &["X-Region: fra"], &["X-Region: mars"], &["X-Region: \u{e4}"]] {
        assert_eq!(offered(&fra, headers).0, url_of(&fra), "{headers:?}");
    }

    // Relay to relay, between two nodes.
    let (mut near, at_fra) = relaying(&fra, &offered(&fra, &[]).1);
    far.granted(&Request::channel_bind(0x4000, at_fra));
    near.granted(&Request::channel_bind(0x4000, at_nyc));
    far.send_on(0x4000, b"from afar");
    assert_eq!(near.receive(), channel_data(0x4000, b"from afar"));
    near.send_on(0x4000, b"from near");
    assert_eq!(far.receive(), channel_data(0x4000, b"from near"));

    nyc.signal("TERM");
    until(&fra, "it drains", |status| status["nodes"][0]["draining"] == true);
    assert_eq!(offered(&fra, &["X-Region: nyc"]).0, url_of(&fra));
}

/// Rooms of a full node go on, with the relay of another.
#[test]
fn a_full_node_sends_its_clients_to_another() {
    let broker = Broker::start("");
    let config = Node::new("fra-1", &broker).config().replace("[quota]", "[quota]\nallocations = 1");
    let (fra, nyc) = (Server::start_with(&config, |_| {}), Node::new("nyc-1", &broker).start());
    for node in [&fra, &nyc] {
        node.until(LIVE, 1);
    }
    let (url, credential) = offered(&fra, &[]);
    assert_eq!(url, url_of(&fra));
    let mut client = allocated(&fra, &credential);
    until(&nyc, "it is full", |status| status["nodes"][0]["full"] == true);
    assert_eq!(offered(&fra, &[]).0, url_of(&nyc));
    allocated(&nyc, &Member::join(&fra, "tea").credential);
    client.granted(&Request::refresh(0));
    until(&nyc, "it has room", |status| status["nodes"][0]["full"] == false);
    assert_eq!(offered(&fra, &[]).0, url_of(&fra));
}

#[test]
fn a_broker_that_dies_is_told_once_and_what_it_missed_is_told_when_it_is_back() {
    let (mut broker, nodes) = pair();
    let [fra, nyc] = &nodes;
    let credential = fra.credential("alice");
    let mut client = allocated(nyc, &credential);
    broker.kill();
    for node in &nodes {
        node.until(CONNECTED, 0);
        assert_eq!(http::get(node.bound.admin[0], "/healthz").status, 200);
        http::get(node.bound.http[0], "/ice").expect_ok();
        node.until(LIVE, 0);
        node.until(r#"byway_cluster_nodes{presence="dead"}"#, 1);
    }
    client.granted(&Request::refresh(600));
    revoke(fra, &credential.0);
    client.granted(&Request::refresh(600));
    broker.begin();
    nyc.until(ALLOCATIONS, 0);
    assert_eq!(client.asked(&Request::allocate()).code(), 401);
    for node in &nodes {
        node.until(LIVE, 1);
        assert_eq!(lines(node, "cannot be reached, so this node goes on alone"), 1);
        assert_eq!(lines(node, "connected to the cluster's broker"), 2);
        assert_eq!(lines(node, "is silent"), 0, "that is not the fault of a node");
        assert_eq!(lines(node, "background task"), 0);
    }
}

/// Its kernel still acknowledges, as where a firewall swallows one direction.
#[test]
fn a_broker_that_stands_still_is_noticed_soon() {
    let (broker, [fra, nyc]) = pair();
    for _ in 0..2 {
        let noticed = measured(|| broker.signal("STOP"), || fra.metric(CONNECTED) == 0);
        assert!(noticed < NOTICED, "{noticed:?}");
        http::get(fra.bound.http[0], "/ice").expect_ok();
        broker.signal("CONT");
        fra.until(CONNECTED, 1);
        nyc.until(CONNECTED, 1);
        fra.until(LIVE, 1);
    }
}

#[test]
fn a_node_starts_without_its_broker_and_joins_later() {
    let mut broker = Broker::absent("");
    let fra = Node::new("fra-1", &broker).start();
    fra.logged("start the broker, correct `nats` under [cluster]");
    assert_eq!(http::get(fra.bound.admin[0], "/healthz").status, 200);
    let alone = until(&fra, "why", |status| status["error"] != "");
    assert_eq!(
        (&alone["connected"], &alone["broker"]),
        (&false.into(), &format!("127.0.0.1:{}", broker.port).into())
    );
    broker.begin();
    fra.until(CONNECTED, 1);
    assert_eq!(until(&fra, "no error", |status| status["connected"] == true)["error"], "");
}

/// SIGTERM does not wait for a broker that does not answer.
#[test]
fn a_node_without_its_broker_stops_at_once() {
    let broker = Broker::start("");
    let mut fra = Node::new("fra-1", &broker).start();
    fra.until(CONNECTED, 1);
    broker.signal("STOP");
    let clock = Clock::start();
    assert!(fra.terminate().success());
    assert!(clock.now().mono < Duration::from_secs(5), "{:?}", clock.now().mono);
}

#[test]
fn threat_60_a_node_with_another_secret_is_refused_and_named() {
    let broker = Broker::start("");
    let fra = Node::new("fra-1", &broker).start();
    let nyc = Node { secret: "another-secret", ..Node::new("nyc-1", &broker) }.start();
    for (node, other) in [(&fra, "nyc-1"), (&nyc, "fra-1")] {
        let seen = until(node, "the stranger", |status| status["strangers"][0] == other);
        assert_eq!(seen["nodes"].as_array().unwrap().len(), 0);
        assert!(seen["rejected"]["unauthenticated"].as_u64() > Some(0));
        let words = format!("messages of node {other} are rejected: they are signed with another secret");
        assert_eq!(node.logged(&words), 1);
    }
    // Revocations of it are no revocations.
    let credential = nyc.credential("alice");
    revoke(&nyc, &credential.0);
    let fras = fra.credential("alice");
    let mut client = allocated(&fra, &fras);
    let before = status(&fra)["rejected"]["unauthenticated"].as_u64();
    until(&fra, "two more", |status| status["rejected"]["unauthenticated"].as_u64() > before.map(|n| n + 2));
    client.granted(&Request::refresh(600));
    // After a reload with the same secret they are one cluster.
    let config = fs::read_to_string(nyc.configuration_path()).unwrap();
    nyc.configure(&config.replace("another-secret", "a-test-secret"));
    nyc.signal("HUP");
    fra.until(LIVE, 1);
    nyc.until(LIVE, 1);
    assert_eq!(status(&fra)["strangers"], Value::Array(Vec::new()));
}

#[test]
fn two_nodes_of_one_name_are_told() {
    let broker = Broker::start("");
    let nodes = [(); 2].map(|()| Node::new("fra-1", &broker).start());
    for node in &nodes {
        node.logged("another running server has the name fra-1 of this node; remedy: set `node`");
        assert_eq!(node.metric(LIVE), 0);
        until(node, "the other of this name", |status| status["name_taken"] == true);
    }
}

/// A party with access to the broker and without the secret.
#[test]
fn threat_60_forged_and_oversized_messages_are_counted_and_change_nothing() {
    let (broker, [fra, nyc]) = pair();
    let forged = br#"{"from":"ams-1","run":"00000000000000ff","n":1,"t":1,"type":"node"}"#;
    let forged = [&b"AAAAAAAAAAAAAAAA\n"[..], forged].concat();
    let payloads = [Vec::new(), b"hello".to_vec(), vec![b'a'; 800_000], vec![0xFF; 1_000], forged];
    for _ in 0..20 {
        broker.publish(&payloads);
    }
    fra.until(r#"byway_cluster_messages_rejected_total{reason="too-large"}"#, 20);
    fra.until(r#"byway_cluster_messages_rejected_total{reason="malformed"}"#, 60);
    fra.until(r#"byway_cluster_messages_rejected_total{reason="unauthenticated"}"#, 20);
    assert_eq!(status(&fra)["strangers"][0], "ams-1");
    assert_eq!(lines(&fra, "are rejected"), 3, "one line for each reason");
    for node in [&fra, &nyc] {
        assert_eq!(node.metric(LIVE), 1);
    }
}

/// A user with a password, and one with an nkey; both may use one subject alone.
#[test]
fn nodes_present_their_credentials() {
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
    let may = "permissions: { publish: \"byway.v1.>\", subscribe: \"byway.v1.>\" }";
    let broker = Broker::start(&format!(
        "authorization {{ users: [ {{ user: byway, password: hunter2secret, {may} }}, {{ nkey: {PUBLIC}, {may} }} ] }}"
    ));
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &'static str, content: &str| {
        let path: PathBuf = folder.path().join(format!("{name}.credentials"));
        fs::write(&path, content).unwrap();
        Node { lines: format!("credentials_file = {path:?}"), ..Node::new(name, &broker) }.start()
    };
    let (fra, nyc) = (with("fra-1", "byway:hunter2secret\n"), with("nyc-1", SEED));
    fra.until(LIVE, 1);
    nyc.until(LIVE, 1);

    let wrong = with("ams-1", "byway:not-the-password\n");
    wrong.logged("remedy: give this node credentials that the broker knows");
    let none = Node::new("lax-1", &broker).start();
    none.logged("remedy: give this node credentials that the broker knows");
    for node in [&fra, &nyc, &wrong, &none] {
        let told = format!("{}{}", node.log(), status(node));
        assert!(
            !told.contains("hunter2secret") && !told.contains("not-the-password") && !told.contains(SEED)
        );
        http::get(node.bound.http[0], "/ice").expect_ok();
    }
    assert_eq!(lines(&wrong, "cannot be reached"), 1, "however often it tries");
}

/// A user that may not use the subject.
#[test]
fn a_broker_that_forbids_the_subject_is_told() {
    let may = "permissions: { publish: \"other.>\", subscribe: \"other.>\" }";
    let broker =
        Broker::start(&format!("authorization {{ users: [ {{ user: byway, password: pw, {may} }} ] }}"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("credentials");
    fs::write(&path, "byway:pw").unwrap();
    let fra = Node { lines: format!("credentials_file = {path:?}"), ..Node::new("fra-1", &broker) }.start();
    fra.logged("remedy: let the user of this node publish and subscribe to byway.v1.>");
}

/// A broker with TLS, whose authority the system trusts or does not.
#[test]
fn nodes_verify_the_certificate_of_the_broker() {
    let (chain, folder) = (Chain::new(), Folder::with(&Pair::new()));
    folder.write("cert.pem", &chain.whole());
    folder.write("key.pem", &chain.key);
    folder.write("ca.pem", &chain.issuer);
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| folder.path(name).display().to_string());
    let broker = Broker::start(&format!("tls {{ cert_file: \"{cert}\", key_file: \"{key}\" }}"));
    let url = |scheme: &str, host: &str| format!("{scheme}://{host}:{}", broker.port);
    let start = |name, nats, trusts: bool| {
        let node = Node { nats, ..Node::new(name, &broker) };
        let roots = folder.path("ca.pem");
        Server::start_with(&node.config(), |command| {
            if trusts {
                command.env("SSL_CERT_FILE", roots);
            }
        })
    };
    let good = start("fra-1", url("tls", "localhost"), true);
    good.until(CONNECTED, 1);
    // Its broker demands it.
    let plain = start("nyc-1", url("nats", "localhost"), true);
    plain.until(LIVE, 1);
    for (name, nats, trusts) in
        [("ams-1", url("tls", "localhost"), false), ("lax-1", url("tls", "127.0.0.1"), true)]
    {
        let bad = start(name, nats, trusts);
        bad.logged("remedy: give the broker a certificate for the name in `nats`");
        assert_eq!(bad.metric(CONNECTED), 0);
    }
    assert_eq!(good.metric(LIVE), 1);
}

/// Two brokers, of which the node uses one that answers.
#[test]
fn a_node_goes_to_another_broker() {
    let (mut first, second) = (Broker::start(""), Broker::start(""));
    let nats = format!("{}\", \"{}", first.url(), second.url());
    let fra = Node { nats, ..Node::new("fra-1", &first) }.start();
    fra.until(CONNECTED, 1);
    assert_eq!(status(&fra)["broker"], format!("127.0.0.1:{}", first.port));
    first.kill();
    until(&fra, "the other", |status| {
        status["connected"] == true && status["broker"] == format!("127.0.0.1:{}", second.port)
    });
}
