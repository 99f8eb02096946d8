//! The addresses of this machine: those of its interfaces and local routes, its sources for the
//! internet, and those of its own listeners.
//!
//! They are read from `/proc/self/net` rather than by netlink. This needs no unsafe code, and the
//! service needs no AF_NETLINK socket.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use byway_turn::address_set::AddressSet;

/// The addresses of this machine's interfaces and local routes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// Every address whose packets the kernel delivers to this machine: those of its interfaces,
    /// and the ranges of local routes (AnyIP). A default local route is excluded: it makes the
    /// whole internet local for a transparent proxy.
    pub own: AddressSet,
    /// Permanent addresses, which clients may be told.
    pub lasting: Vec<IpAddr>,
    /// Bytes that were read, which is the cost of reading: there is one line per route.
    pub bytes: usize,
}

impl Interfaces {
    /// Reads the addresses. A machine without IPv6 has no list of IPv6 addresses.
    ///
    /// # Errors
    /// The error of reading `fib_trie`, `if_inet6` or `ipv6_route` in `/proc/self/net`.
    pub fn read() -> io::Result<Self> {
        let net = Path::new("/proc/self/net");
        let v4 = std::fs::read_to_string(net.join("fib_trie"))?;
        let of_v6 = |name| match std::fs::read_to_string(net.join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            read => read,
        };
        Ok(Self::parse(&v4, &of_v6("if_inet6")?, &of_v6("ipv6_route")?))
    }

    fn parse(trie: &str, if_inet6: &str, ipv6_route: &str) -> Self {
        let v4 = v4_local(trie);
        let is_host = |net: &&Ipv4Net| net.prefix_len() == 32;
        let v4_addresses = v4.iter().filter(is_host).map(|net| IpAddr::V4(net.addr()));
        let v6 = || v6_addresses(if_inet6);
        let lasting = v6().filter(|(_, lasts)| *lasts).map(|(ip, _)| ip.into());
        let v6_own = v6().map(|(ip, _)| Ipv6Net::from(ip)).chain(v6_local(ipv6_route)).map(IpNet::V6);
        Self {
            lasting: v4_addresses.chain(lasting).collect(),
            own: v4.iter().copied().map(IpNet::V4).chain(v6_own).collect(),
            bytes: trie.len() + if_inet6.len() + ipv6_route.len(),
        }
    }
}

/// The source addresses of this machine for the internet: one for each family that has a route
/// there. Connecting a UDP socket looks up the route and sends nothing.
#[must_use]
pub fn sources() -> Vec<IpAddr> {
    // Any address of the internet works. These belong to a root name server and will not change.
    const OUT_THERE: [(IpAddr, IpAddr); 2] = [
        (IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4))),
        (
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
        ),
    ];
    let source = |(any, destination): (IpAddr, IpAddr)| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((destination, 9))?;
        socket.local_addr()
    };
    OUT_THERE.into_iter().filter_map(|family| source(family).ok()).map(|address| address.ip()).collect()
}

/// Whether this machine has an address, that is, whether a socket can be bound to it. If another
/// error prevents the check, such as a lack of descriptors, the result is true. A wildcard is
/// present if its family is.
#[must_use]
pub fn has(ip: IpAddr) -> bool {
    let is_missing = |error: io::Error| {
        let is_unsupported = error.raw_os_error() == Some(libc::EAFNOSUPPORT);
        is_unsupported || error.kind() == io::ErrorKind::AddrNotAvailable
    };
    !UdpSocket::bind((ip, 0)).is_err_and(is_missing)
}

/// The address under which this machine reaches its own listener. Loopback replaces a wildcard,
/// which cannot be a destination.
#[must_use]
pub fn reachable(listener: SocketAddr) -> SocketAddr {
    let ip = match listener.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listener.port())
}

/// Parses the leaves of the kernel's routing trie that are local to the host, in every scope. A
/// leaf may have several prefixes, and may be in several tables.
///
/// ```text
///      |-- 192.0.2.2
///         /32 host LOCAL
/// ```
fn v4_local(trie: &str) -> Vec<Ipv4Net> {
    let mut local = Vec::new();
    let mut leaf = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
            continue;
        }
        let mut words = line.split_ascii_whitespace();
        let prefix = words.next().and_then(|word| word.strip_prefix('/')?.parse().ok());
        let is_local = words.nth(1) == Some("LOCAL");
        let net = leaf.zip(prefix).and_then(|(leaf, prefix)| Ipv4Net::new(leaf, prefix).ok());
        local.extend(net.filter(|net| is_local && net.prefix_len() > 0 && !local.contains(net)));
    }
    local
}

/// Parses the routes whose packets are delivered to this machine, one per line. Each line has
/// destination and prefix length, source and prefix length, next hop, metric, two counters, flags
/// and interface. All but the last are hexadecimal.
fn v6_local(routes: &str) -> impl Iterator<Item = Ipv6Net> {
    // linux/ipv6_route.h: RTF_LOCAL and RTF_ANYCAST.
    const DELIVERED: u32 = 0x8000_0000 | 0x0010_0000;
    routes.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let destination = u128::from_str_radix(words.next()?, 16).ok()?;
        let prefix = u8::from_str_radix(words.next()?, 16).ok()?;
        let flags = u32::from_str_radix(words.nth(6)?, 16).ok()?;
        let net = Ipv6Net::new(Ipv6Addr::from_bits(destination), prefix).ok()?;
        (flags & DELIVERED != 0 && prefix > 0).then_some(net)
    })
}

