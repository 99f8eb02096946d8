//! What the log does not hold, at whatever level it is kept.

mod support;

use std::net::TcpStream;

use support::{CONFIG, SECRET, Server, http};
use tokio_tungstenite::tungstenite::{self, Message};

/// Credentials are for those they are issued to, and whoever knows a room can enter it.
#[test]
fn the_most_talkative_log_holds_no_credential_and_no_word_of_a_room() {
    let server = Server::start_with(CONFIG, |command| {
        command.env("RUST_LOG", "trace,tungstenite=trace,tungstenite::protocol=trace");
    });
    let site = server.bound.http[0];
    let ice = http::get(site, "/ice").expect_ok();
    let ice: serde_json::Value = serde_json::from_slice(&ice.body).expect("/ice is JSON");

    let stream = TcpStream::connect(site).expect("the server accepts");
    let (mut socket, _) = tungstenite::client(format!("ws://{site}/ws"), stream).expect("a WebSocket");
    let mut say = |text: &str| {
        socket.send(Message::text(text)).expect("the frame is sent");
        let answer = socket.read().expect("an answer").into_text().expect("in text");
        serde_json::from_str::<serde_json::Value>(&answer).expect("in JSON")
    };
    let joined = say(r#"{"type":"join","room":"an-unguessable-room","name":"a-name-on-a-screen"}"#);
    let nobody = "AAAAAAAAAAAAAAAAAAAAAA";
    let error = say(&format!(r#"{{"type":"signal","to":"{nobody}","data":"a-session-description"}}"#));
    assert_eq!(error["code"], "no-such-peer");
    drop(socket);

    let password =
        |ice: &serde_json::Value| ice["iceServers"][1]["credential"].as_str().expect("a password").to_owned();
    let log = server.log();
    assert!(log.contains("TRACE"), "the log is kept at the level that was asked for");
    for kept in [
        password(&ice).as_str(),
        &password(&joined["ice"]),
        SECRET,
        "an-unguessable-room",
        "a-name-on-a-screen",
        "a-session-description",
    ] {
        assert!(!log.contains(kept), "the log holds {kept}");
    }
}
