//! The client: STUN binding, two allocations, and data through them.
//!
//! `turn::client` 0.17 waits up to a minute, reports a transaction without an answer as one with an
//! empty answer, and ends its read loop at the first odd datagram. So every step here has a bound
//! that is shorter than its retries, and a stream that ends, or a port where nobody listens, says
//! so by itself ([`Ended`]). It panics on a reason phrase that is no text, and so gets none
//! ([`super::reason`]).

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

/// First retransmission; doubled each time, so that a step has five tries and ends by its own
/// bound.
const RETRANSMIT_MS: u16 = 100;
/// RFC 8489 section 6.2.2: what goes over a stream is not retransmitted. Longer than any step;
/// `turn::client` doubles it in 16 bits for what was given up meanwhile.
const NEVER_MS: u16 = u16::MAX / 2;

/// How far a client got at one address.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// The address that the server sees us from, and the time it took.
    pub(super) binding: Option<(SocketAddr, Duration)>,
    /// The relayed address of the first allocation.
    pub(super) relayed: Option<SocketAddr>,
    /// The shortest way from one allocation through the other and back.
    pub(super) round_trip: Option<Duration>,
    /// The way from a socket of this machine into the allocation, by its relay port; or why it was
    /// not gone.
    pub(super) from_peer: Option<Result<Duration, &'static str>>,
    /// What stopped it.
    pub(super) trouble: Option<ProbeError>,
}

impl From<ProbeError> for Findings {
    fn from(trouble: ProbeError) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

/// Goes as far as it gets on `road`: without a login, that is a binding.
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
        // Best effort, as for the other: an allocation that is not given back lasts ten minutes.
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

/// `turn::client` on a road of its own.
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

    /// The address that the server sees this client at.
    async fn bind(&self) -> Result<SocketAddr, ProbeError> {
        self.within(Step::Binding, self.turn.send_binding_request()).await
    }

    async fn allocate(&self) -> Result<Box<dyn Conn + Send + Sync>, ProbeError> {
        let allocation = self.within(Step::Allocation, self.turn.allocate()).await?;
        Ok(Box::new(allocation))
    }

    /// What a datagram that was lost on its way to an allocation tells: that the server hands out
    /// an address of its own network, if that is what it is; that the relay's port is closed, if
    /// the server was reached by UDP at the same address and the client still hears it. Else
    /// nothing.
    async fn why_lost(
        &self,
        road: &ServerPath,
        mapped: SocketAddr,
        relayed: SocketAddr,
    ) -> Result<&'static str, ProbeError> {
        if mapped.ip() == relayed.ip() {
            // It permits its own relayed address, so that two of its clients meet, and no other
            // socket there.
            Ok(
                "this machine has the relayed address itself, from which the server hears its own relays alone",
            )
        } else if is_special_purpose(relayed.ip()) && !is_special_purpose(road.server.ip()) {
            Err(ProbeError::Private { relayed })
        } else if self.over != Over::Udp {
            Ok(
                "what was sent to the relayed address is lost, and whether this network lets out UDP is not known",
            )
        } else if relayed.ip() != road.server.ip() {
            Ok("what was sent to the relayed address is lost, which is not the one that answered")
        } else if self.bind().await.is_err() {
            Ok("the client no longer hears the server")
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
