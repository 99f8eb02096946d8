//! Who has subscribed to what. Pure: what is to be said leaves together with the connections to say it to, which are
//! whatever the driver takes for one.
//!
//! A topic exists while it has subscribers. The maps are ordered trees: their keys are the clients' choice, and a tree
//! needs no seed against that.

use std::collections::{BTreeMap, BTreeSet};

use super::protocol::Publication;
use crate::signaling::protocol::{ErrorCode, RoomName, Text};

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Topics at one time.
    pub topics: usize,
    /// Subscribers of one topic.
    pub subscribers: usize,
    /// Topics of one subscriber.
    pub subscriptions: usize,
}

/// All topics, each with its subscribers' connections `C`.
#[derive(Debug)]
pub struct Board<C> {
    limits: Limits,
    /// By number of the subscriber; never empty.
    topics: BTreeMap<RoomName, BTreeMap<u64, C>>,
    subscribers: u64,
}

/// One who may subscribe, and to what it has.
#[derive(Debug)]
pub struct Subscriber {
    number: u64,
    topics: BTreeSet<RoomName>,
}

impl Subscriber {
    /// Whether it has subscribed to this.
    #[must_use]
    pub fn has(&self, topic: &RoomName) -> bool {
        self.topics.contains(topic)
    }

    /// Whether it has subscribed to nothing.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.topics.is_empty()
    }
}

