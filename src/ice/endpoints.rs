//! Endpoints of the server, and their STUN and TURN URLs.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use byway_turn::wire::AddressFamily;

use super::Host;
use crate::tls::CertificateNames;

/// Endpoints of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Listeners of STUN and TURN over UDP.
    pub udp: Vec<SocketAddr>,
    /// Listeners of TURN over TCP.
    pub tcp: Vec<SocketAddr>,
    /// Listeners of TURN over TLS.
    pub tls: Vec<SocketAddr>,
    /// The configured public addresses, if the listeners are behind a 1:1 NAT.
    pub public: Vec<IpAddr>,
    /// Names of the TLS listeners' certificate.
    pub names: CertificateNames,
    /// UDP listeners for NAT behaviour discovery (RFC 5780).
    pub discovery: Vec<SocketAddr>,
}

/// A host in URL form, and a port.
type Authority = (String, u16);

impl Endpoints {
    /// Returns STUN URLs and TURN URLs: each once, always with a port, and the best transport for
    /// media first.
    ///
    /// Browsers query every URL once for each of their addresses. A second STUN URL of one host
    /// would give the same result and is left out.
    pub(super) fn urls(&self, host: Option<&Host>) -> (Vec<String>, Vec<String>) {
        let of = |listeners: &[SocketAddr]| each_once(listeners.iter().flat_map(|l| self.called(*l, host)));
        let (udp, tcp) = (of(&self.udp), of(&self.tcp));
        let tls = each_once(self.tls.iter().flat_map(|listener| self.certified(*listener, host)));

        let mut hosts = BTreeSet::new();
        let stun = udp.iter().filter(|(host, _)| hosts.insert(host));
        let stun = stun.map(|(host, port)| format!("stun:{host}:{port}")).collect();
        let turn = [("turn", "udp", &udp), ("turn", "tcp", &tcp), ("turns", "tcp", &tls)];
        let turn = turn.into_iter().flat_map(|(scheme, transport, authorities)| {
            authorities
                .iter()
                .map(move |(host, port)| format!("{scheme}:{host}:{port}?transport={transport}"))
        });
        (stun, turn.collect())
    }

    /// Returns STUN URLs and TURN URLs for clients that did not reach this server by a name of it.
    /// None is of a loopback listener.
    pub(super) fn urls_for_others(&self) -> (Vec<String>, Vec<String>) {
        let others_reach = |listeners: &[SocketAddr]| -> Vec<_> {
            listeners.iter().copied().filter(|listener| !listener.ip().is_loopback()).collect()
        };
        let endpoints = Self {
            udp: others_reach(&self.udp),
            tcp: others_reach(&self.tcp),
            tls: others_reach(&self.tls),
            ..self.clone()
        };
        let host = self.names.preferred(None).and_then(|name| Host::parse(&name.in_url()));
        endpoints.urls(host.as_ref())
    }

    /// Returns STUN URLs for NAT behaviour discovery. Behind a 1:1 NAT there are none, because two
    /// listeners share one public address.
    pub(super) fn discovery_urls(&self) -> Vec<String> {
        let is_direct =
            |listener: &&SocketAddr| !self.public.iter().any(|public| public.is_ipv4() == listener.is_ipv4());
        let authorities = self.discovery.iter().filter(is_direct).flat_map(|l| self.called(*l, None));
        authorities.map(|(host, port)| format!("stun:{host}:{port}")).collect()
    }

    /// Returns the authorities under which clients reach a listener.
    ///
    /// A loopback listener keeps its address. It is left out if the server also has listeners for
    /// other machines. Any other listener gets the public addresses of its family if there are some
    /// (behind a 1:1 NAT), else its own address. A wildcard listener gets the client's name for the
    /// server, unless that is an address of the other family.
    fn called(&self, listener: SocketAddr, host: Option<&Host>) -> Vec<Authority> {
        let (ip, port) = (listener.ip(), listener.port());
        if ip.is_loopback() {
            let others_reach_us =
                [&self.udp, &self.tcp, &self.tls].into_iter().flatten().any(|l| !l.ip().is_loopback());
            return if others_reach_us { Vec::new() } else { vec![(literal(ip), port)] };
        }
        let same_family = |other: &IpAddr| other.is_ipv4() == ip.is_ipv4();
        let public: Vec<_> = self.public.iter().filter(|public| same_family(public)).collect();
        if !public.is_empty() {
            return public.into_iter().map(|ip| (literal(*ip), port)).collect();
        }
        if !ip.is_unspecified() {
            return vec![(literal(ip), port)];
        }
        match host {
            Some(Host::Name(name)) => vec![(name.clone(), port)],
            Some(Host::Ip(called)) if same_family(called) => vec![(literal(*called), port)],
            _ => Vec::new(),
        }
    }

