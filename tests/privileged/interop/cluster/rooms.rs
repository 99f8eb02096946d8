//! Rooms that span nodes: what members on several nodes see of each other, and of nodes and brokers
//! that end.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Rooms of each test, so that every node owns some of them: one in 2^8 runs would not have both.
const ROOMS: [&str; 8] = ["oak", "elm", "ash", "fir", "yew", "box", "bay", "fig"];

/// Nodes that see each other, and have found out who owns which room.
fn together<const N: usize>(broker: &Broker, names: [&'static str; N], lines: &str) -> [Server; N] {
    let lines = format!("[signaling]\njoins_per_second = 1000\n{lines}");
    let servers = names.map(|name| Node { lines: lines.clone(), ..Node::new(name, broker) }.start());
    meet(&servers);
    servers
}

/// Waits until members of all nodes are together in rooms of each node, and have left them. A node
/// that is still alone has rooms of other owners for itself.
fn meet(servers: &[Server]) {
    let rooms = || (0..16).map(|n| format!("meeting-{n}"));
    let members = rooms().flat_map(|room| servers.iter().map(move |server| Member::join(server, &room)));
    let members: Vec<_> = members.collect();
    for (server, room) in servers.iter().flat_map(|server| rooms().map(move |room| (server, room))) {
        wait(server, &room, |known| known.len() == servers.len());
    }
    members.into_iter().for_each(|mut member| member.say(r#"{"type":"leave"}"#));
    for (server, room) in servers.iter().flat_map(|server| rooms().map(move |room| (server, room))) {
        wait(server, &room, Vec::is_empty);
    }
}

/// Members of a room that this node knows.
fn known(server: &Server, room: &str) -> Vec<Value> {
    let rooms = http::get(server.bound.admin[0], "/rooms").expect_ok().json()["rooms"].take();
    let found = rooms.as_array().unwrap().iter().find(|known| known["room"] == room);
    found.map_or_else(Vec::new, |known| known["members"].as_array().unwrap().clone())
}

fn wait(server: &Server, room: &str, is_so: impl Fn(&Vec<Value>) -> bool) {
    let clock = Clock::start();
    loop {
        let known = known(server, room);
        if is_so(&known) {
            return;
        }
        assert!(clock.now().mono < PATIENCE, "{room}: {known:?}");
    }
}

/// Two members of one room on two nodes.
fn two(room: &str, first: &Server, second: &Server) -> [Member; 2] {
    let mut ann = Member::join(first, room);
    let bob = Member::join(second, room);
    let peers = bob.joined["peers"].as_array().unwrap();
    assert_eq!((peers.len(), &peers[0]["id"]), (1, &ann.joined["id"]));
    let seen = ann.hear();
    assert_eq!((&seen["type"], &seen["id"]), (&"peer-joined".into(), &bob.joined["id"]));
    let politeness = [&peers[0]["polite"], &seen["polite"]];
    assert_eq!(politeness, [true, false], "the later one of two is polite");
    [ann, bob]
}

fn signal(from: &mut Member, to: &Member, data: u64) {
    signal_to(from, &to.joined, data);
}

/// Sends a signal to the member with this `joined`.
fn signal_to(from: &mut Member, to: &Value, data: u64) {
    from.say(&json!({"type": "signal", "to": to["id"], "data": data}).to_string());
}

/// Returns the next message that is not of the relay, which changes where a node ends.
fn next(member: &mut Member) -> Value {
    loop {
        let heard = member.hear();
        if heard["type"] != "ice" {
            return heard;
        }
    }
}

/// Expects the next signal of another member.
fn hears(member: &mut Member, from: &Member, seq: u64, data: u64) {
    let heard = next(member);
    let expected = json!({"type": "signal", "from": from.id, "seq": seq, "data": data});
    assert_eq!(heard, expected);
}

fn error(member: &mut Member) -> Value {
    let error = member.hear();
    assert_eq!(error["type"], "error", "{error}");
    error["code"].clone()
}

#[test]
fn members_of_two_nodes_meet_and_talk() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1"], "");
    for room in ROOMS {
        let [mut ann, mut bob] = two(room, &nodes[0], &nodes[1]);
        for data in 1..=50 {
            signal(&mut ann, &bob, data);
            signal(&mut bob, &ann, data);
        }
        for data in 1..=50 {
            hears(&mut bob, &ann, data, data);
            hears(&mut ann, &bob, data, data);
        }
        assert_eq!((&ann.joined["host"], &bob.joined["host"]), (&true.into(), &false.into()));
        ann.say(r#"{"type":"leave"}"#);
        assert_eq!(bob.hear(), json!({"type": "peer-left", "id": ann.id}));
        assert_eq!(bob.hear(), json!({"type": "host", "id": bob.id}));
        bob.say(r#"{"type":"leave"}"#);
    }
    for node in &nodes {
        node.until("byway_members", 0);
        node.until("byway_rooms", 0);
    }
}

#[test]
fn caps_and_hosts_hold_across_three_nodes() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1", "sin-1"], "max_members = 3");
    for room in ROOMS {
        // All at once: the owner alone decides who comes in.
        let join = json!({"type": "join", "room": room});
        let mut asking: Vec<_> = (0..9).map(|n| Member::ask(&nodes[n % 3], &join)).collect();
        let answers: Vec<_> = asking.iter_mut().map(|member| (member.hear(), member)).collect();
        let (came, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|(answer, _)| answer["type"] == "joined");
        assert_eq!(came.len(), 3, "{room}");
        assert!(refused.iter().all(|(answer, _)| answer["code"] == "room-full"));
        drop((came, refused));
        asking.into_iter().for_each(|mut member| member.say(r#"{"type":"leave"}"#));
        nodes.iter().for_each(|node| wait(node, room, Vec::is_empty));

        let [mut ann, mut bob] = two(room, &nodes[0], &nodes[1]);
        bob.say(&json!({"type": "remove", "id": ann.id}).to_string());
        assert_eq!(error(&mut bob), "not-host");
        ann.say(r#"{"type":"lock","locked":true}"#);
        for member in [&mut ann, &mut bob] {
            assert_eq!(member.hear(), json!({"type": "locked", "locked": true}));
        }
        for node in &nodes {
            assert_eq!(error(&mut Member::ask(node, &join)), "room-locked");
        }
        ann.say(&json!({"type": "remove", "id": bob.id}).to_string());
        assert_eq!(bob.hear()["code"], "removed");
        assert_eq!(ann.hear(), json!({"type": "peer-left", "id": bob.id}));
        ann.say(r#"{"type":"leave"}"#);
        nodes.iter().for_each(|node| wait(node, room, Vec::is_empty));
    }
}

#[test]
fn a_program_removes_a_member_on_any_node() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1", "sin-1"], "");
    for room in ROOMS {
        let mut ann = Member::join(&nodes[0], room);
        let path = format!("/rooms/{room}/members/{}", ann.id);
        assert_eq!(http::ask(nodes[1].bound.http[0], "DELETE", &path, &[KEY], "").status, 204);
        assert_eq!(ann.hear()["code"], "removed");
        wait(&nodes[0], room, Vec::is_empty);
    }
}

#[test]
fn a_member_moves_to_another_node_and_its_credentials_end_everywhere() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1"], "");
    let [fra, nyc] = &nodes;
    for room in ROOMS {
        let [mut ann, mut bob] = two(room, fra, nyc);
        let mut clients = [fra, nyc].map(|node| allocated(node, &ann.credential));
        signal(&mut bob, &ann, 1);
        hears(&mut ann, &bob, 1, 1);
        let joined = ann.joined.clone();
        ann.lose();
        signal_to(&mut bob, &joined, 2);
        let mut ann = Member::resume(nyc, room, &joined, 1);
        assert_eq!(Value::from(ann.id.clone()), joined["id"]);
        hears(&mut ann, &bob, 2, 2);
        signal(&mut ann, &bob, 3);
        hears(&mut bob, &ann, 1, 3);
        // Back again, while the server still takes the connection for a good one.
        let mut back = Member::resume(fra, room, &ann.joined, 2);
        assert_eq!(ann.hear()["code"], "replaced");
        signal(&mut bob, &back, 4);
        hears(&mut back, &bob, 3, 4);
        for client in &mut clients {
            client.granted(&Request::refresh(600));
        }
        let mut ann = Member::resume(nyc, room, &back.joined, 3);
        let count = || fra.metric(ALLOCATIONS) + nyc.metric(ALLOCATIONS);
        assert!(measured(|| ann.say(r#"{"type":"leave"}"#), || count() == 0) < AT_ONCE);
        for client in &mut clients {
            assert_eq!(client.asked(&Request::allocate()).code(), 401);
        }
        assert_eq!(bob.hear(), json!({"type": "peer-left", "id": back.id}));
        bob.say(r#"{"type":"leave"}"#);
    }
}

#[test]
fn a_node_that_is_killed_ends_no_membership() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1", "sin-1"], "");
    let [fra, nyc, sin] = &nodes;
    let mut pairs = ROOMS.map(|room| (room, two(room, fra, nyc)));
    for (_, [ann, bob]) in &mut pairs {
        signal(bob, ann, 1);
        hears(ann, bob, 1, 1);
    }
    fra.signal("KILL");
    for (room, [ann, bob]) in pairs {
        let mut bob = bob;
        let mut back = Member::resume(sin, room, &ann.joined, 1);
        assert_eq!(back.id, ann.id);
        signal(&mut bob, &back, 2);
        hears(&mut back, &bob, 2, 2);
        signal(&mut back, &bob, 3);
        hears(&mut bob, &back, 1, 3);
    }
    let members = [nyc, sin].map(|node| node.metric("byway_members"));
    assert_eq!(members, [8, 8]);
}

#[test]
fn a_node_that_drains_hands_its_members_over() {
    let broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1"], "");
    let [fra, nyc] = &nodes;
    let mut pairs = ROOMS.map(|room| (room, two(room, fra, nyc)));
    let mut call = allocated(fra, &pairs[0].1[0].credential);
    fra.signal("TERM");
    for (_, [ann, _]) in &mut pairs {
        assert_eq!(ann.hear()["code"], "shutting-down");
    }
    for (room, [ann, mut bob]) in pairs {
        signal(&mut bob, &ann, 1);
        let mut back = Member::resume(nyc, room, &ann.joined, 0);
        assert_eq!(back.id, ann.id);
        hears(&mut back, &bob, 1, 1);
        signal(&mut back, &bob, 2);
        hears(&mut bob, &back, 1, 2);
    }
    call.granted(&Request::refresh(600));
}

#[test]
fn a_broker_that_is_away_parts_nobody() {
    let mut broker = Broker::start("");
    let nodes = together(&broker, ["fra-1", "nyc-1"], "");
    let [fra, nyc] = &nodes;
    let mut pairs = ROOMS.map(|room| (room, two(room, fra, nyc)));
    broker.kill();
    nodes.iter().for_each(|node| node.until(CONNECTED, 0));
    for (_, [ann, bob]) in &mut pairs {
        signal(ann, bob, 1);
        signal(bob, ann, 1);
    }
    // Each node admits newcomers by itself.
    let mut late = ROOMS.map(|room| Member::join(fra, room));
    for (carol, (_, [ann, _])) in late.iter_mut().zip(&mut pairs) {
        assert_eq!(carol.joined["peers"][0]["id"], ann.joined["id"]);
        assert_eq!(next(ann)["id"], carol.joined["id"]);
    }
    broker.begin();
    for (carol, (room, [ann, bob])) in late.iter_mut().zip(&mut pairs) {
        wait(nyc, room, |known| known.len() == 3);
        hears(ann, bob, 1, 1);
        let heard = [next(bob), next(bob)];
        let types: BTreeSet<_> = heard.iter().map(|heard| heard["type"].as_str().unwrap()).collect();
        assert_eq!(types, ["peer-joined", "signal"].into(), "nobody has left: {heard:?}");
        signal(carol, bob, 2);
        hears(bob, carol, 2, 2);
        signal(bob, carol, 3);
        hears(carol, bob, 1, 3);
    }
}
