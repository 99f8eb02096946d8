//! Relay addresses, ports and threads.

use std::net::IpAddr;

use super::super::draft::{Item, Origin};
use super::super::options::Fate;
use super::{Entry, Translator, origin};

/// Ports of coturn, which are ours.
const PORTS: (u16, u16) = (49152, 65535);

/// One `external-ip`.
struct External<'a> {
    public: IpAddr,
    private: Option<IpAddr>,
    entry: Entry<'a>,
}

impl<'a> Translator<'_, 'a> {
    pub(super) fn relay(&mut self) {
        if let Some(entry) = self.source.last("no-udp-relay").filter(|_| self.source.is_on("no-udp-relay")) {
            self.source.refuse(&entry);
        }
        self.relay_addresses();
        let (low, high) = (self.source.port("min-port", PORTS.0), self.source.port("max-port", PORTS.1));
        let ends = ["min-port", "max-port"].map(|option| self.source.origin(option));
        // The origin of a fault is the line that sets a port.
        let first = ends.iter().find(|end| end.line.is_some()).copied().unwrap_or(ends[0]);
        self.draft.set("relay", "ports", Item::text(&format!("{low}-{high}"), first), &ends);
        // With 0 coturn relays on its main thread.
        let threads = self.source.number("relay-threads").map(|(number, entry)| (number.max(1), entry));
        if let Some((number, entry)) = threads.or_else(|| self.source.number("cpus")) {
            self.draft.set("relay", "shards", Item::number(number, origin(&entry)), &[]);
        }
    }

    fn relay_addresses(&mut self) {
        let named = self.source.all("relay-ip").iter();
        let mut own: Vec<_> = named
            .filter_map(|entry| Some((self.source.address(entry, entry.value)?, origin(entry))))
            .collect();
        if own.is_empty() {
            own = self.listening();
        }
        let externals = self.externals();
        let (mut addresses, mut public) = (Vec::new(), Vec::new());
        for is_v6 in [false, true] {
            let of_family: Vec<_> =
                externals.iter().filter(|external| external.public.is_ipv6() == is_v6).collect();
            if of_family.len() > 1 {
                let text = "`relay.public_addresses`: the first of each family. Byway relays from one address per family.";
                self.outcome("external-ip", Fate::Taken, text);
            }
            let mut own: Vec<_> = own.iter().copied().filter(|(ip, _)| ip.is_ipv6() == is_v6).collect();
            // A wildcard includes the addresses of its family.
            if let Some(any) = own.iter().copied().find(|(ip, _)| ip.is_unspecified()) {
                own = vec![any];
            }
            let external = of_family.first().copied();
            let Some((address, origin_of_address)) = self.relay_address(&own, external) else { continue };
            addresses.push(Item::text(&address.to_string(), origin_of_address));
            if let Some(external) = external.filter(|external| external.public != address) {
                public.push(Item::text(&external.public.to_string(), origin(&external.entry)));
            }
        }
        self.draft.list("relay", "addresses", addresses, &[]);
        if !public.is_empty() {
            self.draft.list("relay", "public_addresses", public, &[]);
        }
    }

    /// The relay address of one family, of which the server has the addresses `own`.
    fn relay_address(
        &self,
        own: &[(IpAddr, Origin)],
        external: Option<&External<'_>>,
    ) -> Option<(IpAddr, Origin)> {
        let Some(External { private, entry, .. }) = external else { return own.first().copied() };
        match private {
            Some(private) => {
                let is_named = own.iter().any(|(ip, _)| !ip.is_unspecified());
                if is_named && !own.iter().any(|(ip, _)| ip == private) {
                    let remedy = "name the private address as `relay-ip`, or remove it from this line";
                    self.source.wrong(entry, "the server does not relay from its private address", remedy);
                }
                Some((*private, origin(entry)))
            }
            None if own.is_empty() => {
                let remedy = "name an address of this family as `relay-ip`, or remove the line";
                self.source.wrong(entry, "the server relays from no address of this family", remedy);
                None
            }
            None => own.first().copied(),
        }
    }

    fn externals(&self) -> Vec<External<'a>> {
        let source = self.source;
        let read = |entry| {
            let entry: &Entry<'_> = entry;
            let (public, private) = match entry.value.split_once('/') {
                Some((public, private)) => (public, Some(private)),
                None => (entry.value, None),
            };
            let public = source.address(entry, public)?;
            let private = match private {
                Some(private) => Some(source.address(entry, private)?),
                None => None,
            };
            if private.is_some_and(|private| private.is_ipv6() != public.is_ipv6()) {
                source.wrong(
                    entry,
                    "one address is IPv4 and the other IPv6",
                    "write two addresses of one family",
                );
                return None;
            }
            Some(External { public, private, entry: *entry })
        };
        source.all("external-ip").iter().filter_map(read).collect()
    }
}
