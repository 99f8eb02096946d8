//! The client: STUN binding, two allocations, and data from one through the other and back.
//!
//! Two allocations that talk to each other need no peer: a server that refuses loopback and private peers still lets
//! its own relayed addresses reach each other, because that is how two browsers behind it meet.
//!
//! `turn::client` 0.17 waits up to a minute, reports a transaction without an answer as one with an empty answer, and
//! ends its read loop at the first odd datagram. So every step here has a bound that is shorter than its retries,
//! and a step that fails is asked after with a plain socket ([`why_silent`]).

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use stun::agent::TransactionId;
use stun::message::{BINDING_REQUEST, Message};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use crate::clock::Clock;

use super::login::Login;
use super::trouble::{Step, Trouble};

/// The bound of each step. A dead server is reported after the first one.
const PATIENCE: Duration = Duration::from_secs(3);
/// First retransmission; doubled each time, so that a step has five tries and ends by its own bound.
const RETRANSMIT_MS: u16 = 100;
/// When a payload is sent again: media may be dropped anywhere.
const RESEND: Duration = Duration::from_millis(300);
/// Round trips. The first goes by Send and Data indications while channels are being bound, the rest by ChannelData.
const ROUNDS: u8 = 5;
/// Bytes of a payload: about as large as a video packet, so that a path that only small datagrams survive is found.
const PAYLOAD: usize = 1200;

/// How far a client got at one address.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The address that the server sees us from, and the time it took.
    pub(super) binding: Option<(SocketAddr, Duration)>,
    /// The relayed address of the first allocation.
    pub(super) relayed: Option<SocketAddr>,
    /// The shortest way from one allocation through the other and back.
    pub(super) round_trip: Option<Duration>,
    /// What stopped it.
    pub(super) trouble: Option<Trouble>,
}

impl From<Trouble> for Findings {
    fn from(trouble: Trouble) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

/// Goes as far as it gets at `server`: without a login, that is a binding.
pub(super) async fn probe(server: SocketAddr, login: Option<&Result<Login, Trouble>>) -> Findings {
    let mut findings = Findings::default();
    findings.trouble = steps(server, login, &mut findings).await.err();
    findings
}

async fn steps(
    server: SocketAddr,
    login: Option<&Result<Login, Trouble>>,
    findings: &mut Findings,
) -> Result<(), Trouble> {
    let clock = Clock::start();
    let client = connect(server, &Login::default()).await?;
    let started = clock.now().mono;
    let mapped = match timeout(PATIENCE, client.send_binding_request()).await {
        Ok(mapped) => mapped.map_err(|error| Trouble::refused(Step::Binding, &error))?,
        Err(_) => return Err(why_silent(server).await),
    };
    findings.binding = Some((mapped, clock.now().mono - started));

    let Some(login) = login else { return Ok(()) };
    let login = login.as_ref().map_err(Clone::clone)?;
    let (here, there) = (connect(server, login).await?, connect(server, login).await?);
    let here = allocate(&here).await?;
    let outcome = async {
        findings.relayed = Some(relayed(&here)?);
        let there = allocate(&there).await?;
        let bounced = bounce(&here, &there, clock).await;
        // Best effort, as for the other: an allocation that is not given back lasts ten minutes.
        let _ = timeout(PATIENCE, there.close()).await;
        bounced
    }
    .await;
    let _ = timeout(PATIENCE, here.close()).await;
    findings.round_trip = Some(outcome?);
    Ok(())
}

/// A client on a socket of its own.
async fn connect(server: SocketAddr, login: &Login) -> Result<Client, Trouble> {
    let socket = socket_for(server).await.map_err(|error| Trouble::unreachable(server, &error))?;
    let client = Client::new(ClientConfig {
        stun_serv_addr: server.to_string(),
        turn_serv_addr: server.to_string(),
        username: login.username.clone(),
        password: login.password.clone(),
        realm: String::new(),
        software: String::new(),
        rto_in_ms: RETRANSMIT_MS,
        conn: Arc::new(socket),
        vnet: None,
    })
    .await;
    let client = client.map_err(|error| Trouble::refused(Step::Binding, &error))?;
    client.listen().await.map_err(|error| Trouble::refused(Step::Binding, &error))?;
    Ok(client)
}

/// A socket of the server's family.
async fn socket_for(server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0)).await
}

