//! Two nodes without a broker: the tests carry the messages.

use std::sync::mpsc;

use super::*;

mod links;

/// A node, with the names that others revoked on it.
struct Member {
    cluster: Cluster,
    revoked: mpsc::Receiver<(String, u64)>,
}

impl Member {
    fn new(name: &str, secrets: &[&str]) -> Self {
        let (tell, revoked) = mpsc::channel();
        let parts = ClusterParts {
            settings: ClusterSettings {
                nats: vec!["nats://127.0.0.1:4222".to_owned()],
                credentials_file: None,
                node: name.parse().unwrap(),
                region: Some(name.split_once('-').unwrap().0.parse().unwrap()),
                advertise: Vec::new(),
                region_header: None,
                secrets: Secrets::new(secrets).unwrap(),
            },
            run: 7,
            clock: Clock::start(),
            counters: Arc::default(),
            revoke_here: Box::new(move |name, until| tell.send((name.to_owned(), until)).is_ok()),
        };
        let cluster = Cluster::new(parts);
        assert!(cluster.connected());
        Self { cluster, revoked }
    }

    fn state(&self) -> NodeState {
        let settings = self.cluster.settings();
        NodeState {
            region: settings.region.clone(),
            urls: vec![format!("turn:{}.example.org:3478?transport=udp", settings.node)],
            shares_rooms: true,
            ..NodeState::default()
        }
    }

    fn beat(&self) -> Vec<u8> {
        self.cluster.beat(self.state())
    }

    fn hears(&self, messages: impl IntoIterator<Item = Vec<u8>>) {
        messages.into_iter().for_each(|message| self.cluster.hear(&message));
    }
}

/// Two nodes that know each other, and that have nothing left to tell.
fn pair() -> [Member; 2] {
    let pair = ["fra-1", "nyc-1"].map(|name| Member::new(name, &["north-north"]));
    pair[0].hears([pair[1].beat()]);
    pair[1].hears([pair[0].beat()]);
    for member in &pair {
        assert!(member.cluster.missed_revocations().is_empty());
    }
    pair
}

fn region(name: &str) -> Option<Region> {
    Some(name.parse().unwrap())
}

const LATER: u64 = u64::MAX;

#[test]
fn a_client_gets_the_relay_of_its_region() {
    let [fra, nyc] = pair();
    let urls = ["turn:nyc-1.example.org:3478?transport=udp".to_owned()];
    assert_eq!(fra.cluster.relay(region("nyc").as_ref()).as_deref(), Some(&urls[..]));
    assert_eq!(nyc.cluster.relay(region("nyc").as_ref()), None);
    assert_eq!(fra.cluster.relay(None), None);
    fra.hears([nyc.cluster.beat(NodeState { draining: true, ..nyc.state() })]);
    assert_eq!(fra.cluster.relay(region("nyc").as_ref()), None);
    fra.hears([nyc.beat()]);
    fra.cluster.beat(NodeState { draining: true, ..fra.state() });
    assert_eq!(fra.cluster.relay(None).as_deref(), Some(&urls[..]));
    // A node without the broker is alone.
    assert!(fra.cluster.disconnected("why"));
    assert_eq!(fra.cluster.relay(region("nyc").as_ref()), None);
    assert!(fra.cluster.connected());
    assert!(fra.cluster.relay(region("nyc").as_ref()).is_some());
    fra.hears([nyc.cluster.farewell()]);
    assert_eq!(fra.cluster.relay(region("nyc").as_ref()), None);
}

#[test]
fn a_name_that_is_revoked_on_one_node_is_revoked_on_the_other() {
    let [fra, nyc] = pair();
    fra.cluster.revoke("tea.ann", LATER);
    fra.cluster.revoke("over", 1);
    nyc.hears(fra.cluster.revocations());
    assert_eq!(nyc.revoked.try_iter().collect::<Vec<_>>(), [("tea.ann".to_owned(), LATER)]);
    assert!(fra.cluster.revocations().is_empty(), "it is sent once");
    assert_eq!(nyc.cluster.counters().revoked.get(), 1);
}

#[test]
fn what_was_revoked_without_the_broker_is_told_when_it_is_back() {
    let [fra, nyc] = pair();
    fra.cluster.revoke("before", LATER);
    assert!(fra.cluster.disconnected("why"));
    fra.cluster.revoke("meanwhile", LATER);
    assert!(fra.cluster.revocations().is_empty());
    assert!(fra.cluster.connected() && !fra.cluster.connected());
    // The last time was just now.
    assert!(fra.cluster.missed_revocations().is_empty());
    fra.cluster.lock().resend.1 = None;
    nyc.hears(fra.cluster.missed_revocations());
    let names: Vec<_> = nyc.revoked.try_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["before", "meanwhile"]);
}

