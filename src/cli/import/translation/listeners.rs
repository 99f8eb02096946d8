//! Listeners, the certificate and `/metrics`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::super::draft::{Item, Origin};
use super::super::options::Fate;
use super::{Translator, origin};

/// Ports of coturn.
const PLAIN: u16 = 3478;
const TLS: u16 = 5349;
const PROMETHEUS: u16 = 9641;

/// Addresses of one listener, each with its origin.
type Addresses = Vec<(SocketAddr, Origin)>;

impl Translator<'_, '_> {
    /// Whether coturn serves TLS: it needs both files.
    fn has_tls(&self) -> bool {
        let names_a_file = |name| self.source.last(name).is_some_and(|entry| !entry.value.is_empty());
        !self.source.is_on("no-tls") && names_a_file("cert") && names_a_file("pkey")
    }

    /// Addresses that coturn listens on.
    pub(super) fn listening(&self) -> Vec<(IpAddr, Origin)> {
        let entries = self.source.all("listening-ip");
        if entries.is_empty() {
            return self.every_address("listening-ip");
        }
        let read = |entry| {
            let entry: &super::Entry<'_> = entry;
            // coturn takes an empty value for every IPv4 address.
            let ip = match entry.value {
                "" => Ipv4Addr::UNSPECIFIED.into(),
                text => self.source.address(entry, text)?,
            };
            Some((ip, origin(entry)))
        };
        entries.iter().filter_map(read).collect()
    }

    /// The wildcards of this machine, which stand for coturn's default.
    pub(super) fn every_address(&self, option: &'static str) -> Vec<(IpAddr, Origin)> {
        let default = Origin { option, line: None };
        let v6 = self.machine.has_ipv6.then_some((Ipv6Addr::UNSPECIFIED.into(), default));
        std::iter::once((Ipv4Addr::UNSPECIFIED.into(), default)).chain(v6).collect()
    }

    pub(super) fn listeners(&mut self) {
        let source = self.source;
        if let (Some(device), false) = (source.last("listening-device"), source.has("listening-ip")) {
            source.refuse(&device);
        }
        let has_tls = self.has_tls();
        let (plain, secure) = (source.port("listening-port", PLAIN), source.port("tls-listening-port", TLS));
        let ips = self.listening();
        let at = |port: u16| ips.iter().map(move |(ip, origin)| (SocketAddr::new(*ip, port), *origin));
        let (mut udp, mut tcp, mut tls): (Addresses, Addresses, Addresses) = (
            at(plain).collect(),
            at(plain).collect(),
            if has_tls { at(secure).collect() } else { Vec::new() },
        );
        let discovers: Vec<bool> = [false, true]
            .into_iter()
            .filter(|v6| ips.iter().filter(|(ip, _)| ip.is_ipv6() == *v6 && !ip.is_unspecified()).count() > 1)
            .collect();
        let alternate = source.port("alt-listening-port", 0);
        if alternate > 0 && !source.has("no-rfc5780") {
            udp.extend(at(alternate).filter(|(address, _)| discovers.contains(&address.is_ipv6())));
        }
        if !discovers.is_empty() && source.is_on("no-rfc5780") {
            let text =
                "With two addresses of one family Byway always has discovery. Listen on one to turn it off.";
            self.outcome("no-rfc5780", Fate::Refused, text);
        }
        for entry in source.all("aux-server") {
            match entry.value.parse::<SocketAddr>() {
                Ok(address) => {
                    udp.push((address, origin(entry)));
                    if has_tls { &mut tls } else { &mut tcp }.push((address, origin(entry)));
                }
                Err(_) => source.wrong(
                    entry,
                    "this is not an address with a port",
                    "write it as 192.0.2.1:443 or [2001:db8::1]:443",
                ),
            }
        }
        if tcp.iter().any(|(address, _)| tls.iter().any(|(other, _)| other == address)) {
            tcp.retain(|(address, _)| !tls.iter().any(|(other, _)| other == address));
            self.notes.push(
                "coturn serves TCP and TLS on one port, Byway TLS only. The URLs of clients on this port must begin with `turns:`."
                    .to_owned(),
            );
        }
        if source.is_on("no-udp") {
            udp.clear();
        }
        if source.is_on("no-tcp") {
            tcp.clear();
        }
        for (key, addresses, further) in [
            ("udp", udp, ["listening-port", "no-udp"]),
            ("tcp", tcp, ["listening-port", "no-tcp"]),
            ("tls", tls, ["tls-listening-port", "no-tls"]),
        ] {
            self.listener(key, addresses, &further);
        }
        self.metrics();
        self.certificate(has_tls);
    }

