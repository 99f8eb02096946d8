//! Hosts, locks and viewers.

use super::*;

/// Room for anything, with the host that is there longest.
fn open() -> Rooms {
    let limits = RoomLimits { rooms: 9, members: 3, viewers: 2, kept: 1 << 20, kept_in_all: 1 << 20 };
    Rooms::new(limits, HostRule::Longest)
}

/// The same, with hosts by their tokens.
fn named() -> Rooms {
    Rooms { rule: HostRule::Named, ..open() }
}

fn enter(rooms: &mut Rooms, n: u8, role: Role) -> Result<Entered, ErrorCode> {
    rooms.join(room("r"), Newcomer { role, ..newcomer(id(n), proxy()) })
}

/// Joins members and viewers that nothing keeps out.
fn enter_all(rooms: &mut Rooms, all: &[(u8, Role)]) {
    for (n, role) in all {
        enter(rooms, *n, *role).unwrap();
    }
}

/// Receivers and texts of notices, in order.
fn said(told: &[Delivery]) -> Vec<(MemberId, &str)> {
    told.iter().map(|delivery| (delivery.to, &*delivery.text.json)).collect()
}

/// `message` to each of these.
fn to_each<'a>(all: &[u8], message: &'a str) -> Vec<(MemberId, &'a str)> {
    all.iter().map(|n| (id(*n), message)).collect()
}

fn host_message(n: u8) -> String {
    ServerMessage::Host { id: id(n) }.to_json()
}

fn left(n: u8) -> String {
    ServerMessage::PeerLeft { id: id(n) }.to_json()
}

fn locked(locked: bool) -> String {
    ServerMessage::Locked { locked }.to_json()
}

/// Ids, with whether each is a host and a viewer.
fn seen(peers: &[Peer]) -> Vec<(MemberId, bool, bool)> {
    peers.iter().map(|peer| (peer.id, peer.host, peer.viewer)).collect()
}

#[test]
fn the_member_that_is_there_longest_is_the_host_of_an_open_room() {
    let mut rooms = open();
    assert_eq!(
        enter(&mut rooms, 9, Role::Viewer).unwrap().standing,
        Standing { role: Role::Viewer, locked: false },
        "a viewer never is"
    );
    let entered = enter(&mut rooms, 1, Role::Member).unwrap();
    assert_eq!(entered.standing, Standing { role: Role::Host, locked: false });
    let came =
        ServerMessage::PeerJoined(Peer { id: id(1), name: None, polite: false, host: true, viewer: false });
    assert_eq!(said(&entered.told), [(id(9), &*came.to_json())]);
    enter_all(&mut rooms, &[(2, Role::Member), (8, Role::Viewer), (3, Role::Member)]);
    assert_eq!(rooms.viewers(), 2);

    let told = rooms.leave(id(1));
    assert_eq!(
        said(&told),
        [to_each(&[9, 2, 8, 3], &left(1)), to_each(&[9, 2, 8, 3], &host_message(2))].concat()
    );
    // The departure of another changes nothing.
    assert_eq!(said(&rooms.leave(id(9))), to_each(&[2, 3], &left(9)), "nor does a viewer hear of a viewer");
    // One that comes back is the last in the line.
    assert_eq!(enter(&mut rooms, 1, Role::Member).unwrap().standing.role, Role::Member);
    assert_eq!(
        said(&rooms.leave(id(2))),
        [to_each(&[8, 3, 1], &left(2)), to_each(&[8, 3, 1], &host_message(3))].concat()
    );
    rooms.leave(id(3));
    let told = rooms.leave(id(1));
    assert_eq!(said(&told), to_each(&[8], &left(1)), "a viewer does not succeed");
    assert_eq!(enter(&mut rooms, 4, Role::Member).unwrap().standing.role, Role::Host);
    rooms.leave(id(8));
    rooms.leave(id(4));
    assert_eq!((rooms.rooms(), rooms.members(), rooms.viewers()), (0, 0, 0));
}

#[test]
fn an_absent_host_stays_one_until_it_is_given_up() {
    let mut rooms = open();
    enter_all(&mut rooms, &[(1, Role::Member), (2, Role::Member)]);
    rooms.lose(id(1), START + WINDOW, 0);
    assert_eq!(enter(&mut rooms, 3, Role::Member).unwrap().standing.role, Role::Member);
    let resumed = rooms.resume(START, id(1), &room("r"), None, proxy()).unwrap();
    assert_eq!(resumed.standing.role, Role::Host);
    assert_eq!(seen(&resumed.peers), [(id(2), false, false), (id(3), false, false)]);
    // The next in line may be absent itself, and finds out when it is back.
    rooms.lose(id(2), START + WINDOW, 0);
    rooms.leave(id(1));
    let resumed = rooms.resume(START, id(2), &room("r"), None, proxy()).unwrap();
    assert_eq!(resumed.standing.role, Role::Host);
}

