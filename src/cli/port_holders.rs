//! Holders of ports, from the kernel's lists of sockets and the descriptors of processes.

use std::collections::HashMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// Protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        }
    }

    /// Lists of the kernel's sockets, and the state of one that holds its port.
    fn sockets(self) -> ([&'static str; 2], Option<&'static str>) {
        match self {
            Self::Tcp => (["/proc/net/tcp", "/proc/net/tcp6"], Some("0A")),
            Self::Udp => (["/proc/net/udp", "/proc/net/udp6"], None),
        }
    }
}

/// Process that has sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: String,
}

/// Processes by the inodes of their sockets, as far as this user may see them.
#[derive(Clone, Debug, Default)]
pub(super) struct Processes(HashMap<String, Process>);

/// Socket that holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) at: SocketAddr,
    inode: String,
}

impl Processes {
    pub(super) fn read() -> Self {
        let mut by_inode = HashMap::new();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
            let links = files.filter_map(|file| fs::read_link(file.path()).ok());
            let inodes: Vec<String> = links.filter_map(|link| inode_of(&link)).collect();
            if inodes.is_empty() {
                continue;
            }
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            let process = Process { pid, name: name.trim_end().to_owned() };
            by_inode.extend(inodes.into_iter().map(|inode| (inode, process.clone())));
        }
        Self(by_inode)
    }

    /// Returns the process that has a socket.
    pub(super) fn of(&self, socket: &Socket) -> Option<&Process> {
        self.0.get(&socket.inode)
    }
}

fn inode_of(link: &Path) -> Option<String> {
    Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
}

/// Returns the sockets that keep others from binding `address`: those of its port, at the same
/// address or a wildcard.
pub(super) fn sockets(protocol: Protocol, address: SocketAddr) -> Vec<Socket> {
    let (lists, state) = protocol.sockets();
    let lists = lists.into_iter().filter_map(|list| fs::read_to_string(list).ok());
    lists.flat_map(|list| parse(&list, state)).filter(|socket| is_in_the_way(socket.at, address)).collect()
}

fn is_in_the_way(socket: SocketAddr, wanted: SocketAddr) -> bool {
    let (there, ours) = (socket.ip(), wanted.ip());
    let is_same_family = there.is_ipv4() == ours.is_ipv4();
    // A wildcard of IPv6 may take IPv4 too.
    let may_be_dual = there.is_unspecified() && there.is_ipv6();
    let meets = there == ours || there.is_unspecified() || ours.is_unspecified();
    socket.port() == wanted.port() && meets && (is_same_family || may_be_dual)
}

/// Parses one socket per line, with its local address as the second word, the state as the fourth
/// and the inode as the tenth.
fn parse(list: &str, state: Option<&str>) -> Vec<Socket> {
    let socket = |line: &str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let (local, found, inode) = (words.get(1)?, words.get(3)?, words.get(9)?);
        let at = address(local)?;
        state.is_none_or(|state| state == *found).then(|| Socket { at, inode: (*inode).to_owned() })
    };
    list.lines().filter_map(socket).collect()
}

/// Parses an address of the kernel's lists: words of 32 bits in the machine's order, as
/// hexadecimal, then the port.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |index: usize| {
        let word = u32::from_str_radix(ip.get(index * 8..index * 8 + 8)?, 16).ok()?;
        Some(word.to_ne_bytes())
    };
    let ip: IpAddr = match ip.len() {
        8 => Ipv4Addr::from(word(0)?).into(),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: Vec<u8> = words.into_iter().flatten().collect();
            Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_held_port_is_found_with_its_process() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = held.local_addr().unwrap();
        let found = sockets(Protocol::Tcp, at);
        assert_eq!(found.iter().map(|socket| socket.at).collect::<Vec<_>>(), [at]);
        let process = Processes::read().of(&found[0]).cloned().unwrap();
        assert_eq!(process.pid, std::process::id());
        assert_eq!(sockets(Protocol::Udp, at), []);
    }

    #[test]
    fn sockets_are_parsed_by_state() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0\n   \
            1: 0100007F:01BB 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1\n   \
            2: 00000000000000000000000001000000:0050 0:0 0A 0:0 00:0 0 0 0 333 1 0 100 0 0 10 0\n\
            broken\n   3: 00:01 0 0A 0 0 0 0 0 444\n";
        let found = |state| -> Vec<String> {
            parse(list, state).iter().map(|socket| format!("{} {}", socket.at, socket.inode)).collect()
        };
        assert_eq!(found(Some("0A")), ["0.0.0.0:443 111", "[::1]:80 333"]);
        assert_eq!(found(None), ["0.0.0.0:443 111", "127.0.0.1:443 222", "[::1]:80 333"]);
    }

    #[test]
    fn a_socket_is_in_the_way_at_the_same_address_or_a_wildcard() {
        let meets = |there: &str, ours: &str| is_in_the_way(there.parse().unwrap(), ours.parse().unwrap());
        assert!(meets("0.0.0.0:443", "192.0.2.1:443") && meets("192.0.2.1:443", "0.0.0.0:443"));
        assert!(meets("[::]:443", "0.0.0.0:443"));
        assert!(!meets("127.0.0.1:443", "192.0.2.1:443") && !meets("127.0.0.1:443", "127.0.0.1:80"));
        assert!(!meets("0.0.0.0:443", "[::]:443"));
    }
}
