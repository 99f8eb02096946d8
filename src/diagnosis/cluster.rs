//! Cluster: whether the broker answers, and what keeps this node and the others apart.

use super::Finding;
use crate::cluster::status::{BusFailure, ClusterStatus};
use crate::fault::Fault;

/// Difference of clocks that the bus and a busy machine do not explain, in milliseconds.
const NOISE: u64 = 2_000;

/// Difference at which calls fail, in milliseconds: a node takes a join token that begins up to
/// 30 s ahead, and no message that is 60 s off.
const HARMFUL: u64 = 30_000;

/// Nodes that one finding names.
const NAMED: usize = 8;

/// Judges the cluster as the running server sees it. `now` is in seconds since 1970.
#[must_use]
pub fn judge(cluster: &ClusterStatus, now: u64) -> Vec<Finding> {
    if !cluster.connected {
        return vec![of_broker(cluster, now)];
    }
    let mut findings = vec![Finding::ok("cluster", overview(cluster))];
    findings.extend(of_names(cluster));
    findings.extend(of_secrets(cluster));
    findings.extend(of_clocks(cluster));
    if cluster.nodes.is_empty() && findings.len() == 1 {
        findings.push(Finding::warning(
            None,
            "no other node is in the cluster",
            format!("none was heard at {}", cluster.broker),
            "name the same broker under [cluster] on the other nodes, and read byway status there",
        ));
    }
    findings.extend(of_silent(cluster));
    findings.extend(of_relays(cluster));
    findings
}

/// Judges a server that is in no cluster, although its configuration names a broker.
pub fn of_server_outside() -> Finding {
    Finding::warning(
        None,
        "the running server is in no cluster, although `nats` under [cluster] is set",
        "a node joins its cluster as it starts",
        "restart it: systemctl restart byway",
    )
}

fn of_broker(cluster: &ClusterStatus, now: u64) -> Finding {
    let error = if cluster.error.is_empty() { String::new() } else { format!(": {}", cluster.error) };
    let lasts = match now.saturating_sub(cluster.since) {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds => format!("{} min", seconds / 60),
    };
    let remedy = match BusFailure::of(&cluster.error) {
        BusFailure::Credentials => {
            "let `credentials_file` under [cluster] hold what the broker expects, and restart: systemctl restart byway"
        }
        BusFailure::Certificate => {
            "give the broker a certificate for the name in `nats` under [cluster], from an authority that this machine trusts"
        }
        BusFailure::Name => "correct the name in `nats` under [cluster], or the resolver of this machine",
        BusFailure::Unreachable => {
            "start the broker (systemctl start nats-server there), and allow TCP to its port from this machine"
        }
    };
    Finding::failed(
        Fault::BusUnreachable,
        "the broker of the cluster does not answer, so this node goes on alone",
        format!("{}, for {lasts}{error}", cluster.broker),
        remedy,
    )
}

/// Values for the operator: this node, its broker, the live nodes, and refused messages.
fn overview(cluster: &ClusterStatus) -> String {
    let region = |region: Option<&str>| region.map_or_else(String::new, |region| format!(" in {region}"));
    let own = format!("{}{}", cluster.node, region(cluster.region.as_deref()));
    let live = listed(
        cluster
            .live()
            .map(|node| format!("{}{} ({})", node.node, region(node.region.as_deref()), node.version)),
    );
    let mut text = format!("{own} at {}, with {live}", cluster.broker);
    let rejected = cluster.rejected.iter().filter(|(_, number)| **number > 0);
    let rejected: Vec<_> = rejected.map(|(reason, number)| format!("{number} {reason}")).collect();
    if !rejected.is_empty() {
        text += &format!("; refused messages since the start: {}", rejected.join(", "));
    }
    text
}

fn of_names(cluster: &ClusterStatus) -> Option<Finding> {
    cluster.name_taken.then(|| {
        Finding::failed(
            Fault::NodeNameTaken,
            format!("another node is named {}, too", cluster.node),
            "its messages are refused, and it refuses those of this node",
            "give each node a `node` of its own under [cluster], and restart both: systemctl restart byway",
        )
    })
}

/// A name whose messages now arrive is not judged: its secrets were the same again after a reload.
fn of_secrets(cluster: &ClusterStatus) -> Option<Finding> {
    let is_live = |name: &str| cluster.live().any(|node| node.node == name);
    let strangers: Vec<_> = cluster.strangers.iter().filter(|name| !is_live(name)).cloned().collect();
    (!strangers.is_empty()).then(|| {
        Finding::failed(
            Fault::NodeSecretDiffers,
            format!("nodes with other secrets than this one: {}", listed(strangers.into_iter())),
            "their messages are refused, and their credentials and invitations are not good here",
            "set the same `secrets` under [credentials] on every node, then run there: sudo byway reload",
        )
    })
}

