mod nodes;

use std::collections::BTreeSet;

use byway_turn::prng::Prng;

use super::*;
use crate::signaling::peerjs::protocol::PeerJsMessage;

const LIMITS: RegistryLimits = RegistryLimits {
    peers: 4,
    kept: 4_000,
    kept_in_all: 1 << 20,
    patience: Duration::from_secs(5),
    message: 4_000,
};

/// Time at which clients arrive, where it does not matter.
const EVER: Moment = Moment { mono: Duration::from_secs(1_000), unix_ms: 1_000 };

fn network(n: u32) -> ClientNetwork {
    ClientNetwork::of([192, 0, 2, u8::try_from(n).unwrap()].into())
}

fn id(id: &str) -> PeerId {
    PeerId::new(id).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(1_000 + seconds)
}

fn message(kind: &str, to: &str, payload: &str) -> Passed {
    let text = format!(r#"{{"type":"{kind}","dst":"{to}","payload":"{payload}"}}"#);
    let Ok(PeerJsMessage::Pass(message)) = PeerJsMessage::parse(&text) else { unreachable!("{text}") };
    message
}

fn offer(to: &str, payload: &str) -> Passed {
    message("OFFER", to, payload)
}

fn is_empty<C>(peers: &PeerRegistry<C>) -> bool {
    peers.waiting.is_empty() && peers.kept.held() == 0 && peers.peers.values().all(|peer| peer.kept == 0)
}

/// A client arrives over the connection `number`.
fn arrive(peers: &mut PeerRegistry<u32>, who: &str, number: u32) -> Arrived<u32> {
    peers.arrive(EVER, id(who), Token::new(who), number, network(number)).unwrap()
}

#[test]
fn an_id_is_its_owners_until_it_is_given_back() {
    let mut peers = PeerRegistry::new(LIMITS);
    let ann = arrive(&mut peers, "ann", 1).lease;
    assert_eq!(
        peers.arrive(EVER, id("ann"), Token::new("guess"), 2, network(2)).unwrap_err(),
        PeerJsRefusal::Taken
    );
    let again = arrive(&mut peers, "ann", 3);
    assert_eq!(again.replaced, Some(1));
    // The connection that was replaced has nothing to say any more, and its end ends nothing.
    let bob = arrive(&mut peers, "bob", 4).lease;
    assert_eq!(peers.say(at(0), &ann, &offer("bob", "x")), Said::Ignored);
    assert!(!peers.depart(&ann));
    let message = offer("ann", "x");
    assert_eq!(peers.say(at(0), &bob, &message), Said::Passed(3, message.text(&bob.id)));
    assert!(peers.depart(&again.lease));
    assert!(peers.arrive(EVER, id("ann"), Token::new("another"), 5, network(5)).unwrap().replaced.is_none());
}

#[test]
fn there_are_only_so_many() {
    let mut peers = PeerRegistry::new(LIMITS);
    let leases: Vec<_> = (0..4).map(|n| arrive(&mut peers, &n.to_string(), n).lease).collect();
    assert_eq!(
        peers.arrive(EVER, id("late"), Token::new("late"), 9, network(9)).unwrap_err(),
        PeerJsRefusal::FULL
    );
    arrive(&mut peers, "0", 10);
    assert!(peers.depart(&leases[3]));
    arrive(&mut peers, "late", 9);
    assert_eq!(peers.count(), 4);
}

#[test]
fn what_is_said_to_somebody_absent_waits_in_order() {
    let mut peers = PeerRegistry::new(LIMITS);
    let ann = arrive(&mut peers, "ann", 1).lease;
    for payload in ["1", "2"] {
        assert_eq!(peers.say(at(0), &ann, &offer("bob", payload)), Said::Waits);
    }
    assert_eq!(peers.say(at(0), &ann, &message("LEAVE", "bob", "3")), Said::Ignored);
    assert_eq!(peers.next_deadline(&ann), Some(at(5)));
    let bob = arrive(&mut peers, "bob", 2);
    let expected = [offer("bob", "1").text(&ann.id), offer("bob", "2").text(&ann.id)];
    assert_eq!((bob.missed, bob.told.len()), (expected.to_vec(), 0));
    assert!(is_empty(&peers));
    assert_eq!(peers.expire(at(9), &ann), []);
    assert_eq!(peers.next_deadline(&ann), None);
}

#[test]
fn it_expires_once_for_each_receiver_and_not_before_its_time() {
    let mut peers = PeerRegistry::new(LIMITS);
    let ann = arrive(&mut peers, "ann", 1).lease;
    peers.say(at(0), &ann, &offer("bob", "1"));
    peers.say(at(3), &ann, &offer("bob", "2"));
    peers.say(at(3), &ann, &offer("cat", "3"));
    assert_eq!(peers.expire(at(4), &ann), []);
    assert_eq!(peers.expire(at(5), &ann), [expire(&id("bob"), &ann.id)]);
    assert_eq!(peers.expire(at(8), &ann), [expire(&id("cat"), &ann.id)]);
    assert!(is_empty(&peers));
    assert_eq!(arrive(&mut peers, "bob", 2).missed, []);
}

#[test]
fn a_second_wait_for_somebody_who_came_and_went_has_its_own_time() {
    let mut peers = PeerRegistry::new(LIMITS);
    let ann = arrive(&mut peers, "ann", 1).lease;
    peers.say(at(0), &ann, &offer("bob", "1"));
    let bob = arrive(&mut peers, "bob", 2).lease;
    assert!(peers.depart(&bob));
    peers.say(at(4), &ann, &offer("bob", "2"));
    assert_eq!(peers.expire(at(5), &ann), []);
    assert_eq!(peers.expire(at(9), &ann), [expire(&id("bob"), &ann.id)]);
    assert!(is_empty(&peers));
}

#[test]
fn what_waits_goes_with_its_sender_and_stays_through_a_takeover() {
    let mut peers = PeerRegistry::new(LIMITS);
    arrive(&mut peers, "ann", 1);
    let ann = arrive(&mut peers, "ann", 2).lease;
    peers.say(at(0), &ann, &offer("bob", "1"));
    let ann = arrive(&mut peers, "ann", 3).lease;
    assert_eq!(peers.next_deadline(&ann), Some(at(5)));
    assert!(peers.depart(&ann));
    assert!(is_empty(&peers));
    assert_eq!(arrive(&mut peers, "bob", 4).missed, []);
}

#[test]
fn threat_20_no_more_waits_than_may() {
    let mut peers = PeerRegistry::new(LIMITS);
    let (ann, eve) = (arrive(&mut peers, "ann", 1).lease, arrive(&mut peers, "eve", 2).lease);
    let long = "x".repeat(1_000);
    let waits = (0..1_000).filter(|n| peers.say(at(0), &eve, &offer(&format!("{n}"), &long)) == Said::Waits);
    assert_eq!(waits.count(), 2);
    assert_eq!(peers.say(at(0), &eve, &offer("bob", &long)), Said::Expired(expire(&id("bob"), &eve.id)));
    assert_eq!(peers.expire(at(5), &eve).len(), 2);
    // Her flood is hers alone.
    for sender in [&ann, &ann, &eve, &eve] {
        assert_eq!(peers.say(at(5), sender, &offer("bob", &long)), Said::Waits);
    }
    // Both have said to Bob as much as one may: he finds what the first said, and the other is
    // told.
    let bob = arrive(&mut peers, "bob", 3);
    assert_eq!((bob.missed.len(), bob.told), (2, vec![(2, expire(&id("bob"), &eve.id))]));
    assert!(is_empty(&peers));
}

/// Any course of events: what is said arrives or expires, once, at the right one, and nothing is
/// left behind.
#[test]
fn nothing_is_lost_doubled_or_left_behind() {
    for seed in 0..64 {
        let random = Prng::new(&[seed; 32], "peerjs");
        let mut peers: PeerRegistry<u32> = PeerRegistry::new(LIMITS);
        let mut leases: Vec<IdLease> = Vec::new();
        // Waiting messages by number: sender and receiver.
        let mut waiting: BTreeMap<usize, (PeerId, PeerId)> = BTreeMap::new();
        let mut heard = BTreeSet::new();
        let number = |text: &Text| {
            let json: serde_json::Value = serde_json::from_str(&text.json).unwrap();
            let who = |field: &str| id(json[field].as_str().unwrap());
            (json["payload"].as_str().map(|n| n.parse::<usize>().unwrap()), who("src"), who("dst"))
        };
        for step in 0..600_usize {
            let now = Duration::from_millis(1_000 * 1_000 + 700 * step as u64);
            let who = id(["a", "b", "c", "d", "e", "f"][random.below(6)]);
            let mine = leases.iter().rposition(|lease| lease.id == who);
            match (random.below(4), mine) {
                (0, _) => {
                    let is_new = mine.is_none();
                    match peers.arrive(
                        EVER,
                        who.clone(),
                        Token::new(who.as_str()),
                        0,
                        network(u32::try_from(step % 3).unwrap()),
                    ) {
                        Err(refusal) => assert!(is_new && refusal == PeerJsRefusal::FULL, "seed {seed}"),
                        Ok(Arrived { lease, missed, told, .. }) => {
                            leases.push(lease);
                            for text in missed {
                                let (n, from, to) = number(&text);
                                assert_eq!(waiting.remove(&n.unwrap()), Some((from, to)), "seed {seed}");
                                assert!(heard.insert(n), "seed {seed}: twice");
                            }
                            for (_, text) in told {
                                let (_, absent, sender) = number(&text);
                                waiting.retain(|_, pair| *pair != (sender.clone(), absent.clone()));
                            }
                            assert!(waiting.values().all(|(_, to)| *to != who), "seed {seed}: lost");
                        }
                    }
                }
                (1, Some(at)) => {
                    let lease = leases.swap_remove(at);
                    // Of several under one id, the last one has it.
                    let last = peers.depart(&lease);
                    if last {
                        leases.retain(|other| other.id != who);
                        waiting.retain(|_, (from, _)| *from != who);
                    }
                }
                (_, Some(at)) => {
                    let lease = leases[at].clone();
                    for text in peers.expire(now, &lease) {
                        let (_, absent, sender) = number(&text);
                        let before = waiting.len();
                        waiting.retain(|_, pair| *pair != (sender.clone(), absent.clone()));
                        assert!(waiting.len() < before, "seed {seed}: expired without a reason");
                    }
                    let to = ["a", "b", "c", "d", "e", "f"][random.below(6)];
                    let current = peers.has(&lease);
                    match peers.say(now, &lease, &offer(to, &step.to_string())) {
                        Said::Passed(_, text) => assert_eq!(number(&text), (Some(step), who, id(to))),
                        Said::Waits => _ = waiting.insert(step, (who, id(to))),
                        Said::Expired(text) => assert_eq!(number(&text), (None, id(to), who)),
                        Said::Ignored => assert!(!current, "seed {seed}"),
                        Said::Forwarded => unreachable!("there is no other node"),
                    }
                }
                _ => {}
            }
            let texts = peers.waiting.values().flat_map(|senders| senders.values()).map(|w| w.texts.len());
            assert_eq!(texts.sum::<usize>(), waiting.len(), "seed {seed}, step {step}");
            assert!(peers.peers.values().all(|peer| peer.kept <= LIMITS.kept));
            let kept: usize = peers.peers.values().map(|peer| peer.kept).sum();
            assert_eq!((peers.ids.held(), peers.kept.held()), (peers.count(), kept), "seed {seed}");
        }
        for lease in leases {
            peers.depart(&lease);
        }
        assert!(peers.waiting.is_empty() && peers.count() == 0, "seed {seed}");
        assert_eq!((peers.ids.held(), peers.kept.held()), (0, 0), "seed {seed}");
    }
}

#[test]
fn threat_31_one_network_takes_neither_all_ids_nor_all_that_may_wait() {
    let limits = RegistryLimits { peers: 1_000, kept_in_all: 1_500_000, ..LIMITS };
    let mut peers: PeerRegistry<u32> = PeerRegistry::new(limits);
    let take = |peers: &mut PeerRegistry<u32>, n: u32, who: &str| {
        peers.arrive(EVER, id(who), Token::new(who), n, network(n)).map(|arrived| arrived.lease)
    };
    for n in 1..=10 {
        let mut leases = Vec::new();
        for m in 0..1_000 {
            leases.extend(take(&mut peers, n, &format!("{n} {m}")));
        }
        assert!(leases.len() <= 125, "an eighth");
        for lease in &leases {
            while peers.say(at(0), lease, &offer("absent", "x")) == Said::Waits {}
        }
        assert!(peers.kept.held_by(network(n)) <= 187_500, "an eighth");
    }
    assert!((900..1_000).contains(&peers.count()) && peers.kept.held() <= 1_365_000, "{}", peers.kept.held());
    let ann = take(&mut peers, 200, "ann").unwrap();
    assert_eq!(take(&mut peers, 1, "more"), Err(PeerJsRefusal::FULL));
    // Who holds nothing has something wait: a tenth is left for that.
    assert_eq!(peers.say(at(0), &ann, &offer("bob", "x")), Said::Waits);
}