impl<C> Board<C> {
    /// No topics.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, topics: BTreeMap::new(), subscribers: 0 }
    }

    /// Topics at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// Somebody who has subscribed to nothing yet.
    pub fn subscriber(&mut self) -> Subscriber {
        self.subscribers += 1;
        Subscriber { number: self.subscribers, topics: BTreeSet::new() }
    }

    /// Subscribes to a topic that [`Subscriber::has`] not yet.
    ///
    /// # Errors
    /// [`ErrorCode::TooManyRooms`] and [`ErrorCode::RoomFull`].
    pub fn subscribe(
        &mut self,
        who: &mut Subscriber,
        topic: RoomName,
        connection: C,
    ) -> Result<(), ErrorCode> {
        let is_full = self.topics.len() >= self.limits.topics && !self.topics.contains_key(&topic);
        if is_full || who.topics.len() >= self.limits.subscriptions {
            return Err(ErrorCode::TooManyRooms);
        }
        let subscribers = self.topics.entry(topic.clone()).or_default();
        if subscribers.len() >= self.limits.subscribers {
            return Err(ErrorCode::RoomFull);
        }
        subscribers.insert(who.number, connection);
        who.topics.insert(topic);
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, who: &mut Subscriber, topic: &RoomName) {
        if who.topics.remove(topic)
            && let Some(subscribers) = self.topics.get_mut(topic)
        {
            subscribers.remove(&who.number);
            if subscribers.is_empty() {
                self.topics.remove(topic);
            }
        }
    }

    /// Ends all subscriptions.
    pub fn depart(&mut self, who: &mut Subscriber) {
        while let Some(topic) = who.topics.first().cloned() {
            self.unsubscribe(who, &topic);
        }
    }

    /// What to say to whom, the publisher among them, as the original has it.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`]: only subscribers publish.
    pub fn publish(
        &self,
        who: &Subscriber,
        publication: &Publication,
    ) -> Result<(Text, impl ExactSizeIterator<Item = &C>), ErrorCode> {
        let subscribers =
            self.topics.get(&publication.topic).filter(|subscribers| subscribers.contains_key(&who.number));
        let subscribers = subscribers.ok_or(ErrorCode::NotJoined)?;
        Ok((publication.text(subscribers.len()), subscribers.values()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use crate::signaling::topics::protocol::ClientMessage;

    const LIMITS: Limits = Limits { topics: 3, subscribers: 3, subscriptions: 2 };

    fn topic(name: &str) -> RoomName {
        RoomName::new(name.to_owned()).unwrap()
    }

    fn hears(board: &Board<u32>, who: &Subscriber, name: &str) -> Result<Vec<u32>, ErrorCode> {
        let text = format!(r#"{{"type":"publish","topic":"{name}"}}"#);
        let Ok(ClientMessage::Publish(publication)) = ClientMessage::parse(&text) else { unreachable!() };
        board.publish(who, &publication).map(|(_, to)| to.copied().collect())
    }

    #[test]
    fn threat_24_only_subscribers_publish_and_only_subscribers_hear() {
        let mut board = Board::new(LIMITS);
        let (mut ann, mut bob, eve) = (board.subscriber(), board.subscriber(), board.subscriber());
        board.subscribe(&mut ann, topic("tea"), 1).unwrap();
        board.subscribe(&mut bob, topic("tea"), 2).unwrap();
        board.subscribe(&mut bob, topic("oak"), 2).unwrap();
        assert_eq!(hears(&board, &ann, "tea"), Ok(vec![1, 2]));
        assert_eq!(hears(&board, &ann, "oak"), Err(ErrorCode::NotJoined));
        assert_eq!(hears(&board, &eve, "tea"), Err(ErrorCode::NotJoined));
        board.unsubscribe(&mut ann, &topic("tea"));
        assert_eq!(hears(&board, &ann, "tea"), Err(ErrorCode::NotJoined));
        assert_eq!(hears(&board, &bob, "tea"), Ok(vec![2]));
        board.depart(&mut bob);
        assert_eq!(board.count(), 0);
    }

    #[test]
    fn threat_24_topics_and_subscribers_are_capped() {
        let mut board = Board::new(LIMITS);
        let mut all: Vec<_> = (0..4).map(|_| board.subscriber()).collect();
        for subscriber in &mut all[..3] {
            board.subscribe(subscriber, topic("tea"), 0).unwrap();
        }
        assert_eq!(board.subscribe(&mut all[3], topic("tea"), 0), Err(ErrorCode::RoomFull));
        board.subscribe(&mut all[0], topic("a"), 0).unwrap();
        assert_eq!(board.subscribe(&mut all[0], topic("b"), 0), Err(ErrorCode::TooManyRooms), "of one");
        board.subscribe(&mut all[1], topic("b"), 0).unwrap();
        assert_eq!(board.subscribe(&mut all[2], topic("c"), 0), Err(ErrorCode::TooManyRooms), "of all");
        board.subscribe(&mut all[2], topic("b"), 0).unwrap();
        assert_eq!(board.count(), 3);
    }

    /// Any course of events: who hears is who has subscribed, and nothing is left behind.
    #[test]
    fn who_hears_is_who_has_subscribed() {
        for seed in 0..64 {
            let random = Random::new(&[seed; 32], "topics");
            let mut board = Board::new(LIMITS);
            let mut all: Vec<_> = (0..6).map(|_| board.subscriber()).collect();
            for _ in 0..400 {
                let (who, name) = (random.below(6), ["a", "b", "c", "d"][random.below(4)]);
                match random.below(8) {
                    0 => board.depart(&mut all[who]),
                    1..=3 => board.unsubscribe(&mut all[who], &topic(name)),
                    _ if all[who].has(&topic(name)) => {}
                    // What is refused changes nothing, which is seen below.
                    _ => _ = board.subscribe(&mut all[who], topic(name), u32::try_from(who).unwrap()),
                }
                for name in ["a", "b", "c", "d"] {
                    let have: Vec<u32> = (0..6).filter(|n| all[*n as usize].has(&topic(name))).collect();
                    assert!(have.len() <= LIMITS.subscribers, "seed {seed}");
                    for (n, one) in all.iter().enumerate() {
                        let is_in = one.has(&topic(name));
                        let heard = hears(&board, one, name);
                        let expected = if is_in { Ok(have.clone()) } else { Err(ErrorCode::NotJoined) };
                        assert_eq!(heard, expected, "seed {seed}, {n} on {name}");
                    }
                }
                assert!(
                    board.count() <= LIMITS.topics
                        && all.iter().all(|one| one.topics.len() <= LIMITS.subscriptions)
                );
            }
            for one in &mut all {
                board.depart(one);
            }
            assert_eq!(board.count(), 0, "seed {seed}");
        }
    }
}
