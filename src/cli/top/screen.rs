//! State of `byway top`: the view, the order, the filter, the selection and a question. It knows no
//! terminal and no clock.

use std::collections::BTreeMap;
use std::time::Duration;

use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::answers::{Status, Traffic};
use super::table::{Order, Subject, Table};
use super::views::{Content, Rates, View};
use crate::cli::plain_text::plain;
use crate::cli::running_server::{Unanswered, escaped};
use crate::cli::units::bits_per_second;

/// Characters of a filter.
const LONGEST_FILTER: usize = 64;

/// Lines that PageUp and PageDown move by.
const PAGE: usize = 10;

/// Request for the caller of [`Screen::on`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// End the program.
    Quit,
    /// Ask the server at once.
    Refresh,
    /// Send `DELETE` for this path.
    Remove(Removal),
}

/// Allocation or member to remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Removal {
    /// Path of the request.
    pub(super) path: String,
    /// Name of the thing, safe for a terminal.
    pub(super) thing: String,
}

/// State of the connection to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Connection {
    /// No answer has come yet.
    Begins,
    /// The last request was answered.
    Answers,
    /// The last request was not answered.
    Lost {
        /// Reason.
        reason: Unanswered,
        /// Time of the last answer.
        since: Duration,
    },
}

/// Answer to one round of requests.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// View that was asked for.
    pub(super) view: View,
    /// State of the server.
    pub(super) status: Status,
    /// Content of the view, or the reason for which there is none.
    pub(super) content: Result<Content, Unanswered>,
}

/// State of the screen.
pub(super) struct Screen {
    /// Listener that is asked.
    pub(super) source: String,
    /// Whether removals are possible.
    pub(super) may_remove: bool,
    pub(super) view: View,
    pub(super) connection: Connection,
    pub(super) status: Option<Status>,
    /// Bits per second of all clients: to peers, to clients, between clients.
    pub(super) rates: [u64; 3],
    /// Content of the view, or the reason for which there is none.
    pub(super) content: Option<Result<Content, Unanswered>>,
    /// Rows of the view, sorted and filtered.
    pub(super) table: Table,
    pub(super) order: Order,
    pub(super) filter: String,
    /// Whether keys are typed into the filter.
    pub(super) is_typing: bool,
    /// Selected row.
    pub(super) selected: usize,
    /// Removal that waits for the user's word.
    pub(super) question: Option<Removal>,
    /// Whether the keys are listed.
    pub(super) has_help: bool,
    /// Outcome of the last request of the user.
    pub(super) notice: Option<String>,
    allocation_rates: Rates,
    /// Bytes of each allocation at the time of the last answer, to its peers and to its client.
    last_allocations: (Duration, BTreeMap<String, (u64, u64)>),
    /// Bytes of all clients, likewise.
    last_relayed: Option<(Duration, [u64; 3])>,
    last_answer: Duration,
}

impl Screen {
    /// A screen before the first answer.
    pub(super) fn new(source: String, may_remove: bool) -> Self {
        let view = View::Allocations;
        Self {
            source,
            may_remove,
            connection: Connection::Begins,
            status: None,
            rates: [0; 3],
            content: None,
            table: Table { columns: view.columns(), rows: Vec::new() },
            order: view.usual_order(),
            view,
            filter: String::new(),
            is_typing: false,
            selected: 0,
            question: None,
            has_help: false,
            notice: None,
            allocation_rates: BTreeMap::new(),
            last_allocations: Default::default(),
            last_relayed: None,
            last_answer: Duration::ZERO,
        }
    }

    /// Takes in an answer that came at a monotonic time.
    pub(super) fn answered(&mut self, now: Duration, answer: Result<Answer, Unanswered>) {
        let Answer { view, status, content } = match answer {
            Ok(answer) => answer,
            Err(reason) => {
                self.connection = Connection::Lost { reason, since: self.last_answer };
                // A server that starts again counts from zero.
                self.last_relayed = None;
                self.rates = [0; 3];
                return;
            }
        };
        self.connection = Connection::Answers;
        self.last_answer = now;
        self.measure(now, &status);
        self.status = Some(status);
        // The user may look at another view by now.
        if view == self.view {
            if let Ok(Content::Allocations(answer)) = &content {
                let bytes = |traffic: Traffic| traffic.bytes;
                let counted = answer.allocations.iter();
                let counted =
                    counted.map(|it| (it.id.clone(), (bytes(it.to_peer), bytes(it.to_client)))).collect();
                self.measure_allocations(now, counted);
            }
            self.content = Some(content);
            self.tabulate();
        }
    }

