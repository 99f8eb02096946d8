//! Views of `byway top`: each makes a table of an answer.

use std::collections::BTreeMap;

use super::answers::{Allocation, Allocations, Calls, Rooms, Timeline, Traffic, Usage};
use super::table::{Cell, Column, Order, Row, Subject, Table};
use crate::cli::plain_text::plain;
use crate::cli::units::{bytes, count, rate, time};
use crate::ice::rfc3339;

/// List that the user looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Allocations of the relay.
    Allocations,
    /// Members, by room.
    Rooms,
    /// Users of the relay, with their usage.
    Users,
    /// Calls that have a timeline.
    Calls,
    /// Timeline of the call in this room.
    Timeline(String),
}

impl View {
    /// Views in the order of their keys.
    pub(super) const ALL: [Self; 4] = [Self::Allocations, Self::Rooms, Self::Users, Self::Calls];

    /// Title, without that of a room.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Allocations => "Allocations",
            Self::Rooms => "Rooms",
            Self::Users => "Users",
            Self::Calls => "Calls",
            Self::Timeline(_) => "Timeline",
        }
    }

    /// Columns of its table.
    pub(super) fn columns(&self) -> &'static [Column] {
        match self {
            Self::Allocations => ALLOCATIONS,
            Self::Rooms => MEMBERS,
            Self::Users => USERS,
            Self::Calls => CALLS,
            Self::Timeline(_) => EVENTS,
        }
    }

    /// Order until the user chooses another.
    pub(super) fn usual_order(&self) -> Order {
        let (column, is_descending) = match self {
            // By their rates together, by room, by bytes to clients, by begin, by time.
            Self::Allocations => (4, true),
            Self::Rooms => (0, false),
            Self::Users => (4, true),
            Self::Calls => (1, true),
            Self::Timeline(_) => (1, false),
        };
        Order { column, is_descending }
    }
}

/// Content of a view.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Allocations(Allocations),
    Rooms(Rooms),
    Users(Usage),
    Calls(Calls),
    Timeline(Timeline),
}

const ALLOCATIONS: &[Column] = &[
    Column::text("USER", 12, 0),
    Column::text("VIA", 3, 3),
    Column::number("AGE", 8, 4),
    Column::number("TO PEERS", 13, 1),
    Column::number("TO CLIENT", 13, 1),
    Column::number("BYTES", 9, 2),
    Column::number("DROPS", 7, 5),
    Column::number("REFUSED", 7, 6),
    Column::text("ID", 10, 7),
];

const MEMBERS: &[Column] = &[
    Column::text("ROOM", 12, 0),
    Column::text("NAME", 16, 1),
    Column::text("ROLE", 6, 3),
    Column::text("STATE", 9, 2),
    Column::number("RELAYS", 6, 4),
    Column::text("ID", 22, 5),
];

const USERS: &[Column] = &[
    Column::text("USER", 12, 0),
    Column::number("LIVE", 6, 2),
    Column::number("ENDED", 7, 3),
    Column::number("TO PEERS", 10, 1),
    Column::number("TO CLIENT", 10, 1),
];

const CALLS: &[Column] = &[
    Column::text("ROOM", 12, 0),
    Column::text("BEGAN", 20, 2),
    Column::text("STATE", 7, 1),
    Column::number("MEMBERS", 7, 3),
    Column::number("EVENTS", 7, 4),
    Column::number("DROPPED", 7, 5),
];

const EVENTS: &[Column] = &[
    Column::text("EVENT", 12, 0),
    Column::number("TIME", 9, 1),
    Column::text("MEMBER", 14, 2),
    Column::text("FROM", 6, 4),
    Column::text("KIND", 16, 3),
];

/// Bits per second of an allocation, to its peers and to its client.
pub(super) type Rates = BTreeMap<String, (u64, u64)>;

impl Content {
    /// Makes the table. `rates` has the rates of allocations.
    pub(super) fn table(&self, rates: &Rates) -> Table {
        match self {
            Self::Allocations(answer) => {
                let row = |allocation| allocation_row(allocation, rates);
                Table { columns: ALLOCATIONS, rows: answer.allocations.iter().map(row).collect() }
            }
            Self::Rooms(answer) => Table { columns: MEMBERS, rows: member_rows(answer) },
            Self::Users(answer) => Table { columns: USERS, rows: user_rows(answer) },
            Self::Calls(answer) => Table { columns: CALLS, rows: call_rows(answer) },
            Self::Timeline(answer) => Table { columns: EVENTS, rows: event_rows(answer) },
        }
    }

