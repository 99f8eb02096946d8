use byway_turn::prng::Prng;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::events::{AllocationKey, ClientTransport, EndReason, Usage};
use crate::signaling::protocol::report::{ConnectionState, Observation, Source};

const BEGAN: u64 = 1_700_000_000;

fn at(millis: u64) -> Now {
    Now { mono: Duration::from_millis(5_000 + millis), unix: BEGAN + millis / 1_000 }
}

fn room() -> RoomName {
    RoomName::new("oak".to_owned()).unwrap()
}

fn id(number: u8) -> MemberId {
    MemberId([number; 16])
}

/// Member `number` of a network of its own.
fn participant(number: u8) -> Participant {
    Participant {
        id: id(number),
        name: DisplayName::new(format!("m{number}")),
        user: format!("oak.{}", id(number)).into(),
        network: ClientNetwork::of([192, 0, 2, number].into()),
        viewer: false,
    }
}

fn connected() -> Observation {
    Observation::Connection { state: ConnectionState::Connected }
}

fn stats(silent_ms: u32) -> Observation {
    Observation::Stats {
        round_trip_ms: None,
        loss: None,
        remote_loss: None,
        jitter_ms: None,
        receiving_bps: None,
        sending_bps: None,
        silent_ms: Some(silent_ms),
    }
}

fn observed(what: Observation) -> Vec<ReportEvent> {
    vec![ReportEvent { peer: None, ago: 0, what }]
}

/// A call of the members 1 to `count`, who joined a second apart and report.
fn call(limits: TimelineLimits, count: u8) -> Timelines {
    let mut timelines = Timelines::new(limits);
    for number in 1..=count {
        timelines.joined(at(u64::from(number) * 1_000), &room(), participant(number));
        timelines.consent(at(u64::from(number) * 1_000), id(number), true);
    }
    timelines
}

fn facts(user: &str) -> Arc<AllocationFacts> {
    Arc::new(AllocationFacts {
        key: AllocationKey { shard: 0, slot: 1, generation: 2 },
        user: user.into(),
        transport: ClientTransport::Tcp,
        client: "203.0.113.9:50000".parse().unwrap(),
        relayed: vec!["198.51.100.7:49160".parse().unwrap()],
        began: BEGAN,
    })
}

/// Number of the member and kind of each event on a page.
fn kinds(page: &TimelinePage) -> Vec<(u8, String)> {
    let kind = |event: &TimelineEvent| match &serde_json::to_value(event).unwrap()["kind"] {
        Value::String(kind) => (event.member.0[0], kind.clone()),
        other => panic!("{other}"),
    };
    page.events.iter().map(kind).collect()
}

fn kinds_for(timelines: &mut Timelines, reader: u8) -> Vec<(u8, String)> {
    kinds(&timelines.page(at(900_000), id(reader), 0).unwrap())
}

