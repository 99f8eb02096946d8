//! Ids that span two nodes.

use serde_json::value::RawValue;

use super::*;
use crate::access::names::NodeName;

fn name(n: usize) -> NodeName {
    ["fra-1", "nyc-1"][n].parse().unwrap()
}

fn secrets(all: &[&str]) -> Secrets {
    Secrets::new(all).unwrap()
}

/// Two nodes, and what becomes of their clients.
struct Pair {
    nodes: [PeerRegistry<u32>; 2],
    waiting: [Vec<Box<RawValue>>; 2],
    now: Moment,
    /// Whether the streams between them stand still.
    is_still: bool,
    heard: Vec<(u32, String)>,
    /// Connections that lost their id, and whether to a client with their token.
    ousted: Vec<(u32, bool)>,
    renewed: Vec<u32>,
}

impl Pair {
    fn new() -> Self {
        let node = |n| PeerRegistry::of_node(LIMITS, name(n), secrets(&["north"]), 0);
        let mut pair = Self {
            nodes: [node(0), node(1)],
            waiting: Default::default(),
            now: Moment { mono: at(0), unix_ms: 1_000_000 },
            is_still: false,
            heard: Vec::new(),
            ousted: Vec::new(),
            renewed: Vec::new(),
        };
        pair.view(false);
        pair
    }

    fn pass(&mut self, millis: u64) {
        self.now.mono += Duration::from_millis(millis);
        self.now.unix_ms += millis;
    }

    /// The bus is away, and this for long, or it is back.
    fn view(&mut self, alone: bool) {
        for n in 0..2 {
            let nodes = if alone { BTreeSet::new() } else { BTreeSet::from([name(1 - n)]) };
            self.nodes[n].set_view(self.now.mono, &nodes, alone);
        }
        self.pass(10_000);
        self.flow();
    }

    fn arrive(&mut self, n: usize, who: &str, token: &str, number: u32) -> Result<IdLease, PeerJsRefusal> {
        self.pass(1);
        let arrived = self.nodes[n].arrive(self.now, id(who), Token::new(token), number, network(number))?;
        self.heard.extend(arrived.missed.iter().map(|text| (number, text.json.to_string())));
        self.heard.extend(arrived.told.iter().map(|(to, text)| (*to, text.json.to_string())));
        self.flow();
        Ok(arrived.lease)
    }

    fn say(&mut self, n: usize, lease: &IdLease, message: &Passed) -> Said<u32> {
        self.pass(1);
        let said = self.nodes[n].say(self.now.mono, lease, message);
        self.flow();
        said
    }

    fn depart(&mut self, n: usize, lease: &IdLease) {
        assert!(self.nodes[n].depart(lease));
        self.flow();
    }

    /// Delivers what is on the way, unless the streams stand still.
    fn flow(&mut self) {
        for step in 0.. {
            assert!(step < 100, "they never end");
            for n in 0..2 {
                let items = self.nodes[n].take_items();
                assert!(items.iter().all(|(to, _)| *to == name(1 - n)));
                self.waiting[n].extend(items.into_iter().map(|(_, item)| item));
            }
            if self.is_still || self.waiting.iter().all(Vec::is_empty) {
                return;
            }
            for n in 0..2 {
                for item in std::mem::take(&mut self.waiting[n]) {
                    self.hear(1 - n, &item);
                }
            }
        }
    }

    fn resume(&mut self) {
        self.is_still = false;
        self.flow();
    }

    fn hear(&mut self, n: usize, item: &RawValue) {
        let received = self.nodes[n].hear(self.now.mono, &name(1 - n), item);
        self.note(received);
    }

    fn reset(&mut self, n: usize, unsent: &[Box<RawValue>]) {
        let received = self.nodes[n].reset(self.now.mono, &name(1 - n), unsent);
        self.note(received);
    }

    fn note(&mut self, received: Received<u32>) {
        let Received { passed, told, ousted, renewed } = received;
        let texts = passed.into_iter().chain(told);
        self.heard.extend(texts.map(|(to, text)| (to, text.json.to_string())));
        self.ousted.extend(ousted);
        self.renewed.extend(renewed);
    }

    fn heard(&mut self) -> Vec<(u32, String)> {
        std::mem::take(&mut self.heard)
    }
}

fn hears(to: u32, message: &Passed, from: &IdLease) -> (u32, String) {
    (to, message.text(&from.id).json.to_string())
}

