//! Addresses to which the probe itself may send: those of the host that the user named, and no
//! address of a server's choice.

use std::net::{IpAddr, SocketAddr};

use byway_turn::server::is_special_purpose;

use crate::config::Config;
use crate::net::interfaces;

use super::error::ProbeError;

/// Addresses that may be a relay of the probed server.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct RelayAddresses {
    /// Addresses of the host.
    pub(in crate::cli) host: Vec<IpAddr>,
    /// Addresses that the user names besides.
    pub(in crate::cli) more: Vec<IpAddr>,
    /// Whether the server is this machine's, so that its own addresses count.
    is_own: bool,
}

/// Whether the probe may send to a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sending {
    Allowed,
    /// It may not, for this reason.
    Refused(&'static str),
}

impl RelayAddresses {
    /// Returns the addresses of a host, and those that the user names besides.
    pub(in crate::cli) fn of_host(host: Vec<IpAddr>, more: Vec<IpAddr>) -> Self {
        Self { host, more, is_own: false }
    }

    /// Returns the addresses of this machine's server.
    pub(in crate::cli) fn of_config(config: &Config) -> Self {
        let (relay, listen) = (&config.relay, &config.listen);
        let listeners = listen.udp.iter().chain(&listen.tcp).chain(&listen.tls).map(SocketAddr::ip);
        let host = relay.addresses.iter().chain(&relay.public_addresses).copied().chain(listeners);
        Self { host: host.collect(), more: Vec::new(), is_own: true }
    }

    /// Decides whether the probe may send to a relayed address.
    ///
    /// # Errors
    /// The server tells clients an address that is not its own.
    pub(super) fn judge(&self, relayed: SocketAddr, server: SocketAddr) -> Result<Sending, ProbeError> {
        let ip = relayed.ip();
        let is_known = self.host.contains(&ip) || self.more.contains(&ip);
        if is_known || self.is_own && interfaces::has(ip) {
            return Ok(Sending::Allowed);
        }
        if self.is_own {
            return Ok(Sending::Refused(
                "the relayed address is not in this configuration, so nothing was sent there",
            ));
        }
        let host: Vec<IpAddr> =
            self.host.iter().copied().filter(|known| known.is_ipv4() == ip.is_ipv4()).collect();
        match (is_special_purpose(server.ip()), is_special_purpose(ip)) {
            (false, true) => Err(ProbeError::Private { relayed }),
            (true, false) => Ok(Sending::Refused(
                "the host has a private address here, with which a public relay cannot be compared",
            )),
            _ if host.is_empty() => {
                Ok(Sending::Refused("the host has no address of this IP version to compare the relay with"))
            }
            _ => Err(ProbeError::Elsewhere { relayed, host }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(host: &[&str], more: &[&str], relayed: &str, server: &str) -> Result<Sending, String> {
        let ips = |texts: &[&str]| texts.iter().map(|ip| ip.parse().unwrap()).collect();
        let addresses = RelayAddresses::of_host(ips(host), ips(more));
        let judged = addresses.judge(relayed.parse().unwrap(), server.parse().unwrap());
        judged.map_err(|error| error.fault().name().to_owned())
    }

    #[test]
    fn threat_56_nothing_is_sent_to_an_address_of_the_server_s_choice() {
        const HOST: &str = "1.2.3.4";
        const SERVER: &str = "1.2.3.4:3478";
        assert_eq!(judged(&[HOST], &[], "1.2.3.4:50000", SERVER), Ok(Sending::Allowed));
        assert_eq!(judged(&[HOST, "1.2.3.5"], &[], "1.2.3.5:50000", SERVER), Ok(Sending::Allowed));
        assert_eq!(
            judged(&[HOST], &["8.8.8.8"], "8.8.8.8:53", SERVER),
            Ok(Sending::Allowed),
            "the user's choice"
        );
        let wrong = |fault: &str| Err(fault.to_owned());
        assert_eq!(judged(&[HOST], &[], "8.8.8.8:53", SERVER), wrong("wrong-public-address"));
        assert_eq!(judged(&[HOST], &[], "10.0.0.5:50000", SERVER), wrong("public-address-unset"));
        assert_eq!(judged(&[HOST], &[], "127.0.0.1:22", SERVER), wrong("public-address-unset"));
        assert_eq!(judged(&["10.0.0.5"], &[], "10.0.0.6:1", "10.0.0.5:3478"), wrong("wrong-public-address"));
        for (host, relayed, server) in
            [(HOST, "[2600::1]:50000", SERVER), ("10.0.0.5", "1.2.3.4:50000", "10.0.0.5:3478")]
        {
            let judged = judged(&[host], &[], relayed, server);
            assert!(matches!(judged, Ok(Sending::Refused(_))), "{relayed}: {judged:?}");
        }
    }
}
