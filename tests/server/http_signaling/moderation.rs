//! Hosts of rooms: succession, removal, locks and invitations.

use std::time::Duration;

use byway::access::Policy;
use byway::access::grant::{Grant, Role};
use byway::access::tokens::TokenError;
use byway::clock::Clock;
use byway_turn::time::Now;
use serde_json::{Value, json};

use super::in_process::{API_KEY, Client, Server, Settings, is_throttled, request};

const STAYING: Settings = Settings { resume_window: Duration::from_secs(600), ..Settings::DEFAULT };
const INVITED: Settings = Settings { access: Policy::Token, ..STAYING };

/// A member as its page remembers it.
struct Member {
    client: Client,
    joined: Value,
}

impl Member {
    fn id(&self) -> Value {
        self.joined["id"].clone()
    }

    async fn say(&mut self, message: Value) {
        self.client.say(&message.to_string()).await;
    }
}

/// Answer of the server to a `join` of the room oak with these fields.
async fn join(server: &Server, fields: Value) -> (Client, Value) {
    let mut join = json!({"type": "join", "room": "oak"});
    join.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let mut client = Client::connect(server).await;
    client.say(&join.to_string()).await;
    let answer = client.hear().await;
    (client, answer)
}

async fn enter(server: &Server, fields: Value) -> Member {
    let (client, joined) = join(server, fields).await;
    assert_eq!(joined["type"], "joined", "{joined}");
    Member { client, joined }
}

async fn refusal(server: &Server, fields: Value) -> Value {
    join(server, fields).await.1["code"].clone()
}

fn token(server: &Server, max_members: Option<usize>, role: Role) -> String {
    let grant = Grant::new("oak".to_owned(), Some("Ann".to_owned()), max_members).unwrap().with_role(role);
    server.access.load().tokens.issue(Clock::start().now(), grant, Duration::from_secs(60)).0
}

#[tokio::test]
async fn the_next_in_line_becomes_the_host_of_an_open_room() {
    let server = Server::start().await;
    let mut ann = enter(&server, json!({})).await;
    let mut bob = enter(&server, json!({})).await;
    let mut cid = enter(&server, json!({})).await;
    assert_eq!([&ann, &bob, &cid].map(|member| member.joined["host"] == true), [true, false, false]);
    assert_eq!(bob.joined["peers"][0]["host"], true);
    assert_eq!(ann.client.hear().await["host"], false);
    bob.client.hear_type("peer-joined").await;

    ann.say(json!({"type": "leave"})).await;
    for member in [&mut bob, &mut cid] {
        assert_eq!(member.client.hear().await, json!({"type": "peer-left", "id": ann.id()}));
    }
    let id = bob.id();
    for member in [&mut bob, &mut cid] {
        assert_eq!(member.client.hear().await, json!({"type": "host", "id": id}));
    }
    // The first one is the last in line now.
    ann.say(json!({"type": "join", "room": "oak"})).await;
    assert_eq!(ann.client.hear_type("joined").await["host"], false);
    drop(bob);
    assert_eq!(cid.client.hear_type("host").await["id"], cid.id());
    assert_eq!(ann.client.hear_type("host").await["id"], cid.id());
}

#[tokio::test]
async fn a_host_removes_whom_it_names_and_nobody_else() {
    let server = Server::with(STAYING).await;
    let mut ann = enter(&server, json!({})).await;
    let mut bob = enter(&server, json!({})).await;
    let mut eve = Client::connect(&server).await;
    let eve_id = eve.join("elm").await;
    ann.client.hear_type("peer-joined").await;
    let own_id = ann.id();
    for id in [json!(eve_id), own_id, json!("BwcHBwcHBwcHBwcHBwcHBw"), json!("x")] {
        ann.say(json!({"type": "remove", "id": id})).await;
        ann.client.hear_error("no-such-peer").await;
    }
    ann.say(json!({"type": "remove"})).await;
    ann.client.hear_error("bad-message").await;
    eve.ping().await;
    bob.client.ping().await;

    // Twice in one breath: the second finds nobody.
    for _ in 0..2 {
        ann.say(json!({"type": "remove", "id": bob.id()})).await;
    }
    assert_eq!(ann.client.hear().await, json!({"type": "peer-left", "id": bob.id()}));
    ann.client.hear_error("no-such-peer").await;
    assert_eq!(bob.client.hear().await, json!({"type": "bye", "code": "removed"}));
    assert_eq!(bob.client.closed().await, (4003, "removed".to_owned()));
    assert!(server.ended.lock().unwrap().iter().any(|user| user.ends_with(bob.id().as_str().unwrap())));
    server.until("byway_members_removed_by_hosts_total 1").await;

    // Its ticket opens nothing any more: it is another member, if the room is open to it.
    let again = json!({"resume": bob.joined["resume"], "seq": 0});
    let back = enter(&server, again.clone()).await;
    assert_ne!(back.id(), bob.id());
    ann.say(json!({"type": "lock", "locked": true})).await;
    ann.say(json!({"type": "remove", "id": back.id()})).await;
    ann.client.hear_type("peer-left").await;
    let again = json!({"resume": back.joined["resume"], "seq": 0});
    assert_eq!(refusal(&server, again).await, "room-locked");
}

