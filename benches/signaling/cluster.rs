//! Measures signals between members on different nodes of a cluster, beside those within one node
//! and on a server without a cluster.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byway::access::names::{NodeName, RoomName};
use byway::signaling::shared_rooms::owner_among;
use serde_json::Value;

use crate::crowd::{Crowd, Plan, Room, Schedule};
use crate::dialect::Dialect;
use crate::server::{Kind, Server, free};
use crate::{SETTLED, SIGNALS, WARM_UP, second_core};

/// Argument that selects this measurement.
pub(crate) const ARGUMENT: &str = "cluster";

const NODES: [&str; 3] = ["eu-1", "eu-2", "eu-3"];
/// Periods of measurement in a round. A figure is the median of those of all periods, so a halt of
/// the machine spoils one period only.
const PERIODS: usize = 10;
const PERIOD: Duration = Duration::from_secs(4);
/// Time that signals of one period have to arrive before the next one.
const PAUSE: Duration = Duration::from_millis(300);
/// Maximum time until the nodes know each other.
const PATIENCE: Duration = Duration::from_secs(30);
/// Time after which no node considers itself alone any more.
const ALONE: Duration = Duration::from_secs(6);

/// Place of a room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Both members are on the node that owns the room.
    Own,
    /// Both members are on one node, and another owns the room.
    Owned,
    /// The members are on two nodes, one of which owns the room.
    Two,
    /// The members are on two nodes, and the third owns the room.
    Three,
}

impl Place {
    const ALL: [Self; 4] = [Self::Own, Self::Owned, Self::Two, Self::Three];

    fn of(room: usize) -> Self {
        Self::ALL[room % Self::ALL.len()]
    }

    fn name(self) -> &'static str {
        match self {
            Self::Own => "one node",
            Self::Owned => "one node, owned by another",
            Self::Two => "two nodes, one owns",
            Self::Three => "two nodes, third owns",
        }
    }

    /// Returns the nodes of both members and the owner of a room.
    fn nodes(self, room: usize) -> ([usize; 2], usize) {
        let turn = room / Self::ALL.len();
        let [first, second, third] = [turn % 3, (turn + 1) % 3, (turn + 2) % 3];
        match self {
            Self::Own => ([first, first], first),
            Self::Owned => ([first, first], second),
            Self::Two if (turn / 3).is_multiple_of(2) => ([first, second], first),
            Self::Two => ([first, second], second),
            Self::Three => ([first, second], third),
        }
    }
}

/// Values of a figure, one for each period or round.
#[derive(Default)]
struct Figures(BTreeMap<String, Vec<f64>>);

impl Figures {
    fn add(&mut self, figure: impl Into<String>, value: f64) {
        self.0.entry(figure.into()).or_default().push(value);
    }

    fn median(&self, figure: &str) -> f64 {
        let mut values = self.0.get(figure).cloned().unwrap_or_default();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// Returns the smallest and the largest value.
    fn range(&self, figure: &str) -> (f64, f64) {
        let values = self.0.get(figure).into_iter().flatten();
        values.fold((f64::NAN, f64::NAN), |(least, most), value| (least.min(*value), most.max(*value)))
    }
}

/// Measures a single server and a cluster in turns. Returns the table.
pub(crate) fn measure(rounds: usize, members: usize) -> Result<String, String> {
    let mut figures = Figures::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}: a server without a cluster");
        let server = Server::start(Kind::Byway)?;
        second_core();
        let crowd = Crowd::new(Dialect::Byway, server.address).map_err(|error| error.to_string())?;
        let place = |room| Room { name: format!("idle-{room}"), servers: [server.address; 2] };
        load(&mut figures, "single", crowd, (0..members / 2).map(place).collect(), &[&server], &[])?;
        drop(server);

        eprintln!("round {round} of {rounds}: three nodes");
        let (monitor, admin) = (free(), NODES.map(|_| free()));
        let broker = Server::broker(monitor)?;
        let mut nodes = Vec::new();
        for (name, admin) in NODES.into_iter().zip(admin) {
            nodes.push(Server::node(name, broker.address, admin)?);
        }
        let crowd = Crowd::new(Dialect::Byway, nodes[0].address).map_err(|error| error.to_string())?;
        meet(&crowd, &admin)?;
        let addresses: Vec<_> = nodes.iter().map(|node| node.address).collect();
        let rooms = (0..members / 2).map(|room| room_of_cluster(room, &addresses)).collect();
        let nodes: Vec<_> = nodes.iter().collect();
        load(&mut figures, "cluster", crowd, rooms, &nodes, &[(&broker, monitor)])?;
    }
    Ok(table(&figures))
}

