//! The address that a request comes from, for limits that count by address.

use std::net::{IpAddr, SocketAddr};

use axum::http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A client's address, an extension of every request: [`super::serve`] puts it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Who asks over a connection from `tcp`. From this machine, it is a reverse proxy that asks for somebody: whom it
    /// names last is who spoke to it. What stands before that, the client may have written; and from elsewhere, all of it.
    #[must_use]
    pub fn of(tcp: IpAddr, headers: &HeaderMap) -> Self {
        let tcp = tcp.to_canonical();
        let forwarded = tcp.is_loopback().then(|| {
            let last = headers.get_all(X_FORWARDED_FOR).iter().next_back()?.to_str().ok()?;
            address(last.rsplit(',').next()?.trim())
        });
        Self(forwarded.flatten().unwrap_or(tcp))
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
            headers.append(X_FORWARDED_FOR, HeaderValue::from_str(line).unwrap());
        }
        Peer::of(tcp.parse().unwrap(), &headers).0.to_string()
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_about_who_spoke_to_it() {
        assert_eq!(of("127.0.0.1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("::1", &["192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("::ffff:127.0.0.1", &["2001:db8::1"]), "2001:db8::1");
        // What a client writes ahead of the proxy's own counts for nothing.
        assert_eq!(of("127.0.0.1", &["203.0.113.9, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(of("127.0.0.1", &["203.0.113.9", "198.51.100.1 , 192.0.2.1 "]), "192.0.2.1");
        for written in ["192.0.2.1:4711", "::ffff:192.0.2.1", "[::ffff:192.0.2.1]:80"] {
            assert_eq!(of("127.0.0.1", &[written]), "192.0.2.1", "{written}");
        }
        assert_eq!(of("127.0.0.1", &["[2001:db8::1]"]), "2001:db8::1");
    }

    #[test]
    fn nobody_else_is_believed_and_nonsense_is_nobody() {
        assert_eq!(of("198.51.100.7", &["192.0.2.1"]), "198.51.100.7");
        assert_eq!(of("::ffff:198.51.100.7", &[]), "198.51.100.7");
        for nonsense in ["", "unknown", "192.0.2.1,", "192.0.2.1, localhost", "[192.0.2.1", "1.2.3"] {
            assert_eq!(of("127.0.0.1", &[nonsense]), "127.0.0.1", "{nonsense:?}");
        }
    }
}
