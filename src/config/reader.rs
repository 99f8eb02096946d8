//! Looks keys up by section, in the file and then in the embedded default, and finds unknown keys.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostic;

/// Keys that were looked up, with their sections, by whether diagnostics may show their values. An
/// unknown key is in none of the sets: it may be a misspelt secret.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) open: BTreeSet<String>,
    pub(super) secret: BTreeSet<String>,
    /// Keys that name files. An operator may put a secret there by mistake.
    pub(super) files: BTreeSet<String>,
}

impl Names {
    /// The paths of all keys.
    pub(super) fn all(&self) -> impl Iterator<Item = &str> {
        self.open.iter().chain(&self.secret).chain(&self.files).map(String::as_str)
    }

    /// Whether a section has keys whose values are secret.
    pub(super) fn has_secrets(&self, section: &str) -> bool {
        self.secret.iter().any(|path| path.rsplit_once('.').is_some_and(|(of, _)| of == section))
    }
}

/// Whether an error may show an unknown key. In a section with secrets it must resemble a known
/// key, because a secret may be in the place of a key. Elsewhere it must have the form of a key,
/// because the header of a section with secrets may be missing.
pub(super) fn shows_key<'a>(key: &str, has_secrets: bool, mut known: impl Iterator<Item = &'a str>) -> bool {
    const TYPING_ERROR: usize = 2;
    let resembles = |known: &str| strsim::damerau_levenshtein(known, &key.to_lowercase()) <= TYPING_ERROR;
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    (!has_secrets && key.bytes().all(is_plain)) || (key.len() <= LONGEST_KEY && known.any(resembles))
}

/// Bytes of the longest key that is compared with known keys.
const LONGEST_KEY: usize = 64;

/// One table of the file, on top of the same table of the embedded default.
pub(super) struct Section<'d> {
    path: &'static str,
    own: Option<&'d DeTable<'d>>,
    default: &'d DeTable<'d>,
    /// The whole embedded default.
    whole: &'d DeTable<'d>,
    known: Vec<&'static str>,
    mistakes: Vec<Diagnostic>,
    names: Rc<RefCell<Names>>,
    /// Position in the file.
    span: Range<usize>,
}

/// Keys of a section without defaults, by what diagnostics may show of their values.
#[derive(Clone, Copy)]
pub(super) struct Keys {
    pub(super) secret: &'static [&'static str],
    pub(super) files: &'static [&'static str],
}

impl<'d> Section<'d> {
    /// The whole file.
    pub(super) fn root(own: &'d DeTable<'d>, default: &'d DeTable<'d>) -> Self {
        let names = Rc::default();
        Self {
            path: "",
            own: Some(own),
            default,
            whole: default,
            known: Vec::new(),
            mistakes: Vec::new(),
            names,
            span: 0..0,
        }
    }

    /// Every key that any section looks up in the file.
    pub(super) fn names(&self) -> Rc<RefCell<Names>> {
        self.names.clone()
    }

    /// The table `[key]`.
    pub(super) fn section(&mut self, key: &'static str) -> Section<'d> {
        self.known.push(key);
        let default = self.default.get(key).and_then(|value| value.get_ref().as_table());
        let own = self.own.and_then(|own| own.get(key));
        if let Some(value) = own.filter(|value| !value.get_ref().is_table()) {
            self.mistakes.push(Diagnostic {
                span: value.span(),
                reason: format!("`{key}` is a section, not {}", kind(value.get_ref())),
                remedy: format!("write a line [{key}] with its keys below"),
                shortage: None,
            });
        }
        Section {
            path: key,
            own: own.and_then(|value| value.get_ref().as_table()),
            default: default.expect("a test finds every section in the embedded default"),
            whole: self.whole,
            known: Vec::new(),
            mistakes: Vec::new(),
            names: self.names.clone(),
            span: own.map_or(0..0, Spanned::span),
        }
    }

    /// The tables `[[key]]`, whose keys have no default.
    pub(super) fn sections(&mut self, key: &'static str, keys: Keys) -> Vec<Section<'d>> {
        self.known.push(key);
        let path = |leaf: &&str| format!("{key}.{leaf}");
        self.names.borrow_mut().secret.extend(keys.secret.iter().map(path));
        self.names.borrow_mut().files.extend(keys.files.iter().map(path));
        let Some(value) = self.own.and_then(|own| own.get(key)) else { return Vec::new() };
        let tables = value.get_ref().as_array().map(|items| items.iter().collect::<Vec<_>>());
        let mut sections = Vec::new();
        for item in tables.unwrap_or_else(|| vec![value]) {
            match item.get_ref().as_table().filter(|_| value.get_ref().is_array()) {
                Some(own) => sections.push(Section {
                    path: key,
                    own: Some(own),
                    default: self.default,
                    whole: self.whole,
                    known: Vec::new(),
                    mistakes: Vec::new(),
                    names: self.names.clone(),
                    span: item.span(),
                }),
                None => self.mistakes.push(Diagnostic {
                    span: item.span(),
                    reason: format!("`{key}` is a list of sections, and this is {}", kind(item.get_ref())),
                    remedy: format!(
                        "write a line [[{key}]], in double brackets, with the keys of each below"
                    ),
                    shortage: None,
                }),
            }
        }
        sections
    }

    /// The value of `key` if the file has a valid one, for a section without defaults.
    pub(super) fn find<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Value<'_>) -> Result<T, Diagnostic>,
    ) -> Option<T> {
        let is_secret = self.names.borrow().secret.contains(&self.dotted(key));
        match read(self.own(key, is_secret)?) {
            Ok(value) => Some(value),
            Err(mistake) => {
                self.mistakes.push(mistake);
                None
            }
        }
    }

    /// Reports that the section lacks a key.
    pub(super) fn lacks(&mut self, key: &str) {
        self.mistakes.push(Diagnostic {
            span: self.span.clone(),
            reason: format!("one of the [[{}]] lacks {key}", self.path),
            remedy: format!("write {key} below this line"),
            shortage: None,
        });
    }

    /// The value of `key`: the file's, or the embedded default's if the file has none or an invalid
    /// one.
    pub(super) fn get<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Value<'_>) -> Result<T, Diagnostic>,
    ) -> T {
        self.names.borrow_mut().open.insert(self.dotted(key));
        self.look_up(key, false, read)
    }

