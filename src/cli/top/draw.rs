//! Drawing of `byway top`. Whatever the size of the terminal, something is shown.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::screen::{Connection, Screen};
use super::table::{Column, Row};
use super::views::View;
use crate::cli::plain_text::plain;
use crate::cli::running_server::Unanswered;
use crate::cli::units::{count, rate, time};
use crate::fault::Fault;

/// Rows below which there are no details.
const FOR_DETAILS: u16 = 14;

/// Lines of the details.
const DETAILS: u16 = 3;

const KEYS: &[(&str, &str)] = &[
    ("1 2 3 4, Tab", "allocations, rooms, users, calls"),
    ("Up, Down, PageUp, PageDown, Home, End", "select a row"),
    ("s, S", "sort by the next or the previous column"),
    ("r", "reverse the order"),
    ("/", "filter: Enter keeps it, Esc clears it"),
    ("k", "remove the selected allocation or member"),
    ("Enter", "timeline of the selected room or call"),
    ("Esc", "back"),
    ("q", "quit"),
];

/// Style of the screen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Theme {
    /// Whether colours may be used (<https://no-color.org>).
    pub(super) has_colours: bool,
}

impl Theme {
    fn in_colour(self, colour: Color) -> Style {
        if self.has_colours { Style::new().fg(colour) } else { Style::new() }
    }

    fn good(self) -> Style {
        self.in_colour(Color::Green)
    }

    fn warning(self) -> Style {
        self.in_colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    fn bad(self) -> Style {
        self.in_colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    fn heading(self) -> Style {
        self.in_colour(Color::Cyan).add_modifier(Modifier::BOLD)
    }
}

const SELECTED: Style = Style::new().add_modifier(Modifier::REVERSED);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws the screen at a monotonic time.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen, now: Duration, theme: Theme) {
    let details = if frame.area().height >= FOR_DETAILS { DETAILS } else { 0 };
    let parts = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length(details),
        Constraint::Length(1),
    ]);
    let [summary, state, tabs, heading, rows, about, keys] = parts.areas(frame.area());
    frame.render_widget(Paragraph::new(summary_line(screen)), summary);
    frame.render_widget(Paragraph::new(state_line(screen, now, theme)), state);
    frame.render_widget(Paragraph::new(tabs_line(screen)), tabs);
    draw_table(frame, screen, heading, rows, theme);
    if let Some(row) = screen.table.rows.get(screen.selected).filter(|_| details > 0) {
        frame.render_widget(Paragraph::new(row.details.as_str()).wrap(Wrap { trim: true }), about);
    }
    frame.render_widget(Paragraph::new(keys_line(screen, theme)), keys);
    if let Some(removal) = &screen.question {
        let lines =
            vec![Line::from(removal.thing.as_str()), Line::from(""), Line::styled("y remove   n keep", BOLD)];
        draw_box(frame, " Remove? ", lines);
    } else if screen.has_help {
        let lines = KEYS
            .iter()
            .map(|(keys, does)| Line::from(vec![Span::styled(*keys, BOLD), format!("  {does}").into()]));
        draw_box(frame, " Keys ", lines.collect());
    }
}

fn summary_line(screen: &Screen) -> Line<'static> {
    let Some(status) = &screen.status else {
        return Line::styled("byway", BOLD);
    };
    let [up, down, between] = screen.rates;
    let facts = &status.facts;
    let mut parts = vec![
        count(facts.allocations, "allocation"),
        count(status.rooms, "room"),
        count(status.members, "member"),
        format!("{} to peers", rate(up)),
        format!("{} to clients", rate(down)),
    ];
    if facts.relayed.between_clients.bytes > 0 {
        parts.push(format!("{} between clients", rate(between)));
    }
    if let Some(cluster) = &facts.cluster {
        parts.push(format!("{} live", count(cluster.live().count() as u64 + 1, "node")));
    }
    let name = format!("byway {}", plain(&status.version));
    Line::from(vec![Span::styled(name, BOLD), Span::raw(format!("  {}", parts.join(" · ")))])
}

