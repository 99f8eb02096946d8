//! Data through the relay: between two allocations, and from a plain socket into one.
//!
//! Two allocations need no peer. A server that rejects loopback and private peers still lets its
//! own relayed addresses reach each other, because two browsers behind it connect that way. A
//! server may do so in memory, though, and then a firewall that closes the relay ports goes
//! unnoticed. Data from a plain socket must arrive through those ports.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::time::timeout;
use webrtc_util::Conn;

use crate::clock::Clock;

use super::PATIENCE;
use super::error::ProbeError;
use super::server_path::{connected, socket_for};

/// Time after which a payload is sent again, because media may be dropped anywhere.
const RESEND: Duration = Duration::from_millis(300);
/// Round trips, of which the shortest counts. The first goes by Send and Data indications while
/// channels are being bound, the rest by ChannelData.
const ROUNDS: u8 = 5;
/// Time after which no further round trip is started: over a satellite link each takes over a
/// second.
const LONG_ENOUGH: Duration = Duration::from_secs(1);
/// Bytes of a payload, about as large as a video packet: this finds paths on which only small
/// datagrams survive.
const PAYLOAD: usize = 1200;

/// Returns the relayed transport address of an allocation, which `turn::client` calls its local
/// address.
pub(super) fn relayed(allocation: &dyn Conn) -> Result<SocketAddr, ProbeError> {
    allocation.local_addr().map_err(|error| ProbeError::relay(&error))
}

/// Sends payloads from `here` through `there` and back, and returns the shortest round-trip time.
/// Both permissions exist by then, so no time includes their requests.
pub(super) async fn bounce(
    here: &(dyn Conn + Send + Sync),
    there: &(dyn Conn + Send + Sync),
    clock: Clock,
) -> Result<Duration, ProbeError> {
    let (at_here, at_there) = (relayed(here)?, relayed(there)?);
    let lost = |_| ProbeError::Lost { from: at_here, to: at_there };
    // Installs the permissions for the payloads to come; these ones may be dropped.
    for (sender, to) in [(there, at_here), (here, at_there)] {
        let permitted = timeout(PATIENCE, sender.send_to(b"byway probe", to)).await.map_err(lost)?;
        permitted.map_err(|error| ProbeError::relay(&error))?;
    }
    let begun = clock.now().mono;
    let mut shortest = Duration::MAX;
    for round in 0..ROUNDS {
        let payload = payload(round, at_here, at_there);
        let started = clock.now().mono;
        let there_and_back = async {
            send_until_heard(here, at_there, there, &payload).await?;
            send_until_heard(there, at_here, here, &payload).await
        };
        timeout(PATIENCE, there_and_back).await.map_err(lost)??;
        let ended = clock.now().mono;
        shortest = shortest.min(ended - started);
        if ended - begun > LONG_ENOUGH {
            break;
        }
    }
    Ok(shortest)
}

/// Fate of data that a plain socket sent to a relayed address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FromPeer {
    /// It arrived in this time.
    Heard(Duration),
    /// It did not arrive; where it was lost is unknown.
    Lost,
    /// It could not be sent, for this reason.
    NotChecked(&'static str),
}

