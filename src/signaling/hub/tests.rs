//! Sessions on two hubs that pass each other items by hand.

use std::collections::VecDeque;

use byway_turn::auth::Secrets;
use byway_turn::rate_limit::KeyedRateLimiter;
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::*;
use crate::access::api_keys::ApiKeys;
use crate::access::tokens::{self, Tokens as JoinTokens};
use crate::clock::Clock;
use crate::ice::{Endpoints, IceSettings, TransportPolicy};
use crate::phase::PhaseSender;
use crate::signaling::SignalingSettings;
use crate::signaling::connection::Conversation as _;
use crate::signaling::protocol::Text;
use crate::signaling::send_queue::{Backlog, Frame, Told};
use crate::signaling::session::Session;
use crate::signaling::shared_rooms::RoomView;

type Wire = Arc<Mutex<VecDeque<(NodeName, NodeName, Box<RawValue>)>>>;

/// A node.
struct Node {
    hub: Hub,
    name: NodeName,
    revocations: Arc<Revocations>,
    ended: Arc<Mutex<Vec<String>>>,
    _phase: PhaseSender,
}

fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

impl Node {
    fn new(own: &str, wire: &Wire) -> Self {
        let (own, wire, phase) = (name(own), wire.clone(), PhaseSender::new());
        let secrets = Secrets::new(&["north"]).unwrap();
        let ice = IceSettings {
            urls: vec![],
            secrets: secrets.clone(),
            ttl: Duration::from_secs(600),
            policy: TransportPolicy::All,
        };
        let settings = SignalingSettings {
            max_rooms: 100,
            max_members: 3,
            max_viewers: 1,
            max_message: 65_536,
            resume_window: Duration::from_secs(30),
        };
        let keys = tokens::Settings { secrets: vec![], keys: None, audience: "byway.test".to_owned() };
        let access = Access {
            policy: Policy::Open,
            tokens: JoinTokens::new(&keys, &["north"]).unwrap(),
            api_keys: ApiKeys::new(&["a-key"]),
            limiter: Arc::new(KeyedRateLimiter::new(10_000, Duration::from_secs(10), 7)),
            is_draining: Arc::new(|| false),
            counters: Arc::default(),
        };
        let seed: [u8; 32] = std::array::from_fn(|n| own.as_str().as_bytes()[n % own.as_str().len()]);
        let revocations = Arc::new(Revocations::new(&seed));
        let ended = Arc::<Mutex<Vec<String>>>::default();
        let (sender, from) = (wire, own.clone());
        let hub = Hub::new(HubParts {
            connections: Arc::new(SignalingConnections::new(
                ConnectionLimits::of(settings),
                Clock::start(),
                Arc::default(),
                phase.watch(),
            )),
            ice: Arc::new(IceServers::new(ice, Endpoints::default())),
            revocations: revocations.clone(),
            access: Live::new(access),
            end_user: {
                let ended = ended.clone();
                Box::new(move |user| ended.lock().unwrap().push(user.to_owned()))
            },
            count_user: Box::new(|_| 0),
            events: EventSender::to_consumers::<0>().0,
            tickets: Live::new(Tickets::of_cluster(&secrets)),
            node: Some(HubNode {
                name: own.clone(),
                run: 1,
                send: Box::new(move |to, item| {
                    sender.lock().unwrap().push_back((from.clone(), to.clone(), item));
                }),
            }),
        });
        Self { hub, name: own, revocations, ended, _phase: phase }
    }

    fn connect(&self) -> Client<'_> {
        let address = [192, 0, 2, 1].into();
        let queue = Backlog::new(usize::MAX, Arc::default()).queue(address, None, 65_536, 1 << 20);
        let visitor = Visitor { address, host: None, region: None, nearest: None };
        Client { session: Session::new(&self.hub, queue.clone(), visitor), node: self, queue }
    }

    fn join(&self, room: &str) -> Client<'_> {
        let mut client = self.connect();
        client.say(&json!({"type": "join", "room": room}));
        client
    }

    fn ended(&self) -> Vec<String> {
        std::mem::take(&mut self.ended.lock().unwrap())
    }

    fn is_good(&self, user: &str) -> bool {
        self.revocations.is_good(self.hub.connections.clock.now(), user)
    }
}

/// A client and its session.
struct Client<'a> {
    session: Session<'a>,
    node: &'a Node,
    queue: Arc<SendQueue>,
}

