//! `byway load`: many TURN clients and their peers at once, to measure a server's capacity.
//!
//! Traffic goes only between the given server and sockets of this process, and each run ends by
//! itself. Setup is one loop ([`setup`]), the load another ([`traffic`]). Neither uses tokio, which
//! only resolves the server and fetches a login.

mod client;
mod error;
mod flow;
mod histogram;
mod link;
mod pace;
mod process;
mod report;
mod setup;
mod traffic;

use std::collections::HashSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use byway_turn::auth::{Secret, Secrets};
use clap::ValueEnum;
use rustls::pki_types::ServerName;

use super::probe::credentials::{self, Login};
use super::probe::error::ProbeError;
use super::probe::trust_roots::Trust;
use super::probe::{self, local_config};
use super::{CliError, CommandOutcome};
use crate::clock::Clock;
use crate::config::{Config, IceUrl, Transport};
use client::{Client, Step};
use error::LoadError;
use flow::Flow;
use link::{Carrier, Way, datagram_socket};
use process::Process;
use report::{Report, Usage, Work};
use setup::{Again, ClientPool, Member};
use traffic::{Traffic, TrafficOutcome};

/// Lifetime of a credential that is signed here: longer than any run.
const TTL: Duration = Duration::from_secs(20 * 60);
/// Maximum length of a run. It is shorter than the five minutes of a permission (RFC 8656 section
/// 9), so nothing is refreshed.
const LONGEST: Duration = Duration::from_secs(240);
/// Length of the warm-up before a measurement, in which caches fill and the server's load settles.
const WARM_UP: Duration = Duration::from_millis(300);
/// Maximum number of peers with their own sockets; additional clients share them.
const PEERS_MAX: usize = 1000;
/// Relative precision of the search for the highest rate.
const CLOSE_ENOUGH: f64 = 1.05;
/// Rate in datagrams per second below which the search tries no lower one.
const FIND_MIN: f64 = 10.0;

#[derive(Debug, clap::Args)]
pub(super) struct LoadArguments {
    /// Kind of load
    #[arg(value_enum)]
    mode: Mode,
    /// URL of the server, such as turn:192.0.2.1:3478, turn:example.org?transport=tcp or
    /// turns:example.org:443 [default: the configuration's first listener]
    #[arg(value_name = "URL", value_parser = probe::url)]
    url: Option<IceUrl>,
    /// Number of clients, each with its own allocation; must be even for `pair`
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60_000))]
    clients: u32,
    /// Datagrams per second, or cycles per second for `allocate`; total of all clients
    #[arg(long, value_name = "PER-SECOND", default_value_t = 1000.0, value_parser = positive)]
    rate: f64,
    /// Length of the run in seconds, at most 240
    #[arg(long, value_name = "S", default_value = "5", value_parser = seconds)]
    seconds: Duration,
    /// Bytes of payload in each datagram: about 160 for audio, 1200 for video
    #[arg(long, value_name = "BYTES", default_value_t = 160, value_parser = clap::value_parser!(u16).range(24..=1400))]
    size: u16,
    /// Datagrams that a client sends back to back, like those of a video frame: 1 to 64
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    train: u16,
    /// Use Send and Data indications, as Firefox does, instead of channels
    #[arg(long)]
    indications: bool,
    /// Find the highest rate that loses less than this percentage of the datagrams, starting at
    /// --rate, in runs of --seconds
    #[arg(long, value_name = "PERCENT", value_parser = positive)]
    find_max: Option<f64>,
    /// Requests in flight at once while allocations are set up
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    window: u32,
    /// TURN username for all clients, which then share the server's quota of one user [default: one
    /// for each client, signed with the secret]
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// TURN password
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<Secret>,
    /// Secret that the server shares with issuers of credentials; ignored with --username [default:
    /// the configuration's secret, else one credential from the running server's /ice]
    #[arg(long, value_name = "SECRET", env = "BYWAY_LOAD_SECRET", hide_env_values = true)]
    secret: Option<Secret>,
    /// PEM file with certificates of issuers to trust, in addition to those that this system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Let the kernel coalesce received datagrams (GRO), which saves work here. Over loopback it
    /// also saves the server work that it has on a real network
    #[arg(long)]
    join: bool,
    /// Process ID of the server, if it runs on this machine: measure its CPU time and memory too
    #[arg(long, value_name = "PID")]
    pid: Option<u32>,
    /// Print one JSON object on one line instead of a report
    #[arg(long)]
    json: bool,
}

/// Kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Mode {
    /// Clients send to peers on this machine
    ToPeer,
    /// Peers on this machine send to clients
    ToClient,
    /// Clients and peers send to each other, at half of the rate each
    Both,
    /// Clients send to each other's relayed addresses: a call in which both sides need the relay
    Pair,
    /// Clients allocate, permit a peer and delete in a loop, each time as a new client
    Allocate,
    /// Clients send STUN Binding requests, without allocations or a login
    Binding,
    /// Clients hold allocations without traffic
    Idle,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::ToPeer => "to-peer",
            Self::ToClient => "to-client",
            Self::Both => "both",
            Self::Pair => "pair",
            Self::Allocate => "allocate",
            Self::Binding => "binding",
            Self::Idle => "idle",
        }
    }

    fn meaning(self) -> &'static str {
        match self {
            Self::ToPeer => "clients send to peers",
            Self::ToClient => "peers send to clients",
            Self::Both => "clients and peers send to each other",
            Self::Pair => "clients send to clients, both relayed",
            Self::Allocate => "allocations come and go",
            Self::Binding => "clients ask for their address",
            Self::Idle => "allocations without traffic",
        }
    }
}

impl LoadArguments {
    /// Whether the load needs nothing from this machine's configuration.
    pub(super) fn is_self_contained(&self) -> bool {
        let has_login = self.username.is_some() || self.secret.is_some() || self.mode == Mode::Binding;
        self.url.is_some() && has_login
    }
}

/// Source of credentials.
enum Logins {
    /// A separate credential for each client.
    Signed(Box<Secrets>),
    /// One credential for all clients.
    One(Rc<Login>),
}

/// Runs a load and reports.
pub(super) fn run(
    arguments: &LoadArguments,
    config: &Config,
    file: String,
) -> Result<CommandOutcome, CliError> {
    if arguments.mode == Mode::Pair && !arguments.clients.is_multiple_of(2) {
        return Err(CliError::Usage(
            "`pair` lets clients talk to each other: give an even number of --clients",
        ));
    }
    if arguments.url.as_ref().is_some_and(|url| !url.scheme.relays()) && arguments.mode != Mode::Binding {
        return Err(CliError::Usage("a stun: URL has no relay: give a turn: or turns: URL"));
    }
    // Every client and peer takes a file descriptor.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let trust = Trust::load(arguments.ca.as_deref())?;
    let found = runtime.block_on(async {
        let Some((url, server)) = target(arguments, config).await else { return Ok(None) };
        let way = way(&url, server?, &trust, arguments.join)?;
        Ok::<_, ProbeError>(Some((way, logins(arguments, config, &trust).await?)))
    });
    drop(runtime);
    let report = match found {
        Ok(Some((way, logins))) => load(arguments, &way, &logins),
        Ok(None) => return Err(CliError::NothingToProbe { file }),
        Err(trouble) => Err(trouble.into()),
    };
    let report = report
        .map_err(|fault| CliError::NoLoad { reason: fault.to_string(), remedy: fault.remedy().to_owned() })?;
    let text = if arguments.json { report.json().map_err(io::Error::from)? } else { report.to_string() };
    super::print(&text)?;
    Ok(if report.is_good() { CommandOutcome::Done } else { CommandOutcome::FaultFound })
}

