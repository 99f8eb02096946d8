//! Addresses of the machine and of its name, compared.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::net::{IpAddr, ToSocketAddrs as _};

use byway_turn::server::is_special_purpose;

use crate::net::interfaces::{self, Interfaces};
use crate::tls::Name;

use super::answers::is_usable;

/// Addresses of this machine.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    /// Permanent addresses of its interfaces that other machines could reach.
    own: Vec<IpAddr>,
    /// Source addresses for the internet, one for each family that reaches it.
    sources: Vec<IpAddr>,
}

/// Addresses of the server's name, or the resolver's error.
pub(super) type Resolved = Result<Vec<IpAddr>, String>;

/// Result of the comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Reachability {
    /// Whether the server uses IPv4.
    pub(super) v4: bool,
    /// Whether the server uses IPv6.
    pub(super) v6: bool,
    /// Addresses under which callers reach the relay, where they differ from those that the server
    /// would choose.
    pub(super) public: Vec<IpAddr>,
    pub(super) remarks: Vec<Remark>,
}

/// Remark for the operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remark {
    reason: String,
    remedy: String,
    /// Whether calls may fail because of it.
    pub(super) is_warning: bool,
}

impl Remark {
    pub(super) fn warning(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { reason: reason.into(), remedy: remedy.into(), is_warning: true }
    }

    fn note(reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { is_warning: false, ..Self::warning(reason, remedy) }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, next) = if self.is_warning { ("warning", "remedy") } else { ("note", "next") };
        write!(f, "{kind}: {}\n  {next}: {}", self.reason, self.remedy)
    }
}

impl Machine {
    /// Reads the addresses of this machine.
    pub(super) fn read() -> io::Result<Self> {
        let own = Interfaces::read()?.lasting.into_iter().filter(|ip| is_usable(*ip)).collect();
        let sources = interfaces::sources().into_iter().filter(|ip| is_usable(*ip)).collect();
        Ok(Self { own, sources })
    }

    /// Returns the public address of this machine, if it has one.
    pub(super) fn public_address(&self) -> Option<IpAddr> {
        let is_public = |ip: &&IpAddr| !is_special_purpose(**ip);
        let mut public: Vec<IpAddr> = self.own.iter().filter(is_public).copied().collect();
        public.sort_by_key(|ip| (ip.is_ipv6(), !self.sources.contains(ip)));
        public.first().copied()
    }
}

/// Asks the system's resolver for the addresses of the name. An address is its own.
pub(super) fn resolve(name: &Name) -> Resolved {
    match name {
        Name::Ip(ip) => Ok(vec![*ip]),
        Name::Dns(name) => {
            let found = (name.as_str(), 0).to_socket_addrs().map_err(|error| error.to_string())?;
            let addresses: BTreeSet<IpAddr> = found.map(|address| address.ip().to_canonical()).collect();
            Ok(addresses.into_iter().collect())
        }
    }
}

/// Compares the addresses of the machine with those of its name.
pub(super) fn compare(name: &Name, machine: &Machine, resolved: &Resolved) -> Reachability {
    let mut reachability = Reachability::default();
    let all = resolved.as_deref().unwrap_or_default();
    let named: Vec<IpAddr> = all.iter().copied().filter(|ip| is_usable(*ip)).collect();
    if machine.own.is_empty() {
        reachability.v4 = true;
        reachability.remarks.push(Remark::warning(
            "this machine has no network: no interface but loopback has a lasting address",
            "connect it to the network, then run `byway init` again",
        ));
    }
    reachability.remarks.extend(unresolved(name, machine, resolved, &named));
    for v4 in [true, false] {
        let family = Family::new(v4, machine, &named);
        let is_used = family.is_used(machine, &named);
        match v4 {
            true => reachability.v4 |= is_used,
            false => reachability.v6 = is_used,
        }
        match is_used {
            true => family.judge(name, &named, &mut reachability),
            false => reachability.remarks.extend(family.missing(name, machine)),
        }
    }
    if !reachability.v4 {
        reachability.remarks.push(Remark::note(
            "this machine serves IPv6 only: callers in networks without IPv6 cannot connect",
            "give it an IPv4 address if such callers matter",
        ));
    }
    reachability
}

