mod hosts;

use super::*;

const START: Duration = Duration::from_secs(1000);
const WINDOW: Duration = Duration::from_secs(30);

fn id(n: u8) -> MemberId {
    MemberId([n; 16])
}

fn room(name: &str) -> RoomName {
    RoomName::new(name.to_owned()).unwrap()
}

/// The network of the proxy on this machine, which may have all.
fn proxy() -> ClientNetwork {
    ClientNetwork::of([127, 0, 0, 1].into())
}

fn network(n: u8) -> ClientNetwork {
    ClientNetwork::of([192, 0, 2, n].into())
}

fn limited(rooms: usize, members: usize, kept: usize, kept_in_all: usize) -> Rooms {
    Rooms::new(RoomLimits { rooms, members, viewers: 3, kept, kept_in_all }, HostRule::Named)
}

/// Room for anything.
fn rooms() -> Rooms {
    limited(9, 9, 1 << 20, 1 << 20)
}

fn newcomer(id: MemberId, network: ClientNetwork) -> Newcomer {
    Newcomer {
        id,
        name: None,
        network,
        role: Role::Member,
        max_members: None,
        passes_lock: false,
        user: "user".into(),
        region: None,
        home: None,
        came: 0,
    }
}

fn join(rooms: &mut Rooms, n: u8, name: &str) -> Result<Entered, ErrorCode> {
    rooms.join(room(name), newcomer(id(n), proxy()))
}

fn data(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

/// Says something; the `seq` that it has.
fn say(rooms: &mut Rooms, from: u8, to: u8) -> u64 {
    let Delivery { to: receiver, text } = rooms.signal(id(from), id(to), data("1"), true).unwrap();
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
    let newcomer = Newcomer { name: ann.clone(), ..newcomer(id(1), proxy()) };
    let Entered { peers, told, .. } = rooms.join(room("r"), newcomer).unwrap();
    assert!(peers.is_empty() && told.is_empty());
    let Entered { peers, told, .. } = join(&mut rooms, 2, "r").unwrap();
    assert_eq!(peers, [Peer { id: id(1), name: ann, polite: true, host: false, viewer: false }]);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].to, id(1));
    let bob = Peer { id: id(2), name: None, polite: false, host: false, viewer: false };
    let came = ServerMessage::PeerJoined(bob);
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
    let mut error = |from, to| rooms.signal(id(from), id(to), data("1"), true).expect_err("refused");
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
    let modest = Newcomer { max_members: Some(1), ..newcomer(id(2), proxy()) };
    assert_eq!(rooms.join(room("r"), modest).expect_err("its own limit"), ErrorCode::RoomFull);
    join(&mut rooms, 2, "r").unwrap();
    assert_eq!(join(&mut rooms, 3, "r").expect_err("members"), ErrorCode::RoomFull);
    assert_eq!(join(&mut rooms, 2, "r").expect_err("twice"), ErrorCode::AlreadyJoined);
    assert_eq!(rooms.leave(id(1)).len(), 1);
    assert_eq!(rooms.leave(id(1)).len(), 0);
    // An absent member keeps its place.
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

    let resumed = rooms.resume(START, id(2), &room("r"), Some(1), proxy()).unwrap();
    let roles: Vec<_> = resumed.peers.iter().map(|peer| (peer.id, peer.polite)).collect();
    assert_eq!(roles, [(id(1), true), (id(4), false)], "in order of arrival, which decides as before");
    assert_eq!(missed(Some(resumed)), Some(vec![2, 3, 4, 5]));
    assert_eq!((rooms.absent(), say(&mut rooms, 1, 2)), (0, 6));

    // What the client had not said that it has was still kept.
    rooms.lose(id(2), START + WINDOW, 6);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(4), proxy())), Some(vec![5, 6]));
    // Where it says nothing, what was written counts.
    rooms.lose(id(2), START + WINDOW, 5);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), None, proxy())), Some(vec![6]));
}

#[test]
fn nobody_resumes_what_is_not_there() {
    let mut rooms = rooms();
    join(&mut rooms, 1, "r").unwrap();
    join(&mut rooms, 2, "r").unwrap();
    say(&mut rooms, 1, 2);
    let resume = |rooms: &mut Rooms, now, n, name: &str, seq| {
        missed(rooms.resume(now, id(n), &room(name), Some(seq), proxy()))
    };
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
    rooms.resume(START, id(2), &room("r"), None, proxy()).unwrap();
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
    assert_eq!(rooms.kept(), 3 * one);
    rooms.lose(id(2), START + WINDOW, 5);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(1), proxy())), None, "2 is kept no longer");
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(2), proxy())), Some(vec![3, 4, 5]));

    // All together have a bound, too: one who has nothing kept by then gets nothing kept.
    say(&mut rooms, 1, 3);
    say(&mut rooms, 1, 3);
    assert_eq!(rooms.kept(), 4 * one);
    rooms.confirm(id(2), 4);
    assert_eq!(rooms.kept(), 2 * one);
    rooms.confirm(id(2), u64::MAX);
    rooms.confirm(id(9), 1);
    assert_eq!(rooms.kept(), one);
    for n in 1..=3 {
        rooms.leave(id(n));
    }
    assert_eq!((rooms.kept(), rooms.rooms(), rooms.members()), (0, 0, 0));
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
    // Together they would have more than there is, so the one who had most has lost it.
    assert!(rooms.kept() <= 2 * one, "{}", rooms.kept());
    rooms.lose(id(3), START + WINDOW, 1);
    assert_eq!(missed(rooms.resume(START, id(3), &room("r"), Some(1), proxy())), Some(vec![2]));
}

