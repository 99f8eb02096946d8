use super::*;

const START: Duration = Duration::from_secs(1000);
const WINDOW: Duration = Duration::from_secs(30);

fn id(n: u8) -> MemberId {
    MemberId([n; 16])
}

fn room(name: &str) -> RoomName {
    RoomName::new(name.to_owned()).unwrap()
}

fn limited(rooms: usize, members: usize, kept: usize, kept_in_all: usize) -> Rooms {
    Rooms::new(Limits { rooms, members, kept, kept_in_all })
}

/// Room for anything.
fn rooms() -> Rooms {
    limited(9, 9, 1 << 20, 1 << 20)
}

fn join(rooms: &mut Rooms, n: u8, name: &str) -> Result<(Vec<Peer>, Vec<Delivery>), ErrorCode> {
    rooms.join(id(n), room(name), None, usize::MAX)
}

fn data(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Says something; the `seq` that it has.
fn say(rooms: &mut Rooms, from: u8, to: u8) -> u64 {
    let Delivery { to: receiver, text } = rooms.signal(id(from), id(to), data("1")).unwrap();
    assert_eq!(receiver, id(to));
    seq(&text)
}

fn seq(text: &Text) -> u64 {
    let super::super::protocol::Topic::Signal(seq) = text.topic else { panic!("{text:?}") };
    seq
}

/// The numbers of what was missed.
fn missed(resumed: Option<Resumed>) -> Option<Vec<u64>> {
    resumed.map(|resumed| resumed.missed.iter().map(seq).collect())
}

#[test]
fn the_one_who_comes_later_is_polite() {
    let mut rooms = rooms();
    let ann = DisplayName::new("Ann".to_owned());
    let (peers, told) = rooms.join(id(1), room("r"), ann.clone(), 9).unwrap();
    assert!(peers.is_empty() && told.is_empty());
    let (peers, told) = join(&mut rooms, 2, "r").unwrap();
    assert_eq!(peers, [Peer { id: id(1), name: ann, polite: true }]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to, id(1));
    let came = ServerMessage::PeerJoined(Peer { id: id(2), name: None, polite: false });
    assert_eq!(told[0].text, came.text());
}

#[test]
fn signals_are_counted_by_receiver_and_stay_in_the_room() {
    let mut rooms = rooms();
    for n in 1..=3 {
        join(&mut rooms, n, "r").unwrap();
    }
    join(&mut rooms, 4, "s").unwrap();
    assert_eq!([say(&mut rooms, 1, 2), say(&mut rooms, 3, 2), say(&mut rooms, 1, 3)], [1, 2, 1]);
    let mut error = |from, to| rooms.signal(id(from), id(to), data("1")).expect_err("refused");
    assert_eq!(error(1, 4), ErrorCode::NoSuchPeer);
    assert_eq!(error(1, 9), ErrorCode::NoSuchPeer);
    assert_eq!(error(1, 1), ErrorCode::NoSuchPeer);
    assert_eq!(error(9, 1), ErrorCode::NotJoined);
}

#[test]
fn limits_hold_and_free_places_can_be_taken() {
    let mut rooms = limited(1, 2, 1 << 20, 1 << 20);
    join(&mut rooms, 1, "r").unwrap();
    assert_eq!(join(&mut rooms, 2, "s").expect_err("rooms"), ErrorCode::TooManyRooms);
    assert_eq!(rooms.join(id(2), room("r"), None, 1).expect_err("its own limit"), ErrorCode::RoomFull);
    join(&mut rooms, 2, "r").unwrap();
    assert_eq!(rooms.join(id(3), room("r"), None, 9).expect_err("members"), ErrorCode::RoomFull);
    assert_eq!(join(&mut rooms, 2, "r").expect_err("twice"), ErrorCode::AlreadyJoined);
    assert_eq!(rooms.leave(id(1)).len(), 1);
    assert_eq!(rooms.leave(id(1)).len(), 0);
    // Whoever is only absent has a place.
    rooms.lose(id(2), START + WINDOW, 0);
    assert_eq!(join(&mut rooms, 3, "s").expect_err("rooms"), ErrorCode::TooManyRooms);
    rooms.leave(id(2));
    join(&mut rooms, 3, "s").unwrap();
}

#[test]
fn who_is_back_finds_what_it_missed_once_and_in_order() {
    let mut rooms = rooms();
    for n in 1..=3 {
        join(&mut rooms, n, "r").unwrap();
    }
    for _ in 0..3 {
        say(&mut rooms, 1, 2);
    }
    rooms.lose(id(2), START + WINDOW, 2);
    say(&mut rooms, 3, 2);
    rooms.leave(id(3));
    join(&mut rooms, 4, "r").unwrap();
    say(&mut rooms, 4, 2);
    assert_eq!((rooms.absent(), rooms.members()), (1, 3));

    let resumed = rooms.resume(START, id(2), &room("r"), Some(1)).unwrap();
    let roles: Vec<_> = resumed.peers.iter().map(|peer| (peer.id, peer.polite)).collect();
    assert_eq!(roles, [(id(1), true), (id(4), false)], "in order of arrival, which decides as before");
    assert_eq!(missed(Some(resumed)), Some(vec![2, 3, 4, 5]));
    assert_eq!((rooms.absent(), say(&mut rooms, 1, 2)), (0, 6));

    // What the client had not said that it has was still kept.
    rooms.lose(id(2), START + WINDOW, 6);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(4))), Some(vec![5, 6]));
    // Where it says nothing, what was written counts.
    rooms.lose(id(2), START + WINDOW, 5);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), None)), Some(vec![6]));
}

