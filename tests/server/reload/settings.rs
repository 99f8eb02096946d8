//! Settings of every section, each observed through its protocol before and after a reload.

use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::http::{ask, get};
use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::process::tls::{connect, trusting};
use byway_test_support::process::{SECRET, Server};
use byway_test_support::turn::Request;

use super::{alice, client, credential, reloaded, replaced, with_socket};

const NEW: &str = "a-secret-of-tomorrow";

/// A rotation in three steps: add the new secret in front, let the old one verify for a while, drop
/// it. Calls under the old one go on throughout.
#[test]
fn a_rotation_of_secrets_cuts_no_call() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let mut old = alice(&server);
    old.granted(&Request::allocate());
    let mut member = Member::join(&server, "tea");
    let both = replaced(&text, "[\"a-test-secret\"]", "[\"a-secret-of-tomorrow\", \"a-test-secret\"]");
    assert!(reloaded(&server, &both).contains("in force: credentials.secrets\n"));
    // Members learn of it at once, under the same name.
    let before = member.credential.0.clone();
    member.hear_ice();
    let name = |username: &str| username.split_once(':').unwrap().1.to_owned();
    assert_eq!(name(&member.credential.0), name(&before));
    let relays = |server: &Server, credential: (String, String)| {
        let socket = socket(LOOPBACK[0]);
        socket.connect(server.bound.udp_v4()).unwrap();
        Client::with(Link::Udp(socket), credential).asked(&Request::allocate()).code()
    };
    assert_eq!(relays(&server, member.credential.clone()), 0);
    assert_eq!([relays(&server, credential("a", NEW)), relays(&server, credential("b", SECRET))], [0, 0]);

    reloaded(&server, &replaced(&text, "a-test-secret", NEW));
    assert_eq!([relays(&server, credential("a", NEW)), relays(&server, credential("b", SECRET))], [0, 401]);
    old.granted(&Request::refresh(600));
    // A member that leaves takes its allocations along, whichever secret it came under.
    server.until("byway_allocations", 5);
    member.say(r#"{"type":"leave"}"#);
    server.until("byway_allocations", 4);
    old.granted(&Request::refresh(0));
}

#[test]
fn static_users_come_change_and_go() {
    let user =
        |password: &str| with_socket(&format!("[[users]]\nname = \"camera\"\npassword = \"{password}\"\n"));
    let server = Server::start_with(&with_socket(""), |_| {});
    let camera = |password: &str| {
        let socket = socket(LOOPBACK[0]);
        socket.connect(server.bound.udp_v4()).unwrap();
        Client::with(Link::Udp(socket), ("camera".to_owned(), password.to_owned()))
    };
    assert_eq!(camera("geheim").asked(&Request::allocate()).code(), 401);
    assert!(reloaded(&server, &user("geheim")).contains("in force: users\n"));
    let mut first = camera("geheim");
    first.granted(&Request::allocate());
    // A changed password is a rotation.
    reloaded(&server, &user("another"));
    first.granted(&Request::refresh(600));
    camera("another").granted(&Request::allocate());
    assert_eq!(camera("geheim").asked(&Request::allocate()).code(), 401);
    // A user that is removed is shut out at once.
    reloaded(&server, &with_socket(""));
    server.until("byway_allocations", 0);
    assert_eq!(camera("another").asked(&Request::allocate()).code(), 401);
}

#[test]
fn quotas_of_the_relay_hold_from_now_on() {
    let limited = |limits: &str| with_socket(limits);
    let server = Server::start_with(&limited("allocations_per_user = 1\n"), |_| {});
    let mut first = alice(&server);
    first.granted(&Request::allocate());
    assert_eq!(alice(&server).asked(&Request::allocate()).code(), 486);
    reloaded(&server, &limited("allocations_per_user = 3\n"));
    alice(&server).granted(&Request::allocate());
    assert!(reloaded(&server, &limited("allocations = 2\n")).contains("quota.allocations"));
    assert_eq!(client(&server, "bob", SECRET).asked(&Request::allocate()).code(), 508);
    first.granted(&Request::refresh(600));
    reloaded(&server, &limited(""));
    client(&server, "bob", SECRET).granted(&Request::allocate());

    // A cap on bandwidth binds calls that go on: the second of these is beyond it.
    let peer = socket(LOOPBACK[0]);
    let at = peer.local_addr().unwrap();
    first.granted(&Request::channel_bind(0x4000, at));
    reloaded(&server, &limited("bandwidth_per_allocation = \"64KiB\"\n"));
    let beyond = "byway_dropped_packets_total{reason=\"bandwidth\"}";
    server.until(beyond, 0);
    for _ in 0..2 {
        first.send_on(0x4000, &[7; 60_000]);
    }
    server.until(beyond, 1);
    assert_eq!(receive(&peer).0.len(), 60_000);
    let few = replaced(&limited(""), "unauthenticated_per_second = 0", "unauthenticated_per_second = 1");
    reloaded(&server, &few);
    let refused = "byway_dropped_packets_total{reason=\"stranger_budget\"}";
    for _ in 0..8 {
        first.send(&Request::binding().encode([9; 12], None));
    }
    server.until_counted(refused);
}