#[test]
fn threat_24_nobody_can_make_an_absent_member_lose_what_it_missed() {
    let one = size_of_kept(&ServerMessage::Signal { from: id(1), seq: 1, data: data("1") }.text());
    let mut rooms = limited(9, 9, 3 * one, 100 * one);
    join(&mut rooms, 1, "r").unwrap();
    join(&mut rooms, 2, "r").unwrap();
    rooms.lose(id(2), START + WINDOW, 0);
    let mut say = || rooms.signal(id(1), id(2), data("1"), false).map(|delivery| seq(&delivery.text));
    assert_eq!([say(), say(), say()], [Ok(1), Ok(2), Ok(3)]);
    assert_eq!([say(), say()], [Err(ErrorCode::RateLimited); 2]);
    assert_eq!(missed(rooms.resume(START, id(2), &room("r"), Some(0), proxy())), Some(vec![1, 2, 3]));
    rooms.confirm(id(2), 1);
    assert_eq!(rooms.signal(id(1), id(2), data("1"), false).map(|delivery| seq(&delivery.text)), Ok(4));
}

#[test]
fn threat_31_one_network_takes_neither_all_rooms_nor_what_others_are_in() {
    let mut rooms = limited(1_000, 9, 1 << 20, 1 << 20);
    let mut next = 0_u128;
    let mut enter = |rooms: &mut Rooms, name: &str, network| {
        next += 1;
        let id = MemberId(next.to_be_bytes());
        rooms.join(room(name), newcomer(id, network)).map(|_| id)
    };
    let mut taken = 0;
    for n in 1..=10 {
        let names = (0..1_024).map(|room| format!("{n} {room}"));
        taken += names.filter(|name| enter(&mut rooms, name, network(n)).is_ok()).count();
    }
    assert_eq!(enter(&mut rooms, "more", network(1)), Err(ErrorCode::TooManyRooms));
    assert_eq!(rooms.shares.held_by(network(1)), 125, "an eighth");
    assert!((900..1_000).contains(&taken), "{taken}");
    // A network that holds little still gets a room, and everyone may enter an existing one.
    let ann = enter(&mut rooms, "tea", network(200)).unwrap();
    let eve = enter(&mut rooms, "tea", network(1)).unwrap();
    // The room goes on when its eldest leaves, at the charge of the next one, who is not turned out
    // for it.
    rooms.leave(ann);
    assert_eq!([1, 200].map(|n| rooms.shares.held_by(network(n))), [126, 0]);
    assert!(rooms.place(eve).is_some());
    rooms.lose(eve, START + WINDOW, 0);
    rooms.resume(START, eve, &room("tea"), None, network(201)).unwrap();
    assert_eq!([1, 201].map(|n| rooms.shares.held_by(network(n))), [125, 1], "it has moved");
    rooms.leave(eve);
    assert_eq!(rooms.shares.held(), taken);
}

#[test]
fn threat_31_what_strangers_have_kept_leaves_room_for_others() {
    let bulk = format!("{:?}", "x".repeat(10_000));
    let mut rooms = limited(1_000, 9, 64_000, 1_000_000);
    let mut next = 0_u128;
    let mut pair = |rooms: &mut Rooms, network| {
        let ids = [next + 1, next + 2].map(|n| MemberId(n.to_be_bytes()));
        next += 2;
        for id in ids {
            rooms.join(room(&next.to_string()), newcomer(id, network)).unwrap();
        }
        rooms.lose(ids[1], START + WINDOW, 0);
        ids
    };
    // Ten networks have as much kept for absent members as they get.
    for n in 1..=10 {
        for _ in 0..9 {
            let [from, to] = pair(&mut rooms, network(n));
            while rooms.signal(from, to, data(&bulk), false).is_ok() {}
        }
        assert!(rooms.kept.held_by(network(n)) <= 125_000, "an eighth");
    }
    assert!((700_000..=900_000).contains(&rooms.kept()), "{}", rooms.kept());
    let [ann, bob] = pair(&mut rooms, network(200));
    let offer = format!("{:?}", "x".repeat(700));
    assert!(rooms.signal(ann, bob, data(&offer), false).is_ok());
    assert_eq!(
        rooms
            .resume(START, bob, rooms.place(bob).cloned().as_ref().unwrap(), Some(0), network(200))
            .map(|found| found.missed.len()),
        Some(1)
    );
}

#[test]
fn threat_29_what_is_kept_in_sum_is_bounded_and_the_biggest_holders_pay() {
    let one = size_of_kept(&ServerMessage::Signal { from: id(1), seq: 1, data: data("1") }.text());
    // Everyone may have a little whatever others have: here, what four signals take.
    let mut rooms = limited(100, 99, SHARE * 4 * one, 100 * one);
    for n in 1..=90 {
        let of = if n <= 80 { network(1) } else { network(n) };
        rooms.join(room("r"), newcomer(id(n), of)).unwrap();
        rooms.lose(id(n), START + WINDOW, 0);
    }
    for n in (81..=90).chain(2..=80) {
        for _ in 0..2 {
            rooms.signal(id(1), id(n), data("1"), false).unwrap();
            assert!(rooms.kept() <= 100 * one);
        }
    }
    let mut missed = |n, of| missed(rooms.resume(START, id(n), &room("r"), Some(0), of));
    // Who lost something is told so, and nobody else has.
    assert!((81..=90).all(|n| missed(n, network(n)) == Some(vec![1, 2])));
    let lost = (2..=80).filter(|n| missed(*n, network(1)).is_none()).count();
    assert!((1..79).contains(&lost), "{lost}");
}
