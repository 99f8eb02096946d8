//! Access to credentials, and the name that each bears.

use byway_test_support::process::http::Answer;
use byway_test_support::process::{CONFIG, Server};
use serde_json::json;

use super::{KEY, OTHER_KEY, asked, bearer, name_in, now, refusal, server, token};

/// Requests of pages, and of holders of a token.
const FOR_ANYONE: [&str; 6] = [
    "GET /ice",
    "POST /ice",
    "OPTIONS /ice",
    "GET /turn",
    "POST /turn",
    "GET /_matrix/client/v3/voip/turnServer",
];

/// Requests that only programs may make, with a body as it would have to be.
const FOR_PROGRAMS: [(&str, &str); 8] = [
    ("POST /invite", "{\"room\": \"tea\"}"),
    ("GET /rooms/tea", ""),
    ("DELETE /rooms/tea/members/x", ""),
    ("POST /v1/turn/keys/k/credentials/generate", "{}"),
    ("POST /v1/turn/keys/k/credentials/generate-ice-servers", "{}"),
    ("POST /v1/turn/keys/k/credentials/1:a/revoke", ""),
    ("GET /api/v1/turn/credentials", ""),
    ("POST /2010-04-01/Accounts/AC0/Tokens.json", ""),
];

fn claims() -> serde_json::Value {
    json!({"room": "tea", "aud": "byway.test", "exp": now() + 600})
}

fn turn_name(answer: Answer) -> String {
    let turn = answer.expect_ok().json();
    name_in(turn["username"].as_str().expect("a text"), turn["password"].as_str().expect("a text"))
}

#[test]
fn a_token_or_a_key_opens_what_is_for_anyone() {
    let server = server("token", "");
    let expired = token(&json!({"room": "tea", "aud": "byway.test", "exp": now() - 1}));
    let elsewhere = token(&json!({"room": "tea", "aud": "other.test", "exp": now() + 600}));
    for line in FOR_ANYONE {
        let status = |header: &str| asked(&server, line, &[header], "").status;
        let ok = if line == "OPTIONS /ice" { 204 } else { 200 };
        assert_eq!(status(&bearer(&token(&claims()))), ok, "{line}");
        assert_eq!(status(&bearer(KEY)), ok, "{line}");
        assert_eq!(status(&bearer(OTHER_KEY)), ok, "{line}");
        for (header, code) in [
            (String::new(), "token-required"),
            (bearer(&expired), "token-expired"),
            (bearer(&elsewhere), "bad-token"),
            (bearer("a-key-for-program"), "bad-token"),
            (bearer(""), "bad-token"),
            ("Authorization: Basic eDp5".to_owned(), "bad-api-key"),
        ] {
            let headers: &[&str] = if header.is_empty() { &[] } else { &[&header] };
            let answer = asked(&server, line, headers, "");
            assert_eq!(refusal(&answer), (401, code.to_owned()), "{line} {header}");
        }
    }
    // A browser asks without credentials first, and gets none.
    let question = ["Origin: https://app.example.com", "Access-Control-Request-Method: GET"];
    let answer = asked(&server, "OPTIONS /ice", &question, "");
    assert_eq!((answer.status, answer.header("link")), (403, None));
    let own = [format!("Origin: http://{}", server.bound.http[0]), question[1].to_owned()];
    let answer = asked(&server, "OPTIONS /ice", &[&own[0], &own[1]], "");
    assert_eq!((answer.status, answer.header("link")), (204, None));
}

