//! One run of `turnutils_uclient`, and what its words mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Command;

use byway_test_support::process::Server;

use super::lab::{Echo, Lab, Transport};

/// Peers of the clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A host outside, by IPv4 or IPv6, that echoes.
    V4,
    V6,
    /// Each other, by their relayed transport addresses (`-y`).
    Client,
    /// Each other, with a second allocation for RTCP beside each: EVEN-PORT with its R bit, and
    /// RESERVATION-TOKEN.
    ClientWithRtcp,
}

/// Number of clients, messages of each, bytes of each message, and milliseconds between messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) clients: u64,
    pub(crate) messages: u64,
    pub(crate) length: u64,
    pub(crate) interval: u64,
}

impl Load {
    /// Enough to see that everything is relayed, in order.
    pub(crate) const LIGHT: Self = Self { clients: 2, messages: 20, length: 100, interval: 5 };

    pub(crate) fn bytes(self) -> u64 {
        self.clients * self.messages * self.length
    }
}

/// A run in the making.
pub(crate) struct Uclient {
    server: SocketAddr,
    seconds: u64,
    arguments: Vec<String>,
}

impl Uclient {
    /// With a credential that `byway credential` issued. It takes any certificate.
    pub(crate) fn new(lab: &Lab, transport: Transport) -> Self {
        Self::at(lab.listener(transport, false), transport).credential(&lab.server)
    }

    /// Without a credential.
    pub(crate) fn at(server: SocketAddr, transport: Transport) -> Self {
        let transport = match transport {
            Transport::Udp => "",
            Transport::Tcp => "-t",
            Transport::Tls => "-t -S",
        };
        let run = Self { server, seconds: 60, arguments: Vec::new() };
        run.args(transport).args(&format!("-p {}", server.port()))
    }

    pub(crate) fn credential(self, server: &Server) -> Self {
        let (username, password) = server.credential("alice");
        self.args(&format!("-u {username} -w {password}"))
    }

    /// Flags as one writes them on a command line, separated by blanks.
    pub(crate) fn args(mut self, flags: &str) -> Self {
        self.arguments.extend(flags.split_whitespace().map(str::to_owned));
        self
    }

    pub(crate) fn with(self, load: Load) -> Self {
        let Load { clients, messages, length, interval } = load;
        self.args(&format!("-m {clients} -n {messages} -l {length} -z {interval}"))
    }

    pub(crate) fn towards(self, peer: Peer) -> Self {
        let outside = |ip: IpAddr| {
            let Echo { address } = Echo::start(ip);
            format!("-c -e {} -r {}", address.ip(), address.port())
        };
        let flags = match peer {
            Peer::V4 => outside(Ipv4Addr::LOCALHOST.into()),
            Peer::V6 => outside(Ipv6Addr::LOCALHOST.into()),
            // `-c`: no RTCP.
            Peer::Client => "-c -y".into(),
            Peer::ClientWithRtcp => "-y".into(),
        };
        self.args(&flags)
    }

    /// Ends it after this number of seconds, as it would wait for ever.
    pub(crate) fn for_at_most(self, seconds: u64) -> Self {
        Self { seconds, ..self }
    }

    /// Runs it, and returns its output.
    pub(crate) fn run(&self) -> String {
        // `timeout` is of the essential package coreutils.
        let mut command = Command::new("timeout");
        command.arg(self.seconds.to_string()).arg("turnutils_uclient").args(&self.arguments);
        printed(command.arg(self.server.ip().to_string()))
    }

    /// Runs it: all that was sent has come back.
    pub(crate) fn relays_everything(&self, load: Load) {
        self.has_relayed_everything(&self.run(), load);
    }

    /// By what it printed, all that was sent has come back.
    pub(crate) fn has_relayed_everything(&self, printed: &str, load: Load) {
        let bytes = load.bytes();
        let totals = format!("tot_send_bytes ~ {bytes}, tot_recv_bytes ~ {bytes}");
        assert!(printed.contains(&totals), "{:?}: {printed}", self.arguments);
        assert!(printed.contains("Total lost packets 0 "), "{:?}: {printed}", self.arguments);
    }
}

/// Output of a command on both streams; coturn's tools divide their words between them.
pub(crate) fn printed(command: &mut Command) -> String {
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
