//! Ports held in reserve: EVEN-PORT with its R bit and RESERVATION-TOKEN (RFC 8656 section 7.2).
//!
//! The socket of a reserved port is bound together with that of the even port below it, and the
//! driver holds it until the token is used or the reservation ends. Any shard may use the token.
//! The shard that has made the reservation ends it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::{AllocationId, Effect, Relay};
use crate::client_network::ClientNetwork;
use crate::prng::Prng;
use crate::time::Now;

/// Lifetime of a reservation whose token is not used (RFC 8656 section 7.2: at least 30 seconds).
pub(super) const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// Names a reserved port (RFC 8656 section 18.10).
pub(super) type ReservationToken = [u8; 8];

/// A port held in reserve. It is charged to the client and the name that have reserved it.
#[derive(Debug)]
pub(super) struct Reservation {
    /// Local address of its socket.
    pub(super) bind: SocketAddr,
    /// Relayed transport address, as clients are told.
    pub(super) relayed: SocketAddr,
    pub(super) client: ClientNetwork,
    pub(super) name: Box<str>,
    pub(super) until: Duration,
}

/// The reservations of all shards, by their tokens.
pub(super) struct Reservations {
    random: Prng,
    by_token: BTreeMap<ReservationToken, Reservation>,
}

impl Reservations {
    pub(super) fn new(random: Prng) -> Self {
        Self { random, by_token: BTreeMap::new() }
    }

    /// Adds a reservation; yields its token.
    pub(super) fn add(&mut self, reservation: Reservation) -> ReservationToken {
        let token = self.random.bytes();
        self.by_token.insert(token, reservation);
        token
    }

    /// The reservation behind a token, unless its time is over.
    pub(super) fn get(&self, now: Duration, token: ReservationToken) -> Option<&Reservation> {
        self.by_token.get(&token).filter(|reservation| now < reservation.until)
    }

    /// Removes the reservation behind a token, if it is still there.
    pub(super) fn remove(&mut self, token: ReservationToken) -> Option<Reservation> {
        self.by_token.remove(&token)
    }
}

/// A reservation that a shard has made, and ends unless its token was used.
#[derive(Debug)]
pub(super) struct Reserved {
    token: ReservationToken,
    name: Box<str>,
    until: Duration,
}

impl Relay {
    /// Begins the reservation of `next`, whose socket has been bound for an allocation.
    pub(super) fn reserve(&mut self, now: Now, id: AllocationId, next: SocketAddr) {
        let Some(allocation) = self.table.get_mut(id) else { return };
        let name: Box<str> = allocation.name().into();
        let client = ClientNetwork::of(allocation.five_tuple.client.ip());
        let until = now.mono + RESERVATION_LIFETIME;
        let bind = self.shared.bind_of(next);
        let reservation = Reservation { bind, relayed: next, client, name: name.clone(), until };
        let token = self.shared.reservations().add(reservation);
        allocation.made_by.reserved = Some(token);
        self.reserved.push_back(Reserved { token, name, until });
    }

    /// End of the first reservation. All last equally long, so they end in the order in which they
    /// were made.
    pub(super) fn next_reservation_end(&self) -> Option<Duration> {
        self.reserved.front().map(|reserved| reserved.until)
    }

    /// Ends the reservations whose time is over.
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

    /// Ends a reservation, unless its token was used: then the socket is an allocation's.
    fn end_reservation(&mut self, now: Now, token: ReservationToken) {
        if let Some(address) = self.shared.end_reservation(now, token) {
            self.effects.push_back(Effect::CloseReserved { address });
        }
    }
}