/// Returns a remark on a name that has no address of another machine's view.
fn unresolved(name: &Name, machine: &Machine, resolved: &Resolved, named: &[IpAddr]) -> Option<Remark> {
    if !named.is_empty() {
        return None;
    }
    let records = machine.records(name);
    Some(match resolved {
        Err(error) => Remark::warning(
            format!(
                "{name} does not resolve ({error}): callers cannot find the server, and it gets no certificate"
            ),
            format!("add {records} to the zone of the name, at your DNS provider"),
        ),
        Ok(found) => Remark::note(
            format!(
                "{name} resolves to {} on this machine, so its public records were not seen",
                joined(found)
            ),
            format!("make sure that other machines find {records}"),
        ),
    })
}

impl Machine {
    /// Describes the records that the name needs.
    fn records(&self, name: &Name) -> String {
        let record = |v4: bool| {
            let public = |ip: &&IpAddr| ip.is_ipv4() == v4 && !is_special_purpose(**ip);
            let ip = self.sources.iter().find(public).or_else(|| self.own.iter().find(public))?;
            Some(format!("the {} record {name} -> {ip}", record(v4)))
        };
        let records: Vec<String> = [true, false].into_iter().filter_map(record).collect();
        match records.is_empty() {
            true => format!("an A record {name} -> the public address of this machine"),
            false => records.join(" and "),
        }
    }
}

/// One IP version: the machine's addresses and the name's.
struct Family {
    v4: bool,
    own: Vec<IpAddr>,
    named: Vec<IpAddr>,
}

impl Family {
    fn new(v4: bool, machine: &Machine, named: &[IpAddr]) -> Self {
        let of = |ips: &[IpAddr]| ips.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect();
        Self { v4, own: of(&machine.own), named: of(named) }
    }

    fn version(&self) -> &'static str {
        if self.v4 { "IPv4" } else { "IPv6" }
    }

    fn public(&self) -> Option<IpAddr> {
        self.own.iter().copied().find(|ip| !is_special_purpose(*ip))
    }

    /// Whether the server uses this family: the machine has an address that callers could reach.
    fn is_used(&self, machine: &Machine, named: &[IpAddr]) -> bool {
        let has_source = machine.sources.iter().any(|ip| ip.is_ipv4() == self.v4);
        let is_named =
            !self.named.is_empty() && (has_source || self.named.iter().any(|ip| self.own.contains(ip)));
        // Without a record of this family, a private address helps no caller.
        let may_be_translated = named.is_empty() && (has_source || machine.sources.is_empty());
        !self.own.is_empty() && (self.public().is_some() || is_named || may_be_translated)
    }

    /// Returns a remark on addresses of the name in a family that the machine lacks.
    fn missing(&self, name: &Name, machine: &Machine) -> Option<Remark> {
        let ip = self.named.first().filter(|_| !machine.own.is_empty())?;
        let version = self.version();
        Some(match name {
            Name::Ip(_) => Remark::warning(
                format!("callers shall use {ip}, but this machine has no {version} address"),
                "give the address of this machine",
            ),
            Name::Dns(_) => Remark::warning(
                format!("{name} resolves to {ip}, but this machine has no {version} address"),
                format!("remove the {} record, or give this machine the address", record(self.v4)),
            ),
        })
    }

    /// Compares the addresses in a family that the server uses.
    fn judge(&self, name: &Name, all_named: &[IpAddr], reachability: &mut Reachability) {
        let strays: Vec<IpAddr> = self.named.iter().copied().filter(|ip| !self.own.contains(ip)).collect();
        let met = self.named.iter().copied().find(|ip| self.own.contains(ip));
        let remark = match (met, strays.first(), self.public()) {
            (Some(met), stray, _) => {
                if is_special_purpose(met) {
                    reachability.public.push(met);
                    reachability.remarks.push(private(name, met));
                }
                stray.map(|_| {
                    Remark::warning(
                        format!(
                            "{name} also resolves to {}, which this machine does not have",
                            joined(&strays)
                        ),
                        format!("remove that {} record: some callers try it first", record(self.v4)),
                    )
                })
            }
            (None, Some(stray), None) if !is_private(*stray) => {
                reachability.public.push(*stray);
                let own = joined(&self.own);
                Some(Remark::note(
                    format!("this machine has {own}, and callers use {stray}: a 1:1 NAT, as in most clouds"),
                    format!(
                        "if {stray} is not translated to this machine, correct it and `public_addresses`"
                    ),
                ))
            }
            (None, Some(stray), public) => Some(elsewhere(name, *stray, public.unwrap_or(self.own[0]))),
            (None, None, Some(public)) if !all_named.is_empty() && matches!(name, Name::Dns(_)) => {
                let reason = format!("{name} has no {} record for {public}", record(self.v4));
                let remedy = format!("add it, so that callers reach the page over {}", self.version());
                // Almost every network has IPv4.
                let remark = if self.v4 { Remark::warning } else { Remark::note };
                Some(remark(reason, remedy))
            }
            (None, None, None) => Some(Remark::warning(
                format!(
                    "this machine has {} only, which callers elsewhere cannot reach, and its public address is unknown",
                    joined(&self.own)
                ),
                "set `public_addresses` under [relay] to its public address, unless only this network calls",
            )),
            (None, None, Some(_)) => None,
        };
        reachability.remarks.extend(remark);
    }
}

