//! Events in words, for the operator.

use crate::signaling::protocol::report::{
    AddressKind, CandidateType, ConnectionState, Happening, Observation, PathFailure, PathProtocol,
    RelayFact, RoomFact, ServerScheme,
};

/// Describes an event of a member. `peer` is the name of the other end, where there is one.
pub(super) fn describe(what: &Happening, peer: Option<&str>) -> String {
    match what {
        Happening::Page(observation) => {
            let peer = peer.map_or_else(String::new, |peer| format!("to {peer}: "));
            format!("{peer}{}", observed(observation))
        }
        Happening::Room(fact) => room(fact),
        Happening::Relay(fact) => relay(fact),
    }
}

fn observed(observation: &Observation) -> String {
    match observation {
        Observation::Gathered { host, srflx, relay, ms } => {
            format!("gathered candidates in {ms} ms: {host} host, {srflx} srflx, {relay} relay")
        }
        Observation::ServerFailed { scheme, protocol, code } => {
            let scheme = match scheme {
                ServerScheme::Stun => "stun",
                ServerScheme::Turn => "turn",
                ServerScheme::Turns => "turns",
            };
            format!("{scheme} over {}: {}", name(*protocol), ice_error(*code))
        }
        Observation::Connection { state } => match state {
            ConnectionState::Connecting => "connecting".to_owned(),
            ConnectionState::Connected => "connected".to_owned(),
            ConnectionState::Disconnected => "the path does not answer".to_owned(),
            ConnectionState::Failed => "no path works".to_owned(),
        },
        Observation::Restarted {} => "restarted ICE".to_owned(),
        Observation::Replaced {} => "replaced the connection".to_owned(),
        Observation::Failed { code } => match code {
            PathFailure::ConnectionFailed => "the connection failed; trying again".to_owned(),
            PathFailure::ConnectionLost => "gave up: no path works".to_owned(),
            PathFailure::RelayUnreachable => "no relay answers, and only the relay is allowed".to_owned(),
        },
        Observation::Path { local, remote, relayed, protocol, address } => {
            let way = if *relayed { "through its relay" } else { "without a relay of its own" };
            let over = protocol.map_or_else(String::new, |protocol| format!(" over {}", name(protocol)));
            let family = address.map_or_else(String::new, |address| format!(", {}", family(address)));
            format!("path {way}{over}: {} to {}{family}", candidate(*local), candidate(*remote))
        }
        Observation::Stats {
            round_trip_ms,
            loss,
            remote_loss,
            jitter_ms,
            receiving_bps,
            sending_bps,
            silent_ms,
        } => {
            let parts = [
                round_trip_ms.map(|ms| format!("round trip {ms} ms")),
                loss.map(|loss| format!("loss in {}", percent(loss))),
                remote_loss.map(|loss| format!("loss out {}", percent(loss))),
                jitter_ms.map(|ms| format!("jitter {ms} ms")),
                receiving_bps.map(|bps| format!("in {} kbit/s", bps / 1_000)),
                sending_bps.map(|bps| format!("out {} kbit/s", bps / 1_000)),
                silent_ms.filter(|ms| *ms >= 3_000).map(|ms| format!("silent for {} s", ms / 1_000)),
            ];
            let known: Vec<String> = parts.into_iter().flatten().collect();
            if known.is_empty() { "no figures".to_owned() } else { known.join(", ") }
        }
    }
}

fn room(fact: &RoomFact) -> String {
    match fact {
        RoomFact::Joined { viewer: true } => "joined as a viewer".to_owned(),
        RoomFact::Joined { viewer: false } => "joined".to_owned(),
        RoomFact::Lost {} => "lost the connection to the server".to_owned(),
        RoomFact::Resumed {} => "returned".to_owned(),
        RoomFact::Reports { on: true } => "shares its connection details".to_owned(),
        RoomFact::Reports { on: false } => "shares no connection details".to_owned(),
        RoomFact::Left { reason } => format!("left ({reason})"),
    }
}

fn relay(fact: &RelayFact) -> String {
    match fact {
        RelayFact::Allocated { transport, addresses } => {
            let families: Vec<&str> = addresses.iter().map(|address| family(*address)).collect();
            format!("allocation over {}, {}", transport.to_uppercase(), families.join(" and "))
        }
        RelayFact::Refused { method, code, address, count } => {
            let towards =
                address.map_or_else(String::new, |address| format!(" for an {} peer", family(address)));
            let times = if *count > 1 { format!(", {count} times") } else { String::new() };
            format!("refused {method}{towards}: {code} {}{times}", stun_error(*code))
        }
        RelayFact::Released { transport, reason, to_peer, to_client, drops, refused } => {
            let mut text = format!(
                "allocation over {} ended ({reason}): {} packets to peers, {} to the client",
                transport.to_uppercase(),
                to_peer.packets,
                to_client.packets
            );
            for (what, counts) in [
                (
                    "dropped",
                    drops.iter().map(|(reason, count)| format!("{count} {reason}")).collect::<Vec<_>>(),
                ),
                ("refused", refused.iter().map(|(code, count)| format!("{count} times {code}")).collect()),
            ] {
                if !counts.is_empty() {
                    text.push_str(&format!("; {what} {}", counts.join(", ")));
                }
            }
            text
        }
    }
}

fn percent(per_mille: u16) -> String {
    format!("{}.{} %", per_mille / 10, per_mille % 10)
}

fn name(protocol: PathProtocol) -> &'static str {
    match protocol {
        PathProtocol::Udp => "UDP",
        PathProtocol::Tcp => "TCP",
        PathProtocol::Tls => "TLS",
    }
}

fn family(address: AddressKind) -> &'static str {
    match address {
        AddressKind::Ipv4 => "IPv4",
        AddressKind::Ipv6 => "IPv6",
        AddressKind::Name => "mDNS name",
    }
}

fn candidate(candidate: CandidateType) -> &'static str {
    match candidate {
        CandidateType::Host => "host",
        CandidateType::Srflx => "srflx",
        CandidateType::Prflx => "prflx",
        CandidateType::Relay => "relay",
    }
}

/// Meaning of a code of `icecandidateerror`.
fn ice_error(code: u16) -> String {
    match code {
        701 => "did not answer".to_owned(),
        code => format!("{code} {}", stun_error(code)),
    }
}

/// Meaning of a STUN error code (RFC 8489 section 14.8, RFC 8656 section 19).
fn stun_error(code: u16) -> &'static str {
    match code {
        400 => "bad request",
        401 => "credentials refused",
        403 => "forbidden peer",
        437 => "allocation mismatch",
        438 => "stale nonce",
        440 => "address family not supported",
        441 => "wrong credentials",
        442 => "transport not supported",
        443 => "peer address family mismatch",
        486 => "allocation quota reached",
        508 => "insufficient capacity",
        _ => "error",
    }
}
