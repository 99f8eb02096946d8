//! PeerJS and y-webrtc over two nodes, as their npm packages speak them.

use std::net::TcpStream;

use byway_test_support::process::interrupts::Uninterrupted;
use byway_test_support::process::member::{closed, connect_at, hear};
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::*;

type Socket = WebSocket<Uninterrupted<TcpStream>>;

const DEAD: &str = r#"byway_cluster_nodes{presence="dead"}"#;

fn say(socket: &mut Socket, message: &Value) {
    socket.send(Message::Text(message.to_string().into())).unwrap();
}

/// A subscriber of these topics, which the server has noted.
fn subscribe(server: &Server, topics: &[&str]) -> Socket {
    let mut socket = connect_at(server, "/y-webrtc");
    say(&mut socket, &json!({"type": "subscribe", "topics": topics}));
    say(&mut socket, &json!({"type": "ping"}));
    assert_eq!(hear(&mut socket), json!({"type": "pong"}));
    socket
}

fn publish(socket: &mut Socket, topic: &str, data: &Value) {
    say(socket, &json!({"type": "publish", "topic": topic, "data": data}));
}

fn published(topic: &str, data: &Value, clients: usize) -> Value {
    json!({"type": "publish", "topic": topic, "data": data, "clients": clients})
}

/// A client of PeerJS and the first message that it gets.
fn ask(server: &Server, id: &str, token: &str) -> (Socket, Value) {
    let mut socket = connect_at(server, &format!("/peerjs?key=peerjs&id={id}&token={token}"));
    let first = hear(&mut socket);
    (socket, first)
}

/// A client that has its id.
fn arrive(server: &Server, id: &str, token: &str) -> Socket {
    let (socket, first) = ask(server, id, token);
    assert_eq!(first, json!({"type": "OPEN"}), "{id}");
    socket
}

fn offer(to: &str, payload: &Value) -> Value {
    json!({"type": "OFFER", "dst": to, "payload": payload})
}

fn offered(from: &str, to: &str, payload: &Value) -> Value {
    json!({"type": "OFFER", "src": from, "dst": to, "payload": payload})
}

fn id_taken() -> Value {
    json!({"type": "ID-TAKEN", "payload": {"msg": "ID is taken"}})
}

/// Subscribers on two nodes who came before the nodes knew each other, and have met.
fn met([fra, nyc]: &[Server; 2], topic: &str) -> [Socket; 2] {
    let [mut ann, mut bob] = [fra, nyc].map(|node| subscribe(node, &[topic]));
    let hello = json!({"type": "announce", "from": "ann"});
    publish(&mut ann, topic, &hello);
    assert_eq!(hear(&mut ann)["data"], hello);
    assert_eq!(hear(&mut bob)["data"], hello);
    [ann, bob]
}

#[test]
fn subscribers_of_a_topic_meet_across_nodes() {
    let (_broker, nodes) = pair();
    let [mut ann, mut bob] = met(&nodes, "tea");
    let signal = json!({"type": "signal", "to": "ann", "signal": "é\u{0}".repeat(5_000)});
    publish(&mut bob, "tea", &signal);
    for socket in [&mut ann, &mut bob] {
        assert_eq!(hear(socket), published("tea", &signal, 2));
    }
    // Who is not there hears nothing of it.
    let mut eve = subscribe(&nodes[1], &["oak"]);
    say(&mut bob, &json!({"type": "unsubscribe", "topics": ["tea"]}));
    publish(&mut bob, "tea", &signal);
    assert_eq!(hear(&mut bob)["code"], "not-joined");
    for socket in [&mut eve, &mut bob] {
        say(socket, &json!({"type": "ping"}));
        assert_eq!(hear(socket), json!({"type": "pong"}));
    }
}

