//! Client of the probe: STUN binding, two allocations, and data through them.
//!
//! `turn::client` 0.17 waits up to a minute. It reports a transaction without a response as one
//! with an empty response, and its read loop ends at the first unexpected datagram. Each step here
//! therefore has a deadline shorter than those retries. A closed stream, or a port where nothing
//! listens, is reported at once by [`Ended`]. The crate also panics on a reason phrase that is not
//! text, so [`super::reason`] cleans it first.

use std::net::SocketAddr;
use std::time::Duration;

use byway_turn::server::is_special_purpose;
use tokio::time::timeout;
use turn::client::ClientConfig;
use webrtc_util::Conn;

use crate::clock::Clock;

use super::credentials::Login;
use super::data::{FromPeer, bounce, from_peer, relayed};
use super::error::{ProbeError, Step};
use super::server_path::{Over, ServerPath};
use super::stream::Ended;
use super::{PATIENCE, Turns};

/// First retransmission interval, doubled each time. A step thus has five tries and ends by its own
/// deadline.
const RETRANSMIT_MS: u16 = 100;
/// Retransmission interval on a stream, longer than any step: RFC 8489 section 6.2.2 forbids
/// retransmission there. `turn::client` doubles it in 16 bits for a transaction that was given up.
const NEVER_MS: u16 = u16::MAX / 2;

/// Results of a client at one address.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Address at which the server sees the client, and the time the request took.
    pub(super) binding: Option<(SocketAddr, Duration)>,
    /// Relayed address of the first allocation.
    pub(super) relayed: Option<SocketAddr>,
    /// Shortest round trip from one allocation through the other and back.
    pub(super) round_trip: Option<Duration>,
    /// Time from a socket of this machine through the relay port into the allocation; or the reason
    /// why it was not checked.
    pub(super) from_peer: Option<Result<Duration, &'static str>>,
    /// Error that stopped the client.
    pub(super) trouble: Option<ProbeError>,
}

impl From<ProbeError> for Findings {
    fn from(trouble: ProbeError) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

/// Runs all steps on `road` until one fails. Without a login, the only step is a Binding request.
pub(super) async fn probe(
    road: &ServerPath,
    login: Option<&Result<Login, ProbeError>>,
    turns: &Turns,
) -> Findings {
    let mut findings = Findings::default();
    findings.trouble = steps(road, login, turns, &mut findings).await.err();
    findings
}

async fn steps(
    road: &ServerPath,
    login: Option<&Result<Login, ProbeError>>,
    turns: &Turns,
    findings: &mut Findings,
) -> Result<(), ProbeError> {
    let clock = Clock::start();
    let client = Client::connect(road, &Login::default()).await?;
    let started = clock.now().mono;
    let mapped = client.bind().await?;
    findings.binding = Some((mapped, clock.now().mono - started));

    let Some(login) = login else { return Ok(()) };
    let login = login.as_ref().map_err(Clone::clone)?;
    let _turn = turns.acquire().await.expect("nobody closes it");
    let (caller, callee) = (Client::connect(road, login).await?, Client::connect(road, login).await?);
    let here = caller.allocate().await?;
    let outcome = async {
        findings.relayed = Some(relayed(&*here)?);
        let there = callee.allocate().await?;
        let bounced = tokio::select! {
            bounced = bounce(&*here, &*there, clock) => bounced,
            trouble = caller.ended.trouble() => Err(trouble),
            trouble = callee.ended.trouble() => Err(trouble),
        };
        // Best effort, as for the other allocation: one that is not deleted lasts ten minutes.
        let _ = timeout(PATIENCE, there.close()).await;
        findings.round_trip = Some(bounced?);
        let heard = tokio::select! {
            heard = from_peer(&*here, mapped, clock) => heard,
            trouble = caller.ended.trouble() => Err(trouble),
        };
        findings.from_peer = Some(match heard? {
            FromPeer::Heard(time) => Ok(time),
            FromPeer::NotChecked(reason) => Err(reason),
            FromPeer::Lost => Err(caller.why_lost(road, mapped, relayed(&*here)?).await?),
        });
        Ok(())
    }
    .await;
    let _ = timeout(PATIENCE, here.close()).await;
    outcome
}

/// `turn::client` on its own connection.
struct Client {
    turn: turn::client::Client,
    over: Over,
    ended: Ended,
}

impl Client {
    async fn connect(road: &ServerPath, login: &Login) -> Result<Self, ProbeError> {
        let (conn, ended) = road.open().await?;
        let over = road.over();
        let turn = turn::client::Client::new(ClientConfig {
            stun_serv_addr: road.server.to_string(),
            turn_serv_addr: road.server.to_string(),
            username: login.username.clone(),
            password: AsRef::<str>::as_ref(&login.password).to_owned(),
            realm: String::new(),
            software: String::new(),
            rto_in_ms: if over == Over::Udp { RETRANSMIT_MS } else { NEVER_MS },
            conn,
            vnet: None,
        })
        .await;
        let turn = turn.map_err(|error| ProbeError::refused(Step::Binding, &error))?;
        turn.listen().await.map_err(|error| ProbeError::refused(Step::Binding, &error))?;
        Ok(Self { turn, over, ended })
    }

    /// Returns the address at which the server sees this client.
    async fn bind(&self) -> Result<SocketAddr, ProbeError> {
        self.within(Step::Binding, self.turn.send_binding_request()).await
    }

    async fn allocate(&self) -> Result<Box<dyn Conn + Send + Sync>, ProbeError> {
        let allocation = self.within(Step::Allocation, self.turn.allocate()).await?;
        Ok(Box::new(allocation))
    }

    /// Explains the loss of a datagram on its way to an allocation. If the relayed address is
    /// private, the server advertises an address of its own network. If the server was reached by
    /// UDP at the relayed address and still answers, the relay port is blocked. Otherwise the cause
    /// is unknown.
    async fn why_lost(
        &self,
        road: &ServerPath,
        mapped: SocketAddr,
        relayed: SocketAddr,
    ) -> Result<&'static str, ProbeError> {
        if mapped.ip() == relayed.ip() {
            // The server permits its own relayed address so that two of its clients can connect,
            // and accepts no other socket there.
            Ok(
                "the relayed address belongs to this machine, and from it the server accepts only its own relays",
            )
        } else if is_special_purpose(relayed.ip()) && !is_special_purpose(road.server.ip()) {
            Err(ProbeError::Private { relayed })
        } else if self.over != Over::Udp {
            Ok("data to the relayed address was lost, but this network may block UDP")
        } else if relayed.ip() != road.server.ip() {
            Ok("data to the relayed address was lost, and that is not the address that answered")
        } else if self.bind().await.is_err() {
            Ok("the server no longer answers this client")
        } else {
            Err(ProbeError::Blocked { relayed })
        }
    }

    async fn within<T>(
        &self,
        step: Step,
        work: impl Future<Output = Result<T, turn::Error>>,
    ) -> Result<T, ProbeError> {
        tokio::select! {
            biased;
            trouble = self.ended.trouble() => Err(trouble),
            done = timeout(PATIENCE, work) => match done {
                Ok(done) => done.map_err(|error| ProbeError::refused(step, &error)),
                Err(_) => Err(ProbeError::Silent { step, over: self.over }),
            },
        }
    }
}