#[test]
fn nobody_resumes_what_is_not_there() {
    let mut rooms = rooms();
    join(&mut rooms, 1, "r").unwrap();
    join(&mut rooms, 2, "r").unwrap();
    say(&mut rooms, 1, 2);
    let resume =
        |rooms: &mut Rooms, now, n, name: &str, seq| missed(rooms.resume(now, id(n), &room(name), Some(seq)));
    assert_eq!(resume(&mut rooms, START, 2, "r", 0), None, "it is not absent");
    rooms.lose(id(2), START + WINDOW, 1);
    assert_eq!(resume(&mut rooms, START, 3, "r", 0), None, "nobody");
    assert_eq!(resume(&mut rooms, START, 2, "s", 0), None, "another room");
    assert_eq!(resume(&mut rooms, START, 2, "r", 2), None, "what was never said");
    assert_eq!(resume(&mut rooms, START + WINDOW, 2, "r", 0), None, "too late, though the timer is later");
    let last = START + WINDOW - Duration::from_nanos(1);
    assert_eq!(resume(&mut rooms, last, 2, "r", 0), Some(vec![1]));
    rooms.leave(id(2));
    assert_eq!(resume(&mut rooms, START, 2, "r", 0), None, "it has left");
}

#[test]
fn the_absent_are_given_up_in_order() {
    let mut rooms = rooms();
    for n in 1..=3 {
        join(&mut rooms, n, "r").unwrap();
        rooms.lose(id(n), START + WINDOW * u32::from(4 - n), 0);
    }
    // Lost twice is lost once, and earlier news counts.
    rooms.lose(id(3), START + WINDOW * 9, 0);
    assert_eq!(rooms.next_deadline(), Some(START + WINDOW));
    assert_eq!(rooms.overdue(START + WINDOW - Duration::from_nanos(1)), None);
    assert_eq!(rooms.overdue(START + WINDOW), Some(id(3)));
    rooms.leave(id(3));
    rooms.resume(START, id(2), &room("r"), None).unwrap();
    assert_eq!(rooms.next_deadline(), Some(START + WINDOW * 3));
    rooms.leave(id(1));
    assert_eq!((rooms.next_deadline(), rooms.absent()), (None, 0));
}

#[test]
fn what_is_kept_is_bounded_and_a_gap_is_never_taken_for_the_whole() {
    let one = size_of_kept(&ServerMessage::Signal { from: id(1), seq: 1, data: data("1") }.text());
    let mut rooms = limited(9, 9, 3 * one, 4 * one);
    for n in 1..=3 {
        join(&mut rooms, n, "r").unwrap();
    }
    for _ in 0..5 {
        say(&mut rooms, 1, 2);
    }
    assert_eq!(rooms.kept, 3 * one);
    rooms.lose(id(2), START + WINDOW, 5);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(1))), None, "2 is kept no longer");
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(2))), Some(vec![3, 4, 5]));

    // All together have a bound, too: one who has nothing kept by then gets nothing kept.
    say(&mut rooms, 1, 3);
    say(&mut rooms, 1, 3);
    assert_eq!(rooms.kept, 4 * one);
    rooms.confirm(id(2), 4);
    assert_eq!(rooms.kept, 2 * one);
    rooms.confirm(id(2), u64::MAX);
    rooms.confirm(id(9), 1);
    assert_eq!(rooms.kept, one);
    for n in 1..=3 {
        rooms.leave(id(n));
    }
    assert_eq!((rooms.kept, rooms.rooms(), rooms.members()), (0, 0, 0));
}

#[test]
fn threat_20_who_has_much_kept_leaves_a_little_to_everyone() {
    let one = size_of_kept(&ServerMessage::Signal { from: id(1), seq: 10, data: data("1") }.text());
    let mut rooms = limited(9, 9, SHARE * one, SHARE * one);
    for n in 1..=3 {
        join(&mut rooms, n, "r").unwrap();
    }
    for _ in 0..SHARE {
        say(&mut rooms, 1, 2);
    }
    say(&mut rooms, 1, 3);
    say(&mut rooms, 1, 3);
    assert!(rooms.kept > SHARE * one);
    rooms.lose(id(3), START + WINDOW, 1);
    assert_eq!(missed(rooms.resume(START, id(3), &room("r"), Some(1))), Some(vec![2]));
}