    fn listener(&mut self, key: &'static str, addresses: Addresses, further: &[&'static str]) {
        // A wildcard includes the addresses of its family.
        let covers = |all: SocketAddr, one: SocketAddr| {
            all.ip().is_unspecified()
                && all.is_ipv6() == one.is_ipv6()
                && all.port() == one.port()
                && all != one
        };
        let wildcards: Vec<_> = addresses
            .iter()
            .map(|(address, _)| *address)
            .filter(|address| address.ip().is_unspecified())
            .collect();
        let mut known = std::collections::BTreeSet::new();
        let mut items = Vec::new();
        for (address, origin) in addresses {
            if known.insert(address) && !wildcards.iter().any(|all| covers(*all, address)) {
                items.push(Item::text(&address.to_string(), origin));
            }
        }
        let further: Vec<_> = further
            .iter()
            .filter(|option| self.source.has(option))
            .map(|option| self.source.origin(option))
            .collect();
        self.draft.list("listen", key, items, &further);
    }

    /// `/metrics`, at least as private as coturn's.
    fn metrics(&mut self) {
        let source = self.source;
        let has_tls = source.is_on("prometheus-tls");
        if !source.has("prometheus") && !has_tls {
            return;
        }
        let port = source.port("prometheus-port", PROMETHEUS);
        let mut named = Vec::new();
        if let Some(entry) = source.last("prometheus-address").filter(|_| !has_tls) {
            named.extend(source.address(&entry, entry.value).map(|ip| (ip, origin(&entry))));
        }
        if named.is_empty() {
            let origin =
                source.origin(if source.has("prometheus") { "prometheus" } else { "prometheus-tls" });
            named = vec![(Ipv4Addr::LOCALHOST.into(), origin), (Ipv6Addr::LOCALHOST.into(), origin)];
            named.truncate(if self.machine.has_ipv6 { 2 } else { 1 });
            self.notes.push(
                "`/metrics` is reachable from this machine only. Set `listen.admin` to a private address for another Prometheus."
                    .to_owned(),
            );
        }
        let addresses = named.into_iter().map(|(ip, origin)| (SocketAddr::new(ip, port), origin)).collect();
        self.listener("admin", addresses, &["prometheus-port"]);
    }

    fn certificate(&mut self, has_tls: bool) {
        let source = self.source;
        if !has_tls {
            for option in ["cert", "pkey", "tls-listening-port"] {
                self.outcome(
                    option,
                    Fate::Replaced,
                    "coturn serves no TLS with this file: it needs `cert` and `pkey`.",
                );
            }
            return;
        }
        // Without these options, clients could do what coturn forbids them.
        let looser =
            ["CA-file", "pkey-pwd"].map(|name| source.last(name).filter(|entry| !entry.value.is_empty()));
        let only_tls_1_3 = source.last("no-tlsv1_2").filter(|_| source.is_on("no-tlsv1_2"));
        looser.into_iter().flatten().chain(only_tls_1_3).for_each(|entry| source.refuse(&entry));
        for (option, key) in [("cert", "cert"), ("pkey", "key")] {
            if let Some(entry) = source.last(option) {
                let path = self.folder.join(entry.value);
                self.draft.set("tls", key, Item::text(&path.display().to_string(), origin(&entry)), &[]);
            }
        }
        self.notes.push(
            "The user `byway` must be able to read the certificate and its key. Copy both for it, or let `[acme]` order one."
                .to_owned(),
        );
    }
}