#[test]
fn peers_call_each_other_across_nodes() {
    let (_broker, nodes) = pair();
    met(&nodes, "tea");
    let [fra, nyc] = &nodes;
    let (mut ann, mut bob) = (arrive(fra, "ann", "a"), arrive(nyc, "bob", "b"));
    let payload = json!({"sdp": "é\u{0}", "connectionId": "dc_1"});
    for kind in ["OFFER", "ANSWER", "CANDIDATE", "LEAVE", "EXPIRE"] {
        let message = json!({"type": kind, "src": "eve", "dst": "bob", "payload": payload});
        say(&mut ann, &message);
        if kind == "OFFER" {
            // Before his node knows of her, too.
            say(&mut bob, &offer("ann", &payload));
            assert_eq!(hear(&mut ann), offered("bob", "ann", &payload));
        }
        assert_eq!(hear(&mut bob), json!({"type": kind, "src": "ann", "dst": "bob", "payload": payload}));
    }
    // An absent one appears on the other node, or on none.
    say(&mut ann, &offer("cat", &payload));
    say(&mut ann, &offer("nobody", &payload));
    let mut cat = arrive(nyc, "cat", "c");
    assert_eq!(hear(&mut cat), offered("ann", "cat", &payload));
    assert_eq!(hear(&mut ann), json!({"type": "EXPIRE", "src": "nobody", "dst": "ann"}));

    // Her id is hers on each node.
    let (mut eve, refusal) = ask(nyc, "ann", "guess");
    assert_eq!((refusal, closed(&mut eve)), (id_taken(), (1008, "refused".to_owned())));
    let mut again = arrive(nyc, "ann", "a");
    assert_eq!(closed(&mut ann), (4001, "replaced".to_owned()));
    say(&mut bob, &offer("ann", &payload));
    assert_eq!(hear(&mut again), offered("bob", "ann", &payload));
    fra.until("byway_peerjs_peers", 0);
    nyc.until("byway_peerjs_peers", 3);
}

#[test]
fn each_node_goes_on_alone_and_what_conflicts_is_settled() {
    let (mut broker, nodes) = pair();
    met(&nodes, "tea");
    let [fra, nyc] = &nodes;
    let mut bob = arrive(nyc, "bob", "b");
    let ann = arrive(fra, "ann", "a");
    broker.kill();
    for node in &nodes {
        node.until(DEAD, 1);
    }
    // Eve takes an id of the other node, which nobody can know now.
    let mut eve = arrive(fra, "bob", "eve");
    let payload = json!("to myself");
    say(&mut eve, &offer("bob", &payload));
    assert_eq!(hear(&mut eve), offered("bob", "bob", &payload));
    let [mut cat, mut dan] = [fra, nyc].map(|node| subscribe(node, &["oak"]));
    publish(&mut cat, "oak", &json!("cat"));
    assert_eq!(hear(&mut cat), published("oak", &json!("cat"), 1));
    broker.begin();
    assert_eq!(hear(&mut dan)["data"], "cat", "they meet");
    assert_eq!((hear(&mut eve), closed(&mut eve)), (id_taken(), (4001, "replaced".to_owned())));
    fra.until("byway_peerjs_peers", 1);
    say(&mut bob, &offer("bob", &payload));
    assert_eq!(hear(&mut bob), offered("bob", "bob", &payload), "he kept it");
    drop(ann);
}

#[test]
fn an_id_of_a_node_that_died_is_free() {
    let (_broker, nodes) = pair();
    met(&nodes, "tea");
    let [fra, nyc] = nodes;
    let (mut ann, mut bob) = (arrive(&fra, "ann", "a"), arrive(&nyc, "bob", "b"));
    say(&mut bob, &offer("ann", &json!(1)));
    assert_eq!(hear(&mut ann)["src"], "bob");
    assert_eq!(ask(&fra, "bob", "new").1, id_taken());
    drop(nyc);
    fra.until(DEAD, 1);
    let clock = Clock::start();
    while ask(&fra, "bob", "new").1 != json!({"type": "OPEN"}) {
        assert!(clock.now().mono < PATIENCE);
    }
}
