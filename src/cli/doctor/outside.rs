//! Outside: this machine's address and ports as another STUN or TURN server sees them.
//!
//! The relay of that server sends to this server. This server sends nothing to addresses that the
//! other chooses: its relayed address counts only if it is one of the addresses of its own name.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::timeout;
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use crate::cli::probe::credentials::{Login, of_this_server};
use crate::cli::probe::error::{ProbeError, Step};
use crate::cli::probe::server_path::ServerPath;
use crate::cli::probe::trust_roots::Trust;
use crate::clock::Clock;
use crate::config::{Config, IceUrl};
use crate::diagnosis::outside::{self, Reached};
use crate::diagnosis::{Finding, State};
use crate::net::interfaces;
use crate::server::relay_addresses::RelayAddresses;

/// Deadline of each step.
const PATIENCE: Duration = Duration::from_secs(4);

/// Interval after which a datagram is sent again.
const RESEND: Duration = Duration::from_millis(400);

/// First interval of retransmissions of `turn::client`, in milliseconds.
const RETRANSMIT_MS: u16 = 200;

/// A Binding request (RFC 8489 section 5): no attribute, and a transaction id of its own.
const BINDING: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42byway-doctor";

/// Everything after the type and the length of a Binding request, which its response repeats.
const TRANSACTION: std::ops::Range<usize> = 4..20;

/// Payload to a relay port of this server.
const PAYLOAD: &[u8] = b"byway doctor, from outside";

/// Runs all steps by the server at `url`. A relay needs a login there.
pub(super) async fn judge(
    url: &IceUrl,
    login: Option<Login>,
    config: &Config,
    trust: &Trust,
    is_up: bool,
) -> Vec<Finding> {
    let from = url.to_string();
    let failed = |error: &ProbeError| {
        vec![
            Finding::skipped(format!("outside view from {from}"), error.to_string())
                .with_remedy(error.remedy()),
        ]
    };
    let addresses = match resolve(url).await {
        Ok(addresses) => addresses,
        Err(error) => return failed(&error),
    };
    let told = told(config);
    let is_reachable = |address: &&SocketAddr| told.iter().any(|ip| ip.is_ipv4() == address.is_ipv4());
    let Some(server) = addresses.iter().find(is_reachable).or(addresses.first()) else {
        let host = url.host.clone();
        return failed(&ProbeError::UnknownHost { host, error: "no address".to_owned() });
    };
    let login = login.filter(|_| url.scheme.relays());
    let connected = async {
        let road = ServerPath::of(url, *server, trust)?;
        connect(&road, login.clone().unwrap_or_default()).await
    };
    let client = match connected.await {
        Ok(client) => client,
        Err(error) => return failed(&error),
    };
    let mut findings = Vec::new();
    match within(Step::Binding, client.send_binding_request()).await {
        Ok(mapped) => findings.push(outside::mapped(&from, mapped.ip().to_canonical(), &told)),
        Err(error) => return failed(&error),
    }
    if findings.iter().any(Finding::is_failure) {
        let reason = "clients are told an address that is not this machine's: correct that first";
        findings.push(Finding::skipped("ports from outside", reason));
        return findings;
    }
    if !url.scheme.relays() {
        findings.push(Finding::skipped("ports from outside", format!("{from} does not relay")).with_remedy(
            "give a TURN server elsewhere: byway doctor --from turn:HOST --username U --password P",
        ));
        return findings;
    }
    if login.is_none() {
        findings.push(
            Finding::skipped("ports from outside", format!("no login at {from}"))
                .with_remedy("give --username and --password"),
        );
        return findings;
    }
    match within(Step::Allocation, client.allocate()).await {
        Ok(relay) => {
            let own: Vec<IpAddr> = addresses.iter().map(SocketAddr::ip).collect();
            findings.extend(through(&from, &relay, (&own, url.port), &told, config, trust, is_up).await);
            let _ = timeout(PATIENCE, relay.close()).await;
        }
        Err(error) => findings.extend(failed(&error)),
    }
    let _ = timeout(PATIENCE, client.close()).await;
    findings
}

/// Addresses of the relay that clients are told.
fn told(config: &Config) -> Vec<IpAddr> {
    let lasting = interfaces::Interfaces::read().map(|found| found.lasting).unwrap_or_default();
    let sources = interfaces::sources();
    let relays = RelayAddresses::find(&config.relay, &lasting, &sources, &[], |_| true);
    relays.addresses.iter().map(|address| address.public).collect()
}

