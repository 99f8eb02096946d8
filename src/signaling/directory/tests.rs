use byway_turn::prng::Prng;

use super::*;

type Names = Directory<String, String>;

const NOW: Duration = Duration::from_secs(1_000);

fn name(n: usize) -> NodeName {
    ["ams-1", "fra-1", "nyc-1"][n].parse().unwrap()
}

fn names(all: impl IntoIterator<Item = usize>) -> BTreeSet<NodeName> {
    all.into_iter().map(name).collect()
}

fn node(n: usize) -> Names {
    Names { part: 200, ..Directory::shared(name(n), "topic", 100, 0) }
}

/// Delivers everything between two nodes, until nothing is left.
fn exchange(one: (usize, &mut Names), other: (usize, &mut Names)) -> Vec<Found<String, String>> {
    let ((one, a), (other, b)) = (one, other);
    let mut found = Vec::new();
    loop {
        let (to_b, to_a) = (a.take_items(), b.take_items());
        if to_b.is_empty() && to_a.is_empty() {
            return found;
        }
        for (to, item) in to_b {
            assert_eq!(to, name(other));
            found.extend(keys(b.hear::<u8>(&name(one), &item)));
        }
        for (to, item) in to_a {
            assert_eq!(to, name(one));
            found.extend(keys(a.hear::<u8>(&name(other), &item)));
        }
    }
}

fn keys(heard: Option<Heard<String, String, u8>>) -> Vec<Found<String, String>> {
    match heard {
        Some(Heard::Keys(found)) => found,
        Some(Heard::Text(_)) | None => Vec::new(),
    }
}

fn has(directory: &Names, now: Duration, key: &str) -> Vec<String> {
    directory.holders(now, &key.to_owned()).map(|(node, value)| format!("{node} {value}")).collect()
}

fn pair() -> [Names; 2] {
    let [mut a, mut b] = [node(0), node(1)];
    a.set_view(NOW, &names([1]), false);
    b.set_view(NOW, &names([0]), false);
    exchange((0, &mut a), (1, &mut b));
    [a, b]
}

#[test]
fn a_node_tells_what_it_gets_and_what_it_has_no_more() {
    let [mut a, mut b] = pair();
    a.put(&"tea".to_owned(), "1".to_owned());
    let found = exchange((0, &mut a), (1, &mut b));
    assert_eq!(found, [Found { key: "tea".to_owned(), value: "1".to_owned(), knows: false }]);
    assert_eq!(has(&b, NOW, "tea"), ["ams-1 1"]);
    // B knows that A has it, too.
    b.put(&"tea".to_owned(), "2".to_owned());
    assert!(exchange((0, &mut a), (1, &mut b))[0].knows);
    a.put(&"tea".to_owned(), "1".to_owned());
    assert!(a.take_items().is_empty(), "nothing new");
    a.remove(&"tea".to_owned());
    exchange((0, &mut a), (1, &mut b));
    assert_eq!((has(&a, NOW, "tea"), has(&b, NOW, "tea")), (vec!["fra-1 2".to_owned()], vec![]));
}

#[test]
fn two_that_get_a_key_at_once_do_not_know_of_each_other() {
    let [mut a, mut b] = pair();
    a.put(&"tea".to_owned(), String::new());
    b.put(&"tea".to_owned(), String::new());
    let found = exchange((0, &mut a), (1, &mut b));
    assert_eq!(found.iter().map(|found| found.knows).collect::<Vec<_>>(), [false, false]);
}

#[test]
fn a_node_without_others_says_nothing() {
    let mut single = Names::single();
    single.put(&"tea".to_owned(), String::new());
    single.set_view(NOW, &names([1]), false);
    assert!(single.take_items().is_empty() && single.own.is_empty());
}