impl Client<'_> {
    fn say(&mut self, message: &Value) {
        self.session.hear(self.node.hub.connections.clock.now(), &message.to_string());
    }

    /// All messages since the last call.
    fn heard(&self) -> Vec<Value> {
        let texts = std::iter::from_fn(|| self.queue.next().now_or_never()).filter_map(|frame| {
            self.queue.wrote();
            match frame {
                Frame::Text(Text { json, .. }) => Some(serde_json::from_str(&json).unwrap()),
                _ => None,
            }
        });
        texts.collect()
    }

    /// The one message since the last call.
    fn heard_one(&self) -> Value {
        let mut heard = self.heard();
        assert_eq!(heard.len(), 1, "{heard:?}");
        heard.remove(0)
    }

    /// Codes of the errors since the last call, which are all messages.
    fn errors(&self) -> Vec<String> {
        let heard = self.heard();
        heard
            .iter()
            .map(|error| error["code"].as_str().unwrap_or_else(|| panic!("{error}")).to_owned())
            .collect()
    }

    /// Request to its connection.
    fn told(&mut self) -> Option<Told> {
        self.queue.told().now_or_never()
    }

    fn end(&mut self, ending: Ending) {
        self.session.end(self.node.hub.connections.clock.now(), ending);
    }
}

struct Pair {
    wire: Wire,
    nodes: [Node; 2],
}

impl Pair {
    fn new() -> Self {
        let wire = Wire::default();
        let nodes = ["fra", "nyc"].map(|own| Node::new(own, &wire));
        let pair = Self { wire, nodes };
        let [fra, nyc] = &pair.nodes;
        for (node, other) in [(fra, nyc), (nyc, fra)] {
            let nodes = [other.name.clone()].into();
            node.hub.set_view(RoomView { nodes, alone: false, draining: false });
        }
        pair
    }

    /// Passes all items on, until there are none.
    fn pass(&self) {
        loop {
            let Some((from, to, item)) = self.wire.lock().unwrap().pop_front() else { return };
            let node = self.nodes.iter().find(|node| node.name == to).unwrap();
            node.hub.hear(&from, &item);
        }
    }

    /// A room that the first node owns, beside the nodes: its owner, and the other.
    fn room(&self) -> (String, &Node, &Node) {
        let [fra, nyc] = &self.nodes;
        let owned = (0..).map(|n| format!("r{n}")).find(|room| {
            let mut client = fra.join(room);
            let is_here = !client.heard().is_empty();
            client.say(&json!({"type": "leave"}));
            self.pass();
            is_here
        });
        self.nodes.iter().for_each(|node| drop(node.ended()));
        (owned.unwrap(), fra, nyc)
    }
}

fn id(joined: &Value) -> &str {
    assert_eq!(joined["type"], "joined", "{joined}");
    joined["id"].as_str().unwrap()
}

#[test]
fn a_client_waits_for_the_owner_of_its_room() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let ann = fra.join(&room);
    let joined = ann.heard_one();
    let mut bob = nyc.join(&room);
    assert_eq!(bob.heard(), Vec::<Value>::new());
    bob.say(&json!({"type": "ping"}));
    assert_eq!(bob.heard_one()["type"], "pong");
    bob.say(&json!({"type": "join", "room": "another"}));
    bob.say(&json!({"type": "signal", "to": id(&joined), "data": 1}));
    bob.say(&json!({"type": "lock", "locked": true}));
    assert_eq!(bob.errors(), ["already-joined", "not-joined", "not-joined"]);
    pair.pass();
    let came = bob.heard_one();
    assert_eq!(came["peers"][0]["id"], joined["id"]);
    assert_eq!((&came["peers"][0]["polite"], &came["host"]), (&true.into(), &false.into()));
    let seen = ann.heard_one();
    assert_eq!((&seen["type"], &seen["id"]), (&"peer-joined".into(), &came["id"]));
    assert_eq!(seen["polite"], false);
    // Its next frame finds it in the room, whether or not its connection was woken.
    bob.say(&json!({"type": "signal", "to": id(&joined), "data": 1}));
    pair.pass();
    let signal = ann.heard_one();
    assert_eq!((&signal["from"], &signal["seq"], &signal["data"]), (&came["id"], &1.into(), &1.into()));
    assert_eq!(bob.told(), Some(Told::Answered), "its connection sets the next deadline");
    assert_eq!(bob.session.next_deadline().map(|at| at > Duration::from_secs(200)), Some(true));
    assert_eq!([fra, nyc].map(|node| node.hub.sizes()), [(1, 1), (1, 1)]);
}

