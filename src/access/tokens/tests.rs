use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::*;

const NOW: Now = Now { mono: Duration::ZERO, unix: 1_700_000_000 };
const HOUR: Duration = Duration::from_secs(3600);

/// The keys of RFC 8037 appendix A.1 and RFC 7515 appendix A.3, as PKCS #8.
const ED25519: &str = "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
const P256: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIffH1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt";

fn grant(room: &str, name: Option<&str>, max_members: Option<usize>) -> Grant {
    Grant::new(room.to_owned(), name.map(str::to_owned), max_members).unwrap()
}

fn grant_for(room: &str) -> Grant {
    grant(room, None, None)
}

fn settings(keys: Option<Value>) -> Settings {
    let keys = keys.map(|keys| serde_json::from_value::<JwkSet>(keys).unwrap());
    Settings { secrets: vec![], keys, audience: "byway".to_owned() }
}

fn public_keys() -> Value {
    json!({"keys": [
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "EC", "crv": "P-256", "kid": "p",
         "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
    ]})
}

fn tokens() -> Tokens {
    Tokens::new(&settings(Some(public_keys())), &["north-north-north"]).unwrap()
}

fn secret(secret: &str) -> EncodingKey {
    EncodingKey::from_secret(secret.as_bytes())
}

fn claims() -> Value {
    json!({"room": "tea", "aud": "byway", "exp": NOW.unix + 60})
}

