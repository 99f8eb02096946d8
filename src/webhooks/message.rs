//! Events as JSON. `docs/webhooks.md` documents it.
//!
//! Addresses of clients are absent: they are personal data, and a receiver rarely needs them.

use serde::Serialize;

use crate::events::{AllocationFacts, Event, Timed, Traffic, Usage};

/// Body of a request.
#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    /// Time of the event, in seconds since 1970-01-01 UTC.
    time: u64,
    realm: &'a str,
    #[serde(flatten)]
    event: Kind<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Kind<'a> {
    #[serde(rename = "room.opened")]
    RoomOpened { room: &'a str },
    #[serde(rename = "member.joined")]
    MemberJoined { room: &'a str, member: &'a str, user: &'a str, viewer: bool },
    #[serde(rename = "member.left")]
    MemberLeft { room: &'a str, member: &'a str, user: &'a str, reason: &'a str },
    #[serde(rename = "room.closed")]
    RoomClosed { room: &'a str },
    #[serde(rename = "allocation.began")]
    AllocationBegan(Allocation<'a>),
    #[serde(rename = "allocation.ended")]
    AllocationEnded {
        #[serde(flatten)]
        allocation: Allocation<'a>,
        seconds: u64,
        reason: &'static str,
        usage: UsageObject,
    },
}

#[derive(Serialize)]
struct Allocation<'a> {
    allocation: String,
    user: &'a str,
    transport: &'static str,
    began: u64,
}

#[derive(Serialize)]
struct UsageObject {
    to_peer: Traffic,
    to_client: Traffic,
}

/// Writes an event as the body of a request. `None` for an event that is none of a receiver's.
pub(super) fn body(timed: &Timed, id: &str, realm: &str) -> Option<String> {
    let event = match &timed.event {
        Event::RoomOpened { room } => Kind::RoomOpened { room },
        Event::MemberJoined { room, member, user, viewer } => {
            Kind::MemberJoined { room, member, user, viewer: *viewer }
        }
        Event::MemberLeft { room, member, user, reason } => Kind::MemberLeft { room, member, user, reason },
        Event::RoomClosed { room } => Kind::RoomClosed { room },
        Event::AllocationBegan(facts) => Kind::AllocationBegan(Allocation::of(facts)),
        Event::AllocationEnded { facts, usage, reason } => Kind::AllocationEnded {
            allocation: Allocation::of(facts),
            seconds: timed.unix.saturating_sub(facts.began),
            reason: byway_turn::closed_set::ClosedSet::label(*reason),
            usage: UsageObject::of(usage),
        },
        // A client can cause any number of them.
        Event::RequestRefused { .. } => return None,
    };
    let message = Message { id, time: timed.unix, realm, event };
    Some(serde_json::to_string(&message).expect("it has texts and numbers only"))
}

impl<'a> Allocation<'a> {
    fn of(facts: &'a AllocationFacts) -> Self {
        Self {
            allocation: facts.key.to_string(),
            user: &facts.user,
            transport: byway_turn::closed_set::ClosedSet::label(facts.transport),
            began: facts.began,
        }
    }
}

impl UsageObject {
    fn of(usage: &Usage) -> Self {
        Self { to_peer: usage.to_peer, to_client: usage.to_client }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::events::{AllocationKey, ClientTransport, EndReason};

    fn facts() -> Arc<AllocationFacts> {
        Arc::new(AllocationFacts {
            key: AllocationKey { shard: 1, slot: 2, generation: 3 },
            user: "room.member".into(),
            transport: ClientTransport::Tls,
            client: "203.0.113.9:5000".parse().unwrap(),
            relayed: vec!["198.51.100.7:50000".parse().unwrap()],
            began: 1_700_000_000,
        })
    }

    #[test]
    fn each_event_has_its_form() {
        let usage = Usage {
            to_peer: Traffic { packets: 3, bytes: 300 },
            to_client: Traffic { packets: 4, bytes: 400 },
            ..Usage::default()
        };
        let room: Arc<str> = "a \"room\"".into();
        let (member, user): (Arc<str>, Arc<str>) = ("m1".into(), "r.m1".into());
        for (event, expected) in [
            (Event::RoomOpened { room: room.clone() }, r#""type":"room.opened","room":"a \"room\"""#),
            (
                Event::MemberJoined {
                    room: room.clone(),
                    member: member.clone(),
                    user: user.clone(),
                    viewer: true,
                },
                r#""type":"member.joined","room":"a \"room\"","member":"m1","user":"r.m1","viewer":true"#,
            ),
            (
                Event::MemberLeft { room: room.clone(), member, user, reason: "left" },
                r#""type":"member.left","room":"a \"room\"","member":"m1","user":"r.m1","reason":"left""#,
            ),
            (Event::RoomClosed { room }, r#""type":"room.closed","room":"a \"room\"""#),
            (
                Event::AllocationBegan(facts()),
                r#""type":"allocation.began","allocation":"1-2-3","user":"room.member","transport":"tls","began":1700000000"#,
            ),
            (
                Event::AllocationEnded { facts: facts(), usage, reason: EndReason::Deleted },
                r#""type":"allocation.ended","allocation":"1-2-3","user":"room.member","transport":"tls","began":1700000000,"seconds":60,"reason":"deleted","usage":{"to_peer":{"packets":3,"bytes":300},"to_client":{"packets":4,"bytes":400}}"#,
            ),
        ] {
            let timed = Timed { unix: 1_700_000_060, event };
            let expected = format!(r#"{{"id":"x-1","time":1700000060,"realm":"byway",{expected}}}"#);
            assert_eq!(body(&timed, "x-1", "byway"), Some(expected));
        }
    }

    #[test]
    fn addresses_of_clients_stay_here() {
        let began = Timed { unix: 1, event: Event::AllocationBegan(facts()) };
        let body = body(&began, "x-1", "byway").unwrap();
        assert!(!body.contains("203.0.113.9") && !body.contains("198.51.100.7"), "{body}");
    }
}