/// Whether an address belongs to a private network, so that no NAT translates it from the internet.
fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private() || (ip.octets()[0] == 100 && ip.octets()[1] & 0xc0 == 64),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

fn private(name: &Name, ip: IpAddr) -> Remark {
    let subject = match name {
        Name::Ip(ip) => ip.to_string(),
        Name::Dns(name) => format!("{name} resolves to {ip}, which"),
    };
    let reason = format!("{subject} is not a public address: callers elsewhere cannot reach it");
    let remedy = "give a public name or address; if only this network calls, name its own certificate authority: \
                  --acme-directory URL";
    Remark::warning(reason, remedy)
}

fn elsewhere(name: &Name, stray: IpAddr, own: IpAddr) -> Remark {
    let nat = format!("if {stray} is translated to this machine, set `public_addresses` under [relay]");
    match name {
        Name::Ip(_) => Remark::warning(
            format!("{stray} is not an address of this machine, which has {own}"),
            format!("give --domain {own}; {nat}"),
        ),
        Name::Dns(_) => Remark::warning(
            format!("{name} points elsewhere: it resolves to {stray}, and this machine has {own}"),
            format!("set its {} record to {own}; {nat}", record(own.is_ipv4())),
        ),
    }
}

/// Type of the DNS record of an address.
fn record(v4: bool) -> &'static str {
    if v4 { "A" } else { "AAAA" }
}