/// The claims with some of them replaced; `null` takes one away.
fn with(changes: &Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn signed(algorithm: Algorithm, id: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: id.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// Result for a token with these claims and a good signature.
fn check(claims: &Value) -> Result<Grant, TokenError> {
    tokens().check(NOW, &signed(Algorithm::HS256, None, &secret("north-north-north"), claims))
}

/// A token with a header that the library would not sign.
fn forged(header: &Value, signature: &str) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{signature}", part(header), part(&claims()))
}

#[test]
fn what_is_issued_is_what_is_granted() {
    let grant = grant("caf\u{e9} \u{1f375}", Some("Ann"), Some(2));
    let (token, end) = tokens().issue(NOW, grant.clone(), HOUR);
    assert_eq!(end, NOW.unix + 3600);
    assert_eq!(tokens().check(NOW, &token), Ok(grant));
    assert_eq!(tokens().check(NOW.after(HOUR - Duration::from_secs(1)), &token).map(|_| ()), Ok(()));
    assert_eq!(tokens().check(NOW.after(HOUR), &token), Err(TokenError::Expired));
    let (_, end) = tokens().issue(NOW, grant_for("tea"), MAX_TTL * 2);
    assert_eq!(end, NOW.unix + MAX_TTL.as_secs());
}

#[test]
fn the_longest_names_fit_by_far() {
    let wide = |count| "\u{1f375}".repeat(count);
    let grant = grant(&wide(128), Some(&wide(64)), Some(64));
    let (token, _) = tokens().issue(NOW, grant.clone(), HOUR);
    assert!(token.len() < LONGEST / 2, "{}", token.len());
    assert_eq!(tokens().check(NOW, &token), Ok(grant));
}

#[test]
fn a_token_of_somebody_elses_backend_needs_no_more_than_three_claims() {
    assert_eq!(check(&claims()), Ok(grant_for("tea")));
    // Others' claims are others' business.
    assert!(check(&with(&json!({"sub": "ann", "iat": 1, "scope": ["a"]}))).is_ok());
    for missing in ["room", "aud", "exp"] {
        assert_eq!(check(&with(&json!({missing: null}))), Err(TokenError::Bad), "{missing}");
    }
    for odd in [
        json!({"room": 5}),
        json!({"name": 5}),
        json!({"max_members": -1}),
        json!({"max_members": "2"}),
        json!({"exp": "1700000060"}),
        json!({"exp": -1}),
        json!({"exp": 1e300}),
        json!({"nbf": "soon"}),
    ] {
        assert_eq!(check(&with(&odd)), Err(TokenError::Bad), "{odd}");
    }
}

#[test]
fn the_audience_has_to_be_us() {
    assert!(check(&with(&json!({"aud": ["other", "byway"]}))).is_ok());
    for other in [json!("other"), json!("Byway"), json!(""), json!([]), json!(["other"]), json!(5), json!({})]
    {
        assert_eq!(check(&with(&json!({"aud": other}))), Err(TokenError::Bad), "{other}");
    }
}

#[test]
fn times_are_held_against_ours_to_the_second() {
    let at = NOW.unix;
    assert_eq!(check(&with(&json!({"exp": at}))), Err(TokenError::Expired));
    assert!(check(&with(&json!({"exp": at + 1}))).is_ok());
    assert!(check(&with(&json!({"exp": 1_700_000_001.5}))).is_ok());
    assert_eq!(check(&with(&json!({"exp": 1_700_000_000.5}))), Err(TokenError::Expired));
}

#[test]
fn threat_42_a_token_made_by_a_clock_ahead_is_good_within_half_a_minute() {
    let at = NOW.unix;
    for nbf in [json!(at), json!(at + 2), json!(at + 30), json!(1_700_000_030.5)] {
        assert!(check(&with(&json!({"nbf": nbf}))).is_ok(), "{nbf}");
    }
    assert_eq!(check(&with(&json!({"nbf": at + 31}))), Err(TokenError::NotYetValid));
    // Expiry has no leeway, and is reported first.
    assert_eq!(check(&with(&json!({"exp": at, "nbf": at + 31}))), Err(TokenError::Expired));
}

#[test]
fn threat_42_dates_in_milliseconds_are_told_as_such() {
    let (at, year) = (NOW.unix, 366 * 24 * 3600);
    assert!(check(&with(&json!({"exp": at + year}))).is_ok());
    for ahead in [
        json!({"exp": at + year + 1}),
        json!({"exp": (at + 60) * 1000}),
        json!({"exp": (at + 60) * 1_000_000}),
        json!({"exp": 1.7e12}),
        json!({"exp": u64::MAX}),
        json!({"nbf": at * 1000}),
        json!({"exp": (at + 60) * 1000, "nbf": at * 1000}),
    ] {
        assert_eq!(check(&with(&ahead)), Err(TokenError::TooFarAhead), "{ahead}");
    }
}

#[test]
fn threat_42_what_a_token_says_is_checked_in_one_place() {
    assert_eq!(check(&with(&json!({"name": ""}))), Ok(grant_for("tea")), "an empty name is none");
    assert_eq!(check(&with(&json!({"max_members": 2.0}))), Ok(grant("tea", None, Some(2))));
    for odd in [
        json!({"room": ""}),
        json!({"room": "a\nb"}),
        json!({"room": "x".repeat(129)}),
        json!({"name": "a\u{202e}b"}),
        json!({"name": "x".repeat(65)}),
        json!({"max_members": 0}),
        json!({"max_members": 0.0}),
        json!({"max_members": 2.5}),
        json!({"max_members": -2.0}),
        json!({"max_members": 1e300}),
    ] {
        assert_eq!(check(&with(&odd)), Err(TokenError::Bad), "{odd}");
    }
}

#[test]
fn threat_42_a_region_is_checked_like_the_other_claims() {
    let in_region = |region: &str| grant_for("tea").with_region(Some(region)).unwrap();
    for region in ["eu", "eu-north-1", "0", &"a".repeat(32)] {
        assert_eq!(check(&with(&json!({"region": region}))), Ok(in_region(region)), "{region}");
        let (token, _) = tokens().issue(NOW, in_region(region), HOUR);
        assert_eq!(tokens().check(NOW, &token), Ok(in_region(region)));
    }
    assert_eq!(check(&with(&json!({"region": ""}))), Ok(grant_for("tea")), "an empty region is none");
    for odd in [
        json!({"region": 5}),
        json!({"region": ["eu"]}),
        json!({"region": "EU"}),
        json!({"region": " eu"}),
        json!({"region": "eu_north"}),
        json!({"region": "eu.north"}),
        json!({"region": "\u{e9}u"}),
        json!({"region": "eu\0"}),
        json!({"region": "a".repeat(33)}),
    ] {
        assert_eq!(check(&with(&odd)), Err(TokenError::Bad), "{odd}");
    }
}

#[test]
fn a_role_is_a_claim_of_its_own() {
    for (claims, role) in [
        (json!({"host": true}), Role::Host),
        (json!({"viewer": true}), Role::Viewer),
        (json!({"host": true, "viewer": false}), Role::Host),
        (json!({"host": false, "viewer": null}), Role::Member),
        (json!({"role": "host"}), Role::Member),
        (json!({"Host": true}), Role::Member),
    ] {
        assert_eq!(check(&with(&claims)), Ok(grant_for("tea").with_role(role)), "{claims}");
    }
    for odd in [
        json!({"host": true, "viewer": true}),
        json!({"host": "true"}),
        json!({"host": 1}),
        json!({"viewer": []}),
        json!({"viewer": {"host": true}}),
    ] {
        assert_eq!(check(&with(&odd)), Err(TokenError::Bad), "{odd}");
    }
    for role in [Role::Member, Role::Host, Role::Viewer] {
        let grant = grant("tea", None, Some(2)).with_role(role);
        let (token, _) = tokens().issue(NOW, grant.clone(), HOUR);
        assert_eq!(tokens().check(NOW, &token), Ok(grant));
    }
}

#[test]
fn an_operators_token_is_for_no_room_and_has_no_claim_of_one() {
    let (token, end) = tokens().issue_operator(NOW, HOUR);
    assert_eq!(tokens().read(NOW, &token), Ok((Rights::Operator, NOW.unix + 3600)));
    assert_eq!((end, tokens().check(NOW, &token)), (NOW.unix + 3600, Err(TokenError::NoRoom)));
    assert_eq!(tokens().read(NOW.after(HOUR), &token), Err(TokenError::Expired));
    let long = tokens().issue_operator(NOW, MAX_TTL + HOUR).1;
    assert_eq!(long - NOW.unix, MAX_TTL.as_secs(), "no longer than any other");
    let by_a_backend = |changes: Value| check(&with(&changes));
    assert_eq!(by_a_backend(json!({"room": null, "operator": true})), Err(TokenError::NoRoom));
    assert_eq!(by_a_backend(json!({"operator": false})), Ok(grant_for("tea")));
    assert_eq!(by_a_backend(json!({"room": null, "operator": false})), Err(TokenError::Bad));
    for odd in [
        json!({"operator": true}),
        json!({"room": null, "operator": true, "host": true}),
        json!({"room": null, "operator": true, "viewer": true}),
        json!({"room": null, "operator": true, "name": "Ann"}),
        json!({"room": null, "operator": true, "max_members": 2}),
        json!({"room": null, "operator": true, "region": "eu"}),
        json!({"room": null, "operator": "true"}),
        json!({"room": null, "operator": 1}),
        json!({"room": null, "operator": true, "aud": "other"}),
    ] {
        assert_eq!(by_a_backend(odd.clone()), Err(TokenError::Bad), "{odd}");
    }
}

#[test]
fn threat_24_a_claim_put_into_a_token_spoils_its_signature() {
    let (token, _) = tokens().issue(NOW, grant_for("tea"), HOUR);
    let [header, _, signature] = <[&str; 3]>::try_from(token.split('.').collect::<Vec<_>>()).unwrap();
    let raised = URL_SAFE_NO_PAD.encode(with(&json!({"host": true})).to_string());
    assert_eq!(tokens().check(NOW, &format!("{header}.{raised}.{signature}")), Err(TokenError::Bad));
    let by_another =
        signed(Algorithm::HS256, None, &secret("south-south-south"), &with(&json!({"host": true})));
    assert_eq!(tokens().check(NOW, &by_another), Err(TokenError::Bad));
}

#[test]
fn each_key_verifies_its_own_algorithm_alone() {
    let ed25519 = EncodingKey::from_ed_der(&STANDARD.decode(ED25519).unwrap());
    let p256 = EncodingKey::from_ec_der(&STANDARD.decode(P256).unwrap());
    for id in [None, Some("ed")] {
        let token = signed(Algorithm::EdDSA, id, &ed25519, &claims());
        assert!(tokens().check(NOW, &token).is_ok(), "{id:?}");
    }
    for id in [None, Some("p")] {
        assert!(tokens().check(NOW, &signed(Algorithm::ES256, id, &p256, &claims())).is_ok(), "{id:?}");
    }
    // A key of that name is another one; the secret has no name, so that any will do.
    for (algorithm, id, key) in
        [(Algorithm::EdDSA, "p", &ed25519), (Algorithm::ES256, "ed", &p256), (Algorithm::ES256, "", &p256)]
    {
        assert_eq!(
            tokens().check(NOW, &signed(algorithm, Some(id), key, &claims())),
            Err(TokenError::Bad),
            "{id}"
        );
    }
    let named = signed(Algorithm::HS256, Some("any"), &secret("north-north-north"), &claims());
    assert!(tokens().check(NOW, &named).is_ok());
    let unconfigured = Tokens::new(&settings(None), &["north-north-north"]).unwrap();
    let token = signed(Algorithm::EdDSA, None, &ed25519, &claims());
    assert_eq!(unconfigured.check(NOW, &token), Err(TokenError::Bad));
}

#[test]
fn a_public_key_is_no_secret() {
    let set = public_keys();
    let (ed, p) = (&set["keys"][0], &set["keys"][1]);
    let bytes = |text: &Value| URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap();
    let point = [&[4], &bytes(&p["x"])[..], &bytes(&p["y"])].concat();
    let published: [&[u8]; 6] = [
        &bytes(&ed["x"]),
        ed["x"].as_str().unwrap().as_bytes(),
        &point,
        &bytes(&p["x"]),
        ed.to_string().as_bytes(),
        set.to_string().as_bytes(),
    ]
    .map(|key| &*key.to_vec().leak());
    for (n, key) in published.iter().enumerate() {
        for id in [None, Some("ed"), Some("p")] {
            let token = signed(Algorithm::HS256, id, &EncodingKey::from_secret(key), &claims());
            assert_eq!(tokens().check(NOW, &token), Err(TokenError::Bad), "{n} {id:?}");
        }
    }
}

#[test]
fn what_is_not_signed_by_us_is_bad() {
    let good = signed(Algorithm::HS256, None, &secret("north-north-north"), &claims());
    let (message, signature) = good.rsplit_once('.').unwrap();
    for alg in ["none", "None", "NONE", "", "HS255"] {
        for signature in ["", signature] {
            let token = forged(&json!({"alg": alg, "typ": "JWT"}), signature);
            assert_eq!(tokens().check(NOW, &token), Err(TokenError::Bad), "{alg}");
        }
    }
    for (algorithm, key) in [
        (Algorithm::HS256, "south-south-south"),
        (Algorithm::HS384, "north-north-north"),
        (Algorithm::HS512, "north-north-north"),
        (Algorithm::HS256, ""),
    ] {
        let token = signed(algorithm, None, &secret(key), &claims());
        assert_eq!(tokens().check(NOW, &token), Err(TokenError::Bad), "{algorithm:?} {key}");
    }
    // One room under the signature for another.
    let (other, _) = tokens().issue(NOW, grant_for("other"), HOUR);
    let swapped = format!("{}.{signature}", other.rsplit_once('.').unwrap().0);
    assert_eq!(tokens().check(NOW, &swapped), Err(TokenError::Bad));
    for length in 0..good.len() {
        assert_eq!(tokens().check(NOW, &good[..length]), Err(TokenError::Bad), "{length}");
    }
    for odd in [format!("{good}."), format!("{good}A"), format!(" {good}"), format!("{message}.{signature}=")]
    {
        assert_eq!(tokens().check(NOW, &odd), Err(TokenError::Bad), "{odd}");
    }
    for odd in ["", ".", "..", "...", "a.b.c", "\u{e9}.\u{e9}.\u{e9}", "e30.e30.e30", "bnVsbA.bnVsbA."] {
        assert_eq!(tokens().check(NOW, odd), Err(TokenError::Bad), "{odd:?}");
    }
}

#[test]
fn what_is_critical_to_who_signed_it_is_not_passed_over() {
    let header = Header { crit: Some(vec!["exp".to_owned()]), ..Header::new(Algorithm::HS256) };
    let token = encode(&header, &claims(), &secret("north-north-north")).unwrap();
    assert_eq!(tokens().check(NOW, &token), Err(TokenError::Bad));
}

#[test]
fn absurd_lengths_are_not_even_read() {
    assert!(check(&with(&json!({"padding": "a".repeat(2_000)}))).is_ok());
    assert_eq!(check(&with(&json!({"padding": "a".repeat(4_000)}))), Err(TokenError::Bad));
}

#[test]
fn the_first_secret_signs_and_all_verify() {
    let both =
        Settings { secrets: vec![Secret::new("new-new-new"), Secret::new("old-old-old")], ..settings(None) };
    let both = Tokens::new(&both, &["unused-unused"]).unwrap();
    for (key, good) in [("new-new-new", true), ("old-old-old", true), ("unused-unused", false)] {
        let token = signed(Algorithm::HS256, None, &secret(key), &claims());
        assert_eq!(both.check(NOW, &token).is_ok(), good, "{key}");
    }
    let (token, _) = both.issue(NOW, grant_for("tea"), HOUR);
    assert!(Tokens::new(&settings(None), &["new-new-new"]).unwrap().check(NOW, &token).is_ok());
    assert!(Tokens::new::<&str>(&settings(Some(public_keys())), &[]).is_none());
}

#[test]
fn secrets_stay_out_of_logs() {
    assert_eq!(format!("{:?}", tokens()), "Tokens(3 keys redacted)");
}