#[test]
fn a_call_in_full() {
    let mut timelines = call(TimelineLimits::default(), 2);
    let user = format!("oak.{}", id(1));
    timelines.relay(at(3_000), &Event::AllocationBegan(facts(&user)));
    let path: ReportEvent = serde_json::from_value(json!({
        "kind": "path", "peer": id(2).to_string(), "ago": 500,
        "detail": {"local": "relay", "remote": "host", "relayed": true, "protocol": "tcp", "address": "ipv4"},
    }))
    .unwrap();
    timelines.report(at(4_000), id(1), vec![path]).unwrap();
    for _ in 0..3 {
        let peer = Some("10.0.0.1:9".parse().unwrap());
        let refused =
            Event::RequestRefused { user: user.as_str().into(), method: "CreatePermission", code: 403, peer };
        timelines.relay(at(5_000), &refused);
    }
    let usage = Usage {
        to_peer: Traffic { packets: 3, bytes: 30 },
        to_client: Traffic { packets: 2, bytes: 20 },
        drops: vec![("no_permission", 7)],
        refused: vec![(403, 3)],
    };
    timelines
        .relay(at(6_000), &Event::AllocationEnded { facts: facts(&user), usage, reason: EndReason::Deleted });
    timelines.left(at(7_000), &room(), id(1), "left", false);
    timelines.left(at(8_500), &room(), id(2), "lost", true);

    let call = timelines.call(at(9_000), &room()).unwrap();
    let (first, second) = (id(1).to_string(), id(2).to_string());
    let event = |n: u64, at: f64, member: &str, source: &str, kind: &str, text: &str, detail: Value| json!({"n": n, "at": at, "member": member, "source": source, "kind": kind, "text": text, "detail": detail});
    let began = 1_700_000_001.0;
    let mut path = event(
        6,
        began + 2.5,
        &first,
        "page",
        "path",
        "to m2: path through its relay over TCP: relay to host, IPv4",
        json!({"local": "relay", "remote": "host", "relayed": true, "protocol": "tcp", "address": "ipv4"}),
    );
    path["peer"] = second.clone().into();
    assert_eq!(
        serde_json::to_value(&call).unwrap(),
        json!({
            "room": "oak", "began": BEGAN + 1, "ended": BEGAN + 8, "dropped": 0,
            "members": [
                {"id": first, "name": "m1", "reports": true, "user": user},
                {"id": second, "name": "m2", "reports": true, "user": format!("oak.{second}")},
            ],
            "events": [
                event(1, began, &first, "server", "joined", "joined", json!({"viewer": false})),
                event(2, began, &first, "server", "reports", "shares its connection details", json!({"on": true})),
                event(3, began + 1.0, &second, "server", "joined", "joined", json!({"viewer": false})),
                event(4, began + 1.0, &second, "server", "reports", "shares its connection details", json!({"on": true})),
                event(5, began + 2.0, &first, "relay", "allocated", "allocation over TCP, IPv4", json!({"transport": "tcp", "addresses": ["ipv4"]})),
                path,
                event(7, began + 4.0, &first, "relay", "refused", "refused CreatePermission for an IPv4 peer: 403 forbidden peer, 3 times",
                    json!({"method": "CreatePermission", "code": 403, "address": "ipv4", "count": 3})),
                event(8, began + 5.0, &first, "relay", "released",
                    "allocation over TCP ended (deleted): 3 packets to peers, 2 to the client; dropped 7 no_permission; refused 3 times 403",
                    json!({"transport": "tcp", "reason": "deleted", "to_peer": {"packets": 3, "bytes": 30},
                        "to_client": {"packets": 2, "bytes": 20}, "drops": {"no_permission": 7}, "refused": {"403": 3}})),
                event(9, began + 6.0, &first, "server", "left", "left (left)", json!({"reason": "left"})),
                event(10, began + 7.5, &second, "server", "left", "left (lost)", json!({"reason": "lost"})),
            ],
        })
    );
    // Neither the client's address nor the relay's is anywhere.
    let text = serde_json::to_string(&call).unwrap();
    for address in ["203.0.113.9", "198.51.100.7", "10.0.0.1"] {
        assert!(!text.contains(address), "{address}");
    }
}

#[test]
fn a_timeline_is_gone_an_hour_after_its_call() {
    let mut timelines = call(TimelineLimits::default(), 1);
    timelines.left(at(2_000), &room(), id(1), "left", true);
    assert!(timelines.call(at(3_601_999), &room()).is_some());
    assert_eq!(timelines.call(at(3_602_000), &room()), None);
    assert_eq!((timelines.bytes(), timelines.members.len(), timelines.users.len()), (0, 0, 0));
}

#[test]
fn another_call_in_the_room_has_a_timeline_of_its_own() {
    let mut timelines = call(TimelineLimits::default(), 1);
    timelines.left(at(2_000), &room(), id(1), "left", true);
    timelines.joined(at(60_000), &room(), participant(2));
    let rooms: Vec<_> = timelines.calls(at(61_000)).iter().map(|call| (call.began, call.ended)).collect();
    assert_eq!(rooms, [(BEGAN + 1, Some(BEGAN + 2)), (BEGAN + 60, None)]);
    assert_eq!(timelines.call(at(61_000), &room()).unwrap().began, BEGAN + 60);
    assert_eq!(kinds_for(&mut timelines, 2), [(2, "joined".to_owned())]);
}