#[test]
fn messages_find_the_node_of_their_receiver_and_back() {
    let mut pair = Pair::new();
    let ann = pair.arrive(0, "ann", "a", 1).unwrap();
    let bob = pair.arrive(1, "bob", "b", 2).unwrap();
    for kind in ["OFFER", "CANDIDATE", "LEAVE", "EXPIRE"] {
        let there = message(kind, "bob", r"\u0041é");
        assert_eq!(pair.say(0, &ann, &there), Said::Forwarded);
        let back = message(kind, "ann", "x");
        assert_eq!(pair.say(1, &bob, &back), Said::Forwarded);
        assert_eq!(pair.heard(), [hears(2, &there, &ann), hears(1, &back, &bob)]);
    }
    assert!(pair.nodes.iter().all(is_empty));
}

#[test]
fn an_id_of_another_node_is_taken_but_for_its_token() {
    let mut pair = Pair::new();
    let former = pair.arrive(0, "ann", "a", 1).unwrap();
    assert_eq!(pair.arrive(1, "ann", "guess", 2), Err(PeerJsRefusal::Taken));
    assert_eq!(pair.nodes[1].count(), 0);
    // What she said to an absent one goes with her.
    assert_eq!(pair.say(0, &former, &offer("bob", "1")), Said::Waits);
    let ann = pair.arrive(1, "ann", "a", 3).unwrap();
    assert_eq!((pair.ousted.as_slice(), pair.nodes[0].count()), (&[(1, true)][..], 0));
    assert_eq!(pair.renewed, [3]);
    assert!(is_empty(&pair.nodes[0]) && pair.nodes[1].next_deadline(&ann).is_some());
    let bob = pair.arrive(0, "bob", "b", 4).unwrap();
    assert_eq!(pair.heard(), [hears(4, &offer("bob", "1"), &ann)]);
    assert_eq!(pair.say(0, &bob, &offer("ann", "2")), Said::Forwarded);
    assert_eq!(pair.heard(), [hears(3, &offer("ann", "2"), &bob)]);
    // And so back, again and again.
    for n in 0..4 {
        pair.arrive(n % 2, "ann", "a", 10 + u32::try_from(n).unwrap()).unwrap();
    }
    let last = pair.ousted.split_off(1);
    assert_eq!(last, [(3, true), (10, true), (11, true), (12, true)]);
    assert_eq!(pair.nodes.each_ref().map(PeerRegistry::count), [1, 1], "Bob and Ann");
}

#[test]
fn of_two_that_take_an_id_at_once_the_first_keeps_it() {
    for first in 0..2 {
        let mut pair = Pair::new();
        pair.is_still = true;
        pair.arrive(first, "ann", "a", 1).unwrap();
        pair.arrive(1 - first, "ann", "b", 2).unwrap();
        pair.resume();
        assert_eq!(pair.ousted, [(2, false)]);
        assert_eq!(pair.nodes[first].count() + pair.nodes[1 - first].count(), 1);
        assert_eq!(pair.arrive(1 - first, "ann", "b", 3), Err(PeerJsRefusal::Taken));
    }
    // At the same millisecond the name of the node decides.
    let mut pair = Pair::new();
    pair.is_still = true;
    for n in [1, 0] {
        pair.now.unix_ms -= 1;
        pair.arrive(n, "ann", ["a", "b"][n], u32::try_from(n).unwrap()).unwrap();
    }
    pair.resume();
    assert_eq!(pair.ousted, [(1, false)]);
}

#[test]
fn of_two_connections_of_one_client_the_last_keeps_the_id() {
    for first in 0..2 {
        let mut pair = Pair::new();
        pair.is_still = true;
        pair.arrive(first, "ann", "a", 1).unwrap();
        pair.arrive(1 - first, "ann", "a", 2).unwrap();
        pair.resume();
        assert_eq!(pair.ousted, [(1, true)]);
        assert_eq!(pair.nodes.each_ref().map(PeerRegistry::count).iter().sum::<usize>(), 1);
    }
}

/// Eve takes the id of a client of another node while the bus is away, and loses it when it is
/// back, even if the client came back meanwhile.
#[test]
fn an_id_is_its_first_holders_when_the_bus_is_back() {
    let mut pair = Pair::new();
    pair.arrive(1, "bob", "b", 1).unwrap();
    pair.view(true);
    pair.arrive(0, "bob", "eve", 2).unwrap();
    pair.arrive(1, "bob", "b", 3).unwrap();
    pair.view(false);
    assert_eq!(pair.ousted, [(2, false)]);
    assert_eq!(pair.nodes.each_ref().map(PeerRegistry::count), [0, 1]);
}