    /// As [`Section::get`], for a key that names one or several files.
    pub(super) fn get_file<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Value<'_>) -> Result<T, Diagnostic>,
    ) -> T {
        self.names.borrow_mut().files.insert(self.dotted(key));
        self.look_up(key, false, read)
    }

    /// As [`Section::get`], for a key whose value errors must not show.
    pub(super) fn get_secret<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(Value<'_>) -> Result<T, Diagnostic>,
    ) -> T {
        self.names.borrow_mut().secret.insert(self.dotted(key));
        self.look_up(key, true, read)
    }

    fn look_up<T>(
        &mut self,
        key: &'static str,
        is_secret: bool,
        read: impl Fn(Value<'_>) -> Result<T, Diagnostic>,
    ) -> T {
        if let Some(value) = self.own(key, is_secret) {
            match read(value) {
                Ok(value) => return value,
                Err(mistake) => self.mistakes.push(mistake),
            }
        }
        let value = self.default.get(key).expect("a test finds every key in the embedded default");
        read(Value { path: self.dotted(key), value, is_secret })
            .expect("a test reads every value of the embedded default")
    }

    /// Whether the file itself has the key.
    pub(super) fn has(&self, key: &str) -> bool {
        self.own.is_some_and(|own| own.contains_key(key))
    }

    /// All mistakes of this section, including its unknown keys.
    pub(super) fn finish(mut self) -> Vec<Diagnostic> {
        for (key, value) in self.own.into_iter().flatten() {
            if self.known.contains(&&**key.get_ref()) {
                continue;
            }
            let name = key.get_ref();
            let shortened: String = name.chars().take(LONGEST_KEY).collect();
            let nearest = self
                .known
                .iter()
                .filter(|_| name.len() <= LONGEST_KEY)
                .map(|known| (strsim::damerau_levenshtein(known, &name.to_lowercase()), known))
                .min()
                // A distance of more than half of the word is a guess, not a typing error.
                .filter(|(distance, known)| *distance <= known.len().div_ceil(2));
            let has_secrets = self.names.borrow().has_secrets(self.path);
            let is_shown = shows_key(name, has_secrets, keys_of(self.whole));
            let known_here = self.known.join(", ");
            self.mistakes.push(Diagnostic {
                span: key.span(),
                reason: match is_shown {
                    true => format!("`{}` is not a key", self.dotted(&shortened).escape_debug()),
                    false if self.path.is_empty() => "an unknown key at the top of the file".to_owned(),
                    false => format!("an unknown key in [{}]", self.path),
                },
                // A key of another section is not a typing error. An operator who follows a guess
                // would change another setting.
                remedy: self.home(name, value.get_ref()).unwrap_or_else(|| match nearest {
                    Some((_, known)) => format!("did you mean `{known}`?"),
                    None if is_shown => format!("use one of the keys known here: {known_here}"),
                    None => format!("write a secret after its key, in quotes; keys known here: {known_here}"),
                }),
                shortage: None,
            });
        }
        self.mistakes
    }

    /// The section to which a key of exactly this name belongs, if another section has one.
    fn home(&self, key: &str, value: &DeValue<'_>) -> Option<String> {
        let has_it = |section: &DeValue<'_>| section.as_table().is_some_and(|table| table.contains_key(key));
        let of_its_own = self.whole.get(key).map(Spanned::get_ref);
        if let Some(section) = of_its_own.filter(|of_its_own| of_its_own.is_table() == value.is_table()) {
            return Some(match section.is_table() {
                true => format!("write it as its own section: [{key}]"),
                false => "move it to the top, above the first [section]".to_owned(),
            });
        }
        let sections: Vec<_> = self
            .whole
            .iter()
            .filter(|(_, section)| has_it(section.get_ref()))
            .map(|(section, _)| format!("[{}]", section.get_ref()))
            .collect();
        (!sections.is_empty()).then(|| format!("move it under {}", sections.join(" or ")))
    }

    fn own(&mut self, key: &'static str, is_secret: bool) -> Option<Value<'d>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        let value = self.own?.get(key)?;
        Some(Value { path: self.dotted(key), value, is_secret })
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }
}

