//! The address that a request comes from, for limits that count by address.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};

use super::remarks::Remarks;
use super::target::elements;
use crate::net::trusted_proxies::TrustedProxies;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Most unlisted proxies that the log tells of.
const MAX_UNLISTED: usize = 16;

/// Reverse proxies that are not configured, as far as the log has reported them.
#[derive(Debug)]
pub(super) struct UnlistedProxies(Remarks<IpAddr>);

impl Default for UnlistedProxies {
    fn default() -> Self {
        Self(Remarks::new(MAX_UNLISTED, Duration::MAX))
    }
}

impl UnlistedProxies {
    /// Tells the log of a connection from `tcp` that speaks for others and does not count as a
    /// proxy: all of its clients share one address's limits, which nothing else shows.
    pub(super) fn note(&self, tcp: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) {
        let speaks_for_others =
            [X_FORWARDED_FOR, header::FORWARDED].iter().any(|name| headers.contains_key(name));
        if !speaks_for_others || !proxies.may_lack(tcp) {
            return;
        }
        let proxy = tcp.to_canonical();
        if self.0.is_new(Duration::ZERO, &proxy) {
            tracing::warn!(
                "requests from {proxy} name other clients and are counted as its own: if it is your reverse proxy, list it \
                 under [listen], `trusted_proxies = [\"{proxy}\"]`, or its clients share the limits of one address"
            );
        }
    }
}

/// A client's address, an extension of every request: [`super::serve`] puts it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIp(pub IpAddr);

impl ClientIp {
    /// The address of a request that [`super::serve`] has passed on.
    pub(super) fn in_head(head: &Parts) -> IpAddr {
        head.extensions.get().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |Self(ip)| *ip)
    }

    /// The client of a request over a connection from `tcp`.
    ///
    /// Each trusted proxy is believed about the address that spoke to it, from the server outwards:
    /// the last element of `X-Forwarded-For` is the nearest proxy's. The first address that is no
    /// trusted proxy is the client's. The elements to its left are the client's own words and count
    /// for nothing, and neither does one that is no address.
    #[must_use]
    pub fn of(tcp: IpAddr, headers: &HeaderMap, proxies: &TrustedProxies) -> Self {
        let mut client = tcp.to_canonical();
        for element in elements(headers, &X_FORWARDED_FOR).rev() {
            match address(element).filter(|_| proxies.trust(client)) {
                Some(before) => client = before,
                None => break,
            }
        }
        Self(client)
    }
}

/// As proxies write one: alone, in brackets, or with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(tcp: &str, forwarded: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        let proxies = TrustedProxies::new(vec!["10.0.0.0/24".parse().unwrap()]);
        ClientIp::of(tcp.parse().unwrap(), &headers, &proxies).0.to_string()
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_about_who_spoke_to_it() {
        assert_eq!(of("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("::1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        // What a client writes ahead of the proxy's own counts for nothing.
        assert_eq!(of("127.0.0.1", &["203.0.113.9, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["203.0.113.9", "198.51.100.1 , 192.0.2.1 "]), "192.0.2.1");
        for written in
            ["192.0.2.1:4711", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80", "192.0.2.1,", ", 192.0.2.1"]
        {
            assert_eq!(of("127.0.0.1", &[written]), "192.0.2.1", "{written}");
        }
        assert_eq!(of("127.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn threat_34_trusted_proxies_are_skipped_from_the_right() {
        assert_eq!(of("10.0.0.9", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("10.0.0.9", &["203.0.113.9, 192.0.2.1, 10.0.0.8, 127.0.0.1"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["203.0.113.9", "192.0.2.1", "10.0.0.8"]), "192.0.2.1");
        // All of them are proxies: the outermost is the client.
        assert_eq!(of("10.0.0.9", &["10.0.0.7, 10.0.0.8"]), "10.0.0.7");
        // An element that is no address ends the chain at the proxy that wrote it.
        assert_eq!(of("10.0.0.9", &["192.0.2.1, unknown, 10.0.0.8"]), "10.0.0.8");
        assert_eq!(of("10.0.0.9", &["192.0.2.1, \u{e9}, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(of("10.0.0.9", &["192.0.2.1", "\u{e9}"]), "10.0.0.9");
    }

    #[test]
    fn threat_34_nobody_else_is_believed_and_nonsense_is_nobody() {
        assert_eq!(of("198.51.100.7", &["192.0.2.1"]), "198.51.100.7");
        assert_eq!(of("10.0.1.9", &["192.0.2.1"]), "10.0.1.9");
        assert_eq!(of("::ffff:198.51.100.7", &[]), "198.51.100.7");
        for nonsense in ["", "unknown", "192.0.2.1, localhost", "[192.0.2.1", "1.2.3"] {
            assert_eq!(of("127.0.0.1", &[nonsense]), "127.0.0.1", "{nonsense:?}");
        }
    }
}