#[test]
fn without_consent_nothing_is_taken_and_with_its_end_all_is_discarded() {
    let mut timelines = Timelines::new(TimelineLimits::default());
    timelines.joined(at(0), &room(), participant(1));
    let before = timelines.bytes();
    assert_eq!(timelines.report(at(1), id(1), observed(connected())), Err(ErrorCode::NoConsent));
    assert_eq!(timelines.bytes(), before);
    timelines.consent(at(2), id(1), true);
    timelines.report(at(3), id(1), observed(connected())).unwrap();
    assert_eq!(kinds_for(&mut timelines, 1).len(), 3);
    timelines.consent(at(4), id(1), false);
    let kinds = kinds_for(&mut timelines, 1);
    assert_eq!(kinds, [(1, "joined".into()), (1, "reports".into()), (1, "reports".into())]);
    assert_eq!(timelines.report(at(5), id(1), observed(connected())), Err(ErrorCode::NoConsent));
}

/// The relay's view of a member is shown to it, to the operator, and to others if it agrees.
#[test]
fn threat_55_a_member_sees_of_others_what_they_agreed_to() {
    let mut timelines = Timelines::new(TimelineLimits::default());
    for number in [1, 2] {
        timelines.joined(at(0), &room(), participant(number));
    }
    timelines.relay(at(1), &Event::AllocationBegan(facts(&format!("oak.{}", id(1)))));
    let is_allocated = |kinds: Vec<(u8, String)>| kinds.contains(&(1, "allocated".to_owned()));
    assert!(is_allocated(kinds_for(&mut timelines, 1)));
    assert!(!is_allocated(kinds_for(&mut timelines, 2)));
    timelines.consent(at(2), id(1), true);
    assert!(is_allocated(kinds_for(&mut timelines, 2)));
}

#[test]
fn threat_55_a_member_reads_its_own_room_and_only_since_it_joined() {
    let mut timelines = call(TimelineLimits::default(), 1);
    let elm = RoomName::new("elm".to_owned()).unwrap();
    timelines.joined(at(2_000), &elm, participant(3));
    timelines.report(at(2_500), id(1), observed(connected())).unwrap();
    timelines.joined(at(3_000), &room(), participant(2));
    timelines.report(at(4_000), id(1), observed(stats(7))).unwrap();
    assert_eq!(kinds_for(&mut timelines, 3), [(3, "joined".to_owned())]);
    assert_eq!(kinds_for(&mut timelines, 2), [(2, "joined".to_owned()), (1, "stats".to_owned())]);
    // A client that is in no room, and one that names a number of the future.
    assert_eq!(timelines.page(at(950_000), id(9), 0).unwrap(), TimelinePage::empty(0));
    assert_eq!(timelines.page(at(950_000), id(2), u64::MAX).unwrap().events, []);
}

#[test]
fn threat_55_a_viewer_learns_of_no_other_viewer() {
    let mut timelines = call(TimelineLimits::default(), 1);
    for number in [2, 3] {
        timelines.joined(at(2_000), &room(), Participant { viewer: true, ..participant(number) });
        timelines.consent(at(2_000), id(number), true);
    }
    let about = |peer| vec![ReportEvent { peer: Some(id(peer)), ago: 0, what: connected() }];
    for peer in [2, 3] {
        timelines.report(at(3_000), id(1), about(peer)).unwrap();
    }
    let page = timelines.page(at(4_000), id(3), 0).unwrap();
    assert!(page.events.iter().all(|event| event.member != id(2) && event.peer != Some(id(2))));
    assert!(page.members.iter().all(|member| member.id != id(2)));
    assert_eq!(page.events.iter().filter(|event| event.peer == Some(id(3))).count(), 1);
    // The member sees both.
    assert_eq!(kinds_for(&mut timelines, 1).iter().filter(|(member, _)| *member > 1).count(), 4);
}

#[test]
fn threat_55_a_flood_of_one_member_is_dropped_and_counted() {
    let mut timelines = call(TimelineLimits::default(), 2);
    timelines.report(at(3_000), id(2), observed(connected())).unwrap();
    for _ in 0..1_000 {
        timelines.report(at(4_000), id(1), observed(connected())).unwrap();
    }
    let call = timelines.call(at(4_000), &room()).unwrap();
    let of = |number| call.events.iter().filter(|described| described.event.member == id(number)).count();
    let (taken, dropped) = (u64::from(OBSERVATIONS_AT_ONCE), call.dropped);
    assert_eq!((of(1) as u64, of(2), dropped), (taken + 2, 3, 1_000 - taken), "the consent has refilled");
    // Later it may report again, and takes the place of its own oldest events alone.
    for second in 0..1_000 {
        timelines.report(at(10_000 + second * 1_000), id(1), observed(connected())).unwrap();
    }
    let call = timelines.call(at(2_000_000), &room()).unwrap();
    let of = |number| call.events.iter().filter(|described| described.event.member == id(number)).count();
    assert_eq!((of(1), of(2)), (TimelineLimits::default().events, 3));
}