#[test]
fn with_tokens_hosts_are_named_and_nobody_succeeds_them() {
    let mut rooms = named();
    assert_eq!(enter(&mut rooms, 1, Role::Member).unwrap().standing.role, Role::Member);
    assert_eq!(rooms.lock(id(1), true).expect_err("it is none"), ErrorCode::NotHost);
    assert_eq!(enter(&mut rooms, 2, Role::Host).unwrap().standing.role, Role::Host);
    let entered = enter(&mut rooms, 3, Role::Host).unwrap();
    assert_eq!(seen(&entered.peers), [(id(1), false, false), (id(2), true, false)], "a room may have two");
    assert_eq!(said(&rooms.leave(id(2))), to_each(&[1, 3], &left(2)));
    assert_eq!(said(&rooms.leave(id(3))), to_each(&[1], &left(3)));
}

#[test]
fn viewers_see_members_and_are_seen_by_members_alone() {
    let mut rooms = open();
    enter_all(&mut rooms, &[(1, Role::Member), (8, Role::Viewer)]);
    let entered = enter(&mut rooms, 9, Role::Viewer).unwrap();
    assert_eq!(seen(&entered.peers), [(id(1), true, false)]);
    assert_eq!(entered.told.iter().map(|delivery| delivery.to).collect::<Vec<_>>(), [id(1)]);
    let entered = enter(&mut rooms, 2, Role::Member).unwrap();
    assert_eq!(seen(&entered.peers), [(id(1), true, false), (id(8), false, true), (id(9), false, true)]);
    assert_eq!(entered.told.len(), 3);

    assert_eq!([say(&mut rooms, 8, 1), say(&mut rooms, 1, 8), say(&mut rooms, 9, 1)], [1, 1, 2]);
    for (from, to) in [(8, 9), (9, 8), (8, 8)] {
        let error = rooms.signal(id(from), id(to), data("1"), true).expect_err("refused");
        assert_eq!(error, ErrorCode::NoSuchPeer, "{from} {to}");
    }
    assert_eq!(rooms.signal(id(9), id(8), data("1"), false).expect_err("refused"), ErrorCode::NoSuchPeer);

    // A viewer that comes back is one still, and sees no more than before.
    rooms.lose(id(8), START + WINDOW, 1);
    let resumed = rooms.resume(START, id(8), &room("r"), None, proxy()).unwrap();
    assert_eq!(resumed.standing.role, Role::Viewer);
    let roles: Vec<_> = resumed.peers.iter().map(|peer| (peer.id, peer.polite)).collect();
    assert_eq!(roles, [(id(1), true), (id(2), false)]);
    let listed: Vec<_> = rooms.members_of(&room("r")).map(|member| (member.id, member.role)).collect();
    let expected =
        [(1, Role::Host), (8, Role::Viewer), (9, Role::Viewer), (2, Role::Member)].map(|(n, r)| (id(n), r));
    assert_eq!(listed, expected);
}

#[test]
fn viewers_have_a_bound_of_their_own() {
    let mut rooms = open();
    enter_all(&mut rooms, &[(8, Role::Viewer), (9, Role::Viewer)]);
    assert_eq!(enter(&mut rooms, 7, Role::Viewer).expect_err("two are enough"), ErrorCode::ViewersFull);
    enter_all(&mut rooms, &[(1, Role::Member), (2, Role::Member), (3, Role::Member)]);
    assert_eq!(enter(&mut rooms, 4, Role::Member).expect_err("three are enough"), ErrorCode::RoomFull);
    assert_eq!(enter(&mut rooms, 4, Role::Host).expect_err("it counts, too"), ErrorCode::RoomFull);
    // An absent viewer keeps its place.
    rooms.lose(id(9), START + WINDOW, 0);
    assert_eq!(enter(&mut rooms, 7, Role::Viewer).expect_err("absent"), ErrorCode::ViewersFull);
    rooms.leave(id(9));
    enter(&mut rooms, 7, Role::Viewer).unwrap();

    // Without any place for them, no room begins with one either.
    let mut none = open();
    none.limits.viewers = 0;
    assert_eq!(enter(&mut none, 9, Role::Viewer).expect_err("no place"), ErrorCode::ViewersFull);
    assert_eq!((none.rooms(), none.shares.held()), (0, 0));
}

#[test]
fn the_limit_of_a_token_counts_viewers_too() {
    let mut rooms = named();
    let of_two = |n, role| Newcomer { role, max_members: Some(2), ..newcomer(id(n), proxy()) };
    rooms.join(room("r"), of_two(1, Role::Host)).unwrap();
    rooms.join(room("r"), of_two(2, Role::Member)).unwrap();
    assert_eq!(rooms.join(room("r"), of_two(9, Role::Viewer)).expect_err("a third"), ErrorCode::RoomFull);
    rooms.leave(id(2));
    rooms.join(room("r"), of_two(9, Role::Viewer)).unwrap();
    assert_eq!(rooms.join(room("r"), of_two(2, Role::Member)).expect_err("a third"), ErrorCode::RoomFull);
    assert_eq!(rooms.inviter(id(1)), Ok((&room("r"), Some(2))), "and goes on to guests");
}

