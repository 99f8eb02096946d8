//! Report of an import: every option of the file with its lines and its outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::options::{Fate, OPTIONS};
use super::reader::{CoturnFile, NAMED};
use super::translation::Translation;

/// Returns the report. It has no value of the file, and so no secret.
pub(super) fn report(name: &str, file: &CoturnFile<'_>, translation: &Translation) -> String {
    let mut used = BTreeMap::<&str, Vec<usize>>::new();
    for entry in &file.entries {
        used.entry(entry.option.name).or_default().push(entry.line);
    }
    let mut rows = Vec::new();
    for option in OPTIONS {
        let Some(at) = used.get(option.name) else { continue };
        let (fate, text) = match translation.outcomes.get(option.name) {
            Some((fate, text)) => (*fate, text.as_str()),
            None => (option.fate, option.text),
        };
        rows.push((fate, option.name, lines(at), text));
    }
    rows.sort_by_key(|(fate, ..)| *fate);
    let count = |wanted| rows.iter().filter(|(fate, ..)| *fate == wanted).count();
    let mut out = format!(
        "{name}: {} taken, {} replaced, {} refused, {} unknown\n",
        count(Fate::Taken),
        count(Fate::Replaced),
        count(Fate::Refused),
        file.unknown.len()
    );
    let width =
        |column: fn(&(Fate, &'static str, String, &str)) -> usize| rows.iter().map(column).max().unwrap_or(0);
    let (names, places) = (width(|row| row.1.len()), width(|row| row.2.len()));
    let mut group = None;
    for (fate, option, at, text) in &rows {
        if group != Some(*fate) {
            group = Some(*fate);
            let _ = writeln!(out, "\n{fate}:");
        }
        let _ = writeln!(out, "  {option:names$}  {at:places$}  {text}");
    }
    if !file.unknown.is_empty() {
        let _ = writeln!(out, "\nunknown, which coturn ignores:");
    }
    for (line, guess) in file.unknown.iter().take(NAMED) {
        let guess = guess.map(|guess| format!("  did you mean `{guess}`?")).unwrap_or_default();
        let _ = writeln!(out, "  line {line}{guess}");
    }
    if let Some(more) = file.unknown.len().checked_sub(NAMED).filter(|more| *more > 0) {
        let _ = writeln!(out, "  and {more} more");
    }
    if !translation.notes.is_empty() {
        let _ = writeln!(out, "\nnotes:");
    }
    for note in translation.notes.iter().take(NAMED) {
        let _ = writeln!(out, "  {note}");
    }
    out
}

/// Names lines: "line 3", "lines 3 and 5", "lines 3, 5 and 5 more".
pub(super) fn lines(lines: &[usize]) -> String {
    const LISTED: usize = 4;
    match lines {
        [] => "no line".to_owned(),
        [one] => format!("line {one}"),
        [one, two] => format!("lines {one} and {two}"),
        all => {
            let named = &all[..all.len().min(LISTED)];
            let named = named.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            match all.len().saturating_sub(LISTED) {
                0 => format!("lines {named}"),
                more => format!("lines {named} and {more} more"),
            }
        }
    }
}
