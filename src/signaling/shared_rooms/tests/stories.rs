//! Plain stories of two and three nodes, with all that their clients are told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use byway_turn::client_network::ClientNetwork;
use byway_turn::time::Now;
use serde_json::value::RawValue;

use crate::access::grant::Role;
use crate::access::names::NodeName;
use crate::signaling::protocol::{Ending, ErrorCode, MemberId, RoomName};
use crate::signaling::room::{Delivery, HostRule, Newcomer, RoomLimits};
use crate::signaling::shared_rooms::{Output, RoomView, SharedRooms};

const NOW: Now = Now { mono: Duration::from_secs(1000), unix: 1_800_000_000 };
const WINDOW: Duration = Duration::from_secs(30);

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn id(n: u8) -> MemberId {
    MemberId([n; 16])
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Nodes whose items arrive at once.
struct Cluster {
    nodes: BTreeMap<NodeName, SharedRooms>,
    /// A room of the node `c`.
    room: RoomName,
    told: Vec<String>,
    connected: BTreeSet<(NodeName, MemberId)>,
    /// Node without a bus.
    away: Option<NodeName>,
    /// Items from it and to it.
    waiting: Vec<(NodeName, NodeName, Box<RawValue>)>,
}

impl Cluster {
    fn new() -> Self {
        let limits = RoomLimits { rooms: 9, members: 3, viewers: 3, kept: 1 << 20, kept_in_all: 1 << 20 };
        let names = ["a", "b", "c"].map(node);
        let nodes = names.iter().zip(1..).map(|(name, run)| {
            (name.clone(), SharedRooms::of_node(limits, HostRule::Longest, WINDOW, name.clone(), run))
        });
        let room = RoomName::new("none".to_owned()).unwrap();
        let mut cluster = Self {
            nodes: nodes.collect(),
            room,
            told: Vec::new(),
            connected: BTreeSet::new(),
            away: None,
            waiting: Vec::new(),
        };
        cluster.see(&["a", "b", "c"]);
        let a = &cluster.nodes[&node("a")];
        let mut rooms = (0..).map(|n| RoomName::new(format!("room-{n}")).unwrap());
        cluster.room = rooms.find(|room| a.owner_of(room) == Some(node("c"))).unwrap();
        cluster
    }

    /// All nodes that live see those.
    fn see(&mut self, live: &[&str]) {
        for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
            let nodes = live.iter().map(|name| node(name)).filter(|other| *other != name).collect();
            self.on(name.as_str()).set_view(NOW, RoomView { nodes, alone: false, draining: false });
        }
        self.settle();
    }

    /// The bus is away for a node, for less than the others take to notice.
    fn cut(&mut self, name: &str) {
        self.away = Some(node(name));
        self.on(name).set_view(NOW, RoomView { alone: true, ..RoomView::default() });
        self.settle();
    }

    /// The bus is back. What waited arrives before the node sees the others.
    fn mend(&mut self) {
        self.away = None;
        for (from, to, json) in std::mem::take(&mut self.waiting) {
            self.on(to.as_str()).hear(NOW, &from, &json);
        }
        self.settle();
        self.see(&["a", "b", "c"]);
    }

    fn on(&mut self, name: &str) -> &mut SharedRooms {
        self.nodes.get_mut(&node(name)).unwrap()
    }

    fn join(&mut self, name: &str, n: u8) {
        let newcomer = Newcomer {
            id: id(n),
            name: None,
            network: ClientNetwork::of([192, 0, 2, n].into()),
            role: Role::Member,
            max_members: None,
            passes_lock: false,
            user: "user".into(),
            region: None,
            home: None,
            came: u64::from(n),
        };
        let room = self.room.clone();
        self.on(name).join(&room, newcomer);
        self.settle();
    }

    fn resume(&mut self, name: &str, n: u8, seq: u64) {
        let room = self.room.clone();
        let network = ClientNetwork::of([192, 0, 2, n].into());
        self.on(name).resume(NOW, &room, id(n), Some(seq), network);
        self.settle();
    }

    fn signal(&mut self, name: &str, from: u8, to: u8, json: &str) {
        self.on(name).signal(id(from), id(to), raw(json), true).unwrap();
        self.settle();
    }

    fn settle(&mut self) {
        let mut busy = true;
        while std::mem::take(&mut busy) {
            for name in self.nodes.keys().cloned().collect::<Vec<_>>() {
                for output in self.on(name.as_str()).take_outputs() {
                    busy = true;
                    self.obey(&name, output);
                }
            }
        }
    }

    fn obey(&mut self, name: &NodeName, output: Output) {
        let peers = |peers: Vec<crate::signaling::protocol::Peer>| -> Vec<_> {
            let words = |is, word| if is { word } else { "" };
            let seen = peers.into_iter();
            seen.map(|p| format!("{}{}{}", p.id.0[0], words(p.polite, "p"), words(p.host, "h"))).collect()
        };
        match &output {
            Output::Entered { id, .. } | Output::Resumed { id, .. } => {
                self.connected.insert((name.clone(), *id));
            }
            Output::Say(Delivery { to: id, .. }) | Output::Evict { id, .. }
                if !self.connected.contains(&(name.clone(), *id)) =>
            {
                return;
            }
            _ => {}
        }
        let told = match output {
            Output::Send { to, item } => {
                if self.away.as_ref().is_some_and(|away| away == name || *away == to) {
                    self.waiting.push((name.clone(), to, item.to_json()));
                } else if let Some(rooms) = self.nodes.get_mut(&to) {
                    rooms.hear(NOW, name, &item.to_json());
                }
                return;
            }
            Output::Say(delivery) => {
                let mut json = delivery.text.json.to_string();
                for n in 1..9 {
                    json = json.replace(&id(n).to_string(), &n.to_string());
                }
                format!("{} {json}", delivery.to.0[0])
            }
            Output::Entered { id, entered, .. } => {
                format!("{} enters {:?} as {:?}", id.0[0], peers(entered.peers), entered.standing.role)
            }
            Output::Resumed { id, resumed } => {
                format!("{} resumes {:?} from {}", id.0[0], peers(resumed.peers), resumed.seq)
                    + &resumed
                        .missed
                        .iter()
                        .map(|text| format!(" {}", text.json))
                        .collect::<String>()
                        .replace(&self::id(1).to_string(), "1")
            }
            Output::Refused { id, code } => format!("{} refused {code:?}", id.0[0]),
            Output::NotResumed { id, .. } => format!("{} not resumed", id.0[0]),
            Output::Evict { id, code } => format!("{} evicted {code:?}", id.0[0]),
            Output::Left { id, is_local: true, .. } => format!("{} has left", id.0[0]),
            Output::Left { .. } | Output::Came { .. } | Output::Moved { .. } => return,
        };
        self.told.push(format!("{name}: {told}"));
    }

    #[track_caller]
    fn expect(&mut self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut self.told), expected);
    }

    /// Members 1 at a and 2 at b.
    fn of_two() -> Self {
        let mut cluster = Self::new();
        cluster.join("a", 1);
        cluster.join("b", 2);
        cluster.told.clear();
        cluster
    }

    /// All that the nodes have.
    fn state(&self) -> String {
        let rooms = self.nodes.values().map(|rooms| {
            let shared: Vec<_> = rooms.shared.iter().collect();
            let signals = (&rooms.undelivered, &rooms.early);
            format!("{:?} {shared:?} {:?} {signals:?}\n", rooms.rooms, rooms.waiting)
        });
        rooms.collect()
    }
}