/// Returns the server's URL and address; `None` if none is given and the configuration has no
/// listener.
async fn target(
    arguments: &LoadArguments,
    config: &Config,
) -> Option<(IceUrl, Result<SocketAddr, ProbeError>)> {
    if let Some(url) = &arguments.url {
        let first = probe::addresses_of(&url.host, url.port).await.and_then(|found| {
            let none = || ProbeError::UnknownHost { host: url.host.clone(), error: "no address".to_owned() };
            found.chosen.first().copied().ok_or_else(none)
        });
        return Some((url.clone(), first));
    }
    let target = local_config::targets(config).await.into_iter().next()?;
    let at = target.at?.map(|addresses| addresses[0]);
    Some((target.url, at))
}

fn way(url: &IceUrl, server: SocketAddr, trust: &Trust, join: bool) -> Result<Way, ProbeError> {
    let carrier = match (url.scheme.encrypts(), url.transport) {
        (true, _) => {
            let name = ServerName::try_from(url.host.clone());
            let unknown = |error: rustls::pki_types::InvalidDnsNameError| ProbeError::UnknownHost {
                host: url.host.clone(),
                error: error.to_string(),
            };
            Carrier::Tls(trust.config()?, name.map_err(unknown)?)
        }
        (false, Transport::Tcp) => Carrier::Tcp,
        (false, Transport::Udp) => Carrier::Udp,
    };
    Ok(Way { server, carrier, join })
}

async fn logins(arguments: &LoadArguments, config: &Config, trust: &Trust) -> Result<Logins, ProbeError> {
    if let Some((username, password)) = arguments.username.clone().zip(arguments.password.clone()) {
        return Ok(Logins::One(Rc::new(Login { username, password })));
    }
    if arguments.mode == Mode::Binding {
        return Ok(Logins::One(Rc::default()));
    }
    let signed = match &arguments.secret {
        Some(secret) => Secrets::new(&[secret]),
        None => Secrets::new(&config.credentials.secrets),
    };
    match signed {
        Some(secrets) => Ok(Logins::Signed(Box::new(secrets))),
        None => Ok(Logins::One(Rc::new(credentials::of_this_server(config, trust).await?))),
    }
}

/// Sets up, runs the load, and deletes every allocation, whatever the result.
fn load<'a>(arguments: &'a LoadArguments, way: &Way, logins: &Logins) -> Result<Report<'a>, LoadError> {
    let clock = Clock::start();
    let conductor = ClientPool { way, clock, window: arguments.window as usize };
    let mut members = Vec::new();
    for number in 0..arguments.clients {
        members.push(Member::new(Client::new(logins.of(number, clock), None), way)?);
    }
    let report = load_with(arguments, &conductor, &mut members);
    // Best effort: an allocation that is not deleted lasts ten minutes.
    members.retain(|member| member.client.relayed.is_some());
    let _ = conductor.conduct(&mut members, &[Step::Delete], None);
    report
}

