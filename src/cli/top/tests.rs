use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::answers::Status;
use super::draw::{Theme, draw};
use super::screen::{Answer, Screen, Wish};
use super::views::{Content, View};
use super::*;
use crate::cli::running_server::Unanswered;

const WITHOUT_COLOURS: Theme = Theme { has_colours: false };

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn screen() -> Screen {
    Screen::new("unix:/run/byway/admin.sock".to_owned(), true)
}

fn status(bytes: u64) -> Status {
    let json = serde_json::json!({
        "version": "0.1.0", "pid": 42, "phase": "running", "began": 1_763_640_000, "allocations": 3, "rooms": 1,
        "members": 2, "relayed": {"to_peer": {"packets": 1, "bytes": bytes}, "to_client": {"packets": 1, "bytes": bytes * 2}},
    });
    serde_json::from_value(json).unwrap()
}

fn content<T: serde::de::DeserializeOwned>(
    make: fn(T) -> Content,
    json: &str,
) -> Result<Content, Unanswered> {
    Ok(make(serde_json::from_str(json).unwrap()))
}

fn allocations(bytes: u64) -> Result<Content, Unanswered> {
    let json = format!(
        r#"{{"total": 3, "allocations": [
        {{"id": "0-1-7", "user": "tea.ann", "transport": "udp", "age": 75, "expires_in": 525,
          "to_peer": {{"packets": 10, "bytes": {bytes}}}, "to_client": {{"packets": 20, "bytes": 2000}},
          "drops": {{"no_permission": 4}}, "refused": {{"403": 2, "508": 1}}, "permissions": 1, "channels": 2}},
        {{"id": "1-0-2", "user": "tea.bob", "transport": "tls", "age": 9000, "expires_in": 30,
          "to_client": {{"packets": 1, "bytes": {}}}, "client": "192.0.2.7:40000", "relayed": ["198.51.100.1:50000"]}},
        {{"id": "0-2-9", "user": "camera", "transport": "tcp", "age": 3}}]}}"#,
        bytes * 3
    );
    content(Content::Allocations, &json)
}

fn show(screen: &mut Screen, now: u64, view: View, content: Result<Content, Unanswered>) {
    screen.answered(at(now), Ok(Answer { view, status: status(now * 1_000), content }));
}

fn press(screen: &mut Screen, code: KeyCode) -> Option<Wish> {
    screen.on(&Event::Key(KeyEvent::new(code, KeyModifiers::NONE)))
}

fn type_in(screen: &mut Screen, text: &str) {
    for c in text.chars() {
        press(screen, KeyCode::Char(c));
    }
}

/// Lines of the screen without the spaces at their ends.
fn drawn(screen: &Screen, width: u16, height: u16) -> Vec<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen, at(20), WITHOUT_COLOURS)).unwrap();
    let buffer = terminal.backend().buffer();
    for cell in buffer.content() {
        assert!(!cell.symbol().contains(char::is_control), "{cell:?}");
        assert_eq!((cell.fg, cell.bg), (Color::Reset, Color::Reset), "NO_COLOR");
    }
    let row = |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
    (0..height).map(|y| row(y).trim_end().to_owned()).collect()
}

#[test]
fn allocations_are_shown_with_their_rates() {
    let mut screen = screen();
    assert_eq!(drawn(&screen, 60, 6)[..2], ["byway", "asking unix:/run/byway/admin.sock"]);
    show(&mut screen, 10, View::Allocations, allocations(1_000));
    show(&mut screen, 12, View::Allocations, allocations(3_000));
    assert_eq!(
        drawn(&screen, 100, 14),
        [
            "byway 0.1.0  3 allocations · 1 room · 2 members · 8.0 kbit/s to peers · 16.0 kbit/s to clients",
            "ok  unix:/run/byway/admin.sock, process 42",
            "1 Allocations  2 Rooms  3 Users  4 Calls",
            "USER                   VIA      AGE      TO PEERS    TO CLIENT↓     BYTES   DROPS REFUSED ID",
            "tea.bob                tls   2h 30m       0 bit/s   24.0 kbit/s    9.0 kB       -       - 1-0-2",
            "tea.ann                udp   1m 15s    8.0 kbit/s       0 bit/s    5.0 kB       4       3 0-1-7",
            "camera                 tcp       3s       0 bit/s       0 bit/s       0 B       -       - 0-2-9",
            "",
            "",
            "",
            "to peers 3.0 kB in 10 packets · to client 2.0 kB in 20 packets · 1 permission, 2 channels, expires",
            "in 8m 45s · dropped: no_permission 4 · refused: 403 2, 508 1",
            "",
            "q quit  ? keys  / filter  s sort  r reverse  k remove",
        ]
    );
    press(&mut screen, KeyCode::Char('s'));
    press(&mut screen, KeyCode::Char('r'));
    press(&mut screen, KeyCode::Down);
    let lines = drawn(&screen, 44, 9);
    assert_eq!(
        lines[3..],
        [
            "USER                  TO PEERS     TO CLIENT",
            "camera                 0 bit/s       0 bit/s",
            "tea.ann             8.0 kbit/s       0 bit/s",
            "tea.bob                0 bit/s   24.0 kbit/s",
            "",
            "q quit  ? keys  / filter  s sort  r reverse",
        ]
        .map(|line| line.to_owned()),
        "narrow: the columns of the highest rank are left out"
    );
}

