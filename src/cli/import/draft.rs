//! The new configuration before it is text: its settings, each with the options it came from.

use std::fmt::Write as _;

use super::fault::Fault;
use crate::cli::new_configuration::quoted;
use crate::config::{Config, ConfigError, EMBEDDED};

/// An option and its line in coturn's file; no line for a default of coturn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) option: &'static str,
    pub(super) line: Option<usize>,
}

/// One value in TOML.
#[derive(Clone)]
pub(super) struct Item {
    literal: String,
    is_secret: bool,
    origin: Origin,
}

impl Item {
    /// A string.
    pub(super) fn text(text: &str, origin: Origin) -> Self {
        Self { literal: quoted(text), is_secret: false, origin }
    }

    /// A string that `--dry-run` hides.
    pub(super) fn secret(text: &str, origin: Origin) -> Self {
        Self { is_secret: true, ..Self::text(text, origin) }
    }

    /// A number.
    pub(super) fn number(number: u64, origin: Origin) -> Self {
        Self { literal: number.to_string(), is_secret: false, origin }
    }
}

/// Value of a key.
enum Value {
    One(Item),
    List(Vec<Item>),
}

/// One key with its value.
struct Setting {
    section: &'static str,
    key: &'static str,
    value: Value,
    /// Options beside those of the items.
    origins: Vec<Origin>,
    /// A reason for a value that no option has.
    remark: &'static str,
}

/// The settings of the new configuration, in the order of its sections.
#[derive(Default)]
pub(super) struct Draft {
    settings: Vec<Setting>,
}

/// A configuration as text.
pub(super) struct Rendered {
    pub(super) text: String,
    /// For each line of the text its origin.
    origins: Vec<Option<Origin>>,
}

impl Draft {
    /// Adds a key with one value, and the further options behind it.
    pub(super) fn set(&mut self, section: &'static str, key: &'static str, item: Item, further: &[Origin]) {
        self.settings.push(Setting {
            section,
            key,
            value: Value::One(item),
            origins: further.to_vec(),
            remark: "",
        });
    }

    /// Adds a key with a value that no option has.
    pub(super) fn set_anyway(
        &mut self,
        section: &'static str,
        key: &'static str,
        item: Item,
        remark: &'static str,
    ) {
        self.settings.push(Setting { section, key, value: Value::One(item), origins: Vec::new(), remark });
    }

    /// Adds a key with a list, and the further options behind it.
    pub(super) fn list(
        &mut self,
        section: &'static str,
        key: &'static str,
        items: Vec<Item>,
        further: &[Origin],
    ) {
        let value = Value::List(items);
        self.settings.push(Setting { section, key, value, origins: further.to_vec(), remark: "" });
    }

    /// Adds a static user.
    pub(super) fn user(&mut self, name: &str, password: &str, origin: Origin) {
        self.set("[users]", "name", Item::text(name, origin), &[]);
        self.set("[users]", "password", Item::secret(password, origin), &[]);
    }

    /// Writes the settings that differ from the default. `hides` replaces secrets by an ellipsis.
    pub(super) fn render(&self, file: &str, hides: bool) -> Rendered {
        let mut out = Rendered { text: String::new(), origins: Vec::new() };
        out.line(
            &format!(
                "# Imported by `byway import` from {}. Lines are those of that file.",
                file.escape_debug()
            ),
            None,
        );
        out.line("# Keys that are not here have their default: docs/configuration.md.", None);
        let mut section = "";
        for setting in self.settings.iter().filter(|setting| !setting.is_default()) {
            let begins =
                setting.section != section || (setting.section == "[users]" && setting.key == "name");
            if begins {
                section = setting.section;
                out.line("", None);
                out.line(&format!("[{section}]"), None);
            } else if section.is_empty() {
                out.line("", None);
            }
            setting.render(&mut out, hides);
        }
        out
    }
}

impl Setting {
    fn items(&self) -> &[Item] {
        match &self.value {
            Value::One(item) => std::slice::from_ref(item),
            Value::List(items) => items,
        }
    }

    fn on_one_line(&self) -> String {
        let literals: Vec<_> = self.items().iter().map(|item| item.literal.as_str()).collect();
        match self.value {
            Value::One(_) => literals.concat(),
            Value::List(_) => format!("[{}]", literals.join(", ")),
        }
    }

    /// Whether the embedded configuration has the key with this value.
    fn is_default(&self) -> bool {
        let line = format!("{} = {}", self.key, self.on_one_line());
        let mut section = "";
        EMBEDDED.lines().any(|own| {
            if let Some(name) = own.strip_prefix('[').and_then(|own| own.strip_suffix(']')) {
                section = name;
            }
            section == self.section && own == line
        })
    }

