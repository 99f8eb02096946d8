//! Verdict on all rows: how calls from here would connect.

use std::fmt;

use super::error::{ProbeError, Step};
use super::server_path::Over;
use super::{ProbeReport, Row};
use crate::config::Transport;

/// Result for a call from here, by the best of the probed paths.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Over UDP. `all`: every other probed path works too.
    Udp { all: bool },
    /// Over UDP, if only this network blocks the relay ports.
    PortsClosed,
    /// Only if both callers use the relay, which advertises addresses of a private network.
    Private,
    /// Only if both callers use the relay, which advertises an address of another machine.
    Elsewhere,
    /// Over a stream only.
    Stream { over: Over, udp: Udp },
    /// Only without a relay, as far as is known: no credential was given or issued.
    Untested(String),
    /// Only without a relay: it failed with this error, or none was probed.
    NoRelay(Option<ProbeError>),
    /// No path works.
    Nowhere(ProbeError),
}

/// Result over UDP if a stream works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Udp {
    NotAsked,
    /// Datagrams reached the relay's ports but not the server's.
    Leaves,
    /// No response.
    Silent,
    /// ICMP reported that nothing listens on the port.
    Refused,
    /// The row of UDP gives the reason.
    Failed,
}

/// Returns the verdict, and notes on what was not probed. `own`: the probe ran on the server
/// itself.
pub(super) fn sentences(report: &ProbeReport, own: bool) -> String {
    let rows = &report.servers;
    let is_answered = rows.iter().any(|row| row.findings.binding.is_some() || row.findings.trouble.is_some());
    let mut sentences = if is_answered { format!("{}\n", Verdict::of(rows)) } else { String::new() };
    if report.pages.iter().any(|page| page.finding.is_failure()) {
        sentences +=
            "What the page needs does not work, as said above: calls begin there. Follow each remedy.\n";
    }
    for (v4, name) in [(true, "IPv4"), (false, "IPv6")] {
        if rows.iter().filter_map(|row| row.passed_over).any(|address| address.is_ipv4() == v4) {
            sentences += &format!(
                "{name} was not probed: this machine has no route there. If callers use it, probe from a machine that \
                 has one.\n"
            );
        }
    }
    if own {
        sentences += "This probe ran on the server and bypassed its firewalls. Run `byway probe turn:HOST` from \
                      another network.\n";
    }
    sentences
}

impl Verdict {
    fn of(rows: &[Row]) -> Self {
        let relayed = |over| rows.iter().any(|row| row.is_relayed() && row.over() == over);
        let troubles = || rows.iter().filter_map(|row| row.findings.trouble.as_ref());
        let untested = rows.iter().find_map(|row| row.findings.without_login.clone());
        if relayed(Over::Udp) {
            Self::Udp { all: troubles().next().is_none() }
        } else if troubles().any(|trouble| matches!(trouble, ProbeError::Blocked { .. })) {
            Self::PortsClosed
        } else if troubles().any(|trouble| matches!(trouble, ProbeError::Private { .. })) {
            Self::Private
        } else if troubles().any(|trouble| matches!(trouble, ProbeError::Elsewhere { .. })) {
            Self::Elsewhere
        } else if let Some(over) = [Over::Tcp, Over::Tls].into_iter().find(|&over| relayed(over)) {
            Self::Stream { over, udp: Udp::of(rows) }
        } else if let Some(reason) = untested {
            Self::Untested(reason)
        } else if rows.iter().any(|row| row.findings.binding.is_some()) {
            let of_a_relay = rows.iter().filter(|row| row.url.scheme.relays());
            Self::NoRelay(furthest(of_a_relay.filter_map(|row| row.findings.trouble.as_ref())))
        } else {
            furthest(troubles()).map_or(Self::NoRelay(None), Self::Nowhere)
        }
    }
}

impl Udp {
    fn of(rows: &[Row]) -> Self {
        let heard =
            |row: &Row| row.findings.relays.iter().any(|relay| matches!(relay.from_peer, Some(Ok(_))));
        let of_udp = rows.iter().filter(|row| row.over() == Over::Udp);
        match furthest(of_udp.filter_map(|row| row.findings.trouble.as_ref())) {
            None => Self::NotAsked,
            // A peer sends to the relay port by UDP, whatever transport the client uses.
            Some(trouble) if is_silence(&trouble) && rows.iter().any(heard) => Self::Leaves,
            Some(trouble) if is_silence(&trouble) => Self::Silent,
            Some(ProbeError::NothingListens { .. }) => Self::Refused,
            Some(_) => Self::Failed,
        }
    }
}