/// The sections and keys of a whole configuration.
fn keys_of<'d>(whole: &'d DeTable<'d>) -> impl Iterator<Item = &'d str> {
    let within =
        |value: &'d Spanned<DeValue<'d>>| value.get_ref().as_table().into_iter().flat_map(DeTable::keys);
    let keys = whole.iter().flat_map(move |(key, value)| std::iter::once(key).chain(within(value)));
    keys.map(|key| &**key.get_ref())
}

/// A value with its position and the name of its key.
#[derive(Clone)]
pub(super) struct Value<'d> {
    path: String,
    value: &'d Spanned<DeValue<'d>>,
    is_secret: bool,
}

impl<'d> Value<'d> {
    /// The content of a string.
    pub(super) fn text(&self) -> Result<&'d str, Diagnostic> {
        self.value.get_ref().as_str().ok_or_else(|| self.not("a string in quotes"))
    }

    /// The content of a quantity, with its unit as in `such_as`.
    pub(super) fn quantity(&self, what: &str, such_as: &str) -> Result<&'d str, Diagnostic> {
        self.value.get_ref().as_str().ok_or_else(|| {
            self.wrong(
                format!("{} is not {what}", kind(self.value.get_ref())),
                format!("write it in quotes and with its unit, such as {such_as}"),
            )
        })
    }

    /// The content of a secret.
    pub(super) fn secret(&self) -> Result<&'d str, Diagnostic> {
        debug_assert!(self.is_secret, "`{}` is to be read by `Section::get_secret`", self.path);
        self.text()
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self) -> Result<bool, Diagnostic> {
        self.value.get_ref().as_bool().ok_or_else(|| self.not("true or false"))
    }

    /// A whole number within the bounds.
    pub(super) fn integer(&self, bounds: &RangeInclusive<u64>) -> Result<u64, Diagnostic> {
        let integer = self.value.get_ref().as_integer().ok_or_else(|| self.not("a whole number"))?;
        i128::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .and_then(|number| u64::try_from(number).ok())
            .filter(|number| bounds.contains(number))
            .ok_or_else(|| {
                self.wrong(
                    format!("{integer} is out of bounds"),
                    format!("use a whole number from {} to {}", bounds.start(), bounds.end()),
                )
            })
    }

    /// The items of a list. Each has the path of the list.
    pub(super) fn items(&self) -> Result<Vec<Self>, Diagnostic> {
        let list = self.value.get_ref().as_array().ok_or_else(|| self.not("a list in brackets"))?;
        let item = |value| Self { path: self.path.clone(), value, is_secret: self.is_secret };
        Ok(list.iter().map(item).collect())
    }

    /// A mistake at this value.
    pub(super) fn wrong(&self, reason: impl std::fmt::Display, remedy: impl Into<String>) -> Diagnostic {
        let mut reason = reason.to_string();
        // A password may precede an @. The excerpt hides such a string, too.
        if let DeValue::String(text) = self.value.get_ref()
            && text.contains('@')
        {
            reason = reason.replace(&format!("{text:?}"), "this").replace(text.as_ref(), "…");
        }
        Diagnostic {
            span: self.value.span(),
            reason: format!("`{}`: {reason}", self.path),
            remedy: remedy.into(),
            shortage: None,
        }
    }

    fn not(&self, wanted: &str) -> Diagnostic {
        self.wrong(format!("{} is not {wanted}", kind(self.value.get_ref())), format!("write {wanted}"))
    }
}

/// A value's type with its article.
fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "a true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a section",
    }
}
