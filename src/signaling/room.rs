//! Rooms, presence and the polite role. Pure: what is to be said leaves as [`Delivery`] values.
//!
//! A room exists while it has members. The order of arrival decides the roles: whoever comes later is polite towards
//! those already there, so that of any two members exactly one is polite.
//!
//! The maps are ordered trees: their keys are the clients' choice, and a tree needs no seed against that.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::protocol::{DisplayName, ErrorCode, MemberId, Peer, RoomName, ServerMessage};

/// How much there may be.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Rooms at one time.
    pub rooms: usize,
    /// Members of one room.
    pub members: usize,
}

/// Something to say to one member.
#[derive(Debug)]
pub struct Delivery {
    /// To whom.
    pub to: MemberId,
    /// What.
    pub message: ServerMessage,
}

/// All rooms and who is in them.
#[derive(Debug)]
pub struct Rooms {
    limits: Limits,
    /// Members in order of arrival; never empty.
    rooms: BTreeMap<RoomName, Vec<Member>>,
    /// Where each member is; holds exactly the members of `rooms`.
    places: BTreeMap<MemberId, RoomName>,
}

#[derive(Debug)]
struct Member {
    id: MemberId,
    name: Option<DisplayName>,
    /// Signals delivered to this member so far.
    received: u64,
}

impl Rooms {
    /// No rooms.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, rooms: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Rooms at this moment.
    #[must_use]
    pub fn rooms(&self) -> usize {
        self.rooms.len()
    }

    /// Members of all rooms at this moment.
    #[must_use]
    pub fn members(&self) -> usize {
        self.places.len()
    }

    /// Lets `id` into `room`. Returns who is there already, and what they are told.
    ///
    /// # Errors
    /// [`ErrorCode::AlreadyJoined`], [`ErrorCode::RoomFull`] or [`ErrorCode::TooManyRooms`].
    pub fn join(
        &mut self,
        id: MemberId,
        room: RoomName,
        name: Option<DisplayName>,
    ) -> Result<(Vec<Peer>, Vec<Delivery>), ErrorCode> {
        if self.places.contains_key(&id) {
            return Err(ErrorCode::AlreadyJoined);
        }
        let there = self.rooms.get(&room).map_or(&[][..], Vec::as_slice);
        if there.is_empty() && self.rooms.len() >= self.limits.rooms {
            return Err(ErrorCode::TooManyRooms);
        }
        if there.len() >= self.limits.members {
            return Err(ErrorCode::RoomFull);
        }
        let peers = there.iter().map(|m| Peer { id: m.id, name: m.name.clone(), polite: true }).collect();
        let newcomer = Peer { id, name: name.clone(), polite: false };
        let told = there
            .iter()
            .map(|m| Delivery { to: m.id, message: ServerMessage::PeerJoined(newcomer.clone()) })
            .collect();
        self.places.insert(id, room.clone());
        self.rooms.entry(room).or_default().push(Member { id, name, received: 0 });
        Ok((peers, told))
    }

    /// Passes `data` on from one member to another of the same room, stamped with its sender.
    ///
    /// # Errors
    /// [`ErrorCode::NotJoined`], or [`ErrorCode::NoSuchPeer`]: one answer for a member of another room and for none
    /// at all, so that a room cannot be explored from outside.
    pub fn signal(
        &mut self,
        from: MemberId,
        to: MemberId,
        data: Box<RawValue>,
    ) -> Result<Delivery, ErrorCode> {
        let place = self.places.get(&from).ok_or(ErrorCode::NotJoined)?;
        let receiver = self
            .rooms
            .get_mut(place)
            .and_then(|members| members.iter_mut().find(|m| m.id == to && m.id != from))
            .ok_or(ErrorCode::NoSuchPeer)?;
        receiver.received += 1;
        Ok(Delivery { to, message: ServerMessage::Signal { from, seq: receiver.received, data } })
    }

