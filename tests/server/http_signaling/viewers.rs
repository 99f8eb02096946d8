//! Viewers of a room.

use std::time::Duration;

use serde_json::{Value, json};

use super::in_process::{Client, Server, Settings};

/// Joins the room oak; the client, and its `joined`.
async fn enter(server: &Server, viewer: bool) -> (Client, Value) {
    let (client, answer) = ask(server, json!({"viewer": viewer})).await;
    assert_eq!((&answer["type"], &answer["viewer"]), (&json!("joined"), &json!(viewer)), "{answer}");
    (client, answer)
}

async fn ask(server: &Server, fields: Value) -> (Client, Value) {
    let mut client = Client::connect(server).await;
    let mut join = json!({"type": "join", "room": "oak"});
    join.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    client.say(&join.to_string()).await;
    let answer = client.hear().await;
    (client, answer)
}

async fn tell(from: &mut Client, to: &Value) {
    from.say(&json!({"type": "signal", "to": to, "data": 1}).to_string()).await;
}

#[tokio::test]
async fn a_viewer_sees_members_and_no_viewer() {
    let server = Server::start().await;
    let (mut ann, of_ann) = enter(&server, false).await;
    let (mut vic, of_vic) = enter(&server, true).await;
    let (mut wes, of_wes) = enter(&server, true).await;
    let seen = |joined: &Value| -> Vec<(Value, Value)> {
        let peers = joined["peers"].as_array().unwrap();
        peers.iter().map(|peer| (peer["id"].clone(), peer["viewer"].clone())).collect()
    };
    assert_eq!(seen(&of_vic), [(of_ann["id"].clone(), json!(false))]);
    assert_eq!(seen(&of_wes), seen(&of_vic));
    for joined in [&of_vic, &of_wes] {
        let came = json!({
            "type": "peer-joined", "id": joined["id"], "name": null, "polite": false, "host": false, "viewer": true,
        });
        assert_eq!(ann.hear().await, came);
    }
    // Had Vic heard of Wes, it would come before the pong.
    vic.ping().await;
    let (mut bob, of_bob) = enter(&server, false).await;
    assert_eq!(
        seen(&of_bob),
        [
            (of_ann["id"].clone(), json!(false)),
            (of_vic["id"].clone(), json!(true)),
            (of_wes["id"].clone(), json!(true)),
        ]
    );
    for client in [&mut ann, &mut vic, &mut wes] {
        assert_eq!(client.hear().await["id"], of_bob["id"]);
    }

    for (to, is_told) in [(&of_ann, true), (&of_wes, false), (&of_vic, false)] {
        tell(&mut vic, &to["id"]).await;
        if !is_told {
            vic.hear_error("no-such-peer").await;
        }
    }
    assert_eq!(ann.hear().await["from"], of_vic["id"]);
    tell(&mut bob, &of_vic["id"]).await;
    assert_eq!(vic.hear().await["from"], of_bob["id"]);

    server.until("byway_members 4").await;
    server.until("byway_members_viewing 2").await;
    drop(vic);
    for client in [&mut ann, &mut bob] {
        assert_eq!(client.hear().await, json!({"type": "peer-left", "id": of_vic["id"]}));
    }
    wes.ping().await;
    drop((ann, bob));
    for _ in 0..2 {
        wes.hear_type("peer-left").await;
    }
    assert!(!wes.has_heard("peer-joined"));
    server.until("byway_members_viewing 1").await;
}

#[tokio::test]
async fn a_viewer_that_waits_meets_who_comes_and_is_never_the_host() {
    let server = Server::start().await;
    let (mut vic, of_vic) = enter(&server, true).await;
    assert_eq!((&of_vic["host"], &of_vic["peers"]), (&json!(false), &json!([])));
    let (ann, of_ann) = enter(&server, false).await;
    assert_eq!(of_ann["host"], true);
    assert_eq!(of_ann["peers"][0]["id"], of_vic["id"]);
    let came = vic.hear().await;
    assert_eq!((&came["host"], &came["viewer"]), (&json!(true), &json!(false)));
    drop(ann);
    assert_eq!(vic.hear().await["type"], "peer-left");
    vic.say(r#"{"type":"lock","locked":true}"#).await;
    vic.hear_error("not-host").await;
}

#[tokio::test]
async fn a_viewer_that_comes_back_is_one_still() {
    let settings = Settings { resume_window: Duration::from_secs(600), max_viewers: 1, ..Settings::DEFAULT };
    let server = Server::with(settings).await;
    let (mut ann, of_ann) = enter(&server, false).await;
    let (vic, of_vic) = enter(&server, true).await;
    ann.hear_type("peer-joined").await;
    drop(vic);
    server.until("byway_members_absent 1").await;
    // It keeps its place, and what it is sent.
    assert_eq!(ask(&server, json!({"viewer": true})).await.1["code"], "viewers-full");
    tell(&mut ann, &of_vic["id"]).await;
    let (mut vic, again) = ask(&server, json!({"resume": of_vic["resume"], "seq": 0, "viewer": false})).await;
    assert_eq!((&again["id"], &again["viewer"]), (&of_vic["id"], &json!(true)));
    assert_eq!(vic.hear().await["from"], of_ann["id"]);
    ann.ping().await;
}

#[tokio::test]
async fn threat_23_a_flood_of_viewers_keeps_no_member_out() {
    let server = Server::with(Settings { max_members: 2, max_viewers: 3, ..Settings::DEFAULT }).await;
    let (mut ann, _) = enter(&server, false).await;
    let mut inside = Vec::new();
    for n in 0..20 {
        let (client, answer) = ask(&server, json!({"viewer": true})).await;
        let refused = (n >= 3).then_some("viewers-full");
        assert_eq!(answer["code"].as_str(), refused, "{n}: {answer}");
        inside.push(client);
    }
    let (_bob, of_bob) = enter(&server, false).await;
    assert_eq!(of_bob["peers"].as_array().map(Vec::len), Some(4));
    assert_eq!(ask(&server, json!({})).await.1["code"], "room-full");
    // A refused viewer costs the members nothing.
    for _ in 0..4 {
        assert_eq!(ann.hear().await["type"], "peer-joined");
    }
    ann.ping().await;
    // A refused one may come as a member of another room.
    inside[19].join("elm").await;
}

#[tokio::test]
async fn a_server_without_places_for_viewers_has_none() {
    let server = Server::with(Settings { max_viewers: 0, ..Settings::DEFAULT }).await;
    assert_eq!(ask(&server, json!({"viewer": true})).await.1["code"], "viewers-full");
    server.until("byway_rooms 0").await;
}