    /// Returns the authorities of a listener whose certificate clients verify against the host of
    /// the URL (RFC 8489 section 6.2.3).
    ///
    /// Among the names of the certificate it prefers the client's name for the server. Then come
    /// the authorities of a listener without a certificate, then the certificate's first name that
    /// is not a wildcard. If the certificate covers none of these, the verification must fail, and
    /// the usual authority lets the client report that.
    fn certified(&self, listener: SocketAddr, host: Option<&Host>) -> Vec<Authority> {
        let port = listener.port();
        if let Some(Host::Name(name)) = host.filter(|host| self.names.cover(host)) {
            return vec![(name.clone(), port)];
        }
        let called = self.called(listener, host);
        let good: Vec<_> = called
            .iter()
            .filter(|(host, _)| Host::parse(host).is_some_and(|host| self.names.cover(&host)))
            .cloned()
            .collect();
        if !good.is_empty() {
            return good;
        }
        let preferred = self.names.preferred(Some(AddressFamily::of(listener.ip())));
        preferred.map_or(called, |name| vec![(name.in_url(), port)])
    }
}

fn each_once(authorities: impl Iterator<Item = Authority>) -> Vec<Authority> {
    let mut seen = BTreeSet::new();
    authorities.filter(|authority| seen.insert(authority.clone())).collect()
}

