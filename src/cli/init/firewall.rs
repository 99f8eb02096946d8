//! Ports to open in firewalls.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::process::{Command, Stdio};

use crate::config::Config;

/// Ports that clients use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicPorts {
    tcp: BTreeSet<u16>,
    udp: BTreeSet<u16>,
    relay: RangeInclusive<u16>,
}

impl PublicPorts {
    /// Returns the ports of the listeners that other machines reach, and those of the relay.
    pub(super) fn of(config: &Config) -> Self {
        let listen = &config.listen;
        let public = |listeners: &[&Vec<SocketAddr>]| {
            let all = listeners.iter().flat_map(|addresses| addresses.iter());
            all.filter(|address| !address.ip().is_loopback()).map(SocketAddr::port).collect()
        };
        Self {
            tcp: public(&[&listen.tcp, &listen.tls, &listen.http]),
            udp: public(&[&listen.udp]),
            relay: config.relay.ports.clone(),
        }
    }

    /// Returns the commands for ufw and nftables, and a hint on the provider's firewall.
    pub(super) fn instructions(&self) -> String {
        let tcp = joined(&self.tcp, ", ");
        let udp = joined(&self.udp, ", ");
        let (low, high) = (self.relay.start(), self.relay.end());
        let (ufw_tcp, ufw_udp) = (joined(&self.tcp, ","), joined(&self.udp, ","));
        format!(
            "Open these ports in the firewall of this machine:\n  \
             TCP {tcp}\n  \
             UDP {udp}, {low}-{high}\n\
             With ufw:\n  \
             sudo ufw allow {ufw_tcp}/tcp\n  \
             sudo ufw allow {ufw_udp},{low}:{high}/udp\n\
             With nftables, and the same rules in /etc/nftables.conf for the next boot:\n  \
             sudo nft insert rule inet filter input tcp dport '{{ {tcp} }}' accept\n  \
             sudo nft insert rule inet filter input udp dport '{{ {udp}, {low}-{high} }}' accept\n\
             Open the same ports in your provider's firewall (\"security group\", \"cloud firewall\"), if it has one.\n"
        )
    }
}

/// Whether ufw is active on this machine and blocks a TCP port. Without ufw, or without the right
/// to ask it, the answer is no.
pub(super) fn does_ufw_block(port: u16) -> bool {
    let mut ufw = Command::new("ufw");
    ufw.args(["status", "verbose"]).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    ufw.output().is_ok_and(|output| is_blocked(&String::from_utf8_lossy(&output.stdout), port))
}

/// Parses the status of ufw. A rule for an application or an address counts as one for every port.
fn is_blocked(status: &str, port: u16) -> bool {
    let lines = || status.lines().map(str::trim);
    let is_active = lines().any(|line| line == "Status: active");
    let denies = lines().any(|line| {
        ["Default: deny (incoming)", "Default: reject (incoming)"].iter().any(|rule| line.starts_with(rule))
    });
    let allows = |line: &str| {
        let Some((to, _)) = line.split_once(" ALLOW").or_else(|| line.split_once(" LIMIT")) else {
            return false;
        };
        let (ports, protocol) = to.trim().split_once('/').unwrap_or((to.trim(), "tcp"));
        let is_list = ports.bytes().all(|b| b.is_ascii_digit() || matches!(b, b',' | b':'));
        let is_in = |range: &str| {
            let (low, high) = range.split_once(':').unwrap_or((range, range));
            low.parse().is_ok_and(|low: u16| low <= port) && high.parse().is_ok_and(|high: u16| port <= high)
        };
        !is_list || (protocol.starts_with("tcp") && ports.split(',').any(is_in))
    };
    is_active && denies && !lines().any(|line| !line.contains("OpenSSH") && allows(line))
}

fn joined(ports: &BTreeSet<u16>, separator: &str) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_ufw_says_whether_a_port_is_blocked() {
        let status = |rules: &str| {
            format!(
                "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\n\
                 To                         Action      From\n--                         ------      ----\n{rules}"
            )
        };
        for (rules, blocked) in [
            ("", true),
            ("22/tcp                     ALLOW IN    Anywhere\n", true),
            ("OpenSSH                    ALLOW IN    Anywhere\n", true),
            ("443/udp                    ALLOW IN    Anywhere\n", true),
            ("443/tcp                    DENY IN     Anywhere\n", true),
            ("443                        ALLOW IN    Anywhere\n", false),
            ("443,3478/tcp               ALLOW IN    Anywhere\n", false),
            ("1:1000/tcp (v6)            ALLOW IN    Anywhere (v6)\n", false),
            ("WWW Full                   ALLOW IN    Anywhere\n", false),
        ] {
            assert_eq!(is_blocked(&status(rules), 443), blocked, "{rules}");
        }
        assert!(!is_blocked("Status: inactive\n", 443) && !is_blocked("", 443));
        assert!(!is_blocked(&status("").replace("deny", "allow"), 443));
    }

    #[test]
    fn the_commands_name_the_ports_of_public_listeners_alone() {
        let mut config = Config::embedded();
        let addresses = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<_>>();
        config.listen.udp = addresses(&["0.0.0.0:3478", "[::]:3478", "0.0.0.0:443"]);
        config.listen.tcp = addresses(&["0.0.0.0:3478"]);
        config.listen.tls = addresses(&["0.0.0.0:443", "127.0.0.1:444"]);
        config.relay.ports = 50_000..=50_100;
        let said = PublicPorts::of(&config).instructions();
        for line in [
            "  TCP 443, 3478\n",
            "  UDP 443, 3478, 50000-50100\n",
            "  sudo ufw allow 443,3478/tcp\n",
            "  sudo ufw allow 443,3478,50000:50100/udp\n",
            "  sudo nft insert rule inet filter input tcp dport '{ 443, 3478 }' accept\n",
            "  sudo nft insert rule inet filter input udp dport '{ 443, 3478, 50000-50100 }' accept\n",
            "your provider's firewall",
        ] {
            assert!(said.contains(line), "{line} in:\n{said}");
        }
    }
}
