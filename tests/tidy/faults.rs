//! Names of faults, which code, pages and documentation share.

use std::collections::BTreeSet;

use super::{file, none};

/// Document with an entry for each fault.
const DOCUMENT: &str = "docs/when-calls-fail.md";

/// Parts of an entry, in their order.
const PARTS: [&str; 5] = ["You see", "Cause", "Visitor", "Operator", "Confirm"];

#[test]
fn each_fault_has_an_entry_and_each_entry_a_fault() {
    let document = file(DOCUMENT);
    let (_, entries) = document.text.split_once("\n## The faults\n").expect("the document has entries");
    let entries = entries.split("\n## ").next().unwrap_or_default();
    let headings = entries.lines().filter_map(|line| line.strip_prefix("### "));
    let headings: Vec<_> = headings.map(str::to_owned).collect();
    let (described, named) = (BTreeSet::from_iter(headings.iter().cloned()), names());
    assert_eq!(headings.len(), described.len(), "an entry stands twice");
    none(
        &described.symmetric_difference(&named).map(|name| format!("{DOCUMENT}: {name}")).collect::<Vec<_>>(),
        "a fault of src/fault.rs without its entry, or an entry without its fault",
    );
}

#[test]
fn each_entry_says_what_one_sees_and_what_to_do() {
    let document = file(DOCUMENT);
    let mut offences = Vec::new();
    for name in names() {
        let entry = document.text.split_once(&format!("\n### {name}\n")).map_or("", |(_, rest)| rest);
        let entry = entry.split("\n#").next().unwrap_or_default();
        let labels = entry.lines().filter_map(|line| line.strip_prefix("- **")?.split(":**").next());
        if !labels.eq(PARTS) {
            offences.push(format!("{DOCUMENT}: {name}"));
        }
    }
    none(&offences, "an entry has a sentence, then a list: You see, Cause, Visitor, Operator, Confirm");
}

#[test]
fn a_symptom_leads_to_each_fault() {
    let document = file(DOCUMENT);
    let symptoms = document.text.split("\n## What to run\n").next().unwrap_or_default();
    let unreached = names().into_iter().filter(|name| !symptoms.contains(&format!("(#{name})")));
    none(&unreached.collect::<Vec<_>>(), "a fault that no row of the symptoms leads to");
}

#[test]
fn the_check_and_the_scenarios_name_faults_that_exist() {
    let (known, mut offences, mut named) = (names(), Vec::new(), 0);
    // `"reason": ["check", "state", "fault"],` and `{ name: "fault", what: ...`
    let check = file("static/check/finding.js");
    let of_check = check.text.lines().filter_map(|line| {
        let parts: Vec<_> = line.trim().split_once(": [\"")?.1.split('"').collect();
        parts.get(4).filter(|fault| !fault.is_empty()).map(|fault| (&check.path, *fault))
    });
    let scenarios = file("tests/e2e/faults/faults.mjs");
    let of_scenarios = scenarios.text.lines().filter_map(|line| {
        let name = line.trim().strip_prefix("{ name: \"")?.split('"').next()?;
        Some((&scenarios.path, name))
    });
    for (path, fault) in of_check.chain(of_scenarios) {
        named += 1;
        if !known.contains(fault) {
            offences.push(format!("{path}: {fault}"));
        }
    }
    assert!(named > 40, "the form of these files has changed: {named}");
    none(&offences, "a name that src/fault.rs does not have");
}

/// Names in `src/fault.rs`.
fn names() -> BTreeSet<String> {
    let faults = file("src/fault.rs");
    let named = faults.text.lines().filter_map(|line| line.trim().strip_suffix("\",")?.split_once(" = \""));
    let names: BTreeSet<_> = named.map(|(_, name)| name.to_owned()).collect();
    assert!(names.len() > 30, "the form of src/fault.rs has changed");
    names
}