#[test]
fn keys_of_others_count_a_while_after_the_bus_is_lost() {
    let [mut a, mut b] = pair();
    a.put(&"tea".to_owned(), "1".to_owned());
    exchange((0, &mut a), (1, &mut b));
    b.set_view(NOW, &BTreeSet::new(), true);
    assert_eq!(has(&b, NOW + Duration::from_secs(3), "tea"), ["ams-1 1"]);
    assert!(has(&b, NOW + Duration::from_secs(4), "tea").is_empty());
    b.put(&"oak".to_owned(), "2".to_owned());
    assert!(b.take_items().is_empty(), "no one hears it");
    b.set_view(NOW + Duration::from_secs(60), &names([0]), false);
    exchange((0, &mut a), (1, &mut b));
    assert_eq!(has(&b, NOW + Duration::from_secs(60), "tea"), ["ams-1 1"]);
    assert_eq!(has(&a, NOW, "oak"), ["fra-1 2"]);
    // Known to be dead, it has nothing.
    b.set_view(NOW + Duration::from_secs(61), &BTreeSet::new(), false);
    assert!(has(&b, NOW + Duration::from_secs(61), "tea").is_empty());
}

#[test]
fn threat_60_keys_of_a_node_are_bounded_and_odd_items_change_nothing() {
    let [mut a, mut b] = pair();
    for n in 0..200 {
        a.put(&format!("{n:03}"), String::new());
    }
    exchange((0, &mut a), (1, &mut b));
    assert_eq!(b.nodes[&name(0)].keys.len(), 100);
    for item in [
        r#"{"topic":{"part":{"after":"b","last":"a","keys":[],"ask":false}}}"#,
        r#"{"topic":{"part":{"after":"a","last":"a","keys":[],"ask":true}}}"#,
        r#"{"topic":{"shout":{"key":"tea"}}}"#,
        r#"{"topic":{"have":{"key":7,"value":""}}}"#,
        r#"{"topic":7}"#,
        r#"{"peer":{"gone":{"key":"000"}}}"#,
        r#"{"room":"tea","at":1,"body":{}}"#,
        r#"["topic"]"#,
        "7",
    ] {
        let item = RawValue::from_string(item.to_owned()).unwrap();
        assert!(b.hear::<u8>(&name(0), &item).is_none(), "{item}");
    }
    // A node that is not in the view has no keys.
    let have = RawValue::from_string(r#"{"topic":{"have":{"key":"tea","value":""}}}"#.to_owned()).unwrap();
    assert!(b.hear::<u8>(&name(2), &have).is_none());
    assert!(b.take_items().is_empty() && b.nodes.len() == 1 && b.nodes[&name(0)].keys.len() == 100);
}

#[test]
fn a_message_that_comes_twice_is_noticed() {
    let [_, mut b] = pair();
    assert!((0..300).all(|n| b.is_first(&name(0), n)));
    assert!((100..300).all(|n| !b.is_first(&name(0), n)));
    assert!(b.nodes[&name(0)].heard.len() <= REMEMBERED);
}

#[test]
fn what_did_not_arrive_is_tried_again_within_bounds() {
    let [mut a, _] = pair();
    let sent: Vec<_> = (0..300_u16)
        .map(|n| raw(&BTreeMap::from([("topic", Body::<String, String, u16>::Text(n))])))
        .collect();
    let (again, rest) = a.reset::<u16>(&name(1), &sent);
    assert_eq!((again.len(), rest.len(), again[0], rest[0]), (RESENT, 300 - RESENT, 0, 128));
    assert_eq!(a.take_items().len(), 1, "and all keys");
}

/// Three nodes and the streams between them.
struct Net {
    nodes: Vec<Names>,
    views: Vec<BTreeSet<usize>>,
    alone: [bool; 3],
    /// Pairs of which the first took the second for dead.
    dead: BTreeSet<(usize, usize)>,
    streams: BTreeMap<(usize, usize), VecDeque<Box<RawValue>>>,
    now: Duration,
}

impl Net {
    fn new() -> Self {
        let streams = (0..9).map(|n| ((n / 3, n % 3), VecDeque::new())).collect();
        let nodes = (0..3).map(node).collect();
        let mut net = Self {
            nodes,
            views: (0..3).map(|n| (0..3).filter(|other| *other != n).collect()).collect(),
            alone: [false; 3],
            dead: BTreeSet::new(),
            streams,
            now: NOW,
        };
        (0..3).for_each(|n| net.view(n));
        net
    }

    fn view(&mut self, n: usize) {
        let nodes = if self.alone[n] { BTreeSet::new() } else { names(self.views[n].iter().copied()) };
        self.nodes[n].set_view(self.now, &nodes, self.alone[n]);
        self.collect(n);
    }

    /// Puts what a node says onto its streams.
    fn collect(&mut self, n: usize) {
        for (to, item) in self.nodes[n].take_items() {
            assert!(item.get().len() < 600, "{item}");
            let to = (0..3).find(|other| name(*other) == to).unwrap();
            self.streams.get_mut(&(n, to)).unwrap().push_back(item);
        }
    }

    fn reset(&mut self, n: usize, peer: usize) {
        let unsent: Vec<_> = std::mem::take(self.streams.get_mut(&(n, peer)).unwrap()).into();
        self.nodes[n].reset::<u8>(&name(peer), &unsent);
        self.collect(n);
    }

    fn deliver(&mut self, from: usize, to: usize) -> bool {
        let is_cut = self.dead.contains(&(from, to)) || self.dead.contains(&(to, from));
        if is_cut || self.alone[from] || self.alone[to] {
            return false;
        }
        let Some(item) = self.streams.get_mut(&(from, to)).unwrap().pop_front() else { return false };
        self.nodes[to].hear::<u8>(&name(from), &item);
        self.collect(to);
        true
    }

    /// `n` takes `peer` for dead, and ends the streams. The other side learns of it when they meet.
    fn die(&mut self, n: usize, peer: usize) {
        if self.dead.insert((n, peer)) {
            self.reset(n, peer);
            self.views[n].remove(&peer);
            self.view(n);
        }
    }

    fn meet(&mut self, n: usize, peer: usize, is_first: bool) {
        if !self.dead.remove(&(n, peer)) {
            return;
        }
        self.views[n].insert(peer);
        if is_first {
            self.view(n);
        }
        self.reset(peer, n);
        if !is_first {
            self.view(n);
        }
    }
}

/// Each node knows exactly the keys of the others in the end, whatever breaks.
#[test]
fn nodes_agree_in_the_end() {
    for seed in 0..200 {
        let random = Prng::new(&[seed; 32], "directory");
        let mut net = Net::new();
        for _ in 0..400 {
            net.now += Duration::from_millis(100);
            let (n, other) = (random.below(3), random.below(3));
            let key = format!("{:02}", random.below(40));
            match random.below(24) {
                // A part has a dozen.
                0..=4 => net.nodes[n].put(&key, format!("value {}", random.below(3))),
                5..=7 => net.nodes[n].remove(&key),
                8 if n != other => {
                    net.reset(n, other);
                    net.reset(other, n);
                }
                9 if n != other => net.die(n, other),
                10 | 11 => net.meet(n, other, random.below(2) == 0),
                12 => {
                    net.alone[n] = !net.alone[n];
                    net.view(n);
                }
                _ => _ = net.deliver(n, other),
            }
            net.collect(n);
        }
        for n in 0..3 {
            if std::mem::take(&mut net.alone[n]) {
                net.view(n);
            }
            (0..3).for_each(|other| net.meet(n, other, true));
        }
        let pairs: Vec<_> = (0..9).map(|n| (n / 3, n % 3)).filter(|(from, to)| from != to).collect();
        let mut steps = 0;
        while pairs.iter().any(|(from, to)| net.deliver(*from, *to)) {
            steps += 1;
            assert!(steps < 5_000, "seed {seed}: they never end");
        }
        for (n, other) in pairs {
            let known = &net.nodes[n].nodes[&name(other)].keys;
            assert!(*known == net.nodes[other].own, "seed {seed}: what {n} knows of {other}");
        }
    }
}
