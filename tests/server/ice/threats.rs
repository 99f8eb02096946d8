//! Threats of the pages that hand out credentials.

use byway_test_support::process::{CONFIG, Configuration};
use serde_json::json;

use super::{KEY, asked, bearer, now, refusal, server, token};

/// Pages that look like ours, or like one that is listed.
fn foreign_origins(own: &str) -> Vec<String> {
    let host = own.strip_prefix("http://").expect("plain HTTP");
    let (ip, port) = host.rsplit_once(':').expect("a port");
    [
        "null".to_owned(),
        String::new(),
        "https://app.example.com.".to_owned(),
        "https://app.example.com.evil.org".to_owned(),
        "https://evilapp.example.com".to_owned(),
        "https://app.example.com:444".to_owned(),
        "https://sub.app.example.com".to_owned(),
        "https://app.example.com@evil.org".to_owned(),
        "http://app.example.com".to_owned(),
        format!("{own}."),
        format!("{own}/"),
        format!("http://{ip}"),
        format!("http://{ip}:{port}0"),
        format!("ws://{host}"),
        format!("http://evil.org/{host}"),
    ]
    .to_vec()
}

#[test]
fn threat_21_no_page_of_another_site_opens_a_websocket_or_reads_credentials() {
    let server = server("open", "[signaling]\nallowed_origins = [\"https://app.example.com\"]\n");
    let own = format!("http://{}", server.bound.http[0]);
    let upgrade = [
        "Connection: upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let key = bearer(KEY);
    let everything = [
        ("GET /ws", 426),
        ("GET /ice", 200),
        ("POST /ice", 200),
        ("OPTIONS /ice", 204),
        ("GET /turn", 200),
        ("POST /turn", 200),
        ("OPTIONS /turn", 204),
        ("GET /_matrix/client/v3/voip/turnServer", 200),
        ("GET /api/v1/turn/credentials", 200),
        ("POST /2010-04-01/Accounts/AC0/Tokens.json", 201),
        ("POST /v1/turn/keys/k/credentials/generate", 201),
        ("POST /v1/turn/keys/k/credentials/generate-ice-servers", 201),
        ("POST /v1/turn/keys/k/credentials/1:a/revoke", 204),
        ("POST /invite", 201),
        ("GET /rooms/tea", 200),
    ];
    for (line, ok) in everything {
        let for_programs =
            !["/ws", "/ice", "/turn ", "/_matrix"].iter().any(|path| format!("{line} ").contains(path));
        let body =
            if line.starts_with("POST /v1") || line == "POST /invite" { "{\"room\": \"tea\"}" } else { "" };
        let asked = |origin: Option<&str>, site: Option<&str>| {
            let origin = origin.map(|origin| format!("Origin: {origin}"));
            let site = site.map(|site| format!("Sec-Fetch-Site: {site}"));
            // HTTP/1.0 takes no WebSocket: what a page is let through to is another refusal.
            let headers = origin.iter().chain(&site).map(String::as_str).chain(upgrade).chain([key.as_str()]);
            asked(&server, line, &headers.collect::<Vec<_>>(), body)
        };
        for origin in foreign_origins(&own) {
            let answer = asked(Some(&origin), None);
            assert_eq!(refusal(&answer), (403, "origin-refused".to_owned()), "{line} {origin}");
            assert_eq!(answer.header("access-control-allow-origin"), None, "{line} {origin}");
        }
        for site in ["cross-site", "same-site"] {
            assert_eq!(refusal(&asked(None, Some(site))).0, 403, "{line} {site}");
        }
        for origin in [None, Some(own.as_str())] {
            let answer = asked(origin, None);
            assert_eq!(answer.status, ok, "{line} {origin:?} {}", answer.text());
            assert_eq!(answer.header("access-control-allow-origin"), None, "{line}");
        }
        let listed = asked(Some("https://app.example.com"), None);
        assert_eq!(listed.status, ok, "{line}");
        // A listed page may read what is for pages, and never what takes an API key.
        let may_read = !for_programs && line != "GET /ws";
        let allowed = listed.header("access-control-allow-origin");
        assert_eq!(allowed, may_read.then_some("https://app.example.com"), "{line}");
        assert_eq!(listed.header("access-control-allow-credentials"), None, "{line}");
    }
}

/// As of a browser whose page has another name that leads here.
#[test]
fn threat_33_the_server_answers_for_its_own_names_alone() {
    let ice = "[ice]\nurls = [\"turn:turn.example.org:3478\", \"stun:203.0.113.7\"]\n";
    let server = super::Server::start_with(
        &format!(
            "{CONFIG}{ice}[http]\nhosts = [\"call.example.org\", \"*.example.net\", \"198.51.100.1\"]\n"
        ),
        |_| {},
    );
    let status = |listener, path: &str, host: &str| {
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: close\r\n\r\n"
        );
        byway_test_support::process::http::exchange(listener, &head).status
    };
    let mine = byway::net::interfaces::Interfaces::read().expect("this machine lists its addresses").lasting;
    let mine = mine.into_iter().map(|ip| if ip.is_ipv4() { ip.to_string() } else { format!("[{ip}]") });
    let ours =
        ["call.example.org", "CALL.example.org:8080", "eu.example.net", "turn.example.org", "203.0.113.7"];
    let ours = ours.into_iter().chain(["198.51.100.1", "127.0.0.1:8080", "localhost"]).map(str::to_owned);
    for (listener, path) in [(server.bound.http[0], "/ice"), (server.bound.admin[0], "/metrics")] {
        for host in ours.clone().chain(mine.clone()) {
            assert_eq!(status(listener, path, &host), 200, "{path} {host}");
        }
        for host in ["attacker.example", "example.org", "a.eu.example.net", "198.51.100.2", "0.0.0.0"] {
            assert_eq!(status(listener, path, host), 421, "{path} {host}");
        }
    }
    assert_eq!(
        server.logged("refused a request for the host attacker.example, which"),
        1,
        "{}",
        server.log()
    );
}

