//! The kernel's ephemeral ports, which should not overlap with the relay ports.
//!
//! Linux picks ephemeral ports from `net.ipv4.ip_local_port_range`, also for IPv6, except those in
//! `net.ipv4.ip_local_reserved_ports`. A program may still bind a reserved port by number.

use std::io;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::Path;

/// The kernel's ephemeral ports.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LocalPorts {
    range: RangeInclusive<u16>,
    /// The content of `ip_local_reserved_ports`.
    reserved: String,
}

/// Reports the relay's `ports` that the kernel may assign to any program, with the remedy. Relays
/// on loopback serve this machine alone and do not justify a change of the whole system. Returns
/// `None` if `/proc/sys` is not visible, as under byway.service.
#[must_use]
pub fn remark(addresses: &[IpAddr], ports: &RangeInclusive<u16>) -> Option<String> {
    if addresses.iter().all(IpAddr::is_loopback) {
        return None;
    }
    LocalPorts::read().ok()?.remark(ports)
}

impl LocalPorts {
    fn read() -> io::Result<Self> {
        let read = |name| std::fs::read_to_string(Path::new("/proc/sys/net/ipv4").join(name));
        let (range, reserved) = (read("ip_local_port_range")?, read("ip_local_reserved_ports")?);
        Self::parse(&range, &reserved).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Parses `32768\t60999` and a list such as `8080,49152-65535`, which is empty if nothing is
    /// reserved.
    fn parse(range: &str, reserved: &str) -> Option<Self> {
        let mut bounds = range.split_whitespace().map(str::parse);
        let (low, high) = (bounds.next()?.ok()?, bounds.next()?.ok()?);
        Some(Self { range: low..=high, reserved: reserved.trim().to_owned() })
    }

    fn is_ephemeral(&self, port: u16) -> bool {
        let is_in = |range: &str| {
            let (low, high) = range.split_once('-').unwrap_or((range, range));
            let bounds = low.trim().parse().ok().zip(high.trim().parse().ok());
            bounds.is_some_and(|(low, high): (u16, u16)| (low..=high).contains(&port))
        };
        self.range.contains(&port) && !self.reserved.split(',').any(is_in)
    }

    fn remark(&self, ports: &RangeInclusive<u16>) -> Option<String> {
        let mut shared = ports.clone().filter(|port| self.is_ephemeral(*port));
        let first = shared.next()?;
        let last = shared.next_back().unwrap_or(first);
        let relay = format!("{}-{}", ports.start(), ports.end());
        let list = if self.reserved.is_empty() { relay } else { format!("{},{relay}", self.reserved) };
        Some(format!(
            "the kernel assigns ports {first}-{last} of relay.ports to any program that asks for a free one, \
             so relays cannot use those: reserve them with `sysctl -w net.ipv4.ip_local_reserved_ports={list}`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remark_of(range: &str, reserved: &str, ports: RangeInclusive<u16>) -> Option<String> {
        LocalPorts::parse(range, reserved).unwrap().remark(&ports)
    }

    #[test]
    fn threat_49_relay_ports_that_the_kernel_gives_away_are_told_with_the_remedy() {
        assert_eq!(
            remark_of("32768\t60999\n", "\n", 49_152..=65_535).unwrap(),
            "the kernel assigns ports 49152-60999 of relay.ports to any program that asks for a free one, \
             so relays cannot use those: reserve them with `sysctl -w net.ipv4.ip_local_reserved_ports=49152-65535`"
        );
        let told = |range, reserved, ports| remark_of(range, reserved, ports).unwrap_or_default();
        // Ports that are reserved for others stay reserved.
        assert!(
            told("1024 65535", "8080,9000-9010\n", 50_000..=50_099)
                .contains("ports=8080,9000-9010,50000-50099`")
        );
        assert!(
            told("32768 60999", "49152-49999,50001-65535", 49_152..=65_535).contains("ports 50000-50000 of")
        );
        assert!(told("32768 60999", "", 60_999..=61_010).contains("ports 60999-60999 of"));
    }

    #[test]
    fn what_is_reserved_or_elsewhere_is_not_worth_a_word() {
        for (range, reserved, ports) in [
            ("32768 60999", "49152-65535", 49_152..=65_535),
            ("32768 60999", "1,40000-50000,50001-61000", 49_152..=65_535),
            ("32768 49151", "", 49_152..=65_535),
            ("32768 60999", "", 61_000..=65_535),
        ] {
            assert_eq!(remark_of(range, reserved, ports), None, "{range} {reserved}");
        }
        assert_eq!(LocalPorts::parse("32768", ""), None);
        assert_eq!(LocalPorts::parse("low high", ""), None);
    }

    #[test]
    fn this_kernel_can_be_read_and_loopback_is_left_alone() {
        LocalPorts::read().unwrap();
        assert_eq!(remark(&["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()], &(1024..=65_535)), None);
    }
}