fn load_with<'a>(
    arguments: &'a LoadArguments,
    conductor: &ClientPool<'_>,
    members: &mut [Member],
) -> Result<Report<'a>, LoadError> {
    let (way, clock) = (conductor.way, conductor.clock);
    let process = arguments.pid.map(Process);
    let unknown = |error| LoadError::Process { pid: arguments.pid.unwrap_or_default(), error };
    let before = process.map(Process::memory).transpose().map_err(unknown)?;

    // One client checks that the server answers.
    conductor.conduct(&mut members[..1], &[Step::Ask], None)?;
    let (mut setup, mut peers) = (None, Vec::new());
    if !matches!(arguments.mode, Mode::Binding | Mode::Allocate) {
        setup = Some(conductor.conduct(members, &[Step::Allocate], None)?);
        peers = meet(arguments.mode, way.server, way.join, members)?;
        let then: &[Step] = match arguments.mode {
            Mode::Idle => &[],
            _ if arguments.indications => &[Step::Permit],
            _ => &[Step::Permit, Step::Bind],
        };
        if !then.is_empty() {
            conductor.conduct(members, then, None)?;
        }
    }

    let local = |member: &Member| member.link.local();
    let sockets: io::Result<_> =
        members.iter().map(local).chain(peers.iter().map(UdpSocket::local_addr)).collect();
    let mut watch = Watch { process, sockets: sockets?, cpu: Duration::ZERO, dropped: 0 };
    let (work, seen) = match arguments.mode {
        Mode::Allocate => {
            let ip = source_towards(way.server)?;
            members.iter_mut().for_each(|member| member.client.peer = Some(SocketAddr::new(ip, 9)));
            let again = Again { length: arguments.seconds, rate: arguments.rate };
            let steps = [Step::Allocate, Step::Permit, Step::Delete];
            watch.begin()?;
            (Work::Cycles(conductor.conduct(members, &steps, Some(again))?), watch.end()?)
        }
        Mode::Idle => {
            watch.begin()?;
            std::thread::sleep(arguments.seconds);
            (Work::Nothing, watch.end()?)
        }
        _ => {
            let flows = flows(arguments, members, peers.len(), way.server);
            let shape = (usize::from(arguments.size), u64::from(arguments.train));
            let mut traffic = Traffic::new(clock, members, &peers, flows, shape)?;
            let (outcome, seen) = match arguments.find_max {
                None => measure(&mut traffic, arguments.rate, arguments.seconds, &mut watch)?,
                Some(percent) => find_max(&mut traffic, arguments, percent / 100.0, &mut watch)?,
            };
            (Work::Traffic(outcome), seen)
        }
    };
    let after = process.map(Process::memory).transpose().map_err(unknown)?;
    let process = before.zip(after).map(|(before, after)| Usage { cpu: seen.cpu, before, after });

    Ok(Report {
        arguments,
        server: way.server,
        over: way.over(),
        setup,
        work,
        dropped_here: seen.dropped,
        process,
    })
}

impl Logins {
    fn of(&self, number: u32, clock: Clock) -> Rc<Login> {
        match self {
            Self::One(login) => Rc::clone(login),
            Self::Signed(secrets) => {
                let credential = secrets.issue(clock.now(), &format!("load-{number}"), TTL);
                Rc::new(Login { username: credential.username, password: credential.password.into() })
            }
        }
    }
}

/// Gives every client its peer, and returns the peers' sockets on this machine.
fn meet(
    mode: Mode,
    server: SocketAddr,
    join: bool,
    members: &mut [Member],
) -> Result<Vec<UdpSocket>, LoadError> {
    let relayed: Vec<_> = members.iter().filter_map(|member| member.client.relayed).collect();
    if mode == Mode::Pair {
        for (place, member) in members.iter_mut().enumerate() {
            member.client.peer = relayed.get(place ^ 1).copied();
        }
        return Ok(Vec::new());
    }
    let (Some(&relay), Some(first)) = (relayed.first(), members.first()) else { return Ok(Vec::new()) };
    if mode == Mode::Idle {
        return Ok(Vec::new());
    }
    // Peers send to the address that the server gives. It must not be another host's.
    let is_others = |relayed: &&SocketAddr| {
        let (relayed, server) = (relayed.ip().to_canonical(), server.ip().to_canonical());
        relayed != server && !(relayed.is_loopback() && server.is_loopback())
    };
    if let Some(&relayed) = relayed.iter().find(is_others)
        && matches!(mode, Mode::ToClient | Mode::Both)
    {
        return Err(LoadError::Elsewhere { server, relayed });
    }
    let (local, ip) = (first.link.local()?.ip(), source_towards(relay)?);
    if let Some(seen) = first.client.mapped.filter(|seen| seen.ip() != local) {
        return Err(LoadError::BehindNat { local, seen });
    }
    let count = members.len().min(PEERS_MAX);
    let peers: Vec<UdpSocket> = (0..count).map(|_| datagram_socket(ip, join)).collect::<io::Result<_>>()?;
    for (member, peer) in members.iter_mut().zip(peers.iter().cycle()) {
        member.client.peer = Some(peer.local_addr()?);
    }
    Ok(peers)
}

