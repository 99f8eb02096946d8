//! Told to stop, the server lets nobody new in and waits for the calls that are on.

use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use byway::clock::Clock;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::member::{self, Member};
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::process::{CONFIG, Server, http};
use byway_test_support::turn::{Request, channel_data};
use serde_json::json;

/// A server that waits so long.
fn server(drain: &str) -> Server {
    Server::start_with(&config(drain), |_| {})
}

fn config(drain: &str) -> String {
    CONFIG.replace("shards = 2\n", &format!("shards = 2\ndrain = {drain:?}\n"))
}

/// A client in a call with its peer.
struct Call {
    client: Client,
    peer: UdpSocket,
    relayed: SocketAddr,
}

impl Call {
    fn new(server: &Server) -> Self {
        Self::with(Client::of(server, server.bound.udp_v4()))
    }

    fn of(server: &Server, member: &Member) -> Self {
        let socket = socket(LOOPBACK[0]);
        socket.connect(server.bound.udp_v4()).unwrap();
        Self::with(Client::with(Link::Udp(socket), member.credential.clone()))
    }

    fn with(mut client: Client) -> Self {
        let peer = socket(LOOPBACK[0]);
        let relayed = client.granted(&Request::allocate()).relayed();
        client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
        let call = Self { client, peer, relayed };
        call.goes_on();
        call
    }

    fn goes_on(&self) {
        self.client.send_on(0x4000, b"there");
        assert_eq!(receive(&self.peer).0, b"there");
        self.peer.send_to(b"back", self.relayed).unwrap();
        assert_eq!(self.client.receive(), channel_data(0x4000, b"back"));
    }
}

#[test]
fn a_call_goes_on_and_the_end_comes_with_its_own() {
    let mut server = server("1h");
    let mut call = Call::new(&server);
    server.signal("TERM");
    server.logged("draining: waiting up to 3600s for calls to end, allocations=1;");
    call.goes_on();
    call.client.granted(&Request::refresh(600));
    call.client.granted(&Request::permission("127.0.0.1:9".parse().unwrap()));
    call.client.granted(&Request::channel_bind(0x4001, "127.0.0.1:9".parse().unwrap()));

    let mut late = Client::of(&server, server.bound.udp_v4());
    assert_eq!(late.asked(&Request::allocate()).code(), 508);
    // Counted once it is sent.
    server.until("byway_draining_refusals_total", 1);
    server.until(r#"byway_turn_errors_total{code="508"}"#, 1);
    let health = http::get(server.bound.admin[0], "/healthz");
    assert_eq!((health.status, health.text()), (503, "draining\n"));
    let ice = http::get(server.bound.http[0], "/ice");
    assert_eq!((ice.status, ice.header("content-type")), (503, Some("application/problem+json")));
    let wait: u64 = ice.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&wait));
    assert_eq!(http::get(server.bound.http[0], "/").status, 200, "pages are there to the end");

    call.goes_on();
    call.client.granted(&Request::refresh(0));
    let status = server.ended();
    assert!(status.success(), "{status}");
    assert_eq!(server.logged("draining"), 1);
}

/// A member that is sent away has not left: its call goes on as long as others, however long it
/// cannot come back, and nobody is told that it has gone.
#[test]
fn members_are_sent_away_and_their_calls_go_on() {
    let config = format!("{}[signaling]\nresume_window = \"1s\"\n", config("1h"));
    let mut server = Server::start_with(&config, |_| {});
    let mut members = [(); 3].map(|()| Member::join(&server, "tea"));
    let mut calls = members.each_ref().map(|member| Call::of(&server, member));
    for (member, newcomers) in members.iter_mut().zip([2, 1, 0]) {
        (0..newcomers).for_each(|_| assert_eq!(member.hear()["type"], "peer-joined"));
    }
    let [ann, bob, lost] = members;
    lost.lose();
    server.until("byway_members_absent", 1);
    server.signal("TERM");
    let bye = json!({"type": "bye", "code": "shutting-down", "retry_ms": 1000});
    for mut member in [ann, bob] {
        assert_eq!(member.hear(), bye);
        assert_eq!(member.closed(), (1001, "shutting-down".to_owned()));
    }
    // One that comes meanwhile gets no further.
    let mut late = member::connect(&server);
    assert_eq!(member::hear(&mut late), bye);
    assert_eq!(member::closed(&mut late), (1001, "shutting-down".to_owned()));

    // Longer than the window of the one whose connection was lost.
    let clock = Clock::start();
    while clock.now().mono < Duration::from_millis(1500) {
        calls.iter().for_each(Call::goes_on);
    }
    for call in &mut calls {
        call.client.granted(&Request::refresh(600));
    }
    assert_eq!(server.metric("byway_allocations_revoked_total"), 0);
    for call in &mut calls {
        call.client.granted(&Request::refresh(0));
    }
    assert!(server.ended().success());
}

#[test]
fn a_second_signal_ends_it() {
    for second in ["TERM", "INT"] {
        let mut server = server("1h");
        let call = Call::new(&server);
        server.signal("TERM");
        server.logged("draining");
        call.goes_on();
        server.signal(second);
        let status = server.ended();
        assert!(status.success(), "{status}");
        assert_eq!(server.logged("second signal received, allocations=1"), 1);
    }
}

#[test]
fn it_waits_no_longer_than_it_was_told_to() {
    let mut server = server("1s");
    let call = Call::new(&server);
    let clock = Clock::start();
    server.signal("TERM");
    server.logged("draining");
    call.goes_on();
    let status = server.ended();
    assert!(status.success(), "{status}");
    assert!(clock.now().mono >= Duration::from_secs(1), "it has waited");
    assert_eq!(server.logged("drain timeout reached, allocations=1"), 1);
}

#[test]
fn without_a_call_there_is_nothing_to_wait_for() {
    let mut server = server("1h");
    let mut call = Call::new(&server);
    call.client.granted(&Request::refresh(0));
    let status = server.terminate();
    assert!(status.success(), "{status}");
    assert!(!server.log().contains("draining"), "{}", server.log());
}

#[test]
fn ctrl_c_ends_it_at_once_and_so_does_any_signal_where_it_is_to_wait_for_no_one() {
    for (drain, signal) in [("1h", "INT"), ("0s", "TERM"), ("0s", "INT")] {
        let mut server = server(drain);
        let call = Call::new(&server);
        server.signal(signal);
        let status = server.ended();
        assert!(status.success(), "{drain} {signal}: {status}");
        assert!(!server.log().contains("draining"), "{}", server.log());
        drop(call);
    }
}

/// A service manager gives a service so long to stop and then kills it, unless it says that it
/// needs more.
#[test]
fn the_service_manager_is_told_how_long_it_may_take() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket is bound");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a read timeout is set");
    let told = || {
        let mut message = [0; 4096];
        let length = uninterrupted(|| manager.recv(&mut message)).expect("it is told something");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    let mut server = Server::start_with(&config("1h"), |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    assert!(told().contains("READY=1"));
    let mut call = Call::new(&server);
    server.signal("TERM");
    assert_eq!(told().trim(), "STOPPING=1");
    let draining = told();
    let longest = draining.lines().find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC=")).unwrap();
    let longest = Duration::from_micros(longest.parse().unwrap());
    assert!(longest > Duration::from_secs(3600) && longest < Duration::from_secs(3660), "{longest:?}");
    assert!(draining.contains("STATUS=Draining; allocations at SIGTERM: 1"), "{draining}");
    call.client.granted(&Request::refresh(0));
    assert!(server.ended().success());
}
