mod properties;

use serde_json::value::RawValue;

use super::*;

const NOW: u64 = 1_764_500_000_123;

fn secrets(texts: &[&str]) -> Secrets {
    Secrets::new(texts).unwrap()
}

fn node(name: &str) -> NodeName {
    name.parse().unwrap()
}

/// Reader of the node `ams-1`, whose run is 1.
fn opener() -> Opener {
    Opener::new(node("ams-1"), 1)
}

fn state() -> NodeState {
    NodeState {
        version: "0.1.0".into(),
        region: Some("eu".parse().unwrap()),
        urls: vec![
            "turn:relay.example.org:3478".into(),
            "turns:relay.example.org:443?transport=tcp".into(),
            "stun:relay.example.org:3478".into(),
        ],
        allocations: 17,
        full: false,
        shares_rooms: false,
        draining: true,
        rooms: 3,
        members: 8,
        connection: 0,
    }
}

fn heartbeat(allocations: u64) -> Message {
    Message::Node(NodeState { allocations, ..state() })
}

fn revoke(name: &str) -> Message {
    Message::Revoke(vec![Revoked { name: name.into(), until: 1_764_586_400 }])
}

/// Seals a JSON object that no [`Sealer`] writes.
fn sealed(secret: &str, json: &str) -> Vec<u8> {
    let tag = secrets(&[secret]).tag(&format!("{PURPOSE}{json}"));
    format!("{tag}\n{json}").into_bytes()
}

/// Opens a payload at `NOW` plus `ms` with the secret `north`.
fn open(opener: &mut Opener, ms: u64, payload: &[u8]) -> Result<Option<Message>, Rejection> {
    let received = opener.open(&secrets(&["north"]), NOW + ms, payload);
    received.map(|received| received.map(|received| received.message)).map_err(|rejected| rejected.reason)
}

fn opened(payload: &[u8]) -> Result<Option<Message>, Rejection> {
    open(&mut opener(), 0, payload)
}

fn items(texts: &[&str]) -> Vec<Item> {
    texts.iter().map(|text| RawValue::from_string((*text).to_owned()).unwrap().into()).collect()
}

/// Segment for the node `ams-1`, whose run is 1.
fn segment(first: u64, texts: &[&str]) -> Segment {
    Segment { to: node("ams-1"), to_run: 1, stream: 1, first, items: items(texts), ack: None }
}

macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!("../golden/", $name, ".txt")).trim_end().as_bytes()
    };
}