#[test]
fn a_node_of_a_cluster_shows_how_many_are_live_and_whether_its_broker_answers() {
    let mut screen = screen();
    let mut answer = Answer { view: View::Allocations, status: status(1_000), content: allocations(1_000) };
    let cluster = serde_json::json!({
        "node": "fra-1", "connected": true, "broker": "nats.test:4222",
        "nodes": [{"node": "nyc-1", "presence": "live"}, {"node": "ams-1", "presence": "dead"}],
    });
    answer.status.facts.cluster = serde_json::from_value(cluster).unwrap();
    screen.answered(at(10), Ok(answer.clone()));
    let lines = drawn(&screen, 120, 14);
    assert!(lines[0].ends_with(" · 2 nodes live"), "{lines:?}");
    assert!(lines[1].starts_with("ok "), "{lines:?}");
    answer.status.facts.cluster.as_mut().unwrap().connected = false;
    screen.answered(at(11), Ok(answer));
    assert_eq!(drawn(&screen, 120, 14)[1], "no broker: nats.test:4222 (byway explain bus-unreachable)");
}

#[test]
fn the_selection_follows_its_row_and_a_filter_keeps_what_matches() {
    let mut screen = screen();
    show(&mut screen, 10, View::Allocations, allocations(1_000));
    let selected = |screen: &Screen| screen.table.rows[screen.selected].cells[0].shown().to_owned();
    press(&mut screen, KeyCode::End);
    assert_eq!(selected(&screen), "camera");
    for _ in 0..4 {
        press(&mut screen, KeyCode::Char('S'));
    }
    assert_eq!((screen.order.column, selected(&screen)), (0, "camera".to_owned()));
    press(&mut screen, KeyCode::Char('/'));
    type_in(&mut screen, "TEAq");
    press(&mut screen, KeyCode::Backspace);
    assert!(drawn(&screen, 80, 8)[2].ends_with("/TEA_"));
    press(&mut screen, KeyCode::Enter);
    assert_eq!(screen.table.rows.len(), 2);
    show(&mut screen, 11, View::Allocations, allocations(1_000));
    assert_eq!(screen.table.rows.len(), 2, "the filter stays");
    press(&mut screen, KeyCode::Esc);
    assert_eq!(screen.table.rows.len(), 3);
    type_in(&mut screen, "/nobody");
    assert_eq!(drawn(&screen, 80, 8)[4], "no row has this text: Esc clears the filter");
    press(&mut screen, KeyCode::Esc);
    assert_eq!(press(&mut screen, KeyCode::Char('q')), Some(Wish::Quit));
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(screen.on(&Event::Key(interrupt)), Some(Wish::Quit));
}