fn state_line(screen: &Screen, now: Duration, theme: Theme) -> Line<'static> {
    let source = plain(&screen.source);
    match &screen.connection {
        Connection::Begins => Line::from(format!("asking {source}")),
        Connection::Lost { reason: Unanswered { cause, remedy }, since } => {
            let old = match screen.status {
                Some(_) => format!(" (shown: {} ago)", time(now.saturating_sub(*since).as_secs())),
                None => String::new(),
            };
            let text = format!("{source}: {}: {remedy}. Asking again{old}", plain(cause));
            Line::styled(text, theme.bad())
        }
        Connection::Answers => answering_line(screen, &source, theme),
    }
}

fn answering_line(screen: &Screen, source: &str, theme: Theme) -> Line<'static> {
    let Some(status) = &screen.status else { return Line::default() };
    if let Some(part) = status.down.first() {
        return Line::styled(format!("down: {}{}", plain(part), more(status.down.len())), theme.bad());
    }
    if status.phase != "running" && !status.phase.is_empty() {
        return Line::styled(format!("{}: new clients are refused", plain(&status.phase)), theme.warning());
    }
    if let Some(line) = status.degraded.first() {
        let text = format!("degraded: {}{}", plain(line), more(status.degraded.len()));
        return Line::styled(text, theme.warning());
    }
    if let Some(cluster) = status.facts.cluster.as_ref().filter(|cluster| !cluster.connected) {
        let text = format!("no broker: {} (byway explain {})", plain(&cluster.broker), Fault::BusUnreachable);
        return Line::styled(text, theme.warning());
    }
    Line::from(vec![
        Span::styled("ok", theme.good()),
        Span::raw(format!("  {source}, process {}", status.pid)),
    ])
}

/// Number of lines that are not shown.
fn more(all: usize) -> String {
    if all > 1 { format!(" (and {} more: byway status)", all - 1) } else { String::new() }
}

fn tabs_line(screen: &Screen) -> Line<'static> {
    let mut spans = Vec::new();
    for (number, view) in View::ALL.iter().enumerate() {
        let is_shown = *view == screen.view;
        let total =
            screen.content.as_ref().filter(|_| is_shown).and_then(|content| content.as_ref().ok()?.total());
        let total = match total {
            Some((total, listed)) if total > listed as u64 => format!(" ({listed} of {total})"),
            _ => String::new(),
        };
        let style = if is_shown { SELECTED } else { Style::new() };
        spans.push(Span::styled(format!("{} {}{total}", number + 1, view.title()), style));
        spans.push(Span::raw("  "));
    }
    if let View::Timeline(room) = &screen.view {
        spans.push(Span::styled(format!("{} of {}", screen.view.title(), plain(room)), SELECTED));
        spans.push(Span::raw("  "));
    }
    if screen.is_typing || !screen.filter.is_empty() {
        let cursor = if screen.is_typing { "_" } else { "" };
        spans.push(Span::styled(format!("/{}{cursor}", plain(&screen.filter)), BOLD));
    }
    Line::from(spans)
}

fn draw_table(frame: &mut Frame<'_>, screen: &Screen, heading: Rect, rows: Rect, theme: Theme) {
    let table = &screen.table;
    let fitting = table.fitting(rows.width);
    let titles = fitting.iter().map(|(column, width)| {
        let arrow = match (*column == screen.order.column, screen.order.is_descending) {
            (true, true) => "↓",
            (true, false) => "↑",
            (false, _) => "",
        };
        let Column { title, is_number, .. } = table.columns[*column];
        padded(&format!("{title}{arrow}"), *width, is_number)
    });
    let titles = titles.collect::<Vec<_>>().join(" ");
    frame.render_widget(Paragraph::new(Line::styled(titles, theme.heading())), heading);
    if let Some(text) = placeholder(screen) {
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), rows);
        return;
    }
    let height = usize::from(rows.height);
    // The selected row is always among the shown ones.
    let first = (screen.selected + 1).saturating_sub(height);
    let lines = table.rows.iter().enumerate().skip(first).take(height).map(|(number, row)| {
        let style = if number == screen.selected { SELECTED } else { Style::new() };
        Line::styled(row_text(row, table.columns, &fitting), style)
    });
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), rows);
}

