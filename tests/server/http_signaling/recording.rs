//! Events of rooms and members, for those who record them.

use std::time::Duration;

use byway::events::Event;
use byway::signaling::protocol::{MemberId, RoomName};
use serde_json::{Value, json};

use super::in_process::{Client, Server, Settings, within};

async fn enter(server: &Server, viewer: bool) -> (Client, String) {
    let mut client = Client::connect(server).await;
    client.say(&json!({"type": "join", "room": "oak", "viewer": viewer}).to_string()).await;
    let joined = client.hear_type("joined").await;
    let Value::String(id) = &joined["id"] else { panic!("{joined}") };
    (client, id.clone())
}

/// Events since the last call, one line each, with the members by number.
fn told(server: &Server, members: &[&str]) -> Vec<String> {
    let number = |id: &str| members.iter().position(|member| *member == id).expect("is a member");
    let line = |event| match event {
        Event::RoomOpened { room } => format!("{room} opened"),
        Event::MemberJoined { room, member, user, viewer } => {
            assert!(user.ends_with(&format!(".{member}")), "{user}");
            format!("{} joined {room} viewer={viewer}", number(&member))
        }
        Event::MemberLeft { room, member, user, reason } => {
            assert!(user.ends_with(&format!(".{member}")), "{user}");
            format!("{} left {room}: {reason}", number(&member))
        }
        Event::RoomClosed { room } => format!("{room} closed"),
        other => panic!("{other:?}"),
    };
    server.events().into_iter().map(line).collect()
}

#[tokio::test]
async fn a_room_is_reported_from_its_first_member_to_its_last() {
    let server = Server::start().await;
    let (mut ann, first) = enter(&server, false).await;
    let (_bob, second) = enter(&server, true).await;
    let members = [first.as_str(), second.as_str()];
    assert_eq!(
        told(&server, &members),
        ["oak opened", "0 joined oak viewer=false", "1 joined oak viewer=true"]
    );

    let room = RoomName::new("oak".to_owned()).expect("is a name");
    assert!(server.hub.remove(&room, MemberId::parse(&second).expect("is an id")));
    assert_eq!(told(&server, &members), ["1 left oak: removed"]);

    ann.say(r#"{"type":"leave"}"#).await;
    ann.say(r#"{"type":"ping"}"#).await;
    ann.hear_type("pong").await;
    assert_eq!(told(&server, &members), ["0 left oak: left", "oak closed"]);
}

#[tokio::test]
async fn a_lost_member_has_left_when_its_time_is_over() {
    let server =
        Server::with(Settings { resume_window: Duration::from_millis(50), ..Settings::DEFAULT }).await;
    let (ann, id) = enter(&server, false).await;
    told(&server, &[&id]);
    drop(ann);
    let mut lines = Vec::new();
    within(async {
        while lines.len() < 2 {
            tokio::task::yield_now().await;
            lines.extend(told(&server, &[&id]));
        }
    })
    .await;
    assert_eq!(lines, ["0 left oak: lost", "oak closed"]);
}