async fn resolve(url: &IceUrl) -> Result<Vec<SocketAddr>, ProbeError> {
    let unknown = |error: String| ProbeError::UnknownHost { host: url.host.clone(), error };
    match timeout(PATIENCE, lookup_host((url.host.as_str(), url.port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(error)) => Err(unknown(error.to_string())),
        Err(_) => Err(unknown("the resolver does not answer".to_owned())),
    }
}

async fn connect(road: &ServerPath, login: Login) -> Result<Client, ProbeError> {
    let (conn, _) = road.open().await?;
    let client = Client::new(ClientConfig {
        stun_serv_addr: road.server.to_string(),
        turn_serv_addr: road.server.to_string(),
        username: login.username,
        password: AsRef::<str>::as_ref(&login.password).to_owned(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: RETRANSMIT_MS,
        conn,
        vnet: None,
    })
    .await;
    let client = client.map_err(|error| ProbeError::refused(Step::Binding, &error))?;
    client.listen().await.map_err(|error| ProbeError::refused(Step::Binding, &error))?;
    Ok(client)
}

async fn within<T>(step: Step, work: impl Future<Output = Result<T, turn::Error>>) -> Result<T, ProbeError> {
    match timeout(PATIENCE, work).await {
        Ok(done) => done.map_err(|error| ProbeError::refused(step, &error)),
        Err(_) => Err(ProbeError::Silent { step, over: crate::cli::probe::server_path::Over::Udp }),
    }
}

/// Sends through the relay outside to a listener and to a relay port of this server.
async fn through(
    from: &str,
    relay: &(impl Conn + Send + Sync),
    (own_of_relay, port): (&[IpAddr], u16),
    told: &[IpAddr],
    config: &Config,
    trust: &Trust,
    is_up: bool,
) -> Vec<Finding> {
    let skipped = |reason: String| vec![Finding::skipped("ports from outside", reason)];
    let relayed = match relay.local_addr() {
        Ok(relayed) => relayed,
        Err(error) => return skipped(error.to_string()),
    };
    let Some(ip) = told.iter().copied().find(|ip| ip.is_ipv4() == relayed.is_ipv4()) else {
        return skipped(format!("{from} relays by another version of IP than this server"));
    };
    if !is_up {
        return skipped("this server does not run, so it would not answer".to_owned());
    }
    let of_family = |at: &&SocketAddr| at.port() != 0 && at.is_ipv4() == ip.is_ipv4();
    let Some(listener) = config.listen.udp.iter().find(of_family) else {
        return skipped("this server has no UDP listener with a fixed port".to_owned());
    };
    let at = SocketAddr::new(if listener.ip().is_loopback() { listener.ip() } else { ip }, listener.port());
    let is_response =
        |heard: &[u8]| heard.starts_with(b"\x01\x01") && heard.get(TRANSACTION) == BINDING.get(TRANSACTION);
    let reached = bounce(relay, at, &BINDING, relay, is_response).await;
    let mut findings = vec![outside::listener(from, at, &reached)];
    let is_reached = findings[0].state == State::Ok;
    if !own_of_relay.contains(&relayed.ip()) {
        findings.push(Finding::skipped(
            format!("relay ports, from {from}"),
            format!("its relayed address {} is none of its name's addresses", relayed.ip()),
        ));
        return findings;
    }
    findings.push(relay_port(from, relay, (relayed, port), config, trust, is_reached).await);
    findings
}

/// Sends through the relay outside to an allocation at this server.
async fn relay_port(
    from: &str,
    relay: &(impl Conn + Send + Sync),
    (relayed, port): (SocketAddr, u16),
    config: &Config,
    trust: &Trust,
    is_listener_reached: bool,
) -> Finding {
    let what = format!("relay ports, from {from}");
    let ports = (*config.relay.ports.start(), *config.relay.ports.end());
    let allocated = async {
        let of_family = |at: &&SocketAddr| at.port() != 0 && at.is_ipv4() == relayed.is_ipv4();
        let nobody = || ProbeError::NoLogin { asked: "no UDP listener".to_owned(), remedy: "add one" };
        let listener = config.listen.udp.iter().find(of_family).ok_or_else(nobody)?;
        let login = of_this_server(config, trust).await?;
        let at = interfaces::reachable(*listener);
        let url = IceUrl {
            scheme: crate::config::IceScheme::Turn,
            host: at.ip().to_string(),
            port: at.port(),
            transport: crate::config::Transport::Udp,
        };
        let client = connect(&ServerPath::of(&url, at, trust)?, login).await?;
        let own = within(Step::Allocation, client.allocate()).await?;
        Ok::<_, ProbeError>((client, own))
    };
    let (client, own) = match allocated.await {
        Ok(allocated) => allocated,
        Err(error) => return Finding::skipped(what, error.to_string()).with_remedy(error.remedy()),
    };
    let finding = async {
        let Ok(at) = own.local_addr() else { return Finding::skipped(what, "the allocation has no address") };
        // A permission covers every port of the address. Sending to the relay's own port would open
        // a stateful firewall for the datagrams that follow. The port of the TURN server itself
        // drops what is not STUN, and causes no ICMP error, which would end `turn::client`.
        let other = SocketAddr::new(relayed.ip(), port);
        match timeout(PATIENCE, own.send_to(PAYLOAD, other)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                return Finding::skipped(
                    what,
                    format!("this server refuses to relay to {}: {error}", relayed.ip()),
                );
            }
            Err(_) => return Finding::skipped(what, "this server grants no permission in time"),
        }
        let reached = bounce(relay, at, PAYLOAD, &own, |heard| heard == PAYLOAD).await;
        outside::relay_port(from, at, ports, &reached, is_listener_reached)
    }
    .await;
    let _ = timeout(PATIENCE, own.close()).await;
    let _ = timeout(PATIENCE, client.close()).await;
    finding
}

/// Sends a payload through `sender` until `receiver` hears what is expected.
async fn bounce(
    sender: &(impl Conn + Send + Sync),
    to: SocketAddr,
    payload: &[u8],
    receiver: &(impl Conn + Send + Sync),
    is_expected: impl Fn(&[u8]) -> bool,
) -> Reached {
    let clock = Clock::start();
    let started = clock.now().mono;
    let exchange = async {
        let mut buffer = vec![0; 2048];
        loop {
            if let Err(error) = sender.send_to(payload, to).await {
                return Reached::NotSent(format!("its relay does not send to {to}: {error}"));
            }
            let hear = async {
                loop {
                    match receiver.recv_from(&mut buffer).await {
                        Ok((length, _)) if is_expected(&buffer[..length]) => return true,
                        Ok(_) => {}
                        Err(_) => return false,
                    }
                }
            };
            match timeout(RESEND, hear).await {
                Ok(true) => return Reached::After(clock.now().mono - started),
                Ok(false) => return Reached::Lost,
                Err(_) => {}
            }
        }
    };
    timeout(PATIENCE, exchange).await.unwrap_or(Reached::Lost)
}
