//! Clusters under all that can go wrong, from seeds.

use super::client::State;
use super::world::{WINDOW, World, room};
use crate::signaling::protocol::MemberId;
use crate::signaling::room::HostRule;

/// Time of trouble, and of peace after it, in ticks.
const TROUBLE: usize = 900;
const PEACE: usize = 700;

/// Kinds of trouble.
#[derive(Clone, Copy)]
struct Trouble {
    crashes: bool,
    partings: bool,
    broker: bool,
    drains: bool,
    resets: bool,
}

/// Seeds of each kind of trouble. To replay one that failed, name it here.
const SEEDS: std::ops::Range<u64> = 0..4;

fn run(seed: u64, trouble: Trouble) {
    let nodes = 3 + usize::try_from(seed % 2).unwrap();
    let rule = if seed.is_multiple_of(3) { HostRule::Named } else { HostRule::Longest };
    let mut world = World::new(seed, nodes, rule);
    world.slow = [5, 50, 400][usize::try_from(seed / 2 % 3).unwrap()];
    for client in 0..8 {
        world.add_client(client % 2, client == 7);
    }
    for _ in 0..TROUBLE {
        world.tick();
        cause(&mut world, trouble);
        act(&mut world, true);
    }
    mend(&mut world);
    for tick in 0..PEACE {
        world.tick();
        if tick < PEACE - 100 {
            act(&mut world, false);
        }
    }
    check_agreement(&world);
    if !(trouble.partings || trouble.broker) {
        check_losses(&world);
    }
    for client in 0..world.clients.len() {
        world.clients[client].is_active = false;
        world.leave(client);
    }
    for _ in 0..600 {
        world.tick();
    }
    check_empty(&world);
}

/// Something goes wrong, or right again.
fn cause(world: &mut World, trouble: Trouble) {
    let nodes = world.nodes.len();
    let node = world.random.below(nodes);
    if trouble.crashes && world.chance(200) && world.nodes[node].is_some() {
        world.stop(node, false);
    }
    if world.nodes[node].is_none() && world.chance(20) {
        world.start(node);
    }
    if trouble.partings && world.chance(100) {
        for node in 0..nodes {
            world.group[node] = if world.chance(2) { 1 } else { 0 };
        }
        let groups = world.group.clone();
        world.note(|| format!("parted {groups:?}"));
    }
    if trouble.partings && world.chance(40) {
        world.group.fill(0);
        world.note(|| "joined".to_owned());
    }
    if trouble.broker && world.chance(300) {
        (0..nodes).for_each(|node| world.connect(node, false));
    }
    if trouble.broker && world.chance(200) {
        world.connect(node, false);
    }
    if trouble.broker && world.chance(60) {
        (0..nodes).for_each(|node| world.connect(node, true));
    }
    if trouble.drains && world.chance(150) {
        drain(world, node);
    }
    if trouble.resets && world.chance(60) {
        let peer = (node + 1) % nodes;
        if world.nodes[node].is_some() {
            world.reset(node, peer);
        }
    }
}

fn drain(world: &mut World, node: usize) {
    let Some(process) = &mut world.nodes[node] else { return };
    if !process.is_draining {
        process.is_draining = true;
        world.note(|| format!("n{node} drains"));
        world.say_hello(node, false);
    } else {
        world.stop(node, true);
    }
}

fn mend(world: &mut World) {
    world.group.fill(0);
    for node in 0..world.nodes.len() {
        world.connect(node, true);
        if world.nodes[node].as_ref().is_some_and(|process| process.is_draining) {
            world.stop(node, true);
        }
    }
    for node in 0..world.nodes.len() {
        if world.nodes[node].is_none() {
            world.start(node);
        }
    }
    world.note(|| "peace".to_owned());
}

