//! Ports: who holds those of the configuration.

use std::net::SocketAddr;

use super::Finding;
use crate::fault::Fault;

/// State of one configured listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Its key, such as `listen.tls`.
    pub key: &'static str,
    /// `UDP` or `TCP`.
    pub protocol: &'static str,
    /// Configured address.
    pub address: SocketAddr,
    /// Holder of the port.
    pub holder: Holder,
}

/// Holder of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// The running server.
    Server,
    /// Another program, with its name and process id.
    Other(String, u32),
    /// A program that this user may not see.
    Unseen,
}

/// Judges one listener. `is_running` tells whether a server answers.
pub fn judge(port: &Port, is_running: bool) -> Finding {
    let Port { key, protocol, address, holder } = port;
    let what = format!("{protocol} {address} ({key})");
    let taken = |by: String| {
        let web = matches!(address.port(), 80 | 443);
        let behind = if web {
            "; or keep it as a reverse proxy, and put Byway behind it: docs/install.md, \"Behind a reverse proxy\""
        } else {
            "; or configure another port"
        };
        Finding::failed(
            Fault::PortTaken,
            format!("another program has {what}"),
            by,
            format!("stop it (`ss -lntup` names it){behind}"),
        )
    };
    match holder {
        Holder::Server => Finding::ok(what, "held by this server"),
        Holder::Other(name, pid) => taken(format!("{name}, process {pid}")),
        // The server answers, so it is the likely holder.
        Holder::Unseen if is_running => Finding::ok(what, "held, by the running server as it seems"),
        Holder::Unseen => taken("a program that this user may not see".to_owned()),
        Holder::Nobody if is_running => Finding::failed(
            Fault::Degraded,
            format!("the running server does not listen on {what}"),
            "nobody holds the port",
            "apply the configuration (`byway reload`), then see what the server says of it: byway health",
        ),
        Holder::Nobody => Finding::ok(what, "free"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_port_is_ours_free_or_taken() {
        let judged = |holder, is_running, address: &str| {
            let port = Port { key: "listen.tls", protocol: "TCP", address: address.parse().unwrap(), holder };
            judge(&port, is_running)
        };
        let nginx = || Holder::Other("nginx".to_owned(), 7);
        assert_eq!(
            judged(nginx(), false, "0.0.0.0:443").to_string(),
            "failed   another program has TCP 0.0.0.0:443 (listen.tls): nginx, process 7\n         \
             remedy: stop it (`ss -lntup` names it); or keep it as a reverse proxy, and put Byway behind it: \
             docs/install.md, \"Behind a reverse proxy\"\n         more: byway explain port-taken"
        );
        assert!(judged(nginx(), true, "[::]:3478").remedy.ends_with("or configure another port"));
        assert_eq!(judged(Holder::Server, true, "[::]:443").state, State::Ok);
        assert_eq!(judged(Holder::Nobody, false, "[::]:443").evidence, "free");
        assert_eq!(judged(Holder::Nobody, true, "[::]:443").fault, Some(Fault::Degraded));
        assert_eq!(judged(Holder::Unseen, true, "[::]:443").state, State::Ok);
        assert_eq!(judged(Holder::Unseen, false, "[::]:443").fault, Some(Fault::PortTaken));
    }
}