/// Returns the local address from which this machine sends to `there`.
fn source_towards(there: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if there.is_ipv4() { ([0; 4], 0).into() } else { ([0_u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.connect(there)?;
    Ok(socket.local_addr()?.ip())
}

fn flows(arguments: &LoadArguments, members: &[Member], peers: usize, server: SocketAddr) -> Vec<Flow> {
    let size = usize::from(arguments.size);
    let mut flows = Vec::new();
    for (place, member) in members.iter().enumerate() {
        if arguments.mode == Mode::Binding {
            flows.push(Flow::of_questions(place, server));
        }
        let Client { peer: Some(peer), relayed: Some(relayed), .. } = member.client else { continue };
        if arguments.mode != Mode::ToClient {
            flows.push(Flow::relayed(place, server, peer, size, arguments.indications));
        }
        if matches!(arguments.mode, Mode::ToClient | Mode::Both) {
            flows.push(Flow::bare(members.len() + place % peers, relayed));
        }
    }
    flows
}

/// Warms up, then measures.
fn measure(
    traffic: &mut Traffic<'_>,
    rate: f64,
    length: Duration,
    watch: &mut Watch,
) -> Result<(TrafficOutcome, Seen), LoadError> {
    traffic.run(rate, WARM_UP.min(length))?;
    watch.begin()?;
    Ok((traffic.run(rate, length)?, watch.end()?))
}

/// Returns the result at the highest rate that loses less than `bound`. The rate rises until a run
/// fails, then the search bisects. If every run fails, the result is that of the lowest rate tried.
fn find_max(
    traffic: &mut Traffic<'_>,
    arguments: &LoadArguments,
    bound: f64,
    watch: &mut Watch,
) -> Result<(TrafficOutcome, Seen), LoadError> {
    let (mut low, mut high, mut rate) = (0.0, f64::INFINITY, arguments.rate);
    let (mut best, mut left, mut is_bounded_here) = (None, LONGEST, false);
    loop {
        let (outcome, seen) = measure(traffic, rate, arguments.seconds, watch)?;
        left = left.saturating_sub(arguments.seconds + WARM_UP);
        let is_ours = outcome.is_late() || outcome.refused > 0 || seen.dropped > 0;
        if outcome.loss() < bound && !is_ours {
            low = rate;
            best = Some((outcome, seen));
        } else if best.is_none() && (rate < FIND_MIN || left < arguments.seconds) {
            return Ok((outcome, seen));
        } else {
            (high, is_bounded_here) = (rate, is_ours);
        }
        if let Some((mut outcome, seen)) =
            best.take_if(|_| high < low * CLOSE_ENOUGH || left < arguments.seconds)
        {
            outcome.is_bounded_here = is_bounded_here;
            return Ok((outcome, seen));
        }
        rate = if high.is_infinite() {
            rate * 1.6
        } else if best.is_none() {
            rate / 2.0
        } else {
            f64::midpoint(low, high)
        };
    }
}

/// Counters of the server's process and of this program's sockets since the start of a measurement.
struct Watch {
    process: Option<Process>,
    sockets: HashSet<SocketAddr>,
    cpu: Duration,
    dropped: u64,
}

/// Change of the counters during a measurement.
struct Seen {
    /// CPU time of the process.
    cpu: Duration,
    /// Datagrams that this program's sockets dropped.
    dropped: u64,
}

impl Watch {
    fn begin(&mut self) -> io::Result<()> {
        let Seen { cpu, dropped } = self.read()?;
        (self.cpu, self.dropped) = (cpu, dropped);
        Ok(())
    }

    /// Returns the change since `begin`.
    fn end(&self) -> io::Result<Seen> {
        let Seen { cpu, dropped } = self.read()?;
        Ok(Seen { cpu: cpu.saturating_sub(self.cpu), dropped: dropped.saturating_sub(self.dropped) })
    }

    fn read(&self) -> io::Result<Seen> {
        let cpu = self.process.map(Process::cpu).transpose()?.unwrap_or_default();
        Ok(Seen { cpu, dropped: process::dropped(&self.sockets) })
    }
}

/// Parses a number above zero.
fn positive(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0);
    number.ok_or_else(|| "give a number above 0".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let length = positive(text).ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    length
        .filter(|length| *length <= LONGEST)
        .ok_or_else(|| "give a number of seconds above 0 and at most 240".to_owned())
}
