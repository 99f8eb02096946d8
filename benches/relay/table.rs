//! Medians and ratios in a readable table.

use std::fmt::Write as _;

use serde_json::Value;

use crate::rows::{Figure, Row, Wanted};
use crate::server::Kind;

/// All reports so far.
#[derive(Default)]
pub(crate) struct Measured(Vec<(&'static str, Kind, Value)>);

impl Measured {
    pub(crate) fn add(&mut self, row: &Row, kind: Kind, report: Value) {
        self.0.push((row.name, kind, report));
    }

    /// Returns the table, with one line for each figure of each row.
    pub(crate) fn table(&self, rows: &[&Row]) -> String {
        let mut table = format!(
            "{:<13} {:<14} {:>8} {:>8} {:>8} {:>8} {:>8}  {:<28} what\n",
            "row", "figure", "byway", "coturn", "floor", "/coturn", "/floor", "wanted"
        );
        for row in rows {
            for (place, figure) in row.figures.iter().enumerate() {
                let [byway, coturn, floor] = Kind::ALL.map(|kind| self.median(row.name, kind, figure));
                let ratio = |of: Option<f64>| byway.zip(of).map(|(byway, of)| byway / of);
                let limits = if place == 0 { self.limited(row.name) } else { String::new() };
                let _ = writeln!(
                    table,
                    "{:<13} {:<14} {:>8} {:>8} {:>8} {:>8} {:>8}  {:<28} {}{limits}",
                    if place == 0 { row.name } else { "" },
                    figure.unit,
                    shown(byway),
                    shown(coturn),
                    shown(floor),
                    shown(ratio(coturn)),
                    shown(ratio(floor)),
                    figure
                        .wanted
                        .iter()
                        .map(|wanted| self.judged(row, figure, wanted))
                        .collect::<Vec<_>>()
                        .join(", "),
                    if place == 0 { row.what } else { "" },
                );
            }
        }
        table
    }

    fn median(&self, row: &str, kind: Kind, figure: &Figure) -> Option<f64> {
        let of_row = self.0.iter().filter(|(name, of, _)| (*name, *of) == (row, kind));
        let mut values: Vec<f64> = of_row.filter_map(|(.., report)| (figure.read)(report)).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Returns a target, and whether it is met.
    fn judged(&self, row: &Row, figure: &Figure, wanted: &Wanted) -> String {
        let own = self.median(row.name, Kind::Byway, figure);
        let (text, bound, is_lower) = match *wanted {
            Wanted::Of(kind, times) => {
                let of = self.median(row.name, kind, figure);
                (format!("{times} {}", kind.name()), of.map(|of| of * times), false)
            }
            Wanted::OfRow(other, times) => (
                format!("{times} {other}"),
                self.median(other, Kind::Byway, figure).map(|of| of * times),
                false,
            ),
            Wanted::AtLeastRow(other, times) => (
                format!(">= {times} {other}"),
                self.median(other, Kind::Byway, figure).map(|of| of * times),
                true,
            ),
            Wanted::AtMost(bound) => (bound.to_string(), Some(bound), false),
        };
        match own.zip(bound) {
            None => format!("{text} ?"),
            Some((own, bound)) if (own <= bound) != is_lower => format!("{text} ok"),
            Some(_) => format!("{text} MISSED"),
        }
    }

    /// Names the servers with which the generator was the limit.
    fn limited(&self, row: &str) -> String {
        let is_limited = |kind: &Kind| {
            let of_row = self.0.iter().filter(|(name, of, _)| (*name, of) == (row, kind));
            of_row.filter(|(.., report)| report["generator_limit"].is_string()).count() > 0
        };
        let names: Vec<_> =
            Kind::ALL.iter().filter(|kind| is_limited(kind)).map(|kind| kind.name()).collect();
        if names.is_empty() {
            String::new()
        } else {
            format!(" (generator at its limit with {})", names.join(", "))
        }
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) => format!("{value:.2}"),
    }
}