#[tokio::test]
async fn an_absent_member_can_be_removed() {
    let server = Server::with(STAYING).await;
    let mut ann = enter(&server, json!({})).await;
    let bob = enter(&server, json!({})).await;
    ann.client.hear_type("peer-joined").await;
    let (id, resume) = (bob.id(), bob.joined["resume"].clone());
    drop(bob);
    server.until("byway_members_absent 1").await;
    ann.say(json!({"type": "remove", "id": id})).await;
    assert_eq!(ann.client.hear().await, json!({"type": "peer-left", "id": id}));
    assert_ne!(enter(&server, json!({"resume": resume, "seq": 0})).await.id(), id);
}

#[tokio::test]
async fn threat_24_who_is_no_host_decides_nothing() {
    let server = Server::start().await;
    let mut ann = enter(&server, json!({})).await;
    let mut bob = enter(&server, json!({})).await;
    let mut watching = enter(&server, json!({"viewer": true})).await;
    for _ in 0..2 {
        ann.client.hear_type("peer-joined").await;
    }
    bob.client.hear_type("peer-joined").await;
    let asked = [
        json!({"type": "remove", "id": ann.id()}),
        json!({"type": "remove", "id": "BwcHBwcHBwcHBwcHBwcHBw"}),
        json!({"type": "lock", "locked": true, "host": true}),
        json!({"type": "lock", "locked": false}),
        json!({"type": "invite"}),
    ];
    for message in &asked {
        for member in [&mut bob, &mut watching] {
            member.say(message.clone()).await;
            member.client.hear_error("not-host").await;
        }
    }
    // Nor does a connection in no room.
    let mut stranger = Client::connect(&server).await;
    for message in &asked {
        stranger.say(&message.to_string()).await;
        stranger.hear_error("not-joined").await;
    }
    // No claim of a client makes it one.
    let mut eve = enter(&server, json!({"host": true, "token": token(&server, None, Role::Host)})).await;
    assert_eq!(eve.joined["host"], false, "access is open: tokens are ignored");
    eve.say(json!({"type": "lock", "locked": true})).await;
    eve.client.hear_error("not-host").await;
    ann.client.hear_type("peer-joined").await;
    ann.client.ping().await;
    server.until("byway_signaling_errors_total{code=\"not-host\"} 11").await;
}

#[tokio::test]
async fn a_lock_keeps_newcomers_out_until_it_is_taken_away() {
    let server = Server::with(STAYING).await;
    let mut ann = enter(&server, json!({})).await;
    let bob = enter(&server, json!({})).await;
    ann.client.hear_type("peer-joined").await;
    ann.say(json!({"type": "lock", "locked": true})).await;
    assert_eq!(ann.client.hear().await, json!({"type": "locked", "locked": true}));
    server.until("byway_rooms_locked 1").await;
    assert_eq!(refusal(&server, json!({})).await, "room-locked");
    assert_eq!(refusal(&server, json!({"viewer": true})).await, "room-locked");
    assert_eq!(refusal(&server, json!({"resume": "x.y"})).await, "room-locked");
    let key = format!("Bearer {API_KEY}");
    let listed = request(server.http, "GET /rooms/oak", &[("Authorization", &key)]).await.expect_ok().json();
    assert_eq!(listed["locked"], true);
    let roles: Vec<_> =
        listed["members"].as_array().unwrap().iter().map(|m| (&m["host"], &m["viewer"])).collect();
    assert_eq!(roles, [(&json!(true), &json!(false)), (&json!(false), &json!(false))]);

    // Who is in comes back, and is told.
    drop(bob.client);
    let again = enter(&server, json!({"resume": bob.joined["resume"], "seq": 0})).await;
    assert_eq!((&again.joined["id"], &again.joined["locked"]), (&bob.joined["id"], &json!(true)));

    for _ in 0..2 {
        ann.say(json!({"type": "lock", "locked": false})).await;
        assert_eq!(ann.client.hear().await, json!({"type": "locked", "locked": false}));
    }
    let mut cid = enter(&server, json!({})).await;
    assert_eq!(cid.joined["locked"], false);
    cid.client.ping().await;
}

