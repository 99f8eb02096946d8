//! Outside: the server as another server sees it (`byway doctor --from`).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use byway_turn::server::is_special_purpose;

use super::Finding;
use crate::fault::Fault;

/// Judges the address at which another server sees this machine against those that clients are
/// told. `told` has the relay's addresses for clients, of every family.
pub fn mapped(from: &str, mapped: IpAddr, told: &[IpAddr]) -> Finding {
    let of_family: Vec<IpAddr> = told.iter().copied().filter(|ip| ip.is_ipv4() == mapped.is_ipv4()).collect();
    let what = format!("public address, as {from} sees it");
    if of_family.is_empty() || of_family.contains(&mapped) {
        return Finding::ok(what, mapped.to_string());
    }
    let list: Vec<String> = of_family.iter().map(ToString::to_string).collect();
    let are_private = of_family.iter().all(|ip| is_special_purpose(*ip)) && !is_special_purpose(mapped);
    Finding::failed(
        if are_private { Fault::PublicAddressUnset } else { Fault::WrongPublicAddress },
        "clients are told another address than the one under which the internet sees this machine",
        format!("{from} sees {mapped}, and clients are told {}", list.join(", ")),
        format!("set `public_addresses = [\"{mapped}\"]` under [relay], then byway reload"),
    )
}

/// Result of a datagram from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It arrived and was answered, after this time.
    After(Duration),
    /// No answer came.
    Lost,
    /// It could not be sent, for this reason.
    NotSent(String),
}

/// Judges a Binding request that the relay at `from` sent to the server's own UDP listener.
pub fn listener(from: &str, at: SocketAddr, reached: &Reached) -> Finding {
    let what = format!("UDP {at}, from {from}");
    match reached {
        Reached::After(time) => Finding::ok(what, format!("answers after {} ms", time.as_millis())),
        Reached::Lost => Finding::failed(
            Fault::UdpBlocked,
            format!("{what} is blocked"),
            "STUN requests from there got no answer",
            format!("allow UDP port {} in this machine's firewall and at its provider", at.port()),
        ),
        Reached::NotSent(reason) => Finding::skipped(what, reason.clone()),
    }
}

/// Judges a datagram that the relay at `from` sent to a relay port of this server.
/// `is_listener_reached` tells that its UDP listener was reached from there.
pub fn relay_port(
    from: &str,
    at: SocketAddr,
    ports: (u16, u16),
    reached: &Reached,
    is_listener_reached: bool,
) -> Finding {
    let what = format!("relay port {at}, from {from}");
    match reached {
        Reached::After(time) => Finding::ok(what, format!("reached after {} ms", time.as_millis())),
        Reached::Lost if is_listener_reached => Finding::failed(
            Fault::RelayPortsBlocked,
            format!("{what} is blocked"),
            "the listener answers there, and data to the relay port is lost",
            format!(
                "allow UDP ports {}-{} in this machine's firewall and at its provider; behind a NAT, forward them",
                ports.0, ports.1
            ),
        ),
        Reached::Lost => Finding::failed(
            Fault::RelayPortsBlocked,
            format!("{what} is not reached"),
            "neither the listener nor the relay port was reached",
            format!("correct relay.public_addresses, or allow UDP ports {}-{}", ports.0, ports.1),
        ),
        Reached::NotSent(reason) => Finding::skipped(what, reason.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    const FROM: &str = "turn:b.example";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn another_address_than_the_one_told_is_a_failure() {
        assert_eq!(mapped(FROM, ip("45.0.0.1"), &[ip("45.0.0.1"), ip("2a00::1")]).state, State::Ok);
        assert_eq!(mapped(FROM, ip("45.0.0.1"), &[ip("2a00::1")]).state, State::Ok);
        let private = mapped(FROM, ip("45.0.0.1"), &[ip("10.0.0.5")]);
        assert_eq!(private.fault, Some(Fault::PublicAddressUnset));
        assert_eq!(
            mapped(FROM, ip("45.0.0.1"), &[ip("46.0.0.1")]).hint(),
            "clients are told another address than the one under which the internet sees this machine: turn:b.example sees \
             45.0.0.1, and clients are told 46.0.0.1; set `public_addresses = [\"45.0.0.1\"]` under [relay], then byway \
             reload"
        );
    }

    #[test]
    fn what_is_blocked_is_named_by_what_is_reached() {
        let at = "45.0.0.1:3478".parse().unwrap();
        let time = Reached::After(Duration::from_millis(20));
        assert_eq!(listener(FROM, at, &time).evidence, "answers after 20 ms");
        assert_eq!(listener(FROM, at, &Reached::Lost).fault, Some(Fault::UdpBlocked));
        let port = |reached, listener| relay_port(FROM, at, (49_152, 65_535), &reached, listener);
        assert_eq!(port(time, true).state, State::Ok);
        let blocked = port(Reached::Lost, true);
        assert_eq!(blocked.fault, Some(Fault::RelayPortsBlocked));
        assert!(blocked.remedy.starts_with("allow UDP ports 49152-65535"), "{blocked}");
        assert!(port(Reached::Lost, false).remedy.starts_with("correct relay.public_addresses"));
        assert_eq!(port(Reached::NotSent("403".to_owned()), true).state, State::Skipped);
    }
}
