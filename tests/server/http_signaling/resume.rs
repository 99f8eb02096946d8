//! Members whose connection is lost, and the resumption of their membership.

use std::time::Duration;

use byway::signaling::protocol::{MemberId, RoomName};
use serde_json::{Value, json};

use super::in_process::{Client, Server, Settings, within};

/// A window that no test waits for.
const LONG: Settings = Settings { resume_window: Duration::from_secs(600), ..Settings::DEFAULT };

/// A member as its page remembers it.
struct Ticket {
    id: String,
    resume: Value,
}

async fn enter(server: &Server) -> (Client, Ticket) {
    let mut client = Client::connect(server).await;
    client.say(r#"{"type":"join","room":"oak"}"#).await;
    let joined = client.hear_type("joined").await;
    let id = joined["id"].as_str().unwrap().to_owned();
    (client, Ticket { id, resume: joined["resume"].clone() })
}

/// Opens another connection and resumes over it; what `joined` says.
async fn come_back(server: &Server, ticket: &Ticket, seq: impl Into<Value>) -> (Client, Value) {
    let mut client = Client::connect(server).await;
    let join = json!({"type": "join", "room": "oak", "resume": ticket.resume, "seq": seq.into()});
    client.say(&join.to_string()).await;
    let joined = client.hear_type("joined").await;
    (client, joined)
}

async fn tell(from: &mut Client, to: &Ticket, data: Value) {
    from.say(&json!({"type": "signal", "to": to.id, "data": data}).to_string()).await;
}

/// Waits until the server counts this number of absent members.
async fn until_absent(server: &Server, members: u32) {
    server.until(&format!("byway_members_absent {members}")).await;
}

#[tokio::test]
async fn who_is_lost_comes_back_to_what_was_missed_and_nobody_noticed() {
    let server = Server::with(LONG).await;
    let (mut ann, ann_ticket) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    ann.hear_type("peer-joined").await;
    tell(&mut ann, &bob_ticket, json!("before")).await;
    assert_eq!(bob.hear().await["seq"], 1);
    drop(bob);
    until_absent(&server, 1).await;
    for n in 2..=4 {
        tell(&mut ann, &bob_ticket, json!(n)).await;
    }
    ann.ping().await;

    let (mut bob, joined) = come_back(&server, &bob_ticket, 1).await;
    assert_eq!((&joined["id"], &joined["resume"]), (&json!(bob_ticket.id), &bob_ticket.resume));
    assert_eq!(
        joined["peers"],
        json!([{"id": ann_ticket.id, "name": null, "polite": true, "host": true, "viewer": false}])
    );
    assert_eq!(
        joined["ice"]["iceServers"][1]["username"].as_str().unwrap().rsplit_once('.').unwrap().1,
        bob_ticket.id
    );
    for n in 2..=4 {
        assert_eq!(bob.hear().await, json!({"type": "signal", "from": ann_ticket.id, "seq": n, "data": n}));
    }
    tell(&mut bob, &ann_ticket, json!("back")).await;
    // The first that Ann hears since Bob came: no leave, no coming.
    assert_eq!(ann.hear().await["data"], "back");
    assert!(server.ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn without_a_number_what_was_written_counts_as_received() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    tell(&mut ann, &bob_ticket, json!(1)).await;
    bob.hear_type("signal").await;
    drop(bob);
    until_absent(&server, 1).await;
    tell(&mut ann, &bob_ticket, json!(2)).await;
    let (mut bob, _) = come_back(&server, &bob_ticket, Value::Null).await;
    assert_eq!(bob.hear().await["data"], 2);
}

#[tokio::test]
async fn without_a_number_who_comes_back_again_and_again_still_can() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    tell(&mut ann, &bob_ticket, json!(1)).await;
    bob.hear_type("signal").await;
    for _ in 0..3 {
        drop(bob);
        until_absent(&server, 1).await;
        let joined;
        (bob, joined) = come_back(&server, &bob_ticket, Value::Null).await;
        assert_eq!(joined["id"], bob_ticket.id.as_str());
    }
    tell(&mut ann, &bob_ticket, json!(2)).await;
    assert_eq!(bob.hear().await["data"], 2);
}

#[tokio::test]
async fn what_was_written_to_the_member_before_on_the_same_connection_does_not_count() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, former) = enter(&server).await;
    tell(&mut ann, &former, json!(1)).await;
    bob.hear_type("signal").await;
    bob.say(r#"{"type":"leave"}"#).await;
    bob.say(r#"{"type":"join","room":"oak"}"#).await;
    let joined = bob.hear_type("joined").await;
    let ticket = Ticket { id: joined["id"].as_str().unwrap().to_owned(), resume: joined["resume"].clone() };
    drop(bob);
    until_absent(&server, 1).await;
    tell(&mut ann, &ticket, json!("first")).await;
    let (mut bob, joined) = come_back(&server, &ticket, Value::Null).await;
    assert_eq!(joined["id"], ticket.id.as_str());
    assert_eq!(bob.hear().await["data"], "first");
}

#[tokio::test]
async fn a_client_that_says_it_will_be_back_stays_and_any_other_farewell_is_one() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    ann.hear_type("peer-joined").await;
    bob.close(4000, "back soon").await;
    assert_eq!(bob.closed().await.0, 4000);
    until_absent(&server, 1).await;
    let (mut bob, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_eq!(joined["id"], bob_ticket.id.as_str());

    bob.close(1000, "").await;
    assert_eq!(ann.hear().await, json!({"type": "peer-left", "id": bob_ticket.id}));
    let (_, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_ne!(joined["id"], bob_ticket.id.as_str(), "who has left is someone new");
}

#[tokio::test]
async fn a_new_connection_takes_over_from_one_that_seems_alive() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut old, bob_ticket) = enter(&server).await;
    ann.hear_type("peer-joined").await;
    let (mut new, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_eq!(joined["id"], bob_ticket.id.as_str());
    assert_eq!(old.hear().await, json!({"type": "bye", "code": "replaced"}));
    assert_eq!(old.closed().await, (4001, "replaced".to_owned()));
    // The end of the old one concerns nobody.
    drop(old);
    tell(&mut ann, &bob_ticket, json!("still here")).await;
    assert_eq!(new.hear().await["data"], "still here");
    new.ping().await;
    ann.ping().await;
}

#[tokio::test]
async fn who_is_away_for_too_long_has_left_and_its_credentials_with_it() {
    let window = Duration::from_millis(200);
    let server = Server::with(Settings { resume_window: window, ..Settings::DEFAULT }).await;
    let (mut ann, _) = enter(&server).await;
    let (bob, bob_ticket) = enter(&server).await;
    ann.hear_type("peer-joined").await;
    let user = user(&server, &bob_ticket);
    assert!(server.is_good(&user));
    drop(bob);
    assert_eq!(ann.hear().await, json!({"type": "peer-left", "id": bob_ticket.id}));
    within(async {
        while *server.ended.lock().unwrap() != [user.clone()] {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(!server.is_good(&user));
    let (_, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_ne!(joined["id"], bob_ticket.id.as_str());
}

/// The name in a member's credentials, as the hub tells it to a backend.
fn user(server: &Server, ticket: &Ticket) -> String {
    let members = server.hub.room(&RoomName::new("oak".to_owned()).unwrap()).members;
    members.into_iter().find(|member| member.id.to_string() == ticket.id).unwrap().user
}

#[tokio::test]
async fn leaving_and_being_removed_end_the_credentials_at_once() {
    let server = Server::with(LONG).await;
    let (mut ann, ann_ticket) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    let (ann_user, bob_user) = (user(&server, &ann_ticket), user(&server, &bob_ticket));

    let oak = RoomName::new("oak".to_owned()).unwrap();
    let bob_id = MemberId::parse(&bob_ticket.id).unwrap();
    assert!(!server.hub.remove(&RoomName::new("elm".to_owned()).unwrap(), bob_id), "not from there");
    assert!(server.hub.remove(&oak, bob_id));
    assert!(!server.hub.remove(&oak, bob_id), "once");
    assert_eq!(bob.hear().await, json!({"type": "bye", "code": "removed"}));
    assert_eq!(bob.closed().await, (4003, "removed".to_owned()));
    ann.hear_type("peer-left").await;
    let (_, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_ne!(joined["id"], bob_ticket.id.as_str());

    ann.say(r#"{"type":"leave"}"#).await;
    ann.say(r#"{"type":"ping"}"#).await;
    ann.hear_type("pong").await;
    assert_eq!(*server.ended.lock().unwrap(), [bob_user.clone(), ann_user.clone()]);
    assert!(!server.is_good(&bob_user) && !server.is_good(&ann_user));
}

#[tokio::test]
async fn a_reader_that_was_too_slow_is_told_to_resume_and_misses_nothing() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let mut slow = Client::connect_with_small_buffer(&server).await;
    slow.say(r#"{"type":"join","room":"oak"}"#).await;
    let joined = slow.hear().await;
    let ticket = Ticket { id: joined["id"].as_str().unwrap().to_owned(), resume: joined["resume"].clone() };

    // Until the server has given up on it.
    let bulk = "x".repeat(40_000);
    let mut said = 0;
    while server.metric("byway_members_absent").await == 0 {
        tell(&mut ann, &ticket, json!(bulk)).await;
        ann.say(r#"{"type":"ping"}"#).await;
        ann.hear_type("pong").await;
        said += 1;
    }
    let mut heard = 0;
    let bye = loop {
        let message = slow.hear().await;
        match message["type"].as_str().unwrap() {
            "signal" => heard += 1,
            _ => break message,
        }
    };
    assert_eq!(bye, json!({"type": "bye", "code": "too-slow", "retry_ms": 1000, "resume": true}));
    assert_eq!(slow.closed().await.0, 1013);
    assert!(heard < said);
    let (mut slow, joined) = come_back(&server, &ticket, heard).await;
    assert_eq!(joined["id"], ticket.id.as_str());
    for seq in heard + 1..=said {
        assert_eq!(slow.hear().await["seq"], seq);
    }
}

#[tokio::test]
async fn what_a_pong_confirms_is_kept_no_longer() {
    let server = Server::with(Settings { ping_every: Duration::from_millis(50), ..LONG }).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    tell(&mut ann, &bob_ticket, json!(1)).await;
    bob.hear_type("signal").await;
    assert!(server.metric("byway_signals_kept_bytes").await > 0);
    // A client that reads answers pings.
    tokio::select! {
        () = within(async { while server.metric("byway_signals_kept_bytes").await > 0 {} }) => {}
        other = bob.hear() => panic!("{other}"),
    }
    drop(bob);
    // Discarded signals cannot be repeated: such a client joins again, rather than with a gap.
    let (_, joined) = come_back(&server, &bob_ticket, 0).await;
    assert_ne!(joined["id"], bob_ticket.id.as_str());
}

#[tokio::test]
async fn without_a_window_there_is_no_coming_back() {
    let server = Server::start().await;
    let (ann, ticket) = enter(&server).await;
    assert_eq!(ticket.resume, Value::Null);
    drop(ann);
    server.until("byway_members 0").await;
}

/// Threat 23: a ticket cannot be made up, and one for another room opens none.
#[tokio::test]
async fn threat_23_a_forged_ticket_gets_nobody_in() {
    let server = Server::with(LONG).await;
    let (mut ann, ticket) = enter(&server).await;
    let (_, other) = enter(&server).await;
    let (_, proof) = ticket.resume.as_str().unwrap().split_once('.').unwrap();
    for forged in
        [ticket.id.clone(), format!("{}.{proof}", other.id), format!("{}.", ticket.id), "\u{0}".to_owned()]
    {
        let forged = Ticket { id: String::new(), resume: json!(forged) };
        let (_, joined) = come_back(&server, &forged, 0).await;
        assert!(joined["id"] != ticket.id.as_str() && joined["id"] != other.id.as_str());
    }
    let mut elsewhere = Client::connect(&server).await;
    elsewhere
        .say(&json!({"type": "join", "room": "elm", "resume": ticket.resume, "seq": 0}).to_string())
        .await;
    let joined = elsewhere.hear().await;
    assert!(joined["id"] != ticket.id.as_str() && joined["peers"] == json!([]));
    // It was hers to give up.
    assert_eq!(ann.hear_type("bye").await["code"], "replaced");
}

#[tokio::test]
async fn what_a_client_says_that_it_has_is_kept_no_longer() {
    let server = Server::with(LONG).await;
    let (mut ann, _) = enter(&server).await;
    let (mut bob, bob_ticket) = enter(&server).await;
    for n in 1..=3 {
        tell(&mut ann, &bob_ticket, json!(n)).await;
        bob.hear_type("signal").await;
    }
    bob.say(r#"{"type":"ping","seq":2}"#).await;
    bob.hear_type("pong").await;
    drop(bob);
    until_absent(&server, 1).await;
    let (mut bob, joined) = come_back(&server, &bob_ticket, 2).await;
    assert_eq!((&joined["id"], &bob.hear().await["seq"]), (&json!(bob_ticket.id), &json!(3)));
    bob.say(r#"{"type":"ping","seq":99}"#).await;
    bob.hear_type("pong").await;
    assert_eq!(server.metric("byway_signals_kept_bytes").await, 0);
    drop(bob);
    let (_, joined) = come_back(&server, &bob_ticket, 2).await;
    assert_ne!(joined["id"], bob_ticket.id.as_str(), "3 was confirmed");
}
