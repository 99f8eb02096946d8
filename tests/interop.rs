//! coturn's own clients against the real binary: an independent reading of RFC 8489 and RFC 8656.
//!
//! `tests/run interop` installs them (package `coturn`); a machine without them fails here rather than passing by.
//! `turnutils_uclient` exits with 0 even if every packet was lost, so what it printed is read.

#[path = "tls/certificates.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "shared with the tests of the TLS port, which use more of it"
)]
mod certificates;
mod support;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;

use support::Server;

/// Clients of a run, messages of each, bytes of each message.
const LOAD: (u64, u64, u64) = (2, 20, 100);
const BYTES: u64 = LOAD.0 * LOAD.1 * LOAD.2;

const TO_PEER: &str = r#"byway_relayed_bytes_total{direction="to_peer"}"#;
const TO_CLIENT: &str = r#"byway_relayed_bytes_total{direction="to_client"}"#;
const BETWEEN_CLIENTS: &str = r#"byway_relayed_bytes_total{direction="between_clients"}"#;

#[test]
fn channel_data_to_a_peer_and_back() {
    let server = Server::start();
    let peer = Echo::start(Ipv4Addr::LOCALHOST.into());
    Uclient::of(&server).towards(&peer).args(&["-X"]).relays_everything();
    through_a_relay_socket(&server);
}

#[test]
fn send_and_data_indications_to_a_peer_and_back() {
    let server = Server::start();
    let peer = Echo::start(Ipv4Addr::LOCALHOST.into());
    Uclient::of(&server).towards(&peer).args(&["-X", "-s"]).relays_everything();
    through_a_relay_socket(&server);
}

/// `-g`: DONT-FRAGMENT in the Allocate request and in every Send indication.
#[test]
fn indications_with_dont_fragment_to_a_peer_and_back() {
    let server = Server::start();
    let peer = Echo::start(Ipv4Addr::LOCALHOST.into());
    Uclient::of(&server).towards(&peer).args(&["-X", "-s", "-g"]).relays_everything();
    through_a_relay_socket(&server);
}

#[test]
fn channel_data_to_an_ipv6_peer_and_back() {
    let server = Server::start();
    let peer = Echo::start(Ipv6Addr::LOCALHOST.into());
    Uclient::of(&server).towards(&peer).args(&["-x"]).relays_everything();
    through_a_relay_socket(&server);
}

#[test]
fn client_to_client_by_channel_data() {
    let server = Server::start();
    Uclient::of(&server).args(&["-y"]).relays_everything();
    between_clients(&server);
}

#[test]
fn client_to_client_by_send_indications() {
    let server = Server::start();
    Uclient::of(&server).args(&["-y", "-s"]).relays_everything();
    between_clients(&server);
}

#[test]
fn client_to_client_with_ipv6_relays() {
    let server = Server::start();
    Uclient::of(&server).args(&["-x", "-y"]).relays_everything();
    between_clients(&server);
}

/// `-Z` asks for an address of each family (ADDITIONAL-ADDRESS-FAMILY), and talks to a peer of either.
#[test]
fn a_dual_allocation_relays_to_peers_of_both_families() {
    for family in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
        for method in [&["-Z"][..], &["-Z", "-s"]] {
            let server = Server::start();
            let peer = Echo::start(family);
            Uclient::of(&server).towards(&peer).args(method).relays_everything();
            through_a_relay_socket(&server);
        }
    }
}

#[test]
fn client_to_client_with_dual_allocations() {
    let server = Server::start();
    Uclient::of(&server).args(&["-Z", "-y"]).relays_everything();
    between_clients(&server);
}