/// Sends data from a plain socket of this machine, which the server sees at `mapped`, to an
/// allocation. The caller has made sure that its relayed address is the server's.
pub(super) async fn from_peer(
    allocation: &(dyn Conn + Send + Sync),
    mapped: SocketAddr,
    clock: Clock,
) -> Result<FromPeer, ProbeError> {
    let relayed = relayed(allocation)?;
    let (Ok(peer), Ok(decoy)) = (socket_for(relayed).await, socket_for(relayed).await) else {
        return Ok(FromPeer::NotChecked("this machine cannot open a socket for it"));
    };
    let source = match source(mapped, relayed).await {
        Ok(source) => source,
        Err(reason) => return Ok(FromPeer::NotChecked(reason)),
    };
    // A permission covers an address and any port (RFC 8656 section 9), and `turn::client` requests
    // one only when it sends. It sends to another port than the peer's, because its datagram would
    // otherwise open a firewall for the peer. A socket is bound to that port: an ICMP error would
    // come back as a Data indication without data, which ends `turn::client`.
    let Ok(decoy_at) = decoy.local_addr() else {
        return Ok(FromPeer::NotChecked("this machine cannot open a socket for it"));
    };
    let _ = decoy.send_to(b"byway probe", relayed).await;
    let permitted =
        timeout(PATIENCE, allocation.send_to(b"byway probe", SocketAddr::new(source, decoy_at.port())));
    match permitted.await.map(|sent| sent.map_err(|error| ProbeError::relay(&error))) {
        Ok(Ok(_)) => {}
        Ok(Err(ProbeError::Code { code: 403, .. })) => {
            return Ok(FromPeer::NotChecked("the server refuses to relay to this machine's address"));
        }
        Ok(Err(_)) | Err(_) => {
            return Ok(FromPeer::NotChecked("the server grants no permission for this machine's address"));
        }
    }
    let mut shortest = None;
    let begun = clock.now().mono;
    for round in 0..ROUNDS {
        let payload = payload(round, mapped, relayed);
        let started = clock.now().mono;
        let sent_until_heard = async {
            loop {
                // An ICMP error to one payload says nothing about the next.
                let _ = peer.send_to(&payload, relayed).await;
                if let Ok(heard) = timeout(RESEND, hear(allocation, &payload)).await {
                    return heard;
                }
            }
        };
        match timeout(PATIENCE / 2, sent_until_heard).await {
            Ok(heard) => heard?,
            Err(_) => break,
        }
        let ended = clock.now().mono;
        shortest = Some(shortest.map_or(ended - started, |shortest: Duration| shortest.min(ended - started)));
        if ended - begun > LONG_ENOUGH {
            break;
        }
    }
    Ok(shortest.map_or(FromPeer::Lost, FromPeer::Heard))
}

/// Returns the address at which a relay of this family sees this machine. IPv6 is seldom
/// translated, so this machine's own IPv6 address is taken where the server was asked over IPv4.
async fn source(mapped: SocketAddr, relayed: SocketAddr) -> Result<IpAddr, &'static str> {
    if mapped.is_ipv4() == relayed.is_ipv4() {
        return Ok(mapped.ip());
    }
    if relayed.is_ipv4() {
        return Err("the relayed address is of another IP version");
    }
    let local = connected(relayed).await.and_then(|socket| socket.local_addr());
    local.map(|local| local.ip()).map_err(|_| "this machine has no route to the IPv6 relay")
}

async fn send_until_heard(
    sender: &(dyn Conn + Send + Sync),
    to: SocketAddr,
    receiver: &(dyn Conn + Send + Sync),
    payload: &[u8],
) -> Result<(), ProbeError> {
    loop {
        sender.send_to(payload, to).await.map_err(|error| ProbeError::relay(&error))?;
        if let Ok(heard) = timeout(RESEND, hear(receiver, payload)).await {
            return heard;
        }
    }
}

/// Waits for `payload`, complete and unchanged. The sender needs no check: the server relays only
/// from peers with a permission.
async fn hear(receiver: &(dyn Conn + Send + Sync), payload: &[u8]) -> Result<(), ProbeError> {
    let mut buffer = vec![0; 2 * PAYLOAD];
    loop {
        let (length, _) = receiver.recv_from(&mut buffer).await.map_err(|error| ProbeError::relay(&error))?;
        if buffer[..length] == *payload {
            return Ok(());
        }
    }
}

/// Builds a payload that differs by round and allocations, so that no late or foreign datagram
/// matches.
fn payload(round: u8, here: SocketAddr, there: SocketAddr) -> Vec<u8> {
    let mut payload = format!("byway probe, round {round}, from {here} to {there}").into_bytes();
    payload.extend((0_u8..=u8::MAX).cycle().take(PAYLOAD - payload.len()));
    payload
}
