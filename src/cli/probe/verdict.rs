//! What all rows come to: how calls from here would go, for whoever reads no further.

use std::fmt;

use super::Row;
use super::error::{ProbeError, Step};
use super::server_path::Over;
use crate::config::Transport;

/// How far a call gets from here, by the best of its ways.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Over UDP; `all`: and by every other way that was asked after.
    Udp { all: bool },
    /// Over UDP, if what was sent to the relay's ports was lost in this network only.
    PortsClosed,
    /// With both callers at the relay alone: it hands out addresses of a network of its own.
    Private,
    /// Over a stream alone.
    Stream { over: Over, udp: Udp },
    /// Without a relay alone: there is none, for this reason; or none was asked for.
    NoRelay(Option<ProbeError>),
    /// Not at all.
    Nowhere(ProbeError),
}

/// What became of UDP where a stream got through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Udp {
    NotAsked,
    /// It reached the relay's ports and not the server's.
    Leaves,
    /// Nothing came back.
    Silent,
    /// The machine said that the port is not.
    Refused,
    /// Its row says why.
    Failed,
}

/// The verdict, and what nobody asked; `own`: the server's own machine asked.
pub(super) fn sentences(rows: &[Row], own: bool) -> String {
    let mut sentences = format!("{}\n", Verdict::of(rows));
    for (v4, name) in [(true, "IPv4"), (false, "IPv6")] {
        if rows.iter().filter_map(|row| row.passed_over).any(|address| address.is_ipv4() == v4) {
            sentences += &format!("Nothing was asked over {name}: this machine has no route there.\n");
        }
    }
    if own {
        sentences += "This machine asked itself, past every firewall: byway probe turn:HOST elsewhere says how others fare.\n";
    }
    sentences
}

impl Verdict {
    fn of(rows: &[Row]) -> Self {
        let relayed = |over| rows.iter().any(|row| row.is_relayed() && row.over() == over);
        let troubles = || rows.iter().filter_map(|row| row.findings.trouble.as_ref());
        if relayed(Over::Udp) {
            Self::Udp { all: troubles().next().is_none() }
        } else if troubles().any(|trouble| matches!(trouble, ProbeError::Blocked { .. })) {
            Self::PortsClosed
        } else if troubles().any(|trouble| matches!(trouble, ProbeError::Private { .. })) {
            Self::Private
        } else if let Some(over) = [Over::Tcp, Over::Tls].into_iter().find(|&over| relayed(over)) {
            Self::Stream { over, udp: Udp::of(rows) }
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
        let heard = |row: &Row| matches!(row.findings.from_peer, Some(Ok(_)));
        let of_udp = rows.iter().filter(|row| row.over() == Over::Udp);
        match furthest(of_udp.filter_map(|row| row.findings.trouble.as_ref())) {
            None => Self::NotAsked,
            // A peer sends to the relay's port by UDP, whatever the client speaks.
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
        self.url.scheme.relays() && self.findings.trouble.is_none()
    }
}

/// Whether not even a first packet was answered; unlike a connection on which nothing is said.
fn is_silence(trouble: &ProbeError) -> bool {
    matches!(
        trouble,
        ProbeError::Silent { step: Step::Connection, .. }
            | ProbeError::Silent { step: Step::Binding, over: Over::Udp }
    )
}

/// The trouble of whoever got furthest: it tells most.
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
            Self::Udp { all: true } => f.write_str("Calls from here go over UDP, as well as can be."),
            Self::Udp { all: false } => f.write_str(
                "Calls from here go over UDP, as well as can be. What failed is a way that callers elsewhere may need.",
            ),
            Self::PortsClosed => f.write_str(
                "The server answers over UDP, but its relay ports cannot be reached from here: callers meet only if both \
                 use the relay. If it is so from another network too, the server's firewall is in the way.",
            ),
            Self::Private => f.write_str(
                "The server answers, but hands out relayed addresses that the internet does not reach: callers meet only if \
                 both use the relay. Set [relay] public_addresses.",
            ),
            Self::Stream { over, udp } => {
                let and_so = format!(
                    "calls from here go over {over}, where every lost packet holds up those behind it"
                );
                match udp {
                    Udp::NotAsked => write!(
                        f,
                        "Calls from here can go over {over}. byway probe turn:HOST says whether UDP, which is better, gets through."
                    ),
                    Udp::Leaves => write!(
                        f,
                        "UDP gets out of this network, and to the relay's ports, but not to the server's own: {and_so}. If it is \
                         so from another network too, let it through on the server's firewall and at its provider."
                    ),
                    Udp::Silent => write!(
                        f,
                        "No UDP gets from here to the server and back: {and_so}. If it is so from another network too, the \
                         server's firewall is in the way; else ask whoever runs this one to let UDP out to the server's port."
                    ),
                    Udp::Refused => write!(
                        f,
                        "The server has no UDP at that port: {and_so}. Have it listen there ([listen] udp), or correct the port."
                    ),
                    Udp::Failed => write!(f, "UDP failed for the reason above: {and_so}."),
                }
            }
            Self::NoRelay(None) => f.write_str(
                "The server tells callers their address. No relay was asked for, without which some do not connect.",
            ),
            Self::NoRelay(Some(trouble)) => write!(
                f,
                "The server answers, but relays nothing: {trouble}. Calls from here connect only where they need no relay."
            ),
            Self::Nowhere(ProbeError::UnknownHost { .. }) => f.write_str(
                "No server was found: its name has no address here. No call from here gets its help.",
            ),
            Self::Nowhere(ProbeError::Unreachable { .. }) => f.write_str(
                "This machine has no route to the server: it is offline, or lacks the server's version of IP.",
            ),
            Self::Nowhere(trouble) if is_silence(trouble) => f.write_str(
                "Nothing answers. If it is so from another network too, the server is off, or its firewall lets nothing \
                 through; else this network is offline, or lets nothing out to it.",
            ),
            Self::Nowhere(ProbeError::TurnedAway { .. }) => f.write_str(
                "The way to the server is refused. If it is so from another network too, the server's firewall is in the \
                 way, or its machine is off; else this network lets nothing out to it.",
            ),
            Self::Nowhere(ProbeError::NothingListens { .. }) => {
                f.write_str("The machine is there, but no server runs at these ports: start it, or correct them.")
            }
            Self::Nowhere(trouble) => write!(f, "Nothing gets through from here: {trouble}."),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::super::client::Findings;
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

    fn row(url: &str, findings: Findings) -> Row {
        Row { url: url.parse().unwrap(), address: Some(server()), passed_over: None, findings }
    }

    fn sound(url: &str) -> Row {
        row(url, Findings { binding: Some((server(), Duration::ZERO)), ..Findings::default() })
    }

    fn heard(url: &str, from_peer: Result<Duration, &'static str>) -> Row {
        let mut row = sound(url);
        row.findings.from_peer = Some(from_peer);
        row
    }

    /// One that got as far as a binding.
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
        let lost = Err("what was sent to the relayed address is lost");
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
        let said = sentences(&rows, false);
        assert_eq!(
            said,
            "Calls from here go over UDP, as well as can be.\n\
             Nothing was asked over IPv6: this machine has no route there.\n"
        );
    }

    #[test]
    fn the_server_s_own_machine_cannot_tell_of_firewalls() {
        let said = sentences(&[sound(UDP)], true);
        assert!(
            said.lines().last().is_some_and(|line| line.contains("byway probe turn:HOST elsewhere")),
            "{said}"
        );
    }
}
