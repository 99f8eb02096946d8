//! The relay ports of one address: taken in random order, and left to rest after use.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::random::Random;

/// How long a port that EVEN-PORT put in reserve waits for its token (RFC 8656 section 7.2: at least 30 seconds).
const RESERVATION_LIFETIME: Duration = Duration::from_secs(30);

/// Names a reserved port (RFC 8656 section 18.10).
pub(super) type ReservationToken = [u8; 8];

/// What a client asks of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortRequest {
    /// Any port.
    Any,
    /// An even one; with the next higher one held in reserve, or not (EVEN-PORT).
    Even { reserve: bool },
    /// The one held in reserve under this token (RESERVATION-TOKEN).
    Reserved(ReservationToken),
}

/// A port that was taken, and the token of the one above it if that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakenPort {
    pub(super) port: u16,
    pub(super) reserved: Option<ReservationToken>,
}

/// Every port of the range is in exactly one place: free, taken, reserved or at rest.
pub(super) struct PortPool {
    low: u16,
    free: Vec<u16>,
    /// By port - low: where in `free` it is.
    places: Vec<Option<usize>>,
    /// Ports at rest, by the time they may be used again: what peers still send to the last owner must not reach the
    /// next one.
    resting: VecDeque<(Duration, u16)>,
    rest: Duration,
    reservations: BTreeMap<ReservationToken, (Duration, u16)>,
    random: Random,
}

impl PortPool {
    pub(super) fn new(ports: RangeInclusive<u16>, rest: Duration, random: Random) -> Self {
        let low = *ports.start();
        let free: Vec<u16> = ports.collect();
        let places = (0..free.len()).map(Some).collect();
        Self { low, free, places, resting: VecDeque::new(), rest, reservations: BTreeMap::new(), random }
    }

    /// Takes a port, if there is one as asked.
    pub(super) fn take(&mut self, now: Duration, request: PortRequest) -> Option<TakenPort> {
        self.wake(now);
        match request {
            PortRequest::Any => {
                let at = self.random_place()?;
                let port = *self.free.get(at)?;
                self.occupy(port);
                Some(TakenPort { port, reserved: None })
            }
            PortRequest::Even { reserve } => {
                let from = self.random_place()?;
                let (behind, ahead) = self.free.split_at(from);
                let fits = |port: &u16| port.is_multiple_of(2) && (!reserve || self.is_free(port + 1));
                let port = ahead.iter().chain(behind).copied().find(fits)?;
                self.occupy(port);
                let reserved = reserve.then(|| {
                    self.occupy(port + 1);
                    let token = self.random.bytes();
                    self.reservations.insert(token, (now + RESERVATION_LIFETIME, port + 1));
                    token
                });
                Some(TakenPort { port, reserved })
            }
            PortRequest::Reserved(token) => {
                let (_, port) = self.reservations.remove(&token)?;
                Some(TakenPort { port, reserved: None })
            }
        }
    }

    /// Gives a port back, to rest before its next use.
    pub(super) fn give_back(&mut self, now: Duration, port: u16) {
        self.resting.push_back((now + self.rest, port));
    }

    /// Gives a port back whose owner was never told of it.
    pub(super) fn give_back_unused(&mut self, port: u16) {
        self.places[usize::from(port - self.low)] = Some(self.free.len());
        self.free.push(port);
    }

    /// Ends rests and reservations whose time has come. Reservations are few, and looked at only here.
    fn wake(&mut self, now: Duration) {
        while let Some(&(_, port)) = self.resting.front().filter(|(until, _)| *until <= now) {
            self.resting.pop_front();
            self.give_back_unused(port);
        }
        let over: Vec<ReservationToken> = self
            .reservations
            .iter()
            .filter(|(_, (until, _))| *until <= now)
            .map(|(token, _)| *token)
            .collect();
        for token in over {
            if let Some((_, port)) = self.reservations.remove(&token) {
                self.give_back_unused(port);
            }
        }
    }

    fn random_place(&mut self) -> Option<usize> {
        (!self.free.is_empty()).then(|| self.random.below(self.free.len()))
    }