/// Nodes of this version and of the next talk to each other while a cluster is upgraded. A change
/// of these files would cut it in two.
#[test]
fn messages_are_those_on_file() {
    let without_region = NodeState { version: "0.1.0".into(), full: true, ..NodeState::default() };
    let names = vec![
        Revoked { name: "tea.kQ0c1n0".into(), until: 1_764_586_400 },
        Revoked { name: "a \"b\" \u{e7}".into(), until: u64::MAX },
    ];
    let texts = [
        r#"{"op":"signal","room":"tea", "n": 7}"#,
        "{\"op\":\"leave\",\"text\":\"a \\\"b\\\" \u{e7} \\u00e7\"}",
    ];
    let ack = |n| Some(Ack { stream: 1, n });
    let mut sealer = Sealer::new(node("fra-1"), 255);
    let mut reader = opener();
    for (file, message) in [
        (golden!("link"), Message::Link(Segment { stream: 2, ack: ack(6), ..segment(41, &texts) })),
        (golden!("link-first"), Message::Link(segment(1, &[r#"{"op":"join"}"#]))),
        (golden!("link-ack"), Message::Link(Segment { stream: 2, ack: ack(0), ..segment(0, &[]) })),
        (golden!("node"), Message::Node(state())),
        (golden!("node-without-region"), Message::Node(without_region)),
        (golden!("revoke"), Message::Revoke(names)),
        (golden!("gone"), Message::Gone),
    ] {
        let payload = sealer.seal(&secrets(&["north"]), NOW, &message);
        assert_eq!(String::from_utf8_lossy(&payload), String::from_utf8_lossy(file));
        let received = reader.open(&secrets(&["north"]), NOW + 20, file);
        let (from, run) = (node("fra-1"), 255);
        assert_eq!(received, Ok(Some(Received { from, run, skew_ms: -20, message })));
    }
}

#[test]
fn fields_and_types_of_later_versions_are_ignored() {
    let mut reader = opener();
    let state = NodeState {
        region: Some("eu".parse().unwrap()),
        urls: vec!["turn:relay.example.org:3478".into()],
        rooms: 3,
        ..NodeState::default()
    };
    for (file, message) in [
        (golden!("later-node"), Message::Node(state)),
        (golden!("later-revoke"), revoke("tea.kQ0c1n0")),
        (golden!("later-gone"), Message::Gone),
        (golden!("later-type"), Message::Unknown),
        (
            golden!("later-link"),
            Message::Link(Segment {
                stream: 2,
                ack: Some(Ack { stream: 1, n: 6 }),
                ..segment(42, &[r#"{"op":"x"}"#])
            }),
        ),
    ] {
        assert_eq!(open(&mut reader, 0, file), Ok(Some(message)));
    }
}

#[test]
fn all_secrets_verify_and_the_first_signs() {
    let mut sealer = Sealer::new(node("fra-1"), 2);
    let payload = sealer.seal(&secrets(&["north", "old"]), NOW, &Message::Gone);
    for (known, accepts) in [(&["north"][..], true), (&["new", "north"], true), (&["old"], false)] {
        assert_eq!(opener().open(&secrets(known), NOW, &payload).is_ok(), accepts, "{known:?}");
    }
}

#[test]
fn messages_of_this_node_are_none() {
    let mut sealer = Sealer::new(node("ams-1"), 1);
    let mut reader = opener();
    for _ in 0..2 {
        let payload = sealer.seal(&secrets(&["north"]), NOW, &heartbeat(0));
        assert_eq!(open(&mut reader, 0, &payload), Ok(None));
        assert_eq!(open(&mut reader, 0, &payload), Ok(None));
    }
    assert!(reader.senders.is_empty());
}

#[test]
fn threat_60_a_node_with_another_secret_is_named_and_not_believed() {
    let mut reader = opener();
    let payload = Sealer::new(node("fra-1"), 2).seal(&secrets(&["south"]), NOW, &heartbeat(0));
    let rejected = reader.open(&secrets(&["north", "old"]), NOW, &payload).unwrap_err();
    let (reason, from) = (Rejection::Unauthenticated, Some(node("fra-1")));
    assert_eq!(rejected, Rejected { reason, from, skew_ms: None });
    for unreadable in ["{}", "", "null", r#"["fra-1"]"#, r#"{"from":""}"#, "{\"from\":\"fra-1\u{1b}[2J\"}"] {
        let rejected = reader.open(&secrets(&["north"]), NOW, &sealed("south", unreadable)).unwrap_err();
        assert_eq!(rejected, Rejection::Unauthenticated.into(), "{unreadable}");
    }
    assert!(reader.senders.is_empty());
}

#[test]
fn threat_60_a_changed_or_truncated_message_is_rejected() {
    let payload = Sealer::new(node("fra-1"), 2).seal(&secrets(&["north"]), NOW, &heartbeat(0));
    let mut reader = opener();
    for end in 0..payload.len() {
        let rejection = open(&mut reader, 0, &payload[..end]).unwrap_err();
        let expected = if end <= TAG { Rejection::Malformed } else { Rejection::Unauthenticated };
        assert_eq!(rejection, expected, "{end}");
    }
    for at in 0..payload.len() {
        for bit in 0..8 {
            let mut changed = payload.clone();
            changed[at] ^= 1 << bit;
            let rejection = open(&mut reader, 0, &changed).unwrap_err();
            let expected = [Rejection::Malformed, Rejection::Unauthenticated];
            assert!(expected.contains(&rejection), "{at} {bit}: {rejection:?}");
        }
    }
    assert!(open(&mut reader, 0, &[&payload[..], b" "].concat()).is_err());
    assert!(reader.senders.is_empty(), "nobody without the secret leaves a trace");
    assert_eq!(open(&mut reader, 0, &payload), Ok(Some(heartbeat(0))));
}

/// The label of a room is a tag under the same secret, and clients see it.
#[test]
fn threat_60_a_tag_of_other_text_is_no_tag_of_a_message() {
    let json = r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"gone"}"#;
    let tag = secrets(&["north"]).tag(json);
    let payload = format!("{tag}\n{json}").into_bytes();
    assert_eq!(opened(&payload), Err(Rejection::Unauthenticated));
}

#[test]
fn threat_60_a_message_is_at_most_64_kib() {
    let of_length = |length: usize| {
        let start = r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"gone","x":""#;
        let json = format!("{start}{}\"}}", "x".repeat(length - start.len() - 2));
        assert_eq!(json.len(), length);
        sealed("north", &json)
    };
    assert_eq!(opened(&of_length(MAX_BYTES)), Ok(Some(Message::Gone)));
    assert_eq!(opened(&of_length(MAX_BYTES + 1)), Err(Rejection::TooLarge));
    assert_eq!(opened(&vec![b'{'; 100 << 20]), Err(Rejection::TooLarge));
}

#[test]
fn threat_60_a_message_with_items_is_at_most_768_kib() {
    let of_length = |length: usize| {
        let start = format!(
            r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":{NOW},"type":"link","to":"ams-1","to_run":"0000000000000001","stream":1,"first":1,"items":[""#
        );
        sealed("north", &format!("{start}{}\"]}}", "x".repeat(length - start.len() - 3)))
    };
    assert!(matches!(opened(&of_length(MAX_LINK_BYTES)), Ok(Some(Message::Link(_)))));
    assert_eq!(opened(&of_length(MAX_LINK_BYTES + 1)), Err(Rejection::TooLarge));
    let large = format!("\"{}\"", "x".repeat((512 << 10) - 2));
    let message = Message::Link(segment(u64::MAX - 1, &[&large]));
    let payload = Sealer::new(node(&"a".repeat(64)), u64::MAX).seal(&secrets(&["north"]), NOW, &message);
    assert_eq!(opened(&payload), Ok(Some(message)), "the largest item fits");
}

#[test]
fn threat_60_items_of_another_form_are_malformed() {
    for rest in [
        r#""to_run":"0000000000000001","stream":1"#,
        r#""to":"ams-1","stream":1"#,
        r#""to":"ams-1","to_run":1,"stream":1"#,
        r#""to":"ams-1","to_run":"0000000000000001""#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":0"#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":-1"#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":1,"items":[1]"#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":1,"first":1,"items":{}"#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":1,"first":18446744073709551615,"items":[1]"#,
        r#""to":"ams-1","to_run":"0000000000000001","stream":1,"ack":{"stream":1}"#,
    ] {
        let json =
            format!(r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":{NOW},"type":"link",{rest}}}"#);
        assert_eq!(opened(&sealed("north", &json)), Err(Rejection::Malformed), "{json}");
    }
}

#[test]
fn threat_60_items_for_another_node_or_a_former_process_are_ignored() {
    let mut reader = opener();
    let mut sealer = Sealer::new(node("fra-1"), 2);
    for other in
        [Segment { to: node("ams-2"), ..segment(1, &["1"]) }, Segment { to_run: 7, ..segment(1, &["1"]) }]
    {
        let payload = sealer.seal(&secrets(&["north"]), NOW, &Message::Link(other));
        assert_eq!(open(&mut reader, 0, &payload), Ok(None));
    }
    assert!(reader.senders.is_empty());
}

/// They have another subject, which is read apart.
#[test]
fn threat_60_items_may_be_late_come_once_and_do_not_make_a_heartbeat_late() {
    let mut sealer = Sealer::new(node("fra-1"), 2);
    let mut seal = |message: &Message| sealer.seal(&secrets(&["north"]), NOW, message);
    let beat = seal(&heartbeat(1));
    let links: Vec<_> = (1..=65).map(|first| Message::Link(segment(first, &["{}"]))).collect();
    let sealed: Vec<_> = links.iter().map(&mut seal).collect();
    let mut reader = opener();
    assert!(open(&mut reader, 0, &sealed[64]).is_ok());
    assert_eq!(open(&mut reader, 0, &beat), Ok(Some(heartbeat(1))));
    assert_eq!(open(&mut reader, 0, &sealed[1]), Ok(Some(links[1].clone())), "63 late");
    assert_eq!(open(&mut reader, 0, &sealed[1]), Err(Rejection::Replayed));
    assert_eq!(open(&mut reader, 0, &sealed[0]), Err(Rejection::Replayed), "too late");
}

#[test]
fn threat_60_an_object_of_another_form_is_malformed() {
    let rest = r#""type":"node","version":"0.1.0""#;
    for json in [
        "",
        "{}",
        "[]",
        "null",
        r#"["fra-1","0000000000000002",1,1764500000123,"gone"]"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123}"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"gone""#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"gone"}{}"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"gone","type":"node"}"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":17}"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"revoke"}"#,
        r#"{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,"type":"revoke","names":["a"]}"#,
        &format!(r#"{{"from":"","run":"0000000000000002","n":1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra 1","run":"0000000000000002","n":1,"t":1764500000123,{rest}}}"#),
        &format!(
            r#"{{"from":"{}","run":"0000000000000002","n":1,"t":1764500000123,{rest}}}"#,
            "a".repeat(65)
        ),
        &format!(r#"{{"from":"fra-1","run":2,"n":1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"2","n":1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"+000000000000002","n":1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"00000000000000002","n":1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"0000000000000002","n":-1,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"0000000000000002","n":1.5,"t":1764500000123,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":1e30,{rest}}}"#),
        &format!(r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,{rest},"urls":""}}"#),
        &format!(r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,{rest},"full":1}}"#),
        &format!(
            r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":1764500000123,{rest},"region":"E U"}}"#
        ),
        &"[".repeat(MAX_BYTES),
        &format!("{{\"from\":{}", "[".repeat(MAX_BYTES - 10)),
    ] {
        assert_eq!(opened(&sealed("north", json)), Err(Rejection::Malformed), "{json}");
    }
    for payload in
        [&b""[..], b"\n", b"{}", b"0123456789abcdef", b"0123456789abcdef\r\n{}", b"0123456789abcdef\n\xff"]
    {
        assert_eq!(opened(payload), Err(Rejection::Malformed), "{payload:?}");
    }
}

/// The sender is authentic, but may be of another version, or hacked.
#[test]
fn threat_60_the_texts_of_a_node_are_few_short_and_plain() {
    let good = |number| format!("turn:relay-{number}.example.org:3478");
    let mut urls: Vec<_> = (0..20).map(good).collect();
    let bad = [
        "",
        "turn:",
        "http://relay.example.org",
        "javascript:alert(1)",
        "TURN:relay.example.org",
        "turn:relay\u{1b}[2J.example.org",
        "turn:relay .example.org",
        "turn:r\u{e9}lay.example.org",
        &format!("turn:{}", "a".repeat(MAX_URL)),
    ];
    urls.splice(1..1, bad.map(str::to_owned));
    let version = format!("0.1\u{1b}[2J\n\u{202e}{}", "x".repeat(1000));
    let message = Message::Node(NodeState { version: version.clone(), urls: urls.clone(), ..state() });
    let (urls, version) = (serde_json::to_string(&urls).unwrap(), serde_json::to_string(&version).unwrap());
    let json = format!(
        r#"{{"from":"fra-1","run":"0000000000000002","n":1,"t":{NOW},"type":"node","version":{version},"urls":{urls}}}"#
    );
    for payload in
        [sealed("north", &json), Sealer::new(node("fra-1"), 2).seal(&secrets(&["north"]), NOW, &message)]
    {
        let Ok(Some(Message::Node(state))) = opened(&payload) else { panic!("no node") };
        assert_eq!(state.urls, (0..16).map(good).collect::<Vec<_>>());
        assert_eq!(state.version, format!("0.1[2J{}", "x".repeat(58)));
    }
}

#[test]
fn threat_60_a_name_that_no_request_holds_is_not_revoked() {
    let names = |length| vec![Revoked { name: "a".repeat(length), until: 1 }];
    let both = Message::Revoke([names(MAX_REVOKED_NAME + 1), names(MAX_REVOKED_NAME)].concat());
    let payload = Sealer::new(node("fra-1"), 2).seal(&secrets(&["north"]), NOW, &both);
    assert_eq!(opened(&payload), Ok(Some(Message::Revoke(names(MAX_REVOKED_NAME)))));
}

#[test]
fn threat_60_a_message_counts_once_and_only_a_revocation_may_be_late() {
    let mut sealer = Sealer::new(node("fra-1"), 2);
    let mut seal = |message: &Message| sealer.seal(&secrets(&["north"]), NOW, message);
    let beats: Vec<_> = (0..3).map(|number| seal(&heartbeat(number))).collect();
    let (late, gone) = (seal(&revoke("a")), seal(&Message::Gone));
    let last = seal(&heartbeat(3));
    let mut reader = opener();
    assert_eq!(open(&mut reader, 0, &beats[1]), Ok(Some(heartbeat(1))));
    assert_eq!(open(&mut reader, 0, &beats[1]), Err(Rejection::Replayed), "doubled");
    assert_eq!(open(&mut reader, 0, &beats[0]), Err(Rejection::Replayed), "outdated");
    assert_eq!(open(&mut reader, 0, &beats[2]), Ok(Some(heartbeat(2))));
    assert_eq!(open(&mut reader, 0, &last), Ok(Some(heartbeat(3))));
    assert_eq!(open(&mut reader, 0, &late), Ok(Some(revoke("a"))), "it may be late");
    assert_eq!(open(&mut reader, 0, &late), Err(Rejection::Replayed), "but comes once");
    assert_eq!(open(&mut reader, 0, &gone), Err(Rejection::Replayed), "what came later is true");
    assert_eq!(open(&mut reader, 0, &last), Err(Rejection::Replayed));
}

#[test]
fn a_revocation_may_be_63_messages_late() {
    for (messages_between, accepts) in [(62, true), (63, false), (500, false)] {
        let mut sealer = Sealer::new(node("fra-1"), 2);
        let mut reader = opener();
        let first = sealer.seal(&secrets(&["north"]), NOW, &heartbeat(0));
        open(&mut reader, 0, &first).unwrap();
        let late = sealer.seal(&secrets(&["north"]), NOW, &revoke("a"));
        for _ in 0..=messages_between {
            let payload = sealer.seal(&secrets(&["north"]), NOW, &heartbeat(0));
            open(&mut reader, 0, &payload).unwrap();
        }
        assert_eq!(open(&mut reader, 0, &late).is_ok(), accepts, "{messages_between}");
    }
}

#[test]
fn threat_60_the_largest_numbers_are_numbers() {
    let of = |n: u64, t: u64| {
        sealed(
            "north",
            &format!(r#"{{"from":"fra-1","run":"ffffffffffffffff","n":{n},"t":{t},"type":"gone"}}"#),
        )
    };
    let mut reader = opener();
    assert_eq!(open(&mut reader, 0, &of(0, NOW)), Err(Rejection::Replayed), "numbers begin at 1");
    assert_eq!(open(&mut reader, 0, &of(1, NOW)), Ok(Some(Message::Gone)));
    assert_eq!(open(&mut reader, 0, &of(u64::MAX, NOW)), Ok(Some(Message::Gone)));
    assert_eq!(open(&mut reader, 0, &of(2, NOW)), Err(Rejection::Replayed));
    assert_eq!(open(&mut reader, 0, &of(u64::MAX, NOW)), Err(Rejection::Replayed));
    let too_large =
        format!(r#"{{"from":"fra-1","run":"ffffffffffffffff","n":1{},"t":{NOW},"type":"gone"}}"#, u64::MAX);
    assert_eq!(open(&mut reader, 0, &sealed("north", &too_large)), Err(Rejection::Malformed));
    for (t, skew_ms) in [(u64::MAX, i64::MAX), (0, -1_764_500_000_123)] {
        let rejected = reader.open(&secrets(&["north"]), NOW, &of(3, t)).unwrap_err();
        assert_eq!((rejected.reason, rejected.skew_ms), (Rejection::Stale, Some(skew_ms)));
    }
    let rejected = opener().open(&secrets(&["north"]), u64::MAX, &of(3, 0)).unwrap_err();
    assert_eq!((rejected.reason, rejected.skew_ms), (Rejection::Stale, Some(-i64::MAX)));
}

#[test]
fn threat_60_a_clock_may_differ_by_a_minute_and_the_difference_is_told() {
    let minute = i64::try_from(MAX_SKEW_MS).unwrap();
    for (skew_ms, accepts) in
        [(0, true), (2_500, true), (minute, true), (-minute, true), (minute + 1, false), (-minute - 1, false)]
    {
        let mut sealer = Sealer::new(node("fra-1"), 2);
        let payload =
            sealer.seal(&secrets(&["north"]), NOW.checked_add_signed(skew_ms).unwrap(), &Message::Gone);
        let mut reader = opener();
        let found = match reader.open(&secrets(&["north"]), NOW, &payload) {
            Ok(received) => (true, Some(received.unwrap().skew_ms), Some(node("fra-1"))),
            Err(Rejected { reason, from, skew_ms }) => {
                assert_eq!(reason, Rejection::Stale);
                assert!(reader.senders.is_empty());
                (false, skew_ms, from)
            }
        };
        assert_eq!(found, (accepts, Some(skew_ms), Some(node("fra-1"))));
    }
}

#[test]
fn threat_60_messages_of_an_earlier_run_are_rejected() {
    let (mut before, mut after) = (Sealer::new(node("fra-1"), 2), Sealer::new(node("fra-1"), 3));
    let north = secrets(&["north"]);
    let recorded: Vec<_> = (0..5).map(|s| before.seal(&north, NOW + s * 1000, &revoke("a"))).collect();
    // Lost on its way, but recorded.
    let lost = before.seal(&north, NOW + 5000, &Message::Gone);
    let mut reader = opener();
    for payload in &recorded {
        open(&mut reader, 5000, payload).unwrap();
    }
    let first = after.seal(&north, NOW + 7000, &heartbeat(0));
    assert_eq!(open(&mut reader, 7000, &first), Ok(Some(heartbeat(0))));
    for payload in recorded.iter().chain([&lost]) {
        assert_eq!(open(&mut reader, 7001, payload), Err(Rejection::Replayed));
    }
    let second = after.seal(&north, NOW + 8000, &heartbeat(1));
    assert_eq!(open(&mut reader, 8000, &second), Ok(Some(heartbeat(1))));
}

/// Two machines, of which one is a copy of the other.
#[test]
fn nodes_of_one_name_alternate_and_cannot_be_replayed() {
    let (mut one, mut two) = (Sealer::new(node("fra-1"), 2), Sealer::new(node("fra-1"), 3));
    let north = secrets(&["north"]);
    let (mut reader, mut recorded) = (opener(), Vec::new());
    for second in 0..10 {
        for (sealer, part) in [(&mut one, 0), (&mut two, 500)] {
            let ms = second * 1000 + part;
            let payload = sealer.seal(&north, NOW + ms, &heartbeat(0));
            assert!(open(&mut reader, ms, &payload).is_ok());
            recorded.push(payload);
            for payload in &recorded {
                assert_eq!(open(&mut reader, ms, payload), Err(Rejection::Replayed));
            }
        }
    }
}

#[test]
fn another_live_process_with_the_name_of_this_node_is_told() {
    let north = secrets(&["north"]);
    let (mut before, mut twin) = (Sealer::new(node("ams-1"), 7), Sealer::new(node("ams-1"), 8));
    let mut reader = opener();
    let last_words = [before.seal(&north, NOW - 10, &heartbeat(0)), before.seal(&north, NOW, &Message::Gone)];
    for payload in &last_words {
        assert_eq!(open(&mut reader, 0, payload), Err(Rejection::Replayed), "of the process before");
    }
    for ms in [1000, 2000] {
        let payload = twin.seal(&north, NOW + ms - 3, &heartbeat(0));
        let rejected = reader.open(&north, NOW + ms, &payload).unwrap_err();
        let (reason, from) = (Rejection::NameTaken, Some(node("ams-1")));
        assert_eq!(rejected, Rejected { reason, from, skew_ms: Some(-3) });
        assert_eq!(open(&mut reader, ms, &payload), Err(Rejection::Replayed));
    }
    let gone = twin.seal(&north, NOW + 3000, &Message::Gone);
    assert_eq!(open(&mut reader, 3000, &gone), Ok(None), "it leaves the name");
}

#[test]
fn threat_60_of_a_million_names_a_thousand_are_remembered_and_their_nodes_go_on() {
    let north = secrets(&["north"]);
    let mut reader = opener();
    let mut honest = Sealer::new(node("fra-1"), 2);
    let payload = honest.seal(&north, NOW, &heartbeat(0));
    open(&mut reader, 0, &payload).unwrap();
    let mut rejected = 0;
    for number in 0..1_000_000_u64 {
        let named = node(&format!("n{number}"));
        match reader.note(&named, 1, (Lane::All, 1), NOW + 1, NOW + 1) {
            Ok(order) => assert_eq!(order, Order::Next),
            Err(rejection) => {
                assert_eq!(rejection, Rejection::TooMany);
                rejected += 1;
            }
        }
    }
    assert_eq!((reader.senders.len(), rejected), (MAX_SENDERS, 1_000_001 - MAX_SENDERS));
    let payload = honest.seal(&north, NOW + 1000, &heartbeat(1));
    assert_eq!(open(&mut reader, 1000, &payload), Ok(Some(heartbeat(1))));
    // The others are silent for a minute. What they sent is stale now, so nothing guards it.
    let newcomer = Sealer::new(node("new"), 9).seal(&north, NOW + 60_002, &heartbeat(2));
    assert_eq!(open(&mut reader, 60_001, &newcomer), Err(Rejection::TooMany));
    assert_eq!(open(&mut reader, 60_002, &newcomer), Ok(Some(heartbeat(2))));
    assert_eq!(reader.senders.len(), 2);
    assert_eq!(open(&mut reader, 60_002, &payload), Err(Rejection::Replayed));
}

#[test]
fn threat_60_no_stranger_leaves_a_trace() {
    let mut reader = opener();
    for number in 0..10_000 {
        let named = node(&format!("n{number}"));
        let payload = Sealer::new(named, 1).seal(&secrets(&["south"]), NOW, &Message::Gone);
        assert_eq!(open(&mut reader, 0, &payload), Err(Rejection::Unauthenticated));
    }
    assert!(reader.senders.is_empty());
}

#[test]
fn what_is_rejected_has_a_label() {
    use byway_turn::closed_set::ClosedSet as _;
    let labels: Vec<_> = Rejection::ALL.iter().map(|rejection| rejection.label()).collect();
    let expected =
        ["too-large", "malformed", "unauthenticated", "stale", "replayed", "name-taken", "too-many"];
    assert_eq!(labels, expected);
}

/// Otherwise a node that starts again would be rejected until the clock is where it was.
#[test]
fn a_clock_that_is_set_back_locks_nobody_out() {
    const HOUR: u64 = 3_600_000;
    let north = secrets(&["north"]);
    let mut reader = opener();
    for number in 0..MAX_SENDERS {
        let named = node(&format!("n{number}"));
        reader.note(&named, 1, (Lane::All, 1), NOW + HOUR, NOW + HOUR).unwrap();
    }
    assert_eq!(reader.note(&node("new"), 1, (Lane::All, 1), NOW + HOUR, NOW + HOUR), Err(Rejection::TooMany));
    let restarted = Sealer::new(node("n7"), 2).seal(&north, NOW + MAX_SKEW_MS + 1, &Message::Gone);
    assert_eq!(open(&mut reader, 0, &restarted), Err(Rejection::Stale));
    assert_eq!(open(&mut reader, 1, &restarted), Err(Rejection::Replayed));
    let later = 2 * MAX_SKEW_MS + 2;
    let restarted = Sealer::new(node("n7"), 2).seal(&north, NOW + later, &Message::Gone);
    assert_eq!(open(&mut reader, later, &restarted), Ok(Some(Message::Gone)));
    let newcomer = Sealer::new(node("new"), 2).seal(&north, NOW + later, &Message::Gone);
    assert_eq!(open(&mut reader, later, &newcomer), Err(Rejection::TooMany));
    let later = later + 2 * MAX_SKEW_MS + 1;
    let newcomer = Sealer::new(node("new"), 2).seal(&north, NOW + later, &Message::Gone);
    assert_eq!(open(&mut reader, later, &newcomer), Ok(Some(Message::Gone)));
}
