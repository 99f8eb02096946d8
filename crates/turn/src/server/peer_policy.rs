//! Peer address policy: the only code that decides which addresses a client may reach through the
//! relay.
//!
//! CreatePermission, ChannelBind and Send ask it, and so does every datagram from a peer without a
//! channel. Attackers abuse relays to reach addresses that only the server can reach. Private,
//! special-purpose and the server's own addresses are therefore denied unless the configuration
//! allows them. IPv6 forms that embed an IPv4 address are rejected rather than decoded, because two
//! readings of one address would be a hole.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::address_set::AddressSet;

/// Peer's transport address in canonical form, accepted by the peer policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    address: SocketAddr,
    own_relay: bool,
}

impl Peer {
    /// Returns the transport address.
    #[must_use]
    pub fn address(self) -> SocketAddr {
        self.address
    }

    /// Whether the address is a relay port of this server.
    #[must_use]
    pub fn is_own_relay(self) -> bool {
        self.own_relay
    }
}

/// Error of a peer address that the peer policy denies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer address not allowed")]
pub struct Denied;

/// Peer addresses that a client may reach.
#[derive(Clone, Debug)]
pub struct PeerPolicy {
    /// Networks to allow although they are denied by default.
    pub allow: Vec<IpNet>,
    /// Networks to deny, whatever `allow` says.
    pub deny: Vec<IpNet>,
    /// The server's own addresses: those of its listeners, of its configuration and of the machine
    /// ([`super::HostAddresses::own`]).
    pub own: AddressSet,
    /// Transport addresses of the server's listeners. They stay denied even within `allow`.
    pub listeners: Vec<SocketAddr>,
}

impl PeerPolicy {
    /// Checks a peer's transport address. `relay` says whether the address is a live relay port of
    /// this server.
    ///
    /// # Errors
    /// [`Denied`]; a request then gets 403.
    pub(super) fn peer(&self, address: SocketAddr, relay: OwnRelay) -> Result<Peer, Denied> {
        // Flow label and scope are not part of an address in XOR-PEER-ADDRESS.
        let peer = |own_relay| Peer { address: SocketAddr::new(address.ip(), address.port()), own_relay };
        if address.port() == 0 || self.is_listener(address) {
            return Err(Denied);
        }
        match relay {
            OwnRelay::Live if !self.is_closed(address.ip()) => Ok(peer(true)),
            _ => self.outside(address.ip()).map(|()| peer(false)),
        }
    }

    /// Checks an IP address without a port, for a permission. Any port of a relay address may be a
    /// live relay port when the first datagram comes, so [`PeerPolicy::peer`] decides then.
    ///
    /// # Errors
    /// [`Denied`]; a request then gets 403.
    pub(super) fn permission(&self, ip: IpAddr, is_relay_address: bool) -> Result<(), Denied> {
        if is_relay_address && !self.is_closed(ip) { Ok(()) } else { self.outside(ip) }
    }

    fn outside(&self, ip: IpAddr) -> Result<(), Denied> {
        if self.is_closed(ip) {
            return Err(Denied);
        }
        let allowed = self.allow.iter().any(|net| net.contains(&ip));
        if allowed || !(self.own.contains(ip) || is_denied_by_default(ip)) { Ok(()) } else { Err(Denied) }
    }

    /// Whether an address is denied whatever `allow` says.
    fn is_closed(&self, ip: IpAddr) -> bool {
        is_never_a_peer(ip) || self.deny.iter().any(|net| net.contains(&ip))
    }

    fn is_listener(&self, address: SocketAddr) -> bool {
        let is_own = || self.own.contains(address.ip()) || address.ip().is_loopback();
        self.listeners.iter().any(|listener| {
            listener.port() == address.port()
                && (listener.ip() == address.ip() || (listener.ip().is_unspecified() && is_own()))
        })
    }
}

/// Relation of a transport address to this relay's ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnRelay {
    /// Relay port with a live allocation.
    Live,
    /// Any other address.
    No,
}

/// Whether an address is not on the public internet: private, reserved, or of a form that embeds
/// another address.
#[must_use]
pub fn is_special_purpose(ip: IpAddr) -> bool {
    is_never_a_peer(ip) || is_denied_by_default(ip)
}

