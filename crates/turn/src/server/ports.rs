//! Relay ports of one address: taken in random order, and left to rest after use.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::reserve::ReservationToken;
use crate::prng::Prng;

/// Port that a client asks for in an Allocate request (RFC 8656 section 7.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PortRequest {
    /// Any port.
    Any,
    /// An even port (EVEN-PORT). `reserve` also holds the next higher port in reserve.
    Even { reserve: bool },
    /// The port held in reserve under this token (RESERVATION-TOKEN).
    Reserved(ReservationToken),
}

impl PortRequest {
    /// Whether the next higher port is taken, too.
    pub(super) fn reserves(self) -> bool {
        self == Self::Even { reserve: true }
    }

    /// Returns the number of ports that the request takes.
    pub(super) fn ports(self) -> u32 {
        if self.reserves() { 2 } else { 1 }
    }
}

/// Port that was taken. If EVEN-PORT asked for a reservation, the next higher port was taken, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TakenPort {
    pub(super) port: u16,
    /// Whether this port or the next one was taken before its rest was over.
    pub(super) unrested: bool,
}

/// State of one port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Free, at this index of the free list.
    Free(usize),
    /// At rest until this time: datagrams that peers still send to the last owner must not reach
    /// the next one.
    Resting(Duration),
    /// Used by an allocation, or held in reserve.
    Taken,
}

/// Pool of ports. Every port of the range is free, at rest or taken.
///
/// Ports that have rested are taken first, in random order. If none is left, the pool takes the one
/// that has rested longest instead of failing. Late datagrams for the last owner then still meet
/// the permissions of the next one.
pub(super) struct PortPool {
    low: u16,
    free: Vec<u16>,
    /// States by port number minus `low`.
    states: Vec<State>,
    /// Ports at rest, the longest-rested first, with the times at which their rests end.
    resting: BTreeSet<(Duration, u16)>,
    rest: Duration,
    random: Prng,
}

impl PortPool {
    pub(super) fn new(ports: RangeInclusive<u16>, rest: Duration, random: Prng) -> Self {
        let low = *ports.start();
        let free: Vec<u16> = ports.collect();
        let states = (0..free.len()).map(State::Free).collect();
        Self { low, free, states, resting: BTreeSet::new(), rest, random }
    }

    /// Sets the rest of ports that are given back from now on.
    pub(super) fn set_rest(&mut self, rest: Duration) {
        self.rest = rest;
    }

    /// Takes a port as requested, if there is one, with the next higher one if that is to be held
    /// in reserve. Returns `None` for a token, whose port is already taken.
    pub(super) fn take(&mut self, now: Duration, request: PortRequest) -> Option<TakenPort> {
        self.wake(now);
        let taken = match request {
            PortRequest::Reserved(_) => return None,
            PortRequest::Any => self.any(),
            PortRequest::Even { reserve } => self.even(reserve),
        }?;
        self.occupy(taken.port);
        if request.reserves() {
            self.occupy(taken.port + 1);
        }
        Some(taken)
    }

    fn any(&self) -> Option<TakenPort> {
        let free = self.random_place().and_then(|at| self.free.get(at)).copied();
        let rested = free.map(|port| TakenPort { port, unrested: false });
        rested.or_else(|| self.resting.first().map(|&(_, port)| TakenPort { port, unrested: true }))
    }

    fn even(&self, reserve: bool) -> Option<TakenPort> {
        let fits = |port: &u16| port.is_multiple_of(2) && (!reserve || self.is_free(port + 1));
        let (behind, ahead) = self.free.split_at(self.random_place().unwrap_or(0));
        if let Some(port) = ahead.iter().chain(behind).copied().find(fits) {
            return Some(TakenPort { port, unrested: false });
        }
        let ports = (self.low..=u16::MAX).take(self.states.len()).filter(|port| port.is_multiple_of(2));
        let longest_rested = ports.filter_map(|port| {
            let mut until = self.available_from(port)?;
            if reserve {
                until = until.max(self.available_from(port + 1)?);
            }
            Some((until, port))
        });
        longest_rested.min().map(|(_, port)| TakenPort { port, unrested: true })
    }

    /// Gives back a port, which rests before its next use.
    pub(super) fn give_back(&mut self, now: Duration, port: u16) {
        let until = now + self.rest;
        self.set(port, State::Resting(until));
        self.resting.insert((until, port));
    }

    /// Gives back a port that was never announced to a client, so it need not rest.
    pub(super) fn give_back_unused(&mut self, port: u16) {
        self.set(port, State::Free(self.free.len()));
        self.free.push(port);
    }

    /// Frees the ports whose rest is over.
    fn wake(&mut self, now: Duration) {
        while let Some(&(until, port)) = self.resting.first()
            && until <= now
        {
            self.resting.pop_first();
            self.give_back_unused(port);
        }
    }

    fn random_place(&self) -> Option<usize> {
        (!self.free.is_empty()).then(|| self.random.below(self.free.len()))
    }

    fn is_free(&self, port: u16) -> bool {
        matches!(self.state(port), Some(State::Free(_)))
    }

    /// Returns the time at which a port's rest ends: zero if it is free, `None` if it is taken.
    fn available_from(&self, port: u16) -> Option<Duration> {
        match self.state(port)? {
            State::Free(_) => Some(Duration::ZERO),
            State::Resting(until) => Some(until),
            State::Taken => None,
        }
    }

    /// Returns the state of a port, if it is in the range.
    fn state(&self, port: u16) -> Option<State> {
        self.states.get(usize::from(port - self.low)).copied()
    }

