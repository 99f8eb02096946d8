//! Servers that `/ice` names, and those of them that are the probed host's. Pure.
//!
//! The answer is the server's choice. A URL of another host is shown and not asked, so that a
//! hostile server cannot make this machine send elsewhere.

use std::net::IpAddr;

use byway_turn::server::is_special_purpose;

use crate::config::{IceScheme, IceUrl, Transport};

use super::credentials::{IceAnswer, Login, Urls};
use super::target::{Site, url};
use crate::origin::{Host, Scheme};

/// URLs that are asked at most. More are named in one row.
const MOST: usize = 16;

/// Bytes of a URL that are shown.
const LONGEST: usize = 200;

/// Default port of STUN and TURN (RFC 8489 section 18.6).
const STUN: u16 = 3478;

/// Servers that `/ice` names.
#[derive(Debug, Default)]
pub(super) struct NamedServers {
    /// URLs of the probed host.
    pub(super) asked: Vec<IceUrl>,
    /// URLs that are not asked, each with the reason.
    pub(super) others: Vec<(String, NotAsked)>,
    /// Login for the relays.
    pub(super) login: Option<Login>,
}

/// Reason for which a URL is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotAsked {
    /// Another host.
    OtherHost,
    /// A private address, though the page has a public one.
    Private,
    /// Not a URL that this client supports.
    Unsupported,
    /// Beyond the limit.
    TooMany,
}

impl NamedServers {
    /// Parses an answer of `/ice`; `None` if it is none.
    pub(super) fn parse(body: &str, site: &Site, addresses: &[IpAddr]) -> Option<Self> {
        let answer: IceAnswer = serde_json::from_str(body).ok()?;
        let mut named = Self::default();
        for server in answer.ice_servers {
            let login = server.login();
            let urls = match server.urls {
                Urls::One(url) => vec![url],
                Urls::Many(urls) => urls,
                Urls::None => Vec::new(),
            };
            named.login = named.login.take().or(login);
            for text in urls {
                named.add(&text, site, addresses);
            }
        }
        Some(named)
    }

    fn add(&mut self, text: &str, site: &Site, addresses: &[IpAddr]) {
        let reason = match url(text) {
            Err(_) => NotAsked::Unsupported,
            Ok(url) => match relation(&url, site, addresses) {
                None if self.asked.contains(&url) => return,
                None if self.asked.len() < MOST => {
                    self.asked.push(url);
                    return;
                }
                None => NotAsked::TooMany,
                Some(reason) => reason,
            },
        };
        if self.others.len() < MOST {
            self.others.push((text.chars().take(LONGEST).collect(), reason));
        }
    }

    /// Returns the servers at the default ports of a host whose `/ice` cannot be read.
    pub(super) fn by_default(site: &Site) -> Self {
        let url = |scheme, port, transport| IceUrl { scheme, host: site.host_name(), port, transport };
        let tls = if site.scheme == Scheme::Https { site.port } else { Scheme::Https.default_port() };
        let asked = vec![
            url(IceScheme::Stun, STUN, Transport::Udp),
            url(IceScheme::Turn, STUN, Transport::Udp),
            url(IceScheme::Turn, STUN, Transport::Tcp),
            url(IceScheme::Turns, tls, Transport::Tcp),
        ];
        Self { asked, ..Self::default() }
    }
}

/// Returns the reason for which a URL is not the probed host's.
fn relation(url: &IceUrl, site: &Site, addresses: &[IpAddr]) -> Option<NotAsked> {
    let is_public = addresses.iter().any(|ip| !is_special_purpose(*ip));
    match url.host.parse::<IpAddr>() {
        Ok(ip) if addresses.contains(&ip) => None,
        Ok(ip) if is_public && is_special_purpose(ip) => Some(NotAsked::Private),
        Ok(_) => Some(NotAsked::OtherHost),
        Err(_) => {
            let name = url.host.trim_end_matches('.').to_ascii_lowercase();
            let is_same = matches!(&site.host, Host::Name(host) if host.trim_end_matches('.') == name);
            (!is_same).then_some(NotAsked::OtherHost)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(urls: &str) -> NamedServers {
        let body =
            format!("{{\"iceServers\":[{{\"urls\":{urls},\"username\":\"u\",\"credential\":\"c\"}}]}}");
        let site: Site = "call.example.org".parse().unwrap();
        NamedServers::parse(&body, &site, &["1.2.3.4".parse().unwrap()]).unwrap()
    }

    #[test]
    fn threat_56_only_urls_of_the_named_host_are_asked() {
        let named = named(
            "[\"turn:Call.example.org.\",\"turn:1.2.3.4:443?transport=tcp\",\"turn:8.8.8.8:53\",\"turn:10.0.0.1\",\
             \"turn:victim.example\",\"turn:call.example.org.victim.example\",\"x\",\"turn:[::1]\"]",
        );
        let asked: Vec<_> = named.asked.iter().map(ToString::to_string).collect();
        assert_eq!(asked, ["turn:Call.example.org.:3478?transport=udp", "turn:1.2.3.4:443?transport=tcp"]);
        let reasons: Vec<_> = named.others.iter().map(|(_, reason)| *reason).collect();
        use NotAsked::{OtherHost, Private, Unsupported};
        assert_eq!(reasons, [OtherHost, Private, OtherHost, OtherHost, Unsupported, Private]);
        assert_eq!(named.login.map(|login| login.username), Some("u".to_owned()));
    }

    #[test]
    fn threat_56_a_thousand_urls_are_sixteen() {
        let urls: Vec<_> = (1..=1000).map(|port| format!("\"turn:1.2.3.4:{port}\"")).collect();
        let named = named(&format!("[{}]", urls.join(",")));
        assert_eq!((named.asked.len(), named.others.len()), (MOST, MOST));
        assert!(named.others.iter().all(|(_, reason)| *reason == NotAsked::TooMany));
    }

    #[test]
    fn threat_56_an_answer_that_is_none_names_nothing() {
        let site: Site = "call.example.org".parse().unwrap();
        for body in ["", "[]", "{}", "{\"iceServers\":7}", "{\"iceServers\":[{\"urls\":{}}]}", "\u{0}"] {
            assert!(NamedServers::parse(body, &site, &[]).is_none(), "{body}");
        }
        let empty = NamedServers::parse("{\"iceServers\":[{}]}", &site, &[]).unwrap();
        assert!(empty.asked.is_empty() && empty.others.is_empty() && empty.login.is_none());
    }
}