#[test]
fn a_message_to_nobody_waits_until_the_id_appears_on_any_node() {
    let mut pair = Pair::new();
    let ann = pair.arrive(0, "ann", "a", 1).unwrap();
    for payload in ["1", "2"] {
        assert_eq!(pair.say(0, &ann, &offer("bob", payload)), Said::Waits);
    }
    pair.arrive(1, "bob", "b", 2).unwrap();
    assert_eq!(pair.heard(), ["1", "2"].map(|n| hears(2, &offer("bob", n), &ann)));
    assert!(pair.nodes.iter().all(is_empty));
    // Also when the bus comes back in time.
    pair.view(true);
    pair.arrive(1, "cat", "c", 3).unwrap();
    assert_eq!(pair.say(0, &ann, &offer("cat", "3")), Said::Waits);
    pair.view(false);
    assert_eq!(pair.heard(), [hears(3, &offer("cat", "3"), &ann)]);
}

/// His node has not yet told that he is gone, so the messages go there, and come back.
#[test]
fn a_message_to_one_who_has_just_gone_waits_in_order() {
    let mut pair = Pair::new();
    let ann = pair.arrive(0, "ann", "a", 1).unwrap();
    let bob = pair.arrive(1, "bob", "b", 2).unwrap();
    pair.is_still = true;
    for n in ["1", "2"] {
        assert_eq!(pair.say(0, &ann, &offer("bob", n)), Said::Forwarded);
    }
    assert_eq!(pair.say(0, &ann, &message("LEAVE", "bob", "x")), Said::Forwarded);
    pair.depart(1, &bob);
    // The third finds him gone, before the others have come back.
    for item in std::mem::take(&mut pair.waiting[1]) {
        pair.hear(0, &item);
    }
    assert_eq!(pair.say(0, &ann, &offer("bob", "3")), Said::Waits);
    pair.resume();
    assert_eq!((pair.heard(), pair.renewed.as_slice()), (vec![], &[1, 1][..]));
    let due = pair.nodes[0].next_deadline(&ann).unwrap();
    assert!(due > pair.now.mono + Duration::from_secs(4));
    pair.is_still = true;
    pair.arrive(1, "bob", "new", 3).unwrap();
    pair.resume();
    assert_eq!(pair.heard(), ["1", "2", "3"].map(|n| hears(3, &offer("bob", n), &ann)));
    assert!(pair.nodes.iter().all(is_empty));
}

#[test]
fn what_came_back_expires_at_its_sender() {
    let mut pair = Pair::new();
    let ann = pair.arrive(0, "ann", "a", 1).unwrap();
    let bob = pair.arrive(1, "bob", "b", 2).unwrap();
    pair.is_still = true;
    pair.say(0, &ann, &offer("bob", "1"));
    pair.depart(1, &bob);
    pair.resume();
    pair.pass(5_000);
    assert_eq!(pair.nodes[0].expire(pair.now.mono, &ann), [expire(&id("bob"), &ann.id)]);
    assert!(pair.nodes.iter().all(is_empty));
    // Without its sender, it is dropped.
    let bob = pair.arrive(1, "bob", "b", 2).unwrap();
    pair.is_still = true;
    pair.say(0, &ann, &offer("bob", "2"));
    pair.depart(1, &bob);
    pair.depart(0, &ann);
    pair.resume();
    assert!(pair.nodes.iter().all(is_empty) && pair.heard().is_empty());
}

#[test]
fn what_a_reset_lost_arrives_once_or_waits() {
    let mut pair = Pair::new();
    let ann = pair.arrive(0, "ann", "a", 1).unwrap();
    let bob = pair.arrive(1, "bob", "b", 2).unwrap();
    pair.is_still = true;
    pair.say(0, &ann, &offer("bob", "1"));
    pair.say(0, &ann, &offer("bob", "2"));
    // The first has arrived, but its acknowledgement has not.
    let unsent = std::mem::take(&mut pair.waiting[0]);
    pair.hear(1, &unsent[0]);
    pair.reset(0, &unsent);
    pair.reset(1, &[]);
    pair.resume();
    assert_eq!(pair.heard(), ["1", "2"].map(|n| hears(2, &offer("bob", n), &ann)));
    // His node dies: what did not arrive waits for him elsewhere.
    pair.is_still = true;
    pair.say(0, &ann, &offer("bob", "3"));
    let unsent = std::mem::take(&mut pair.waiting[0]);
    pair.nodes[0].set_view(pair.now.mono, &BTreeSet::new(), false);
    pair.reset(0, &unsent);
    assert_eq!(pair.renewed, [1]);
    pair.arrive(0, "bob", "new", 3).unwrap();
    assert_eq!(pair.heard(), [hears(3, &offer("bob", "3"), &ann)]);
    let _ = bob;
}