    fn set(&mut self, port: u16, state: State) {
        self.states[usize::from(port - self.low)] = state;
    }

    fn occupy(&mut self, port: u16) {
        match self.state(port) {
            Some(State::Free(at)) => {
                self.free.swap_remove(at);
                if let Some(&moved) = self.free.get(at) {
                    self.set(moved, State::Free(at));
                }
            }
            Some(State::Resting(until)) => drop(self.resting.remove(&(until, port))),
            Some(State::Taken) | None => {}
        }
        self.set(port, State::Taken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REST: Duration = Duration::from_secs(120);

    fn pool(ports: RangeInclusive<u16>) -> PortPool {
        PortPool::new(ports, REST, Prng::new(&[5; 32], "ports"))
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Takes every port that has rested.
    fn take_all(pool: &mut PortPool, now: Duration) -> Vec<u16> {
        pool.wake(now);
        let rested = pool.free.len();
        let take = |_| pool.take(now, PortRequest::Any).unwrap();
        let taken: Vec<TakenPort> = (0..rested).map(take).collect();
        assert!(taken.iter().all(|taken| !taken.unrested));
        taken.into_iter().map(|taken| taken.port).collect()
    }

    #[test]
    fn threat_16_every_port_is_taken_once_and_in_random_order() {
        let mut pool = pool(50_000..=50_099);
        let mut ports = take_all(&mut pool, at(0));
        // Of 100 ports in random order, about two neighbours follow each other. In ascending or
        // descending order nearly all would.
        let neighbours = ports.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) == 1).count();
        assert!(neighbours < 10, "{ports:?}");
        ports.sort_unstable();
        assert_eq!(ports, (50_000..=50_099).collect::<Vec<u16>>());
        assert_eq!(pool.take(at(0), PortRequest::Any), None);
    }

    #[test]
    fn threat_16_a_port_rests_after_use_while_another_is_left() {
        let mut pool = pool(50_000..=50_001);
        let first = pool.take(at(0), PortRequest::Any).unwrap().port;
        pool.give_back(at(10), first);
        let second = pool.take(at(129), PortRequest::Any).unwrap();
        assert_ne!(second.port, first);
        pool.give_back_unused(second.port);
        assert_eq!(take_all(&mut pool, at(130)).len(), 2);
    }

    #[test]
    fn threat_44_where_no_port_has_rested_the_longest_rested_one_is_taken() {
        for request in [PortRequest::Any, PortRequest::Even { reserve: false }] {
            let mut pool = pool(50_000..=50_003);
            take_all(&mut pool, at(0));
            for (seconds, port) in [(1, 50_001), (3, 50_002), (2, 50_000)] {
                pool.give_back(at(seconds), port);
            }
            let taken = pool.take(at(4), request).unwrap();
            assert!(taken.unrested);
            assert_eq!(taken.port, if request == PortRequest::Any { 50_001 } else { 50_000 });
        }
        let mut pool = pool(50_000..=50_005);
        take_all(&mut pool, at(0));
        for (seconds, port) in [(1, 50_000), (5, 50_001), (3, 50_002), (4, 50_003), (2, 50_004)] {
            pool.give_back(at(seconds), port);
        }
        let even = PortRequest::Even { reserve: true };
        // The later port of a pair decides how long it has rested; 50005 is taken.
        assert_eq!(pool.take(at(6), even), Some(TakenPort { port: 50_002, unrested: true }));
        assert_eq!(pool.take(at(6), even), Some(TakenPort { port: 50_000, unrested: true }));
        assert_eq!(pool.take(at(6), even), None);
        assert_eq!(pool.take(at(6), PortRequest::Any), Some(TakenPort { port: 50_004, unrested: true }));
        assert_eq!(pool.take(at(6), PortRequest::Any), None);
        assert!(pool.resting.is_empty());
    }

    #[test]
    fn an_even_port_comes_with_its_neighbour() {
        let mut pool = pool(50_001..=50_004);
        let even = PortRequest::Even { reserve: true };
        let taken = pool.take(at(0), even).unwrap();
        assert_eq!(taken.port, 50_002, "50004 has no neighbour in the range");
        assert_eq!(pool.take(at(0), even), None);
        assert_eq!(pool.take(at(0), PortRequest::Reserved([0; 8])), None);
        let mut rest = take_all(&mut pool, at(0));
        rest.sort_unstable();
        assert_eq!(rest, [50_001, 50_004], "50003 is taken");
    }

    /// Threat 17: a thousand cycles of every kind on eight ports lose none.
    #[test]
    fn threat_17_ports_are_conserved() {
        let mut pool = pool(50_000..=50_007);
        let requests =
            [PortRequest::Any, PortRequest::Even { reserve: false }, PortRequest::Even { reserve: true }];
        let mut now = 0;
        for cycle in 0..1000 {
            let mut taken = Vec::new();
            for n in 0..4 {
                let request = requests[(cycle + n) % 3];
                let port = pool.take(at(now), request).map(|taken| taken.port);
                let next = port.filter(|_| request.reserves()).map(|port| port + 1);
                taken.extend(port.into_iter().chain(next));
            }
            for (n, port) in taken.into_iter().enumerate() {
                if n == 1 { pool.give_back_unused(port) } else { pool.give_back(at(now), port) }
            }
            now += [1, 200][cycle % 2];
        }
        let mut ports = take_all(&mut pool, at(now + 200));
        ports.sort_unstable();
        assert_eq!(ports, (50_000..=50_007).collect::<Vec<u16>>());
        assert!(pool.resting.is_empty());
    }
}