#[test]
fn a_client_that_goes_before_the_answer_leaves_nothing_behind() {
    let endings: [fn(&mut Client<'_>); 3] = [
        |client| client.say(&json!({"type": "leave"})),
        |client| client.end(Ending::Lost),
        |client| client.end(Ending::Bye(ByeCode::ShuttingDown)),
    ];
    for end in endings {
        for passes in [false, true] {
            let pair = Pair::new();
            let (room, fra, nyc) = pair.room();
            let ann = fra.join(&room);
            ann.heard_one();
            let mut bob = nyc.join(&room);
            if passes {
                // The owner has admitted it, and its answer is on the way.
                let (from, _, item) = pair.wire.lock().unwrap().pop_front().unwrap();
                fra.hub.hear(&from, &item);
            }
            end(&mut bob);
            pair.pass();
            assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((1, 1), (0, 0)));
            assert_eq!(fra.hub.room(&RoomName::new(room).unwrap()).members.len(), 1);
            assert_eq!(bob.heard(), Vec::<Value>::new());
        }
    }
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    drop(nyc.join(&room).session);
    pair.pass();
    assert_eq!(fra.hub.room(&RoomName::new(room).unwrap()).members.len(), 0, "as with a panic");
}

#[test]
fn a_refusal_of_the_owner_is_told_and_counted() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let members: Vec<_> = (0..3).map(|_| fra.join(&room)).collect();
    let mut late = nyc.join(&room);
    pair.pass();
    assert_eq!(late.errors(), ["room-full"]);
    assert_eq!(late.told(), Some(Told::Answered));
    late.say(&json!({"type": "leave"}));
    assert_eq!(late.errors(), ["not-joined"]);
    assert_eq!(format!("{:?}", nyc.revocations), "Revocations(0 here, 0 revoked)");
    drop(members);
    // It may try again over the same connection.
    late.say(&json!({"type": "join", "room": room}));
    pair.pass();
    id(&late.heard_one());
}

#[test]
fn a_member_resumes_on_another_node() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    for [former, next] in [[fra, nyc], [nyc, fra]] {
        let (mut ann, mut bob) = (fra.join(&room), former.join(&room));
        pair.pass();
        let (ann_joined, joined) = (ann.heard().remove(0), bob.heard_one());
        bob.end(Ending::Lost);
        ann.say(&json!({"type": "signal", "to": id(&joined), "data": "missed"}));
        let mut back = next.connect();
        back.say(&json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0}));
        pair.pass();
        let heard = back.heard();
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!((id(&heard[0]), &heard[0]["resume"]), (id(&joined), &joined["resume"]));
        assert_eq!((&heard[1]["data"], &heard[1]["seq"]), (&"missed".into(), &1.into()));
        assert_eq!(heard[0]["ice"]["iceServers"][1]["username"], joined["ice"]["iceServers"][1]["username"]);
        assert_eq!(ann.heard(), Vec::<Value>::new(), "nobody noticed");
        back.say(&json!({"type": "signal", "to": id(&ann_joined), "data": 2}));
        pair.pass();
        assert_eq!(ann.heard_one()["from"], joined["id"]);
        let user = fra.hub.room(&RoomName::new(room.clone()).unwrap()).members[1].user.clone();
        assert!(fra.is_good(&user) && nyc.is_good(&user));
        assert_eq!(former.hub.sizes().1 + next.hub.sizes().1, 2);
        back.say(&json!({"type": "leave"}));
        pair.pass();
        assert_eq!(ann.heard_one()["type"], "peer-left");
        assert_eq!((former.ended(), next.ended()), (vec![], vec![user]), "its last node ends its name");
        ann.say(&json!({"type": "leave"}));
        pair.pass();
        assert_eq!([fra, nyc].map(|node| node.hub.sizes()), [(0, 0), (0, 0)]);
        fra.ended();
    }
}

/// The client may know of the loss before the server does.
#[test]
fn a_membership_has_one_connection_on_all_nodes() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let ann = fra.join(&room);
    ann.heard_one();
    let mut bob = nyc.join(&room);
    pair.pass();
    let joined = bob.heard_one();
    let mut back = fra.connect();
    back.say(&json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0}));
    pair.pass();
    assert_eq!(id(&back.heard_one()), id(&joined));
    assert_eq!(bob.told(), Some(Told::End(ByeCode::Replaced)));
    bob.end(Ending::Bye(ByeCode::Replaced));
    pair.pass();
    assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((1, 2), (0, 0)));
    // Two connections that wait for one membership: the later one has it.
    back.end(Ending::Lost);
    let mut waiting = [nyc.connect(), nyc.connect()];
    for client in &mut waiting {
        client.say(&json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0}));
    }
    pair.pass();
    let [first, second] = &mut waiting;
    assert_eq!(first.told(), Some(Told::End(ByeCode::Replaced)));
    first.end(Ending::Bye(ByeCode::Replaced));
    pair.pass();
    assert_eq!(id(&second.heard_one()), id(&joined));
    assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((1, 1), (1, 1)));
    assert_eq!(ann.heard().len(), 1, "it saw one member join");
}

