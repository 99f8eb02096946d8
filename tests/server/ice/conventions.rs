//! Every convention has its answer on file, to the byte but for what differs from one to the next.
//!
//! `BLESS=1 cargo test --test server ice` writes the files again; the difference is then for a
//! person to look at.

use std::path::Path;

use byway_test_support::process::{SECRET, Server, password};
use serde_json::Value;

use super::{KEY, asked, bearer, server};

/// Asks, and holds the answer against its file.
fn golden(server: &Server, file: &str, line: &str, headers: &[&str], body: &str) {
    let answer = asked(server, line, headers, body);
    assert_eq!(answer.header("cache-control"), Some("no-store"), "{file}");
    let mut text = format!("{}\n", answer.status);
    for name in ["content-type", "allow", "link"] {
        for value in answer.headers(name) {
            text.push_str(&format!("{name}: {value}\n"));
        }
    }
    text.push('\n');
    if !answer.body.is_empty() {
        let json: Value = answer.json();
        text.push_str(&serde_json::to_string_pretty(&json).expect("it was JSON"));
        text.push('\n');
    }
    let text = told_apart_from_others(server, text);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/server/ice/golden").join(file);
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &text).expect("the file is written");
    }
    assert_eq!(text, std::fs::read_to_string(&path).unwrap_or_default(), "{file}");
}

/// Puts words for what differs: ports, usernames with the right password, dates.
fn told_apart_from_others(server: &Server, mut text: String) -> String {
    for (listeners, word) in [(&server.bound.udp, "UDP"), (&server.bound.tcp, "TCP")] {
        for listener in listeners {
            text = text.replace(&format!("{listener}?"), &format!("{}:{word}?", bracketed(listener.ip())));
            text = text
                .replace(&format!("stun:{listener}"), &format!("stun:{}:{word}", bracketed(listener.ip())));
        }
    }
    for username in usernames(&text) {
        let (expiry, name) = username.split_once(':').expect("expiry:name");
        let left = expiry.parse::<u64>().expect("an expiry") - super::now();
        // In whole tens, for the server's second may not be ours.
        let name = name.rsplit_once('.').map_or("RANDOM".to_owned(), |(whole, _)| format!("{whole}.RANDOM"));
        let name = if username.ends_with(":alice") { "alice".to_owned() } else { name };
        text = text.replace(&password(SECRET, &username), "PASSWORD");
        text = text.replace(&username, &format!("IN_{}:{name}", left.div_ceil(10) * 10));
    }
    let dates: Vec<&str> = text.split('"').filter(|part| is_date(part)).collect();
    let dates: Vec<String> = dates.into_iter().map(str::to_owned).collect();
    dates.into_iter().fold(text, |text, date| text.replace(&date, "DATE"))
}

fn bracketed(ip: std::net::IpAddr) -> String {
    if ip.is_ipv4() { ip.to_string() } else { format!("[{ip}]") }
}

/// Usernames: ten digits, a colon and a name, between quotes.
fn usernames(text: &str) -> std::collections::BTreeSet<String> {
    let is_username = |part: &&str| {
        part.split_once(':').is_some_and(|(expiry, name)| {
            expiry.len() == 10 && expiry.bytes().all(|b| b.is_ascii_digit()) && !name.contains(' ')
        })
    };
    text.split('"').filter(is_username).map(str::to_owned).collect()
}

fn is_date(text: &str) -> bool {
    let rfc3339 = text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    let rfc2822 = text.len() == 31 && text.ends_with(" +0000") && text.as_bytes()[3] == b',';
    rfc3339 || rfc2822
}