#[test]
fn a_peer_that_is_denied_now_gets_nothing_more() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let peer = socket(LOOPBACK[0]);
    let at = peer.local_addr().unwrap();
    let mut client = alice(&server);
    client.granted(&Request::allocate());
    client.granted(&Request::channel_bind(0x4000, at));
    client.send_on(0x4000, b"before");
    assert_eq!(receive(&peer).0, b"before");
    let closed = replaced(&text, "allow = [\"127.0.0.1/32\", \"::1/128\"]", "allow = []");
    assert!(reloaded(&server, &closed).contains("in force: peers.allow\n"));
    assert_eq!(client.asked(&Request::channel_bind(0x4001, at)).code(), 403);
    // The shards enforce it within a round.
    let dropped = "byway_dropped_packets_total{reason=\"no_channel\"}";
    while server.metric(dropped) == 0 {
        client.send_on(0x4000, b"after");
    }
    reloaded(&server, &text);
    client.granted(&Request::channel_bind(0x4000, at));
}

#[test]
fn the_realm_is_that_of_the_next_challenge() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let mut old = alice(&server);
    old.granted(&Request::allocate());
    let challenge = || {
        let client = alice(&server);
        client.send(&Request::allocate().encode([3; 12], None));
        client.receive()
    };
    let names =
        |challenge: &[u8], realm: &str| challenge.windows(realm.len()).any(|part| part == realm.as_bytes());
    assert!(names(&challenge(), "byway.test"));
    assert!(
        reloaded(&server, &replaced(&text, "byway.test", "other.test"))
            .contains("in force: realm, tokens.audience")
    );
    assert!(names(&challenge(), "other.test"));
    old.granted(&Request::refresh(600));
}

#[test]
fn pages_get_the_settings_of_ice_and_of_access() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let http = server.bound.http[0];
    let ice = || get(http, "/ice").expect_ok().json();
    assert_eq!((ice()["ttl"].as_u64(), ice()["iceTransportPolicy"].as_str()), (Some(600), Some("all")));
    let more = "[ice]\ntransport_policy = \"relay\"\nurls = [\"turn:turn.example.org:3478\"]\n";
    reloaded(&server, &(replaced(&text, "[credentials]", "[credentials]\nttl = \"5m\"") + more));
    let now = ice();
    assert_eq!((now["ttl"].as_u64(), now["iceTransportPolicy"].as_str()), (Some(300), Some("relay")));
    assert_eq!(now["iceServers"][0]["urls"][0], "turn:turn.example.org:3478");

    let key = "Authorization: Bearer a-key-for-programs";
    let closed = "[ice]\naccess = \"token\"\napi_keys = [\"a-key-for-programs\"]\n[tokens]\nsecrets = [\"north-north\"]\n";
    assert!(reloaded(&server, &(text.clone() + closed)).contains("ice.access"));
    assert_eq!((get(http, "/ice").status, ask(http, "GET", "/ice", &[key], "").status), (401, 200));
    let invited = || {
        server
            .command()
            .args(["invite", "--room", "tea", "--json", "--url", "https://a.example.org"])
            .output()
            .unwrap()
    };
    let with_token = |invited: &std::process::Output| {
        let json: serde_json::Value = serde_json::from_slice(&invited.stdout).unwrap();
        let bearer = format!("Authorization: Bearer {}", json["token"].as_str().unwrap());
        ask(http, "GET", "/ice", &[&bearer], "").status
    };
    let invitation = invited();
    assert_eq!(with_token(&invitation), 200);
    reloaded(&server, &(text.clone() + &closed.replace("north-north", "south-south")));
    assert_eq!((with_token(&invitation), with_token(&invited())), (401, 200));
    reloaded(&server, &text);
    assert_eq!((get(http, "/ice").status, ask(http, "GET", "/ice", &[key], "").status), (200, 401));
}

