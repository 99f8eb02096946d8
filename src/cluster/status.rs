//! State of the cluster as this node sees it, for the operator. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::bounded;

/// Nodes with another secret that are listed, and nodes whose clock is too far off.
pub const MOST_REFUSED: usize = 16;

/// Nodes that a reader keeps.
const MOST_NODES: usize = 1_024;

/// State of the cluster as this node sees it. A client takes fields that a server of another
/// version leaves out for empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterStatus {
    /// Name of this node.
    pub node: String,
    /// Region of this node.
    pub region: Option<String>,
    /// STUN and TURN URLs of this node that the others give to clients.
    pub urls: Vec<String>,
    /// Whether the broker answers.
    pub connected: bool,
    /// Time of the last change of `connected`, in seconds since 1970.
    pub since: u64,
    /// Broker, as `host:port`: the one that answers, else the first of the configuration. Never
    /// with credentials.
    pub broker: String,
    /// Reason for which the broker does not answer, without credentials; empty if it does or if
    /// none is known.
    pub error: String,
    /// Messages that were rejected since the start, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Whether another running server has had the name of this node within the last minute.
    pub name_taken: bool,
    /// Names that nodes with another secret claim: no message of theirs has been accepted since.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_REFUSED>")]
    pub strangers: Vec<String>,
    /// Nodes whose messages are refused for their time: their clock minus that of this node, in
    /// milliseconds. No message of theirs has been accepted since.
    pub clocks_off: BTreeMap<String, i64>,
    /// The other nodes, those that have died within the last hour among them.
    #[serde(deserialize_with = "bounded::list::<_, _, MOST_NODES>")]
    pub nodes: Vec<NodeStatus>,
}

/// State of another node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Name.
    pub node: String,
    /// Region.
    pub region: Option<String>,
    /// Presence: `live`, `suspect` or `dead`.
    pub presence: String,
    /// Version of its program.
    pub version: String,
    /// Its STUN and TURN URLs.
    pub urls: Vec<String>,
    /// Live allocations.
    pub allocations: u64,
    /// Rooms with members on it.
    pub rooms: u64,
    /// Members of those rooms.
    pub members: u64,
    /// Whether it has as many allocations as it allows.
    pub full: bool,
    /// Whether it waits for its calls to end, before it stops.
    pub draining: bool,
    /// Clock of the other node minus that of this one, in milliseconds, with the delay of the bus.
    pub skew_ms: i64,
    /// Time since its last message, in milliseconds.
    pub silent_ms: u64,
}

/// Cause for which a broker does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BusFailure {
    /// It refuses the credentials of this node, or asks for some.
    Credentials,
    /// Its certificate is not trusted, or it has none.
    Certificate,
    /// The name of its host is not resolved.
    Name,
    /// It does not run, or a firewall is between.
    Unreachable,
}

impl BusFailure {
    /// Finds the cause in the words of the client.
    #[must_use]
    pub fn of(error: &str) -> Self {
        let error = error.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
        if has(&["authori", "authenti", "nonce"]) {
            Self::Credentials
        } else if has(&["certificate", "tls"]) {
            Self::Certificate
        } else if has(&["dns", "lookup"]) {
            Self::Name
        } else {
            Self::Unreachable
        }
    }
}

impl ClusterStatus {
    /// Returns the other nodes that are live.
    pub fn live(&self) -> impl Iterator<Item = &NodeStatus> {
        self.nodes.iter().filter(|node| node.is_live())
    }
}

impl NodeStatus {
    /// Whether its messages arrive.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.presence == "live"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_fields_are_empty_and_lists_have_a_bound() {
        let read = |json: &str| serde_json::from_str::<ClusterStatus>(json);
        assert_eq!(read("{}").unwrap(), ClusterStatus::default());
        assert_eq!(read("{\"later\": 1, \"nodes\": [{\"later\": 1}]}").unwrap().nodes.len(), 1);
        let many = format!(
            "{{\"nodes\": [{}{{}}], \"strangers\": [{}\"\"]}}",
            "{},".repeat(50_000),
            "\"\",".repeat(50_000)
        );
        let read = read(&many).unwrap();
        assert_eq!((read.nodes.len(), read.strangers.len()), (MOST_NODES, MOST_REFUSED));
    }

    #[test]
    fn a_reader_gets_what_was_written() {
        let node = NodeStatus {
            node: "nyc-1".to_owned(),
            region: Some("us".to_owned()),
            presence: "live".to_owned(),
            urls: vec!["turn:192.0.2.2:3478?transport=udp".to_owned()],
            skew_ms: -3,
            ..NodeStatus::default()
        };
        let silent =
            NodeStatus { node: "ams-1".to_owned(), presence: "dead".to_owned(), ..NodeStatus::default() };
        let status = ClusterStatus {
            node: "fra-1".to_owned(),
            rejected: BTreeMap::from([("stale".to_owned(), 2)]),
            nodes: vec![node.clone(), silent],
            ..ClusterStatus::default()
        };
        let json = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<ClusterStatus>(&json).unwrap(), status);
        assert_eq!(status.live().collect::<Vec<_>>(), [&node]);
    }
}