/// Parses one address per line: 32 hexadecimal digits, then interface, prefix, scope and flags.
/// Also returns whether it is permanent.
fn v6_addresses(lines: &str) -> impl Iterator<Item = (Ipv6Addr, bool)> {
    // linux/if_addr.h: IFA_F_TEMPORARY (RFC 8981), _DADFAILED, _DEPRECATED and _TENTATIVE (RFC 4862
    // section 5.4).
    const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
    lines.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let bits = u128::from_str_radix(words.next()?, 16).ok()?;
        let flags = words.nth(3).and_then(|flags| u32::from_str_radix(flags, 16).ok());
        Some((Ipv6Addr::from_bits(bits), flags.is_some_and(|flags| flags & PASSING == 0)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 192.0.2.0/24 2 0 2
        |-- 192.0.2.2
           /32 host LOCAL
        |-- 192.0.2.255
           /32 link BROADCAST
Local:
  +-- 127.0.0.0/8 2 0 2
     |-- 127.0.0.0
        /32 link BROADCAST
        /8 host LOCAL
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 192.0.2.2
        /32 host LOCAL
";

    #[test]
    fn ipv4_addresses_are_the_local_host_routes() {
        let nets = ["192.0.2.2/32", "127.0.0.0/8", "127.0.0.1/32"].map(|net| net.parse().unwrap());
        assert_eq!(v4_local(TRIE), nets);
        let addresses: [IpAddr; 2] = ["192.0.2.2", "127.0.0.1"].map(|ip| ip.parse().unwrap());
        assert_eq!(Interfaces::parse(TRIE, "", "").lasting, addresses);
    }

    /// The route of `ip route add local 198.51.100.0/24 dev lo`, and two for a transparent proxy.
    #[test]
    fn local_routes_are_own_ranges_and_default_routes_are_none() {
        let trie = "\
Local:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 host LOCAL
     |-- 198.51.100.0
        /24 host LOCAL
        /25 link LOCAL tos=16
     |-- 203.0.113.0
        /24 universe UNICAST
";
        let routes = "\
20010db8000100000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80000001       lo
20010db8000200000000000000000000 80 00000000000000000000000000000000 00 00000000000000000000000000000000 00000000 00000001 00000000 80300001     eth0
20010db8000300000000000000000000 40 00000000000000000000000000000000 00 00000000000000000000000000000000 00000100 00000001 00000000 00000001     eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 00000000000000000000000000000000 00000400 00000001 00000000 80000001       lo
00000000000000000000000000000000 00 00000000000000000000000000000000
";
        let Interfaces { own, lasting, .. } = Interfaces::parse(trie, "", routes);
        for ip in ["198.51.100.0", "198.51.100.200", "2001:db8:1::77", "2001:db8:2::"] {
            assert!(own.contains(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["203.0.113.1", "8.8.8.8", "2001:db8:2::1", "2001:db8:3::1", "2600::1"] {
            assert!(!own.contains(ip.parse().unwrap()), "{ip}");
        }
        assert!(lasting.is_empty());
    }

    #[test]
    fn ipv6_addresses_are_the_first_words_and_flags_tell_which_last() {
        let lines = "\
00000000000000000000000000000001 01 80 10 80       lo
20010db8000000000000000000000002 04 40 00 82     eth0
20010db8000000000000000000000003 04 40 00 01     eth0
20010db8000000000000000000000004 04 40 00 20     eth0
20010db8000000000000000000000005 04 40 00 c0     eth0
20010db8000000000000000000000006 04 40 00 88     eth0
20010db8000000000000000000000007
";
        let read: Vec<_> = v6_addresses(lines).map(|(ip, lasts)| (ip.to_string(), lasts)).collect();
        let expected = [
            ("::1", true),
            ("2001:db8::2", true),
            ("2001:db8::3", false),
            ("2001:db8::4", false),
            ("2001:db8::5", false),
            ("2001:db8::6", false),
            ("2001:db8::7", false),
        ];
        assert_eq!(read, expected.map(|(ip, lasts)| (ip.to_owned(), lasts)));
        let Interfaces { own, lasting, .. } = Interfaces::parse(TRIE, lines, "");
        assert_eq!(lasting.len(), 2 + 2);
        assert!(expected.iter().all(|(ip, _)| own.contains(ip.parse().unwrap())));
    }

    #[test]
    fn a_wildcard_is_reached_at_loopback() {
        for (listener, reached) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.2:1", "192.0.2.2:1")]
        {
            assert_eq!(reachable(listener.parse().unwrap()), reached.parse().unwrap());
        }
    }

    #[test]
    fn this_machine_has_loopback() {
        assert!(has(Ipv4Addr::LOCALHOST.into()) && has(Ipv4Addr::UNSPECIFIED.into()));
        assert!(!has(Ipv4Addr::new(192, 0, 2, 77).into()), "no machine has an address of TEST-NET-1");
        let Interfaces { own, lasting, .. } = Interfaces::read().unwrap();
        assert!(lasting.contains(&Ipv4Addr::LOCALHOST.into()));
        assert!(own.contains(Ipv4Addr::new(127, 255, 0, 1).into()));
    }
}
