//! Addresses: those of the machine, those that clients are told, and those of its names.

use std::net::IpAddr;

use super::Finding;
use crate::fault::Fault;

/// Addresses of the machine and of the configuration.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Permanent addresses of its interfaces.
    pub own: Vec<IpAddr>,
    /// Source addresses for the internet, one for each family that reaches it.
    pub sources: Vec<IpAddr>,
    /// `relay.public_addresses`.
    pub public: Vec<IpAddr>,
    /// Families that a listener or the relay serves: IPv4, IPv6.
    pub serves: (bool, bool),
    /// Whether an address is one that the internet cannot reach.
    pub is_private: fn(IpAddr) -> bool,
}

/// Answer of the resolver: the addresses of a name, or the error.
pub type Resolved = Result<Vec<IpAddr>, String>;

/// Judges one name of the server. A name that only `[ice] urls` has may be meant to lead to another
/// machine, so that is a warning.
#[must_use]
pub fn judge(name: &str, is_own: bool, resolved: &Resolved, machine: &Machine) -> Vec<Finding> {
    let findings = judge_own(name, resolved, machine).into_iter();
    findings
        .map(|finding| match finding.fault {
            Some(Fault::NameElsewhere | Fault::WrongPublicAddress | Fault::PublicAddressUnset) if !is_own => {
                Finding::warning(
                    Fault::NameElsewhere,
                    format!("{name} leads to another machine"),
                    finding.evidence,
                    format!(
                        "if this server is meant, correct the DNS records of {name}, or `urls` under [ice]"
                    ),
                )
            }
            _ => finding,
        })
        .collect()
}

/// Judges whether the certificate is for the realm, which `byway init` sets to the server's name.
/// `names` are those of the certificate, none of which is for it.
#[must_use]
pub fn uncertified(realm: &str, resolved: &Resolved, machine: &Machine, names: &[String]) -> Option<Finding> {
    let leads_here = |ip: &IpAddr| machine.own.contains(ip) || machine.public.contains(ip);
    let is_ours = resolved.as_ref().is_ok_and(|found| found.iter().any(leads_here));
    is_ours.then(|| {
        Finding::failed(
            Fault::CertificateName,
            format!("the certificate is not for {realm}, which leads to this machine"),
            format!("it is for {}", if names.is_empty() { "no name".to_owned() } else { names.join(", ") }),
            format!("get a certificate for {realm}, or correct `realm`"),
        )
    })
}

fn judge_own(name: &str, resolved: &Resolved, machine: &Machine) -> Vec<Finding> {
    let found = match resolved {
        Ok(found) if !found.is_empty() => found,
        _ => {
            let error = resolved.as_ref().err().map_or("no address", String::as_str);
            return vec![Finding::failed(
                Fault::NameUnresolved,
                format!("{name} does not resolve, so nobody finds the server"),
                error,
                format!("add an A record for {name} at your DNS provider"),
            )];
        }
    };
    if found.iter().all(IpAddr::is_loopback) && !machine.own.iter().all(IpAddr::is_loopback) {
        return vec![
            Finding::skipped(
                format!("{name} resolves to {} here", joined(found)),
                "this machine's own table (/etc/hosts) hides the public records",
            )
            .with_remedy(format!("compare them from another machine: getent ahosts {name}")),
        ];
    }
    [true, false].into_iter().filter_map(|v4| family(name, found, machine, v4)).collect()
}

