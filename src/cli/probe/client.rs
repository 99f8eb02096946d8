//! Client of the probe: STUN binding, two allocations, and data through them.
//!
//! `turn::client` 0.17 waits up to a minute. It reports a transaction without a response as one
//! with an empty response, and its read loop ends at the first unexpected datagram. Each step here
//! therefore has a deadline shorter than those retries. A closed stream, or a port where nothing
//! listens, is reported at once by [`Ended`]. The crate also panics on a reason phrase that is not
//! text, so [`super::reason`] cleans it first.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use turn::client::ClientConfig;
use webrtc_util::Conn;

use crate::clock::Clock;

use super::credentials::Login;
use super::data::{FromPeer, bounce, from_peer, relayed};
use super::error::{ALLOCATION, ProbeError, Step};
use super::family::{Family, FamilyConn};
use super::relay_addresses::{RelayAddresses, Sending};
use super::server_path::{Over, ServerPath};
use super::stream::Ended;
use super::{PATIENCE, ROW_WITHIN, Turns};

/// Error code of a server without a relay of the requested family (RFC 8656 section 7.2).
const NO_SUCH_FAMILY: u16 = 440;

/// First retransmission interval, doubled each time. A step thus has five tries and ends by its own
/// deadline.
const RETRANSMIT_MS: u16 = 100;
/// Retransmission interval on a stream, longer than any step: RFC 8489 section 6.2.2 forbids
/// retransmission there. `turn::client` doubles it in 16 bits for a transaction that was given up.
const NEVER_MS: u16 = u16::MAX / 2;

/// Binding requests, of which the shortest time counts. The first may wait for the link layer, for
/// a retransmission, or for another row's TLS handshake on this thread.
const BINDINGS: usize = 4;
/// Time after which no further Binding request is sent only to be timed.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// Results of a client at one address.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Time to open the connection: TCP, and the TLS handshake if there is one.
    pub(super) opened: Option<Duration>,
    /// Address at which the server sees the client, and the shortest time of a Binding request on
    /// the open connection.
    pub(super) binding: Option<(SocketAddr, Duration)>,
    /// Relays by family, that of the server's address first.
    pub(super) relays: Vec<RelayFindings>,
    /// Reason for which no relay was asked for, though the URL has one.
    pub(super) without_login: Option<String>,
    /// Error that stopped the client.
    pub(super) trouble: Option<ProbeError>,
}

/// Results of the relay of one family.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RelayFindings {
    pub(super) family: Family,
    /// Relayed address of the first allocation; `None` if the server has no relay of this family.
    pub(super) relayed: Option<SocketAddr>,
    /// Code with which the server refused, if it did.
    pub(super) refused: Option<u16>,
    /// Shortest round trip from one allocation through the other and back.
    pub(super) round_trip: Option<Duration>,
    /// Shortest time from a socket of this machine through the relay port into the allocation; or
    /// the reason why it was not checked.
    pub(super) from_peer: Option<Result<Duration, &'static str>>,
}

impl From<ProbeError> for Findings {
    fn from(trouble: ProbeError) -> Self {
        Self { trouble: Some(trouble), ..Self::default() }
    }
}

impl Findings {
    /// Returns the first relay that the server granted.
    pub(super) fn relay(&self) -> Option<&RelayFindings> {
        self.relays.iter().find(|relay| relay.relayed.is_some())
    }
}

/// Login of a row.
#[derive(Clone, Debug)]
pub(in crate::cli) enum RowLogin {
    /// A relay is asked for with it, or the row fails with the error.
    Known(Result<Login, ProbeError>),
    /// No relay is asked for, for this reason.
    None(String),
}

/// Runs all steps on `road` until one fails. Without a login, the only step is a Binding request.
pub(super) async fn probe(
    road: &ServerPath,
    login: Option<&RowLogin>,
    known: &RelayAddresses,
    turns: &Turns,
) -> Findings {
    let mut findings = Findings::default();
    let steps = async { steps(road, login, known, turns, &mut findings).await.err() };
    // Each step has its own deadline. This one bounds their number.
    let trouble = timeout(ROW_WITHIN, steps).await;
    findings.trouble = trouble.unwrap_or(Some(ProbeError::Late { within: ROW_WITHIN }));
    findings
}

async fn steps(
    road: &ServerPath,
    login: Option<&RowLogin>,
    known: &RelayAddresses,
    turns: &Turns,
    findings: &mut Findings,
) -> Result<(), ProbeError> {
    let clock = Clock::start();
    let client = Client::connect(road, &Login::default(), Family::V4).await?;
    if road.over() != Over::Udp {
        findings.opened = Some(clock.now().mono);
    }
    findings.binding = Some(client.timed_binding(clock).await?);
    let mapped = findings.binding.expect("it is set above").0;

    let login = match login {
        None => return Ok(()),
        Some(RowLogin::None(reason)) => {
            findings.without_login = Some(reason.clone());
            return Ok(());
        }
        Some(RowLogin::Known(login)) => login.as_ref().map_err(Clone::clone)?,
    };
    let _turn = turns.acquire().await.expect("nobody closes it");
    let first = Family::of(road.server);
    let asking = Asking { road, login, known, mapped, clock };
    let mut refused = None;
    for family in [first, first.other()] {
        match asking.relay(family, &mut findings.relays).await {
            // Other servers ignore the family, or do not know it.
            Err(ProbeError::Code { step: ALLOCATION, code })
                if family == Family::V6 || findings.relay().is_some() || code == NO_SUCH_FAMILY =>
            {
                let trouble = ProbeError::Code { step: ALLOCATION, code };
                let none = RelayFindings {
                    family,
                    relayed: None,
                    refused: Some(code),
                    round_trip: None,
                    from_peer: None,
                };
                findings.relays.push(none);
                refused = refused.or(Some(trouble));
            }
            outcome => outcome?,
        }
    }
    // Browsers ask for no family, which means IPv4 (RFC 8656 section 7.1).
    let serves_browsers =
        findings.relays.iter().any(|relay| relay.family == Family::V4 && relay.relayed.is_some());
    match refused {
        Some(refused) if !serves_browsers => Err(refused),
        _ => Ok(()),
    }
}