#[test]
fn threat_22_nobody_anonymous_gets_credentials_where_a_token_is_asked_for() {
    let server = server("token", "");
    let paths = ["/ice", "/turn", "/_matrix/client/v3/voip/turnServer", "/_matrix/client/r0/voip/turnServer"];
    for path in paths {
        for method in ["GET", "POST", "HEAD", "OPTIONS"] {
            let answer = asked(&server, &format!("{method} {path}"), &[], "");
            if method == "OPTIONS" && path != "/ice" {
                // The question of a browser: an answer without anything in it.
                assert_eq!(
                    (answer.status, answer.body.len(), answer.header("link")),
                    (204, 0, None),
                    "{path}"
                );
            } else if method == "HEAD" {
                assert_eq!(answer.status, 401, "{path}");
            } else if method == "POST" && path.starts_with("/_matrix") {
                assert_eq!(refusal(&answer).0, 405, "{path}");
            } else {
                assert_eq!(refusal(&answer), (401, "token-required".to_owned()), "{method} {path}");
            }
        }
        // Nor does a token in the address count, where logs would have it.
        let token = token(&json!({"room": "tea", "aud": "byway.test", "exp": now() + 600}));
        for query in ["token", "access_token", "key", "api", "apiKey", "jwt", "authorization"] {
            let answer = asked(&server, &format!("GET {path}?{query}={token}"), &[], "");
            assert_eq!(refusal(&answer).0, 401, "{path} {query}");
        }
    }
}

#[test]
fn threat_22_open_access_that_others_reach_is_said_twice_or_not_at_all() {
    for (listener, ice, good) in [
        ("0.0.0.0:0", "", false),
        ("0.0.0.0:0", "open_to_everyone = true", true),
        ("0.0.0.0:0", "access = \"token\"", true),
        ("[::]:0", "", false),
        ("127.0.0.1:0", "", true),
    ] {
        let config = format!("[listen]\nhttp = [\"{listener}\"]\n[ice]\n{ice}\n");
        let output = Configuration::new(&config).run(&["check"]);
        assert_eq!(
            output.status.success(),
            good,
            "{listener} {ice}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn threat_22_what_is_presented_is_logged_nowhere() {
    let config = format!(
        "{CONFIG}[ice]\naccess = \"token\"\napi_keys = [\"{KEY}\"]\n[tokens]\nsecrets = [\"north-north-north\"]\n"
    );
    let mut server = super::Server::start_with(&config, |command| {
        command.env("RUST_LOG", "trace,memory_serve=warn");
    });
    let token = token(&json!({"room": "oak-and-elm", "aud": "byway.test", "exp": now() + 600}));
    let turn =
        asked(&server, &format!("GET /turn?key={KEY}&username=alice-and-bob"), &[], "").expect_ok().json();
    asked(&server, "GET /ice", &[&bearer(&token)], "").expect_ok();
    asked(&server, "GET /ice", &[&bearer("a-guess-at-a-key")], "");
    asked(&server, "GET /api/v1/turn/credentials?apiKey=another-guess-at-a-key", &[], "");
    let invitation = asked(&server, "POST /invite", &[&bearer(KEY)], "{\"room\": \"oak-and-elm\"}").json();
    // The last thing said: what is to be seen stands before it.
    server.terminate();
    let log = server.log();
    assert!(log.contains("stopping"), "{log}");
    let text = |value: &serde_json::Value| value.as_str().expect("a text").to_owned();
    for secret in [
        KEY.to_owned(),
        token,
        text(&invitation["token"]),
        text(&turn["password"]),
        "a-guess-at-a-key".to_owned(),
        "another-guess-at-a-key".to_owned(),
        "north-north-north".to_owned(),
    ] {
        assert!(!log.contains(&secret), "{secret} in\n{log}");
    }
}