fn family(name: &str, found: &[IpAddr], machine: &Machine, v4: bool) -> Option<Finding> {
    let of =
        |ips: &[IpAddr]| -> Vec<IpAddr> { ips.iter().copied().filter(|ip| ip.is_ipv4() == v4).collect() };
    let (named, own, public) = (of(found), of(&machine.own), of(&machine.public));
    let record = if v4 { "A" } else { "AAAA" };
    let what = format!("{name} ({record})");
    if named.is_empty() {
        return None;
    }
    let strays: Vec<IpAddr> =
        named.iter().copied().filter(|ip| !own.contains(ip) && !public.contains(ip)).collect();
    let is_told = public.is_empty() || named.iter().any(|ip| public.contains(ip));
    if strays.is_empty() && !is_told && !named.iter().all(|ip| (machine.is_private)(*ip)) {
        return Some(Finding::failed(
            Fault::WrongPublicAddress,
            format!("{name} and relay.public_addresses contradict each other"),
            format!(
                "{name} and this machine have {}, and clients are told {}",
                joined(&named),
                joined(&public)
            ),
            "remove `public_addresses` under [relay], or correct it, then byway reload",
        ));
    }
    if v4 {
        return Some(match strays.first() {
            None => Finding::ok(what, joined(&named)),
            Some(stray) => strayed(name, *stray, strays.len() == named.len(), &own, &public, machine),
        });
    }
    let has_route = machine.sources.iter().any(IpAddr::is_ipv6);
    let broken = |why: String, remedy: String| {
        Some(Finding::failed(
            Fault::Ipv6Broken,
            format!("{name} promises IPv6, which does not work here"),
            why,
            remedy,
        ))
    };
    let remove = format!("remove the AAAA record of {name}");
    match strays.first() {
        Some(stray) => broken(
            format!("AAAA {stray} is not an address of this machine"),
            format!("{remove}, or give this machine that address"),
        ),
        None if named.iter().any(IpAddr::is_loopback) => Some(Finding::ok(what, joined(&named))),
        None if !has_route => broken(
            format!("AAAA {}, but this machine has no IPv6 route to the internet", joined(&named)),
            format!("{remove}, or set up the IPv6 route: ip -6 route show default"),
        ),
        None if !machine.serves.1 => broken(
            format!("AAAA {}, but no listener and no relay address is IPv6", joined(&named)),
            format!("add \"[::]:PORT\" under [listen] and \"::\" to relay.addresses, or {remove}"),
        ),
        None => Some(Finding::ok(what, joined(&named))),
    }
}

/// Judges an IPv4 address of a name that is neither on this machine nor configured.
fn strayed(
    name: &str,
    stray: IpAddr,
    are_all: bool,
    own: &[IpAddr],
    public: &[IpAddr],
    machine: &Machine,
) -> Finding {
    let has_public = own.iter().any(|ip| !(machine.is_private)(*ip));
    if !are_all {
        return Finding::warning(
            Fault::NameElsewhere,
            format!("{name} also leads to another machine"),
            format!("{stray} is not an address of this one"),
            "remove that A record: some clients try it first",
        );
    }
    if !public.is_empty() {
        return Finding::failed(
            Fault::WrongPublicAddress,
            format!("{name} and relay.public_addresses contradict each other"),
            format!("{name} is {stray}, and clients are told {}", joined(public)),
            format!(
                "correct the wrong one of the two: `public_addresses = [\"{stray}\"]` under [relay], or the A record"
            ),
        );
    }
    if !has_public && !(machine.is_private)(stray) {
        return Finding::failed(
            Fault::PublicAddressUnset,
            "clients are told a private address, because this machine is behind a 1:1 NAT",
            format!("{name} is {stray}, and this machine has {}", joined(own)),
            format!("set `public_addresses = [\"{stray}\"]` under [relay], then byway reload"),
        );
    }
    Finding::failed(
        Fault::NameElsewhere,
        format!("{name} leads to another machine"),
        format!("{name} is {stray}, and this machine has {}", joined(own)),
        format!(
            "correct the A record of {name} in DNS; if {stray} is translated to this machine, set relay.public_addresses"
        ),
    )
}