/// Text in the place of rows.
fn placeholder(screen: &Screen) -> Option<String> {
    match &screen.content {
        None if screen.connection == Connection::Answers => Some("asking the server".to_owned()),
        None => Some(String::new()),
        Some(Err(Unanswered { cause, remedy })) => Some(format!("{}: {remedy}", plain(cause))),
        Some(Ok(_)) if screen.table.rows.is_empty() => Some(match (&screen.view, screen.filter.is_empty()) {
            (_, false) => "no row has this text: Esc clears the filter".to_owned(),
            (View::Allocations, _) => "no allocations: no client uses the relay".to_owned(),
            (View::Rooms, _) => "no rooms".to_owned(),
            (View::Users, _) => "no client has used the relay yet".to_owned(),
            (View::Calls, _) => "no calls with a timeline".to_owned(),
            (View::Timeline(_), _) => "no events yet".to_owned(),
        }),
        Some(Ok(_)) => None,
    }
}

fn row_text(row: &Row, columns: &[Column], fitting: &[(usize, u16)]) -> String {
    let cells = fitting.iter().map(|(column, width)| {
        let shown = row.cells.get(*column).map_or("", |cell| cell.shown());
        padded(shown, *width, columns[*column].is_number)
    });
    cells.collect::<Vec<_>>().join(" ")
}

/// Cuts or pads a text to a width in cells. Wide characters take two.
fn padded(text: &str, width: u16, to_the_right: bool) -> String {
    let width = usize::from(width);
    let mut cut = text.to_owned();
    if Span::raw(text).width() > width {
        while !cut.is_empty() && Span::raw(cut.as_str()).width() + 1 > width {
            cut.pop();
        }
        if width > 0 {
            cut.push('…');
        }
    }
    let padding = " ".repeat(width.saturating_sub(Span::raw(cut.as_str()).width()));
    if to_the_right { padding + &cut } else { cut + &padding }
}

fn keys_line(screen: &Screen, theme: Theme) -> Line<'static> {
    if let Some(notice) = &screen.notice {
        return Line::styled(notice.clone(), theme.warning());
    }
    if screen.is_typing {
        return Line::from("Enter keep  Esc clear");
    }
    let enter = match screen.view {
        View::Rooms | View::Calls => "Enter timeline  ",
        View::Timeline(_) => "Esc back  ",
        View::Allocations | View::Users => "",
    };
    let remove = if matches!(screen.view, View::Allocations | View::Rooms) { "k remove  " } else { "" };
    Line::from(format!("q quit  ? keys  / filter  s sort  r reverse  {remove}{enter}"))
}

/// Draws a box in the middle, as large as its lines and the screen allow.
fn draw_box(frame: &mut Frame<'_>, title: &'static str, lines: Vec<Line<'_>>) {
    let area = frame.area();
    let longest = lines.iter().map(Line::width).max().unwrap_or_default().max(title.len()) + 4;
    let width = u16::try_from(longest).unwrap_or(u16::MAX).min(area.width);
    let inner = usize::from(width.saturating_sub(4).max(1));
    // Long lines are wrapped.
    let needed = lines.iter().map(|line| line.width().div_ceil(inner).max(1)).sum::<usize>() + 2;
    let height = u16::try_from(needed).unwrap_or(u16::MAX).min(area.height);
    let place =
        Rect { x: area.x + (area.width - width) / 2, y: area.y + (area.height - height) / 2, width, height };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(title).padding(ratatui::widgets::Padding::horizontal(1));
    frame.render_widget(Paragraph::new(lines).wrap(Wrap { trim: true }).block(block), place);
}
