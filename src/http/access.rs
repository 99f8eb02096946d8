//! Who asks for credentials: anyone, whoever has a join token, or a program with an API key.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use byway_turn::rate_limit::KeyedRateLimiter;
use byway_turn::time::Now;
use hmac::digest::CtOutput;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::sync::watch;

use super::client_ip::ClientIp;
use super::problem::{Code, Problem};
use crate::access::Policy;
use crate::access::tokens::{Grant, TokenError, Tokens};

/// When to come back to a server that is about to stop: the next one will be there by then.
const BACK_AFTER: Duration = Duration::from_secs(5);

/// What lets people and programs in.
#[derive(Debug)]
pub struct Access {
    /// Whether everyone may have credentials.
    pub policy: Policy,
    /// Reads join tokens, and makes them.
    pub tokens: Arc<Tokens>,
    /// What programs prove themselves with.
    pub keys: ApiKeys,
    /// How often an address may ask.
    pub budget: Arc<KeyedRateLimiter>,
    /// Whether nobody new is let in any more.
    pub draining: watch::Receiver<bool>,
}

/// Who asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// Anyone: access is open.
    Stranger,
    /// Who has a join token.
    Guest(Grant),
    /// Who has an API key.
    Program,
}

impl Access {
    /// Says who asks, if they may have credentials at all. `key` is what a convention has beside `Authorization`. Charges
    /// nothing: [`Self::let_in`] has.
    ///
    /// # Errors
    /// 401.
    pub(super) fn caller(&self, now: Now, head: &Parts, key: Option<&str>) -> Result<Caller, Problem> {
        let open = self.policy == Policy::Open;
        match presented(&head.headers, key) {
            None if open => Ok(Caller::Stranger),
            None => Err(Code::TokenRequired.into()),
            Some((_, secret)) if self.keys.has(&secret) => Ok(Caller::Program),
            Some((Kind::Bearer, token)) => self.tokens.check(now, &token).map(Caller::Guest).map_err(refused),
            // A password that is not for us is for a reverse proxy, which asks everybody for one and passes it on.
            Some((Kind::Other, _)) if open => Ok(Caller::Stranger),
            Some((Kind::Other | Kind::Field, _)) => Err(Code::BadApiKey.into()),
        }
    }

    /// Lets in a program alone.
    ///
    /// # Errors
    /// 401 or 429. Not 503: while calls go on, a backend has to be able to remove whoever is in them.
    pub(super) fn program(&self, now: Now, head: &Parts, key: Option<&str>) -> Result<(), Problem> {
        self.charge(now, head)?;
        match presented(&head.headers, key) {
            None => Err(Code::ApiKeyRequired.into()),
            Some((_, secret)) if self.keys.has(&secret) => Ok(()),
            Some(_) => Err(Code::BadApiKey.into()),
        }
    }

    /// Lets in whoever speaks a protocol that has no place for a join token but in its URL, where proxies log it.
    ///
    /// # Errors
    /// 403, 429 or 503.
    pub(super) fn without_token(&self, now: Now, head: &Parts) -> Result<(), Problem> {
        match self.policy {
            Policy::Open => self.let_in(now, head),
            Policy::Token => Err(Code::NoPlaceForToken.into()),
        }
    }

    /// Charges the rate limiter, unless the server is about to stop.
    ///
    /// # Errors
    /// 429 or 503.
    pub(super) fn let_in(&self, now: Now, head: &Parts) -> Result<(), Problem> {
        if *self.draining.borrow() {
            return Err(Problem::for_now(Code::ShuttingDown, BACK_AFTER));
        }
        self.charge(now, head)
    }

    /// Whatever comes of a request, it costs: a guess is as dear as a credential.
    fn charge(&self, now: Now, head: &Parts) -> Result<(), Problem> {
        let peer = head.extensions.get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ClientIp(ip)| *ip);
        self.budget.take(now.mono, peer).map_err(|wait| Problem::for_now(Code::RateLimited, wait))
    }
}

/// Where a request shows what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// `Authorization: Bearer`: a join token or an API key (RFC 6750 section 2.1).
    Bearer,
    /// Any other `Authorization`: in Basic's password, whatever the user is called (RFC 7617).
    Other,
    /// The field that a convention has for it.
    Field,
}