#[test]
fn hosts_origins_proxies_and_rates_of_pages_follow() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let http = server.bound.http[0];
    let by_name = || {
        let request = "GET /ice HTTP/1.1\r\nHost: call.example.org\r\nConnection: close\r\n\r\n";
        byway_test_support::process::http::exchange(http, request).status
    };
    let of_page = || ask(http, "GET", "/ice", &["Origin: https://app.example.org"], "").status;
    assert_eq!((by_name(), of_page()), (421, 403));
    let more = "[http]\nhosts = [\"call.example.org\"]\n[signaling]\nallowed_origins = [\"https://app.example.org\"]\n";
    assert!(
        reloaded(&server, &(text.clone() + more))
            .contains("in force: http.hosts, signaling.allowed_origins\n")
    );
    assert_eq!((by_name(), of_page()), (200, 200));
    reloaded(&server, &(text.clone() + "[signaling]\njoins_per_second = 1\n"));
    assert_eq!((by_name(), of_page()), (421, 403));
    let statuses: Vec<u16> = (0..20).map(|_| get(http, "/ice").status).collect();
    assert!(statuses.contains(&429) && statuses[0] == 200, "{statuses:?}");

    // Connections now begin with a header, from a listed proxy alone.
    let proxied = replaced(
        &text,
        "[listen]",
        "[listen]\nproxy_protocol = [\"http\"]\ntrusted_proxies = [\"127.0.0.1\"]",
    );
    reloaded(&server, &proxied);
    let by_proxy = "PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\nGET /ice HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n";
    let exchange = byway_test_support::process::http::exchange;
    assert_eq!(exchange(http, by_proxy).status, 200);
    assert_eq!(server.metric("byway_proxy_headers_total{outcome=\"client\"}"), 1);
    reloaded(&server, &text);
    get(http, "/ice").expect_ok();
}

#[test]
fn limits_of_rooms_hold_for_those_who_come_now() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let (first, second) = (Member::join(&server, "tea"), Member::join(&server, "tea"));
    reloaded(
        &server,
        &(text.clone() + "[signaling]\nmax_members = 2\nmax_rooms = 1\nresume_window = \"0s\"\n"),
    );
    let refused = |room: &str| {
        let mut socket = byway_test_support::process::member::connect(&server);
        let join = format!("{{\"type\":\"join\",\"room\":\"{room}\"}}");
        socket.send(tokio_tungstenite::tungstenite::Message::Text(join.into())).unwrap();
        byway_test_support::process::member::hear(&mut socket)["code"].as_str().unwrap().to_owned()
    };
    assert_eq!([refused("tea"), refused("cake")], ["room-full", "too-many-rooms"]);
    // Without a window to resume in, a lost member has left.
    second.lose();
    server.until("byway_members", 1);
    reloaded(&server, &text);
    Member::join(&server, "cake");
    drop(first);
}

#[test]
fn the_drain_is_the_one_of_the_last_reload() {
    let text = replaced(&with_socket(""), "[relay]", "[relay]\ndrain = \"1h\"");
    let mut server = Server::start_with(&text, |_| {});
    alice(&server).granted(&Request::allocate());
    assert!(reloaded(&server, &replaced(&text, "\"1h\"", "\"0s\"")).contains("in force: relay.drain\n"));
    assert!(server.terminate().success());
    assert!(!server.log().contains("draining"), "{}", server.log());
}

/// TLS is turned on, gets a certificate from other files, and is turned off.
#[test]
fn threat_26_a_certificate_comes_changes_its_files_and_goes() {
    let (one, other) = (Pair::new(), Pair::new());
    let (first, second) = (Folder::with(&one), Folder::with(&other));
    let plain = with_socket("");
    let server = Server::start_with(&plain, |_| {});
    let with = |folder: &Folder| {
        let files =
            format!("[tls]\ncert = {:?}\nkey = {:?}\n", folder.path("cert.pem"), folder.path("key.pem"));
        replaced(&plain, "[listen]", "[listen]\ntls = [\"127.0.0.1:0\"]") + &files
    };
    assert!(reloaded(&server, &with(&first)).contains("in force: listen.tls, tls.cert, tls.key\n"));
    let tls = server.listening_again().tls();
    let mut call = connect(&trusting(&one, &["stun.turn"]), tls).unwrap();
    reloaded(&server, &with(&second));
    assert!(connect(&trusting(&one, &[]), tls).is_err());
    connect(&trusting(&other, &[]), tls).unwrap();
    assert_eq!(server.metric("byway_certificate_loads_total{outcome=\"loaded\"}"), 2);

    // Files that do not match are refused with the place of the key that names them.
    first.write("key.pem", &other.key);
    let refused = super::told(&server.reload(&with(&first)), 1);
    assert!(refused.contains("`tls.key`") && refused.contains("the key does not match"), "{refused}");
    connect(&trusting(&other, &[]), tls).unwrap();
    // The same files, damaged later, leave the certificate and hold back no other setting.
    second.write("key.pem", &one.key);
    let kept = super::told(&server.reload(&(with(&second) + "[http]\nhosts = [\"a.example.org\"]\n")), 1);
    assert!(
        kept.contains("in force: http.hosts\n") && kept.contains("the last good certificate is kept"),
        "{kept}"
    );
    connect(&trusting(&other, &[]), tls).unwrap();

    reloaded(&server, &plain);
    assert!(std::net::TcpStream::connect(tls).is_err());
    byway_test_support::process::tls::binding(&mut call);
}