/// Waits until each node knows the others.
fn meet(crowd: &Crowd, admin: &[SocketAddr]) -> Result<(), String> {
    let others = format!("byway_cluster_nodes{{presence=\"live\"}} {}\n", NODES.len() - 1);
    let until = crowd.now() + PATIENCE;
    for address in admin {
        while !get(*address, "/metrics").is_ok_and(|metrics| metrics.contains(&others)) {
            if crowd.now() > until {
                return Err("the nodes do not meet".to_owned());
            }
        }
    }
    std::thread::sleep(ALONE);
    Ok(())
}

/// Returns a room whose name makes the wanted node its owner.
fn room_of_cluster(room: usize, addresses: &[SocketAddr]) -> Room {
    let nodes = NODES.map(|name| name.parse::<NodeName>().expect("a name"));
    let (members, owner) = Place::of(room).nodes(room);
    let is_owned = |name: &String| {
        let name = RoomName::new(name.clone()).expect("a name");
        owner_among(&name, nodes.iter()) == Some(&nodes[owner])
    };
    let name = (0..).map(|attempt| format!("idle-{room}-{attempt}")).find(is_owned).expect("one of three");
    Room { name, servers: members.map(|node| addresses[node]) }
}

/// Gathers the members, lets them signal, and adds the figures.
fn load(
    figures: &mut Figures,
    name: &str,
    mut crowd: Crowd,
    rooms: Vec<Room>,
    servers: &[&Server],
    broker: &[(&Server, SocketAddr)],
) -> Result<(), String> {
    let members = rooms.len() as f64 * 2.0;
    let memory = || servers.iter().map(|server| server.memory()).sum::<f64>();
    let cpu = || servers.iter().map(|server| server.cpu()).sum::<Duration>().as_secs_f64();
    let broker_cpu = || broker.iter().map(|(broker, _)| broker.cpu()).sum::<Duration>().as_secs_f64();
    let empty = memory();
    let began = crowd.now();
    crowd.gather_in(rooms)?;
    figures.add(format!("{name} gathered"), members / (crowd.now() - began).as_secs_f64());
    crowd.run(SETTLED, &mut Plan::default());
    figures.add(format!("{name} idle"), (memory() - empty) / 1024.0 / members);
    let (before, broker_before, from) = (cpu(), broker_cpu(), crowd.now());
    crowd.run(SETTLED, &mut Plan::default());
    let share = |used: f64, from: Duration, until: Duration| used * 100.0 / (until - from).as_secs_f64();
    figures.add(format!("{name} cpu idle"), share(cpu() - before, from, crowd.now()));
    figures.add(format!("{name} broker idle"), share(broker_cpu() - broker_before, from, crowd.now()));

    let mut plan = Plan { signals: Some(Schedule::new(SIGNALS, crowd.now())), ..Plan::default() };
    crowd.run(WARM_UP, &mut plan);
    let (before, broker_before, from) = (cpu(), broker_cpu(), crowd.now());
    let bus_before = broker.first().map(|(_, monitor)| counters(*monitor)).transpose()?;
    let mut periods = Vec::new();
    for _ in 0..PERIODS {
        let from = crowd.now();
        crowd.run(PERIOD, &mut plan);
        periods.push((from, crowd.now()));
        crowd.run(PAUSE, &mut plan);
    }
    let until = crowd.now();
    figures.add(format!("{name} cpu"), share(cpu() - before, from, until));
    figures.add(format!("{name} broker"), share(broker_cpu() - broker_before, from, until));
    if let (Some((_, monitor)), Some(before)) = (broker.first(), bus_before) {
        let after = counters(*monitor)?;
        let seconds = (until - from).as_secs_f64();
        figures.add("messages", (after.messages - before.messages) / seconds);
        figures.add("bytes", (after.bytes - before.bytes) / seconds);
    }
    figures.add(format!("{name} loaded"), (memory() - empty) / 1024.0 / members);
    for (from, until) in periods {
        add_times(figures, name, &crowd, from, until);
    }
    Ok(())
}