#[test]
fn members_of_two_nodes_meet_at_a_third() {
    let mut cluster = Cluster::new();
    cluster.join("a", 1);
    cluster.expect(&["a: 1 enters [] as Host"]);
    cluster.join("b", 2);
    cluster.expect(&[
        "a: 1 {\"type\":\"peer-joined\",\"id\":\"2\",\"name\":null,\"polite\":false,\"host\":false,\"viewer\":false}",
        "b: 2 enters [\"1ph\"] as Member",
    ]);
}

#[test]
fn a_full_room_and_a_locked_one_refuse_at_every_node() {
    let mut cluster = Cluster::of_two();
    cluster.join("c", 3);
    cluster.told.clear();
    cluster.join("b", 4);
    cluster.expect(&["b: 4 refused RoomFull"]);
    cluster.on("c").leave(id(3), Ending::Client);
    cluster.settle();
    cluster.told.clear();
    cluster.on("a").lock(id(1), true).unwrap();
    cluster.settle();
    cluster.expect(&[
        "a: 1 {\"type\":\"locked\",\"locked\":true}",
        "b: 2 {\"type\":\"locked\",\"locked\":true}",
    ]);
    cluster.join("b", 4);
    cluster.expect(&["b: 4 refused RoomLocked"]);
    assert_eq!(cluster.on("b").lock(id(2), false).unwrap_err(), ErrorCode::NotHost);
}

