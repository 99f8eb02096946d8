//! Board of topics and their subscribers. Pure: each message leaves together with the connections
//! to send it over, which are of the driver's own type.
//!
//! A topic exists while it has subscribers. Topics and subscriptions are
//! [shares](byway_turn::shares): a topic is charged to the network of its first subscriber, and
//! after that one to the network of another; a subscription to its own. The maps are ordered trees:
//! their keys are the clients' choice, and a tree needs no seed against that.

use std::collections::{BTreeMap, BTreeSet};

use byway_turn::client_network::ClientNetwork;
use byway_turn::shares::Shares;

use super::protocol::Publication;
use crate::signaling::protocol::{ErrorCode, RoomName, Text};

/// Limits of the board.
#[derive(Clone, Copy, Debug)]
pub struct BoardLimits {
    /// Topics at one time.
    pub topics: usize,
    /// Subscribers of one topic.
    pub subscribers: usize,
    /// Topics of one subscriber.
    pub subscriptions: usize,
    /// Subscriptions of all.
    pub subscriptions_in_all: usize,
}

/// All topics, each with its subscribers' connections `C`.
#[derive(Debug)]
pub struct Board<C> {
    limits: BoardLimits,
    topics: BTreeMap<RoomName, Topic<C>>,
    subscribers: u64,
    /// Topics, by the network that each is charged to.
    shares: Shares,
    subscriptions: Shares,
}

#[derive(Debug)]
struct Topic<C> {
    /// The subscriber whose network it is charged to.
    charged: u64,
    /// By number of the subscriber; never empty.
    subscribers: BTreeMap<u64, Subscription<C>>,
}

#[derive(Debug)]
struct Subscription<C> {
    network: ClientNetwork,
    connection: C,
}

