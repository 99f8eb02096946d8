//! Report: all findings, as text or as JSON.

use serde::Serialize;

use crate::diagnosis::finding::printable;
use crate::diagnosis::{Finding, State};

use super::service::RunsAs;

/// Findings about one part of the installation.
#[derive(Debug)]
pub(super) struct Section {
    name: &'static str,
    findings: Vec<Finding>,
}

/// All findings.
#[derive(Debug)]
pub(super) struct Report {
    user: String,
    because: String,
    configuration: String,
    sections: Vec<Section>,
}

/// Finding with its section. These names are stable.
#[derive(Serialize)]
struct Record<'a> {
    section: &'a str,
    #[serde(flatten)]
    finding: &'a Finding,
}

/// The JSON of `--json`. These names are stable.
#[derive(Serialize)]
struct Records<'a> {
    user: &'a str,
    configuration: &'a str,
    ok: bool,
    findings: Vec<Record<'a>>,
}

impl Report {
    pub(super) fn new(runs_as: &RunsAs, configuration: &str) -> Self {
        Self {
            user: runs_as.name.clone(),
            because: runs_as.because.clone(),
            configuration: configuration.to_owned(),
            sections: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, name: &'static str, findings: Vec<Finding>) {
        self.sections.push(Section { name, findings });
    }

    fn all(&self) -> impl Iterator<Item = &Finding> {
        self.sections.iter().flat_map(|section| &section.findings)
    }

    pub(super) fn has_failed(&self) -> bool {
        self.all().any(Finding::is_failure)
    }

    pub(super) fn text(&self) -> String {
        let Self { user, because, configuration, sections } = self;
        let mut text =
            printable(&format!("byway doctor as user {user} ({because}), with {configuration}")) + "\n";
        for Section { name, findings } in sections.iter().filter(|section| !section.findings.is_empty()) {
            text += &format!("\n{name}\n");
            for finding in findings {
                text += &format!("{finding}\n");
            }
        }
        let count = |state| self.all().filter(|finding| finding.state == state).count();
        let (failed, warnings) = (count(State::Failed), count(State::Warning));
        let (ok, skipped) = (count(State::Ok), count(State::Skipped));
        text += &format!("\n{failed} failed, {warnings} warnings, {skipped} skipped, {ok} ok\n");
        text
    }

    pub(super) fn json(&self) -> serde_json::Result<String> {
        let records = self.sections.iter().flat_map(|section| {
            section.findings.iter().map(|finding| Record { section: section.name, finding })
        });
        let records = Records {
            user: &self.user,
            configuration: &self.configuration,
            ok: !self.has_failed(),
            findings: records.collect(),
        };
        Ok(serde_json::to_string_pretty(&records)? + "\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Fault;

    #[test]
    fn a_report_has_its_user_first_and_its_counts_last() {
        let runs_as = RunsAs { name: "byway".to_owned(), because: "the user of byway.service".to_owned() };
        let mut report = Report::new(&runs_as, "/etc/byway/turnserver.toml");
        report.add("configuration", vec![Finding::ok("configuration", "valid")]);
        report.add("names", Vec::new());
        report.add("clock", vec![Finding::failed(Fault::ClockOff, "wrong", "2 h behind", "set it")]);
        assert_eq!(
            report.text(),
            "byway doctor as user byway (the user of byway.service), with /etc/byway/turnserver.toml\n\n\
             configuration\nok       configuration: valid\n\n\
             clock\nfailed   wrong: 2 h behind\n         remedy: set it\n         more: byway explain clock-off\n\n\
             1 failed, 0 warnings, 0 skipped, 1 ok\n"
        );
        let json: serde_json::Value = serde_json::from_str(&report.json().unwrap()).unwrap();
        assert_eq!(json["ok"], false);
        assert_eq!(json["findings"][1]["section"], "clock");
        assert_eq!(json["findings"][1]["fault"], "clock-off");
    }
}