/// Whether an address cannot be that of a host. No configuration allows these.
fn is_never_a_peer(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.octets()[0] == 0 || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast() || embeds_v4(ip),
    }
}

/// Whether an address embeds an IPv4 address: IPv4-mapped, -compatible (except ::1) and
/// -translated, NAT64, 6to4, Teredo and ISATAP.
fn embeds_v4(ip: Ipv6Addr) -> bool {
    const FORMS: [Block<u128>; 7] = [
        v6([0, 0, 0, 0, 0, 0, 0, 0], 96),
        v6([0, 0, 0, 0, 0, 0xffff, 0, 0], 96),
        v6([0, 0, 0, 0, 0xffff, 0, 0, 0], 96),
        v6([0x64, 0xff9b, 0, 0, 0, 0, 0, 0], 96),
        v6([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48),
        v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 32),
        v6([0x2002, 0, 0, 0, 0, 0, 0, 0], 16),
    ];
    let [.., i0, i1, _, _] = ip.segments();
    let isatap = i0 & !0x0200 == 0 && i1 == 0x5efe; // RFC 5214 section 6.1
    isatap || (FORMS.iter().any(|(network, mask)| ip.to_bits() & mask == *network) && !ip.is_loopback())
}

fn is_denied_by_default(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => DENIED_V4.iter().any(|(network, mask)| ip.to_bits() & mask == *network),
        IpAddr::V6(ip) => DENIED_V6.iter().any(|(network, mask)| ip.to_bits() & mask == *network),
    }
}

