//! Files that hold secrets, and warnings about those that too many users can read or change.

use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};

use super::reader::Names;
use crate::operator_file;

/// Keys that name public files. All other files hold secrets.
const PUBLIC: &[&str] = &["tls.cert", "tokens.jwks_file", "acme.ca_file"];

/// Secret keys whose value is hidden only because a password may be in its place.
const HIDDEN: &[&str] = &["users.name"];

/// Files that hold secrets: those that the configuration names, and the configuration itself if it
/// has a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecretFiles {
    has_inline: bool,
    configuration: Option<PathBuf>,
    named: Vec<PathBuf>,
}

impl SecretFiles {
    /// Finds the secrets of a file by the keys that were looked up.
    pub(super) fn find(own: &DeTable<'_>, names: &Names, dir: Option<&Path>) -> Self {
        let mut found = Self::default();
        for (section, value) in own {
            let tables: Vec<_> = match value.get_ref() {
                DeValue::Table(table) => vec![table],
                DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
                _ => continue,
            };
            for (key, value) in tables.into_iter().flatten() {
                let path = format!("{}.{}", section.get_ref(), key.get_ref());
                let texts = texts(value.get_ref());
                if names.files.contains(&path) && !PUBLIC.contains(&&*path) {
                    found.named.extend(texts.iter().map(|text| dir.unwrap_or(Path::new("")).join(text)));
                } else if names.secret.contains(&path) && !HIDDEN.contains(&&*path) {
                    found.has_inline |= !texts.is_empty();
                }
            }
        }
        found
    }

    /// Names the configuration's own file.
    pub(super) fn in_file(&mut self, path: &Path) {
        self.configuration = Some(path.to_owned());
    }

    /// Returns a warning, with its remedy, for each file that other users than its owner and group
    /// can read, or other users than its owner can change.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let configuration = self.configuration.iter().filter(|_| self.has_inline);
        let warning = |path: &PathBuf| {
            let exposure = operator_file::exposure(path)?;
            let path = path.display();
            Some(format!(
                "{path} holds a secret, and {exposure}: run `chmod 640 {path}`, with the service's user as its \
                 owner or in its group"
            ))
        };
        configuration.chain(&self.named).filter_map(warning).collect()
    }
}

/// The non-empty strings of a value.
fn texts<'a>(value: &'a DeValue<'a>) -> Vec<&'a str> {
    let texts: Vec<_> = match value {
        DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_str()).collect(),
        value => value.as_str().into_iter().collect(),
    };
    texts.into_iter().filter(|text| !text.is_empty()).collect()
}
