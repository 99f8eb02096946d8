//! Operators' tokens: what they open, and what they do not.

use byway_test_support::process::Server;
use serde_json::{Value, json};

use super::invitations::{claims, join, parts};
use super::{KEY, asked, bearer, now, refusal, server, token};

/// Runs `byway invite --host` without a room.
fn printed(server: &Server, more: &[&str]) -> String {
    let arguments = [&["invite", "--host", "--url", "https://call.example.org"], more].concat();
    let output = server.command().args(arguments).output().expect("the binary starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

/// An operator's token of the command.
fn operator(server: &Server) -> String {
    printed(server, &[]).split_once("#token=").expect("a token behind the #").1.to_owned()
}

/// Seconds until the token ends.
fn left(token: &str) -> u64 {
    claims(token)["exp"].as_u64().expect("a date") - now()
}

#[test]
fn the_command_prints_a_link_to_the_landing_page() {
    let server = server("token", "");
    let link = printed(&server, &[]);
    let (page, token) = link.split_once("#token=").expect("a token behind the #");
    assert_eq!(page, "https://call.example.org/");
    let told = claims(token);
    assert_eq!((&told["operator"], &told["aud"]), (&json!(true), &json!("byway.test")));
    assert_eq!(told.as_object().expect("an object").len(), 3, "{told}");
    assert!((604_790..=604_800).contains(&left(token)), "7 days");
    let answer: Value = serde_json::from_str(&printed(&server, &["--json", "--ttl", "30d"])).expect("JSON");
    let keys: Vec<_> = answer.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["expiresAt", "token", "url"]);
    assert!(
        answer["url"].as_str().is_some_and(|url| url.ends_with(answer["token"].as_str().expect("a text")))
    );
    assert!((2_591_990..=2_592_000).contains(&left(answer["token"].as_str().expect("a text"))));
}

#[test]
fn an_operator_invites_to_any_room_for_a_bounded_time() {
    let server = server("token", "");
    let key = bearer(&operator(&server));
    let invite = |body: Value| asked(&server, "POST /invite", &[&key], &body.to_string());
    for (name, role) in [("tea", "host"), ("oak & ash", "viewer")] {
        let answer =
            invite(json!({"room": name, role: true, "ttl": 604_800, "name": "Ann", "max_members": 3}));
        assert_eq!((answer.status, answer.header("cache-control")), (201, Some("no-store")));
        let invitation = answer.json();
        let told = claims(invitation["token"].as_str().expect("a text"));
        assert_eq!(
            (&told["room"], &told[role], &told["max_members"]),
            (&json!(name), &json!(true), &json!(3))
        );
    }
    let longer = invite(json!({"room": "tea", "ttl": 604_801}));
    assert_eq!(refusal(&longer), (400, "bad-request".to_owned()));
    assert!(longer.text().contains("7 days"), "{}", longer.text());
    let unknown = invite(json!({"room": "tea", "operator": true}));
    assert_eq!(refusal(&unknown), (400, "bad-request".to_owned()), "an operator makes no operators");

    let host = invite(json!({"room": "tea", "host": true})).json();
    let (_, room, host) = parts(host["url"].as_str().expect("a text"));
    let (_ann, joined) = join(&server, host, false);
    assert_eq!((room, &joined["host"]), ("tea", &json!(true)));
    let guest = invite(json!({"room": "tea"})).json();
    let (_bob, joined) = join(&server, guest["token"].as_str().expect("a text"), false);
    assert_eq!(joined["host"], json!(false));
}

#[test]
fn threat_53_an_operators_token_opens_nothing_but_invitations() {
    let server = server("token", "");
    let operator = operator(&server);
    assert_eq!(join(&server, &operator, false).1["code"], "wrong-room");
    for line in ["GET /ice", "POST /turn", "OPTIONS /ice"] {
        let answer = asked(&server, line, &[&bearer(&operator)], "");
        assert_eq!(refusal(&answer), (401, "bad-token".to_owned()), "{line}");
        assert!(answer.text().contains("ask `POST /invite`"), "{line} {}", answer.text());
    }
    for line in ["GET /rooms/tea", "DELETE /rooms/tea/members/x", "GET /api/v1/turn/credentials"] {
        let answer = asked(&server, line, &[&bearer(&operator)], "");
        assert_eq!(refusal(&answer), (401, "bad-api-key".to_owned()), "{line}");
    }
    let page = ["Origin: https://evil.example", &bearer(&operator)];
    for line in ["POST /invite", "GET /invite"] {
        let answer = asked(&server, line, &page, "{\"room\": \"tea\"}");
        assert_eq!(refusal(&answer), (403, "origin-refused".to_owned()), "{line}");
    }
}

#[test]
fn threat_53_no_other_token_invites() {
    for access in ["open", "token"] {
        let server = server(access, "");
        let invite = |token: &str| asked(&server, "POST /invite", &[&bearer(token)], "{\"room\": \"tea\"}");
        let (at, far) = (now(), now() + 600);
        for (claims, code) in [
            (json!({"room": "tea", "aud": "byway.test", "exp": far}), "bad-api-key"),
            (json!({"room": "tea", "aud": "byway.test", "exp": far, "host": true}), "bad-api-key"),
            (json!({"room": "tea", "aud": "byway.test", "exp": far, "operator": true}), "bad-api-key"),
            (json!({"aud": "other.test", "exp": far, "operator": true}), "bad-api-key"),
            (json!({"aud": "byway.test", "exp": at - 1, "operator": true}), "token-expired"),
            (
                json!({"aud": "byway.test", "exp": far, "nbf": at + 300, "operator": true}),
                "token-not-yet-valid",
            ),
        ] {
            assert_eq!(refusal(&invite(&token(&claims))), (401, code.to_owned()), "{claims}");
        }
        let good = token(&json!({"aud": "byway.test", "exp": far, "operator": true}));
        assert_eq!(invite(&good).status, 201, "a backend signs one as well");
        let (body, _) = good.rsplit_once('.').expect("three parts");
        assert_eq!(refusal(&invite(&format!("{body}.AAAA"))), (401, "bad-api-key".to_owned()));
    }
}

#[test]
fn a_bearer_sees_what_its_token_is_for() {
    let server = server("token", "");
    let shown = |token: &str| asked(&server, "GET /invite", &[&bearer(token)], "");
    let answer = shown(&operator(&server));
    assert_eq!((answer.status, answer.header("cache-control")), (200, Some("no-store")));
    let answer = answer.json();
    assert_eq!((&answer["role"], &answer["room"]), (&json!("operator"), &Value::Null));
    assert!(answer["expiresAt"].as_str().is_some_and(|end| end.ends_with('Z')));
    let of = |more: Value| {
        let mut all = json!({"room": "tea", "aud": "byway.test", "exp": now() + 600});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        token(&all)
    };
    for (more, role) in
        [(json!({}), "member"), (json!({"host": true}), "host"), (json!({"viewer": true}), "viewer")]
    {
        let answer = shown(&of(more)).json();
        assert_eq!((&answer["role"], &answer["room"]), (&json!(role), &json!("tea")));
    }
    for (token, code) in [
        (of(json!({"exp": now() - 1})), "token-expired"),
        (of(json!({"aud": "other.test"})), "bad-token"),
        (KEY.to_owned(), "bad-token"),
    ] {
        assert_eq!(refusal(&shown(&token)), (401, code.to_owned()));
    }
    assert_eq!(refusal(&asked(&server, "GET /invite", &[], "")), (401, "token-required".to_owned()));
}

#[test]
fn the_document_says_whether_a_token_is_required() {
    for (access, marked) in [("open", false), ("token", true)] {
        let server = server(access, "");
        for path in ["GET /", "GET /?room=tea", "GET /index.html"] {
            let page = asked(&server, path, &[], "").expect_ok();
            assert_eq!(page.text().contains("<html data-access=\"token\""), marked, "{access} {path}");
            assert_eq!(page.header("cache-control"), Some("no-cache"));
            let etag = format!("If-None-Match: {}", page.header("etag").expect("a tag"));
            assert_eq!(asked(&server, path, &[&etag], "").status, 304, "{access} {path}");
        }
        let answer = asked(&server, "GET /by-invitation.html", &[], "");
        assert_eq!(refusal(&answer), (404, "not-found".to_owned()));
    }
}
