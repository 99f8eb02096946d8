//! Items between two nodes, and what their listeners are told.

use futures_util::FutureExt as _;
use serde_json::value::RawValue;

use super::*;
use crate::cluster::ClusterView;
use crate::metrics::{Exposition, Metrics};

/// Listener that tells the test all that it is told, and answers each item `"ping"`.
struct Ear {
    cluster: Cluster,
    tell: mpsc::Sender<String>,
}

impl NodeListener for Ear {
    fn hear(&self, from: &NodeName, item: &RawValue) {
        if item.get() == r#""ping""# {
            self.cluster.send(from, json(r#""pong""#));
        }
        self.tell.send(format!("{from} says {item}")).unwrap();
    }

    fn reset(&self, peer: &NodeName, unsent: Vec<Box<RawValue>>) {
        self.tell.send(format!("reset {peer} {unsent:?}")).unwrap();
    }

    fn view(&self, view: ClusterView) {
        let ClusterView { nodes, alone, draining } = view;
        let nodes: Vec<_> = nodes.iter().map(NodeName::as_str).collect();
        self.tell.send(format!("nodes {nodes:?}, alone {alone}, draining {draining}")).unwrap();
    }
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn listen(member: &Member) -> mpsc::Receiver<String> {
    let (tell, told) = mpsc::channel();
    member.cluster.listen(Arc::new(Ear { cluster: member.cluster.clone(), tell }));
    told
}

/// Lets the last change of the connection be long past.
fn settle(member: &Member) {
    let mut view = member.cluster.lock();
    view.isolation.tick(Duration::MAX);
    view.has_changed = true;
    drop(view);
    member.cluster.deliver();
}

/// Carries what one node sends now to the other.
fn carry(from: &Member, to: &Member) {
    for (name, message) in from.cluster.exchange() {
        assert_eq!(&name, &to.cluster.settings().node);
        to.hears([message]);
    }
}

fn told(told: &mpsc::Receiver<String>) -> Vec<String> {
    told.try_iter().collect()
}

fn page(member: &Member) -> String {
    Metrics::new(vec![member.cluster.0.counters.clone()]).render(Exposition::Text)
}

const NYC: &str = "nyc-1";

#[test]
fn items_arrive_in_order_and_a_listener_may_send() {
    let [fra, nyc] = pair();
    let (at_fra, at_nyc) = (listen(&fra), listen(&nyc));
    drop((told(&at_fra), told(&at_nyc)));
    for text in [r#"{"op": 1}"#, r#""ping""#, "3"] {
        fra.cluster.send(&NYC.parse().unwrap(), json(text));
    }
    let messages = fra.cluster.exchange();
    assert_eq!(messages.len(), 1, "they leave together");
    nyc.hears(messages.into_iter().map(|(_, message)| message));
    assert_eq!(told(&at_nyc), [r#"fra-1 says {"op": 1}"#, r#"fra-1 says "ping""#, "fra-1 says 3"]);
    carry(&nyc, &fra);
    assert_eq!(told(&at_fra), [r#"nyc-1 says "pong""#]);
    let page = page(&fra);
    for line in ["byway_cluster_items_sent_total 3", "byway_cluster_items_received_total 1"] {
        assert!(page.contains(line), "{page}");
    }
}

#[test]
fn a_node_that_stops_or_starts_again_gives_items_back() {
    let [fra, nyc] = pair();
    let at_fra = listen(&fra);
    settle(&fra);
    assert_eq!(
        told(&at_fra),
        ["nodes [], alone true, draining false", "nodes [\"nyc-1\"], alone false, draining false"]
    );
    fra.cluster.send(&NYC.parse().unwrap(), json("1"));
    drop(fra.cluster.exchange());
    fra.hears([nyc.cluster.farewell()]);
    // In this order: what comes back is sent to another node at once.
    assert_eq!(told(&at_fra), ["nodes [], alone false, draining false", "reset nyc-1 [RawValue(1)]"]);
    assert!(fra.cluster.exchange().is_empty());
}

#[test]
fn the_view_names_nodes_that_do_not_drain() {
    let [fra, nyc] = pair();
    let at_fra = listen(&fra);
    settle(&fra);
    drop(told(&at_fra));
    fra.hears([nyc.cluster.beat(NodeState { draining: true, ..nyc.state() })]);
    assert_eq!(told(&at_fra), ["nodes [], alone false, draining false"]);
    fra.hears([nyc.beat(), nyc.beat()]);
    assert_eq!(told(&at_fra), ["nodes [\"nyc-1\"], alone false, draining false"]);
    drop(fra.cluster.beat(NodeState { draining: true, ..fra.state() }));
    assert_eq!(told(&at_fra), ["nodes [\"nyc-1\"], alone false, draining true"]);
    // A hiccup of the bus changes nothing.
    fra.cluster.disconnected("why");
    fra.hears([nyc.cluster.farewell()]);
    assert_eq!(told(&at_fra), [""; 0]);
    settle(&fra);
    assert_eq!(told(&at_fra), ["nodes [], alone true, draining true"]);
}

#[test]
fn an_item_that_cannot_be_sent_is_counted() {
    let [fra, nyc] = pair();
    let to = NYC.parse().unwrap();
    let large = format!("\"{}\"", "x".repeat(crate::cluster::link::MAX_ITEM));
    fra.cluster.send(&to, json(&large));
    fra.cluster.has_left();
    fra.cluster.send(&to, json("1"));
    carry(&fra, &nyc);
    let page = page(&fra);
    for reason in ["too_large", "stopping"] {
        let line = format!("byway_cluster_items_dropped_total{{reason=\"{reason}\"}} 1");
        assert!(page.contains(&line), "{page}");
    }
}

#[tokio::test]
async fn the_driver_is_woken_by_an_item() {
    let [fra, _nyc] = pair();
    fra.cluster.stirred().await;
    drop(fra.cluster.exchange());
    let mut stirred = Box::pin(fra.cluster.stirred());
    assert!((&mut stirred).now_or_never().is_none());
    fra.cluster.send(&NYC.parse().unwrap(), json("1"));
    stirred.await;
    assert_eq!(fra.cluster.exchange().len(), 1);
}
