//! Tables: rows that are sorted, filtered and cut to the width of the terminal.

use std::cmp::Ordering;

use crate::cli::plain_text::plain;

/// Column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    /// Heading.
    pub(super) title: &'static str,
    /// Width in cells. The first column of a table takes what the others leave, and has at least
    /// this.
    pub(super) width: u16,
    /// Rank: where a terminal is too narrow, the columns of the highest ranks are left out.
    pub(super) rank: u8,
    /// Whether it is aligned to the right.
    pub(super) is_number: bool,
}

impl Column {
    /// Column of text.
    pub(super) const fn text(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, rank, is_number: false }
    }

    /// Column of numbers.
    pub(super) const fn number(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, width, rank, is_number: true }
    }
}

/// Value that a column is sorted by.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    Number(f64),
}

/// Cell of a row. Its text is safe for a terminal.
#[derive(Clone, Debug)]
pub(super) struct Cell {
    shown: String,
    value: Value,
}

impl Cell {
    /// Text, which may come from anybody.
    pub(super) fn text(text: &str) -> Self {
        let shown = plain(text);
        Self { value: Value::Text(shown.to_lowercase()), shown }
    }

    /// Number, shown as `text`.
    pub(super) fn number(number: f64, text: String) -> Self {
        Self { shown: text, value: Value::Number(number) }
    }

    /// Number, shown as it is, or not at all if it is 0.
    #[expect(clippy::cast_precision_loss, reason = "only the order matters")]
    pub(super) fn count(number: u64) -> Self {
        Self::number(number as f64, if number == 0 { "-".to_owned() } else { number.to_string() })
    }

    /// Text of the cell.
    pub(super) fn shown(&self) -> &str {
        &self.shown
    }
}

/// Subject of a row, as the server names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Allocation with this id, of this user.
    Allocation { id: String, user: String },
    /// Member of a room.
    Member { room: String, id: String, name: String },
    /// User of the relay.
    User(String),
    /// Call in a room.
    Call(String),
    /// Event of a call, by its number.
    Event(usize),
}

/// Row of a table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) subject: Subject,
    /// One for each column.
    pub(super) cells: Vec<Cell>,
    /// Text about the row that no column has, safe for a terminal.
    pub(super) details: String,
}

/// Table of a view.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) columns: &'static [Column],
    pub(super) rows: Vec<Row>,
}

/// Order of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    /// Column to sort by.
    pub(super) column: usize,
    /// Whether the largest comes first.
    pub(super) is_descending: bool,
}

impl Table {
    /// Sorts the rows. Equal rows keep their order, so that a list does not tremble.
    pub(super) fn sort(&mut self, order: Order) {
        let value = |row: &Row| row.cells.get(order.column).map(|cell| cell.value.clone());
        self.rows.sort_by(|a, b| {
            let ascending = match (value(a), value(b)) {
                (Some(Value::Text(a)), Some(Value::Text(b))) => a.cmp(&b),
                (Some(Value::Number(a)), Some(Value::Number(b))) => a.total_cmp(&b),
                _ => Ordering::Equal,
            };
            if order.is_descending { ascending.reverse() } else { ascending }
        });
    }

    /// Keeps the rows of which a cell or the details have this text, in upper or lower case.
    pub(super) fn filter(&mut self, text: &str) {
        let text = text.to_lowercase();
        let has = |shown: &str| shown.to_lowercase().contains(&text);
        self.rows.retain(|row| has(&row.details) || row.cells.iter().any(|cell| has(&cell.shown)));
    }

    /// Columns that fit into a width, each with its own.
    pub(super) fn fitting(&self, width: u16) -> Vec<(usize, u16)> {
        let mut fitting: Vec<usize> = (0..self.columns.len()).collect();
        let taken = |columns: &[usize]| {
            let widths = columns.iter().map(|column| u32::from(self.columns[*column].width) + 1);
            widths.sum::<u32>().saturating_sub(1)
        };
        while fitting.len() > 1 && taken(&fitting) > width.into() {
            let last =
                fitting.iter().skip(1).copied().max_by_key(|column| (self.columns[*column].rank, *column));
            fitting.retain(|column| Some(*column) != last);
        }
        let spare = u32::from(width).saturating_sub(taken(&fitting));
        let spare = u16::try_from(spare).unwrap_or(0);
        let own = |column: usize| self.columns[column].width + if column == 0 { spare } else { 0 };
        fitting.into_iter().map(|column| (column, own(column).min(width))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] =
        &[Column::text("NAME", 8, 0), Column::number("BYTES", 6, 1), Column::number("AGE", 4, 2)];

    fn table() -> Table {
        let row = |name: &str, bytes, age| Row {
            subject: Subject::User(name.to_owned()),
            cells: vec![Cell::text(name), Cell::count(bytes), Cell::count(age)],
            details: format!("details of {name}"),
        };
        Table { columns: COLUMNS, rows: vec![row("Zoë", 9, 2), row("ann", 100, 2), row("Bo\u{1b}b", 20, 1)] }
    }

    fn names(table: &Table) -> Vec<&str> {
        table.rows.iter().map(|row| row.cells[0].shown()).collect()
    }

    #[test]
    fn numbers_are_sorted_as_numbers_and_names_without_case() {
        let mut table = table();
        let sorted = |table: &mut Table, column, is_descending| {
            table.sort(Order { column, is_descending });
            names(table).iter().map(|name| name.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(sorted(&mut table, 1, true), ["ann", "Bo\u{fffd}b", "Zoë"]);
        assert_eq!(sorted(&mut table, 0, false), ["ann", "Bo\u{fffd}b", "Zoë"]);
        assert_eq!(sorted(&mut table, 2, true), ["ann", "Zoë", "Bo\u{fffd}b"], "equal rows keep their order");
        sorted(&mut table, 17, true);
    }

    #[test]
    fn a_filter_reads_cells_and_details() {
        let left = |text: &str| {
            let mut table = table();
            table.filter(text);
            table.rows.len()
        };
        assert_eq!([left(""), left("ZOË"), left("100"), left("DETAILS OF"), left("nobody")], [3, 1, 1, 3, 0]);
    }

    #[test]
    fn narrow_terminals_lose_the_columns_of_the_highest_rank() {
        let table = table();
        assert_eq!(table.fitting(30), [(0, 18), (1, 6), (2, 4)]);
        assert_eq!(table.fitting(20), [(0, 8), (1, 6), (2, 4)]);
        assert_eq!(table.fitting(19), [(0, 12), (1, 6)]);
        assert_eq!(table.fitting(9), [(0, 9)]);
        assert_eq!(table.fitting(3), [(0, 3)]);
        assert_eq!(table.fitting(0), [(0, 0)]);
        assert_eq!(table.fitting(u16::MAX).len(), 3);
    }
}
