//! Regions that a client may measure its way to. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::NodeState;
use super::nodes::{Node, Presence};
use crate::access::names::Region;

/// Regions that a client measures. Each costs it a connection.
pub const MAX_MEASURED: usize = 4;

/// Region, and a server there that answers STUN.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RegionServer {
    /// Region.
    pub region: Region,
    /// `stun:` URL (RFC 7064).
    pub stun: String,
}

/// Returns the regions in which a client may get a relay, at most [`MAX_MEASURED`], those with the
/// most nodes first. Empty if there is only one, because nothing is to be chosen then.
///
/// A node counts that is live, neither drains nor is full, and has a STUN URL.
pub fn regions<'a>(own: &'a NodeState, nodes: impl Iterator<Item = &'a Node>) -> Vec<RegionServer> {
    let live = nodes.filter(|node| node.presence == Presence::Live).map(|node| &node.state);
    let mut found: BTreeMap<&Region, (usize, &String)> = BTreeMap::new();
    for state in std::iter::once(own).chain(live).filter(|state| !state.draining && !state.full) {
        let stun = state.urls.iter().find(|url| url.starts_with("stun:"));
        if let (Some(region), Some(stun)) = (&state.region, stun) {
            found.entry(region).or_insert((0, stun)).0 += 1;
        }
    }
    if found.len() < 2 {
        return Vec::new();
    }
    let mut all: Vec<_> = found.into_iter().collect();
    all.sort_by_key(|(_, (nodes, _))| std::cmp::Reverse(*nodes));
    let all = all.into_iter().take(MAX_MEASURED);
    all.map(|(region, (_, stun))| RegionServer { region: region.clone(), stun: stun.clone() }).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::nodes::Nodes;

    fn state(region: &str, urls: &[&str]) -> NodeState {
        let urls = urls.iter().map(|url| (*url).to_owned()).collect();
        NodeState { region: region.parse().ok(), urls, ..NodeState::default() }
    }

    fn listed(own: &NodeState, others: &[NodeState]) -> Vec<(String, String)> {
        let mut nodes = Nodes::new();
        for (number, state) in others.iter().enumerate() {
            nodes.heard(Duration::ZERO, &format!("n{number}").parse().unwrap(), 1, state.clone(), 0);
        }
        regions(own, nodes.list()).into_iter().map(|found| (found.region.into(), found.stun)).collect()
    }

    #[test]
    fn each_region_has_one_server() {
        let own = state("eu", &["turn:a.test:3478", "stun:a.test:3478"]);
        let others = [state("us", &["stun:b.test:3478"]), state("us", &["stun:c.test:3478"])];
        let expected = [("us", "stun:b.test:3478"), ("eu", "stun:a.test:3478")];
        assert_eq!(
            listed(&own, &others),
            expected.map(|(region, stun)| (region.to_owned(), stun.to_owned()))
        );
    }

    #[test]
    fn without_a_choice_there_is_nothing_to_measure() {
        let own = state("eu", &["stun:a.test:3478"]);
        assert_eq!(listed(&own, &[]), []);
        assert_eq!(listed(&own, &[state("eu", &["stun:b.test:3478"])]), []);
        let full = NodeState { full: true, ..state("us", &["stun:b.test:3478"]) };
        let draining = NodeState { draining: true, ..state("asia", &["stun:c.test:3478"]) };
        let relay_only = state("africa", &["turn:d.test:3478"]);
        let nowhere = state("", &["stun:e.test:3478"]);
        assert_eq!(listed(&own, &[full, draining, relay_only, nowhere]), []);
    }

    #[test]
    fn at_most_four_are_measured() {
        let own = state("eu", &["stun:a.test:3478"]);
        let others: Vec<_> = (0..9).map(|n| state(&format!("r{n}"), &["stun:b.test:3478"])).collect();
        assert_eq!(listed(&own, &others).len(), MAX_MEASURED);
    }
}