    fn is_free(&self, port: u16) -> bool {
        self.places.get(usize::from(port - self.low)).is_some_and(Option::is_some)
    }

    fn occupy(&mut self, port: u16) {
        if let Some(at) = self.places[usize::from(port - self.low)].take() {
            self.free.swap_remove(at);
            if let Some(&moved) = self.free.get(at) {
                self.places[usize::from(moved - self.low)] = Some(at);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(120);

    fn pool(ports: RangeInclusive<u16>) -> PortPool {
        PortPool::new(ports, REST, Random::new(&[5; 32], "ports"))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn take_all(pool: &mut PortPool, now: Duration) -> Vec<u16> {
        std::iter::from_fn(|| pool.take(now, PortRequest::Any)).map(|taken| taken.port).collect()
    }

    #[test]
    fn threat_16_every_port_is_taken_once_and_in_random_order() {
        let mut pool = pool(50_000..=50_099);
        let mut ports = take_all(&mut pool, at(0));
        // Of a hundred in random order about two are next to each other: neither up nor down the range is one.
        let neighbours = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbours < 10, "{ports:?}");
        ports.sort_unstable();
        assert_eq!(ports, (50_000..=50_099).collect::<Vec<u16>>());
    }

    #[test]
    fn threat_16_a_port_rests_after_use() {
        let mut pool = pool(50_000..=50_000);
        assert_eq!(take_all(&mut pool, at(0)), [50_000]);
        pool.give_back(at(10), 50_000);
        assert!(take_all(&mut pool, at(129)).is_empty());
        assert_eq!(take_all(&mut pool, at(130)), [50_000]);
    }

    #[test]
    fn an_even_port_comes_with_its_neighbour_in_reserve() {
        let mut pool = pool(50_001..=50_004);
        let taken = pool.take(at(0), PortRequest::Even { reserve: true }).unwrap();
        assert_eq!(taken.port, 50_002, "50004 has no neighbour in the range");
        assert_eq!(pool.take(at(0), PortRequest::Even { reserve: true }), None);
        assert_eq!(pool.take(at(0), PortRequest::Reserved([0; 8])), None);
        let token = PortRequest::Reserved(taken.reserved.unwrap());
        assert_eq!(pool.take(at(29), token), Some(TakenPort { port: 50_003, reserved: None }));
        assert_eq!(pool.take(at(29), token), None, "a token is good once");
    }

    #[test]
    fn a_reservation_that_nobody_claims_ends() {
        let mut pool = pool(50_000..=50_001);
        let taken = pool.take(at(0), PortRequest::Even { reserve: true }).unwrap();
        assert_eq!(pool.take(at(29), PortRequest::Any), None);
        assert_eq!(take_all(&mut pool, at(30)), [50_001]);
        assert_eq!(pool.take(at(30), PortRequest::Reserved(taken.reserved.unwrap())), None);
    }

    /// Threat 17: a thousand cycles of every kind on eight ports lose none.
    #[test]
    fn threat_17_ports_are_conserved() {
        let mut pool = pool(50_000..=50_007);
        let requests =
            [PortRequest::Any, PortRequest::Even { reserve: false }, PortRequest::Even { reserve: true }];
        let mut now = 0;
        for cycle in 0..1000 {
            let taken: Vec<TakenPort> =
                (0..4).filter_map(|n| pool.take(at(now), requests[(cycle + n) % 3])).collect();
            for (n, taken) in taken.iter().enumerate() {
                if let Some(token) = taken.reserved.filter(|_| n % 2 == 0) {
                    let next = pool.take(at(now), PortRequest::Reserved(token)).unwrap();
                    pool.give_back(at(now), next.port);
                }
                if n == 1 { pool.give_back_unused(taken.port) } else { pool.give_back(at(now), taken.port) }
            }
            now += 200;
        }
        let mut ports = take_all(&mut pool, at(now));
        ports.sort_unstable();
        assert_eq!(ports, (50_000..=50_007).collect::<Vec<u16>>());
    }
}
