//! Front door: the page, `/ice` and `/ws` as a visitor's browser gets them, through any proxy.

use serde::Deserialize;

use super::Finding;
use crate::fault::Fault;

/// Answer to a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Time of the `Date` field, in seconds since 1970.
    pub date: Option<u64>,
    /// Target of a redirect.
    pub location: Option<String>,
    /// Start of the body.
    pub body: String,
}

/// Outcome of the opening of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It opened.
    Open,
    /// The answer has the status 101, but does not accept this handshake.
    NotWebSocket,
    /// Another answer.
    Refused(Answer),
}

/// Fields of a problem object and of `/ice` that matter here.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    code: Option<String>,
    #[serde(rename = "iceServers")]
    ice_servers: Option<Vec<IceServer>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct IceServer {
    urls: serde_json::Value,
}

impl Answer {
    /// Returns the code of a problem object of this server.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        serde_json::from_str::<Body>(&self.body).ok()?.code
    }

    fn evidence(&self) -> String {
        let redirect = self.location.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
        let code = self.code().map(|code| format!(" {code}")).unwrap_or_default();
        format!("status {}{code}{redirect}", self.status)
    }
}

/// Remedy for a proxy that hides the name under which the browser asked.
const PASS_HOST: &str =
    "let the proxy pass on the Host that the browser sent (nginx: `proxy_set_header Host $http_host;`)";

/// Remedy for a proxy that opens no WebSocket.
const PASS_UPGRADE: &str = "let the proxy pass on Upgrade and Connection at /ws (nginx: `proxy_http_version 1.1; proxy_set_header \
                            Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`)";

/// Judges the page at `url`, whose host is `host`.
pub fn page(url: &str, host: &str, answer: &Answer) -> Finding {
    let what = format!("page {url}");
    match answer.status {
        200 if answer.body.contains("<title>Byway</title>") => Finding::ok(what, "served"),
        200 => Finding::failed(
            Fault::NameElsewhere,
            format!("{what} is not that of this server"),
            "status 200 with another page",
            "point the name, or the proxy behind it, to this server",
        ),
        300..=399 => Finding::warning(
            None,
            format!("{what} redirects, which was not followed"),
            answer.evidence(),
            "run `byway doctor --url URL` with the address that visitors end at",
        ),
        _ => common(&what, host, answer),
    }
}

/// Judges `/ice`.
pub fn ice(url: &str, host: &str, answer: &Answer) -> Finding {
    let what = format!("ICE configuration {url}");
    match (answer.status, serde_json::from_str::<Body>(&answer.body)) {
        (200, Ok(Body { ice_servers: Some(servers), .. })) => {
            let urls: Vec<String> = servers.iter().flat_map(|server| urls(&server.urls)).collect();
            let relays = urls.iter().filter(|url| url.starts_with("turn")).count();
            if relays == 0 {
                return Finding::failed(
                    Fault::NoRelay,
                    format!("{what} names no relay"),
                    format!("{} URLs, none of TURN", urls.len()),
                    "add a listener under [listen] as `udp`, or a TURN URL to `urls` under [ice]",
                );
            }
            Finding::ok(what, format!("{relays} TURN URLs"))
        }
        (401, Ok(Body { code: Some(code), .. })) if code == "token-required" => {
            Finding::ok(what, "asks for a join token, as ice.access = \"token\" demands")
        }
        (200, _) => Finding::failed(
            Fault::NameElsewhere,
            format!("{what} is not that of this server"),
            "status 200 without iceServers",
            "let the proxy pass on /ice to this server",
        ),
        _ => common(&what, host, answer),
    }
}

/// Judges the opening of `/ws`.
pub fn websocket(url: &str, host: &str, opening: &Opening) -> Finding {
    let what = format!("signaling {url}");
    let blocked = |evidence: String| {
        Finding::failed(
            Fault::ProxyUpgrade,
            format!("{what} opens no WebSocket, so nobody can call"),
            evidence,
            PASS_UPGRADE,
        )
    };
    match opening {
        Opening::Open => Finding::ok(what, "opens"),
        Opening::NotWebSocket => blocked("status 101 without the accepting key".to_owned()),
        Opening::Refused(answer) => match (answer.status, answer.code().as_deref()) {
            (_, Some("host-refused" | "origin-refused" | "rate-limited" | "shutting-down"))
            | (502..=504, _) => common(&what, host, answer),
            (_, Some("websocket-required")) => {
                blocked(format!("{}: the request arrived without Upgrade", answer.evidence()))
            }
            _ => blocked(answer.evidence()),
        },
    }
}