/// A membership whose signals were too many cannot be resumed. Its client was in the room, though.
#[tokio::test]
async fn a_lock_lets_back_in_who_was_there_and_as_no_more_than_it_was() {
    let server = Server::with(STAYING).await;
    let mut ann = enter(&server, json!({})).await;
    let bob = enter(&server, json!({})).await;
    let eve = enter(&server, json!({"viewer": true})).await;
    ann.say(json!({"type": "lock", "locked": true})).await;
    ann.client.hear_type("locked").await;
    // Signals that never were cannot be resumed from.
    let gap =
        |member: &Member, viewer| json!({"resume": member.joined["resume"], "seq": 99, "viewer": viewer});
    let back = enter(&server, gap(&bob, false)).await;
    assert_ne!(back.id(), bob.id());
    assert_eq!((&back.joined["locked"], &back.joined["viewer"]), (&json!(true), &json!(false)));
    assert_eq!(refusal(&server, gap(&bob, false)).await, "room-locked", "a ticket is used up");

    let again = enter(&server, gap(&eve, true)).await;
    assert_eq!(again.joined["viewer"], true);
    assert_eq!(refusal(&server, gap(&again, false)).await, "room-locked", "a viewer does not rise");
}

#[tokio::test]
async fn a_lock_ends_with_its_room() {
    let server = Server::start().await;
    let mut ann = enter(&server, json!({})).await;
    let mut watching = enter(&server, json!({"viewer": true})).await;
    ann.say(json!({"type": "lock", "locked": true})).await;
    assert_eq!(watching.client.hear().await, json!({"type": "locked", "locked": true}));
    drop(ann);
    assert_eq!(watching.client.hear().await["type"], "peer-left");
    assert_eq!(watching.client.hear().await, json!({"type": "locked", "locked": false}));
    let mut bob = enter(&server, json!({})).await;
    assert_eq!((&bob.joined["host"], &bob.joined["locked"]), (&json!(true), &json!(false)));
    bob.say(json!({"type": "lock", "locked": true})).await;
    bob.client.hear_type("locked").await;
    drop((bob, watching));
    server.until("byway_members 0").await;
    server.until("byway_rooms_locked 0").await;
    assert_eq!(enter(&server, json!({})).await.joined["locked"], false);
}

#[tokio::test]
async fn with_tokens_the_claim_makes_the_host_and_passes_the_lock() {
    let server = Server::with(INVITED).await;
    let guest = || json!({"token": token(&server, None, Role::Member)});
    let host = || json!({"token": token(&server, None, Role::Host)});
    let mut bob = enter(&server, guest()).await;
    assert_eq!(bob.joined["host"], false, "to be first is not enough");
    let mut ann = enter(&server, host()).await;
    assert_eq!(ann.joined["host"], true);
    assert_eq!(bob.client.hear().await["host"], true);
    ann.say(json!({"type": "lock", "locked": true})).await;
    bob.client.hear_type("locked").await;
    assert_eq!(refusal(&server, guest()).await, "room-locked");
    // The token comes first: a stranger does not learn that there is a locked room.
    assert_eq!(refusal(&server, json!({})).await, "token-required");
    assert_eq!(refusal(&server, json!({"token": "x"})).await, "bad-token");
    let mut cid = enter(&server, host()).await;
    assert_eq!((&cid.joined["host"], &cid.joined["locked"]), (&json!(true), &json!(true)));
    // A host that only watches is none.
    let watching = enter(&server, json!({"token": token(&server, None, Role::Host), "viewer": true})).await;
    assert_eq!((&watching.joined["host"], &watching.joined["viewer"]), (&json!(false), &json!(true)));

    drop((ann, watching));
    server.until("byway_members_absent 2").await;
    cid.say(json!({"type": "leave"})).await;
    assert_eq!(bob.client.hear_type("peer-left").await["id"], cid.id());
    bob.say(json!({"type": "lock", "locked": false})).await;
    bob.client.hear_type("error").await;
    assert!(!bob.client.has_heard("host"), "nobody succeeds");
}

