//! Topics that span two nodes.

use super::*;

/// Two nodes, and what their subscribers hear.
struct Pair {
    boards: [Board<u32>; 2],
    heard: Vec<(u32, String)>,
    /// Whether the streams between them stand still.
    is_still: bool,
    waiting: [Vec<Box<RawValue>>; 2],
}

fn name(n: usize) -> NodeName {
    ["fra-1", "nyc-1"][n].parse().unwrap()
}

impl Pair {
    fn new() -> Self {
        let boards = [0, 1].map(|n| Board::of_node(LIMITS, name(n), 0));
        let mut pair = Self { boards, heard: Vec::new(), is_still: false, waiting: Default::default() };
        pair.view(false);
        pair
    }

    fn view(&mut self, alone: bool) {
        for n in 0..2 {
            let nodes = if alone { BTreeSet::new() } else { BTreeSet::from([name(1 - n)]) };
            self.boards[n].set_view(NOW + Duration::from_secs(60), &nodes, alone);
        }
        self.flow();
    }

    /// Subscribes client `client` of node `n`.
    fn subscribe(&mut self, n: usize, client: u8, named: &str) -> Subscriber {
        let mut who = self.boards[n].subscriber(network(client));
        self.boards[n].subscribe(&mut who, topic(named), u32::from(client)).unwrap();
        self.flow();
        who
    }