#[test]
fn a_removal_waits_for_a_yes_and_is_about_what_was_selected() {
    let mut screen = screen();
    show(&mut screen, 10, View::Allocations, allocations(1_000));
    press(&mut screen, KeyCode::Char('k'));
    assert_eq!(
        drawn(&screen, 60, 11)[3..8],
        [
            "USER          ┌ Remove? ────────────────────┐IENT↓     BYTES",
            "tea.ann       │ allocation 0-1-7 of tea.ann │bit/s    3.0 kB",
            "tea.bob       │                             │bit/s    3.0 kB",
            "camera        │ y remove   n keep           │bit/s       0 B",
            "              └─────────────────────────────┘",
        ]
    );
    // The list changes beneath the question.
    show(
        &mut screen,
        11,
        View::Allocations,
        content(Content::Allocations, r#"{"allocations": [{"id": "9-9-9"}]}"#),
    );
    assert_eq!(press(&mut screen, KeyCode::Enter), None, "other keys are no answer");
    assert_eq!(press(&mut screen, KeyCode::Char('q')), None);
    let Some(Wish::Remove(removal)) = press(&mut screen, KeyCode::Char('y')) else { panic!("no removal") };
    assert_eq!((&*removal.path, &*removal.thing), ("/allocations/0-1-7", "allocation 0-1-7 of tea.ann"));
    screen.removed(&removal.thing, Ok(204));
    assert_eq!(drawn(&screen, 60, 8)[7], "removed: allocation 0-1-7 of tea.ann");
    screen.removed(&removal.thing, Ok(404));
    assert_eq!(screen.notice.as_deref(), Some("gone already: allocation 0-1-7 of tea.ann"));
    press(&mut screen, KeyCode::Char('k'));
    press(&mut screen, KeyCode::Esc);
    assert_eq!(press(&mut screen, KeyCode::Char('y')), None, "it was answered with no");

    let mut over_tcp = Screen::new("127.0.0.1:9090".to_owned(), false);
    show(&mut over_tcp, 10, View::Allocations, allocations(1_000));
    press(&mut over_tcp, KeyCode::Char('k'));
    assert!(over_tcp.question.is_none() && over_tcp.notice.unwrap().contains("admin.sock"));
}

#[test]
fn rooms_lead_to_members_and_to_the_timeline_of_a_call() {
    let mut screen = screen();
    assert_eq!(press(&mut screen, KeyCode::Char('2')), Some(Wish::Refresh));
    let json = r#"{"total": 1, "rooms": [{"room": "a/b", "locked": true, "members": [
        {"id": "AAAA", "name": "Ann", "host": true, "connected": true, "user": "a/b.AAAA", "allocations": 2},
        {"id": "BBBB", "name": null, "viewer": true}]}]}"#;
    show(&mut screen, 10, View::Rooms, content(Content::Rooms, json));
    assert_eq!(
        drawn(&screen, 80, 14)[2..],
        [
            "1 Allocations  2 Rooms  3 Users  4 Calls",
            "ROOM↑            NAME             ROLE   STATE     RELAYS ID",
            "a/b              Ann              host   connected      2 AAAA",
            "a/b                               viewer absent         - BBBB",
            "",
            "",
            "",
            "",
            "the room is locked · user a/b.AAAA",
            "",
            "",
            "q quit  ? keys  / filter  s sort  r reverse  k remove  Enter timeline",
        ]
    );
    press(&mut screen, KeyCode::Down);
    press(&mut screen, KeyCode::Char('k'));
    let Some(Wish::Remove(removal)) = press(&mut screen, KeyCode::Char('y')) else { panic!("no removal") };
    assert_eq!(removal.path, "/rooms/a%2Fb/members/BBBB");
    assert_eq!(press(&mut screen, KeyCode::Enter), Some(Wish::Refresh));
    let timeline = View::Timeline("a/b".to_owned());
    assert_eq!(screen.view, timeline);
    let json = r#"{"room": "a/b", "began": 100, "members": [{"id": "AAAA", "name": "Ann", "reports": true}, {"id": "BBBB", "reports": false}],
        "events": [{"at": 101.25, "member": "AAAA", "source": "page", "kind": "ice-state", "text": "ICE failed", "detail": {"pair": "relay"}},
                   {"at": 100.5, "member": null, "source": "server", "kind": "joined", "text": "Ann joined", "detail": null}]}"#;
    show(&mut screen, 11, timeline, content(Content::Timeline, json));
    press(&mut screen, KeyCode::Down);
    assert_eq!(
        drawn(&screen, 80, 14)[2..12],
        [
            "1 Allocations  2 Rooms  3 Users  4 Calls  Timeline of a/b",
            "EVENT                               TIME↑ MEMBER         FROM   KIND",
            "Ann joined                          +0.5s                server joined",
            "ICE failed                          +1.2s Ann            page   ice-state",
            "",
            "",
            "",
            "",
            "ICE failed · {\"pair\": \"relay\"} · without reports: BBBB",
            "",
        ]
    );
    assert_eq!(press(&mut screen, KeyCode::Esc), Some(Wish::Refresh));
    assert_eq!(screen.view, View::Calls);
    let json = r#"{"calls": [{"room": "tea", "began": 1763640000, "ended": null, "members": 2, "events": 7, "dropped": 0}]}"#;
    show(&mut screen, 12, View::Calls, content(Content::Calls, json));
    assert_eq!(
        drawn(&screen, 80, 8)[3..5],
        [
            "ROOM                        BEGAN↓               STATE   MEMBERS  EVENTS DROPPED",
            "tea                         2025-11-20 12:00:00  goes on       2       7       -",
        ]
    );
    assert_eq!(press(&mut screen, KeyCode::BackTab), Some(Wish::Refresh));
    let json = r#"{"since": 1763640000, "users": [{"user": "camera", "allocations": 1, "ended": 4, "to_peer": {"packets": 1, "bytes": 10}}]}"#;
    show(&mut screen, 13, View::Users, content(Content::Users, json));
    assert_eq!(
        drawn(&screen, 60, 8)[3..5],
        [
            "USER                      LIVE   ENDED   TO PEERS TO CLIENT↓",
            "camera                       1       4       10 B        0 B",
        ]
    );
}