    /// Number of things that the server has, of which it may list some.
    pub(super) fn total(&self) -> Option<(u64, usize)> {
        match self {
            Self::Allocations(answer) => Some((answer.total, answer.allocations.len())),
            Self::Rooms(answer) => Some((answer.total, answer.rooms.len())),
            Self::Users(_) | Self::Calls(_) | Self::Timeline(_) => None,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "only the order matters")]
fn amount(number: u64, shown: String) -> Cell {
    Cell::number(number as f64, shown)
}

fn allocation_row(allocation: &Allocation, rates: &Rates) -> Row {
    let (up, down) = rates.get(&allocation.id).copied().unwrap_or_default();
    let total = allocation.to_peer.bytes.saturating_add(allocation.to_client.bytes);
    let sum = |counts: &BTreeMap<String, u64>| counts.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
    let Allocation { id, user, drops, refused, .. } = allocation;
    let cells = vec![
        Cell::text(user),
        Cell::text(&allocation.transport),
        amount(allocation.age, time(allocation.age)),
        amount(up, rate(up)),
        amount(down, rate(down)),
        amount(total, bytes(total)),
        Cell::count(sum(drops)),
        Cell::count(sum(refused)),
        Cell::text(id),
    ];
    let subject = Subject::Allocation { id: id.clone(), user: user.clone() };
    Row { subject, cells, details: allocation_details(allocation) }
}

fn allocation_details(allocation: &Allocation) -> String {
    let traffic =
        |Traffic { packets, bytes: size }| format!("{} in {}", bytes(size), count(packets, "packet"));
    let mut details = vec![
        format!("to peers {}", traffic(allocation.to_peer)),
        format!("to client {}", traffic(allocation.to_client)),
        format!(
            "{}, {}, expires in {}",
            count(allocation.permissions, "permission"),
            count(allocation.channels, "channel"),
            time(allocation.expires_in)
        ),
    ];
    let listed = |counts: &BTreeMap<String, u64>| {
        counts.iter().map(|(label, n)| format!("{} {n}", plain(label))).collect::<Vec<_>>().join(", ")
    };
    if !allocation.drops.is_empty() {
        details.push(format!("dropped: {}", listed(&allocation.drops)));
    }
    if !allocation.refused.is_empty() {
        details.push(format!("refused: {}", listed(&allocation.refused)));
    }
    if let Some(client) = &allocation.client {
        let relayed = allocation.relayed.iter().take(2).map(|address| plain(address)).collect::<Vec<_>>();
        details.push(format!("client {} relayed {}", plain(client), relayed.join(" ")));
    }
    details.join(" · ")
}

fn member_rows(answer: &Rooms) -> Vec<Row> {
    let rows = answer.rooms.iter().flat_map(|room| {
        room.members.iter().map(move |member| {
            let role = match (member.host, member.viewer) {
                (true, _) => "host",
                (_, true) => "viewer",
                _ => "member",
            };
            let name = member.name.clone().unwrap_or_default();
            let cells = vec![
                Cell::text(&room.room),
                Cell::text(&name),
                Cell::text(role),
                Cell::text(if member.connected { "connected" } else { "absent" }),
                Cell::count(member.allocations),
                Cell::text(&member.id),
            ];
            let locked = if room.locked { "the room is locked · " } else { "" };
            let subject = Subject::Member { room: room.room.clone(), id: member.id.clone(), name };
            Row { subject, cells, details: format!("{locked}user {}", plain(&member.user)) }
        })
    });
    rows.collect()
}

fn user_rows(answer: &Usage) -> Vec<Row> {
    let began = format!("since {}", date(answer.since));
    let lost = match answer.lost_events {
        0 => String::new(),
        lost => format!(" · {} lost, so the figures are too low", count(lost, "event")),
    };
    let row = |user: &super::answers::User| Row {
        subject: Subject::User(user.user.clone()),
        cells: vec![
            Cell::text(&user.user),
            Cell::count(user.allocations),
            Cell::count(user.ended),
            amount(user.to_peer.bytes, bytes(user.to_peer.bytes)),
            amount(user.to_client.bytes, bytes(user.to_client.bytes)),
        ],
        details: format!(
            "{} to peers, {} to the client · {began}{lost}",
            count(user.to_peer.packets, "packet"),
            count(user.to_client.packets, "packet")
        ),
    };
    answer.users.iter().map(row).collect()
}

fn call_rows(answer: &Calls) -> Vec<Row> {
    let row = |call: &super::answers::Call| Row {
        subject: Subject::Call(call.room.clone()),
        cells: vec![
            Cell::text(&call.room),
            Cell::text(&date(seconds(call.began))),
            Cell::text(if call.ended.is_some() { "ended" } else { "goes on" }),
            Cell::count(call.members),
            Cell::count(call.events),
            Cell::count(call.dropped),
        ],
        details: "Enter shows the timeline".to_owned(),
    };
    answer.calls.iter().map(row).collect()
}

fn event_rows(answer: &Timeline) -> Vec<Row> {
    let names: BTreeMap<&str, &str> = answer
        .members
        .iter()
        .map(|member| (member.id.as_str(), member.name.as_deref().unwrap_or(&member.id)))
        .collect();
    let silent: Vec<String> = answer
        .members
        .iter()
        .filter(|member| !member.reports)
        .map(|member| plain(names.get(member.id.as_str()).unwrap_or(&"")))
        .collect();
    let row = |(number, event): (usize, &super::answers::CallEvent)| {
        let since = event.at - answer.began;
        let member = event.member.as_deref().unwrap_or_default();
        let mut details = plain(&event.text);
        if let Some(detail) =
            event.detail.as_ref().map(|detail| detail.get()).filter(|it| !["null", "{}"].contains(it))
        {
            details += &format!(" · {}", plain(detail));
        }
        if !silent.is_empty() {
            details += &format!(" · without reports: {}", plain(&silent.join(", ")));
        }
        Row {
            subject: Subject::Event(number),
            cells: vec![
                Cell::text(&event.text),
                Cell::number(since, format!("{:+.1}s", since.clamp(-1e6, 1e6))),
                Cell::text(names.get(member).unwrap_or(&member)),
                Cell::text(&event.source),
                Cell::text(&event.kind),
            ],
            details,
        }
    };
    answer.events.iter().enumerate().map(row).collect()
}

/// Seconds since 1970 as the server wrote them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "as casts of floats saturate")]
fn seconds(unix: f64) -> u64 {
    unix as u64
}

/// Date and time in UTC.
pub(super) fn date(unix: u64) -> String {
    /// The last second of the year 9999.
    const LATEST: u64 = 253_402_300_799;
    rfc3339(unix.min(LATEST)).replace('T', " ").replace('Z', "")
}