    fn publish(&mut self, n: usize, who: &Subscriber, named: &str, data: &str) {
        let text = format!(r#"{{"type":"publish","topic":"{named}","data":{data}}}"#);
        let Ok(YWebrtcMessage::Publish(publication)) = YWebrtcMessage::parse(&text) else { unreachable!() };
        let published = self.boards[n].publish(NOW, who, &publication).unwrap();
        let to = published.receivers.iter().map(|to| (**to, published.text.json.to_string()));
        self.heard.extend(to);
        self.boards[n].spread(NOW, who, &publication);
        self.flow();
    }

    /// Delivers what is on the way, unless the streams stand still.
    fn flow(&mut self) {
        loop {
            for n in 0..2 {
                let items = self.boards[n].take_items();
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

    fn hear(&mut self, n: usize, item: &RawValue) {
        if let Some(published) = self.boards[n].hear(NOW, &name(1 - n), item) {
            let to = published.receivers.iter().map(|to| (**to, published.text.json.to_string()));
            self.heard.extend(to);
        }
    }

    /// Returns who has heard which data, since the last time.
    fn heard(&mut self) -> Vec<(u32, String)> {
        let mut heard: Vec<_> = std::mem::take(&mut self.heard)
            .into_iter()
            .map(|(who, text)| {
                let data: Option<Data> = serde_json::from_str(&text).unwrap();
                (who, data.unwrap().data.get().to_owned())
            })
            .collect();
        heard.sort();
        heard
    }
}

#[derive(Deserialize)]
struct Data {
    data: Box<RawValue>,
}

fn says(to: &[u32], data: &str) -> Vec<(u32, String)> {
    to.iter().map(|who| (*who, data.to_owned())).collect()
}

#[test]
fn a_publication_goes_to_all_nodes_byte_for_byte_and_names_all_subscribers() {
    let mut pair = Pair::new();
    let ann = pair.subscribe(0, 1, "tea");
    let _bob = pair.subscribe(1, 2, "tea");
    let _cat = pair.subscribe(1, 3, "tea");
    let _dan = pair.subscribe(1, 4, "oak");
    let data = r#"{ "from":"\u0061é" }"#;
    pair.publish(0, &ann, "tea", data);
    let text = format!(r#"{{"type":"publish","topic":"tea","data":{data},"clients":3}}"#);
    let expected: Vec<_> = [1, 2, 3].map(|who| (who, text.clone())).into();
    assert_eq!(pair.heard, expected);
}

#[test]
fn threat_24_no_node_gets_a_topic_that_it_does_not_have() {
    let mut pair = Pair::new();
    let ann = pair.subscribe(0, 1, "tea");
    let mut bob = pair.subscribe(1, 2, "tea");
    pair.boards[1].unsubscribe(&mut bob, &topic("tea"));
    pair.flow();
    pair.is_still = true;
    pair.publish(0, &ann, "tea", "1");
    assert_eq!((pair.heard(), pair.waiting[0].len()), (says(&[1], "1"), 0));
}

/// Each subscribed before it heard of the other: the first words of one reach the other.
#[test]
fn two_that_subscribe_at_once_meet_once() {
    let mut pair = Pair::new();
    pair.is_still = true;
    let ann = pair.subscribe(0, 1, "tea");
    pair.publish(0, &ann, "tea", r#""ann""#);
    pair.publish(0, &ann, "tea", r#""more of ann""#);
    let bob = pair.subscribe(1, 2, "tea");
    pair.publish(1, &bob, "tea", r#""bob""#);
    pair.heard();
    pair.is_still = false;
    pair.flow();
    assert_eq!(pair.heard(), says(&[2], r#""ann""#), "of one alone, and the first alone");
    // Who comes later introduces itself.
    let cat = pair.subscribe(1, 3, "tea");
    assert_eq!(pair.heard(), []);
    pair.publish(1, &cat, "tea", r#""cat""#);
    assert_eq!(pair.heard(), says(&[1, 2, 3], r#""cat""#));
}

#[test]
fn those_who_came_while_the_bus_was_away_meet_when_it_is_back() {
    let mut pair = Pair::new();
    pair.view(true);
    let ann = pair.subscribe(0, 1, "tea");
    pair.publish(0, &ann, "tea", r#""ann""#);
    let mut bob = pair.subscribe(1, 2, "tea");
    pair.publish(1, &bob, "tea", r#""bob""#);
    assert_eq!(pair.heard(), [(1, r#""ann""#.to_owned()), (2, r#""bob""#.to_owned())]);
    pair.view(false);
    assert_eq!(pair.heard(), says(&[2], r#""ann""#));
    pair.publish(1, &bob, "tea", "1");
    assert_eq!(pair.heard(), says(&[1, 2], "1"));
    pair.boards[1].depart(&mut bob);
    assert_eq!(pair.boards[1].introductions.held(), 0);
}

#[test]
fn what_is_long_is_not_kept_and_what_is_kept_is_bounded() {
    let mut pair = Pair::new();
    let mut ann = pair.subscribe(0, 1, "tea");
    pair.publish(0, &ann, "tea", &format!(r#""{}""#, "x".repeat(INTRODUCTION)));
    assert_eq!(pair.boards[0].introductions.held(), 0);
    pair.boards[0].depart(&mut ann);
    let mut bob = pair.subscribe(0, 2, "tea");
    pair.publish(0, &bob, "tea", "12345");
    pair.publish(0, &bob, "tea", "123456");
    assert_eq!(pair.boards[0].introductions.held(), 5);
    pair.boards[0].depart(&mut bob);
    assert_eq!(pair.boards[0].introductions.held(), 0);
}

#[test]
fn what_a_reset_lost_arrives_once() {
    let mut pair = Pair::new();
    let ann = pair.subscribe(0, 1, "tea");
    let _bob = pair.subscribe(1, 2, "tea");
    pair.is_still = true;
    pair.publish(0, &ann, "tea", "1");
    pair.publish(0, &ann, "tea", "2");
    // The first has arrived, but its acknowledgement has not.
    let unsent = std::mem::take(&mut pair.waiting[0]);
    pair.hear(1, &unsent[0]);
    pair.boards[0].reset(NOW, &name(1), &unsent);
    pair.boards[1].reset(NOW, &name(0), &[]);
    pair.is_still = false;
    pair.flow();
    let heard = pair.heard().into_iter().filter(|(who, _)| *who == 2).map(|(_, data)| data);
    // Her first words are those that may come again: the nodes cannot know who has met.
    assert_eq!(heard.collect::<Vec<_>>(), ["1", "1", "2"]);
}

#[test]
fn threat_60_foreign_and_oversized_items_reach_nobody() {
    let mut pair = Pair::new();
    let _ann = pair.subscribe(0, 1, "tea");
    let large = "x".repeat(LIMITS.message);
    for item in [
        format!(r#"{{"topic":{{"text":{{"publish":{{"n":1,"topic":"tea","data":"{large}"}}}}}}}}"#),
        r#"{"topic":{"text":{"publish":{"n":2,"topic":"\n","data":1}}}}"#.to_owned(),
        r#"{"topic":{"text":{"publish":{"n":3,"topic":"oak","data":1}}}}"#.to_owned(),
        r#"{"topic":{"text":{"shout":{"n":4,"topic":"tea","data":1}}}}"#.to_owned(),
        r#"{"peer":{"text":{"publish":{"n":5,"topic":"tea","data":1}}}}"#.to_owned(),
        r#"{"room":"tea","at":1,"body":{"request":{"left":{"id":"x"}}}}"#.to_owned(),
    ] {
        pair.hear(0, &RawValue::from_string(item).unwrap());
        assert_eq!(pair.heard, []);
    }
    let fits = r#"{"topic":{"text":{"publish":{"n":6,"topic":"tea","data":1}}}}"#.to_owned();
    pair.hear(0, &RawValue::from_string(fits).unwrap());
    assert_eq!(pair.heard(), says(&[1], "1"));
}