fn of_clocks(cluster: &ClusterStatus) -> Option<Finding> {
    let heard = cluster.live().map(|node| (node.node.as_str(), node.skew_ms));
    let refused = cluster.clocks_off.iter().map(|(node, skew_ms)| (node.as_str(), *skew_ms));
    let others: Vec<_> = heard.chain(refused).collect();
    let off: Vec<_> = others.iter().copied().filter(|(_, skew_ms)| skew_ms.unsigned_abs() > NOISE).collect();
    let worst = off.iter().map(|(_, skew_ms)| skew_ms.unsigned_abs()).max()?;
    // If several others agree, it is this clock.
    let is_own = others.len() > 1
        && off.len() == others.len()
        && (off.iter().all(|(_, skew_ms)| *skew_ms > 0) || off.iter().all(|(_, skew_ms)| *skew_ms < 0));
    let what = match is_own {
        true => "this machine's clock differs from those of all other nodes",
        false => "the clocks of nodes differ",
    };
    let evidence = listed(off.into_iter().map(|(node, skew_ms)| difference(node, skew_ms)));
    let remedy = "run on every node: timedatectl set-ntp true";
    Some(match worst > HARMFUL {
        true => Finding::failed(Fault::NodeClockDiffers, what, evidence, remedy),
        false => Finding::warning(Fault::NodeClockDiffers, what, evidence, remedy),
    })
}

fn difference(node: &str, skew_ms: i64) -> String {
    let direction = if skew_ms > 0 { "ahead of" } else { "behind" };
    format!("{node} is {} s {direction} this machine", skew_ms.unsigned_abs() / 1_000)
}

fn of_silent(cluster: &ClusterStatus) -> Option<Finding> {
    let silent: Vec<_> = cluster.nodes.iter().filter(|node| !node.is_live()).collect();
    (!silent.is_empty()).then(|| {
        let said = silent
            .iter()
            .map(|node| format!("{} is {} for {} s", node.node, node.presence, node.silent_ms / 1_000));
        Finding::warning(
            Fault::NotRunning,
            "other nodes of the cluster are silent",
            listed(said),
            "run on each of them: sudo byway doctor. A node that is gone for good is forgotten after an hour",
        )
    })
}

fn of_relays(cluster: &ClusterStatus) -> Vec<Finding> {
    let is_relay = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
    let mut findings = Vec::new();
    if !cluster.urls.iter().any(is_relay) {
        findings.push(Finding::warning(
            Fault::NoRelay,
            "other nodes cannot give clients the relay of this one",
            "this node knows no name or public address of its own",
            "set `advertise` under [cluster], such as [\"turn:HOST:3478\"], and restart: systemctl restart byway",
        ));
    }
    let without: Vec<_> = cluster.live().filter(|node| !node.urls.iter().any(is_relay)).collect();
    if !without.is_empty() {
        findings.push(Finding::warning(
            Fault::NoRelay,
            "nodes of the cluster name no relay",
            listed(without.iter().map(|node| node.node.clone())),
            "set `advertise` under [cluster] there, and restart: systemctl restart byway",
        ));
    }
    findings
}