/// What a request shows, if anything. The header goes before the field.
fn presented<'a>(headers: &'a HeaderMap, field: Option<&'a str>) -> Option<(Kind, Cow<'a, str>)> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return field.map(|key| (Kind::Field, key.into())) };
    // Two of them are none that is known.
    let line = if lines.next().is_none() { line.to_str().unwrap_or_default() } else { "" };
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some((Kind::Bearer, rest.into()));
    }
    let basic = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest).ok()).flatten();
    let basic = basic.and_then(|both| String::from_utf8(both).ok());
    let password = basic.and_then(|both| both.split_once(':').map(|(_, password)| password.to_owned()));
    Some((Kind::Other, password.unwrap_or_default().into()))
}

fn refused(error: TokenError) -> Problem {
    match error {
        TokenError::Bad => Code::BadToken.into(),
        TokenError::Expired => Code::TokenExpired.into(),
        TokenError::NotYetValid => Code::TokenNotYetValid.into(),
        TokenError::TooFarAhead => Code::TokenTooFarAhead.into(),
    }
}

/// The API keys, as digests that are compared in constant time, so that nobody finds a key byte by byte, nor its length.
pub struct ApiKeys(Vec<CtOutput<Hmac<Sha256>>>);

impl ApiKeys {
    /// These keys.
    #[must_use]
    pub fn new<S: AsRef<str>>(keys: &[S]) -> Self {
        Self(keys.iter().map(|key| digest(key.as_ref())).collect())
    }

    fn has(&self, key: &str) -> bool {
        let digest = digest(key);
        // All are looked at: which of them fits takes no time of its own either.
        self.0.iter().fold(false, |found, known| found | (*known == digest))
    }
}

fn digest(key: &str) -> CtOutput<Hmac<Sha256>> {
    let mut mac: Hmac<Sha256> = Hmac::new_from_slice(b"api key").expect("HMAC takes a key of any length");
    mac.update(key.as_bytes());
    mac.finalize()
}

impl fmt::Debug for ApiKeys {
    /// Keys never reach a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({} redacted)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;
    use crate::access::tokens::Settings;

