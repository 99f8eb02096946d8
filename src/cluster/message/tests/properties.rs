//! Properties of messages: any bytes, any message, and a bus that loses, delays, doubles and
//! reorders.

use proptest::prelude::*;

use super::*;
use crate::access::names::Region;
use crate::cluster::revocation_log::RevocationLog;

fn any_message() -> impl Strategy<Value = Message> {
    let revoked = (".{1,40}", any::<u64>()).prop_map(|(name, until)| Revoked { name, until });
    let region = prop::option::of("[a-z0-9-]{1,32}");
    let url = prop::sample::select(vec!["turn:a:1", "turns:b", "stun:[2001:db8::1]:3478"]);
    let numbers = (any::<u64>(), any::<bool>(), any::<bool>(), any::<u64>(), any::<u64>());
    let state = ("[!-~]{0,64}", region, prop::collection::vec(url, 0..=MAX_URLS), numbers).prop_map(
        |(version, region, urls, (allocations, full, draining, rooms, members))| NodeState {
            version,
            region: region.map(|region| region.parse::<Region>().unwrap()),
            urls: urls.into_iter().map(str::to_owned).collect(),
            allocations,
            full,
            draining,
            shares_rooms: full,
            rooms,
            members,
            connection: rooms,
        },
    );
    let texts = prop::collection::vec(prop::sample::select(vec!["{}", "{\"op\": \"x\"}", "[1, 2]"]), 0..4);
    let ack = prop::option::of((any::<u64>(), any::<u64>()).prop_map(|(stream, n)| Ack { stream, n }));
    let link = (1..u64::MAX, 1..u64::MAX - 4, texts, ack).prop_map(|(stream, first, texts, ack)| Segment {
        stream,
        ack,
        ..segment(first, &texts)
    });
    prop_oneof![
        state.prop_map(Message::Node),
        link.prop_map(Message::Link),
        prop::collection::vec(revoked, 0..5).prop_map(Message::Revoke),
        Just(Message::Gone),
        Just(Message::Unknown),
    ]
}

/// One step of a bus that loses, delays, doubles and reorders.
#[derive(Clone, Debug)]
enum Step {
    /// The node sends a message, which arrives unless it is lost.
    Send { message: Message, arrives: bool },
    /// An earlier message arrives, perhaps again.
    Arrive(prop::sample::Index),
    /// The node starts again.
    Restart,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any_message(), any::<bool>()).prop_map(|(message, arrives)| Step::Send { message, arrives }),
        6 => any::<prop::sample::Index>().prop_map(Step::Arrive),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #[test]
    fn a_message_arrives_as_it_was_sent(message in any_message(), run in any::<u64>(), t in any::<u64>()) {
        let payload = Sealer::new(node("fra-1"), run).seal(&secrets(&["north"]), t, &message);
        let received = opener().open(&secrets(&["north"]), t, &payload);
        prop_assert_eq!(received, Ok(Some(Received { from: node("fra-1"), run, skew_ms: 0, message })));
    }

    #[test]
    fn threat_60_any_bytes_are_rejected(
        tag in prop::option::of("[A-Za-z0-9_-]{16}\n"),
        rest in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "[{}\\[\\]\":,0-9a-z]{0,300}".prop_map(String::into_bytes),
        ],
    ) {
        let payload = [tag.unwrap_or_default().as_bytes(), &rest].concat();
        prop_assert!(opened(&payload).is_err());
    }

    /// A holder of the secret that is of another version, or broken.
    #[test]
    fn threat_60_any_authentic_json_is_a_message_or_not(
        fields in prop::collection::vec(
            ("from|run|n|t|type|names|urls|region|x", "\"[a-z0-9]{0,17}\"|[0-9]{1,21}|null|true|\\[\\]|\\{\\}"),
            0..9,
        ),
    ) {
        let fields: Vec<_> = fields.iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        let _ = opened(&sealed("north", &format!("{{{}}}", fields.join(","))));
    }

    /// Nothing counts twice, and nothing is outdated, whatever the bus does.
    #[test]
    fn threat_60_whatever_the_bus_does_each_message_counts_once_and_in_order(
        steps in prop::collection::vec(any_step(), 1..120),
    ) {
        let (north, mut reader, mut now) = (secrets(&["north"]), opener(), NOW);
        let mut run = 2;
        let mut sealer = Sealer::new(node("fra-1"), run);
        // Each message with its run and number, and whether it counted.
        let mut sent: Vec<(u64, u64, Message, Vec<u8>, bool)> = Vec::new();
        // Items have numbers of their own.
        let lane = |message: &Message| usize::from(matches!(message, Message::Link(_)));
        let (mut newest, mut numbers) = ([(0, 0); 2], [0; 2]);
        for step in steps {
            now += 10;
            let arriving = match step {
                Step::Restart => {
                    run += 1;
                    sealer = Sealer::new(node("fra-1"), run);
                    numbers = [0; 2];
                    continue;
                }
                Step::Send { message, arrives } => {
                    let number = &mut numbers[lane(&message)];
                    *number += 1;
                    let number = *number;
                    let payload = sealer.seal(&north, now, &message);
                    sent.push((run, number, message, payload, false));
                    if !arrives {
                        continue;
                    }
                    sent.len() - 1
                }
                Step::Arrive(_) if sent.is_empty() => continue,
                Step::Arrive(index) => index.index(sent.len()),
            };
            let (run, number, message, payload, counted) = &mut sent[arriving];
            let newest_run = newest[0].0.max(newest[1].0);
            let newest = &mut newest[lane(message)];
            let is_next = *run >= newest_run && (*run, *number) > *newest;
            let is_late = *run == newest.0
                && *run == newest_run
                && newest.1.saturating_sub(*number) < 64
                && !*counted
                && matches!(message, Message::Revoke(_) | Message::Link(_));
            match reader.open(&north, now, payload) {
                Ok(received) => {
                    prop_assert!(is_next || is_late);
                    prop_assert_eq!(&received.unwrap().message, message);
                    *counted = true;
                    *newest = (*newest).max((*run, *number));
                }
                Err(rejected) => {
                    prop_assert!(!is_next && !is_late, "{:?}", rejected);
                    prop_assert_eq!(rejected.reason, Rejection::Replayed);
                }
            }
        }
    }
}

proptest! {
    // A case has up to a hundred thousand characters.
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_batch_of_revocations_fits_into_a_message(
        names in prop::collection::btree_set("[\u{1}\"a\u{7f}\u{1f600}]{0,508}", 1..250),
    ) {
        let mut log = RevocationLog::new();
        for name in &names {
            log.note(0, name, u64::MAX);
        }
        let mut sealer = Sealer::new(node(&"a".repeat(64)), u64::MAX);
        let mut reader = opener();
        for batch in log.current(0) {
            let message = Message::Revoke(batch);
            let payload = sealer.seal(&secrets(&["north"]), NOW, &message);
            prop_assert_eq!(open(&mut reader, 0, &payload), Ok(Some(message)));
        }
    }
}
