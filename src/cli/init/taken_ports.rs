//! Ports of the configuration that another program uses.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::config::Config;

use super::reachability::Remark;

/// Protocol of a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    fn name(self) -> &'static str {
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

/// Returns a warning for each port that is taken, except by a program with the name `ours`, which
/// will be restarted. A port that this user may not bind counts as free.
pub(super) fn warnings(config: &Config, ours: Option<&str>) -> Vec<Remark> {
    let listen = &config.listen;
    let udp = listen.udp.iter().map(|address| (Protocol::Udp, *address));
    let tcp = [&listen.tcp, &listen.tls, &listen.http].into_iter().flatten();
    let all = udp.chain(tcp.map(|address| (Protocol::Tcp, *address)));
    let taken: BTreeSet<_> = all
        .filter(|(protocol, address)| is_taken(*protocol, *address))
        .map(|(protocol, address)| (protocol, address.port()))
        .collect();
    let warning = |(protocol, port)| {
        let owner = owner(protocol, port);
        if owner.is_some() && owner.as_deref() == ours {
            return None;
        }
        let by = owner.map_or("another program".to_owned(), |owner| format!("the program `{owner}`"));
        Some(Remark::warning(
            format!("{by} uses {} port {port}, so the server cannot start", protocol.name()),
            "stop it (`ss -lntup` names it), or put Byway behind it: docs/install.md, \"Behind a reverse proxy\"",
        ))
    };
    taken.into_iter().filter_map(warning).collect()
}

fn is_taken(protocol: Protocol, address: SocketAddr) -> bool {
    let bound = match protocol {
        Protocol::Tcp => TcpListener::bind(address).map(drop),
        Protocol::Udp => UdpSocket::bind(address).map(drop),
    };
    address.port() != 0 && bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse)
}

/// Returns the name of the program that holds a port, as far as this user may see it.
fn owner(protocol: Protocol, port: u16) -> Option<String> {
    let (lists, state) = protocol.sockets();
    let lists: String = lists.into_iter().filter_map(|list| fs::read_to_string(list).ok()).collect();
    let links: Vec<String> =
        inodes(&lists, port, state).into_iter().map(|inode| format!("socket:[{inode}]")).collect();
    let is_holder = |process: &fs::DirEntry| {
        let files = fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_link(file.path()).ok())
            .any(|to| links.iter().any(|link| to.as_os_str() == link.as_str()))
    };
    let process = fs::read_dir("/proc").ok()?.flatten().find(is_holder)?;
    Some(fs::read_to_string(process.path().join("comm")).ok()?.trim_end().to_owned())
}

/// Parses the inodes of the sockets at a port: one socket per line, with its local address as the
/// second word, the state as the fourth and the inode as the tenth.
fn inodes<'a>(list: &'a str, port: u16, state: Option<&str>) -> Vec<&'a str> {
    let suffix = format!(":{port:04X}");
    let inode = |line: &'a str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let is_it =
            words.get(1)?.ends_with(&suffix) && state.is_none_or(|state| words[3..].first() == Some(&state));
        words.get(9).copied().filter(|_| is_it)
    };
    list.lines().filter_map(inode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_with_its_program() {
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut config = Config::embedded();
        config.listen.udp = vec![datagrams.local_addr().unwrap()];
        config.listen.tcp = vec![held.local_addr().unwrap()];
        config.listen.http = Vec::new();
        let said: Vec<String> = warnings(&config, None).iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        let me = fs::read_to_string("/proc/self/comm").unwrap();
        let port = held.local_addr().unwrap().port();
        let expected = format!("warning: the program `{}` uses TCP port {port}, so", me.trim_end());
        assert!(said[0].starts_with(&expected), "{said:?}");
        assert!(said[1].contains("uses UDP port"), "{said:?}");
        assert_eq!(warnings(&config, Some(me.trim_end())), []);
        drop((held, datagrams));
        assert_eq!(warnings(&config, None), []);
    }

    #[test]
    fn sockets_are_found_by_port_and_state() {
        let list = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n   \
            0: 00000000:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0\n   \
            1: 0100007F:01BB 0100007F:C000 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0 20 4 30 10 -1\n   \
            2: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0\n\
            broken\n";
        assert_eq!(inodes(list, 443, Some("0A")), ["111"]);
        assert_eq!(inodes(list, 443, None), ["111", "222"]);
        assert_eq!(inodes(list, 0x0050, Some("0A")), ["333"]);
    }
}
