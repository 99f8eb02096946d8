mod nodes;

use super::*;

use crate::signaling::y_webrtc::protocol::YWebrtcMessage;
use byway_turn::prng::Prng;

const LIMITS: BoardLimits =
    BoardLimits { topics: 3, subscribers: 3, subscriptions: 2, subscriptions_in_all: 100, message: 1_000 };

const NOW: Duration = Duration::from_secs(1_000);

fn network(n: u8) -> ClientNetwork {
    ClientNetwork::of([192, 0, 2, n].into())
}

fn topic(name: &str) -> RoomName {
    RoomName::new(name.to_owned()).unwrap()
}

fn hears(board: &Board<u32>, who: &Subscriber, name: &str) -> Result<Vec<u32>, ErrorCode> {
    let text = format!(r#"{{"type":"publish","topic":"{name}"}}"#);
    let Ok(YWebrtcMessage::Publish(publication)) = YWebrtcMessage::parse(&text) else { unreachable!() };
    board.publish(NOW, who, &publication).map(|published| published.receivers.into_iter().copied().collect())
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
    let limits = BoardLimits {
        topics: 1_000,
        subscribers: 64,
        subscriptions: 64,
        subscriptions_in_all: 8_000,
        message: 1_000,
    };
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