#[test]
fn threat_55_a_page_that_flips_its_consent_fills_nothing() {
    let mut timelines = call(TimelineLimits::default(), 1);
    for on in [false, true].into_iter().cycle().take(1_001) {
        timelines.consent(at(1_000), id(1), on);
    }
    let call = timelines.call(at(1_000), &room()).unwrap();
    assert_eq!(call.events.len(), 1 + OBSERVATIONS_AT_ONCE as usize);
    assert_eq!(timelines.report(at(1_000), id(1), observed(connected())), Err(ErrorCode::NoConsent));
}

#[test]
fn figures_make_room_for_what_happened() {
    let mut timelines = call(TimelineLimits { events: 5, ..TimelineLimits::default() }, 1);
    for second in 1..=3 {
        timelines.report(at(second * 1_000), id(1), observed(stats(0))).unwrap();
    }
    timelines.report(at(9_000), id(1), observed(connected())).unwrap();
    let kinds: Vec<_> = kinds_for(&mut timelines, 1).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, ["joined", "reports", "stats", "stats", "connection"]);
}

#[test]
fn threat_55_one_network_cannot_push_out_the_timelines_of_others() {
    let limits = TimelineLimits { bytes: 1 << 20, ..TimelineLimits::default() };
    let mut timelines = call(limits, 1);
    timelines.left(at(2_000), &room(), id(1), "left", true);
    let hostile = ClientNetwork::of([203, 0, 113, 1].into());
    for number in 0_u32..5_000 {
        let mut bytes = [255; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let room = RoomName::new(format!("room {number}")).unwrap();
        let user = format!("{number}").into();
        let participant =
            Participant { id: MemberId(bytes), name: None, user, network: hostile, viewer: false };
        timelines.joined(at(3_000), &room, participant);
        timelines.consent(at(3_000), MemberId(bytes), true);
        for _ in 0..OBSERVATIONS_AT_ONCE {
            let _ = timelines.report(at(3_000), MemberId(bytes), observed(connected()));
        }
        timelines.left(at(3_000), &room, MemberId(bytes), "left", true);
    }
    assert!(timelines.call(at(4_000), &room()).is_some(), "the honest call is still there");
    assert!(timelines.shares.held_by(hostile) <= limits.bytes / 8);
}

#[test]
fn pages_are_bounded_and_together_have_everything() {
    let mut timelines = call(TimelineLimits::default(), 3);
    for _ in 0..100 {
        for number in 1..=3 {
            timelines.report(at(4_000), id(number), observed(stats(3_000))).unwrap();
        }
    }
    let (mut after, mut numbers, mut pages) = (0, Vec::new(), 0);
    loop {
        pages += 1;
        let page = timelines.page(at(10_000 + pages * 1_000), id(1), after).unwrap();
        assert!(serde_json::to_string(&page.events).unwrap().len() <= 12 * 1_024);
        let named: Vec<_> = page.members.iter().map(|member| member.id).collect();
        assert!(page.events.iter().all(|event| named.contains(&event.member)));
        numbers.extend(page.events.iter().map(|event| event.n));
        after = page.next;
        if !page.more {
            break;
        }
    }
    assert_eq!(numbers, (1..=306).collect::<Vec<u64>>());
    assert!(pages > 3);
}

#[test]
fn who_asks_too_often_has_to_wait() {
    let mut timelines = call(TimelineLimits::default(), 1);
    for _ in 0..ANSWERS_AT_ONCE {
        assert!(timelines.page(at(2_000), id(1), 0).is_ok());
    }
    assert_eq!(timelines.page(at(2_000), id(1), 0), Err(ANSWER));
    assert!(timelines.page(at(2_200), id(1), 0).is_ok());
}

#[test]
fn members_that_left_make_room_for_newcomers() {
    let mut timelines = call(TimelineLimits { members: 2, ..TimelineLimits::default() }, 2);
    timelines.joined(at(3_000), &room(), participant(3));
    assert_eq!(timelines.calls(at(3_000))[0].dropped, 1);
    timelines.left(at(4_000), &room(), id(1), "left", false);
    timelines.joined(at(5_000), &room(), participant(4));
    let call = timelines.call(at(5_000), &room()).unwrap();
    let members: Vec<_> = call.members.iter().map(|member| member.member.id).collect();
    assert_eq!(members, [id(2), id(4)]);
}

#[test]
fn a_report_of_the_past_is_put_there_but_not_before_its_member() {
    let mut timelines = call(TimelineLimits::default(), 1);
    for ago in [0, 4_000, 3_600_000] {
        let event = ReportEvent { peer: None, ago, what: connected() };
        timelines.report(at(9_000), id(1), vec![event]).unwrap();
    }
    let page = timelines.page(at(9_000), id(1), 2).unwrap();
    let times: Vec<_> = page.events.iter().map(|event| event.at - BEGAN as f64).collect();
    assert_eq!(times, [9.0, 5.0, 1.0]);
    assert!(page.events.iter().all(|event| event.source == Source::Page));
}

proptest! {
    /// Many clients exceed no limit, and the bytes are those of what is there.
    #[test]
    fn threat_55_whatever_happens_the_store_is_bounded(seed: u64) {
        let limits = TimelineLimits { members: 3, events: 6, bytes: 40_000, keep: Duration::from_secs(20) };
        let mut timelines = Timelines::new(limits);
        let random = Prng::new(&[7; 32], &seed.to_string());
        let mut present: BTreeMap<usize, BTreeMap<MemberId, Arc<str>>> = BTreeMap::new();
        let (mut now, mut next) = (0, 0_u64);
        for _ in 0..400 {
            now += random.below(2_000) as u64;
            let place = random.below(4);
            let name = RoomName::new(format!("room {place}")).unwrap();
            let members = present.entry(place).or_default();
            let any = members.iter().nth(random.below(members.len().max(1))).map(|(id, user)| (*id, user.clone()));
            match (random.below(8), any) {
                (0 | 1, _) | (_, None) => {
                    next += 1;
                    let mut bytes = [0; 16];
                    bytes[..8].copy_from_slice(&next.to_be_bytes());
                    let network = ClientNetwork::of([[192, 0, 2, 1], [192, 0, 2, 2], [127, 0, 0, 1]][random.below(3)].into());
                    let user: Arc<str> = next.to_string().into();
                    let participant = Participant { id: MemberId(bytes), name: None, user: user.clone(), network, viewer: random.below(2) == 0 };
                    members.insert(MemberId(bytes), user);
                    timelines.joined(at(now), &name, participant);
                }
                (2, Some((id, _))) => {
                    members.remove(&id);
                    timelines.left(at(now), &name, id, "left", members.is_empty());
                }
                (3, Some((id, _))) => timelines.consent(at(now), id, random.below(3) > 0),
                (4, Some((_, user))) => timelines.relay(at(now), &Event::AllocationBegan(facts(&user))),
                (5, Some((_, user))) => {
                    let usage = Usage { drops: vec![("a", 1), ("b", 2)], ..Usage::default() };
                    timelines.relay(at(now), &Event::AllocationEnded { facts: facts(&user), usage, reason: EndReason::Expired });
                }
                (_, Some((id, _))) => {
                    let what = if random.below(2) == 0 { connected() } else { stats(0) };
                    let _ = timelines.report(at(now), id, observed(what));
                }
            }
            let charged: usize = timelines.calls.values().flat_map(|call| &call.members).map(|member| member.bytes).sum();
            prop_assert_eq!(timelines.bytes(), charged);
            prop_assert!(charged <= limits.bytes);
            let recorded: usize = timelines.calls.values().map(|call| call.members.len()).sum();
            prop_assert_eq!((timelines.members.len(), timelines.users.len()), (recorded, recorded));
            for call in timelines.calls.values() {
                prop_assert!(call.members.len() <= limits.members);
                prop_assert!(call.members.iter().all(|member| member.events.len() <= limits.events));
            }
            prop_assert_eq!(timelines.calls.len(), timelines.rooms.len() + timelines.ended.len());
        }
        timelines.expire(at(now + 20_000).mono);
        prop_assert!(timelines.ended.is_empty());
    }
}
