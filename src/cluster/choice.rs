//! Choice of the node whose relay a client gets. Pure.
//!
//! A client gets the relay of one node: a browser that is given several does not pick the nearest,
//! and gathers candidates from all of them.

use super::NodeState;
use super::nodes::{Node, Presence};
use crate::access::names::Region;

/// Node whose relay a client gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice<'a> {
    /// The node that the client asked.
    Own,
    /// Another node.
    Other(&'a Node),
}

/// Chooses a relay for a client that asked the node with the state `own`.
///
/// A client that wishes a region gets the usable node there that has the fewest allocations, and of
/// equals its own. If it wishes none, or none there is usable, it gets its own node. If that one
/// drains or is full, it gets the node with the fewest allocations: of the own region, else of all.
/// Without any usable node it gets its own.
///
/// A node is usable if it is live, neither drains nor is full, and has a TURN URL. The own node
/// needs no URL here, because its own clients know an address of it.
pub fn choose<'a>(
    own: &NodeState,
    nodes: impl Iterator<Item = &'a Node>,
    wish: Option<&Region>,
) -> Choice<'a> {
    let others: Vec<&Node> = nodes.filter(|node| is_usable(node)).collect();
    let least_loaded = |region: Option<&Region>| {
        let there = others.iter().filter(|node| region.is_none() || node.state.region.as_ref() == region);
        there.min_by_key(|node| node.state.allocations).copied()
    };
    let is_own_usable = takes_clients(own);
    if let Some(region) = wish {
        let is_own_there = is_own_usable && own.region.as_ref() == Some(region);
        match least_loaded(Some(region)) {
            Some(node) if !is_own_there || node.state.allocations < own.allocations => {
                return Choice::Other(node);
            }
            _ if is_own_there => return Choice::Own,
            _ => {}
        }
    }
    if is_own_usable {
        return Choice::Own;
    }
    let of_own_region = own.region.as_ref().and_then(|region| least_loaded(Some(region)));
    of_own_region.or_else(|| least_loaded(None)).map_or(Choice::Own, Choice::Other)
}

fn is_usable(node: &Node) -> bool {
    let is_turn = |url: &String| url.starts_with("turn:") || url.starts_with("turns:");
    node.presence == Presence::Live && takes_clients(&node.state) && node.state.urls.iter().any(is_turn)
}