/// Judges answers that mean the same at every path.
fn common(what: &str, host: &str, answer: &Answer) -> Finding {
    let failed = |fault: Option<Fault>, why: &str, remedy: String| {
        Finding::failed(fault, format!("{what} {why}"), answer.evidence(), remedy)
    };
    match (answer.status, answer.code().as_deref()) {
        (_, Some("host-refused")) => failed(
            Some(Fault::ProxyHost),
            "is refused, because the server does not know the host of the request",
            format!("list \"{host}\" in `hosts` under [http]; if it is listed, {PASS_HOST}"),
        ),
        (_, Some("origin-refused")) => failed(
            Some(Fault::ProxyHost),
            "is refused to the server's own page, because the proxy replaces Host",
            PASS_HOST.to_owned(),
        ),
        (_, Some("rate-limited")) => failed(
            Some(Fault::LimitReached),
            "is refused for too many requests",
            "wait a minute; raise `joins_per_second` under [signaling] if visitors share an address"
                .to_owned(),
        ),
        (_, Some("shutting-down")) => failed(
            Some(Fault::NotRunning),
            "is refused, because the server is about to stop",
            "start it again: systemctl start byway".to_owned(),
        ),
        (502..=504, _) => failed(
            Some(Fault::NotRunning),
            "is not answered: the proxy does not reach the server",
            "start the server, and compare the proxy's target with `http` under [listen]".to_owned(),
        ),
        (401, Some(code)) if code.contains("token") => failed(
            Some(Fault::Access),
            "is refused to the invitation",
            "create a new one: byway invite --room NAME".to_owned(),
        ),
        (500.., _) => failed(
            Some(Fault::Degraded),
            "is not served, because of an error of the server",
            "see the log of the server, and of the proxy in front of it".to_owned(),
        ),
        _ => failed(
            Some(Fault::NameElsewhere),
            "is not served",
            "compare the proxy's rules with docs/install.md, \"Behind a reverse proxy\"".to_owned(),
        ),
    }
}

fn urls(value: &serde_json::Value) -> Vec<String> {
    match value {
        serde_json::Value::String(url) => vec![url.clone()],
        serde_json::Value::Array(urls) => {
            urls.iter().filter_map(|url| url.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer { status, body: body.to_owned(), ..Answer::default() }
    }

    fn problem(status: u16, code: &str) -> Answer {
        answer(status, &format!("{{\"code\":\"{code}\"}}"))
    }

    #[test]
    fn a_sound_front_door_is_ok() {
        let page = page("https://a.example/", "a.example", &answer(200, "<title>Byway</title>"));
        assert_eq!(page, Finding::ok("page https://a.example/", "served"));
        let servers = "{\"iceServers\":[{\"urls\":\"stun:a\"},{\"urls\":[\"turn:a\",\"turns:a\"]}]}";
        let found = ice("https://a.example/ice", "a.example", &answer(200, servers));
        assert_eq!(found, Finding::ok("ICE configuration https://a.example/ice", "2 TURN URLs"));
        assert_eq!(ice("u", "h", &problem(401, "token-required")).state, State::Ok);
        assert_eq!(websocket("wss://a.example/ws", "a.example", &Opening::Open).evidence, "opens");
    }

    #[test]
    fn a_proxy_that_drops_a_field_is_named_with_its_line() {
        let found = websocket(
            "wss://a.example/ws",
            "a.example",
            &Opening::Refused(problem(426, "websocket-required")),
        );
        assert_eq!(
            found.to_string(),
            "failed   signaling wss://a.example/ws opens no WebSocket, so nobody can call: status 426 websocket-required: \
             the request arrived without Upgrade\n         \
             remedy: let the proxy pass on Upgrade and Connection at /ws (nginx: `proxy_http_version 1.1; proxy_set_header \
             Upgrade $http_upgrade; proxy_set_header Connection \"upgrade\";`)\n         more: byway explain proxy-upgrade"
        );
        for answer in [problem(421, "host-refused"), problem(403, "origin-refused")] {
            for found in [
                page("u", "h", &answer),
                ice("u", "h", &answer),
                websocket("u", "h", &Opening::Refused(answer.clone())),
            ] {
                assert_eq!(found.fault, Some(Fault::ProxyHost), "{found}");
                assert!(found.remedy.contains("proxy_set_header Host"), "{found}");
            }
        }
        assert_eq!(websocket("u", "h", &Opening::NotWebSocket).fault, Some(Fault::ProxyUpgrade));
    }

    #[test]
    fn threat_56_nothing_that_a_server_answers_is_ok_by_mistake() {
        for status in [0, 100, 204, 301, 400, 401, 403, 404, 418, 500, 502, 599, 65535] {
            for body in ["", "{", "{\"code\":7}", "{\"iceServers\":[{}]}", "\u{1b}[2J", "[[[["] {
                let answer = Answer { location: Some("//evil".to_owned()), ..answer(status, body) };
                for found in [
                    page("u", "h", &answer),
                    ice("u", "h", &answer),
                    websocket("u", "h", &Opening::Refused(answer.clone())),
                ] {
                    assert_ne!(found.state, State::Ok, "{status} {body}: {found}");
                    assert!(!found.to_string().contains('\u{1b}'), "{found}");
                }
            }
        }
        assert_eq!(ice("u", "h", &answer(200, "{\"iceServers\":[]}")).fault, Some(Fault::NoRelay));
        assert_eq!(page("u", "h", &answer(200, "nginx")).fault, Some(Fault::NameElsewhere));
    }
}
