use std::collections::{BTreeMap, BTreeSet};

use byway_turn::closed_set::ClosedSet as _;
use proptest::prelude::*;

use super::report::{ConnectionState, Happening, Observation, Source};
use super::*;

const ID: MemberId = MemberId([7; 16]);
const ID_TEXT: &str = "BwcHBwcHBwcHBwcHBwcHBw";

fn refused(text: &str) -> ErrorCode {
    ClientMessage::parse(text).expect_err(text)
}

#[test]
fn every_client_message_is_read() {
    let text = r#"{"name":"Al\u00e9","type":"join","room":"r","token":"t","resume":"u","seq":7,"viewer":true,"new":[1]}"#;
    let Ok(ClientMessage::Join(join)) = ClientMessage::parse(text) else { panic!("{text}") };
    assert_eq!((join.room.as_str(), join.name.unwrap().as_str()), ("r", "Alé"));
    assert_eq!(
        (join.token.unwrap().0, join.resume.unwrap().0, join.seq, join.viewer),
        ("t".to_owned(), "u".to_owned(), Some(7), true)
    );
    for unnamed in [
        r#" {"type":"join","room":"r","name":null,"resume":null,"viewer":null}"#,
        r#"{"type":"join","room":"r","name":""}"#,
    ] {
        assert!(matches!(
            ClientMessage::parse(unnamed),
            Ok(ClientMessage::Join(Join { name: None, viewer: false, .. }))
        ));
    }
    assert!(matches!(ClientMessage::parse(r#"{"type":"leave"}"#), Ok(ClientMessage::Leave {})));
    assert!(matches!(ClientMessage::parse(r#"{"type":"ping"}"#), Ok(ClientMessage::Ping { seq: None })));
    assert!(matches!(
        ClientMessage::parse(r#"{"type":"ping","seq":3}"#),
        Ok(ClientMessage::Ping { seq: Some(3) })
    ));
    let text = format!(r#"{{"type":"remove","id":"{ID_TEXT}"}}"#);
    assert!(matches!(ClientMessage::parse(&text), Ok(ClientMessage::Remove { id: ID })));
    assert!(matches!(
        ClientMessage::parse(r#"{"type":"lock","locked":true}"#),
        Ok(ClientMessage::Lock { locked: true })
    ));
    for (text, asked) in [
        (r#"{"type":"invite"}"#, (None, false)),
        (r#"{"type":"invite","ttl":null,"viewer":null}"#, (None, false)),
        (r#"{"type":"invite","ttl":60,"viewer":true}"#, (NonZeroU64::new(60), true)),
    ] {
        let Ok(ClientMessage::Invite { ttl, viewer }) = ClientMessage::parse(text) else { panic!("{text}") };
        assert_eq!((ttl, viewer), asked);
    }
}

/// Each observation in full is in the schema and in the specification, with all its fields.
#[test]
fn every_observation_is_read_and_specified() {
    let texts = [
        r#"{"kind":"gathered","detail":{"host":2,"srflx":1,"relay":0,"ms":40}}"#,
        r#"{"kind":"server-failed","detail":{"scheme":"turns","protocol":"tls","code":701}}"#,
        r#"{"kind":"connection","detail":{"state":"disconnected"}}"#,
        r#"{"kind":"restarted","detail":{}}"#,
        r#"{"kind":"replaced","detail":{}}"#,
        r#"{"kind":"failed","detail":{"code":"relay-unreachable"}}"#,
        r#"{"kind":"path","detail":{"local":"prflx","remote":"relay","relayed":true,"protocol":"udp","address":"name"}}"#,
        r#"{"kind":"stats","detail":{"round_trip_ms":1,"loss":2,"remote_loss":3,"jitter_ms":4,"receiving_bps":5,"sending_bps":6,"silent_ms":7}}"#,
    ];
    let schema = crate::signaling::schema::schema();
    let kinds = schema["$defs"]["Observation"]["oneOf"].as_array().expect("one for each kind").len();
    assert_eq!(kinds, texts.len());
    let section = part("Timelines");
    for text in texts {
        let message = format!(r#"{{"type":"report","events":[{text}]}}"#);
        let Ok(ClientMessage::Report { events }) = ClientMessage::parse(&message) else { panic!("{text}") };
        let [ReportEvent { peer: None, ago: 0, what }] = &events[..] else { panic!("{events:?}") };
        assert_eq!(serde_json::to_string(what).expect("serialises"), text);
        let value: serde_json::Value = serde_json::from_str(text).expect("is JSON");
        let kind = value["kind"].as_str().expect("a text");
        let row = section.lines().find(|line| line.starts_with(&format!("| `{kind}` "))).expect(kind);
        for field in value["detail"].as_object().expect("an object").keys() {
            assert!(row.contains(&format!("`{field}`")), "{field} of {kind}");
        }
    }
}

#[test]
fn threat_55_a_report_has_a_bounded_number_of_observations() {
    let event = r#"{"kind":"restarted","detail":{}}"#;
    for (count, taken) in [(0, true), (MAX_REPORTED, true), (MAX_REPORTED + 1, false)] {
        let text = format!(r#"{{"type":"report","events":[{}]}}"#, vec![event; count].join(","));
        assert_eq!(ClientMessage::parse(&text).is_ok(), taken, "{count}");
    }
}

#[test]
fn data_is_kept_byte_for_byte() {
    for data in [r#"{"a" : 1.50, "b":"\u0041"}"#, "null", "1e999", r#""x""#, "[ ]"] {
        let text = format!(r#"{{"type":"signal","to":"{ID_TEXT}","data":{data}}}"#);
        let Ok(ClientMessage::Signal { to: ID, data: kept }) = ClientMessage::parse(&text) else {
            panic!("{text}")
        };
        assert_eq!(kept.get(), data);
        let sent = ServerMessage::Signal { from: ID, seq: 1, data: kept }.to_json();
        assert_eq!(sent, format!(r#"{{"type":"signal","from":"{ID_TEXT}","seq":1,"data":{data}}}"#));
    }
}

#[test]
fn what_is_not_the_protocol_has_a_code() {
    use ErrorCode::{BadMessage, NoSuchPeer, UnknownType};
    let deep = format!(r#"{{"type":"signal","to":"{ID_TEXT}","data":{}}}"#, "[".repeat(10_000));
    for bad in [
        "",
        "x",
        "[]",
        "null",
        "1",
        "\"join\"",
        r#"["join"]"#,
        r#"["ping"]"#,
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"ping"} {"type":"ping"}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"join"}"#,
        r#"{"type":"join","room":1}"#,
        r#"{"type":"join","room":"r","name":1}"#,
        r#"{"type":"join","room":"r","token":1}"#,
        r#"{"type":"join","room":"r","seq":-1}"#,
        r#"{"type":"join","room":"r","seq":"1"}"#,
        r#"{"type":"join","room":"r","viewer":"yes"}"#,
        r#"{"type":"join","room":"r","viewer":1}"#,
        r#"{"type":"remove"}"#,
        r#"{"type":"remove","id":1}"#,
        r#"{"type":"lock"}"#,
        r#"{"type":"lock","locked":null}"#,
        r#"{"type":"lock","locked":"true"}"#,
        r#"{"type":"lock","locked":true,"locked":false}"#,
        r#"{"type":"invite","ttl":0}"#,
        r#"{"type":"invite","ttl":-1}"#,
        r#"{"type":"invite","ttl":1.5}"#,
        r#"{"type":"invite","ttl":"1h"}"#,
        r#"{"type":"invite","ttl":18446744073709551616}"#,
        r#"{"type":"invite","viewer":1}"#,
        r#"{"type":"consent"}"#,
        r#"{"type":"consent","reports":1}"#,
        r#"{"type":"report"}"#,
        r#"{"type":"report","events":[{"kind":"fallen","detail":{}}]}"#,
        r#"{"type":"report","events":[{"kind":"failed","detail":{"code":"192.0.2.1"}}]}"#,
        r#"{"type":"report","events":[{"kind":"stats","detail":{"loss":-1}}]}"#,
        r#"{"type":"report","events":[{"kind":"stats","detail":{"loss":0.5}}]}"#,
        r#"{"type":"report","events":[{"kind":"stats","ago":-1,"detail":{}}]}"#,
        r#"{"type":"timeline","after":-1}"#,
        r#"{"type":"signal","data":1}"#,
        r#"{"type":"join","room":"a","room":"b"}"#,
        r#"{"type":"signal","to":"x"}"#,
        &deep,
    ] {
        assert_eq!(refused(bad), BadMessage, "{bad:.80}");
    }
    for kind in ["", "Join", "joined", "peer-left", "join "] {
        assert_eq!(refused(&format!(r#"{{"type":"{kind}"}}"#)), UnknownType);
    }
    for to in ["", "x", "BwcHBwcHBwcHBwcHBwcHBx", "BwcHBwcHBwcHBwcHBwcHBw==", "BwcHBwcHBwcHBwcHBwcHBwAA"] {
        assert_eq!(refused(&format!(r#"{{"type":"signal","to":"{to}","data":1}}"#)), NoSuchPeer, "{to}");
        assert_eq!(refused(&format!(r#"{{"type":"remove","id":"{to}"}}"#)), NoSuchPeer, "{to}");
    }
}

proptest! {
    /// Any text of a client is a message or has an error code. Text that is nearly a message
    /// reaches more of the parser.
    #[test]
    fn nothing_a_client_writes_is_a_panic(any in ".*", kind in "join|signal|ping|remove|lock|invite|consent|report|timeline|x", value in "[\\[\\]{}\",:\\\\0-9a-z ]*") {
        let _ = ClientMessage::parse(&any);
        let _ = ClientMessage::parse(&format!(r#"{{"type":"{kind}","room":{value},"to":{value},"id":{value},"data":{value},"locked":{value},"ttl":{value},"reports":{value},"events":{value},"after":{value}}}"#));
        let _ = ClientMessage::parse(&format!(r#"{{"type":"report","events":[{{"kind":"stats","peer":{value},"ago":{value},"detail":{{"loss":{value}}}}}]}}"#));
    }

    /// An id is read back from what it is written as, and from nothing else.
    #[test]
    fn ids_have_one_spelling(bytes: [u8; 16], text in "[A-Za-z0-9_-]{20,24}") {
        let id = MemberId(bytes);
        prop_assert_eq!(MemberId::parse(&id.to_string()), Some(id));
        if let Some(id) = MemberId::parse(&text) {
            prop_assert_eq!(id.to_string(), text);
        }
    }
}

#[test]
fn names_are_bounded_and_cannot_rearrange_text() {
    assert!(RoomName::new("a".repeat(128)).is_some() && RoomName::new("é".repeat(128)).is_some());
    for bad in ["", "a\nb", "\0", "\u{85}", &"a".repeat(129)] {
        assert_eq!(RoomName::new(bad.to_owned()), None, "{bad:?}");
    }
    assert!(
        DisplayName::new("Zoë 👩‍💻 שלום".to_owned()).is_some() && DisplayName::new("é".repeat(64)).is_some()
    );
    for bad in [
        "",
        "a\tb",
        "\u{7f}",
        "\u{202e}evil",
        "\u{2066}x",
        "\u{200f}",
        "\u{61c}",
        "a\u{2028}b",
        &"a".repeat(65),
    ] {
        assert_eq!(DisplayName::new(bad.to_owned()), None, "{bad:?}");
    }
}

#[test]
fn every_ending_stands_at_its_index() {
    assert!(Ending::ALL.iter().enumerate().all(|(i, ending)| ending.index() == i));
    assert_eq!(Ending::ALL.len(), 4 + ByeCode::ALL.len());
}

#[test]
fn server_messages_in_full() {
    for (message, json) in server_messages() {
        assert_eq!(message.to_json(), json);
    }
}

/// One of each type at least, with what it is on the wire.
fn server_messages() -> Vec<(ServerMessage, String)> {
    let peer = |name| Peer { id: ID, name, polite: true, host: true, viewer: false };
    let ice = IceConfiguration {
        ice_servers: vec![],
        ice_transport_policy: crate::ice::TransportPolicy::Relay,
        ttl: 1,
        expires_at: "e".to_owned(),
    };
    let ice_json = r#""iceServers":[],"iceTransportPolicy":"relay","ttl":1,"expiresAt":"e""#;
    let peer_json = format!(r#"{{"id":"{ID_TEXT}","name":null,"polite":true,"host":true,"viewer":false}}"#);
    let data = RawValue::from_string("[1]".to_owned()).unwrap();
    vec![
        (
            ServerMessage::Joined {
                id: ID,
                peers: vec![peer(None)],
                host: false,
                viewer: true,
                locked: false,
                resume: Some("r".to_owned()),
                ice: ice.clone(),
            },
            format!(
                r#"{{"type":"joined","id":"{ID_TEXT}","peers":[{peer_json}],"host":false,"viewer":true,"locked":false,"resume":"r","ice":{{{ice_json}}}}}"#
            ),
        ),
        (
            ServerMessage::Signal { from: ID, seq: 9, data },
            format!(r#"{{"type":"signal","from":"{ID_TEXT}","seq":9,"data":[1]}}"#),
        ),
        (
            ServerMessage::PeerJoined(peer(DisplayName::new("\"".to_owned()))),
            format!(r#"{{"type":"peer-joined","id":"{ID_TEXT}","name":"\"","polite":true,"host":true,"viewer":false}}"#),
        ),
        (ServerMessage::PeerLeft { id: ID }, format!(r#"{{"type":"peer-left","id":"{ID_TEXT}"}}"#)),
        (ServerMessage::Host { id: ID }, format!(r#"{{"type":"host","id":"{ID_TEXT}"}}"#)),
        (ServerMessage::Locked { locked: true }, r#"{"type":"locked","locked":true}"#.to_owned()),
        (
            ServerMessage::Invitation { token: "t".to_owned(), expires_at: "e".to_owned() },
            r#"{"type":"invitation","token":"t","expiresAt":"e"}"#.to_owned(),
        ),
        (
            ServerMessage::Timeline {
                members: vec![TimelineMember { id: ID, name: None, reports: true }],
                events: vec![TimelineEvent {
                    n: 3,
                    at: 1_700_000_000.25,
                    member: ID,
                    peer: Some(ID),
                    source: Source::Page,
                    what: Happening::Page(Observation::Connection { state: ConnectionState::Failed }),
                }],
                next: 3,
                more: false,
                dropped: 0,
            },
            format!(
                r#"{{"type":"timeline","members":[{{"id":"{ID_TEXT}","name":null,"reports":true}}],"events":[{{"n":3,"at":1700000000.25,"member":"{ID_TEXT}","peer":"{ID_TEXT}","source":"page","kind":"connection","detail":{{"state":"failed"}}}}],"next":3,"more":false,"dropped":0}}"#
            ),
        ),
        (ServerMessage::Pong {}, r#"{"type":"pong"}"#.to_owned()),
        (ServerMessage::Ice(ice), format!(r#"{{"type":"ice",{ice_json}}}"#)),
        (
            ServerMessage::error(ErrorCode::UnknownType),
            r#"{"type":"error","code":"unknown-type","message":"No message has this type."}"#.to_owned(),
        ),
        (
            ServerMessage::error_until(ErrorCode::RateLimited, Duration::from_micros(1_500)),
            r#"{"type":"error","code":"rate-limited","message":"Messages come too fast; this one was ignored.","retry_ms":2}"#.to_owned(),
        ),
        (
            ServerMessage::bye(ByeCode::TooSlow),
            r#"{"type":"bye","code":"too-slow","retry_ms":1000,"resume":true}"#.to_owned(),
        ),
        (
            ServerMessage::bye(ByeCode::ShuttingDown),
            r#"{"type":"bye","code":"shutting-down","retry_ms":1000}"#.to_owned(),
        ),
        (ServerMessage::bye(ByeCode::Idle), r#"{"type":"bye","code":"idle"}"#.to_owned()),
    ]
}

/// A new variant does not compile until it has a name here; then it belongs into the specification
/// too.
fn type_of_client(message: &ClientMessage) -> &'static str {
    match message {
        ClientMessage::Join(_) => "join",
        ClientMessage::Signal { .. } => "signal",
        ClientMessage::Leave {} => "leave",
        ClientMessage::Ping { .. } => "ping",
        ClientMessage::Remove { .. } => "remove",
        ClientMessage::Lock { .. } => "lock",
        ClientMessage::Invite { .. } => "invite",
        ClientMessage::Consent { .. } => "consent",
        ClientMessage::Report { .. } => "report",
        ClientMessage::Timeline { .. } => "timeline",
    }
}

/// The same for the server; a new variant belongs into [`server_messages`].
fn type_of_server(message: &ServerMessage) -> &'static str {
    match message {
        ServerMessage::Joined { .. } => "joined",
        ServerMessage::Signal { .. } => "signal",
        ServerMessage::PeerJoined(_) => "peer-joined",
        ServerMessage::PeerLeft { .. } => "peer-left",
        ServerMessage::Host { .. } => "host",
        ServerMessage::Locked { .. } => "locked",
        ServerMessage::Invitation { .. } => "invitation",
        ServerMessage::Timeline { .. } => "timeline",
        ServerMessage::Pong {} => "pong",
        ServerMessage::Ice(_) => "ice",
        ServerMessage::Error { .. } => "error",
        ServerMessage::Bye { .. } => "bye",
    }
}

const SPECIFICATION: &str = include_str!("../../../docs/signaling.md");

/// The part of the specification under a heading of the second level.
fn part(heading: &str) -> &'static str {
    let begin = SPECIFICATION.find(&format!("\n## {heading}\n")).expect(heading);
    let part = &SPECIFICATION[begin + 4..];
    part.split("\n## ").next().unwrap()
}

/// Sections under the third-level headings of a part.
fn specified(part: &'static str) -> Vec<(&'static str, &'static str)> {
    part.split("\n### `").skip(1).map(|section| section.split_once("`\n").expect("a heading")).collect()
}

/// The cells of the table rows that begin with a name in code.
fn rows(text: &'static str) -> Vec<Vec<&'static str>> {
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    lines
        .map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '`'])).collect())
        .collect()
}

#[test]
fn the_specification_has_every_client_message_and_no_other() {
    let specified = specified(part("From the client"));
    let mut read: Vec<_> = specified
        .iter()
        .map(|(name, _)| {
            let text = format!(
                r#"{{"type":"{name}","room":"r","to":"{ID_TEXT}","data":1,"id":"{ID_TEXT}","locked":true,"reports":true,"events":[]}}"#
            );
            type_of_client(&ClientMessage::parse(&text).expect("what is specified is read"))
        })
        .collect();
    assert_eq!(read, specified.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    read.sort_unstable();
    assert_eq!(
        read,
        ["consent", "invite", "join", "leave", "lock", "ping", "remove", "report", "signal", "timeline"]
    );
}

#[test]
fn the_specification_has_every_server_message_and_field_and_no_other() {
    let specified = specified(part("From the server"));
    let mut sent = Vec::new();
    for (message, json) in server_messages() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        let kind = type_of_server(&message);
        assert_eq!(object["type"], kind);
        let (_, section) =
            specified.iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("{message:?}"));
        for field in object.keys().filter(|field| *field != "type") {
            assert!(section.contains(&format!("`{field}`")), "{field} of {kind}");
        }
        sent.push(kind);
    }
    sent.dedup();
    assert_eq!(sent, specified.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[test]
fn the_specification_has_every_code_and_no_other() {
    let part = part("From the server");
    let (errors, byes) = (part.find("| error |").unwrap(), part.find("| bye |").unwrap());
    let errors: Vec<_> = rows(part[errors..byes].split("\n\n").next().unwrap());
    let codes: Vec<Vec<_>> = ErrorCode::ALL.iter().map(|code| vec![code.label(), code.sentence()]).collect();
    assert_eq!(errors, codes);

    let byes: Vec<_> = rows(part[byes..].split("\n\n").next().unwrap());
    for (row, code) in byes.iter().zip(ByeCode::ALL) {
        let name = code.label();
        assert_eq!(row[..2], [name, &code.close_code().to_string()]);
        assert_eq!(row[3], code.retry_ms().map(|ms| ms.to_string()).unwrap_or_default(), "{name}");
    }
    assert_eq!(byes.len(), ByeCode::ALL.len());
}

/// The fields of each message by its type, as the schema has them: all of them, and those that are
/// always there.
fn schema_of(side: &str) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let schema = crate::signaling::schema::schema();
    let variants = schema["$defs"][side]["oneOf"].as_array().expect("one for each type").clone();
    let fields = |variant: &serde_json::Value| {
        // What several messages share is a definition of its own.
        let shared =
            variant["$ref"].as_str().map(|path| &schema["$defs"][path.trim_start_matches("#/$defs/")]);
        let parts: Vec<_> = std::iter::once(variant).chain(shared).collect();
        let all: BTreeSet<String> = parts
            .iter()
            .filter_map(|part| part["properties"].as_object())
            .flat_map(|o| o.keys().cloned())
            .collect();
        let always = parts.iter().filter_map(|part| part["required"].as_array()).flatten();
        let always: BTreeSet<String> = always.map(|name| name.as_str().unwrap().to_owned()).collect();
        let kind = parts.iter().find_map(|part| part["properties"]["type"]["const"].as_str()).unwrap();
        (kind.to_owned(), (all, always))
    };
    variants.iter().map(fields).collect()
}

#[test]
fn the_schema_has_every_message_and_field_of_the_specification_and_no_other() {
    for (side, heading) in [("ClientMessage", "From the client"), ("ServerMessage", "From the server")] {
        let schema = schema_of(side);
        let specified = specified(part(heading));
        assert_eq!(
            schema.keys().collect::<BTreeSet<_>>(),
            specified.iter().map(|(kind, _)| (*kind).to_owned()).collect::<Vec<_>>().iter().collect()
        );
        for (kind, section) in specified {
            let (all, _) = &schema[kind];
            for field in all.iter().filter(|field| *field != "type") {
                assert!(section.contains(&format!("`{field}`")), "{field} of {kind} is not specified");
            }
            // Where a table lists the fields, it lists these and no others; code tables have two
            // cells of code.
            let table = section.split("\n| error").next().unwrap().split("\n| bye").next().unwrap();
            for row in rows(table) {
                assert!(all.contains(row[0]), "{} of {kind} is not in the schema", row[0]);
            }
        }
    }
}

#[test]
fn what_is_said_has_the_fields_of_the_schema() {
    let schema = schema_of("ServerMessage");
    let mut met = BTreeSet::new();
    for (message, json) in server_messages() {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(&json).unwrap();
        let (all, always) = &schema[type_of_server(&message)];
        let said: BTreeSet<String> = object.keys().cloned().collect();
        assert!(said.is_subset(all), "{json}: {all:?}");
        let lacking: Vec<_> = always.difference(&said).collect();
        assert!(lacking.is_empty(), "{json}: {lacking:?}");
        met.extend(said.into_iter().map(|field| (type_of_server(&message), field)));
    }
    for (kind, (all, _)) in &schema {
        for field in all {
            assert!(met.contains(&(kind.as_str(), field.clone())), "{field} of {kind} is never said");
        }
    }
}

#[test]
fn what_the_schema_asks_of_a_client_is_what_is_asked() {
    let whole = serde_json::json!({
        "room": "r", "name": "n", "token": "t", "resume": "u", "seq": 1, "to": ID_TEXT, "data": 1,
        "id": ID_TEXT, "locked": true, "ttl": 1, "viewer": true, "reports": true, "events": [], "after": 1,
    });
    for (kind, (all, always)) in schema_of("ClientMessage") {
        let mut message = serde_json::Map::new();
        message.insert("type".to_owned(), kind.clone().into());
        for field in all.iter().filter(|field| *field != "type") {
            message.insert(field.clone(), whole[field].clone());
        }
        let read = |message: &serde_json::Map<String, serde_json::Value>| {
            ClientMessage::parse(&serde_json::Value::from(message.clone()).to_string())
        };
        assert_eq!(type_of_client(&read(&message).unwrap()), kind);
        for field in &all {
            let mut without = message.clone();
            without.remove(field);
            assert_eq!(read(&without).is_err(), always.contains(field), "{kind} without {field}");
            // Of another type it is refused, but for what may be anything, and `type` itself.
            if field != "data" && field != "type" {
                let mut other = message.clone();
                other.insert(field.clone(), serde_json::json!({}));
                assert!(read(&other).is_err(), "{kind} with another {field}");
            }
        }
    }
}