#[test]
fn every_convention_answers_as_it_is_on_file() {
    let server = server("open", "");
    let key = bearer(KEY);
    let key = key.as_str();
    let form = "Content-Type: application/x-www-form-urlencoded";
    golden(&server, "apprtc.http", "POST /ice", &[], "");
    golden(&server, "ice.http", "GET /ice", &[], "");
    golden(&server, "ice-with-key.http", "GET /ice?username=alice&ttl=120", &[key], "");
    golden(&server, "whip.http", "OPTIONS /ice", &[], "");
    golden(&server, "turn-rest.http", "GET /turn?service=turn", &[], "");
    let janus = format!("service=turn&api={KEY}&key={KEY}&username=alice");
    golden(&server, "janus-get.http", &format!("GET /turn?{janus}"), &[], "");
    golden(&server, "janus-post.http", &format!("POST /turn?{janus}"), &[form], &janus);
    golden(&server, "matrix.http", "GET /_matrix/client/v3/voip/turnServer", &[key], "");
    golden(&server, "matrix.http", "GET /_matrix/client/r0/voip/turnServer", &[key], "");
    let credentials = "POST /v1/turn/keys/0123456789abcdef/credentials";
    let json = "Content-Type: application/json";
    let line = format!("{credentials}/generate-ice-servers");
    golden(&server, "cloudflare-generate-ice-servers.http", &line, &[key, json], "{\"ttl\": 86400}");
    let line = format!("{credentials}/generate");
    let asked = "{\"ttl\": 864000, \"customIdentifier\": \"user4523958\"}";
    golden(&server, "cloudflare-generate.http", &line, &[key, json], asked);
    let line = format!("{credentials}/{}:alice/revoke", super::now() + 600);
    golden(&server, "cloudflare-revoke.http", &line, &[key], "");
    let line = format!("GET /api/v1/turn/credentials?apiKey={KEY}&region=europe");
    golden(&server, "metered.http", &line, &[], "");
    // AC0:a-key-for-programs
    let basic = "Authorization: Basic QUMwOmEta2V5LWZvci1wcm9ncmFtcw==";
    let line = "POST /2010-04-01/Accounts/AC0/Tokens.json";
    golden(&server, "twilio.http", line, &[basic, form], "Ttl=3600");
    golden(&server, "twilio-by-default.http", line, &[basic], "");
}

#[test]
fn what_makes_no_sense_gets_a_sentence() {
    let server = server("open", "");
    let key = bearer(KEY);
    let refused = |line: &str, body: &str, says: &str| {
        let answer = asked(&server, line, &[&key, "Content-Type: application/x-www-form-urlencoded"], body);
        assert_eq!(super::refusal(&answer), (400, "bad-request".to_owned()), "{line} {body}");
        assert!(answer.text().contains(says), "{line} {body}: {}", answer.text());
    };
    refused("GET /turn?service=stun", "", "The one service here is `turn`");
    refused("GET /turn?username=", "", "A name has 1 to 256 bytes");
    refused("GET /turn?username=a%0Ab", "", "A name has 1 to 256 bytes");
    refused(&format!("GET /turn?username={}", "a".repeat(257)), "", "A name has 1 to 256 bytes");
    refused("GET /turn?username=a&username=b", "", "comes twice");
    refused("POST /turn?username=a", "username=b", "comes twice");
    for ttl in ["0", "-1", "1.5", "ten", "", "99999999999999999999"] {
        refused(&format!("GET /ice?ttl={ttl}"), "", "ttl is");
        refused("POST /2010-04-01/Accounts/AC0/Tokens.json", &format!("Ttl={ttl}"), "ttl is");
    }
    for line in
        ["generate", "generate-ice-servers"].map(|path| format!("POST /v1/turn/keys/k/credentials/{path}"))
    {
        for body in ["", "{", "[]", "5", "{\"ttl\": \"600\"}", "{\"ttl\": -1}", "{\"customIdentifier\": 5}"] {
            refused(&line, body, "The body is not the JSON object of this path");
        }
        refused(&line, "{\"ttl\": 0}", "ttl is at least one second");
        refused(&line, "{\"customIdentifier\": \"\"}", "A name has 1 to 256 bytes");
    }
    // One byte more than a request to the relay has room for.
    let endless = format!("{}:{}", super::now() + 600, "a".repeat(498));
    for username in ["alice", ":alice", "%20:alice", "99999999999:alice", &endless] {
        refused(&format!("POST /v1/turn/keys/k/credentials/{username}/revoke"), "", "`expiry:name`");
    }
    // Nothing of what was asked for is kept but the first bytes.
    let long = format!("{{\"ttl\": 60, \"padding\": \"{}\"}}", "a".repeat(8_000));
    let answer = asked(&server, "POST /v1/turn/keys/k/credentials/generate", &[&key], &long);
    assert_eq!(super::refusal(&answer), (413, "too-large".to_owned()));
}

#[test]
fn a_lifetime_is_cut_and_the_answer_says_to_what() {
    let server = server("open", "");
    let turn = asked(&server, "GET /turn?ttl=31536000", &[&bearer(KEY)], "").expect_ok().json();
    assert_eq!(turn["ttl"], 604_800);
    let expiry = turn["username"].as_str().and_then(|name| name.split(':').next()?.parse::<u64>().ok());
    assert!(expiry.is_some_and(|expiry| expiry <= super::now() + 604_800));
}
