//! Invitations: by the command, by a backend, and what they open.

use std::net::TcpStream;

use byway_test_support::process::interrupts::Uninterrupted;
use byway_test_support::process::{CONFIG, Configuration, member};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket};

use super::{KEY, Server, asked, bearer, now, refusal, server};

/// The claims of a token, without a check of its signature.
pub(super) fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let body = token.split('.').nth(1).expect("three parts");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(body).expect("base64");
    serde_json::from_slice(&bytes).expect("JSON")
}

/// Page, room as it is in a query, and token of a link.
pub(super) fn parts(url: &str) -> (&str, &str, &str) {
    let (page, rest) = url.split_once("?room=").expect("a room");
    let (room, token) = rest.split_once("#token=").expect("a token behind the #");
    (page, room, token)
}

#[test]
fn the_command_prints_a_link_that_lets_in() {
    let server = server("token", "");
    let run = |arguments: &[&str]| {
        let output = server.command().arg("invite").args(arguments).output().expect("the binary starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let page = "https://call.example.org";
    let told = run(&["--room", "tea & cake", "--url", page]);
    let (at, room, token) = parts(told.trim_end());
    assert_eq!((at, room, told.lines().count()), ("https://call.example.org/", "tea+%26+cake", 1));
    let told = claims(token);
    assert_eq!((&told["room"], &told["aud"]), (&json!("tea & cake"), &json!("byway.test")));
    let left = told["exp"].as_u64().expect("a date") - now();
    assert!((3590..=3600).contains(&left), "{left}");
    assert_eq!(told.as_object().expect("an object").len(), 3);
    assert_eq!(asked(&server, "GET /ice", &[&bearer(token)], "").status, 200);

    let more = ["--room", "tea", "--ttl", "2h", "--name", "Ann", "--max-members", "2", "--region", "eu-1"];
    let more = [&more[..], &["--json", "--url", page]].concat();
    let invitation: Value = serde_json::from_str(&run(&more)).expect("JSON");
    let told = claims(invitation["token"].as_str().expect("a text"));
    assert_eq!(
        (&told["name"], &told["max_members"], &told["region"]),
        (&json!("Ann"), &json!(2), &json!("eu-1"))
    );
    assert!((7190..=7200).contains(&(told["exp"].as_u64().expect("a date") - now())));
    let url = invitation["url"].as_str().expect("a text");
    assert_eq!(parts(url).2, invitation["token"]);
    assert_eq!(invitation["room"], "tea");
    assert!(invitation["expiresAt"].as_str().is_some_and(|end| end.ends_with('Z')));
}

#[test]
fn the_command_says_what_it_lacks() {
    let run = |config: &str, arguments: &[&str]| {
        let output = Configuration::new(config).run(&[&["invite"], arguments].concat());
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let told = run("", &["--room", "tea"]);
    assert!(told.contains("no secret to sign with") && told.contains("remedy: set `secrets`"), "{told}");
    let told = run(CONFIG, &["--room", "tea"]);
    assert!(
        told.contains("no `tls` or `http` listener") && told.contains("remedy: give the address"),
        "{told}"
    );
    for (arguments, says) in [
        (&["--room", ""][..], "A room is 1 to 128 characters"),
        (&["--room", "a\nb"], "A room is 1 to 128 characters"),
        (&["--room", "tea", "--name", "a\nb"], "A name is 1 to 64 characters"),
        (&["--room", "tea", "--max-members", "0"], "max_members is at least 1"),
        (&["--room", "tea", "--region", "EU"], "A region is 1 to 32 lower-case letters"),
        (&["--room", "tea", "--ttl", "31d"], "1 second to 30 days"),
        (&["--room", "tea", "--ttl", "0s"], "1 second to 30 days"),
        (&["--room", "tea", "--host", "--viewer"], "cannot be used with"),
        (&["--room", "tea", "--host=yes"], "unexpected value"),
        (&[], "name the room with --room NAME"),
        (&["--viewer"], "name the room with --room NAME"),
        (&["--host", "--ttl", "31d"], "1 second to 30 days"),
        (&["--host", "--name", "Ann"], "--room <NAME>"),
        (&["--host", "--max-members", "2"], "--room <NAME>"),
        (&["--host", "--region", "eu"], "--room <NAME>"),
        (&["--room", "tea", "--url", "call.example.org"], "such as https://"),
        (&["--room", "tea", "--url", "https://a/?b"], "such as https://"),
    ] {
        let told = run(CONFIG, arguments);
        assert!(told.contains(says), "{arguments:?}: {told}");
    }
    // Where the listener's port is known, no address need be named.
    let output =
        Configuration::new("[credentials]\nsecrets = [\"north-north\"]\n").run(&["invite", "--room", "tea"]);
    let told = String::from_utf8(output.stdout).expect("text");
    assert_eq!(parts(told.trim_end()).0, "http://127.0.0.1:8080/");
}

#[test]
fn a_backend_makes_one_over_http() {
    let server = server("token", "");
    let invite = |headers: &[&str], body: &Value| {
        let key = bearer(KEY);
        let headers = [&[key.as_str()], headers].concat();
        asked(&server, "POST /invite", &headers, &body.to_string())
    };
    let answer = invite(&[], &json!({"room": "tea"}));
    assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")));
    let invitation = answer.json();
    let keys: Vec<_> = invitation.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["expiresAt", "room", "token", "url"]);
    let (page, room, token) = parts(invitation["url"].as_str().expect("a text"));
    assert_eq!((page, room), (format!("http://{}/", server.bound.http[0]).as_str(), "tea"));
    assert_eq!(token, invitation["token"]);
    assert_eq!(asked(&server, "GET /ice", &[&bearer(token)], "").status, 200);
    let left = claims(token)["exp"].as_u64().expect("a date") - now();
    assert!((3590..=3600).contains(&left), "{left}");

    let all = json!({"room": "t\u{e9}a", "ttl": 60, "name": "Ann", "max_members": 2, "region": "eu-1"});
    let proxied = invite(&["X-Forwarded-Proto: https"], &all).json();
    let (page, room, token) = parts(proxied["url"].as_str().expect("a text"));
    assert!(page.starts_with("https://127.0.0.1:"), "{page}");
    assert_eq!(room, "t%C3%A9a");
    let told = claims(token);
    assert_eq!(
        (&told["room"], &told["name"], &told["max_members"], &told["region"]),
        (&json!("t\u{e9}a"), &json!("Ann"), &json!(2), &json!("eu-1"))
    );
    assert_eq!(asked(&server, "GET /ice", &[&bearer(token)], "").status, 200);
    for absent in [json!(null), json!("")] {
        let none = invite(&[], &json!({"room": "tea", "region": absent})).json();
        let told = claims(none["token"].as_str().expect("a text"));
        assert_eq!(told.get("region"), None, "{absent}");
    }

    for (body, says) in [
        (json!({}), "missing field `room`"),
        (json!({"room": 5}), "expected a string"),
        (json!({"room": "tea", "rooms": 1}), "unknown field `rooms`, expected one of `room`"),
        (json!({"room": ""}), "A room is 1 to 128 characters"),
        (json!({"room": "a".repeat(129)}), "A room is 1 to 128 characters"),
        (json!({"room": "tea", "name": "\u{202e}"}), "A name is 1 to 64 characters"),
        (json!({"room": "tea", "ttl": 0}), "at least one second"),
        (json!({"room": "tea", "ttl": 2_592_001}), "30 days"),
        (json!({"room": "tea", "ttl": "1h"}), "expected u64"),
        (json!({"room": "tea", "max_members": 0}), "at least 1"),
        (json!({"room": "tea", "region": "EU"}), "A region is 1 to 32 lower-case letters"),
        (json!({"room": "tea", "region": 5}), "expected a string"),
        (json!({"room": "tea", "host": true, "viewer": true}), "cannot be a host"),
        (json!({"room": "tea", "host": "yes"}), "expected a boolean"),
        (json!({"room": "tea", "viewer": null}), "expected a boolean"),
        (json!(["tea"]), "The body is not the JSON object"),
        (json!("tea"), "The body is not the JSON object"),
    ] {
        let answer = invite(&[], &body);
        assert_eq!(refusal(&answer), (400, "bad-request".to_owned()), "{body}");
        assert!(answer.text().contains(says), "{body}: {}", answer.text());
    }
    assert_eq!(refusal(&invite(&[], &json!({"room": "a".repeat(5_000)}))), (413, "too-large".to_owned()));
    assert_eq!(
        refusal(&asked(&server, "PUT /invite", &[&bearer(KEY)], "")),
        (405, "method-not-allowed".to_owned())
    );
}

/// Joins the room tea with this token; the connection, and what the server says.
pub(super) fn join(
    server: &Server,
    token: &str,
    viewer: bool,
) -> (WebSocket<Uninterrupted<TcpStream>>, Value) {
    let mut socket = member::connect(server);
    let join = json!({"type": "join", "room": "tea", "token": token, "viewer": viewer});
    socket.send(Message::text(join.to_string())).expect("it is sent");
    let answer = member::hear(&mut socket);
    (socket, answer)
}

#[test]
fn a_host_and_a_viewer_are_invited_by_either_way() {
    let server = server("token", "[signaling]\nmax_viewers = 1\n");
    let by_command = |role: &str| {
        let arguments = ["invite", "--room", "tea", "--url", "https://a", role];
        let output = server.command().args(arguments).output().expect("the binary starts");
        String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
    };
    let by_http = |role: &str| {
        let body = json!({"room": "tea", role: true}).to_string();
        asked(&server, "POST /invite", &[&bearer(KEY)], &body).json()["url"]
            .as_str()
            .expect("a text")
            .to_owned()
    };
    for url in [by_command("--host"), by_http("host")] {
        let (_, room, token) = parts(&url);
        assert_eq!(
            (room, &claims(token)["host"], &claims(token)["viewer"]),
            ("tea", &json!(true), &Value::Null)
        );
    }
    for url in [by_command("--viewer"), by_http("viewer")] {
        let (_, room, token) = parts(&url);
        assert_eq!((room, &claims(token)["viewer"]), ("tea&live=1", &json!(true)));
        assert_eq!(claims(token)["host"], Value::Null);
    }

    let host = by_command("--host");
    let (mut ann, joined) = join(&server, parts(&host).2, false);
    assert_eq!(
        (&joined["host"], &joined["viewer"], &joined["locked"]),
        (&json!(true), &json!(false), &json!(false))
    );
    let watch = by_http("viewer");
    let (_vic, joined) = join(&server, parts(&watch).2, false);
    assert_eq!((&joined["host"], &joined["viewer"]), (&json!(false), &json!(true)), "as its token says");
    assert_eq!(member::hear(&mut ann)["viewer"], true);
    assert_eq!(join(&server, parts(&watch).2, true).1["code"], "viewers-full");

    let say = |ann: &mut WebSocket<_>, message: Value| {
        ann.send(Message::text(message.to_string())).expect("it is sent");
        member::hear(ann)
    };
    let invitation = say(&mut ann, json!({"type": "invite", "ttl": 60}));
    let guest = invitation["token"].as_str().expect("a text");
    let told = claims(guest);
    assert_eq!(
        (&told["room"], told.as_object().map(serde_json::Map::len)),
        (&json!("tea"), Some(3)),
        "no more"
    );
    assert!((50..=60).contains(&(told["exp"].as_u64().expect("a date") - now())));
    assert_eq!(
        say(&mut ann, json!({"type": "lock", "locked": true})),
        json!({"type": "locked", "locked": true})
    );
    assert_eq!(join(&server, guest, false).1["code"], "room-locked");
    assert_eq!(
        say(&mut ann, json!({"type": "lock", "locked": false})),
        json!({"type": "locked", "locked": false})
    );
    let (mut bob, joined) = join(&server, guest, false);
    assert_eq!((&joined["host"], &joined["viewer"]), (&json!(false), &json!(false)));
    let came = member::hear(&mut ann);
    ann.send(Message::text(json!({"type": "remove", "id": came["id"]}).to_string())).expect("it is sent");
    assert_eq!(member::hear(&mut bob), json!({"type": "bye", "code": "removed"}));
    assert_eq!(member::closed(&mut bob), (4003, "removed".to_owned()));
    assert_eq!(member::hear(&mut ann)["type"], "peer-left");
    // A token is for its room and its role, and a change of either spoils it.
    let (head, signature) =
        (guest.split('.').next().expect("a part"), guest.rsplit('.').next().expect("a part"));
    let raised = base64::Engine::encode(
        &base64::engine::general_purpose::URL_SAFE_NO_PAD,
        json!({"room": "tea", "aud": "byway.test", "exp": now() + 60, "host": true}).to_string(),
    );
    assert_eq!(join(&server, &format!("{head}.{raised}.{signature}"), false).1["code"], "bad-token");
}

#[test]
fn without_any_secret_the_server_still_invites() {
    let config = CONFIG.replace("secrets = [\"a-test-secret\"]", "");
    let more = format!("[ice]\naccess = \"token\"\napi_keys = [\"{KEY}\"]\n");
    let server = Server::start_with(&format!("{config}{more}"), |_| {});
    let answer = asked(&server, "POST /invite", &[&bearer(KEY)], "{\"room\": \"tea\"}");
    let invitation = answer.json();
    let token = invitation["token"].as_str().expect("a text");
    assert_eq!(asked(&server, "GET /ice", &[&bearer(token)], "").status, 200);
}

#[test]
fn an_empty_room_is_no_room() {
    let server = server("token", "");
    let room = asked(&server, "GET /rooms/t%C3%A9a", &[&bearer(KEY)], "").expect_ok().json();
    assert_eq!(room, json!({"room": "t\u{e9}a", "locked": false, "members": []}));
    for id in ["x", "AAAAAAAAAAAAAAAAAAAAAA"] {
        let answer = asked(&server, &format!("DELETE /rooms/tea/members/{id}"), &[&bearer(KEY)], "");
        assert_eq!(refusal(&answer), (404, "no-such-member".to_owned()));
    }
    let answer = asked(&server, &format!("GET /rooms/{}", "a".repeat(129)), &[&bearer(KEY)], "");
    assert_eq!(refusal(&answer), (400, "bad-request".to_owned()));
}

#[test]
fn a_path_that_is_not_utf_8_is_a_problem_like_any_other() {
    let server = server("token", "");
    for line in [
        "GET /rooms/%FF",
        "DELETE /rooms/tea/members/%FF",
        "POST /v1/turn/keys/k/credentials/%FF/revoke",
        "POST /2010-04-01/Accounts/%FF/Tokens.json",
        "GET /problems/%FF",
    ] {
        let answer = asked(&server, line, &[&bearer(KEY)], "");
        assert_eq!(refusal(&answer), (400, "bad-request".to_owned()), "{line}");
    }
}