/// IPv4 networks denied by default: the special-purpose registry of RFC 6890 and its updates,
/// multicast, and the address at which Azure hosts answer their guests.
const DENIED_V4: [Block<u32>; 19] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 31, 196, 0], 24),
    v4([192, 52, 193, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([192, 175, 48, 0], 24),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
    v4([168, 63, 129, 16], 32),
];

/// IPv6 networks denied by default, without the forms of [`embeds_v4`], which [`is_never_a_peer`]
/// denies.
const DENIED_V6: [Block<u128>; 11] = [
    v6([0, 0, 0, 0, 0, 0, 0, 1], 128),
    v6([0x100, 0, 0, 0, 0, 0, 0, 0], 64),
    v6([0x2001, 0, 0, 0, 0, 0, 0, 0], 23),
    v6([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32),
    v6([0x2620, 0x4f, 0x8000, 0, 0, 0, 0, 0], 48),
    v6([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20),
    v6([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16),
    v6([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7),
    v6([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10),
    v6([0xff00, 0, 0, 0, 0, 0, 0, 0], 8),
];

/// Network address and mask, precomputed because every datagram that needs only a permission walks
/// a list of them.
type Block<Bits> = (Bits, Bits);

const fn v4(network: [u8; 4], prefix: u32) -> Block<u32> {
    let mask = u32::MAX << (u32::BITS - prefix);
    (u32::from_be_bytes(network) & mask, mask)
}

const fn v6([a, b, c, d, e, f, g, h]: [u16; 8], prefix: u32) -> Block<u128> {
    let mask = u128::MAX << (u128::BITS - prefix);
    (Ipv6Addr::new(a, b, c, d, e, f, g, h).to_bits() & mask, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer_policy() -> PeerPolicy {
        PeerPolicy {
            allow: vec![],
            deny: vec![],
            own: ["198.41.0.4", "2a00::1"].map(|ip| ip.parse::<IpAddr>().unwrap()).into_iter().collect(),
            listeners: vec!["0.0.0.0:3478".parse().unwrap(), "[::]:443".parse().unwrap()],
        }
    }

    fn peer(peer_policy: &PeerPolicy, address: &str) -> bool {
        peer_policy.peer(address.parse().unwrap(), OwnRelay::No).is_ok()
    }

    /// Threat 12.
    #[test]
    fn threat_12_the_default_deny_list_is_denied() {
        let ranges = "0/8 10/8 100.64/10 127/8 169.254/16 172.16/12 192.0.0/24 192.0.2/24 192.31.196/24 192.52.193/24 \
             192.88.99/24 192.168/16 192.175.48/24 198.18/15 198.51.100/24 203.0.113/24 224/4 240/4 168.63.129.16/32";
        for range in ranges.split_whitespace() {
            let (base, prefix) = range.split_once('/').unwrap();
            let octets = base.split('.').chain(["0", "0", "0"]).take(4).collect::<Vec<_>>().join(".");
            both_ends_are_denied(&format!("{octets}/{prefix}"));
        }
        let ranges = "::/128 ::1/128 ::/96 ::ffff:0:0/96 ::ffff:0:0:0/96 64:ff9b::/96 64:ff9b:1::/48 100::/64 2001::/23 \
             2001:db8::/32 2002::/16 2620:4f:8000::/48 3fff::/20 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8";
        ranges.split_whitespace().for_each(both_ends_are_denied);
        for isatap in ["2a00::5efe:a00:1", "2a00::200:5efe:a00:1"] {
            assert!(!peer(&peer_policy(), &format!("[{isatap}]:9000")), "{isatap}");
        }
    }

    fn both_ends_are_denied(range: &str) {
        let net: IpNet = range.parse().unwrap();
        for ip in [net.network(), net.broadcast()] {
            assert_eq!(
                peer_policy().peer(SocketAddr::new(ip, 9000), OwnRelay::No),
                Err(Denied),
                "{ip} of {range}"
            );
            assert_eq!(peer_policy().permission(ip, false), Err(Denied), "{ip} of {range}");
        }
    }

    #[test]
    fn the_public_internet_is_open() {
        for address in [
            "8.8.8.8:53",
            "100.63.255.255:9",
            "172.32.0.1:9",
            "192.0.1.1:9",
            "[2a00:1450::1]:9",
            "[2600::]:9",
        ] {
            assert!(peer(&peer_policy(), address), "{address}");
        }
    }

    #[test]
    fn threat_12_port_zero_is_denied() {
        assert!(!peer(&peer_policy(), "8.8.8.8:0"));
    }

    /// Threat 13.
    #[test]
    fn threat_13_own_addresses_are_denied_but_for_live_relay_ports() {
        assert!(!peer(&peer_policy(), "198.41.0.4:50000"));
        assert!(!peer(&peer_policy(), "[2a00::1]:50000"));
        let live = peer_policy().peer("198.41.0.4:50000".parse().unwrap(), OwnRelay::Live).unwrap();
        assert!(live.is_own_relay());
        assert_eq!(peer_policy().permission("198.41.0.4".parse().unwrap(), true), Ok(()));
        assert_eq!(peer_policy().permission("198.41.0.4".parse().unwrap(), false), Err(Denied));
    }

    /// Threat 13.
    #[test]
    fn threat_13_own_listeners_are_denied_even_where_allowed() {
        let allow =
            vec!["127.0.0.0/8".parse().unwrap(), "198.41.0.4/32".parse().unwrap(), "::/0".parse().unwrap()];
        let peer_policy = PeerPolicy { allow, ..peer_policy() };
        assert!(peer(&peer_policy, "127.0.0.1:9000"));
        assert!(peer(&peer_policy, "198.41.0.4:9000"));
        assert!(peer(&peer_policy, "[::1]:9000"));
        for listener in ["127.0.0.1:3478", "127.0.0.9:3478", "198.41.0.4:3478", "[2a00::1]:443", "[::1]:443"]
        {
            assert!(!peer(&peer_policy, listener), "{listener}");
        }
    }

    #[test]
    fn allow_opens_what_is_denied_by_default_and_deny_closes_what_is_allowed() {
        let allow =
            vec!["10.0.0.0/8".parse().unwrap(), "0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        let deny = vec!["10.9.0.0/16".parse().unwrap(), "198.41.0.4/32".parse().unwrap()];
        let peer_policy = PeerPolicy { allow, deny, ..peer_policy() };
        assert!(peer(&peer_policy, "10.1.2.3:9"));
        assert!(!peer(&peer_policy, "10.9.2.3:9"));
        for never in
            ["0.0.0.0:9", "224.0.0.1:9", "255.255.255.255:9", "[::]:9", "[::ffff:8.8.8.8]:9", "[ff02::1]:9"]
        {
            assert!(!peer(&peer_policy, never), "{never}");
        }
        let own = "198.41.0.4:50000".parse().unwrap();
        assert_eq!(peer_policy.peer(own, OwnRelay::Live), Err(Denied), "deny closes live relay ports, too");
    }
}