#[test]
fn signals_pass_both_ways_with_their_numbers() {
    let mut cluster = Cluster::of_two();
    cluster.signal("a", 1, 2, "7");
    cluster.signal("a", 1, 2, "8");
    cluster.signal("b", 2, 1, "9");
    cluster.expect(&[
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":1,\"data\":7}",
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":2,\"data\":8}",
        "a: 1 {\"type\":\"signal\",\"from\":\"2\",\"seq\":1,\"data\":9}",
    ]);
}

#[test]
fn a_host_that_leaves_is_followed_by_the_next() {
    let mut cluster = Cluster::of_two();
    cluster.on("a").leave(id(1), Ending::Client);
    cluster.settle();
    cluster.expect(&[
        "a: 1 has left",
        "b: 2 {\"type\":\"peer-left\",\"id\":\"1\"}",
        "b: 2 {\"type\":\"host\",\"id\":\"2\"}",
    ]);
    cluster.on("b").leave(id(2), Ending::Client);
    cluster.settle();
    cluster.expect(&["b: 2 has left"]);
    assert!(cluster.nodes.values().all(|rooms| rooms.shared.is_empty() && rooms.rooms.rooms() == 0));
}

#[test]
fn a_client_resumes_at_another_node_with_the_signals_that_it_missed() {
    let mut cluster = Cluster::of_two();
    cluster.signal("a", 1, 2, "7");
    cluster.on("b").lose(NOW, id(2), 1);
    cluster.connected.remove(&(node("b"), id(2)));
    cluster.settle();
    cluster.signal("a", 1, 2, "8");
    cluster.told.clear();
    cluster.resume("c", 2, 1);
    cluster
        .expect(&["c: 2 resumes [\"1ph\"] from 1 {\"type\":\"signal\",\"from\":\"1\",\"seq\":2,\"data\":8}"]);
    cluster.signal("a", 1, 2, "9");
    cluster.expect(&["c: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":3,\"data\":9}"]);
}

#[test]
fn a_host_removes_a_member_of_another_node() {
    let mut cluster = Cluster::of_two();
    cluster.on("a").remove_by_host(id(1), id(2)).unwrap();
    cluster.settle();
    cluster.told.sort();
    cluster.expect(&["a: 1 {\"type\":\"peer-left\",\"id\":\"2\"}", "b: 2 evicted Removed", "b: 2 has left"]);
}

#[test]
fn the_death_of_the_owner_is_not_noticed() {
    let mut cluster = Cluster::of_two();
    let c = node("c");
    cluster.nodes.remove(&c);
    for name in ["a", "b"] {
        cluster.on(name).reset(NOW, &c, &[]);
    }
    cluster.see(&["a", "b"]);
    cluster.expect(&[]);
    cluster.signal("a", 1, 2, "7");
    cluster.expect(&["b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":1,\"data\":7}"]);
}

#[test]
fn signals_to_an_owner_that_dies_are_in_order_if_the_view_is_known_first() {
    let mut cluster = Cluster::of_two();
    let a = cluster.on("a");
    for json in ["7", "8"] {
        a.signal(id(1), id(2), raw(json), true).unwrap();
    }
    let unsent: Vec<_> = a
        .take_outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Send { item, .. } => Some(item.to_json()),
            _ => None,
        })
        .collect();
    let c = node("c");
    cluster.nodes.remove(&c);
    cluster.see(&["a", "b"]);
    cluster.signal("a", 1, 2, "9");
    cluster.on("b").reset(NOW, &c, &[]);
    cluster.on("a").reset(NOW, &c, &unsent);
    cluster.settle();
    cluster.expect(&[
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":1,\"data\":7}",
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":2,\"data\":8}",
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":3,\"data\":9}",
    ]);
}