/// Parts of a row that both families share.
struct Asking<'a> {
    road: &'a ServerPath,
    login: &'a Login,
    known: &'a RelayAddresses,
    mapped: SocketAddr,
    clock: Clock,
}

impl Asking<'_> {
    /// Allocates twice, sends data between the allocations, and from this machine to the first.
    async fn relay(&self, family: Family, relays: &mut Vec<RelayFindings>) -> Result<(), ProbeError> {
        let caller = Client::connect(self.road, self.login, family).await?;
        let here = caller.allocate().await?;
        let outcome = self.through(family, &caller, &*here, relays).await;
        // Best effort, as for the other allocation: one that is not deleted lasts ten minutes.
        let _ = timeout(PATIENCE, here.close()).await;
        outcome
    }

    async fn through(
        &self,
        family: Family,
        caller: &Client,
        here: &(dyn Conn + Send + Sync),
        relays: &mut Vec<RelayFindings>,
    ) -> Result<(), ProbeError> {
        let (road, clock, at_here) = (self.road, self.clock, relayed(here)?);
        if Family::of(at_here) != family {
            // The server ignores the family. Its relay is the other one.
            return Ok(());
        }
        relays.push(RelayFindings {
            family,
            relayed: Some(at_here),
            refused: None,
            round_trip: None,
            from_peer: None,
        });
        let findings = relays.last_mut().expect("it is pushed above");
        let callee = Client::connect(road, self.login, family).await?;
        let there = callee.allocate().await?;
        let bounced = tokio::select! {
            bounced = bounce(here, &*there, clock) => bounced,
            trouble = caller.ended.trouble() => Err(trouble),
            trouble = callee.ended.trouble() => Err(trouble),
        };
        let _ = timeout(PATIENCE, there.close()).await;
        let judged = self.known.judge(at_here, road.server);
        findings.round_trip = Some(match (bounced, &judged) {
            // Data between two wrong addresses is lost because they are wrong.
            (Err(ProbeError::Lost { .. }), Err(trouble)) => return Err(trouble.clone()),
            (bounced, _) => bounced?,
        });
        if let Sending::Refused(reason) = judged? {
            findings.from_peer = Some(Err(reason));
            return Ok(());
        }
        let heard = tokio::select! {
            heard = from_peer(here, self.mapped, clock) => heard,
            trouble = caller.ended.trouble() => Err(trouble),
        };
        findings.from_peer = Some(match heard? {
            FromPeer::Heard(time) => Ok(time),
            FromPeer::NotChecked(reason) => Err(reason),
            FromPeer::Lost => Err(caller.why_lost(self, at_here).await?),
        });
        Ok(())
    }
}

/// `turn::client` on its own connection.
struct Client {
    turn: turn::client::Client,
    over: Over,
    ended: Ended,
}

impl Client {
    async fn connect(road: &ServerPath, login: &Login, family: Family) -> Result<Self, ProbeError> {
        let (conn, ended) = road.open().await?;
        let conn = Arc::new(FamilyConn::new(conn, family, login.clone()));
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

    /// Returns the address at which the server sees this client, and the shortest time of a
    /// request.
    async fn timed_binding(&self, clock: Clock) -> Result<(SocketAddr, Duration), ProbeError> {
        let begun = clock.now().mono;
        let mapped = self.bind().await?;
        let mut last = clock.now().mono;
        let mut shortest = last - begun;
        // A server may limit how many requests of strangers it answers.
        for _ in 1..BINDINGS {
            if last - begun > LONG_ENOUGH || timeout(LONG_ENOUGH, self.bind()).await.is_err() {
                break;
            }
            let now = clock.now().mono;
            shortest = shortest.min(now - last);
            last = now;
        }
        Ok((mapped, shortest))
    }

    async fn allocate(&self) -> Result<Box<dyn Conn + Send + Sync>, ProbeError> {
        let allocation = self.within(Step::Allocation, self.turn.allocate()).await?;
        Ok(Box::new(allocation))
    }

    /// Explains the loss of a datagram on its way to an allocation. If the server was reached by
    /// UDP at the relayed address and still answers, or the user named that address, the relay port
    /// is blocked. Otherwise the cause is unknown.
    async fn why_lost(&self, asked: &Asking<'_>, relayed: SocketAddr) -> Result<&'static str, ProbeError> {
        if asked.mapped.ip() == relayed.ip() {
            // The server permits its own relayed address so that two of its clients can connect,
            // and accepts no other socket there.
            Ok(
                "the relayed address belongs to this machine, and from it the server accepts only its own relays",
            )
        } else if self.over != Over::Udp {
            Ok("data to the relayed address was lost, but this network may block UDP")
        } else if relayed.ip() != asked.road.server.ip() && !asked.known.more.contains(&relayed.ip()) {
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
