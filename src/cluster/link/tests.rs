//! Streams between nodes in virtual time: first each rule, then all of them over a bad bus.

mod properties;

use serde_json::value::RawValue;

use super::*;

fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn item(json: impl Into<String>) -> Item {
    RawValue::from_string(json.into()).unwrap().into()
}

fn number(number: u64) -> Item {
    item(number.to_string())
}

/// A node, its name and its run.
struct End {
    name: &'static str,
    run: u64,
    links: Links,
}

impl End {
    fn new(name: &'static str, run: u64) -> Self {
        let mut links = Links::new();
        links.connected(true);
        Self { name, run, links }
    }

    fn sees(&mut self, other: &Self) {
        self.links.up(&name(other.name), other.run);
    }

    fn send(&mut self, to: &Self, item: Item) {
        self.links.send(&name(to.name), item).unwrap();
    }

    fn receive(&mut self, ms: u64, from: &Self, segments: Vec<Segment>) {
        for segment in segments {
            assert_eq!((segment.to.as_str(), segment.to_run), (self.name, self.run));
            self.links.receive(at(ms), &name(from.name), from.run, segment);
        }
    }

    /// Events that wait, as text.
    fn events(&mut self) -> Vec<String> {
        let events = std::iter::from_fn(|| self.links.next_event());
        let events = events.map(|event| match event {
            LinkEvent::Items(from, items) => format!("{from} {items:?}"),
            LinkEvent::Reset(peer, unsent) => format!("reset {peer} {unsent:?}"),
        });
        events.collect()
    }
}

/// Two nodes that have heard each other.
fn pair() -> [End; 2] {
    let [mut a, mut b] = [End::new("a", 1), End::new("b", 2)];
    a.sees(&b);
    b.sees(&a);
    [a, b]
}

/// Carries the segments that `a` sends now.
fn carry(ms: u64, a: &mut End, b: &mut End) {
    let segments = a.links.poll(at(ms));
    b.receive(ms, a, segments);
}

/// Carries segments in both directions until none is left.
fn settle(ms: u64, a: &mut End, b: &mut End) {
    loop {
        let (there, back) = (a.links.poll(at(ms)), b.links.poll(at(ms)));
        if there.is_empty() && back.is_empty() {
            return;
        }
        b.receive(ms, a, there);
        a.receive(ms, b, back);
    }
}

const NONE: [&str; 0] = [];

