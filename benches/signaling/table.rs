//! Medians and ratios in a readable table.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::server::Kind;

/// Figures of one server in one round.
#[derive(Default)]
pub(crate) struct Report(BTreeMap<String, f64>);

impl Report {
    pub(crate) fn set(&mut self, figure: &str, value: f64) {
        self.0.insert(figure.to_owned(), value);
    }

    /// Sets percentiles in milliseconds from sorted times.
    pub(crate) fn set_times(&mut self, figure: &str, times: &[Duration]) {
        for (name, share) in [("p50", 50), ("p99", 99)] {
            if let Some(time) = times.get(times.len() * share / 100) {
                self.set(&format!("{figure} {name}"), time.as_secs_f64() * 1e3);
            }
        }
    }
}

/// A line: figure, unit, and Byway's target.
type Line = (&'static str, &'static str, Option<Wanted>);

#[derive(Clone, Copy)]
enum Wanted {
    AtMost(f64),
    AtLeast(f64),
    /// A multiple of the figure of `peerjs-server`.
    OfPeerjs(f64),
    /// At most this amount above the named figure.
    Above(&'static str, f64),
}

const LINES: &[Line] = &[
    ("idle", "KiB per idle client", Some(Wanted::AtMost(12.0))),
    ("calling", "KiB after each sent a description of 5 kB", None),
    ("gathered", "idle clients joined per second", None),
    ("joins", "joins per second, of 2,000 due", Some(Wanted::AtLeast(1_990.0))),
    ("join p50", "ms from due to joined", None),
    ("join p99", "ms", None),
    ("signal p50", "ms from due to received", None),
    ("signal p99", "ms", Some(Wanted::OfPeerjs(1.0 / 3.0))),
    ("lost", "% of signals not received", Some(Wanted::AtMost(0.0))),
    ("busy", "% of a core under this load", None),
    ("late p50", "ms by which the generator is late", None),
    ("late p99", "ms", None),
    ("quiet p99", "ms per signal without joins", None),
    ("stalled p99", "ms per signal next to a stalled member", Some(Wanted::Above("quiet p99", 1.0))),
    ("closed", "times the member was closed as too slow", Some(Wanted::AtLeast(5.0))),
];

/// Maximum delay in milliseconds, at the 99th percentile, of a generator with its own core.
const DISTURBED: f64 = 1.0;

/// All reports so far.
#[derive(Default)]
pub(crate) struct Measured(Vec<(Kind, Report)>);

impl Measured {
    pub(crate) fn add(&mut self, kind: Kind, report: Report) {
        self.0.push((kind, report));
    }

    pub(crate) fn table(&self) -> String {
        let mut table = format!(
            "{:<12} {:>9} {:>9} {:>9} {:>9} {:>9} {:>8}  {:<24} of what\n",
            "figure", "byway", "peerjs", "floor", "thread", "threads", "/peerjs", "wanted"
        );
        for (figure, unit, wanted) in LINES {
            let [byway, peerjs, floor, thread, threads] = Kind::ALL.map(|kind| self.median(kind, figure));
            let ratio =
                byway.zip(peerjs).map(|(byway, peerjs)| byway / peerjs).filter(|ratio| ratio.is_finite());
            let wanted = wanted.map(|wanted| self.judged(figure, wanted)).unwrap_or_default();
            let [byway, peerjs, floor, thread, threads, ratio] =
                [byway, peerjs, floor, thread, threads, ratio].map(shown);
            let _ = writeln!(
                table,
                "{figure:<12} {byway:>9} {peerjs:>9} {floor:>9} {thread:>9} {threads:>9} {ratio:>8}  {wanted:<24} {unit}"
            );
        }
        for kind in Kind::ALL {
            if let Some(late) = self.median(kind, "late p99").filter(|late| *late > DISTURBED) {
                let name = kind.name();
                let _ = writeln!(
                    table,
                    "the machine was busy while {name} was measured: {late:.1} ms late at p99"
                );
            }
        }
        table
    }

    fn median(&self, kind: Kind, figure: &str) -> Option<f64> {
        let of_kind = self.0.iter().filter(|(of, _)| *of == kind);
        let mut values: Vec<f64> = of_kind.filter_map(|(_, report)| report.0.get(figure).copied()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Returns a target, and whether it is met.
    fn judged(&self, figure: &str, wanted: Wanted) -> String {
        let own = self.median(Kind::Byway, figure);
        let (text, bound) = match wanted {
            Wanted::AtMost(bound) => (format!("<= {bound}"), Some(bound)),
            Wanted::AtLeast(bound) => (format!(">= {bound}"), Some(bound)),
            Wanted::OfPeerjs(times) => {
                (format!("<= {times:.2} peerjs"), self.median(Kind::Peerjs, figure).map(|of| of * times))
            }
            Wanted::Above(other, by) => {
                (format!("<= {other} + {by}"), self.median(Kind::Byway, other).map(|of| of + by))
            }
        };
        match own.zip(bound) {
            None => format!("{text} ?"),
            Some((own, bound)) if own == bound || (own < bound) != matches!(wanted, Wanted::AtLeast(_)) => {
                format!("{text} ok")
            }
            Some(_) => format!("{text} MISSED"),
        }
    }
}

fn shown(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value >= 100.0 => format!("{value:.0}"),
        Some(value) if value < 0.1 => format!("{value:.3}"),
        Some(value) => format!("{value:.2}"),
    }
}