/// A client on a bad line asks, loses its connection, and asks again before the owner has answered.
#[test]
fn a_client_that_resumes_twice_before_the_answer_has_one_membership() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let (_ann, mut bob) = (fra.join(&room), fra.join(&room));
    let joined = bob.heard_one();
    bob.end(Ending::Lost);
    let join = json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0});
    let mut first = nyc.connect();
    first.say(&join);
    first.end(Ending::Lost);
    let mut second = nyc.connect();
    second.say(&join);
    pair.pass();
    assert_eq!(id(&second.heard_one()), id(&joined));
    assert_eq!(second.told(), Some(Told::Answered));
    // And one that does not come back after it has asked is given up like any other.
    second.end(Ending::Lost);
    let mut third = fra.connect();
    third.say(&join);
    pair.pass();
    third.heard_one();
    third.end(Ending::Lost);
    let mut last = nyc.connect();
    last.say(&join);
    last.end(Ending::Lost);
    pair.pass();
    let named = RoomName::new(room).unwrap();
    assert!(!fra.hub.room(&named).members[1].connected, "the owner knows that its client is gone");
}

#[test]
fn a_membership_that_ended_elsewhere_is_followed_by_another() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let mut bob = fra.join(&room);
    let joined = bob.heard_one();
    bob.say(&json!({"type": "leave"}));
    let mut back = nyc.connect();
    back.say(&json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0}));
    pair.pass();
    let again = back.heard_one();
    assert_ne!(id(&again), id(&joined));
    assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((0, 0), (1, 1)));
}

#[test]
fn a_host_rules_on_all_nodes() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let mut ann = nyc.join(&room);
    pair.pass();
    assert_eq!(ann.heard_one()["host"], true);
    let mut bob = fra.join(&room);
    pair.pass();
    let joined = bob.heard_one();
    ann.heard_one();
    ann.say(&json!({"type": "lock", "locked": true}));
    pair.pass();
    assert_eq!([&ann, &bob].map(Client::heard_one).map(|heard| heard["locked"].clone()), [true, true]);
    for node in [fra, nyc] {
        let late = node.join(&room);
        pair.pass();
        assert_eq!(late.errors(), ["room-locked"]);
    }
    ann.say(&json!({"type": "remove", "id": id(&joined)}));
    pair.pass();
    assert_eq!(bob.told(), Some(Told::End(ByeCode::Removed)));
    bob.end(Ending::Bye(ByeCode::Removed));
    assert_eq!(ann.heard_one()["type"], "peer-left");
    assert_eq!(fra.ended().len(), 1);
    assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((0, 0), (1, 1)));
}

#[test]
fn an_operator_removes_a_member_on_any_node() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let named = RoomName::new(room.clone()).unwrap();
    let mut ann = fra.join(&room);
    let joined = ann.heard_one();
    let id = MemberId::parse(id(&joined)).unwrap();
    assert!(nyc.hub.remove(&named, id), "it has no part of the room and asks");
    pair.pass();
    assert_eq!(ann.told(), Some(Told::End(ByeCode::Removed)));
    assert_eq!(fra.hub.sizes(), (0, 0));
    assert!(!fra.hub.remove(&named, id), "the owner knows");
}

/// A node that drains keeps its members, which may go on elsewhere.
#[test]
fn a_member_of_a_node_that_stops_resumes_elsewhere() {
    let pair = Pair::new();
    let (room, fra, nyc) = pair.room();
    let mut ann = nyc.join(&room);
    pair.pass();
    let mut bob = fra.join(&room);
    pair.pass();
    let joined = bob.heard_one();
    assert_eq!(ann.heard().len(), 2);
    bob.end(Ending::Bye(ByeCode::ShuttingDown));
    let others = [nyc.name.clone()].into();
    fra.hub.set_view(RoomView { nodes: others, alone: false, draining: true });
    nyc.hub.set_view(RoomView::default());
    pair.pass();
    let user = fra.hub.room(&RoomName::new(room.clone()).unwrap()).members[1].user.clone();
    assert!(fra.is_good(&user), "its call goes on");
    ann.say(&json!({"type": "signal", "to": id(&joined), "data": 1}));
    pair.pass();
    let mut back = nyc.connect();
    back.say(&json!({"type": "join", "room": room, "resume": joined["resume"], "seq": 0}));
    pair.pass();
    let heard = back.heard();
    assert_eq!(heard.len(), 2, "{heard:?}");
    assert_eq!((id(&heard[0]), &heard[1]["seq"]), (id(&joined), &1.into()));
    assert!(fra.is_good(&user), "it has only moved");
    assert_eq!((fra.hub.sizes(), nyc.hub.sizes()), ((0, 0), (1, 2)));
    assert_eq!(fra.ended(), Vec::<String>::new());
}