    const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_700_000_000 };
    const KEY: &str = "a-key-for-programs";

    fn access(policy: Policy, per_second: u32) -> Access {
        let settings = Settings { secrets: vec![], keys: None, audience: "byway".to_owned() };
        Access {
            policy,
            tokens: Arc::new(Tokens::new(&settings, &["north-north-north"]).unwrap()),
            keys: ApiKeys::new(&["another-key-for-programs", KEY]),
            budget: Arc::new(KeyedRateLimiter::new(per_second, Duration::from_secs(10), 7)),
            draining: watch::Sender::new(false).subscribe(),
        }
    }

    fn head(lines: &[&str]) -> Parts {
        let (mut head, ()) = Request::new(()).into_parts();
        for line in lines {
            head.headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        head
    }

    fn basic(both: &str) -> String {
        format!("Basic {}", STANDARD.encode(both))
    }

    fn guest() -> Grant {
        Grant::new("tea".to_owned(), None, None).unwrap()
    }

    #[test]
    fn who_has_what_is_who() {
        use Policy::{Open, Token};
        let token = access(Token, 0).tokens.issue(NOW, guest(), Duration::from_secs(60)).0;
        let old = Now { unix: NOW.unix - 120, ..NOW };
        let old = access(Token, 0).tokens.issue(old, guest(), Duration::from_secs(60)).0;
        let bearer = |secret: &str| format!("Bearer {secret}");
        for (line, field, open, closed) in [
            ("", None, Ok(Caller::Stranger), Err(Code::TokenRequired)),
            (&bearer(&token), None, Ok(Caller::Guest(guest())), Ok(Caller::Guest(guest()))),
            (&format!("bEARER   {token} "), None, Ok(Caller::Guest(guest())), Ok(Caller::Guest(guest()))),
            (&bearer(&old), None, Err(Code::TokenExpired), Err(Code::TokenExpired)),
            (&bearer("x.y.z"), None, Err(Code::BadToken), Err(Code::BadToken)),
            ("Bearer", None, Err(Code::BadToken), Err(Code::BadToken)),
            (&bearer(KEY), None, Ok(Caller::Program), Ok(Caller::Program)),
            (&basic(&format!("anyone:{KEY}")), None, Ok(Caller::Program), Ok(Caller::Program)),
            (&basic(&format!(":{KEY}")), None, Ok(Caller::Program), Ok(Caller::Program)),
            (&basic(KEY), None, Ok(Caller::Stranger), Err(Code::BadApiKey)),
            (&basic(&format!("{KEY}:")), None, Ok(Caller::Stranger), Err(Code::BadApiKey)),
            (&basic("ann:for the proxy"), None, Ok(Caller::Stranger), Err(Code::BadApiKey)),
            ("Basic %", None, Ok(Caller::Stranger), Err(Code::BadApiKey)),
            ("Digest username=\"ann\"", None, Ok(Caller::Stranger), Err(Code::BadApiKey)),
            ("", Some(KEY), Ok(Caller::Program), Ok(Caller::Program)),
            ("", Some(""), Err(Code::BadApiKey), Err(Code::BadApiKey)),
            ("", Some(&KEY[1..]), Err(Code::BadApiKey), Err(Code::BadApiKey)),
            // A token is no key and has no business in a query.
            ("", Some(&token), Err(Code::BadApiKey), Err(Code::BadApiKey)),
        ] {
            let lines: &[&str] = if line.is_empty() { &[] } else { &[line] };
            let head = head(lines);
            for (policy, expected) in [(Open, open), (Token, closed)] {
                let is_program = expected == Ok(Caller::Program);
                let caller = access(policy, 0).caller(NOW, &head, field);
                assert_eq!(caller, expected.map_err(Problem::from), "{policy:?} {line} {field:?}");
                assert_eq!(
                    access(policy, 0).program(NOW, &head, field).is_ok(),
                    is_program,
                    "{line} {field:?}"
                );
            }
        }
        let twice = head(&[&bearer(KEY), &bearer(KEY)]);
        assert_eq!(access(Token, 0).caller(NOW, &twice, None), Err(Code::BadApiKey.into()));
        let required = access(Open, 0).program(NOW, &head(&[]), None);
        assert_eq!(required, Err(Code::ApiKeyRequired.into()));
        assert_eq!(
            access(Open, 0).program(NOW, &head(&[&bearer(&token)]), None),
            Err(Code::BadApiKey.into())
        );
    }

    #[test]
    fn guesses_cost_as_much_as_credentials() {
        let access = access(Policy::Token, 1);
        let asked = |line: &str, ip: &str| {
            let mut head = head(&[line]);
            head.extensions.insert(ClientIp(ip.parse().unwrap()));
            access.let_in(NOW, &head)?;
            access.caller(NOW, &head, None)
        };
        for _ in 0..10 {
            assert_eq!(asked("Bearer guess", "192.0.2.1"), Err(Code::BadToken.into()));
        }
        let wait = Problem::for_now(Code::RateLimited, Duration::from_secs(1));
        assert_eq!(asked("Bearer guess", "192.0.2.1"), Err(wait.clone()));
        assert_eq!(asked(&format!("Bearer {KEY}"), "192.0.2.1"), Err(wait));
        assert_eq!(asked(&format!("Bearer {KEY}"), "192.0.2.2"), Ok(Caller::Program));
    }

    #[test]
    fn nobody_but_programs_is_let_in_at_the_end() {
        let draining = watch::Sender::new(false);
        let access = Access { draining: draining.subscribe(), ..access(Policy::Open, 0) };
        assert_eq!(access.let_in(NOW, &head(&[])), Ok(()));
        draining.send_replace(true);
        let closed = Err(Problem::for_now(Code::ShuttingDown, BACK_AFTER));
        assert_eq!(access.let_in(NOW, &head(&[])), closed);
        assert_eq!(access.program(NOW, &head(&[&format!("Bearer {KEY}")]), None), Ok(()));
    }

    #[test]
    fn keys_stay_out_of_logs() {
        assert_eq!(format!("{:?}", ApiKeys::new(&[KEY])), "ApiKeys(1 redacted)");
        let told = format!("{:?}", access(Policy::Open, 0));
        assert!(!told.contains("north") && !told.contains("key-for"), "{told}");
    }
}