    /// Takes in the outcome of a removal: the status of the answer.
    pub(super) fn removed(&mut self, thing: &str, outcome: Result<u16, Unanswered>) {
        self.notice = Some(match outcome {
            Ok(204) => format!("removed: {thing}"),
            Ok(404) => format!("gone already: {thing}"),
            Ok(status) => format!("not removed: {thing}: the server answered {status}"),
            Err(Unanswered { cause, remedy }) => format!("not removed: {thing}: {}: {remedy}", plain(&cause)),
        });
    }

    /// Takes in an event of the terminal.
    pub(super) fn on(&mut self, event: &Event) -> Option<Wish> {
        match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => self.on_key(*key),
            _ => None,
        }
    }

    fn on_key(&mut self, key: KeyEvent) -> Option<Wish> {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Wish::Quit),
                KeyCode::Char('u') if self.is_typing => {
                    self.filter.clear();
                    self.tabulate();
                    None
                }
                _ => None,
            };
        }
        if self.question.is_some() {
            return self.on_word(key.code);
        }
        if self.is_typing {
            self.on_filter(key.code);
            return None;
        }
        self.notice = None;
        if self.has_help {
            self.has_help = false;
            return None;
        }
        self.on_command(key.code)
    }

    /// The user confirms a removal, or does not. Other keys do nothing: they were for the list.
    fn on_word(&mut self, code: KeyCode) -> Option<Wish> {
        match code {
            KeyCode::Char('y') => self.question.take().map(Wish::Remove),
            KeyCode::Char('n') | KeyCode::Esc => {
                self.question = None;
                None
            }
            _ => None,
        }
    }

    fn on_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => self.is_typing = false,
            KeyCode::Esc => {
                self.is_typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(c) if self.filter.chars().count() < LONGEST_FILTER => self.filter.push(c),
            _ => return,
        }
        self.tabulate();
    }

    fn on_command(&mut self, code: KeyCode) -> Option<Wish> {
        match code {
            KeyCode::Char('q') => return Some(Wish::Quit),
            KeyCode::Char('?' | 'h') => self.has_help = true,
            KeyCode::Char(digit @ '1'..='4') => {
                return self.show(View::ALL[digit as usize - '1' as usize].clone());
            }
            KeyCode::Tab => return self.show_next(1),
            KeyCode::BackTab => return self.show_next(View::ALL.len() - 1),
            KeyCode::Enter => return self.explain(),
            KeyCode::Esc => return self.leave(),
            KeyCode::Up => self.select(self.selected.saturating_sub(1)),
            KeyCode::Down => self.select(self.selected.saturating_add(1)),
            KeyCode::PageUp => self.select(self.selected.saturating_sub(PAGE)),
            KeyCode::PageDown => self.select(self.selected.saturating_add(PAGE)),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Char('s' | '>') | KeyCode::Right => self.sort_by_next(1),
            KeyCode::Char('S' | '<') | KeyCode::Left => self.sort_by_next(self.view.columns().len() - 1),
            KeyCode::Char('r') => {
                self.order.is_descending = !self.order.is_descending;
                self.tabulate();
            }
            KeyCode::Char('/') => self.is_typing = true,
            KeyCode::Char('k') => self.ask_to_remove(),
            _ => {}
        }
        None
    }

    fn show(&mut self, view: View) -> Option<Wish> {
        if view == self.view {
            return None;
        }
        self.order = view.usual_order();
        self.table = Table { columns: view.columns(), rows: Vec::new() };
        self.view = view;
        self.content = None;
        self.selected = 0;
        self.filter.clear();
        self.last_allocations = Default::default();
        self.allocation_rates.clear();
        Some(Wish::Refresh)
    }

    fn show_next(&mut self, steps: usize) -> Option<Wish> {
        let listed = if let View::Timeline(_) = self.view { &View::Calls } else { &self.view };
        let at = View::ALL.iter().position(|view| view == listed).unwrap_or_default();
        self.show(View::ALL[(at + steps) % View::ALL.len()].clone())
    }

    /// Shows the timeline of the selected room.
    fn explain(&mut self) -> Option<Wish> {
        match self.subject()? {
            Subject::Member { room, .. } | Subject::Call(room) => self.show(View::Timeline(room)),
            _ => None,
        }
    }

    /// Clears the filter, or leaves a timeline.
    fn leave(&mut self) -> Option<Wish> {
        if !self.filter.is_empty() {
            self.filter.clear();
            self.tabulate();
            return None;
        }
        if let View::Timeline(_) = self.view { self.show(View::Calls) } else { None }
    }

    fn sort_by_next(&mut self, steps: usize) {
        let columns = self.view.columns();
        let column = (self.order.column + steps) % columns.len();
        self.order = Order { column, is_descending: columns[column].is_number };
        self.tabulate();
    }

    fn ask_to_remove(&mut self) {
        let Some(subject) = self.subject() else { return };
        let removal = match subject {
            Subject::Allocation { id, user } => Removal {
                path: format!("/allocations/{}", escaped(&id)),
                thing: format!("allocation {} of {}", plain(&id), plain(&user)),
            },
            Subject::Member { room, id, name } => Removal {
                path: format!("/rooms/{}/members/{}", escaped(&room), escaped(&id)),
                thing: format!(
                    "{} in room {}",
                    plain(if name.is_empty() { &id } else { &name }),
                    plain(&room)
                ),
            },
            Subject::User(_) | Subject::Call(_) | Subject::Event(_) => {
                self.notice = Some("k removes allocations and members: press 1 or 2".to_owned());
                return;
            }
        };
        match self.may_remove {
            true => self.question = Some(removal),
            false => {
                self.notice = Some(
                    "the TCP listener removes nothing: add \"unix:/run/byway/admin.sock\" to `admin` under [listen]"
                        .to_owned(),
                );
            }
        }
    }

    fn subject(&self) -> Option<Subject> {
        self.table.rows.get(self.selected).map(|row| row.subject.clone())
    }

    fn select(&mut self, row: usize) {
        self.selected = row.min(self.table.rows.len().saturating_sub(1));
    }

    /// Makes the rows of the content. The same thing stays selected wherever it moves to.
    fn tabulate(&mut self) {
        let Some(Ok(content)) = &self.content else {
            self.table.rows.clear();
            self.selected = 0;
            return;
        };
        let selected = self.subject();
        self.table = content.table(&self.allocation_rates);
        self.table.filter(&self.filter);
        self.table.sort(self.order);
        let at = selected.and_then(|it| self.table.rows.iter().position(|row| row.subject == it));
        self.select(at.unwrap_or(self.selected));
    }

    fn measure(&mut self, now: Duration, status: &Status) {
        let relayed = &status.facts.relayed;
        let counted = [relayed.to_peer, relayed.to_client, relayed.between_clients].map(|it| it.bytes);
        self.rates = match self.last_relayed {
            Some((then, last)) => {
                let more = |at: usize| counted[at].saturating_sub(last[at]);
                [0, 1, 2].map(|at| bits_per_second(more(at), now.saturating_sub(then)))
            }
            None => [0; 3],
        };
        self.last_relayed = Some((now, counted));
    }

    fn measure_allocations(&mut self, now: Duration, counted: BTreeMap<String, (u64, u64)>) {
        let (then, last) = &self.last_allocations;
        let time = now.saturating_sub(*then);
        let rate = |id: &String, (up, down): &(u64, u64)| {
            let (up_then, down_then) = last.get(id)?;
            let rate = |now: u64, then: u64| bits_per_second(now.saturating_sub(then), time);
            Some((id.clone(), (rate(*up, *up_then), rate(*down, *down_then))))
        };
        self.allocation_rates = counted.iter().filter_map(|(id, bytes)| rate(id, bytes)).collect();
        self.last_allocations = (now, counted);
    }
}