/// An address as the host of a URL.
fn literal(ip: IpAddr) -> String {
    Host::Ip(ip).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::Name;

    fn all<T: std::str::FromStr<Err: std::fmt::Debug>>(texts: &[&str]) -> Vec<T> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn uris(udp: &[&str], public: &[&str], host: &str) -> Vec<String> {
        let endpoints = Endpoints { udp: all(udp), public: all(public), ..Endpoints::default() };
        endpoints.urls(Host::parse(host).as_ref()).1
    }

    #[test]
    fn a_wildcard_is_called_what_the_client_called_it() {
        let both = ["0.0.0.0:3478", "[::]:3478"];
        assert_eq!(uris(&both, &[], "turn.example.org:8080"), ["turn:turn.example.org:3478?transport=udp"]);
        assert_eq!(uris(&both, &[], "192.0.2.7"), ["turn:192.0.2.7:3478?transport=udp"]);
        assert_eq!(uris(&both, &[], "[2001:db8::7]:443"), ["turn:[2001:db8::7]:3478?transport=udp"]);
        assert_eq!(uris(&both, &[], ""), [""; 0]);
    }

    #[test]
    fn public_addresses_win_by_family() {
        let udp = ["0.0.0.0:3478", "10.0.0.1:3478", "[::]:3479"];
        assert_eq!(
            uris(&udp, &["203.0.113.10"], "example.org"),
            ["turn:203.0.113.10:3478?transport=udp", "turn:example.org:3479?transport=udp"]
        );
    }

    #[test]
    fn a_loopback_listener_is_for_a_server_of_this_machine_alone() {
        assert_eq!(uris(&["127.0.0.1:1"], &["203.0.113.10"], "a"), ["turn:127.0.0.1:1?transport=udp"]);
        // For instance, the file names UDP listeners and keeps the other defaults.
        let endpoints = Endpoints {
            udp: all(&["127.0.0.1:3478", "192.0.2.7:3478"]),
            tcp: all(&["127.0.0.1:3478", "[::1]:3478"]),
            ..Endpoints::default()
        };
        assert_eq!(urls_of(&endpoints, "a"), ["stun:192.0.2.7:3478", "turn:192.0.2.7:3478?transport=udp"]);
    }

    /// The URLs for a client that reached the server as `host`.
    fn urls_of(endpoints: &Endpoints, host: &str) -> Vec<String> {
        let (stun, turn) = endpoints.urls(Host::parse(host).as_ref());
        [stun, turn].concat()
    }

    #[test]
    fn discovery_names_the_addresses_themselves() {
        let four = ["192.0.2.7:3478", "192.0.2.7:3479", "192.0.2.8:3478", "192.0.2.8:3479"];
        let endpoints = Endpoints { udp: all(&four[..1]), discovery: all(&four), ..Endpoints::default() };
        assert_eq!(endpoints.discovery_urls(), four.map(|address| format!("stun:{address}")));
        let behind_nat = Endpoints { public: all(&["203.0.113.10"]), ..endpoints };
        assert_eq!(behind_nat.discovery_urls(), [""; 0]);
    }

    #[test]
    fn every_transport_is_listed_once_for_both_families_of_a_name() {
        let endpoints = Endpoints {
            udp: all(&["0.0.0.0:3478", "[::]:3478", "0.0.0.0:443", "[::]:443"]),
            tcp: all(&["0.0.0.0:3478", "[::]:3478"]),
            tls: all(&["0.0.0.0:443", "[::]:443"]),
            public: vec![],
            names: all::<Name>(&["call.example.org"]).into_iter().collect(),
            discovery: vec![],
        };
        assert_eq!(
            urls_of(&endpoints, "call.example.org"),
            [
                "stun:call.example.org:3478",
                "turn:call.example.org:3478?transport=udp",
                "turn:call.example.org:443?transport=udp",
                "turn:call.example.org:3478?transport=tcp",
                "turns:call.example.org:443?transport=tcp",
            ]
        );
    }

    #[test]
    fn a_listener_that_is_off_is_not_listed() {
        let tcp = Endpoints { tcp: all(&["192.0.2.7:3478"]), ..Endpoints::default() };
        assert_eq!(urls_of(&tcp, "a"), ["turn:192.0.2.7:3478?transport=tcp"]);
        let tls = Endpoints { tls: all(&["192.0.2.7:443"]), ..Endpoints::default() };
        assert_eq!(urls_of(&tls, "a"), ["turns:192.0.2.7:443?transport=tcp"]);
    }

    /// The hosts of `turns:` on `listener`, with a certificate for `names`, for a client that
    /// reached the server as `host`.
    fn certified(listener: &str, public: &[&str], names: &[&str], host: &str) -> Vec<String> {
        let endpoints = Endpoints {
            tls: all(&[listener]),
            public: all(public),
            names: all::<Name>(names).into_iter().collect(),
            ..Endpoints::default()
        };
        let host_of =
            |url: &String| Some(url.strip_prefix("turns:")?.strip_suffix(":443?transport=tcp")?.to_owned());
        urls_of(&endpoints, host).iter().map(|url| host_of(url).unwrap()).collect()
    }

    #[test]
    fn the_host_of_a_turns_url_is_one_that_the_certificate_is_good_for() {
        let any = "0.0.0.0:443";
        let named = ["example.org", "*.calls.example.org"];
        // The client's name for the server, if the certificate covers it,
        assert_eq!(certified(any, &[], &named, "example.org"), ["example.org"]);
        assert_eq!(certified(any, &[], &named, "EU.calls.example.org"), ["eu.calls.example.org"]);
        // even if listeners have a public address or their own.
        assert_eq!(certified(any, &["203.0.113.10"], &named, "example.org"), ["example.org"]);
        assert_eq!(certified("192.0.2.7:443", &[], &named, "example.org"), ["example.org"]);
        // Otherwise a certified address,
        let with_address = ["example.org", "203.0.113.10", "2001:db8::7"];
        assert_eq!(certified(any, &["203.0.113.10"], &with_address, "elsewhere.net"), ["203.0.113.10"]);
        assert_eq!(certified(any, &[], &with_address, "203.0.113.10"), ["203.0.113.10"]);
        assert_eq!(certified("[::]:443", &[], &with_address, "[2001:db8::7]"), ["[2001:db8::7]"]);
        // otherwise the first name that is not a wildcard.
        assert_eq!(certified(any, &[], &named, "203.0.113.10"), ["example.org"]);
        assert_eq!(certified(any, &[], &["*.example.org", "b.org", "c.org"], "a.net"), ["b.org"]);
        assert_eq!(certified(any, &[], &["2001:db8::7", "192.0.2.7"], "a.net"), ["192.0.2.7"]);
        assert_eq!(certified(any, &[], &named, ""), ["example.org"]);
        assert_eq!(certified("[::]:443", &[], &with_address, "203.0.113.10"), ["example.org"]);
        // The certificate covers no known name; clients report that.
        assert_eq!(certified(any, &[], &["*.example.org"], "a.net"), ["a.net"]);
        assert_eq!(certified(any, &[], &[], "a.net"), ["a.net"]);
    }
}
