//! Webhooks, by the binary and receivers that are good, dead, slow, hostile or redirect.

mod sink;

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::certificates;
use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::process::{CONFIG, Server, free_port};
use byway_test_support::turn::Request;

use self::sink::{SECRET, Sink, answer};

/// Log line about a receiver that gets nothing.
const DOWN: &str = "the receiver of webhooks gets no deliveries";

fn config(receiver: SocketAddr) -> String {
    format!("{}[webhooks]\nurl = \"http://{receiver}/hook?key=t0ken\"\nsecret = \"{SECRET}\"\n", unlimited())
}

/// Configuration without a limit of joins.
fn unlimited() -> String {
    format!("{CONFIG}[signaling]\njoins_per_second = 0\n")
}

fn serve(receiver: SocketAddr) -> Server {
    Server::start_with(&config(receiver), |_| {})
}

fn attempts(outcome: &str) -> String {
    format!("byway_webhook_attempts_total{{outcome=\"{outcome}\"}}")
}

fn dropped(reason: &str) -> String {
    format!("byway_webhook_deliveries_dropped_total{{reason=\"{reason}\"}}")
}

/// Allocates as a member, and returns the client.
fn allocate(server: &Server, member: &Member) -> Client {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    let mut client = Client::with(Link::Udp(socket), member.credential.clone());
    client.granted(&Request::allocate());
    client
}

#[test]
fn rooms_members_and_allocations_are_reported_with_their_usage() {
    let sink = Sink::good();
    let server = serve(sink.address);
    let mut ann = Member::join(&server, "tea");
    assert_eq!(sink.next_of("room.opened")["room"], "tea");
    let joined = sink.next_of("member.joined");
    assert_eq!((&joined["room"], &joined["member"]), (&"tea".into(), &ann.id.clone().into()));
    assert_eq!(joined["viewer"], false);

    let mut client = allocate(&server, &ann);
    let began = sink.next_of("allocation.began");
    assert_eq!(began["user"], joined["user"], "both have the name of the credential");
    assert_eq!(began["transport"], "udp");
    let peer = socket(LOOPBACK[0]);
    client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
    for _ in 0..3 {
        client.send_on(0x4000, b"payload");
        assert_eq!(receive(&peer).0, b"payload");
    }

    ann.say(r#"{"type":"leave"}"#);
    let mut rest: Vec<_> = (0..3).map(|_| sink.next().verified()).collect();
    rest.sort_by_key(|message| message["type"].to_string());
    let [ended, left, closed] = &rest[..] else { panic!("three messages") };
    assert_eq!((&left["type"], &left["reason"]), (&"member.left".into(), &"left".into()));
    assert_eq!((&closed["type"], &closed["room"]), (&"room.closed".into(), &"tea".into()));
    assert_eq!((&ended["allocation"], &ended["reason"]), (&began["allocation"], &"revoked".into()));
    assert_eq!(ended["usage"]["to_peer"], serde_json::json!({"packets": 3, "bytes": 21}));
    assert!(sink.is_empty());
    assert!(!server.log().contains("t0ken") && !server.log().contains(SECRET));
}

#[test]
fn threat_58_a_failed_delivery_is_sent_again_as_it_was() {
    let sink = Sink::start(|count, stream| match count {
        0 => answer(stream, "500 Internal Server Error", ""),
        1 => answer(stream, "429 Too Many Requests", "Retry-After: 1\r\n"),
        _ => answer(stream, "200 OK", ""),
    });
    let server = serve(sink.address);
    let _ann = Member::join(&server, "tea");
    let first = sink.next();
    for _ in 0..2 {
        let again = sink.next();
        assert_eq!(again.verified(), first.verified());
        assert_eq!(again.body, first.body);
    }
    assert_eq!(sink.next().verified()["type"], "member.joined");
    server.until(&attempts("delivered"), 2);
    assert_eq!(server.metric(&attempts("failed")), 2);
    assert_eq!(
        server.logged("the receiver of webhooks"),
        1,
        "recovery within a minute has no line of its own"
    );
}

#[test]
fn threat_58_a_redirect_is_not_followed() {
    let elsewhere = Sink::good();
    let location = format!("Location: http://{}/\r\n", elsewhere.address);
    let sink = Sink::start(move |_, stream| answer(stream, "307 Temporary Redirect", &location));
    let server = serve(sink.address);
    let _ann = Member::join(&server, "tea");
    server.until(&attempts("redirected"), 2);
    server.until(&dropped("refused"), 2);
    assert!(elsewhere.is_empty());
    assert_eq!(server.logged("redirects, which is not followed"), 1);
}

#[test]
fn threat_58_a_hostile_answer_ends_with_its_bounds() {
    let sink = Sink::start(|count, stream| match count {
        // A body without end: the status has arrived, and counts.
        0 => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            while stream.write_all(b"400\r\n").and_then(|()| stream.write_all(&[b'x'; 0x400])).is_ok()
                && stream.write_all(b"\r\n").is_ok()
            {}
        }
        // A head without end.
        1 => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            while stream.write_all(b"X-More: of the same\r\n").is_ok() {}
        }
        // No HTTP.
        2 => {
            let _ = stream.write_all(b"\x16\x03\x01\x00\x05hello\r\n\r\n");
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        _ => answer(stream, "204 No Content", ""),
    });
    let server = serve(sink.address);
    let before = server.memory();
    let _ann = Member::join(&server, "tea");
    server.until(&attempts("delivered"), 2);
    assert_eq!(server.metric(&attempts("failed")), 2);
    assert!(server.memory() < before + (16 << 20), "answers are bounded");
}