#[test]
fn a_token_is_known_while_the_secrets_change() {
    let mut pair = Pair::new();
    pair.arrive(0, "ann", "a", 1).unwrap();
    for (n, all) in [(1, ["north", "south"]), (0, ["south", "north"]), (1, ["south", "north"])] {
        pair.nodes[n].set_secrets(secrets(&all));
        pair.flow();
        let number = u32::try_from(n).unwrap() + 20;
        pair.arrive(n, "ann", "a", number).unwrap();
    }
    for n in 0..2 {
        pair.nodes[n].set_secrets(secrets(&["south"]));
    }
    pair.flow();
    pair.arrive(0, "ann", "a", 9).unwrap();
    assert!(pair.ousted.iter().all(|(_, is_same)| *is_same), "{:?}", pair.ousted);
    assert_eq!(pair.nodes.each_ref().map(PeerRegistry::count), [1, 0]);
}

#[test]
fn threat_60_foreign_and_oversized_items_reach_nobody() {
    let mut pair = Pair::new();
    pair.arrive(0, "ann", "a", 1).unwrap();
    let text = |payload: &str| {
        format!(
            r#"{{"peer":{{"text":{{"pass":{{"n":1,"message":{{"type":"OFFER","src":"eve","dst":"ann","payload":"{payload}"}}}}}}}}}}"#
        )
    };
    for item in [
        text(&"x".repeat(9_000)),
        text("x").replace("OFFER", "OPEN"),
        text("x").replace("peer", "topic"),
        text("x").replace("pass", "back"),
        text("x").replace("pass", "shout"),
        r#"{"peer":{"have":{"key":"ann","value":{"tag":7,"since":0,"at":0}}}}"#.to_owned(),
        r#"{"room":"tea","at":1,"body":{}}"#.to_owned(),
    ] {
        pair.hear(0, &RawValue::from_string(item.clone()).unwrap());
        assert_eq!((pair.heard(), pair.nodes[0].take_items().len()), (vec![], 0), "{item}");
    }
    pair.hear(0, &RawValue::from_string(text("x")).unwrap());
    assert_eq!(pair.heard().len(), 1);
    assert!(pair.ousted.is_empty());
}

/// An id has one holder in the end, whatever happens, and what was said arrives once, expires or
/// went with its sender.
#[test]
fn ids_have_one_holder_in_the_end() {
    for seed in 0..128 {
        let random = Prng::new(&[seed; 32], "nodes");
        let mut pair = Pair::new();
        let mut leases: Vec<(usize, IdLease)> = Vec::new();
        let mut number = 0;
        for step in 0..200 {
            pair.pass(random.below(2_000) as u64);
            let (n, who) = (random.below(2), ["a", "b", "c"][random.below(3)]);
            match random.below(8) {
                0 | 1 => {
                    number = (number + 1) % 200;
                    let token = ["own", "own", "other"][random.below(3)];
                    leases.extend(pair.arrive(n, who, token, number).ok().map(|lease| (n, lease)));
                }
                2 if !leases.is_empty() => {
                    let (n, lease) = leases.swap_remove(random.below(leases.len()));
                    pair.nodes[n].depart(&lease);
                    pair.flow();
                }
                3 => pair.is_still = random.below(2) == 0,
                4 if random.below(4) == 0 => {
                    let unsent = std::mem::take(&mut pair.waiting);
                    (0..2).for_each(|n| pair.reset(n, &unsent[n]));
                }
                5 if random.below(4) == 0 => pair.view(random.below(2) == 0),
                _ if !leases.is_empty() => {
                    let (n, lease) = leases[random.below(leases.len())].clone();
                    let _ = pair.nodes[n].expire(pair.now.mono, &lease);
                    let _ = pair.say(n, &lease, &offer(who, &format!("{seed} {step}")));
                }
                _ => {}
            }
        }
        pair.view(false);
        pair.resume();
        let holders =
            |pair: &Pair, who: &str| pair.nodes.each_ref().map(|node| node.peers.contains_key(&id(who)));
        for who in ["a", "b", "c"] {
            assert_ne!(holders(&pair, who), [true, true], "seed {seed}: {who}");
        }
        let heard: Vec<_> =
            pair.heard().into_iter().map(|(_, text)| text).filter(|text| text.contains("OFFER")).collect();
        assert_eq!(heard.len(), heard.iter().collect::<BTreeSet<_>>().len(), "seed {seed}: twice");
        for (n, lease) in leases {
            pair.nodes[n].depart(&lease);
        }
        pair.flow();
        for node in &pair.nodes {
            assert!(is_empty(node) && node.count() == 0 && node.ids.held() == 0, "seed {seed}");
        }
    }
}