#[test]
fn only_a_key_opens_what_is_for_programs() {
    for access in ["open", "token"] {
        let server = server(access, "");
        for (line, body) in FOR_PROGRAMS {
            let refused = |headers: &[&str]| refusal(&asked(&server, line, headers, body));
            assert_eq!(refused(&[]), (401, "api-key-required".to_owned()), "{line}");
            for wrong in [
                bearer("a-key-for-nobody"),
                bearer(&token(&claims())),
                "Authorization: Basic eDp5".to_owned(),
            ] {
                assert_eq!(refused(&[&wrong]), (401, "bad-api-key".to_owned()), "{line} {wrong}");
            }
            let foreign = ["Origin: https://evil.example", &bearer(KEY)];
            assert_eq!(refused(&foreign), (403, "origin-refused".to_owned()), "{line}");
            let status = asked(&server, line, &[&bearer(KEY)], body).status;
            assert!(![401, 403, 429].contains(&status), "{line} {status}");
        }
        let metered =
            |key: &str| asked(&server, &format!("GET /api/v1/turn/credentials?apiKey={key}"), &[], "");
        assert_eq!(refusal(&metered("a-key-for-nobody")), (401, "bad-api-key".to_owned()));
        assert_eq!(metered(KEY).status, 200);
        // The name of another convention is not this one's, and a key is no one's business on /ice.
        assert_eq!(asked(&server, &format!("GET /api/v1/turn/credentials?key={KEY}"), &[], "").status, 401);
        let on_ice = asked(&server, &format!("GET /ice?key={KEY}&username=alice"), &[], "");
        assert!(on_ice.status == 401 || !on_ice.text().contains("alice"), "{}", on_ice.text());
    }
}

#[test]
fn the_name_in_a_credential_says_who_it_is_for() {
    let open = server("open", "");
    let closed = server("token", "");
    let guest = bearer(&token(&claims()));
    for _ in 0..2 {
        let name = turn_name(asked(&closed, "GET /turn?username=alice&ttl=5", &[&guest], ""));
        let (room, random) = name.split_once('.').expect("ROOM.RANDOM");
        assert_eq!((room, random.len()), ("tea", 16), "{name}");
        let name = turn_name(asked(&open, "GET /turn?username=alice", &[&guest], ""));
        let (room, random) = name.split_once('.').expect("ROOM.RANDOM");
        // If knowing a room is enough to enter it, its name is not sent anywhere.
        assert_eq!((room.len(), random.len(), room == "tea"), (16, 16, false), "{name}");
        let name = turn_name(asked(&open, "GET /turn?username=alice", &[], ""));
        assert!(name != "alice" && name.len() == 22, "{name}");
    }
    for server in [&open, &closed] {
        assert_eq!(turn_name(asked(server, "GET /turn?username=alice", &[&bearer(KEY)], "")), "alice");
        assert_eq!(turn_name(asked(server, &format!("GET /turn?key={KEY}&username=b%3Ac"), &[], "")), "b:c");
        let wrong = asked(server, "GET /turn?key=a-key-for-nobody&username=alice", &[], "");
        assert_eq!(refusal(&wrong), (401, "bad-api-key".to_owned()));
    }
}

/// One node has one relay, whichever region is named; but a region has to be one.
#[test]
fn a_region_is_checked_and_changes_nothing_on_one_machine() {
    let server = server("token", "");
    let in_region = |region: serde_json::Value| {
        let mut claims = claims();
        claims["region"] = region;
        bearer(&token(&claims))
    };
    let urls = |answer: Answer| answer.expect_ok().json()["uris"].clone();
    let own = urls(asked(&server, "GET /turn", &[&bearer(KEY)], ""));
    for line in FOR_ANYONE {
        for (region, is_good) in [(json!("eu-north-1"), true), (json!("EU"), false), (json!(7), false)] {
            let answer = asked(&server, line, &[&in_region(region.clone())], "");
            match is_good {
                true => assert!(matches!(answer.status, 200 | 204), "{line} {region} {answer:?}"),
                false => assert_eq!(refusal(&answer), (401, "bad-token".to_owned()), "{line} {region}"),
            }
        }
    }
    assert_eq!(urls(asked(&server, "GET /turn", &[&in_region(json!("eu-north-1"))], "")), own);
    assert_eq!(urls(asked(&server, "GET /turn", &[&bearer(KEY), "X-Region: eu"], "")), own);
    for line in ["GET /turn?region=eu", "GET /turn?region="] {
        assert_eq!(urls(asked(&server, line, &[&bearer(KEY)], "")), own, "{line}");
    }
    for line in ["GET /ice?region=EU", "GET /turn?region=north_america", "OPTIONS /ice?region=a%20b"] {
        let answer = asked(&server, line, &[&bearer(KEY)], "");
        assert_eq!(refusal(&answer), (400, "bad-request".to_owned()), "{line}");
        assert!(answer.text().contains("A region is 1 to 32"), "{line} {}", answer.text());
        // Others have no say in it, as in the name.
        assert!(asked(&server, line, &[&bearer(&token(&claims()))], "").status < 300, "{line}");
    }
    // Regions of metered's own.
    for region in ["global", "north_america", "EU"] {
        let line = format!("GET /api/v1/turn/credentials?region={region}");
        assert_eq!(asked(&server, &line, &[&bearer(KEY)], "").status, 200, "{line}");
    }
}