#[test]
fn a_server_that_is_gone_is_named_and_what_was_known_stays() {
    let mut screen = screen();
    let gone = || Unanswered { cause: "no server listens there".to_owned(), remedy: "start the server" };
    screen.answered(at(1), Err(gone()));
    assert_eq!(
        drawn(&screen, 90, 8)[1],
        "unix:/run/byway/admin.sock: no server listens there: start the server. Asking again"
    );
    show(&mut screen, 10, View::Allocations, allocations(1_000));
    assert!(drawn(&screen, 90, 8)[1].starts_with("ok"));
    screen.answered(at(11), Err(gone()));
    let lines = drawn(&screen, 120, 8);
    assert!(lines[1].ends_with("Asking again (shown: 10s ago)"), "{lines:?}");
    assert!(lines[4].starts_with("tea.ann"), "{lines:?}");
    // It starts again and counts from zero.
    screen
        .answered(at(12), Ok(Answer { view: View::Allocations, status: status(0), content: allocations(0) }));
    assert!(drawn(&screen, 120, 8)[0].contains("0 bit/s to peers"));
    let degraded = Status { degraded: vec!["no certificate".into(), "b".into()], ..status(0) };
    screen.answered(at(13), Ok(Answer { view: View::Allocations, status: degraded, content: Err(gone()) }));
    let lines = drawn(&screen, 80, 8);
    assert_eq!(lines[1], "degraded: no certificate (and 1 more: byway status)");
    assert_eq!(lines[4], "no server listens there: start the server");
}

#[test]
fn threat_59_hostile_names_and_numbers_on_terminals_of_every_size() {
    let hostile = "\\u001b]0;owned\\u0007\\u009b31m\\u202e\\u200b\\r\\n".to_owned() + &"W\u{301}".repeat(300);
    let json = format!(
        r#"{{"total": 18446744073709551615, "allocations": [{{"id": "{hostile}", "user": "{hostile}", "transport": "{hostile}",
        "age": 18446744073709551615, "expires_in": 18446744073709551615, "permissions": 18446744073709551615,
        "to_peer": {{"packets": 18446744073709551615, "bytes": 18446744073709551615}},
        "to_client": {{"packets": 18446744073709551615, "bytes": 18446744073709551615}},
        "drops": {{"a": 18446744073709551615, "b": 18446744073709551615}}, "client": "{hostile}", "relayed": ["{hostile}"]}}]}}"#
    );
    let rooms = format!(
        r#"{{"rooms": [{{"room": "{hostile}", "members": [{{"id": "{hostile}", "name": "{hostile}", "user": "{hostile}"}}]}}]}}"#
    );
    let timeline = format!(
        r#"{{"began": -1e308, "members": [{{"id": "{hostile}", "name": "{hostile}"}}], "events": [{{"at": 1e308, "member": "{hostile}",
        "source": "{hostile}", "kind": "{hostile}", "text": "{hostile}", "detail": {{"{hostile}": 1}}}}]}}"#
    );
    let calls = format!(r#"{{"calls": [{{"room": "{hostile}", "began": 1e308, "ended": -1e308}}]}}"#);
    let contents = [
        (View::Allocations, content(Content::Allocations, &json)),
        (View::Rooms, content(Content::Rooms, &rooms)),
        (View::Timeline("\u{1b}[2J".to_owned()), content(Content::Timeline, &timeline)),
        (View::Calls, content(Content::Calls, &calls)),
        (View::Users, Err(Unanswered { cause: "\u{1b}[2J".to_owned(), remedy: "" })),
    ];
    for (view, content) in contents {
        let mut screen = Screen::new("\u{1b}[2J".to_owned(), true);
        screen.view = view.clone();
        screen.order = view.usual_order();
        let status =
            Status { version: "\u{1b}[2J".to_owned(), phase: "\u{9b}".to_owned(), ..status(u64::MAX / 4) };
        screen.answered(at(1), Ok(Answer { view: view.clone(), status, content: content.clone() }));
        show(&mut screen, 2, view, content);
        for typed in [None, Some('k'), Some('n'), Some('?')] {
            if let Some(key) = typed {
                press(&mut screen, KeyCode::Char(key));
            }
            for (width, height) in [(1, 1), (2, 5), (7, 3), (30, 6), (80, 24), (500, 3)] {
                drawn(&screen, width, height);
            }
        }
    }
}
