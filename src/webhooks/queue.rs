//! Deliveries that wait, and the time of the next attempt. Pure: the caller hands in the time.

use std::collections::VecDeque;
use std::time::Duration;

/// Deliveries that may wait.
pub(super) const MAX_WAITING: usize = 10_000;

/// Bytes of the bodies that may wait.
const MAX_BYTES: usize = 8 << 20;

/// Pause after the first failure. It doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Age at which a delivery that has failed is given up.
const GIVE_UP_AFTER: Duration = Duration::from_secs(10 * 60);

/// Event on its way to the receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Delivery {
    /// Name of the delivery, the same in each attempt.
    pub(super) id: String,
    /// Body of the request.
    pub(super) body: String,
}

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The receiver has the delivery.
    Delivered,
    /// The receiver does not want it; the next attempt would end the same.
    Refused,
    /// It may succeed later, at the earliest after this wait.
    Failed(Duration),
}

/// Next step of the sender.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next<'a> {
    /// Nothing waits.
    Idle,
    /// The next attempt is due at this time.
    At(Duration),
    /// Attempt this delivery now.
    Now(&'a Delivery),
}

/// Deliveries in the order of their events.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: VecDeque<(Duration, Delivery)>,
    bytes: usize,
    /// Consecutive failures.
    failures: u32,
    /// Earliest time of the next attempt.
    not_before: Duration,
}

impl Queue {
    /// Appends a delivery. Returns whether there was room for it.
    pub(super) fn push(&mut self, now: Duration, delivery: Delivery) -> bool {
        let bytes = self.bytes + delivery.body.len();
        let has_room = self.waiting.len() < MAX_WAITING && bytes <= MAX_BYTES;
        if has_room {
            self.bytes = bytes;
            self.waiting.push_back((now, delivery));
        }
        has_room
    }

    /// Returns the number of deliveries that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Returns the next step.
    pub(super) fn next(&self, now: Duration) -> Next<'_> {
        match self.waiting.front() {
            None => Next::Idle,
            Some(_) if now < self.not_before => Next::At(self.not_before),
            Some((_, delivery)) => Next::Now(delivery),
        }
    }

    /// Notes the result of the attempt to send the first delivery. Returns the deliveries that are
    /// given up because of their age.
    pub(super) fn attempted(&mut self, now: Duration, attempt: Attempt) -> usize {
        match attempt {
            Attempt::Delivered | Attempt::Refused => {
                self.pop();
                self.retry_now();
                0
            }
            Attempt::Failed(wait) => {
                let pause = SHORTEST_PAUSE * 2_u32.saturating_pow(self.failures.min(16));
                self.failures += 1;
                self.not_before = now + pause.max(wait).min(LONGEST_PAUSE);
                let before = self.waiting.len();
                while self
                    .waiting
                    .front()
                    .is_some_and(|(since, _)| now.saturating_sub(*since) >= GIVE_UP_AFTER)
                {
                    self.pop();
                }
                before - self.waiting.len()
            }
        }
    }

    /// Ends the pause, because the receiver is another one now or has just answered.
    pub(super) fn retry_now(&mut self) {
        (self.failures, self.not_before) = (0, Duration::ZERO);
    }

    /// Discards everything. Returns the number of discarded deliveries.
    pub(super) fn clear(&mut self) -> usize {
        let count = self.waiting.len();
        *self = Self::default();
        count
    }

    fn pop(&mut self) {
        if let Some((_, delivery)) = self.waiting.pop_front() {
            self.bytes -= delivery.body.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn delivery(n: usize) -> Delivery {
        Delivery { id: format!("x-{n}"), body: "{}".to_owned() }
    }

    fn id(queue: &Queue, now: Duration) -> Option<String> {
        match queue.next(now) {
            Next::Now(delivery) => Some(delivery.id.clone()),
            Next::Idle | Next::At(_) => None,
        }
    }

    #[test]
    fn deliveries_leave_in_their_order() {
        let mut queue = Queue::default();
        assert_eq!(queue.next(SECOND), Next::Idle);
        for n in 1..=3 {
            assert!(queue.push(SECOND, delivery(n)));
        }
        assert_eq!(id(&queue, SECOND).as_deref(), Some("x-1"));
        queue.attempted(SECOND, Attempt::Delivered);
        assert_eq!(id(&queue, SECOND).as_deref(), Some("x-2"));
        queue.attempted(SECOND, Attempt::Refused);
        assert_eq!(id(&queue, SECOND).as_deref(), Some("x-3"));
        queue.attempted(SECOND, Attempt::Delivered);
        assert_eq!((queue.next(SECOND), queue.bytes), (Next::Idle, 0));
    }

    #[test]
    fn threat_58_pauses_double_up_to_a_minute_and_the_delivery_is_given_up() {
        let mut queue = Queue::default();
        queue.push(Duration::ZERO, delivery(1));
        let (mut now, mut pauses) = (Duration::ZERO, vec![]);
        while queue.len() > 0 {
            queue.attempted(now, Attempt::Failed(Duration::ZERO));
            if let Next::At(at) = queue.next(now) {
                assert_eq!(queue.next(at - Duration::from_millis(1)), Next::At(at));
                pauses.push((at - now).as_secs());
                now = at;
            }
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60, 60, 60, 60, 60]);
        assert_eq!(now.as_secs(), 603);
    }

    #[test]
    fn after_an_outage_the_old_ones_are_given_up_and_the_rest_leaves_at_once() {
        let mut queue = Queue::default();
        for n in 0..20 {
            queue.push(SECOND * 60 * n, delivery(n as usize));
        }
        let now = SECOND * 60 * 20;
        assert_eq!(queue.attempted(now, Attempt::Failed(Duration::ZERO)), 11);
        assert_eq!(queue.len(), 9);
        let Next::At(at) = queue.next(now) else { panic!("no pause") };
        assert_eq!(id(&queue, at).as_deref(), Some("x-11"));
        queue.attempted(at, Attempt::Delivered);
        assert_eq!(id(&queue, at).as_deref(), Some("x-12"));
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_of_a_minute_at_most() {
        for (asked, pause) in [(0, 1), (30, 30), (86_400, 60)] {
            let mut queue = Queue::default();
            queue.push(Duration::ZERO, delivery(1));
            queue.attempted(SECOND, Attempt::Failed(SECOND * asked));
            assert_eq!(queue.next(SECOND), Next::At(SECOND * (1 + pause)));
            queue.retry_now();
            assert_eq!(id(&queue, SECOND).as_deref(), Some("x-1"));
        }
    }

    #[test]
    fn threat_58_a_full_queue_takes_no_more() {
        let mut queue = Queue::default();
        for n in 0..MAX_WAITING {
            assert!(queue.push(SECOND, delivery(n)));
        }
        assert!(!queue.push(SECOND, delivery(0)));
        assert_eq!(queue.clear(), MAX_WAITING);
        let large = |n| Delivery { body: "x".repeat(MAX_BYTES / 2), ..delivery(n) };
        assert!(queue.push(SECOND, large(1)) && queue.push(SECOND, large(2)));
        assert!(!queue.push(SECOND, delivery(3)));
        assert_eq!(queue.len(), 2);
    }
}