#[test]
fn a_node_that_connects_again_is_told_all_that_is_revoked() {
    let [fra, nyc] = pair();
    fra.cluster.revoke("tea.ann", LATER);
    drop(fra.cluster.revocations());
    nyc.cluster.disconnected("why");
    nyc.cluster.connected();
    fra.hears([nyc.beat()]);
    fra.cluster.lock().resend.1 = None;
    nyc.hears(fra.cluster.missed_revocations());
    assert_eq!(nyc.revoked.try_iter().count(), 1);
}

#[test]
fn threat_60_a_flood_of_revocations_is_bounded() {
    let [fra, nyc] = pair();
    for number in 0..100_000 {
        fra.cluster.revoke(&number.to_string(), LATER);
    }
    let messages = fra.cluster.revocations();
    assert_eq!(messages.len(), 50);
    nyc.hears(messages);
    assert_eq!(nyc.cluster.counters().revoked.get(), 10_000);
    assert_eq!(fra.cluster.counters().forgotten.get(), 90_000);
}

#[test]
fn threat_60_a_node_with_another_secret_is_named_and_not_believed() {
    let fra = Member::new("fra-1", &["north-north"]);
    let other = Member::new("nyc-1", &["south-south"]);
    other.cluster.revoke("tea.ann", LATER);
    fra.hears([other.beat()].into_iter().chain(other.cluster.revocations()));
    let status = fra.cluster.status();
    assert_eq!((status.strangers, status.nodes.len()), (vec!["nyc-1".to_owned()], 0));
    assert_eq!(status.rejected, BTreeMap::from([("unauthenticated".to_owned(), 2)]));
    assert_eq!(fra.revoked.try_iter().count(), 0);
    // Many names take no memory.
    for number in 0..100 {
        fra.hears([Member::new(&format!("x-{number}"), &["south-south"]).beat()]);
    }
    assert_eq!(fra.cluster.status().strangers.len(), MOST_REFUSED);
}

#[test]
fn a_secret_is_rotated_while_the_nodes_run() {
    let [fra, nyc] = pair();
    let both = Secrets::new(&["south-south", "north-north"]).unwrap();
    fra.cluster.configure(both);
    fra.hears([nyc.beat()]);
    assert!(fra.cluster.status().rejected.is_empty());
    nyc.hears([fra.beat()]);
    assert_eq!(nyc.cluster.status().strangers, ["fra-1"]);
    nyc.cluster.configure(Secrets::new(&["north-north", "south-south"]).unwrap());
    nyc.hears([fra.beat()]);
    assert_eq!(nyc.cluster.status().strangers, [""; 0], "it is no stranger any more");
}

#[test]
fn the_status_names_nodes_and_the_broker() {
    let [fra, nyc] = pair();
    let state = NodeState {
        version: "9.9".to_owned(),
        allocations: 3,
        rooms: 2,
        members: 5,
        full: true,
        ..nyc.state()
    };
    fra.hears([nyc.cluster.beat(state)]);
    let status = fra.cluster.status();
    assert!(status.connected && status.error.is_empty());
    assert_eq!((&*status.node, status.region.as_deref()), ("fra-1", Some("fra")));
    assert_eq!((&*status.broker, status.urls.len()), ("127.0.0.1:4222", 1));
    let [node] = &status.nodes[..] else { panic!("{status:?}") };
    assert_eq!((&*node.node, &*node.presence, &*node.version), ("nyc-1", "live", "9.9"));
    assert_eq!((node.allocations, node.rooms, node.members, node.full), (3, 2, 5, true));
    assert!(node.skew_ms.abs() < 1000 && node.silent_ms < 1000);
    fra.cluster.disconnected("why");
    fra.cluster.tries("other:4222".to_owned());
    let status = fra.cluster.status();
    assert_eq!((status.connected, &*status.error, &*status.broker), (false, "why", "other:4222"));
    // The event of the loss may come after that of the next attempt.
    fra.cluster.connected();
    fra.cluster.tries("third:4222".to_owned());
    assert_eq!(fra.cluster.broker(), "other:4222");
    fra.cluster.disconnected("why");
    fra.cluster.connected();
    assert_eq!(fra.cluster.broker(), "third:4222");
    let shown = format!("{:?} {status:?}", fra.cluster);
    assert!(!shown.contains("north"), "{shown}");
}

#[tokio::test]
async fn the_wait_for_the_farewell_ends() {
    let fra = Member::new("fra-1", &["north-north"]);
    fra.cluster.has_left();
    fra.cluster.left().await;
}