#[test]
fn items_that_wait_leave_together_and_are_acknowledged_within_20_ms() {
    let [mut a, mut b] = pair();
    for number in 1..=3 {
        a.send(&b, item(format!("{{\"op\":\"x\", \"n\": {number}}}")));
    }
    let segments = a.links.poll(at(0));
    let [segment] = &segments[..] else { panic!("{segments:?}") };
    assert_eq!((segment.stream, segment.first, segment.items.len(), segment.ack), (1, 1, 3, None));
    assert_eq!(a.links.poll(at(1)), []);
    b.receive(5, &a, segments);
    assert_eq!(b.events(), [r#"a [{"op":"x", "n": 1}, {"op":"x", "n": 2}, {"op":"x", "n": 3}]"#]);
    assert_eq!((b.links.poll(at(24)), b.links.next_poll()), (vec![], Some(at(25))));
    let acks = b.links.poll(at(25));
    let ack = Some(Ack { stream: 1, n: 3 });
    let to = name("a");
    assert_eq!(acks, [Segment { to, to_run: 1, stream: 1, first: 0, items: vec![], ack }]);
    a.receive(30, &b, acks);
    assert_eq!((a.links.bytes, a.links.next_poll(), b.links.next_poll()), (0, None, None));
    let totals = a.links.totals();
    assert_eq!((totals.sent, totals.resent, b.links.totals().received), (3, 0, 3));
}

#[test]
fn an_item_carries_the_acknowledgement_of_the_other_direction() {
    let [mut a, mut b] = pair();
    a.send(&b, number(1));
    carry(0, &mut a, &mut b);
    b.send(&a, number(7));
    let segments = b.links.poll(at(1));
    assert_eq!((segments.len(), segments[0].ack), (1, Some(Ack { stream: 1, n: 1 })));
    assert_eq!(b.links.poll(at(100)), [], "no other acknowledgement leaves");
    a.receive(1, &b, segments);
    assert_eq!((a.links.bytes, a.events()), (0, vec!["b [7]".to_owned()]));
}

#[test]
fn what_is_lost_is_sent_again_after_300_ms_then_more_and_more_rarely() {
    let [mut a, mut b] = pair();
    a.send(&b, number(1));
    let mut times = Vec::new();
    for ms in 0..10_000 {
        if !a.links.poll(at(ms)).is_empty() {
            times.push(ms);
        }
    }
    assert_eq!(times, [0, 300, 900, 2100, 4500, 7500]);
    assert_eq!((a.links.totals().sent, a.links.totals().resent), (1, 5));
    a.send(&b, number(2));
    assert_eq!(a.links.poll(at(10_000)), [], "first the peer must answer");
    let segments = a.links.poll(at(10_500));
    b.receive(10_500, &a, segments.clone());
    assert_eq!(b.events(), ["a [1, 2]"]);
    b.receive(10_501, &a, segments);
    assert_eq!(b.events(), NONE, "doubled");
    settle(10_530, &mut a, &mut b);
    a.send(&b, number(3));
    settle(10_531, &mut a, &mut b);
    assert_eq!((b.events(), a.links.bytes), (vec!["a [3]".to_owned()], 1));
}

/// A way there and back of 400 ms is longer than the first timeout.
#[test]
fn the_timeout_follows_a_slow_bus() {
    let [mut a, mut b] = pair();
    let mut bus: VecDeque<(u64, bool, Segment)> = VecDeque::new();
    let mut received = 0;
    for ms in 0..60_000 {
        if ms % 100 == 0 {
            a.send(&b, number(ms));
        }
        bus.extend(a.links.poll(at(ms)).into_iter().map(|segment| (ms + 200, true, segment)));
        bus.extend(b.links.poll(at(ms)).into_iter().map(|segment| (ms + 200, false, segment)));
        while bus.front().is_some_and(|(arrives, ..)| *arrives <= ms) {
            match bus.pop_front().unwrap() {
                (_, true, segment) => b.receive(ms, &a, vec![segment]),
                (_, false, segment) => a.receive(ms, &b, vec![segment]),
            }
        }
        received += b.events().len();
    }
    let totals = a.links.totals();
    assert!(totals.resent < 10, "{totals:?}");
    assert!(received > 500 && a.links.bytes < 100);
}

#[test]
fn a_gap_is_not_delivered() {
    let [mut a, mut b] = pair();
    let mut segments = Vec::new();
    for ms in 0..3 {
        a.send(&b, number(ms));
        segments.extend(a.links.poll(at(ms)));
    }
    let lost = segments.remove(1);
    b.receive(3, &a, segments);
    assert_eq!(b.events(), ["a [0]"]);
    b.receive(4, &a, vec![lost]);
    assert_eq!(b.events(), ["a [1]"]);
    carry(300, &mut a, &mut b);
    assert_eq!(b.events(), ["a [2]"], "all three were sent again");
}

#[test]
fn items_for_a_node_that_was_never_heard_wait_for_it() {
    let [mut a, b] = [End::new("a", 1), End::new("b", 2)];
    a.send(&b, number(1));
    assert_eq!((a.links.poll(at(0)), a.links.next_poll(), a.events()), (vec![], None, vec![]));
    a.sees(&b);
    assert_eq!(a.links.poll(at(1)).len(), 1);
    a.links.suspect(&name("b"));
    a.send(&b, number(2));
    assert_eq!((a.links.poll(at(1000)), a.links.next_poll()), (vec![], None), "it is silent");
    a.sees(&b);
    let segments = a.links.poll(at(1001));
    assert_eq!(segments[0].items, [number(1), number(2)]);
    a.links.connected(false);
    assert_eq!((a.links.poll(at(9000)), a.links.next_poll()), (vec![], None), "the bus is away");
    a.links.connected(true);
    assert_eq!(a.links.poll(at(9001)).len(), 1);
}

#[test]
fn a_node_that_dies_gives_its_items_back_and_both_directions_are_cut() {
    let [mut a, mut b] = pair();
    a.send(&b, number(1));
    b.send(&a, number(7));
    settle(0, &mut a, &mut b);
    settle(20, &mut a, &mut b);
    assert_eq!((a.events(), b.events()), (vec!["b [7]".to_owned()], vec!["a [1]".to_owned()]));
    a.send(&b, number(2));
    b.send(&a, number(8));
    let (lost, late) = (a.links.poll(at(30)), b.links.poll(at(30)));
    a.links.down(&name("b"));
    assert_eq!(a.events(), ["reset b [2]"]);
    a.links.down(&name("b"));
    a.receive(31, &b, late.clone());
    assert_eq!((a.events(), a.links.poll(at(40))), (vec![], vec![]), "it is dead");
    // The other one has noticed nothing.
    a.sees(&b);
    a.receive(41, &b, late);
    assert_eq!(a.events(), NONE);
    let announced = a.links.poll(at(41));
    assert_eq!((announced[0].stream, announced[0].first), (2, 1));
    b.receive(42, &a, announced);
    b.receive(42, &a, lost);
    assert_eq!(b.events(), ["reset a [8]"]);
    settle(62, &mut a, &mut b);
    b.send(&a, number(9));
    a.send(&b, number(3));
    settle(63, &mut a, &mut b);
    assert_eq!((a.events(), b.events()), (vec!["b [9]".to_owned()], vec!["a [3]".to_owned()]));
    settle(100, &mut a, &mut b);
    assert_eq!((a.links.next_poll(), b.links.next_poll()), (None, None), "the announcement ends");
}

#[test]
fn another_process_of_a_node_gets_nothing_of_the_former_one() {
    let [mut a, mut b] = pair();
    a.send(&b, number(1));
    let former = a.links.poll(at(0));
    b.send(&a, number(7));
    carry(0, &mut b, &mut a);
    let mut again = End::new("b", 3);
    a.links.receive(at(1), &name("b"), 3, former[0].clone());
    assert_eq!(a.events(), ["b [7]"], "the new process was not heard yet");
    a.sees(&again);
    again.sees(&a);
    assert_eq!(a.events(), ["reset b [1]"]);
    again.send(&a, number(8));
    a.send(&again, number(2));
    settle(1, &mut a, &mut again);
    assert_eq!((a.events(), again.events()), (vec!["b [8]".to_owned()], vec!["a [2]".to_owned()]));
    // One that had nothing to do with the former one is not reset.
    let mut c = End::new("c", 4);
    c.sees(&b);
    c.sees(&again);
    assert_eq!(c.events(), NONE);
}

#[test]
fn threat_60_items_that_wait_are_bounded_and_given_back() {
    let [mut a, b] = [End::new("a", 1), End::new("b", 2)];
    for n in 0..=MAX_ITEMS as u64 {
        a.send(&b, number(n));
    }
    assert_eq!(a.links.bytes, 0);
    a.send(&b, number(1));
    let Some(LinkEvent::Reset(_, unsent)) = a.links.next_event() else { panic!("no reset") };
    assert_eq!((unsent.len(), &unsent[MAX_ITEMS]), (MAX_ITEMS + 1, &number(MAX_ITEMS as u64)));
    // Before those are taken, no more come back.
    let large = || item(format!("\"{}\"", "x".repeat(MAX_ITEM - 2)));
    let mut dropped = 0;
    for _ in 0..100 {
        match a.links.send(&name("b"), large()) {
            Ok(()) => assert!(a.links.bytes <= MAX_PEER_BYTES),
            Err(ItemDrop::QueueFull) => dropped += 1,
            Err(reason) => panic!("{reason:?}"),
        }
    }
    assert_eq!((a.links.events.len(), dropped), (1, 100 - 16 - 16));
    let huge = item(format!("\"{}\"", "x".repeat(MAX_ITEM - 1)));
    assert_eq!(a.links.send(&name("b"), huge), Err(ItemDrop::TooLarge));
    a.links.close();
    assert_eq!(a.links.send(&name("b"), number(1)), Err(ItemDrop::Stopping));
    assert_eq!((a.events(), a.links.bytes), (vec![], 0));
}

#[test]
fn threat_60_nodes_and_the_sum_of_what_waits_are_bounded() {
    let mut a = End::new("a", 1);
    let large = item(format!("\"{}\"", "x".repeat(MAX_ITEM - 2)));
    for peer in 0..20 {
        for _ in 0..10 {
            a.links.send(&name(&format!("n{peer}")), large.clone()).unwrap();
            assert!(a.links.bytes <= MAX_BYTES);
            a.events();
        }
    }
    for peer in 0..3 * MAX_PEERS {
        a.links.send(&name(&format!("m{peer}")), number(1)).unwrap();
        a.events();
    }
    assert_eq!(a.links.peers.len(), MAX_PEERS, "those that were never heard make room");
    for peer in 0..MAX_PEERS {
        a.links.up(&name(&format!("l{peer}")), 1);
    }
    assert_eq!(a.links.send(&name("new"), number(1)), Err(ItemDrop::TooManyNodes));
    let queued: usize = a.links.peers.values().map(|peer| peer.out.bytes()).sum();
    assert_eq!(a.links.bytes, queued);
}

#[test]
fn a_segment_has_as_many_items_as_fit_and_a_large_one_is_alone() {
    let [mut a, mut b] = pair();
    let of = |size: usize| item(format!("\"{}\"", "x".repeat(size - 2)));
    for size in [100_000, 20_000, 20_000, 300_000, 5, MAX_ITEM, MAX_ITEM, MAX_ITEM] {
        a.send(&b, of(size));
    }
    let segments = a.links.poll(at(0));
    let sizes = |segments: &[Segment]| -> Vec<Vec<usize>> {
        segments.iter().map(|segment| segment.items.iter().map(Item::size).collect()).collect()
    };
    let expected =
        [vec![100_000, 20_000], vec![20_000], vec![300_000], vec![5], vec![MAX_ITEM], vec![MAX_ITEM]];
    assert_eq!(sizes(&segments), expected, "the rest waits for an acknowledgement");
    b.receive(1, &a, segments);
    carry(21, &mut b, &mut a);
    assert_eq!(sizes(&a.links.poll(at(21))), [[MAX_ITEM]]);
}

/// A peer with the secret may be hacked.
#[test]
fn threat_60_impossible_numbers_do_no_harm() {
    let [mut a, b] = pair();
    a.send(&b, number(1));
    let sent = a.links.poll(at(0));
    for (first, ack) in [(1, (1, 2)), (u64::MAX - 1, (1, u64::MAX)), (u64::MAX - 1, (0, 9)), (9, (1, 0))] {
        let ack = Some(Ack { stream: ack.0, n: ack.1 });
        let to = name("a");
        let segment = Segment { to, to_run: 1, stream: u64::MAX, first, items: vec![number(5)], ack };
        a.links.receive(at(1), &name("b"), 2, segment);
    }
    assert_eq!(a.events(), ["b [5]"]);
    assert_eq!(a.links.bytes, 1, "nothing of it was an acknowledgement");
    let (to, ack) = (name("a"), Some(Ack { stream: u64::MAX, n: u64::MAX }));
    let segment = Segment { to, to_run: 1, stream: u64::MAX, first: 1, items: vec![], ack };
    a.links.receive(at(1), &name("b"), 2, segment);
    assert_eq!(a.events(), ["reset b [1]"]);
    a.send(&b, number(2));
    a.links.down(&name("b"));
    assert_eq!(a.events(), ["reset b [2]"]);
    drop(sent);
}