/// Clients do what clients do.
fn act(world: &mut World, wildly: bool) {
    for client in 0..world.clients.len() {
        let peers: Vec<MemberId> = world.clients[client].peers.keys().copied().collect();
        match world.clients[client].state {
            State::Away { until } if until <= world.now && world.clients[client].is_active => {
                let open = world.open_nodes();
                if !open.is_empty() {
                    let node = open[world.random.below(open.len())];
                    world.enter(client, node);
                }
            }
            State::Away { .. } => {}
            State::Asks { node, since } => {
                if world.now - since > 15_000 {
                    world.cancel(client, node);
                    world.clients[client].state = State::Away { until: world.now + 500 };
                }
            }
            State::In { .. } => {
                if world.chance(3) && !peers.is_empty() {
                    for _ in 0..world.between(1, 3) {
                        world.signal(client, peers[world.random.below(peers.len())]);
                    }
                }
                if wildly && world.chance(100) {
                    let away = if world.chance(5) { WINDOW * 2 } else { world.between(0, 5_000) };
                    world.break_off(client, away);
                } else if wildly && world.chance(150) {
                    world.leave(client);
                } else if wildly && world.chance(50) {
                    host_acts(world, client, &peers);
                } else if world.chance(30) {
                    confirm(world, client);
                }
            }
        }
    }
}

fn confirm(world: &mut World, client: usize) {
    let State::In { node } = world.clients[client].state else { return };
    let (Some(id), seq) = (world.clients[client].id, world.clients[client].seq) else { return };
    let process = world.nodes[node].as_mut().unwrap();
    if process.connections.contains_key(&id) {
        process.rooms.confirm(id, seq);
        world.drive(node);
    }
}

/// A host locks, unlocks or removes. Others try.
fn host_acts(world: &mut World, client: usize, peers: &[MemberId]) {
    let State::In { node } = world.clients[client].state else { return };
    let Some(id) = world.clients[client].id else { return };
    let locks = !world.clients[client].is_locked && world.chance(4);
    let removed = if peers.is_empty() { id } else { peers[world.random.below(peers.len())] };
    let removes = world.chance(4);
    let process = world.nodes[node].as_mut().unwrap();
    if !process.connections.contains_key(&id) {
        return;
    }
    if removes {
        if process.rooms.remove_by_host(id, removed).is_ok() {
            world.records.get_mut(&removed).unwrap().may_be_removed = true;
        }
    } else {
        let _ = process.rooms.lock(id, locks);
    }
    world.drive(node);
}

/// Clients were told the state that the owner has, and all nodes agree on that.
fn check_agreement(world: &World) {
    for of in 0..2 {
        let owners = (0..world.nodes.len()).filter(|node| {
            let rooms = &world.nodes[*node].as_ref().unwrap().rooms;
            rooms.rooms().exists(&room(of)) && world.is_owner(*node, of)
        });
        let owners: Vec<_> = owners.collect();
        let here: Vec<_> = world.clients.iter().enumerate().filter(|(_, c)| c.room == of).collect();
        if here.iter().all(|(_, c)| c.id.is_none()) {
            continue;
        }
        let [owner] = owners[..] else { world.fail(&format!("room {of} has the owners {owners:?}")) };
        let rooms = world.nodes[owner].as_ref().unwrap().rooms.rooms();
        let listed: Vec<_> = rooms.members_of(&room(of)).collect();
        for (index, client) in &here {
            let State::In { node } = client.state else {
                // A locked room does not let it in.
                if rooms.is_locked(&room(of)) && client.id.is_none() {
                    continue;
                }
                world.fail(&format!("client {index} is {:?}", client.state))
            };
            let Some(id) = client.id else { world.fail(&format!("client {index} has no id")) };
            let Some(own) = listed.iter().find(|m| m.id == id) else {
                world.fail(&format!("client {index} {id} is not in room {of} of n{owner}"))
            };
            if !own.connected {
                world.fail(&format!("client {index} {id} at n{node} is absent by n{owner}"));
            }
            let is_host = own.role == crate::access::grant::Role::Host;
            if client.is_host != is_host || client.is_locked != rooms.is_locked(&room(of)) {
                world.fail(&format!("client {index} {id}: host or lock differs"));
            }
            let expected = listed.iter().filter(|m| m.id != id);
            let is_viewer = |role| role == crate::access::grant::Role::Viewer;
            let expected = expected.filter(|m| !(client.viewer && is_viewer(m.role)));
            let expected: Vec<_> =
                expected.map(|m| (m.id, m.role == crate::access::grant::Role::Host)).collect();
            let mut peers: Vec<_> = client.peers.iter().map(|(id, (_, host))| (*id, *host)).collect();
            let mut sorted = expected.clone();
            sorted.sort_unstable();
            peers.sort_unstable();
            if sorted != peers {
                world.fail(&format!("client {index} {id} sees {peers:?}, owner n{owner} has {sorted:?}"));
            }
            for (_, other) in &here {
                let (Some(theirs), Some(other_id)) = (other.peers.get(&id), other.id) else { continue };
                if client.peers.get(&other_id).is_some_and(|mine| mine.0 == theirs.0) {
                    world.fail(&format!("{id} and {other_id} are both polite: {}", theirs.0));
                }
            }
        }
        for member in &listed {
            if !here.iter().any(|(_, c)| c.id == Some(member.id)) {
                world.fail(&format!("{} is a ghost in room {of} of n{owner}", member.id));
            }
        }
    }
}