#[test]
fn a_lock_keeps_newcomers_out_and_nobody_who_is_there() {
    let mut rooms = named();
    enter_all(&mut rooms, &[(1, Role::Host), (2, Role::Member), (9, Role::Viewer)]);
    assert_eq!(said(&rooms.lock(id(1), true).unwrap()), to_each(&[1, 2, 9], &locked(true)));
    assert_eq!(said(&rooms.lock(id(1), true).unwrap()), to_each(&[1], &locked(true)), "nothing new");
    assert_eq!((rooms.locked(), rooms.is_locked(&room("r"))), (1, true));
    for role in [Role::Member, Role::Host, Role::Viewer] {
        assert_eq!(enter(&mut rooms, 3, role).expect_err("locked"), ErrorCode::RoomLocked);
    }
    // Full comes second: a lock does not say how many are inside.
    rooms.limits.members = 2;
    assert_eq!(enter(&mut rooms, 3, Role::Member).expect_err("locked"), ErrorCode::RoomLocked);
    rooms.limits.members = 3;
    rooms.lose(id(2), START + WINDOW, 0);
    let resumed = rooms.resume(START, id(2), &room("r"), None, proxy()).unwrap();
    assert_eq!(resumed.standing, Standing { role: Role::Member, locked: true });
    let passing = Newcomer { role: Role::Host, passes_lock: true, ..newcomer(id(3), proxy()) };
    assert_eq!(rooms.join(room("r"), passing).unwrap().standing, Standing { role: Role::Host, locked: true });
    assert_eq!(said(&rooms.lock(id(3), false).unwrap()), to_each(&[1, 2, 9, 3], &locked(false)));
    assert_eq!((rooms.locked(), said(&rooms.lock(id(3), false).unwrap()).len()), (0, 1));
    rooms.leave(id(3));
    enter(&mut rooms, 4, Role::Member).unwrap();
}

#[test]
fn a_lock_ends_with_the_last_member() {
    let mut rooms = open();
    enter_all(&mut rooms, &[(1, Role::Member), (2, Role::Member), (9, Role::Viewer)]);
    rooms.lock(id(1), true).unwrap();
    let told = rooms.leave(id(1));
    assert_eq!(
        said(&told),
        [to_each(&[2, 9], &left(1)), to_each(&[2, 9], &host_message(2))].concat(),
        "it outlives the host"
    );
    assert!(rooms.is_locked(&room("r")));
    let told = rooms.leave(id(2));
    assert_eq!(said(&told), [to_each(&[9], &left(2)), to_each(&[9], &locked(false))].concat());
    assert_eq!(rooms.locked(), 0);
    let entered = enter(&mut rooms, 3, Role::Member).unwrap();
    assert_eq!(entered.standing, Standing { role: Role::Host, locked: false });
    rooms.lock(id(3), true).unwrap();
    rooms.leave(id(9));
    assert_eq!(said(&rooms.leave(id(3))), []);
    assert_eq!((rooms.locked(), rooms.rooms()), (0, 0));
    assert!(!enter(&mut rooms, 4, Role::Member).unwrap().standing.locked, "the next room is another one");
}

#[test]
fn threat_24_only_a_host_decides_and_only_in_its_room() {
    let mut rooms = open();
    enter_all(&mut rooms, &[(1, Role::Member), (2, Role::Member), (9, Role::Viewer)]);
    join(&mut rooms, 5, "s").unwrap();
    for (n, refused) in [(2, ErrorCode::NotHost), (9, ErrorCode::NotHost), (7, ErrorCode::NotJoined)] {
        assert_eq!(rooms.check_removal(id(n), id(1)), Err(refused));
        assert_eq!(rooms.check_removal(id(n), id(8)), Err(refused), "before the other is looked for");
        assert_eq!(rooms.lock(id(n), true).expect_err("refused"), refused);
        assert_eq!(rooms.inviter(id(n)), Err(refused));
    }
    for n in [1, 5, 7] {
        assert_eq!(rooms.check_removal(id(1), id(n)), Err(ErrorCode::NoSuchPeer), "{n}");
    }
    assert_eq!([2, 9].map(|n| rooms.check_removal(id(1), id(n))), [Ok(()), Ok(())]);
    assert_eq!(rooms.inviter(id(1)), Ok((&room("r"), None)));
    assert_eq!(rooms.role(&room("r"), id(2)), Some(Role::Member));
    assert_eq!(rooms.role(&room("s"), id(2)), None);
    assert_eq!((rooms.locked(), rooms.members()), (0, 4), "nothing has changed");
}