#[test]
fn a_client_over_tcp_to_a_peer_and_back() {
    for how in [&["-X"][..], &["-X", "-s"], &["-x"]] {
        let server = Server::start();
        let v6 = how == ["-x"];
        let peer = Echo::start(if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        Uclient::over_tcp(&server).towards(&peer).args(how).relays_everything();
        through_a_relay_socket(&server);
    }
}

#[test]
fn client_to_client_over_tcp() {
    for how in [&["-y"][..], &["-y", "-s"], &["-y", "-x"]] {
        let server = Server::start();
        Uclient::over_tcp(&server).args(how).relays_everything();
        between_clients(&server);
    }
}

#[test]
fn a_client_over_tls_to_a_peer_and_back() {
    for how in [&["-X"][..], &["-X", "-s"], &["-x"]] {
        let (server, _, _folder) = certificates::server();
        let v6 = how == ["-x"];
        let peer = Echo::start(if v6 { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() });
        Uclient::over_tls(&server).towards(&peer).args(how).relays_everything();
        through_a_relay_socket(&server);
    }
}

#[test]
fn client_to_client_over_tls() {
    for how in [&["-y"][..], &["-y", "-s"]] {
        let (server, _, _folder) = certificates::server();
        Uclient::over_tls(&server).args(how).relays_everything();
        between_clients(&server);
    }
}

#[test]
fn a_client_that_comes_over_ipv6() {
    let server = Server::start();
    Uclient::at(server.bound.udp_v6()).credential(&server).args(&["-X", "-y"]).relays_everything();
    between_clients(&server);
}

#[test]
fn repeated_permissions_and_channel_binds_are_granted_again() {
    let server = Server::start();
    Uclient::of(&server).args(&["-y", "-G"]).relays_everything();
    between_clients(&server);
}

#[test]
fn the_clients_own_rest_api_credential_from_the_shared_secret() {
    let server = Server::start();
    Uclient::at(server.bound.udp_v4())
        .args(&["-u", "alice", "-W", support::SECRET, "-y"])
        .relays_everything();
    between_clients(&server);
}

#[test]
fn a_wrong_password_gets_no_allocation() {
    let server = Server::start();
    let (username, _) = server.credential("alice");
    let uclient = Uclient::at(server.bound.udp_v4()).args(&["-u", &username, "-w", "wrong", "-y"]);
    let printed = uclient.run();
    assert!(printed.contains("Cannot complete Allocation"), "{printed}");
    assert_eq!(server.metric("byway_allocations_granted_total"), 0);
}

#[test]
fn binding_over_ipv4_and_ipv6() {
    let server = Server::start();
    for listener in [server.bound.udp_v4(), server.bound.udp_v6()] {
        let port = listener.port().to_string();
        // Unanswered it would wait for ever; `timeout` is of the essential package coreutils.
        let printed = print(
            Command::new("timeout")
                .args(["10", "turnutils_stunclient", "-p", &port])
                .arg(listener.ip().to_string()),
        );
        let seen = format!("UDP reflexive addr: {}:", listener.ip());
        assert!(printed.contains(&seen), "{printed}");
    }
}

/// The payload went out through relay sockets and came back through them, byte for byte.
fn through_a_relay_socket(server: &Server) {
    assert_eq!([TO_PEER, TO_CLIENT, BETWEEN_CLIENTS].map(|series| server.metric(series)), [BYTES, BYTES, 0]);
}

/// The payload never left the process: from one client's allocation to the other's, in memory.
fn between_clients(server: &Server) {
    assert_eq!([TO_PEER, TO_CLIENT].map(|series| server.metric(series)), [0, 0]);
    assert!(server.metric(BETWEEN_CLIENTS) >= BYTES, "{}", server.metric(BETWEEN_CLIENTS));
}

/// One run of `turnutils_uclient`.
struct Uclient {
    server: SocketAddr,
    arguments: Vec<String>,
}

impl Uclient {
    /// A client of the IPv4 listener with a credential that `byway credential` issued.
    fn of(server: &Server) -> Self {
        Self::at(server.bound.udp_v4()).credential(server)
    }

    /// A client of the IPv4 listener of TCP.
    fn over_tcp(server: &Server) -> Self {
        Self::at(server.bound.tcp_v4()).credential(server).args(&["-t"])
    }

    /// A client of the TLS listener. It takes any certificate.
    fn over_tls(server: &Server) -> Self {
        Self::at(server.bound.tls()).credential(server).args(&["-t", "-S"])
    }

    /// A client without a credential. `-c`: no second stream for RTCP; `-z 5`: a message every 5 ms.
    fn at(server: SocketAddr) -> Self {
        let (clients, messages, length) = LOAD;
        let load = format!("-c -z 5 -m {clients} -n {messages} -l {length} -p {}", server.port());
        Self { server, arguments: load.split(' ').map(str::to_owned).collect() }
    }

    fn credential(self, server: &Server) -> Self {
        let (username, password) = server.credential("alice");
        self.args(&["-u", &username, "-w", &password])
    }

    fn towards(self, peer: &Echo) -> Self {
        self.args(&["-e", &peer.address.ip().to_string(), "-r", &peer.address.port().to_string()])
    }

    fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self
    }

    fn run(&self) -> String {
        let mut command = Command::new("timeout");
        print(
            command.args(["60", "turnutils_uclient"]).args(&self.arguments).arg(self.server.ip().to_string()),
        )
    }

    /// All that was sent has come back.
    fn relays_everything(&self) {
        let printed = self.run();
        let totals = format!("tot_send_bytes ~ {BYTES}, tot_recv_bytes ~ {BYTES}");
        assert!(printed.contains(&totals), "{printed}");
        assert!(printed.contains("Total lost packets 0 "), "{printed}");
    }
}

/// What a command prints on both streams; coturn's tools divide their words between them.
fn print(command: &mut Command) -> String {
    let output = command.output().expect("`timeout` starts");
    let printed =
        [output.stdout, output.stderr].map(|stream| String::from_utf8_lossy(&stream).into_owned()).concat();
    assert_ne!(
        output.status.code(),
        Some(127),
        "coturn's tools are missing, `tests/run interop` installs them: {printed}"
    );
    printed
}

/// A peer that sends back what it gets, for as long as the process lives.
struct Echo {
    address: SocketAddr,
}

impl Echo {
    fn start(address: IpAddr) -> Self {
        let socket = UdpSocket::bind((address, 0)).expect("a free port on loopback");
        let address = socket.local_addr().expect("it is bound");
        // The thread ends with the test process; the socket is its own.
        std::thread::spawn(move || {
            let mut payload = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut payload) {
                let _ = socket.send_to(&payload[..length], from);
            }
        });
        Self { address }
    }
}
