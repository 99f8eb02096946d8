//! Credentials of a request: `Authorization`, or the field that a convention uses instead.

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::access::Proof;

/// Returns the proof of a request. The header precedes the field.
pub(super) fn proof<'a>(headers: &'a HeaderMap, field: Option<&'a str>) -> Proof<'a> {
    let mut lines = headers.get_all(header::AUTHORIZATION).iter();
    let Some(line) = lines.next() else { return field.map_or(Proof::None, Proof::Field) };
    // Two lines are a proof that nothing matches.
    let line = if lines.next().is_none() { line.to_str().unwrap_or_default() } else { "" };
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Proof::Bearer(rest.into());
    }
    let basic = scheme.eq_ignore_ascii_case("basic").then(|| STANDARD.decode(rest).ok()).flatten();
    let basic = basic.and_then(|both| String::from_utf8(both).ok());
    let password = basic.and_then(|both| both.split_once(':').map(|(_, password)| password.to_owned()));
    Proof::Password(password.unwrap_or_default().into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use byway_turn::rate_limit::KeyedRateLimiter;
    use byway_turn::time::Now;

    use super::*;
    use crate::access::api_keys::ApiKeys;
    use crate::access::grant::Grant;
    use crate::access::tokens::{Settings, Tokens};
    use crate::access::{Access, Caller, Policy};
    use crate::http::problem::{Code, Problem};

    const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_700_000_000 };
    const KEY: &str = "a-key-for-programs";

    fn access(policy: Policy) -> Access {
        let settings = Settings { secrets: vec![], keys: None, audience: "byway".to_owned() };
        Access {
            policy,
            tokens: Tokens::new(&settings, &["north-north-north"]).unwrap(),
            api_keys: ApiKeys::new(&["another-key-for-programs", KEY]),
            limiter: Arc::new(KeyedRateLimiter::new(0, Duration::from_secs(10), 7)),
            is_draining: Arc::new(|| false),
            counters: Arc::default(),
        }
    }

    fn headers(lines: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, line.parse().unwrap());
        }
        headers
    }

    fn caller(policy: Policy, headers: &HeaderMap, field: Option<&str>) -> Result<Caller, Problem> {
        access(policy).caller(NOW, &proof(headers, field)).map_err(Problem::from)
    }

    fn program(policy: Policy, headers: &HeaderMap, field: Option<&str>) -> Result<(), Problem> {
        let client = [192, 0, 2, 1].into();
        access(policy).program(NOW, client, &proof(headers, field)).map_err(Problem::from)
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
        let token = access(Token).tokens.issue(NOW, guest(), Duration::from_secs(60)).0;
        let old = Now { unix: NOW.unix - 120, ..NOW };
        let old = access(Token).tokens.issue(old, guest(), Duration::from_secs(60)).0;
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
            let headers = headers(lines);
            for (policy, expected) in [(Open, open), (Token, closed)] {
                let is_program = expected == Ok(Caller::Program);
                let caller = caller(policy, &headers, field);
                assert_eq!(caller, expected.map_err(Problem::from), "{policy:?} {line} {field:?}");
                assert_eq!(program(policy, &headers, field).is_ok(), is_program, "{line} {field:?}");
            }
        }
        let twice = headers(&[&bearer(KEY), &bearer(KEY)]);
        assert_eq!(caller(Token, &twice, None), Err(Code::BadApiKey.into()));
        let required = program(Open, &headers(&[]), None);
        assert_eq!(required, Err(Code::ApiKeyRequired.into()));
        assert_eq!(program(Open, &headers(&[&bearer(&token)]), None), Err(Code::BadApiKey.into()));
    }
}