fn check_losses(world: &World) {
    for (from, record) in &world.records {
        for (to, sent) in &record.sent {
            let receiver = &world.records[to];
            // Of a member that has left, the last ones may come too late.
            let has_ended = record.has_ended || receiver.has_ended;
            if has_ended || record.left.contains(to) || receiver.left.contains(from) {
                continue;
            }
            let (got, excused) = (receiver.got.get(from), receiver.excused.get(from));
            let is_in =
                |of: Option<&std::collections::BTreeSet<u64>>, n: &u64| of.is_some_and(|of| of.contains(n));
            let lost: Vec<_> = (1..=*sent).filter(|n| !is_in(got, n) && !is_in(excused, n)).collect();
            if !lost.is_empty() {
                world.fail(&format!("{from} to {to}: {lost:?} of {sent} are lost; errors {}", record.errors));
            }
        }
    }
}

fn check_empty(world: &World) {
    for (node, process) in world.nodes.iter().enumerate() {
        let rooms = &process.as_ref().unwrap().rooms;
        let left = (rooms.rooms.members(), rooms.rooms.absent(), rooms.rooms.kept());
        let left = (
            left,
            rooms.shared.len(),
            rooms.waiting.len(),
            rooms.undelivered.len() + rooms.early.signals.len(),
        );
        if left != ((0, 0, 0), 0, 0, 0) {
            world.fail(&format!("n{node} still has {left:?}: {:?}", rooms.shared.keys()));
        }
    }
}

const QUIET: Trouble =
    Trouble { crashes: false, partings: false, broker: false, drains: false, resets: false };

#[test]
fn quiet() {
    SEEDS.for_each(|seed| run(seed, QUIET));
}

#[test]
fn resets() {
    SEEDS.for_each(|seed| run(seed, Trouble { resets: true, ..QUIET }));
}

#[test]
fn crashes() {
    SEEDS.for_each(|seed| run(seed, Trouble { crashes: true, ..QUIET }));
}

#[test]
fn drains() {
    SEEDS.for_each(|seed| run(seed, Trouble { drains: true, ..QUIET }));
}

#[test]
#[ignore = "the order of signals is not kept where the bus is away or parts are cut off: docs/cluster.md"]
fn broker() {
    SEEDS.for_each(|seed| run(seed, Trouble { broker: true, ..QUIET }));
}

#[test]
#[ignore = "the order of signals is not kept where the bus is away or parts are cut off: docs/cluster.md"]
fn partings() {
    SEEDS.for_each(|seed| run(seed, Trouble { partings: true, ..QUIET }));
}

#[test]
#[ignore = "the order of signals is not kept where the bus is away or parts are cut off: docs/cluster.md"]
fn all() {
    let all = Trouble { crashes: true, partings: true, broker: true, drains: true, resets: true };
    SEEDS.for_each(|seed| run(seed, all));
}