/// Client that may subscribe, and its subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    number: u64,
    network: ClientNetwork,
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
    pub fn new(limits: BoardLimits) -> Self {
        Self {
            limits,
            topics: BTreeMap::new(),
            subscribers: 0,
            shares: Shares::of(limits.topics),
            subscriptions: Shares::of(limits.subscriptions_in_all),
        }
    }

    /// Replaces the limits. Holders beyond them stay until they end.
    pub fn set_limits(&mut self, limits: BoardLimits) {
        self.shares.set_cap(limits.topics);
        self.subscriptions.set_cap(limits.subscriptions_in_all);
        self.limits = limits;
    }

    /// Topics at this moment.
    #[must_use]
    pub fn count(&self) -> usize {
        self.topics.len()
    }

    /// Returns a new subscriber from `network`, without topics.
    pub fn subscriber(&mut self, network: ClientNetwork) -> Subscriber {
        self.subscribers += 1;
        Subscriber { number: self.subscribers, network, topics: BTreeSet::new() }
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
        let there = self.topics.get(&topic).map_or(0, |topic| topic.subscribers.len());
        if there >= self.limits.subscribers {
            return Err(ErrorCode::RoomFull);
        }
        let is_allowed = who.topics.len() < self.limits.subscriptions
            && self.subscriptions.check(who.network, 1).is_ok()
            && (there > 0 || self.shares.take(who.network, 1).is_ok());
        if !is_allowed {
            return Err(ErrorCode::TooManyRooms);
        }
        self.subscriptions.charge(who.network, 1);
        let entry = self.topics.entry(topic.clone());
        let entry = entry.or_insert_with(|| Topic { charged: who.number, subscribers: BTreeMap::new() });
        entry.subscribers.insert(who.number, Subscription { network: who.network, connection });
        who.topics.insert(topic);
        Ok(())
    }

    /// Ends a subscription, if there is one.
    pub fn unsubscribe(&mut self, who: &mut Subscriber, topic: &RoomName) {
        if !who.topics.remove(topic) {
            return;
        }
        self.subscriptions.give_back(who.network, 1);
        let Some(Topic { charged, subscribers }) = self.topics.get_mut(topic) else { return };
        subscribers.remove(&who.number);
        match subscribers.first_key_value() {
            None => {
                self.shares.give_back(who.network, 1);
                self.topics.remove(topic);
            }
            Some((next, Subscription { network, .. })) if *charged == who.number => {
                self.shares.hand_over(who.network, *network, 1);
                *charged = *next;
            }
            Some(_) => {}
        }
    }

    /// Ends all subscriptions.
    pub fn depart(&mut self, who: &mut Subscriber) {
        while let Some(topic) = who.topics.first().cloned() {
            self.unsubscribe(who, &topic);
        }
    }

    /// Returns the message and its receivers, the publisher among them, as the original has it.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`]: only subscribers publish.
    pub fn publish(
        &self,
        who: &Subscriber,
        publication: &Publication,
    ) -> Result<(Text, impl ExactSizeIterator<Item = &C>), ErrorCode> {
        let topic = self.topics.get(&publication.topic).ok_or(ErrorCode::NotJoined)?;
        if !topic.subscribers.contains_key(&who.number) {
            return Err(ErrorCode::NotJoined);
        }
        let connections = topic.subscribers.values().map(|subscription| &subscription.connection);
        Ok((publication.text(connections.len()), connections))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signaling::y_webrtc::protocol::YWebrtcMessage;
    use byway_turn::prng::Prng;

    const LIMITS: BoardLimits =
        BoardLimits { topics: 3, subscribers: 3, subscriptions: 2, subscriptions_in_all: 100 };

    fn network(n: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, n].into())
    }

    fn topic(name: &str) -> RoomName {
        RoomName::new(name.to_owned()).unwrap()
    }

    fn hears(board: &Board<u32>, who: &Subscriber, name: &str) -> Result<Vec<u32>, ErrorCode> {
        let text = format!(r#"{{"type":"publish","topic":"{name}"}}"#);
        let Ok(YWebrtcMessage::Publish(publication)) = YWebrtcMessage::parse(&text) else { unreachable!() };
        board.publish(who, &publication).map(|(_, to)| to.copied().collect())
    }

    #[test]
    fn threat_24_only_subscribers_publish_and_only_subscribers_hear() {
        let mut board = Board::new(LIMITS);
        let [mut ann, mut bob, eve] = [1, 2, 3].map(|n| board.subscriber(network(n)));
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
        let mut all: Vec<_> = (0..4).map(|n| board.subscriber(network(n))).collect();
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

    /// In any course of events, exactly the subscribers receive, and nothing is left behind.
    #[test]
    fn who_hears_is_who_has_subscribed() {
        for seed in 0..64 {
            let random = Prng::new(&[seed; 32], "topics");
            let mut board = Board::new(LIMITS);
            // Two of each network.
            let mut all: Vec<_> = (0..6).map(|n| board.subscriber(network(n / 2))).collect();
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
                let had = all.iter().map(|one| one.topics.len()).sum::<usize>();
                assert_eq!((board.shares.held(), board.subscriptions.held()), (board.count(), had));
                assert!(
                    board.count() <= LIMITS.topics
                        && all.iter().all(|one| one.topics.len() <= LIMITS.subscriptions)
                );
            }
            for one in &mut all {
                board.depart(one);
            }
            assert_eq!(board.count(), 0, "seed {seed}");
            assert_eq!((board.shares.held(), board.subscriptions.held()), (0, 0), "seed {seed}");
        }
    }

    #[test]
    fn threat_31_one_network_takes_neither_all_topics_nor_all_subscriptions() {
        let limits =
            BoardLimits { topics: 1_000, subscribers: 64, subscriptions: 64, subscriptions_in_all: 8_000 };
        let mut board = Board::new(limits);
        let fill = |board: &mut Board<u32>, n, named: &str| {
            let mut greedy: Vec<_> = (0..157).map(|_| board.subscriber(network(n))).collect();
            let names = (0..157 * 64).map(|m| topic(&format!("{named} {m}")));
            for (m, name) in names.enumerate() {
                let _ = board.subscribe(&mut greedy[m / 64], name, 0);
            }
            greedy
        };
        let eves: Vec<_> = (1..=10).map(|n| fill(&mut board, n, &format!("eve {n}"))).collect();
        assert_eq!(board.shares.held_by(network(1)), 125, "an eighth");
        assert!((900..1_000).contains(&board.count()), "{}", board.count());
        let mut ann = board.subscriber(network(200));
        assert_eq!(board.subscribe(&mut ann, topic("tea"), 0), Ok(()));
        // A topic that outlives its first subscriber is charged to a remaining one.
        let mut bob = board.subscriber(network(201));
        board.subscribe(&mut bob, topic("tea"), 0).unwrap();
        board.depart(&mut ann);
        assert_eq!([200, 201].map(|n| board.shares.held_by(network(n))), [0, 1]);
        drop(eves);
    }
}