fn joined(ips: &[IpAddr]) -> String {
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &str) -> Vec<IpAddr> {
        list.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    /// The comparison on a machine with these addresses and sources. No list of addresses means
    /// that the name does not resolve.
    fn compared(name: &str, own: &str, sources: &str, named: Option<&str>) -> Reachability {
        let name: Name = name.parse().unwrap();
        let machine = Machine { own: ips(own), sources: ips(sources) };
        compare(&name, &machine, &named.map(ips).ok_or_else(|| "no such name".to_owned()))
    }

    /// Families and public addresses, and the remarks as one text.
    fn outcome(
        name: &str,
        own: &str,
        sources: &str,
        named: Option<&str>,
    ) -> (bool, bool, Vec<IpAddr>, String) {
        let Reachability { v4, v6, public, remarks } = compared(name, own, sources, named);
        let said: Vec<_> = remarks.iter().map(ToString::to_string).collect();
        (v4, v6, public, said.join("\n"))
    }

    #[test]
    fn a_name_that_points_here_needs_no_word() {
        for (own, sources, named, v4, v6) in [
            ("45.0.0.1", "45.0.0.1", "45.0.0.1", true, false),
            ("45.0.0.1 2a00::1", "45.0.0.1 2a00::1", "45.0.0.1 2a00::1", true, true),
            // A bridge of containers, and a private network beside the public address.
            ("172.17.0.1 10.0.0.5 45.0.0.1", "45.0.0.1", "45.0.0.1", true, false),
            // IPv6 within the network only.
            ("45.0.0.1 fd00::5", "45.0.0.1 fd00::5", "45.0.0.1", true, false),
        ] {
            let found = outcome("a.example", own, sources, Some(named));
            assert_eq!(found, (v4, v6, ips(""), String::new()), "{own}");
        }
        assert_eq!(outcome("45.0.0.1", "45.0.0.1 2a00::1", "45.0.0.1", Some("45.0.0.1")).3, "");
    }

    #[test]
    fn a_name_that_points_elsewhere_is_a_warning_with_the_record() {
        let (v4, v6, public, said) = outcome("a.example", "45.0.0.1", "45.0.0.1", Some("46.0.0.1"));
        assert_eq!((v4, v6, public), (true, false, ips("")));
        assert_eq!(
            said,
            "warning: a.example points elsewhere: it resolves to 46.0.0.1, and this machine has 45.0.0.1\n  \
             remedy: set its A record to 45.0.0.1; if 46.0.0.1 is translated to this machine, set \
             `public_addresses` under [relay]"
        );
        let said = outcome("46.0.0.1", "45.0.0.1", "45.0.0.1", Some("46.0.0.1")).3;
        assert!(
            said.contains("46.0.0.1 is not an address of this machine") && said.contains("--domain 45.0.0.1")
        );
        // A private address of another machine is not translated either.
        let said = outcome("a.example", "10.0.0.5", "10.0.0.5", Some("10.0.0.9")).3;
        assert!(said.starts_with("warning: a.example points elsewhere"), "{said}");
        let said = outcome("a.example", "45.0.0.1", "45.0.0.1", Some("45.0.0.1 46.0.0.1")).3;
        assert!(said.starts_with("warning: a.example also resolves to 46.0.0.1"), "{said}");
    }

    #[test]
    fn a_name_that_does_not_resolve_is_a_warning_with_the_records() {
        let (v4, v6, _, said) = outcome("a.example", "45.0.0.1 2a00::1", "45.0.0.1 2a00::1", None);
        assert_eq!((v4, v6), (true, true));
        assert!(said.starts_with("warning: a.example does not resolve (no such name)"), "{said}");
        let records = "add the A record a.example -> 45.0.0.1 and the AAAA record a.example -> 2a00::1 to";
        assert!(said.contains(records) && said.lines().count() == 2, "{said}");
    }

    #[test]
    fn behind_a_nat_callers_get_the_address_of_the_name() {
        for name in ["a.example", "203.0.113.10"] {
            let found = outcome(name, "127.0.0.1 10.0.0.5", "10.0.0.5", Some("203.0.113.10"));
            assert_eq!((found.0, found.1, found.2), (true, false, ips("203.0.113.10")), "{name}");
            assert!(found.3.starts_with("note: ") && found.3.contains("1:1 NAT"), "{}", found.3);
        }
        let (_, _, public, said) = outcome("a.example", "10.0.0.5", "10.0.0.5", None);
        assert_eq!(public, ips(""));
        assert!(
            said.contains("does not resolve") && said.contains("its public address is unknown"),
            "{said}"
        );
    }

    #[test]
    fn a_private_address_is_confirmed_to_the_relay_and_a_warning() {
        for name in ["10.0.0.5", "a.example"] {
            let (v4, _, public, said) = outcome(name, "172.17.0.1 10.0.0.5", "10.0.0.5", Some("10.0.0.5"));
            assert_eq!((v4, public), (true, ips("10.0.0.5")));
            assert!(
                said.starts_with("warning: ") && said.contains("callers elsewhere cannot reach it"),
                "{said}"
            );
        }
    }

    #[test]
    fn each_family_is_judged_by_itself() {
        let (v4, v6, public, said) =
            outcome("a.example", "10.0.0.5 2a00::1", "10.0.0.5 2a00::1", Some("45.0.0.1 2a00::1"));
        assert_eq!((v4, v6, public), (true, true, ips("45.0.0.1")));
        assert_eq!(said.lines().count(), 2, "{said}");

        let (v4, v6, _, said) = outcome("a.example", "45.0.0.1", "45.0.0.1", Some("45.0.0.1 2a00::1"));
        assert_eq!((v4, v6), (true, false));
        assert!(
            said.starts_with("warning: a.example resolves to 2a00::1, but this machine has no IPv6"),
            "{said}"
        );

        let both = "45.0.0.1 2a00::1";
        let (v4, v6, _, said) = outcome("a.example", both, both, Some("45.0.0.1"));
        assert_eq!((v4, v6), (true, true));
        assert!(said.starts_with("note: a.example has no AAAA record for 2a00::1"), "{said}");
        let said = outcome("a.example", both, both, Some("2a00::1")).3;
        assert!(said.starts_with("warning: a.example has no A record for 45.0.0.1"), "{said}");
    }

    #[test]
    fn ipv6_alone_is_said() {
        for (own, sources) in [("2a00::1", "2a00::1"), ("172.17.0.1 2a00::1", "2a00::1")] {
            let (v4, v6, public, said) = outcome("a.example", own, sources, Some("2a00::1"));
            assert_eq!((v4, v6, public), (false, true, ips("")), "{own}");
            assert!(said.starts_with("note: this machine serves IPv6 only"), "{said}");
        }
    }

    #[test]
    fn a_machine_without_a_network_is_a_warning() {
        for named in [None, Some("45.0.0.1")] {
            let (v4, v6, public, said) = outcome("a.example", "", "", named);
            assert_eq!((v4, v6, public), (true, false, ips("")));
            assert!(said.starts_with("warning: this machine has no network"), "{said}");
        }
    }

    /// The line for a host's own name in the `/etc/hosts` of Debian.
    #[test]
    fn a_name_that_the_hosts_file_turns_into_loopback_is_a_note() {
        let (v4, _, _, said) = outcome("a.example", "45.0.0.1", "45.0.0.1", Some("127.0.1.1"));
        assert!(v4 && said.starts_with("note: a.example resolves to 127.0.1.1 on this machine"), "{said}");
        assert!(said.contains("the A record a.example -> 45.0.0.1"), "{said}");
    }

    #[test]
    fn a_network_without_a_way_out_serves_itself() {
        let (v4, v6, public, _) = outcome("a.example", "10.0.0.5", "", Some("10.0.0.5"));
        assert_eq!((v4, v6, public), (true, false, ips("10.0.0.5")));
        let (v4, _, _, _) = outcome("a.example", "10.0.0.5", "", None);
        assert!(v4);
    }

    #[test]
    fn the_public_address_is_the_first_suggestion() {
        let suggested =
            |own: &str, sources: &str| Machine { own: ips(own), sources: ips(sources) }.public_address();
        assert_eq!(suggested("10.0.0.5 45.0.0.1", ""), Some(ips("45.0.0.1")[0]));
        assert_eq!(suggested("2a00::1 45.0.0.1 45.0.0.2", "45.0.0.2"), Some(ips("45.0.0.2")[0]));
        assert_eq!(suggested("2a00::1 10.0.0.5", "10.0.0.5"), Some(ips("2a00::1")[0]));
        assert_eq!(suggested("10.0.0.5", "10.0.0.5"), None);
    }

    #[test]
    fn an_address_needs_no_resolver() {
        assert_eq!(resolve(&Name::Ip(ips("45.0.0.1")[0])), Ok(ips("45.0.0.1")));
        assert!(resolve(&Name::Dns("nothing.invalid".to_owned())).is_err());
    }
}