fn joined(ips: &[IpAddr]) -> String {
    if ips.is_empty() {
        return "none".to_owned();
    }
    ips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn ips(list: &str) -> Vec<IpAddr> {
        list.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn is_private(ip: IpAddr) -> bool {
        matches!(ip, IpAddr::V4(ip) if ip.is_private())
    }

    fn judged(own: &str, public: &str, named: &str) -> Vec<Finding> {
        let machine = Machine {
            own: ips(own),
            sources: ips(own),
            public: ips(public),
            serves: (true, true),
            is_private,
        };
        judge("a.example", true, &Ok(ips(named)), &machine)
    }

    fn faults(findings: &[Finding]) -> Vec<Option<Fault>> {
        findings.iter().map(|finding| finding.fault).collect()
    }

    #[test]
    fn names_that_lead_here_are_ok() {
        for (own, public, named) in [
            ("45.0.0.1 2a00::1", "", "45.0.0.1 2a00::1"),
            ("10.0.0.5", "45.0.0.1", "45.0.0.1"),
            ("127.0.0.1 ::1", "", "127.0.0.1 ::1"),
        ] {
            let found = judged(own, public, named);
            assert!(!found.is_empty() && found.iter().all(|finding| finding.state == State::Ok), "{found:?}");
        }
        assert_eq!(judged("45.0.0.1", "", "127.0.1.1")[0].state, State::Skipped);
    }

    #[test]
    fn an_unset_public_address_has_its_line() {
        let found = judged("10.0.0.5", "", "45.0.0.1");
        assert_eq!(
            found[0].to_string(),
            "failed   clients are told a private address, because this machine is behind a 1:1 NAT: a.example is 45.0.0.1, \
             and this machine has 10.0.0.5\n         \
             remedy: set `public_addresses = [\"45.0.0.1\"]` under [relay], then byway reload\n         \
             more: byway explain public-address-unset"
        );
    }

    #[test]
    fn contradictions_are_named() {
        let judged = |own, public, named| faults(&judged(own, public, named));
        assert_eq!(judged("10.0.0.5", "46.0.0.1", "45.0.0.1"), [Some(Fault::WrongPublicAddress)]);
        assert_eq!(judged("45.0.0.1", "", "46.0.0.1"), [Some(Fault::NameElsewhere)]);
        assert_eq!(judged("45.0.0.1", "45.0.0.77", "45.0.0.1"), [Some(Fault::WrongPublicAddress)]);
        assert_eq!(judged("45.0.0.1", "", "45.0.0.1 46.0.0.1"), [Some(Fault::NameElsewhere)]);
        assert_eq!(judged("45.0.0.1", "", "45.0.0.1 2a00::1"), [None, Some(Fault::Ipv6Broken)]);
        assert_eq!(judged("45.0.0.1 2a00::2", "", "45.0.0.1 2a00::1"), [None, Some(Fault::Ipv6Broken)]);
    }

    #[test]
    fn another_relay_is_a_warning_and_another_certificate_a_failure() {
        let machine = Machine {
            own: ips("45.0.0.1"),
            sources: ips("45.0.0.1"),
            public: Vec::new(),
            serves: (true, true),
            is_private,
        };
        let found = judge("b.example", false, &Ok(ips("46.0.0.1")), &machine);
        assert_eq!((found[0].state, found[0].fault), (State::Warning, Some(Fault::NameElsewhere)));
        let names = ["old.example".to_owned()];
        let found = uncertified("a.example", &Ok(ips("45.0.0.1")), &machine, &names).unwrap();
        assert_eq!(
            found.hint(),
            "the certificate is not for a.example, which leads to this machine: it is for old.example; get a certificate \
             for a.example, or correct `realm`"
        );
        assert_eq!(uncertified("a.example", &Ok(ips("46.0.0.1")), &machine, &names), None);
        assert_eq!(uncertified("a.example", &Err(String::new()), &machine, &names), None);
    }

    #[test]
    fn ipv6_without_a_route_or_a_listener_is_broken() {
        let machine = |sources: &str, serves| Machine {
            own: ips("45.0.0.1 2a00::1"),
            sources: ips(sources),
            public: Vec::new(),
            serves,
            is_private,
        };
        let found = |machine| faults(&judge("a.example", true, &Ok(ips("2a00::1")), &machine));
        assert_eq!(found(machine("45.0.0.1", (true, true))), [Some(Fault::Ipv6Broken)]);
        assert_eq!(found(machine("2a00::1", (true, false))), [Some(Fault::Ipv6Broken)]);
        assert_eq!(found(machine("2a00::1", (true, true))), [None]);
    }

    #[test]
    fn a_name_without_an_address_is_a_failure() {
        let machine = Machine {
            own: Vec::new(),
            sources: Vec::new(),
            public: Vec::new(),
            serves: (true, true),
            is_private,
        };
        for resolved in [Err("no such host".to_owned()), Ok(Vec::new())] {
            assert_eq!(faults(&judge("a.example", true, &resolved, &machine)), [Some(Fault::NameUnresolved)]);
        }
    }
}