/// The first items, and the number of the others.
fn listed(items: impl Iterator<Item = String>) -> String {
    let items: Vec<_> = items.collect();
    let first = items.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match items.len() {
        0 => "no other node".to_owned(),
        number if number > NAMED => format!("{first} and {} more", number - NAMED),
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::State;
    use super::*;
    use crate::cluster::status::NodeStatus;

    fn urls() -> Vec<String> {
        vec!["turn:192.0.2.1:3478?transport=udp".to_owned()]
    }

    fn node(name: &str, skew_ms: i64) -> NodeStatus {
        NodeStatus {
            node: name.to_owned(),
            presence: "live".to_owned(),
            version: "0.1.0".to_owned(),
            urls: urls(),
            skew_ms,
            ..NodeStatus::default()
        }
    }

    fn cluster(nodes: Vec<NodeStatus>) -> ClusterStatus {
        ClusterStatus {
            node: "fra-1".to_owned(),
            region: Some("eu".to_owned()),
            urls: urls(),
            connected: true,
            since: 1_000,
            broker: "nats.test:4222".to_owned(),
            nodes,
            ..ClusterStatus::default()
        }
    }

    /// Faults of the findings that are not ok, with their states.
    fn found(cluster: &ClusterStatus) -> Vec<(State, Option<Fault>)> {
        let found = judge(cluster, 2_000).into_iter().filter(|finding| finding.state != State::Ok);
        found.map(|finding| (finding.state, finding.fault)).collect()
    }

    #[test]
    fn a_sound_cluster_is_ok() {
        let mut sound = cluster(vec![node("nyc-1", -40), node("ams-1", 1_900)]);
        assert_eq!(
            judge(&sound, 2_000),
            [Finding::ok("cluster", "fra-1 in eu at nats.test:4222, with nyc-1 (0.1.0), ams-1 (0.1.0)")]
        );
        sound.rejected = BTreeMap::from([("replayed".to_owned(), 2), ("malformed".to_owned(), 0)]);
        assert!(judge(&sound, 2_000)[0].evidence.ends_with("; refused messages since the start: 2 replayed"));
    }

    #[test]
    fn a_broker_that_does_not_answer_is_the_only_finding() {
        let mut alone = cluster(vec![node("nyc-1", 90_000)]);
        alone.connected = false;
        assert_eq!(found(&alone), [(State::Failed, Some(Fault::BusUnreachable))]);
        let remedy = |error: &str| {
            let alone = ClusterStatus { error: error.to_owned(), ..alone.clone() };
            let finding = judge(&alone, 1_180).remove(0);
            assert!(finding.evidence.starts_with("nats.test:4222, for 3 min"), "{finding}");
            finding.remedy
        };
        assert!(remedy("").contains("start the broker"));
        assert!(remedy("Connection refused").contains("start the broker"));
        assert!(remedy("authorization violation").contains("`credentials_file`"));
        assert!(remedy("invalid peer certificate: Expired").contains("a certificate"));
        assert!(remedy("DNS error: failed to lookup address information").contains("the resolver"));
    }

    #[test]
    fn a_clock_that_differs_is_named_with_its_direction() {
        let two = cluster(vec![node("nyc-1", 2_500), node("ams-1", 0)]);
        assert_eq!(found(&two), [(State::Warning, Some(Fault::NodeClockDiffers))]);
        assert_eq!(judge(&two, 0)[1].evidence, "nyc-1 is 2 s ahead of this machine");
        let harmful = cluster(vec![node("nyc-1", -31_000)]);
        assert_eq!(found(&harmful), [(State::Failed, Some(Fault::NodeClockDiffers))]);
        let own = judge(&cluster(vec![node("nyc-1", -5_000), node("ams-1", -5_100)]), 0);
        assert!(own[1].what.starts_with("this machine's clock"), "{}", own[1]);
        let mut refused = cluster(vec![node("nyc-1", 0)]);
        refused.clocks_off = BTreeMap::from([("ams-1".to_owned(), 7_200_000)]);
        assert_eq!(found(&refused), [(State::Failed, Some(Fault::NodeClockDiffers))]);
        assert_eq!(judge(&refused, 0)[1].evidence, "ams-1 is 7200 s ahead of this machine");
    }

    #[test]
    fn a_node_with_another_secret_is_named_until_its_messages_arrive() {
        let mut other = cluster(Vec::new());
        other.strangers = vec!["nyc-1".to_owned()];
        assert_eq!(found(&other), [(State::Failed, Some(Fault::NodeSecretDiffers))]);
        assert!(judge(&other, 0)[1].what.ends_with(": nyc-1"));
        other.nodes = vec![node("nyc-1", 0)];
        assert_eq!(found(&other), []);
    }

    #[test]
    fn a_name_that_two_nodes_have_is_a_failure() {
        let twice = ClusterStatus { name_taken: true, ..cluster(vec![node("nyc-1", 0)]) };
        assert_eq!(found(&twice), [(State::Failed, Some(Fault::NodeNameTaken))]);
    }

    #[test]
    fn counts_since_the_start_are_no_fault() {
        let mut over = cluster(vec![node("nyc-1", 0)]);
        over.rejected = ["name-taken", "stale", "unauthenticated"].map(|it| (it.to_owned(), 900)).into();
        assert_eq!(found(&over), []);
    }

    #[test]
    fn nodes_that_are_absent_silent_or_without_a_relay_are_warnings() {
        assert_eq!(found(&cluster(Vec::new())), [(State::Warning, None)]);
        let dead = NodeStatus { presence: "dead".to_owned(), silent_ms: 63_000, ..node("ams-1", 90_000) };
        let silent = cluster(vec![node("nyc-1", 0), dead]);
        assert_eq!(found(&silent), [(State::Warning, Some(Fault::NotRunning))]);
        assert_eq!(judge(&silent, 0)[1].evidence, "ams-1 is dead for 63 s");
        let bare = NodeStatus { urls: vec!["stun:192.0.2.2:3478".to_owned()], ..node("nyc-1", 0) };
        assert_eq!(found(&cluster(vec![bare])), [(State::Warning, Some(Fault::NoRelay))]);
        let own = ClusterStatus { urls: Vec::new(), ..cluster(vec![node("nyc-1", 0)]) };
        assert_eq!(found(&own), [(State::Warning, Some(Fault::NoRelay))]);
    }

    #[test]
    fn threat_56_values_at_the_ends_of_their_range_are_no_panic() {
        let wild = |skew_ms| NodeStatus { silent_ms: u64::MAX, ..node("a", skew_ms) };
        let mut many: Vec<_> = (0..1_000).map(|_| wild(i64::MIN)).collect();
        many.push(wild(i64::MAX));
        let wild = ClusterStatus {
            since: u64::MAX,
            strangers: vec!["b".repeat(1_000); 1_000],
            rejected: BTreeMap::from([("name-taken".to_owned(), u64::MAX)]),
            name_taken: true,
            ..cluster(many)
        };
        let findings = judge(&wild, 0);
        assert!(findings.iter().all(|finding| finding.evidence.len() < 2_000), "{findings:?}");
        assert!(judge(&ClusterStatus { connected: false, ..wild }, 0)[0].is_failure());
    }
}