#[tokio::test]
async fn a_host_invites_guests_with_no_more_rights_than_given() {
    let server = Server::with(INVITED).await;
    let mut ann = enter(&server, json!({"token": token(&server, Some(3), Role::Host)})).await;
    let now = Clock::start().now();
    let check = |later: u64, invitation: &Value| {
        let now = Now { unix: now.unix + later, ..now };
        server.access.load().tokens.check(now, invitation["token"].as_str().unwrap())
    };
    for (asked, seconds, role) in [
        (json!({}), 3_600, Role::Member),
        (json!({"ttl": 60, "viewer": false}), 60, Role::Member),
        (json!({"ttl": 604_801, "viewer": true}), 604_800, Role::Viewer),
        (json!({"ttl": u64::MAX, "host": true, "room": "elm", "max_members": 9}), 604_800, Role::Member),
    ] {
        let mut message = json!({"type": "invite"});
        message.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        ann.say(message).await;
        let invitation = ann.client.hear().await;
        assert_eq!(invitation["type"], "invitation", "{asked}: {invitation}");
        let grant = Grant::new("oak".to_owned(), None, Some(3)).unwrap().with_role(role);
        assert_eq!(check(seconds - 1, &invitation), Ok(grant), "{asked}");
        assert_eq!(check(seconds + 30, &invitation), Err(TokenError::Expired), "{asked}");
        assert!(invitation["expiresAt"].as_str().unwrap().ends_with('Z'));
    }
    ann.say(json!({"type": "invite", "ttl": 0})).await;
    ann.client.hear_error("bad-message").await;
    server.until("byway_host_invitations_total 4").await;

    ann.say(json!({"type": "invite"})).await;
    let invitation = ann.client.hear().await["token"].clone();
    let mut bob = enter(&server, json!({"token": invitation, "name": "Bob"})).await;
    assert_eq!(bob.joined["host"], false);
    assert_eq!(ann.client.hear().await["name"], "Bob", "a guest is not called like its host");
    for message in [json!({"type": "invite"}), json!({"type": "lock", "locked": true})] {
        bob.say(message).await;
        bob.client.hear_error("not-host").await;
    }
    ann.say(json!({"type": "invite", "viewer": true})).await;
    let invitation = ann.client.hear().await["token"].clone();
    let watching = enter(&server, json!({"token": invitation, "viewer": false})).await;
    assert_eq!(watching.joined["viewer"], true, "by its token, whatever it asks for");
    assert_eq!(refusal(&server, json!({"token": invitation})).await, "room-full", "three, with viewers");
}

#[tokio::test]
async fn an_open_room_needs_no_invitations() {
    let server = Server::start().await;
    let mut ann = enter(&server, json!({})).await;
    ann.say(json!({"type": "invite"})).await;
    ann.client.hear_error("no-tokens").await;
    server.until("byway_host_invitations_total 0").await;
}

#[tokio::test]
async fn threat_23_invitations_are_throttled_like_joins() {
    let server = Server::with(Settings { joins_per_second: 1, ..INVITED }).await;
    let mut ann = enter(&server, json!({"token": token(&server, None, Role::Host)})).await;
    is_throttled(async |_| {
        ann.say(json!({"type": "invite"})).await;
        ann.client.hear().await
    })
    .await;
    ann.client.ping().await;
}

#[tokio::test]
async fn threat_20_a_flood_of_locks_takes_no_more_room_than_one() {
    let server = Server::start().await;
    let mut ann = enter(&server, json!({})).await;
    let mut bob = enter(&server, json!({})).await;
    ann.client.hear_type("peer-joined").await;
    for n in 0..150 {
        ann.say(json!({"type": "lock", "locked": n % 2 == 0})).await;
    }
    ann.say(json!({"type": "lock", "locked": true, "x": "y".repeat(60_000)})).await;
    ann.say(json!({"type": "ping"})).await;
    while ann.client.hear().await["type"] != "pong" {}
    // Some were superseded before they were read; the last one counts, and nobody was too slow.
    let mut last = json!(null);
    bob.say(json!({"type": "ping"})).await;
    loop {
        let heard = bob.client.hear().await;
        match heard["type"].as_str() {
            Some("locked") => last = heard["locked"].clone(),
            Some("pong") => break,
            _ => panic!("{heard}"),
        }
    }
    assert_eq!(last, true);
}