    /// Takes `id` out of its room. Returns what the others are told; a member of no room is no one's news.
    pub fn leave(&mut self, id: MemberId) -> Vec<Delivery> {
        let Some(place) = self.places.remove(&id) else { return Vec::new() };
        let Some(members) = self.rooms.get_mut(&place) else { return Vec::new() };
        members.retain(|m| m.id != id);
        let told =
            members.iter().map(|m| Delivery { to: m.id, message: ServerMessage::PeerLeft { id } }).collect();
        if members.is_empty() {
            self.rooms.remove(&place);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn id(n: u8) -> MemberId {
        MemberId([n; 16])
    }

    fn room(name: &str) -> RoomName {
        RoomName::new(name.to_owned()).unwrap()
    }

    fn rooms(rooms: usize, members: usize) -> Rooms {
        Rooms::new(Limits { rooms, members })
    }

    fn data(json: &str) -> Box<RawValue> {
        RawValue::from_string(json.to_owned()).unwrap()
    }

    #[test]
    fn the_one_who_comes_later_is_polite() {
        let mut rooms = rooms(9, 9);
        let ann = DisplayName::new("Ann".to_owned());
        let (peers, told) = rooms.join(id(1), room("r"), ann.clone()).unwrap();
        assert!(peers.is_empty() && told.is_empty());
        let (peers, told) = rooms.join(id(2), room("r"), None).unwrap();
        assert_eq!(peers, [Peer { id: id(1), name: ann, polite: true }]);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].to, id(1));
        assert!(matches!(&told[0].message, ServerMessage::PeerJoined(p) if p.id == id(2) && !p.polite));
    }

    #[test]
    fn signals_are_counted_by_receiver() {
        let mut rooms = rooms(9, 9);
        for n in 1..=3 {
            rooms.join(id(n), room("r"), None).unwrap();
        }
        let mut seq = |from, to| match rooms.signal(id(from), id(to), data("1")).unwrap().message {
            ServerMessage::Signal { from: stamped, seq, .. } if stamped == id(from) => seq,
            other => panic!("{other:?}"),
        };
        assert_eq!([seq(1, 2), seq(3, 2), seq(1, 3), seq(2, 1), seq(1, 2)], [1, 2, 1, 1, 3]);
    }

    #[test]
    fn a_signal_stays_in_its_room() {
        let mut rooms = rooms(9, 9);
        rooms.join(id(1), room("a"), None).unwrap();
        rooms.join(id(2), room("b"), None).unwrap();
        let mut refused = |from, to| rooms.signal(id(from), id(to), data("1")).expect_err("refused");
        assert_eq!(refused(1, 2), ErrorCode::NoSuchPeer, "another room");
        assert_eq!(refused(1, 9), ErrorCode::NoSuchPeer, "nobody");
        assert_eq!(refused(1, 1), ErrorCode::NoSuchPeer, "oneself");
        assert_eq!(refused(9, 1), ErrorCode::NotJoined);
    }

