//! Ports held in reserve: EVEN-PORT with its R bit, and RESERVATION-TOKEN (RFC 8656 section 7.2).
//!
//! The socket of a reserved port is bound together with that of the even port below it. The driver
//! holds it until the token is used or the reservation ends. Any shard may use the token. The shard
//! that made the reservation ends it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{AllocationId, Effect, Relay};
use crate::client_network::ClientNetwork;
use crate::prng::Prng;
use crate::time::Now;

/// Lifetime of a reservation whose token is not used: 30 seconds, the minimum of RFC 8656 section
/// 7.2.
pub(super) const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// Token of a reserved port (RFC 8656 section 18.10).
pub(super) type ReservationToken = [u8; 8];

/// Port held in reserve. It is charged to the client and the name that reserved it.
#[derive(Debug)]
pub(super) struct Reservation {
    /// Local address of its socket.
    pub(super) bind: SocketAddr,
    /// Relayed transport address, as announced to clients.
    pub(super) relayed: SocketAddr,
    pub(super) client: ClientNetwork,
    pub(super) name: Box<str>,
    pub(super) until: Duration,
}

/// Reservations of all shards, by token.
pub(super) struct Reservations {
    random: Prng,
    by_token: BTreeMap<ReservationToken, Reservation>,
}

impl Reservations {
    pub(super) fn new(random: Prng) -> Self {
        Self { random, by_token: BTreeMap::new() }
    }

    /// Adds a reservation. Returns its token.
    pub(super) fn add(&mut self, reservation: Reservation) -> ReservationToken {
        let token = self.random.bytes();
        self.by_token.insert(token, reservation);
        token
    }

    /// Returns the reservation behind a token, unless it has expired.
    pub(super) fn get(&self, now: Duration, token: ReservationToken) -> Option<&Reservation> {
        self.by_token.get(&token).filter(|reservation| now < reservation.until)
    }

    /// Removes the reservation behind a token, if it still exists.
    pub(super) fn remove(&mut self, token: ReservationToken) -> Option<Reservation> {
        self.by_token.remove(&token)
    }
}

/// Reservation made by this shard, which ends it unless its token was used.
#[derive(Debug)]
pub(super) struct Reserved {
    token: ReservationToken,
    name: Box<str>,
    until: Duration,
}

impl Relay {
    /// Begins the reservation of `next`, whose socket was bound with that of an allocation.
    pub(super) fn reserve(&mut self, now: Now, id: AllocationId, next: SocketAddr) {
        let Some(allocation) = self.table.get_mut(id) else { return };
        let name: Box<str> = allocation.account().into();
        let client = ClientNetwork::of(allocation.five_tuple.client.ip());
        let until = now.mono + RESERVATION_LIFETIME;
        let bind = self.shared.bind_of(next);
        let reservation = Reservation { bind, relayed: next, client, name: name.clone(), until };
        let token = self.shared.reservations().add(reservation);
        allocation.made_by.reserved = Some(token);
        self.reserved.push_back(Reserved { token, name, until });
    }

    /// Returns the end of the first reservation. All have the same lifetime, so they end in the
    /// order in which they were made.
    pub(super) fn next_reservation_end(&self) -> Option<Duration> {
        self.reserved.front().map(|reserved| reserved.until)
    }

    /// Ends the reservations that have expired.
    pub(super) fn expire_reservations(&mut self, now: Now) {
        while let Some(reserved) = self.reserved.pop_front_if(|reserved| reserved.until <= now.mono) {
            self.end_reservation(now, reserved.token);
        }
    }

    /// Ends the reservations of a name.
    pub(super) fn end_reservations_of(&mut self, now: Now, name: &str) {
        let mut reserved = std::mem::take(&mut self.reserved);
        reserved.retain(|reserved| {
            let ends = *reserved.name == *name;
            if ends {
                self.end_reservation(now, reserved.token);
            }
            !ends
        });
        self.reserved = reserved;
    }

    /// Ends a reservation. If its token was used, the socket belongs to an allocation and stays
    /// open.
    fn end_reservation(&mut self, now: Now, token: ReservationToken) {
        if let Some(address) = self.shared.end_reservation(now, token) {
            self.effects.push_back(Effect::CloseReserved { address });
        }
    }
}