/// Neither a port that nobody has nor a receiver that never answers delays anyone else.
#[test]
fn threat_58_a_dead_or_slow_receiver_changes_nothing_else() {
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let dead = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let nowhere = Server::start_with(&unlimited(), |_| {});
    let clock = Clock::start();
    let times: Vec<Duration> = [&serve(dead), &serve(slow.local_addr().unwrap()), &nowhere]
        .into_iter()
        .map(|server| {
            let began = clock.now().mono;
            for n in 0..200 {
                let mut member = Member::join(server, &format!("room-{n}"));
                if n % 10 == 0 {
                    let mut client = allocate(server, &member);
                    client.granted(&Request::refresh(0));
                }
                member.say(r#"{"type":"leave"}"#);
            }
            server.until("byway_rooms", 0);
            server.until("byway_allocations", 0);
            clock.now().mono - began
        })
        .collect();
    let [dead, slow, none] = times[..] else { panic!("three servers") };
    let most = 3 * none + Duration::from_secs(2);
    assert!(dead < most && slow < most, "dead {dead:?}, slow {slow:?}, none {none:?}");
}

#[test]
fn a_dead_receiver_has_one_line_and_gets_all_once_a_reload_names_another() {
    let dead = SocketAddr::from(([127, 0, 0, 1], free_port()));
    let server = serve(dead);
    let _ann = Member::join(&server, "tea");
    server.until_counted(&attempts("unreachable"));
    server.until("byway_webhook_deliveries_waiting", 2);
    assert_eq!(server.logged(DOWN), 1);

    let sink = Sink::good();
    server.configure(&config(sink.address));
    server.signal("HUP");
    assert_eq!(server.logged("webhooks.url"), 1);
    assert_eq!(sink.next().verified()["type"], "room.opened");
    assert_eq!(sink.next().verified()["type"], "member.joined");

    // Without a URL nothing is sent, and the page has no counters of it.
    server.configure(CONFIG);
    server.signal("HUP");
    while server.logged("webhooks.url") < 2 {}
    let _bob = Member::join(&server, "coffee");
    assert!(sink.is_empty());
}

/// The receiver is another server's TLS listener, which refuses the path.
#[test]
fn threat_58_the_certificate_of_a_receiver_is_checked() {
    let (receiver, _, folder) = certificates::server();
    let url = format!("https://localhost:{}/hook", receiver.bound.tls().port());
    let config = format!("{CONFIG}[webhooks]\nurl = \"{url}\"\nsecret = \"{SECRET}\"\n");
    for (roots, outcome) in [("cert.pem", "refused"), ("none.pem", "unreachable")] {
        let server =
            Server::start_with(&config, |command| _ = command.env("SSL_CERT_FILE", folder.path(roots)));
        let _ann = Member::join(&server, "tea");
        server.until_counted(&attempts(outcome));
    }
}
