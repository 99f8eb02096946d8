//! Ports of the configuration that another program uses.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};

use crate::cli::port_holders::{self, Processes, Protocol};
use crate::config::Config;

use super::reachability::Remark;

/// Returns a warning for each port that is taken, except by a program with the name `ours`, which
/// will be restarted. A port that this user may not bind counts as free.
pub(super) fn warnings(config: &Config, ours: Option<&str>) -> Vec<Remark> {
    let listen = &config.listen;
    let udp = listen.udp.iter().map(|address| (Protocol::Udp, *address));
    let tcp = [&listen.tcp, &listen.tls, &listen.http].into_iter().flatten();
    let all = udp.chain(tcp.map(|address| (Protocol::Tcp, *address)));
    let taken: BTreeMap<_, _> = all
        .filter(|(protocol, address)| is_taken(*protocol, *address))
        .map(|(protocol, address)| ((protocol, address.port()), address))
        .collect();
    let warning = |((protocol, port), at): ((Protocol, u16), SocketAddr)| {
        let owner = owner(protocol, at);
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
fn owner(protocol: Protocol, at: SocketAddr) -> Option<String> {
    let processes = Processes::read();
    let sockets = port_holders::sockets(protocol, at);
    sockets.iter().find_map(|socket| processes.of(socket)).map(|process| process.name.clone())
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
        let me = std::fs::read_to_string("/proc/self/comm").unwrap();
        let port = held.local_addr().unwrap().port();
        let expected = format!("warning: the program `{}` uses TCP port {port}, so", me.trim_end());
        assert!(said[0].starts_with(&expected), "{said:?}");
        assert!(said[1].contains("uses UDP port"), "{said:?}");
        assert_eq!(warnings(&config, Some(me.trim_end())), []);
        drop((held, datagrams));
        assert_eq!(warnings(&config, None), []);
    }
}