#[test]
fn a_signal_waits_until_its_sender_has_joined() {
    let mut cluster = Cluster::of_two();
    cluster.cut("b");
    cluster.join("c", 3);
    cluster.signal("c", 3, 2, "7");
    cluster.signal("a", 1, 2, "8");
    cluster.told.clear();
    cluster.mend();
    cluster.expect(&[
        "b: 2 {\"type\":\"peer-joined\",\"id\":\"3\",\"name\":null,\"polite\":false,\"host\":false,\"viewer\":false}",
        "b: 2 {\"type\":\"signal\",\"from\":\"3\",\"seq\":1,\"data\":7}",
        "b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":2,\"data\":8}",
    ]);
    cluster.signal("c", 3, 2, "9");
    cluster.expect(&["b: 2 {\"type\":\"signal\",\"from\":\"3\",\"seq\":3,\"data\":9}"]);
}

#[test]
fn a_signal_of_a_sender_that_never_joins_is_dropped_and_counted() {
    let mut cluster = Cluster::of_two();
    cluster.cut("b");
    cluster.join("c", 3);
    cluster.signal("c", 3, 2, "7");
    cluster.on("c").leave(id(3), Ending::Client);
    cluster.settle();
    cluster.told.clear();
    cluster.mend();
    cluster.expect(&[]);
    assert_eq!(cluster.on("b").strangers(), 1);
    cluster.signal("a", 1, 2, "8");
    cluster.expect(&["b: 2 {\"type\":\"signal\",\"from\":\"1\",\"seq\":1,\"data\":8}"]);
}

#[test]
fn threat_60_forged_and_foreign_items_about_rooms_change_nothing() {
    let mut cluster = Cluster::of_two();
    let (room, two, stranger) = (cluster.room.clone(), id(2), id(9));
    let at = match &cluster.nodes[&node("c")].shared[&room].part {
        super::super::Part::Owner(homes) => homes.attached[&node("b")],
        super::super::Part::Home(_) => panic!("c owns the room"),
    };
    let before = cluster.state();
    let item = |room: &str, at: u64, body: &str| {
        format!("{{\"room\":\"{room}\",\"at\":{at},\"n\":1,\"body\":{{{body}}}}}")
    };
    let name = room.as_str();
    let requests = [
        // Of a room that nobody knows, under an attachment that there is not.
        item("unknown", at, &format!("\"request\":{{\"left\":{{\"id\":\"{two}\"}}}}")),
        item(name, at + 1, &format!("\"request\":{{\"lost\":{{\"id\":\"{two}\",\"written\":0}}}}")),
        // Of members of another node, of nobody, and by one that is no host.
        item(name, 0, &format!("\"request\":{{\"left\":{{\"id\":\"{two}\"}}}}")),
        item(name, at, &format!("\"request\":{{\"lost\":{{\"id\":\"{stranger}\",\"written\":0}}}}")),
        item(name, at, &format!("\"request\":{{\"lock\":{{\"by\":\"{two}\",\"locked\":true}}}}")),
        item(name, at, &format!("\"request\":{{\"remove\":{{\"by\":\"{two}\",\"id\":\"{two}\"}}}}")),
        // Of no form at all.
        "{}".to_owned(),
        "[1]".to_owned(),
        item(name, at, "\"request\":{\"left\":{\"id\":\"short\"}}"),
        item(name, at, "\"notice\":{\"refused\":{\"id\":\"AAAAAAAAAAAAAAAAAAAAAA\",\"code\":\"unknown\"}}"),
        item(name, at, "\"later\":{}"),
        item(&"x".repeat(10_000), at, "\"request\":\"detach\""),
    ];
    let notices = [
        item(name, at, "\"notice\":{\"room\":{\"whole\":true,\"locked\":true}}"),
        item(name, at, &format!("\"notice\":{{\"refused\":{{\"id\":\"{two}\",\"code\":\"room-full\"}}}}")),
        item(name, 0, "\"notice\":\"detached\""),
    ];
    for json in &requests {
        // As if the node a had sent it: the member 2 is of b.
        cluster.on("c").hear(NOW, &node("a"), &raw(json));
        cluster.on("c").take_outputs();
        assert_eq!(cluster.state(), before, "{json}");
    }
    for json in &notices {
        // The owner is c. The node a says nothing about the room, neither to it nor to b.
        for to in ["b", "c"] {
            cluster.on(to).hear(NOW, &node("a"), &raw(json));
            assert!(cluster.on(to).take_outputs().is_empty(), "{json}");
            assert_eq!(cluster.state(), before, "{json}");
        }
    }
    cluster.expect(&[]);
}