fn takes_clients(state: &NodeState) -> bool {
    !state.draining && !state.full
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::cluster::nodes::Nodes;

    fn region(text: &str) -> Option<Region> {
        (!text.is_empty()).then(|| text.parse().unwrap())
    }

    fn state(at: &str, allocations: u64) -> NodeState {
        let urls = vec!["stun:relay.example.org:3478".to_owned(), "turn:relay.example.org:3478".to_owned()];
        NodeState { region: region(at), urls, allocations, ..NodeState::default() }
    }

    fn nodes(states: &[(&str, NodeState)]) -> Nodes {
        let mut nodes = Nodes::new();
        for (name, state) in states {
            nodes.heard(Duration::ZERO, &name.parse().unwrap(), 1, state.clone(), 0);
        }
        nodes
    }

    /// The name of the node that is chosen, `own` for the own one.
    fn chosen(own: &NodeState, nodes: &Nodes, wish: &str) -> String {
        match choose(own, nodes.list(), region(wish).as_ref()) {
            Choice::Own => "own".to_owned(),
            Choice::Other(node) => node.name.to_string(),
        }
    }

    #[test]
    fn without_a_wish_clients_stay_where_they_are() {
        let others = nodes(&[("a", state("eu", 0)), ("b", state("us", 0))]);
        for own in [state("eu", 900), state("", 900)] {
            assert_eq!(chosen(&own, &others, ""), "own");
            assert_eq!(chosen(&own, &Nodes::new(), ""), "own");
        }
    }

    #[test]
    fn a_wish_leads_to_the_least_loaded_node_of_the_region() {
        let others = nodes(&[("a", state("us", 7)), ("b", state("us", 5)), ("c", state("eu", 0))]);
        assert_eq!(chosen(&state("eu", 0), &others, "us"), "b");
        assert_eq!(chosen(&state("us", 6), &others, "us"), "b");
        assert_eq!(chosen(&state("us", 5), &others, "us"), "own", "of equals the own one");
        assert_eq!(chosen(&state("us", 4), &others, "us"), "own");
        assert_eq!(chosen(&state("eu", 9), &others, "eu"), "c");
    }

    #[test]
    fn of_equal_nodes_each_server_chooses_the_same() {
        let others = nodes(&[("b", state("us", 5)), ("a", state("us", 5))]);
        assert_eq!(chosen(&state("eu", 0), &others, "us"), "a");
    }

    #[test]
    fn a_region_that_has_no_usable_node_counts_as_no_wish() {
        let others = nodes(&[("a", NodeState { draining: true, ..state("us", 0) }), ("b", state("ap", 0))]);
        assert_eq!(chosen(&state("eu", 3), &others, "us"), "own");
        assert_eq!(chosen(&state("eu", 3), &others, "mars"), "own");
        let full = NodeState { full: true, ..state("us", 3) };
        assert_eq!(chosen(&full, &others, "us"), "b");
    }

    #[test]
    fn a_node_that_drains_or_is_full_sends_clients_to_its_region_first() {
        let near = nodes(&[("a", state("eu", 9)), ("b", state("eu", 8)), ("c", state("us", 0))]);
        let far = nodes(&[("c", state("us", 2)), ("d", state("ap", 1))]);
        for own in
            [NodeState { draining: true, ..state("eu", 0) }, NodeState { full: true, ..state("eu", 0) }]
        {
            assert_eq!(chosen(&own, &near, ""), "b");
            assert_eq!(chosen(&own, &far, ""), "d");
            assert_eq!(chosen(&own, &near, "us"), "c");
            assert_eq!(chosen(&own, &Nodes::new(), ""), "own");
        }
        // Nodes without a region are not a region.
        let nowhere = nodes(&[("a", state("", 9)), ("c", state("us", 2))]);
        assert_eq!(chosen(&NodeState { full: true, ..state("", 0) }, &nowhere, ""), "c");
    }

    #[test]
    fn nodes_without_a_relay_for_others_are_left_out() {
        let own = state("eu", 0);
        let stun = vec!["stun:relay.example.org:3478".to_owned()];
        for unusable in [
            NodeState { draining: true, ..state("us", 0) },
            NodeState { full: true, ..state("us", 0) },
            NodeState { urls: stun, ..state("us", 0) },
            NodeState { urls: vec![], ..state("us", 0) },
        ] {
            assert_eq!(chosen(&own, &nodes(&[("a", unusable.clone())]), "us"), "own");
            let with_a_good_one = nodes(&[("a", unusable), ("b", state("us", 99))]);
            assert_eq!(chosen(&own, &with_a_good_one, "us"), "b");
        }
        for silence in [3, 5] {
            let mut silent = nodes(&[("a", state("us", 0))]);
            silent.tick(Duration::from_secs(silence));
            assert_eq!(chosen(&own, &silent, "us"), "own");
        }
        let tls = NodeState { urls: vec!["turns:relay.example.org".to_owned()], ..state("us", 0) };
        assert_eq!(chosen(&own, &nodes(&[("a", tls)]), "us"), "a");
        // The own node derives URLs from the address by which its client reached it.
        assert_eq!(chosen(&NodeState { urls: vec![], ..state("us", 0) }, &Nodes::new(), "us"), "own");
    }

    prop_compose! {
        fn any_state()(
            at in prop::sample::select(vec!["", "eu", "us", "ap"]),
            allocations in 0_u64..4,
            (full, draining) in (any::<bool>(), any::<bool>()),
            has_urls in prop::bool::weighted(0.8),
        ) -> NodeState {
            let mut state = NodeState { full, draining, ..state(at, allocations) };
            if !has_urls {
                state.urls.clear();
            }
            state
        }
    }

    proptest! {
        #[test]
        fn the_choice_is_usable_and_no_usable_one_of_its_region_has_fewer_allocations(
            own in any_state(),
            states in prop::collection::vec((any_state(), 0_u64..7), 0..8),
            wish in prop::sample::select(vec!["", "eu", "us", "ap"]),
        ) {
            let mut nodes = Nodes::new();
            for (index, (state, heard)) in states.iter().enumerate() {
                let name = format!("n{index}").parse().unwrap();
                nodes.heard(Duration::from_secs(*heard), &name, 1, state.clone(), 0);
            }
            nodes.tick(Duration::from_secs(6));
            let wish = region(wish);
            let usable: Vec<_> = nodes.list().filter(|node| is_usable(node)).collect();
            let of = |region: &Option<Region>| {
                let region = region.clone();
                usable.iter().filter(move |node| region.is_some() && node.state.region == region)
            };
            let is_least = |node: &Node, state: &NodeState| node.state.allocations <= state.allocations;
            match choose(&own, nodes.list(), wish.as_ref()) {
                Choice::Other(node) => {
                    prop_assert!(usable.iter().any(|usable| usable.name == node.name));
                    let mut of_region = of(&node.state.region);
                    prop_assert!(of_region.all(|other| is_least(node, &other.state)));
                    if wish.is_some() && of(&wish).count() > 0 {
                        prop_assert_eq!(&node.state.region, &wish);
                        let has_rival = takes_clients(&own) && own.region == wish;
                        prop_assert!(!has_rival || node.state.allocations < own.allocations);
                    } else {
                        prop_assert!(!takes_clients(&own));
                        prop_assert!(of(&own.region).count() == 0 || node.state.region == own.region);
                    }
                }
                Choice::Own if wish.is_some() && of(&wish).count() > 0 => {
                    prop_assert!(takes_clients(&own) && own.region == wish);
                    prop_assert!(of(&wish).all(|node| own.allocations <= node.state.allocations));
                }
                Choice::Own => prop_assert!(takes_clients(&own) || usable.is_empty()),
            }
        }
    }
}
