//! The operator's pages about allocations and users: traffic, refusals, and the end of one.

use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use byway_test_support::process::http::{ask, ask_unix, get};
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, channel_data};
use serde_json::{Value, json};

const ALLOCATIONS: &str = "byway_allocations";

/// A server with a Unix socket beside its admin listener.
fn start() -> (Server, PathBuf) {
    let admin = "admin = [\"127.0.0.1:0\", \"unix:admin.sock\"]";
    let server = Server::start_with(&CONFIG.replace("admin = [\"127.0.0.1:0\"]", admin), |_| {});
    let socket = server.configuration_path().with_file_name("admin.sock");
    (server, socket)
}

fn over_udp(server: &Server, user: &str) -> Client {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    Client::with(Link::Udp(socket), server.credential(user))
}

fn over_tcp(server: &Server, user: &str) -> Client {
    let socket = TcpStream::connect(server.bound.tcp_v4()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client::with(Link::Tcp(socket), server.credential(user))
}

fn allocations(server: &Server, query: &str) -> Value {
    get(server.bound.admin[0], &format!("/allocations{query}")).expect_ok().json()
}

/// Traffic as the pages show it.
fn traffic(packets: u64, bytes: u64) -> Value {
    json!({ "packets": packets, "bytes": bytes })
}

/// The row of a user, once it has ended allocations: events are consumed a moment later.
fn user(server: &Server, name: &str, ended: u64) -> Value {
    loop {
        let usage = get(server.bound.admin[0], "/usage").expect_ok().json();
        let users = usage["users"].as_array().unwrap();
        if let Some(row) = users.iter().find(|row| row["user"] == name && row["ended"] == ended) {
            return row.clone();
        }
        std::thread::yield_now();
    }
}

#[test]
fn the_operator_sees_whose_traffic_it_is_while_it_flows_and_afterwards() {
    let (server, admin) = start();
    let peer = socket(LOOPBACK[0]);
    let peers = peer.local_addr().unwrap();
    let (mut ann, mut bob) = (over_udp(&server, "ann"), over_tcp(&server, "bob"));
    let of_ann = ann.granted(&Request::allocate()).relayed();
    ann.granted(&Request::channel_bind(0x4000, peers));
    let of_bob = bob.granted(&Request::allocate()).relayed();
    assert_eq!(bob.asked(&Request::permission("10.0.0.1:9".parse().unwrap())).code(), 403);
    for _ in 0..3 {
        ann.send_on(0x4000, &[7; 100]);
        receive(&peer);
    }
    peer.send_to(&[8; 50], of_ann).unwrap();
    assert_eq!(ann.receive(), channel_data(0x4000, &[8; 50]));
    // Ann and bob to each other, in memory, whichever shards they are on.
    ann.granted(&Request::channel_bind(0x4001, of_bob));
    bob.granted(&Request::channel_bind(0x4001, of_ann));
    ann.send_on(0x4001, &[9; 12]);
    assert_eq!(bob.receive(), channel_data(0x4001, &[9; 12]));
    // Without a channel or permission.
    bob.send_on(0x4005, b"nowhere!");
    bob.granted(&Request::refresh(600));

    let listing = allocations(&server, "");
    assert_eq!(listing["total"], 2, "{listing}");
    let [first, second] = [0, 1].map(|n| &listing["allocations"][n]);
    assert_eq!((&first["user"], &first["transport"]), (&json!("ann"), &json!("udp")), "the most bytes first");
    assert_eq!((&first["to_peer"], &first["to_client"]), (&traffic(4, 312), &traffic(1, 50)));
    assert_eq!((&first["permissions"], &first["channels"]), (&json!(1), &json!(2)), "one address");
    assert_eq!((&second["user"], &second["transport"]), (&json!("bob"), &json!("tcp")));
    assert_eq!((&second["to_peer"], &second["to_client"]), (&traffic(0, 0), &traffic(1, 12)));
    assert_eq!((&second["drops"], &second["refused"]), (&json!({"no_channel": 1}), &json!({"403": 1})));
    assert!(second["expires_in"].as_u64().is_some_and(|seconds| (590..=600).contains(&seconds)), "{second}");

    // Over the socket, with addresses.
    let shown = ask_unix(&admin, "GET", "/allocations?addresses=1&user=ann").expect_ok().json();
    assert_eq!(shown["total"], 1);
    let own = ann.udp().local_addr().unwrap().to_string();
    assert_eq!(shown["allocations"][0]["client"], own);
    assert_eq!(shown["allocations"][0]["relayed"], json!([of_ann.to_string()]));
    assert_eq!(
        ask_unix(&admin, "GET", "/allocations").expect_ok().json()["allocations"][0]["client"],
        Value::Null
    );
    assert_eq!(allocations(&server, "?limit=1")["total"], 2);
    assert_eq!(allocations(&server, "?limit=1")["allocations"].as_array().unwrap().len(), 1);
    for bad in ["limit=0", "limit=10001", "limit=x", "addresses=2"] {
        assert_eq!(get(server.bound.admin[0], &format!("/allocations?{bad}")).status, 400, "{bad}");
    }

    let live = user(&server, "ann", 0);
    assert_eq!((&live["allocations"], &live["to_peer"]), (&json!(1), &traffic(4, 312)));
    ann.granted(&Request::refresh(0));
    ann.granted(&Request::allocate());
    ann.granted(&Request::channel_bind(0x4000, peers));
    ann.send_on(0x4000, &[7; 1000]);
    receive(&peer);
    let both = user(&server, "ann", 1);
    assert_eq!((&both["allocations"], &both["to_peer"]), (&json!(1), &traffic(5, 1312)), "{both}");
    assert_eq!(both["to_client"], traffic(1, 50));
}

#[test]
fn an_allocation_that_the_operator_ends_is_gone_at_once() {
    let (server, admin) = start();
    let peer = socket(LOOPBACK[0]);
    let mut clients: Vec<_> = (0..4).map(|_| over_udp(&server, "ann")).collect();
    clients.push(over_tcp(&server, "ann"));
    for client in &mut clients {
        client.granted(&Request::allocate());
        client.granted(&Request::channel_bind(0x4000, peer.local_addr().unwrap()));
    }
    let listing = allocations(&server, "");
    for (row, left) in listing["allocations"].as_array().unwrap().iter().zip((0..5).rev()) {
        let path = format!("/allocations/{}", row["id"].as_str().unwrap());
        assert_eq!(ask_unix(&admin, "DELETE", &path).status, 204, "{path}");
        assert_eq!(ask_unix(&admin, "DELETE", &path).status, 404, "{path}");
        assert_eq!(server.metric(ALLOCATIONS), left);
    }
    for client in &mut clients {
        client.send_on(0x4000, b"late");
        // Over UDP it may allocate again; the connection was closed with what it sent.
        if matches!(client.link, Link::Udp(_)) {
            assert_eq!(client.asked(&Request::refresh(600)).code(), 437);
        }
    }
    peer.set_nonblocking(true).unwrap();
    assert!(uninterrupted(|| peer.recv(&mut [0; 100])).is_err(), "nothing is relayed any more");
    for none in ["0-0-0", "7-0-1", "x", "0-1", "99999-1-1", "0-4294967295-1", "%2e%2e"] {
        assert_eq!(ask_unix(&admin, "DELETE", &format!("/allocations/{none}")).status, 404, "{none}");
    }
}

#[test]
fn threat_57_over_tcp_nobody_ends_an_allocation_or_sees_an_address() {
    let (server, _) = start();
    let mut ann = over_udp(&server, "ann");
    ann.granted(&Request::allocate());
    let listing = allocations(&server, "");
    let row = &listing["allocations"][0];
    assert_eq!((row.get("client"), row.get("relayed")), (None, None), "{row}");
    assert!(!listing.to_string().contains("127.0.0.1"), "{listing}");
    let admin = server.bound.admin[0];
    assert_eq!(get(admin, "/allocations?addresses=1").status, 403);
    let path = format!("/allocations/{}", row["id"].as_str().unwrap());
    for method in ["DELETE", "POST", "GET"] {
        assert_eq!(ask(admin, method, &path, &[], "").status, 404, "{method}");
    }
    ann.granted(&Request::refresh(600));
    // Nothing of it is on a public listener.
    for path in ["/allocations", "/usage", &path] {
        for method in ["GET", "DELETE"] {
            assert_eq!(ask(server.bound.http[0], method, path, &[], "").status, 404, "{method} {path}");
        }
    }
}

#[test]
fn threat_33_another_host_gets_no_allocations() {
    let (server, _) = start();
    let attackers = "GET /allocations HTTP/1.0\r\nHost: attacker.example\r\n\r\n";
    let answer = byway_test_support::process::http::exchange(server.bound.admin[0], attackers);
    assert_eq!(answer.status, 421);
}
