//! `byway explain`: prints the entry of a fault in `docs/when-calls-fail.md`, which the binary
//! embeds.

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use terminal_size::{Width, terminal_size};

use super::CliError;
use crate::fault::Fault;

/// The document, which the page `/help` shows as a whole.
const DOCUMENT: &str = include_str!("../../docs/when-calls-fail.md");

/// Columns of a line of text, if the terminal has them.
const COLUMNS: usize = 100;

/// Fewest columns that text is wrapped to.
const NARROWEST: usize = 40;

/// Columns of the labels on the left.
const LABELS: usize = 10;

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub(super) struct ExplainArguments {
    /// Name of a fault, as `doctor`, `probe` and the page /check print it [default: list all]
    #[arg(value_name = "FAULT", hide_possible_values = true, value_parser = parser())]
    fault: Option<Fault>,
}

/// Accepts the names of faults, so that shells complete them and an error names the closest.
fn parser() -> impl TypedValueParser<Value = Fault> {
    PossibleValuesParser::new(Fault::ALL.iter().map(|fault| fault.name()))
        .map(|name| Fault::named(&name).expect("the parser accepts names of faults only"))
}

/// Prints the entry, or the names of all faults.
pub(super) fn run(arguments: &ExplainArguments) -> Result<(), CliError> {
    let available = terminal_size().map_or(COLUMNS, |(Width(columns), _)| usize::from(columns));
    let columns = available.clamp(NARROWEST, COLUMNS);
    let text = match arguments.fault {
        Some(fault) => entry(fault).text(columns),
        None => list(columns),
    };
    Ok(super::print(&text)?)
}

/// Entry of a fault in the document.
struct Entry {
    name: &'static str,
    /// One sentence.
    title: String,
    /// Labels such as "Cause", each with its text.
    parts: Vec<(String, String)>,
}

/// Reads an entry: a heading with the name, a sentence, and a list of labelled parts.
fn entry(fault: Fault) -> Entry {
    let name = fault.name();
    let heading = format!("\n### {name}\n");
    let (_, rest) = DOCUMENT.split_once(&heading).expect("a test keeps an entry for each fault");
    let rest = rest.split("\n#").next().unwrap_or(rest);
    let mut items = rest.split("\n- **");
    let title = plain(items.next().unwrap_or_default());
    let parts = items.filter_map(|item| item.split_once(":**"));
    let parts = parts.map(|(label, text)| (label.to_owned(), plain(text))).collect();
    Entry { name, title, parts }
}

impl Entry {
    fn text(&self, columns: usize) -> String {
        let mut out = wrapped(&format!("{}: {}", self.name, self.title), 0, columns);
        for (label, text) in &self.parts {
            let text = wrapped(text, LABELS, columns);
            out += &format!("\n{label:LABELS$}{}", text.trim_start());
        }
        out
    }
}

/// Lists all faults, each with its sentence.
fn list(columns: usize) -> String {
    let names = Fault::ALL.iter().map(|fault| fault.name().len()).max().unwrap_or_default() + 2;
    let mut out = String::new();
    for fault in Fault::ALL {
        let Entry { name, title, .. } = entry(*fault);
        out += &format!("{name:names$}{}", wrapped(&title, names, columns).trim_start());
    }
    out
}

/// Text on one line, with the names of links in place of links.
fn plain(markdown: &str) -> String {
    let mut out = String::new();
    let mut rest = markdown;
    while let Some((before, name, target, after)) = first_link(rest) {
        let file = target.split('#').next().unwrap_or_default();
        out.push_str(before);
        // Packages install the documents in one folder.
        match file {
            "" => out.push_str(name),
            _ if name == file => out += &format!("docs/{file}"),
            _ => out += &format!("{name} (docs/{file})"),
        }
        rest = after;
    }
    out.push_str(rest);
    out.replace("**", "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Splits a text into what stands before its first link, the link's name and target, and the rest.
fn first_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, name) = head.rsplit_once('[')?;
    let (target, after) = tail.split_once(')')?;
    Some((before, name, target, after))
}

/// Lines of at most `columns`, each indented. A command in backticks stays on one line.
fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    let (mut out, mut line) = (String::new(), String::new());
    for word in words(text) {
        if !line.is_empty() && indent + line.chars().count() + 1 + word.chars().count() > columns {
            out += &format!("{:indent$}{line}\n", "");
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    out + &format!("{:indent$}{line}\n", "")
}

/// Splits a text at the spaces outside of backticks.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut in_code = false;
    text.split(move |c: char| {
        in_code ^= c == '`';
        c == ' ' && !in_code
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_entry_has_a_sentence_and_its_parts() {
        for fault in Fault::ALL {
            let Entry { title, parts, .. } = entry(*fault);
            let labels: Vec<_> = parts.iter().map(|(label, _)| label.as_str()).collect();
            assert_eq!(labels, ["You see", "Cause", "Visitor", "Operator", "Confirm"], "{fault}");
            assert!(title.ends_with('.') && parts.iter().all(|(_, text)| !text.is_empty()), "{fault}");
        }
    }

    #[test]
    fn text_is_wrapped_outside_of_commands() {
        assert_eq!(
            wrapped("run `a long command` now or later", 2, 20),
            "  run\n  `a long command`\n  now or later\n"
        );
    }

    #[test]
    fn links_become_their_names() {
        assert_eq!(
            plain("see [that](#that) in [a.md](a.md#b)\n  or [b](b.md)."),
            "see that in docs/a.md or b (docs/b.md)."
        );
        assert_eq!(plain("set `[relay] ports` (any)"), "set `[relay] ports` (any)");
        assert_eq!(plain("`[relay] ports`, see [x](#x)"), "`[relay] ports`, see x");
    }

    #[test]
    fn the_list_names_every_fault() {
        let text = list(COLUMNS);
        for fault in Fault::ALL {
            assert!(text.contains(&format!("{fault} ")), "{fault}");
        }
    }
}