/// Adds the times of the signals of one period, by the place of their room.
fn add_times(figures: &mut Figures, name: &str, crowd: &Crowd, from: Duration, until: Duration) {
    let at = |times: &[Duration], share: usize| {
        times.get(times.len() * share / 100).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    };
    let late = crowd.late(from, until);
    figures.add(format!("{name} late"), at(&late, 99));
    let mut add = |of: &str, is_in: &dyn Fn(Place) -> bool| {
        let (times, lost) = crowd.signal_times_in(from, until, |room| is_in(Place::of(room)));
        figures.add(format!("{of} p50"), at(&times, 50));
        figures.add(format!("{of} p99"), at(&times, 99));
        figures.add(format!("{name} lost"), lost as f64);
        [at(&times, 50), at(&times, 99)]
    };
    if name == "single" {
        add(name, &|_| true);
        return;
    }
    let within = add(Place::Own.name(), &|place| place == Place::Own);
    let mut ratios = Vec::new();
    for place in &Place::ALL[1..] {
        ratios.push((place.name(), add(place.name(), &|of| of == *place)));
    }
    ratios.push((ACROSS, add(ACROSS, &|place| matches!(place, Place::Two | Place::Three))));
    for (place, times) in ratios {
        figures.add(format!("{place} p50 ratio"), times[0] / within[0]);
        figures.add(format!("{place} p99 ratio"), times[1] / within[1]);
    }
}

/// Name of all rooms with members on two nodes.
const ACROSS: &str = "two nodes, all";
/// Maximum ratio of the 99th percentiles across nodes and within one.
const WANTED: f64 = 2.0;

fn table(figures: &Figures) -> String {
    let mut table = format!(
        "{:<28} {:>8} {:>8} {:>10} {:>10}  {}\n",
        "signal, ms", "p50", "p99", "p50 ratio", "p99 ratio", "least and most p99 ratio of a period"
    );
    let places = Place::ALL.map(Place::name);
    for place in ["single"].into_iter().chain(places).chain([ACROSS]) {
        let [p50, p99] = ["p50", "p99"].map(|figure| figures.median(&format!("{place} {figure}")));
        let [to50, to99] =
            ["p50 ratio", "p99 ratio"].map(|figure| figures.median(&format!("{place} {figure}")));
        let (least, most) = figures.range(&format!("{place} p99 ratio"));
        let _ = writeln!(
            table,
            "{place:<28} {p50:>8.3} {p99:>8.3} {to50:>10.2} {to99:>10.2}  {least:.2} to {most:.2}"
        );
    }
    let ratio = figures.median(&format!("{ACROSS} p99 ratio"));
    let verdict = if ratio <= WANTED { "ok" } else { "MISSED" };
    let _ = writeln!(table, "p99 across nodes, at most {WANTED} times that within one: {verdict}");
    let _ = writeln!(table, "\n{:<28} {:>9} {:>9}", "figure", "single", "cluster");
    for (figure, unit) in [
        ("gathered", "members joined per second"),
        ("idle", "KiB per member, of all nodes"),
        ("loaded", "KiB per member after the signals"),
        ("cpu idle", "% of a core without signals, of all nodes"),
        ("cpu", "% of a core with signals, of all nodes"),
        ("broker idle", "% of a core of the broker, without signals"),
        ("broker", "% of a core of the broker, with signals"),
        ("lost", "signals of a class and period not received"),
        ("late", "ms by which the generator is late, p99"),
    ] {
        let [single, cluster] = ["single", "cluster"].map(|name| figures.median(&format!("{name} {figure}")));
        let _ = writeln!(table, "{figure:<28} {single:>9.3} {cluster:>9.3}  {unit}");
    }
    for (figure, unit) in [("messages", "to the broker per second"), ("bytes", "to the broker per second")] {
        let _ = writeln!(table, "{figure:<28} {:>9} {:>9.0}  {unit}", "-", figures.median(figure));
    }
    table
}

/// Counters of a broker.
struct Traffic {
    /// Messages that it has received.
    messages: f64,
    /// Bytes of these.
    bytes: f64,
}

/// Returns the counters of the broker that shows them at `monitor`.
fn counters(monitor: SocketAddr) -> Result<Traffic, String> {
    let counters = get(monitor, "/varz").map_err(|error| error.to_string())?;
    let counters: Value = serde_json::from_str(&counters).map_err(|error| error.to_string())?;
    let [messages, bytes] =
        ["in_msgs", "in_bytes"].map(|counter| counters[counter].as_f64().unwrap_or(f64::NAN));
    Ok(Traffic { messages, bytes })
}

/// Returns the body of an answer over HTTP.
fn get(address: SocketAddr, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}
