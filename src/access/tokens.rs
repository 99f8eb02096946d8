//! Join tokens (RFC 7519): signed by this server or by the developer's own backend, each for one
//! room. Pure.
//!
//! Each key verifies exactly one algorithm. The token's header only selects among the keys, so
//! neither `none` nor a public key taken for a secret is accepted (RFC 8725 section 3.1).

use std::time::Duration;

use byway_turn::auth::Secret;
use byway_turn::time::Now;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde::{Deserialize, Deserializer, Serialize};

use super::names::{DisplayName, RoomName};

/// Longest lifetime of a token that this server signs. Only another secret revokes one earlier.
pub const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);

/// Default lifetime of an invitation.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);

/// Seconds that `nbf` may lie ahead: the clocks of two servers differ, and a token is used as soon
/// as it is made.
const NOT_BEFORE_LEEWAY: u64 = 30;

/// Seconds that `exp` or `nbf` may lie ahead, a leap year. Dates in milliseconds lie millennia
/// ahead.
const FURTHEST: u64 = 366 * 24 * 3600;

/// Bytes of a token that are looked at. The longest names there are take a third of it.
const LONGEST: usize = 4 * 1024;

/// Keys of join tokens, and the audience that they are for.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// Secrets of HS256: the first signs, all verify. Empty: those of the credentials.
    pub secrets: Vec<Secret>,
    /// Public keys of EdDSA and ES256.
    pub keys: Option<JwkSet>,
    /// Required value of `aud`: the realm, unless configured.
    pub audience: String,
}

impl std::fmt::Debug for Settings {
    /// Prints the number of public keys only: a set may be long.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { secrets, keys, audience } = self;
        let keys = keys.as_ref().map_or(0, |set| set.keys.len());
        write!(f, "Tokens {{ secrets: {secrets:?}, keys: {keys}, audience: {audience:?} }}")
    }
}

/// The rights of a token's bearer. Every value satisfies the rules of [`Grant::new`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The one room that the bearer may enter.
    pub room: RoomName,
    /// Name that the bearer must use there, if the token has one.
    pub name: Option<DisplayName>,
    /// Members of the room, the bearer included; the server's own limit holds beside it.
    pub max_members: Option<usize>,
}

impl Grant {
    /// Checks the claims of a token to read or to sign. An empty name counts as absent.
    ///
    /// # Errors
    /// One sentence.
    pub fn new(room: String, name: Option<String>, max_members: Option<usize>) -> Result<Self, &'static str> {
        let room = RoomName::new(room).ok_or("A room is 1 to 128 characters without control characters.")?;
        let name = name.filter(|name| !name.is_empty()).map(|name| {
            DisplayName::new(name)
                .ok_or("A name is 1 to 64 characters without control or bidirectional characters.")
        });
        if max_members == Some(0) {
            return Err("A room for nobody needs no invitation: max_members is at least 1.");
        }
        Ok(Self { room, name: name.transpose()?, max_members })
    }
}

/// Reason to reject a join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that one of our keys has signed for us: its form, algorithm, signature, audience
    /// or other claims.
    #[error("not a token for this server")]
    Bad,
    /// `exp` has passed.
    #[error("expired")]
    Expired,
    /// `nbf` lies further ahead than clocks differ.
    #[error("not valid yet")]
    NotYetValid,
    /// `exp` or `nbf` lies more than a year ahead.
    #[error("its dates are more than a year ahead: milliseconds?")]
    TooFarAhead,
}

/// The claims (RFC 7519 section 4).
#[derive(Serialize, Deserialize)]
struct Claims {
    aud: Audience,
    #[serde(deserialize_with = "seconds")]
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_seconds")]
    nbf: Option<u64>,
    room: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "some_count")]
    max_members: Option<usize>,
}

/// One or several (RFC 7519 section 4.1.3).
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

/// Signs join tokens, and verifies them.
pub struct Tokens {
    signing: EncodingKey,
    keys: Vec<Key>,
    audience: String,
}

/// A key with the one algorithm that it verifies.
struct Key {
    algorithm: Algorithm,
    /// A token that names a key is held against keys of that name and those without one.
    id: Option<String>,
    key: DecodingKey,
}

impl Tokens {
    /// Uses the configured keys. If there is no secret among them, it uses those of the
    /// `credentials`: the first signs, all verify. Returns `None` without any key.
    #[must_use]
    pub fn new<S: AsRef<[u8]>>(settings: &Settings, credentials: &[S]) -> Option<Self> {
        let mut secrets: Vec<&[u8]> = settings.secrets.iter().map(AsRef::as_ref).collect();
        if secrets.is_empty() {
            secrets = credentials.iter().map(AsRef::as_ref).collect();
        }
        let signing = EncodingKey::from_secret(secrets.first()?);
        let secrets = secrets.iter().map(|secret| Key {
            algorithm: Algorithm::HS256,
            id: None,
            key: DecodingKey::from_secret(secret),
        });
        let set = settings.keys.iter().flat_map(|set| &set.keys);
        let public = set.filter_map(|jwk| {
            let (algorithm, key) = verifier(jwk)?;
            Some(Key { algorithm, id: jwk.common.key_id.clone(), key })
        });
        Some(Self { signing, keys: secrets.chain(public).collect(), audience: settings.audience.clone() })
    }

