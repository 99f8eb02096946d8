//! Reports of pages about their connections, and the events of a timeline. Pure.
//!
//! Every field of a report is a number or a word from a closed set. So a report has no place for an
//! address, a markup or a control character, and needs no cleaning.

use std::collections::BTreeMap;

use byway_turn::auth::MemberId;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{DisplayName, MemberIdText};

/// Type of an ICE candidate (RFC 8839 section 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CandidateType {
    /// An address of the machine.
    Host,
    /// An address that a STUN server has seen.
    Srflx,
    /// An address that the peer has seen.
    Prflx,
    /// A relayed transport address.
    Relay,
}

/// Transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathProtocol {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
}

/// Scheme of an ICE server's URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServerScheme {
    /// A STUN server.
    Stun,
    /// A TURN server.
    Turn,
    /// A TURN server over TLS.
    Turns,
}

/// Kind of an address, without the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressKind {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// A name that hides the address (mDNS).
    Name,
}

/// `connectionState` of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ConnectionState {
    /// Looking for a path, or in the DTLS handshake.
    Connecting,
    /// Connected.
    Connected,
    /// The path does not answer at present.
    Disconnected,
    /// No path works.
    Failed,
}

/// Failure that the page was told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PathFailure {
    /// The connection failed, and is tried again.
    ConnectionFailed,
    /// No path to the peer works.
    ConnectionLost,
    /// Only the relay is allowed, and none answers.
    RelayUnreachable,
}

/// Observation of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum Observation {
    /// The browser has gathered its candidates.
    Gathered {
        /// Candidates of the machine's own addresses.
        host: u16,
        /// Candidates from STUN servers.
        srflx: u16,
        /// Candidates from relays.
        relay: u16,
        /// Time that it took, in milliseconds.
        ms: u32,
    },
    /// A STUN or TURN server failed (`icecandidateerror`).
    ServerFailed {
        /// Scheme of its URL.
        scheme: ServerScheme,
        /// Transport of its URL.
        protocol: PathProtocol,
        /// STUN error code, or 701 if it could not be reached.
        code: u16,
    },
    /// The state of the connection changed.
    Connection {
        /// State.
        state: ConnectionState,
    },
    /// ICE was restarted.
    Restarted {},
    /// A new connection replaced the old one.
    Replaced {},
    /// The page was told of a failure.
    Failed {
        /// Failure.
        code: PathFailure,
    },
    /// A pair of candidates was selected.
    Path {
        /// Candidate of the page.
        local: CandidateType,
        /// Candidate of the peer.
        remote: CandidateType,
        /// Whether the page sends through a relay of its own.
        relayed: bool,
        /// Transport to that relay, or to the peer.
        protocol: Option<PathProtocol>,
        /// Kind of the page's address.
        address: Option<AddressKind>,
    },
    /// Traffic of the last seconds.
    Stats {
        /// Round-trip time in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        round_trip_ms: Option<u32>,
        /// Packets of the peer that were lost, in per mille.
        #[serde(skip_serializing_if = "Option::is_none")]
        loss: Option<u16>,
        /// Packets of the page that the peer lost, in per mille.
        #[serde(skip_serializing_if = "Option::is_none")]
        remote_loss: Option<u16>,
        /// Jitter in milliseconds.
        #[serde(skip_serializing_if = "Option::is_none")]
        jitter_ms: Option<u32>,
        /// Bits per second that arrive.
        #[serde(skip_serializing_if = "Option::is_none")]
        receiving_bps: Option<u32>,
        /// Bits per second that are sent.
        #[serde(skip_serializing_if = "Option::is_none")]
        sending_bps: Option<u32>,
        /// Milliseconds since anything arrived.
        #[serde(skip_serializing_if = "Option::is_none")]
        silent_ms: Option<u32>,
    },
}

/// Entry of a `report`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct ReportEvent {
    /// Member that the connection leads to.
    #[serde(default, deserialize_with = "member_or_none")]
    #[schemars(with = "Option<MemberIdText>")]
    pub peer: Option<MemberId>,
    /// Milliseconds since it happened.
    #[serde(default)]
    pub ago: u32,
    /// Observation.
    #[serde(flatten)]
    pub what: Observation,
}

/// Part of the server or of a page that saw an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The member's page.
    Page,
    /// The relay.
    Relay,
    /// The signaling.
    Server,
}

/// Payload in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RelayedTraffic {
    /// Datagrams.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// Event of the signaling.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum RoomFact {
    /// The member joined.
    Joined {
        /// Whether it receives only.
        viewer: bool,
    },
    /// The member's connection to the server was lost.
    Lost {},
    /// The member returned.
    Resumed {},
    /// The member began or ended its reports.
    Reports {
        /// Whether it reports now.
        on: bool,
    },
    /// The member left.
    Left {
        /// `left`, `lost`, `removed` or `rejected`; `moved` if it goes on over another server.
        reason: &'static str,
    },
}

/// Event of the relay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "kind", content = "detail", rename_all = "kebab-case")]
pub enum RelayFact {
    /// The relay made an allocation for the member.
    Allocated {
        /// Transport between the member and the relay.
        transport: &'static str,
        /// Kinds of the relayed addresses.
        addresses: Vec<AddressKind>,
    },
    /// The relay refused a request.
    Refused {
        /// Method of the request.
        method: &'static str,
        /// Error code.
        code: u16,
        /// Kind of the peer's address, where the request names one.
        address: Option<AddressKind>,
        /// Number of such requests in a row.
        count: u32,
    },
    /// An allocation ended.
    Released {
        /// Transport between the member and the relay.
        transport: &'static str,
        /// Reason.
        reason: &'static str,
        /// From the member to its peers.
        to_peer: RelayedTraffic,
        /// From the peers to the member.
        to_client: RelayedTraffic,
        /// Dropped datagrams by reason.
        drops: BTreeMap<&'static str, u64>,
        /// Refused requests by error code.
        refused: BTreeMap<u16, u64>,
    },
}

/// Event of any source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Happening {
    /// Observation of a page.
    Page(Observation),
    /// Event of the signaling.
    Room(RoomFact),
    /// Event of the relay.
    Relay(RelayFact),
}

impl Happening {
    /// The part that saw it.
    #[must_use]
    pub fn source(&self) -> Source {
        match self {
            Self::Page(_) => Source::Page,
            Self::Room(_) => Source::Server,
            Self::Relay(_) => Source::Relay,
        }
    }
}

/// Event of a timeline.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TimelineEvent {
    /// Number in the timeline, from 1.
    pub n: u64,
    /// Time in seconds since 1970-01-01 UTC.
    pub at: f64,
    /// The member that it is about.
    #[schemars(with = "MemberIdText")]
    pub member: MemberId,
    /// The peer, for an event of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<MemberIdText>")]
    pub peer: Option<MemberId>,
    /// The part that saw it.
    pub source: Source,
    /// Kind and details.
    #[serde(flatten)]
    pub what: Happening,
}

/// Member in a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct TimelineMember {
    /// Id in the room.
    #[schemars(with = "MemberIdText")]
    pub id: MemberId,
    /// Name that others see; `null` if it gave none.
    pub name: Option<DisplayName>,
    /// Whether it reports.
    pub reports: bool,
}

/// Reads an id. Any other text is no member, rather than an error: it may be one of another server.
fn member_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MemberId>, D::Error> {
    let text = Option::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    Ok(text.and_then(|text| MemberId::parse(&text)))
}