impl Row {
    fn over(&self) -> Over {
        match (self.url.scheme.encrypts(), self.url.transport) {
            (true, _) => Over::Tls,
            (false, Transport::Tcp) => Over::Tcp,
            (false, Transport::Udp) => Over::Udp,
        }
    }

    fn is_relayed(&self) -> bool {
        self.findings.relay().is_some() && self.findings.trouble.is_none()
    }
}

/// Whether not even the first packet was answered. A connection without data after it does not
/// count.
fn is_silence(trouble: &ProbeError) -> bool {
    matches!(
        trouble,
        ProbeError::Silent { step: Step::Connection, .. }
            | ProbeError::Silent { step: Step::Binding, over: Over::Udp }
    )
}

/// Returns the error of the row that got furthest, because it tells most.
fn furthest<'a>(troubles: impl Iterator<Item = &'a ProbeError>) -> Option<ProbeError> {
    let distance = |trouble: &&ProbeError| match trouble {
        ProbeError::UnknownHost { .. } => 0,
        ProbeError::Unreachable { .. } => 1,
        trouble if is_silence(trouble) => 2,
        ProbeError::TurnedAway { .. } => 3,
        ProbeError::NothingListens { .. } => 4,
        _ => 5,
    };
    troubles.max_by_key(distance).cloned()
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Udp { all: true } => f.write_str("Calls from here go over UDP, the best path."),
            Self::Udp { all: false } => f.write_str(
                "Calls from here go over UDP, the best path. Callers elsewhere may need the path that failed: \
                 follow its remedy.",
            ),
            Self::PortsClosed => f.write_str(
                "The server answers over UDP, but its relay ports cannot be reached from here: callers connect only if \
                 both use the relay. Probe from another network: if the ports are blocked there too, open them in the \
                 server's firewall.",
            ),
            Self::Private => f.write_str(
                "The server answers, but its relayed addresses cannot be reached from the internet: callers connect only if \
                 both use the relay. Set relay.public_addresses.",
            ),
            Self::Elsewhere => f.write_str(
                "The server answers, but tells callers relayed addresses of another machine: callers connect only if both use \
                 the relay. Correct relay.public_addresses, or the DNS record of the host.",
            ),
            Self::Stream { over, udp } => {
                let and_so = format!(
                    "calls from here go over {over}, where every lost packet delays those behind it"
                );
                match udp {
                    Udp::NotAsked => write!(
                        f,
                        "Calls from here can go over {over}. UDP, which is better, was not probed: run `byway probe turn:HOST`."
                    ),
                    Udp::Leaves => write!(
                        f,
                        "UDP from here reaches the relay's ports, but not the server's own port: {and_so}. Probe from \
                         another network: if the port is blocked there too, open it in the server's firewall and at its \
                         provider."
                    ),
                    Udp::Silent => write!(
                        f,
                        "UDP does not get through between here and the server: {and_so}. Probe from another network: if \
                         UDP is blocked there too, open the server's firewall; else ask the operator of this network to \
                         allow UDP to the server's port."
                    ),
                    Udp::Refused => write!(
                        f,
                        "The server does not listen for UDP on that port: {and_so}. Add it to listen.udp, or correct the port."
                    ),
                    Udp::Failed => write!(f, "UDP failed for the reason above: {and_so}. Follow the remedy of that row."),
                }
            }
            Self::Untested(reason) => write!(
                f,
                "The server tells callers their address. Its relay was not probed, because {reason}: give --username and \
                 --password from `byway credential --user NAME` on the server, or probe the URL of an invitation."
            ),
            Self::NoRelay(None) => f.write_str(
                "The server tells callers their address. No relay was probed, and some callers need one: run \
                 `byway probe turn:HOST`.",
            ),
            Self::NoRelay(Some(trouble)) => write!(
                f,
                "The server answers, but relays nothing: {trouble}. Calls from here connect only where they need no relay."
            ),
            Self::Nowhere(ProbeError::UnknownHost { .. }) => f.write_str(
                "No server was found: its name does not resolve here. Correct the name or its DNS records.",
            ),
            Self::Nowhere(ProbeError::Unreachable { .. }) => f.write_str(
                "This machine has no route to the server: it is offline, or lacks the server's IP version. Probe \
                 from another machine.",
            ),
            Self::Nowhere(trouble) if is_silence(trouble) => f.write_str(
                "Nothing answers. Probe from another network: if nothing answers there either, start the server or open \
                 its firewall; else this network is offline or blocks the server.",
            ),
            Self::Nowhere(ProbeError::TurnedAway { .. }) => f.write_str(
                "A firewall or router rejects the path to the server. Probe from another network: if it is rejected there \
                 too, open the server's firewall or start its machine; else this network blocks the server.",
            ),
            Self::Nowhere(ProbeError::NothingListens { .. }) => {
                f.write_str("The machine answers, but no server runs at these ports: start the server, or correct the ports.")
            }
            Self::Nowhere(trouble) => write!(f, "Nothing gets through from here: {trouble}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::client::{Findings, RelayFindings};
    use super::super::family::Family;
    use super::*;

    const SILENT: ProbeError = ProbeError::Silent { step: Step::Binding, over: Over::Udp };
    const NO_CONNECTION: ProbeError = ProbeError::Silent { step: Step::Connection, over: Over::Tcp };
    const UNAUTHORIZED: ProbeError = ProbeError::Code { step: "allocation", code: 401 };

    const STUN: &str = "stun:a.example";
    const UDP: &str = "turn:a.example";
    const TCP: &str = "turn:a.example?transport=tcp";
    const TLS: &str = "turns:a.example";

    fn server() -> SocketAddr {
        "203.0.113.10:3478".parse().unwrap()
    }

    fn relay() -> RelayFindings {
        RelayFindings {
            family: Family::V4,
            relayed: Some(server()),
            refused: None,
            round_trip: None,
            from_peer: None,
        }
    }

    fn row(url: &str, findings: Findings) -> Row {
        Row { url: url.parse().unwrap(), address: Some(server()), passed_over: None, findings }
    }

    fn sound(url: &str) -> Row {
        let mut row = row(url, Findings { binding: Some((server(), Duration::ZERO)), ..Findings::default() });
        if row.url.scheme.relays() {
            row.findings.relays.push(relay());
        }
        row
    }

    fn heard(url: &str, from_peer: Result<Duration, &'static str>) -> Row {
        let mut row = sound(url);
        row.findings.relays[0].from_peer = Some(from_peer);
        row
    }

    /// Row whose relay was not asked for.
    fn untested(url: &str) -> Row {
        let findings = Findings {
            binding: Some((server(), Duration::ZERO)),
            without_login: Some("/ice answers 401".to_owned()),
            ..Findings::default()
        };
        row(url, findings)
    }

    /// Row that failed after its Binding response.
    fn refused(url: &str, trouble: ProbeError) -> Row {
        let mut row = sound(url);
        row.findings.trouble = Some(trouble);
        row
    }

    fn failed(url: &str, trouble: ProbeError) -> Row {
        row(url, trouble.into())
    }

    #[test]
    fn the_best_way_is_the_one_that_calls_take() {
        let unknown = || ProbeError::UnknownHost { host: "a.example".to_owned(), error: String::new() };
        let nothing = |over| ProbeError::NothingListens { over, server: server() };
        let refused_on_the_way = |over| ProbeError::TurnedAway { over, server: server() };
        let no_route = || ProbeError::Unreachable { server: server(), error: String::new() };
        let blocked = || ProbeError::Blocked { relayed: server() };
        let elsewhere = || ProbeError::Elsewhere { relayed: server(), host: Vec::new() };
        let lost = Err("data to the relayed address was lost");
        for (what, rows, verdict) in [
            (
                "all is well",
                vec![sound(STUN), sound(UDP), sound(TCP), sound(TLS)],
                Verdict::Udp { all: true },
            ),
            (
                "a certificate that expired",
                vec![sound(UDP), failed(TLS, ProbeError::NoTls)],
                Verdict::Udp { all: false },
            ),
            ("closed relay ports", vec![refused(UDP, blocked()), heard(TCP, lost)], Verdict::PortsClosed),
            (
                "a server behind a 1:1 NAT that does not know its public address",
                vec![
                    sound(STUN),
                    refused(UDP, ProbeError::Private { relayed: "10.0.0.5:50000".parse().unwrap() }),
                    refused(TCP, ProbeError::Private { relayed: "10.0.0.5:50001".parse().unwrap() }),
                ],
                Verdict::Private,
            ),
            (
                "a wrong public address",
                vec![refused(UDP, elsewhere()), refused(TCP, elsewhere())],
                Verdict::Elsewhere,
            ),
            (
                "no credential",
                vec![sound(STUN), untested(UDP), untested(TCP)],
                Verdict::Untested("/ice answers 401".to_owned()),
            ),
            (
                "a network without UDP",
                vec![failed(STUN, SILENT), failed(UDP, SILENT), heard(TCP, lost), heard(TLS, lost)],
                Verdict::Stream { over: Over::Tcp, udp: Udp::Silent },
            ),
            (
                "a network of TLS alone",
                vec![failed(UDP, SILENT), failed(TCP, NO_CONNECTION), heard(TLS, lost)],
                Verdict::Stream { over: Over::Tls, udp: Udp::Silent },
            ),
            (
                "a server whose UDP port alone is closed",
                vec![failed(UDP, SILENT), heard(TCP, Ok(Duration::ZERO))],
                Verdict::Stream { over: Over::Tcp, udp: Udp::Leaves },
            ),
            (
                "a server without UDP",
                vec![failed(UDP, nothing(Over::Udp)), heard(TCP, lost)],
                Verdict::Stream { over: Over::Tcp, udp: Udp::Refused },
            ),
            (
                "UDP to a server with another secret",
                vec![refused(UDP, UNAUTHORIZED), heard(TCP, lost)],
                Verdict::Stream { over: Over::Tcp, udp: Udp::Failed },
            ),
            (
                "TCP alone asked",
                vec![heard(TCP, lost)],
                Verdict::Stream { over: Over::Tcp, udp: Udp::NotAsked },
            ),
            (
                "TCP alone asked, where UDP would leave",
                vec![heard(TCP, Ok(Duration::ZERO))],
                Verdict::Stream { over: Over::Tcp, udp: Udp::NotAsked },
            ),
            ("STUN alone asked", vec![sound(STUN)], Verdict::NoRelay(None)),
            (
                "a wrong password",
                vec![sound(STUN), refused(UDP, UNAUTHORIZED), failed(TCP, NO_CONNECTION)],
                Verdict::NoRelay(Some(UNAUTHORIZED)),
            ),
            (
                "nobody there",
                vec![failed(UDP, SILENT), failed(TCP, NO_CONNECTION)],
                Verdict::Nowhere(NO_CONNECTION),
            ),
            (
                "a server that does not run",
                vec![failed(UDP, SILENT), failed(TCP, nothing(Over::Tcp))],
                Verdict::Nowhere(nothing(Over::Tcp)),
            ),
            (
                "a firewall that refuses",
                vec![failed(UDP, refused_on_the_way(Over::Udp)), failed(TCP, refused_on_the_way(Over::Tcp))],
                Verdict::Nowhere(refused_on_the_way(Over::Tcp)),
            ),
            ("a machine that is offline", vec![failed(UDP, no_route())], Verdict::Nowhere(no_route())),
            ("a name that does not resolve", vec![failed(UDP, unknown())], Verdict::Nowhere(unknown())),
            (
                "TLS alone, with a bad certificate",
                vec![failed(UDP, SILENT), failed(TLS, ProbeError::NoTls)],
                Verdict::Nowhere(ProbeError::NoTls),
            ),
        ] {
            assert_eq!(Verdict::of(&rows), verdict, "{what}");
        }
    }

    #[test]
    fn a_version_of_ip_that_this_machine_lacks_is_named_once() {
        let mut rows = [sound(UDP), sound(TCP)];
        for row in &mut rows {
            row.passed_over = Some("[2001:db8::10]:3478".parse().unwrap());
        }
        let report = ProbeReport { pages: Vec::new(), servers: rows.into() };
        let said = sentences(&report, false);
        assert_eq!(
            said,
            "Calls from here go over UDP, the best path.\n\
             IPv6 was not probed: this machine has no route there. If callers use it, probe from a machine that has one.\n"
        );
    }

    #[test]
    fn the_server_s_own_machine_cannot_tell_of_firewalls() {
        let report = ProbeReport { pages: Vec::new(), servers: vec![sound(UDP)] };
        let said = sentences(&report, true);
        assert!(
            said.lines()
                .last()
                .is_some_and(|line| line.contains("`byway probe turn:HOST` from another network")),
            "{said}"
        );
    }
}