    fn render(&self, out: &mut Rendered, hides: bool) {
        let shown = |item: &Item| if hides && item.is_secret { quoted("…") } else { item.literal.clone() };
        let first = self.items().first().map(|item| item.origin);
        let origins = match self.remark {
            "" => comment(self.items().iter().map(|item| item.origin).chain(self.origins.iter().copied())),
            remark => remark.to_owned(),
        };
        // The password of a user has the origin of the name above it.
        let is_above = self.section == "[users]" && self.key == "password";
        if !origins.is_empty() && !is_above {
            out.line(&format!("# {origins}"), None);
        }
        match &self.value {
            Value::One(item) => out.line(&format!("{} = {}", self.key, shown(item)), Some(item.origin)),
            Value::List(items) if items.len() < 2 => {
                let items: Vec<_> = items.iter().map(shown).collect();
                out.line(
                    &format!("{} = [{}]", self.key, items.join(", ")),
                    first.or(self.origins.first().copied()),
                );
            }
            Value::List(items) => {
                out.line(&format!("{} = [", self.key), first);
                for item in items {
                    let line = item.origin.line.map(|line| format!(" # line {line}")).unwrap_or_default();
                    out.line(&format!("    {},{line}", shown(item)), Some(item.origin));
                }
                out.line("]", None);
            }
        }
    }
}

impl Rendered {
    fn line(&mut self, line: &str, origin: Option<Origin>) {
        let _ = writeln!(self.text, "{line}");
        self.origins.push(origin);
    }

    /// Parses the text as the server would.
    ///
    /// # Errors
    /// Each problem, at the line of coturn's file that it came from.
    pub(super) fn check(&self) -> Result<Config, Vec<Fault>> {
        let problems = match Config::parse(&self.text, "the new configuration", None) {
            Ok(config) => return Ok(config),
            Err(ConfigError::Invalid { problems, .. }) => problems,
            Err(unreadable) => return Err(vec![Fault::of_file(unreadable.to_string(), "try again")]),
        };
        let fault = |problem: crate::config::ConfigProblem| {
            let origin = self.origins.get(problem.line.saturating_sub(1)).copied().flatten();
            match origin {
                Some(Origin { option, line }) => {
                    Fault { line, reason: format!("`{option}`: {}", problem.reason), remedy: problem.remedy }
                }
                None => Fault::of_file(problem.reason, problem.remedy),
            }
        };
        Err(problems.into_iter().map(fault).collect())
    }
}

/// Names options with their lines: "user, line 3; realm, lines 4 and 5".
fn comment(origins: impl Iterator<Item = Origin>) -> String {
    let mut options = Vec::<(&str, Vec<usize>)>::new();
    for Origin { option, line } in origins {
        let at = options.iter().position(|(name, _)| *name == option).unwrap_or_else(|| {
            options.push((option, Vec::new()));
            options.len() - 1
        });
        let lines = &mut options[at].1;
        if let Some(line) = line.filter(|line| !lines.contains(line)) {
            lines.push(line);
        }
    }
    let shown = |(name, lines): &(&str, Vec<usize>)| match lines.as_slice() {
        [] => format!("{name}, default of coturn"),
        lines => format!("{name}, {}", super::report::lines(lines)),
    };
    options.iter().map(shown).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_survive_and_defaults_are_left_out() {
        let origin = |line| Origin { option: "realm", line: Some(line) };
        let mut draft = Draft::default();
        draft.set("", "realm", Item::text("é ~ 'x'", origin(3)), &[]);
        draft.set("relay", "ports", Item::text("49152-65535", origin(4)), &[]);
        draft.list("credentials", "secrets", vec![Item::secret("a\"\\\u{7f}bcdefg", origin(5))], &[]);
        let rendered = draft.render("a\nb.conf", false);
        assert!(
            rendered.text.starts_with("# Imported by `byway import` from a\\nb.conf."),
            "{}",
            rendered.text
        );
        assert!(!rendered.text.contains("ports"));
        let config = rendered.check().unwrap();
        assert_eq!(config.realm, "é ~ 'x'");
        assert_eq!(config.credentials.secrets.len(), 1);
        let hidden = draft.render("f", true).text;
        assert!(hidden.contains("secrets = [\"…\"]") && !hidden.contains("bcdefg"), "{hidden}");
    }

    #[test]
    fn a_problem_is_told_at_the_line_it_came_from() {
        let mut draft = Draft::default();
        let origin = |line| Origin { option: "static-auth-secret", line: Some(line) };
        let secrets = vec![Item::secret("long-enough", origin(7)), Item::secret("short", origin(9))];
        draft.list("credentials", "secrets", secrets, &[]);
        let faults = draft.render("f", false).check().unwrap_err();
        assert_eq!(faults.len(), 1);
        assert_eq!(faults[0].line, Some(9));
        assert!(faults[0].reason.starts_with("`static-auth-secret`: "), "{:?}", faults[0]);
        assert!(!format!("{faults:?}").contains("short\""), "{faults:?}");
    }
}