    /// A token for `grant` that is good for `ttl`, at most [`MAX_TTL`], and when it ends, in
    /// seconds since 1970-01-01 UTC.
    ///
    /// # Panics
    /// Never: HMAC takes a key of any length, and the claims are texts and numbers.
    #[must_use]
    pub fn issue(&self, now: Now, grant: Grant, ttl: Duration) -> (String, u64) {
        let Grant { room, name, max_members } = grant;
        let exp = now.unix.saturating_add(ttl.min(MAX_TTL).as_secs());
        let claims = Claims {
            aud: Audience::One(self.audience.clone()),
            exp,
            nbf: None,
            room: room.as_str().to_owned(),
            name: name.map(|name| name.as_str().to_owned()),
            max_members,
        };
        let token = encode(&Header::new(Algorithm::HS256), &claims, &self.signing);
        (token.expect("HMAC takes a key of any length, and the claims are texts and numbers"), exp)
    }

    /// Reads a token.
    ///
    /// # Errors
    /// [`TokenError`]. It does not reveal which part is wrong.
    pub fn check(&self, now: Now, token: &str) -> Result<Grant, TokenError> {
        if token.len() > LONGEST {
            return Err(TokenError::Bad);
        }
        let header = decode_header(token).map_err(|_| TokenError::Bad)?;
        // A verifier must reject critical headers that it does not know (RFC 7515 section 4.1.11).
        if header.crit.is_some() {
            return Err(TokenError::Bad);
        }
        let fits = |key: &&Key| {
            let named = matches!((&key.id, &header.kid), (Some(ours), Some(theirs)) if ours != theirs);
            key.algorithm == header.alg && !named
        };
        let claims = self.keys.iter().filter(fits).find_map(|key| read(token, key)).ok_or(TokenError::Bad)?;
        let is_for_us = match &claims.aud {
            Audience::One(audience) => *audience == self.audience,
            Audience::Several(audiences) => audiences.contains(&self.audience),
        };
        if !is_for_us {
            return Err(TokenError::Bad);
        }
        let Claims { exp, nbf, room, name, max_members, .. } = claims;
        let begin = nbf.unwrap_or(0);
        if exp.max(begin) > now.unix.saturating_add(FURTHEST) {
            return Err(TokenError::TooFarAhead);
        }
        if exp <= now.unix {
            return Err(TokenError::Expired);
        }
        if begin > now.unix.saturating_add(NOT_BEFORE_LEEWAY) {
            return Err(TokenError::NotYetValid);
        }
        Grant::new(room, name, max_members).map_err(|_| TokenError::Bad)
    }
}

/// Returns the claims, if `key` has signed them. The caller checks their times, because the library
/// would read a clock.
fn read(token: &str, key: &Key) -> Option<Claims> {
    let mut validation = Validation::new(key.algorithm);
    (validation.validate_exp, validation.validate_nbf, validation.validate_aud) = (false, false, false);
    validation.required_spec_claims.clear();
    decode::<Claims>(token, &key.key, &validation).ok().map(|token| token.claims)
}

/// A NumericDate (RFC 7519 section 2): seconds since 1970-01-01 UTC, of which some libraries write
/// fractions.
fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Date {
        Whole(u64),
        Fraction(f64),
    }
    match Date::deserialize(deserializer)? {
        Date::Whole(seconds) => Ok(seconds),
        // Below 2^53 there is nothing to lose but the fraction.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
        Date::Fraction(seconds) if (0.0..9e15).contains(&seconds) => Ok(seconds as u64),
        Date::Fraction(_) => Err(serde::de::Error::custom("out of bounds")),
    }
}

/// A number of members, which some libraries write as 2.0.
fn some_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Count {
        Whole(usize),
        Float(f64),
    }
    match Option::<Count>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Count::Whole(count)) => Ok(Some(count)),
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is within bounds")]
        Some(Count::Float(count)) if count.fract() == 0.0 && (0.0..1e9).contains(&count) => {
            Ok(Some(count as usize))
        }
        Some(Count::Float(_)) => Err(serde::de::Error::custom("not a count")),
    }
}

fn some_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Seconds(#[serde(deserialize_with = "seconds")] u64);
    Ok(Option::<Seconds>::deserialize(deserializer)?.map(|Seconds(seconds)| seconds))
}

/// Returns the algorithm and verification key of a public key, if it is usable and of a supported
/// kind.
#[must_use]
pub fn verifier(jwk: &Jwk) -> Option<(Algorithm, DecodingKey)> {
    let algorithm = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
        _ => return None,
    };
    Some((algorithm, DecodingKey::from_jwk(jwk).ok()?))
}

impl std::fmt::Debug for Tokens {
    /// Secrets never reach a log.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tokens({} keys redacted)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
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
        for other in
            [json!("other"), json!("Byway"), json!(""), json!([]), json!(["other"]), json!(5), json!({})]
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
        for (algorithm, id, key) in [
            (Algorithm::EdDSA, "p", &ed25519),
            (Algorithm::ES256, "ed", &p256),
            (Algorithm::ES256, "", &p256),
        ] {
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
        for odd in
            [format!("{good}."), format!("{good}A"), format!(" {good}"), format!("{message}.{signature}=")]
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
        let both = Settings {
            secrets: vec![Secret::new("new-new-new"), Secret::new("old-old-old")],
            ..settings(None)
        };
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
}