    #[test]
    fn caps_hold_and_say_which() {
        let mut rooms = rooms(1, 2);
        rooms.join(id(1), room("r"), None).unwrap();
        assert_eq!(rooms.join(id(2), room("s"), None).expect_err("rooms"), ErrorCode::TooManyRooms);
        rooms.join(id(2), room("r"), None).unwrap();
        assert_eq!(rooms.join(id(3), room("r"), None).expect_err("members"), ErrorCode::RoomFull);
        assert_eq!(rooms.join(id(2), room("r"), None).expect_err("twice"), ErrorCode::AlreadyJoined);
        assert_eq!(rooms.leave(id(1)).len(), 1);
        assert_eq!(rooms.leave(id(1)).len(), 0);
        rooms.leave(id(2));
        rooms.join(id(3), room("s"), None).unwrap();
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Join(u8, u8),
        Signal(u8, u8),
        Leave(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12u8, 0..5u8).prop_map(|(m, r)| Step::Join(m, r)),
            (0..12u8, 0..12u8).prop_map(|(a, b)| Step::Signal(a, b)),
            (0..12u8).prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// Held against a model that is nothing but a list of (member, room) in order of arrival.
        #[test]
        fn any_history_keeps_the_rules(steps in prop::collection::vec(step(), 0..200)) {
            let (max_rooms, max_members) = (3, 4);
            let mut rooms = rooms(max_rooms, max_members);
            let mut model: Vec<(u8, u8)> = Vec::new();
            // What each member was last told about each other: (receiver, about) -> polite.
            let mut polite = BTreeMap::new();
            for step in steps {
                let place = |m: u8, model: &[(u8, u8)]| model.iter().find(|(n, _)| *n == m).map(|(_, r)| *r);
                match step {
                    Step::Join(m, r) => {
                        let there: Vec<u8> = model.iter().filter(|(_, at)| *at == r).map(|(n, _)| *n).collect();
                        let open = model.iter().map(|(_, at)| at).collect::<std::collections::BTreeSet<_>>().len();
                        let allowed = place(m, &model).is_none()
                            && there.len() < max_members
                            && (!there.is_empty() || open < max_rooms);
                        let joined = rooms.join(id(m), room(&r.to_string()), None);
                        prop_assert_eq!(joined.is_ok(), allowed);
                        let Ok((peers, told)) = joined else { continue };
                        prop_assert_eq!(peers.iter().map(|p| p.id.0[0]).collect::<Vec<_>>(), there.clone());
                        prop_assert_eq!(told.iter().map(|d| d.to.0[0]).collect::<Vec<_>>(), there);
                        for peer in peers {
                            polite.insert((m, peer.id.0[0]), peer.polite);
                        }
                        for Delivery { to, message } in told {
                            let ServerMessage::PeerJoined(peer) = message else { panic!("{message:?}") };
                            polite.insert((to.0[0], peer.id.0[0]), peer.polite);
                        }
                        model.push((m, r));
                    }
                    Step::Signal(a, b) => {
                        let allowed = a != b && place(a, &model).is_some() && place(a, &model) == place(b, &model);
                        let sent = rooms.signal(id(a), id(b), data("{}"));
                        prop_assert_eq!(sent.is_ok(), allowed);
                        if let Ok(Delivery { to, message }) = sent {
                            prop_assert_eq!(to, id(b));
                            let stamped = matches!(message, ServerMessage::Signal { from, .. } if from == id(a));
                            prop_assert!(stamped);
                        }
                    }
                    Step::Leave(m) => {
                        let here = place(m, &model);
                        model.retain(|(n, _)| *n != m);
                        let others: Vec<u8> =
                            model.iter().filter(|(_, at)| Some(*at) == here).map(|(n, _)| *n).collect();
                        let told = rooms.leave(id(m));
                        prop_assert_eq!(told.iter().map(|d| d.to.0[0]).collect::<Vec<_>>(), others);
                        polite.retain(|(a, b), _| *a != m && *b != m);
                    }
                }
                // Of any two in one room exactly one is polite, and nobody knows of anyone elsewhere.
                for &(a, at) in &model {
                    for &(b, bt) in model.iter().filter(|(b, _)| *b != a) {
                        let roles = (polite.get(&(a, b)), polite.get(&(b, a)));
                        if at == bt {
                            prop_assert!(matches!(roles, (Some(x), Some(y)) if x != y));
                        } else {
                            prop_assert_eq!(roles, (None, None));
                        }
                    }
                }
                // Nothing is kept beyond the members there are.
                prop_assert_eq!(rooms.members(), model.len());
                prop_assert_eq!(rooms.rooms.values().map(Vec::len).sum::<usize>(), model.len());
                prop_assert!(rooms.rooms.values().all(|members| !members.is_empty()));
                prop_assert!(rooms.rooms() <= max_rooms);
            }
        }
    }
}