async fn allocate(client: &Client) -> Result<impl Conn + use<>, Trouble> {
    match timeout(PATIENCE, client.allocate()).await {
        Ok(allocation) => allocation.map_err(|error| Trouble::refused(Step::Allocation, &error)),
        Err(_) => Err(Trouble::Silent { step: Step::Allocation }),
    }
}

/// The relayed transport address of an allocation, which `turn::client` calls its local address.
fn relayed(allocation: &impl Conn) -> Result<SocketAddr, Trouble> {
    allocation.local_addr().map_err(|error| Trouble::relay(&error))
}

/// Sends payloads from `here` through `there` and back; the shortest time it took.
async fn bounce(here: &impl Conn, there: &impl Conn, clock: Clock) -> Result<Duration, Trouble> {
    let (at_here, at_there) = (relayed(here)?, relayed(there)?);
    let rounds = async {
        // Installs the permission for what comes; the payload itself may be dropped.
        there.send_to(b"byway probe", at_here).await.map_err(|error| Trouble::relay(&error))?;
        let mut shortest = Duration::MAX;
        for round in 0..ROUNDS {
            let payload = payload(round, at_here, at_there);
            let started = clock.now().mono;
            send_until_heard(here, at_there, there, &payload).await?;
            send_until_heard(there, at_here, here, &payload).await?;
            shortest = shortest.min(clock.now().mono - started);
        }
        Ok(shortest)
    };
    let lost = Trouble::Lost { from: at_here, to: at_there };
    timeout(PATIENCE, rounds).await.unwrap_or(Err(lost))
}

async fn send_until_heard(
    sender: &impl Conn,
    to: SocketAddr,
    receiver: &impl Conn,
    payload: &[u8],
) -> Result<(), Trouble> {
    loop {
        sender.send_to(payload, to).await.map_err(|error| Trouble::relay(&error))?;
        if let Ok(heard) = timeout(RESEND, hear(receiver, payload)).await {
            return heard;
        }
    }
}

/// Waits for `payload`, whole and unchanged. Its sender needs no look: the server lets in who has a permission only.
async fn hear(receiver: &impl Conn, payload: &[u8]) -> Result<(), Trouble> {
    let mut buffer = vec![0; 2 * PAYLOAD];
    loop {
        let (length, _) = receiver.recv_from(&mut buffer).await.map_err(|error| Trouble::relay(&error))?;
        if buffer[..length] == *payload {
            return Ok(());
        }
    }
}

/// Differs by round and by allocations, so that no late or foreign datagram passes for it.
fn payload(round: u8, here: SocketAddr, there: SocketAddr) -> Vec<u8> {
    let mut payload = format!("byway probe, round {round}, from {here} to {there}").into_bytes();
    payload.extend((0_u8..=u8::MAX).cycle().take(PAYLOAD - payload.len()));
    payload
}

/// Asks once more over a connected socket, which unlike the client's learns of an ICMP "port unreachable".
async fn why_silent(server: SocketAddr) -> Trouble {
    let ask = async {
        let mut request = Message::new();
        request
            .build(&[Box::new(TransactionId::new()), Box::new(BINDING_REQUEST)])
            .map_err(io::Error::other)?;
        let socket = socket_for(server).await?;
        socket.connect(server).await?;
        socket.send(&request.raw).await?;
        socket.recv(&mut [0; PAYLOAD]).await
    };
    match timeout(RESEND, ask).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Trouble::NothingListens { server }
        }
        Ok(Err(error)) => Trouble::unreachable(server, &error),
        Ok(Ok(_)) | Err(_) => Trouble::Silent { step: Step::Binding },
    }
}
