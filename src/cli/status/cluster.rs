//! Lines of `byway status` about the cluster.

use super::date;
use crate::cli::plain_text::plain;
use crate::cli::units::{count, time};
use crate::cluster::status::{ClusterStatus, NodeStatus};
use crate::fault::Fault;

/// Nodes with a line each. `--json` has all.
const LISTED: usize = 32;

/// Returns one line for this node and its broker, and one for each other node.
pub(super) fn lines(cluster: &ClusterStatus) -> String {
    let own = named(&cluster.node, cluster.region.as_deref());
    let (broker, since) = (plain(&cluster.broker), date(cluster.since));
    let mut lines = match cluster.connected {
        true => format!("  cluster: {own}, connected to {broker} since {since}\n"),
        false => {
            let error = plain(&cluster.error);
            let reason = if error.is_empty() { error } else { format!(": {error}") };
            format!("  cluster: {own}, without its broker {broker} since {since}{reason}\n")
        }
    };
    for node in cluster.nodes.iter().take(LISTED) {
        lines += &of_node(node, cluster.connected);
    }
    if let Some(left @ 1..) = cluster.nodes.len().checked_sub(LISTED) {
        lines += &format!("    and {} more: byway status --json\n", count(left as u64, "node"));
    }
    if !cluster.connected {
        lines += &format!("  more: byway explain {}\n", Fault::BusUnreachable);
    }
    lines
}

/// Without the broker every node falls silent, and none of them may have failed.
fn of_node(node: &NodeStatus, is_connected: bool) -> String {
    let mut state = Vec::new();
    if is_connected {
        state.push(plain(&node.presence));
    }
    if is_connected && node.is_live() {
        let flags =
            [(node.draining, "draining"), (node.full, "full"), (node.urls.is_empty(), "no relay for others")];
        state.extend(flags.into_iter().filter(|(is_so, _)| *is_so).map(|(_, flag)| flag.to_owned()));
        state.push(count(node.allocations, "allocation"));
        state.push(count(node.rooms, "room"));
        state.push(count(node.members, "member"));
    } else {
        state.push(format!("silent for {}", time(node.silent_ms / 1_000)));
    }
    let version = plain(&node.version);
    format!("    {} ({version}): {}\n", named(&node.node, node.region.as_deref()), state.join(", "))
}

/// Name of a node, with its region.
fn named(node: &str, region: Option<&str>) -> String {
    let region = region.map_or_else(String::new, |region| format!(" in {}", plain(region)));
    format!("node {}{region}", plain(node))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, presence: &str) -> NodeStatus {
        NodeStatus {
            node: name.to_owned(),
            presence: presence.to_owned(),
            version: "0.1.0".to_owned(),
            urls: vec!["turn:192.0.2.2:3478".to_owned()],
            ..NodeStatus::default()
        }
    }

    fn cluster() -> ClusterStatus {
        ClusterStatus {
            node: "fra-1".to_owned(),
            region: Some("eu".to_owned()),
            connected: true,
            since: 1_763_640_000,
            broker: "nats.test:4222".to_owned(),
            nodes: vec![
                NodeStatus {
                    region: Some("us".to_owned()),
                    allocations: 12,
                    rooms: 1,
                    members: 2,
                    draining: true,
                    ..node("nyc-1", "live")
                },
                NodeStatus { silent_ms: 63_000, ..node("ams-1", "dead") },
            ],
            ..ClusterStatus::default()
        }
    }

    #[test]
    fn each_node_has_a_line() {
        assert_eq!(
            lines(&cluster()),
            "  cluster: node fra-1 in eu, connected to nats.test:4222 since 2025-11-20T12:00:00Z\n    \
             node nyc-1 in us (0.1.0): live, draining, 12 allocations, 1 room, 2 members\n    \
             node ams-1 (0.1.0): dead, silent for 1m 3s\n"
        );
    }

    #[test]
    fn a_broker_that_does_not_answer_is_named_with_its_entry() {
        let alone = ClusterStatus { connected: false, error: "connection refused".to_owned(), ..cluster() };
        assert_eq!(
            lines(&alone),
            "  cluster: node fra-1 in eu, without its broker nats.test:4222 since 2025-11-20T12:00:00Z: \
             connection refused\n    \
             node nyc-1 in us (0.1.0): silent for 0s\n    \
             node ams-1 (0.1.0): silent for 1m 3s\n  \
             more: byway explain bus-unreachable\n"
        );
    }

    #[test]
    fn a_large_cluster_fits_on_the_screen() {
        let large = ClusterStatus { nodes: vec![node("a", "live"); 1_000], ..cluster() };
        let lines = lines(&large);
        assert_eq!(lines.lines().count(), 34);
        assert!(lines.ends_with("    and 968 nodes more: byway status --json\n"), "{lines}");
    }
}