#[test]
fn keys_of_others_are_read_from_a_file() {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use rcgen::{KeyPair, PublicKeyData as _};
    let encoded = |bytes: &[u8]| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
    };
    let ed = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
    let p256 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).expect("a key");
    let point = p256.der_bytes().to_vec();
    let set = json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": encoded(ed.der_bytes())},
        {"kty": "EC", "crv": "P-256", "kid": "p", "x": encoded(&point[1..33]), "y": encoded(&point[33..])},
    ]});
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set.to_string()).expect("it is written");
    let more = format!(
        "[ice]\naccess = \"token\"\n[tokens]\njwks_file = \"{}\"\naudience = \"calls\"\n",
        path.display()
    );
    let server = Server::start_with(&format!("{CONFIG}{more}"), |_| {});
    let claims = json!({"room": "tea", "aud": ["calls", "mail"], "exp": now() + 600});
    let status = |algorithm, id: &str, key: &EncodingKey| {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
        let token = encode(&header, &claims, key).expect("it is signed");
        asked(&server, "GET /ice", &[&bearer(&token)], "").status
    };
    let ed_key = EncodingKey::from_ed_der(ed.serialized_der());
    let p256_key = EncodingKey::from_ec_der(p256.serialized_der());
    assert_eq!(status(Algorithm::EdDSA, "ed", &ed_key), 200);
    assert_eq!(status(Algorithm::ES256, "p", &p256_key), 200);
    assert_eq!(status(Algorithm::EdDSA, "p", &ed_key), 401);
    assert_eq!(status(Algorithm::HS256, "ed", &EncodingKey::from_secret(ed.der_bytes())), 401);
    // The secret of the credentials signs, too, where tokens have none of their own.
    let secret = EncodingKey::from_secret(byway_test_support::process::SECRET.as_bytes());
    assert_eq!(status(Algorithm::HS256, "any", &secret), 200);
}

#[test]
fn asking_costs_and_the_answer_says_when_to_come_back() {
    let server = server("token", "[signaling]\njoins_per_second = 1\n");
    let from = |address: &str, secret: &str| {
        asked(&server, "GET /ice", &[&format!("X-Forwarded-For: 192.0.2.99, {address}"), &bearer(secret)], "")
    };
    for _ in 0..10 {
        assert_eq!(refusal(&from("2001:db8::1", "guess")).0, 401);
    }
    let answer = from("2001:db8::2", KEY);
    assert_eq!(refusal(&answer), (429, "rate-limited".to_owned()));
    let wait: u64 = answer.header("retry-after").and_then(|wait| wait.parse().ok()).expect("seconds");
    assert!((1..=2).contains(&wait), "{wait}");
    assert_eq!(from("2001:db8:0:1::1", KEY).status, 200);
    // What hands out nothing and looks at nothing costs nothing.
    let quiet = |line: &str, headers: &[&str]| asked(&server, line, headers, "").status;
    let question = ["X-Forwarded-For: 2001:db8::1", "Access-Control-Request-Method: GET"];
    assert_eq!(quiet("OPTIONS /ice", &question), 204);
    assert_eq!(quiet("GET /", &question), 200);
    assert_eq!(quiet("POST /invite", &question), 429);
}
