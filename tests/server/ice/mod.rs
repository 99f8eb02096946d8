//! ICE configurations over HTTP, as pages and other services' clients ask for them: access, and the
//! shape of each answer.

mod access;
mod conventions;
mod invitations;
mod operators;
mod threats;

use byway_test_support::process::http::{Answer, ask};
use byway_test_support::process::{CONFIG, SECRET, Server, password};

/// API keys of programs.
const KEY: &str = "a-key-for-programs";
const OTHER_KEY: &str = "another-key-for-programs";

/// A server with API keys and a secret for tokens, and more in its configuration.
fn server(access: &str, more: &str) -> Server {
    let ice = format!(
        "[ice]\naccess = \"{access}\"\napi_keys = [\"{OTHER_KEY}\", \"{KEY}\"]\n\
         [tokens]\nsecrets = [\"north-north-north\"]\n"
    );
    Server::start_with(&format!("{CONFIG}{ice}{more}"), |_| {})
}

/// Asks with these header lines.
fn asked(server: &Server, line: &str, headers: &[&str], body: &str) -> Answer {
    let (method, path) = line.split_once(' ').expect("a method and a path");
    ask(server.bound.http[0], method, path, headers, body)
}

/// `Authorization: Bearer`.
fn bearer(secret: &str) -> String {
    format!("Authorization: Bearer {secret}")
}

/// A token as another program would sign it, with the secret of [`server`].
fn token(claims: &serde_json::Value) -> String {
    use jsonwebtoken::{EncodingKey, Header, encode};
    encode(&Header::default(), claims, &EncodingKey::from_secret(b"north-north-north")).expect("it is signed")
}

/// The name in a username, whose password has to be the right one.
fn name_in(username: &str, credential: &str) -> String {
    assert_eq!(credential, password(SECRET, username), "{username}");
    username.split_once(':').expect("expiry:name").1.to_owned()
}

/// Status and code of a refusal, which holds no credential.
fn refusal(answer: &Answer) -> (u16, String) {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(
        !answer.text().contains("iceServers") && !answer.text().contains("password"),
        "{}",
        answer.text()
    );
    assert_eq!(answer.header("link"), None);
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["detail"].as_str().is_some_and(|detail| detail.ends_with('.')), "{problem}");
    assert_eq!(answer.header("www-authenticate").is_some(), answer.status == 401);
    (answer.status, problem["code"].as_str().expect("a code").to_owned())
}

fn now() -> u64 {
    byway::clock::Clock::start().now().unix
}
