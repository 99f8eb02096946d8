//! Values of coturn's options, read as coturn reads them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::draft::Origin;
use super::fault::Fault;
use super::reader::{CoturnFile, Entry};

/// A file's options by name. Faulty values are collected.
pub(super) struct Source<'a> {
    entries: BTreeMap<&'static str, Vec<Entry<'a>>>,
    faults: RefCell<Vec<Fault>>,
}

impl<'a> Source<'a> {
    pub(super) fn new(file: &CoturnFile<'a>) -> Self {
        let mut entries = BTreeMap::<_, Vec<_>>::new();
        for entry in &file.entries {
            entries.entry(entry.option.name).or_default().push(*entry);
        }
        Self { entries, faults: RefCell::default() }
    }

    /// Every line of an option.
    pub(super) fn all(&self, name: &str) -> &[Entry<'a>] {
        self.entries.get(name).map_or(&[], Vec::as_slice)
    }

    /// The last line of an option, which counts if it has one value.
    pub(super) fn last(&self, name: &str) -> Option<Entry<'a>> {
        self.all(name).last().copied()
    }

    /// Whether the option is there, whatever its value.
    pub(super) fn has(&self, name: &str) -> bool {
        self.last(name).is_some()
    }

    /// Origin of a key: the last line of an option, or its default.
    pub(super) fn origin(&self, name: &'static str) -> Origin {
        Origin { option: name, line: self.last(name).map(|entry| entry.line) }
    }

    /// Reports a fault at a line.
    pub(super) fn wrong(&self, entry: &Entry<'_>, reason: impl std::fmt::Display, remedy: impl Into<String>) {
        let reason = format!("`{}`: {reason}", entry.option.name);
        self.faults.borrow_mut().push(Fault::at(entry.line, reason, remedy));
    }

    /// Reports a fault of the whole file.
    pub(super) fn lacks(&self, reason: impl Into<String>, remedy: impl Into<String>) {
        self.faults.borrow_mut().push(Fault::of_file(reason, remedy));
    }

    /// Reports an option without which the result would be less strict than coturn was. The table
    /// has the reason, and the remedy behind it.
    pub(super) fn refuse(&self, entry: &Entry<'_>) {
        let (reason, remedy) = entry.option.text.split_once(". ").unwrap_or((entry.option.text, ""));
        let mut remedy = remedy.trim_end_matches('.').to_owned();
        if let Some(first) = remedy.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self.wrong(entry, format!("it cannot be carried over. {reason}"), remedy);
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        let mut faults = self.faults.into_inner();
        faults.sort_by(|a, b| (a.line, &a.reason).cmp(&(b.line, &b.reason)));
        // A value that counts twice is read twice.
        faults.dedup();
        faults
    }

    /// A switch by `get_bool_value`, whose first character counts. Off if it is not there.
    pub(super) fn is_on(&self, name: &str) -> bool {
        let mut on = false;
        for entry in self.all(name) {
            on = match entry.value.as_bytes().first() {
                None | Some(b'1'..=b'9' | b'y' | b'Y' | b't' | b'T') => true,
                Some(b'0' | b'n' | b'N' | b'f' | b'F') => false,
                _ if ["on", "On", "ON"].contains(&entry.value) => true,
                _ if ["off", "Off", "OFF"].contains(&entry.value) => false,
                _ => {
                    self.wrong(entry, "this is not a switch", "write on or off, or only the name");
                    false
                }
            };
        }
        on
    }

    /// A whole number in decimal.
    pub(super) fn number(&self, name: &str) -> Option<(u64, Entry<'a>)> {
        let entry = self.last(name)?;
        match decimal(entry.value) {
            Some(number) => Some((number, entry)),
            None => {
                self.wrong(
                    &entry,
                    "this is not a whole number",
                    "write digits alone, and comments on lines of their own",
                );
                None
            }
        }
    }

    /// A port. 0 stands for the default.
    pub(super) fn port(&self, name: &str, default: u16) -> u16 {
        let Some(entry) = self.last(name) else { return default };
        match decimal(entry.value).map(u16::try_from) {
            Some(Ok(0)) => default,
            Some(Ok(port)) => port,
            _ => {
                let remedy = "write a number from 1 to 65535, and comments on lines of their own";
                self.wrong(&entry, "this is not a port", remedy);
                default
            }
        }
    }

    /// An address. coturn also takes host names, whose addresses may change.
    pub(super) fn address(&self, entry: &Entry<'_>, text: &str) -> Option<IpAddr> {
        let address = text.trim_matches(' ').parse().ok();
        if address.is_none() {
            self.wrong(
                entry,
                "this is not an IP address",
                "write an address such as 203.0.113.10 or 2001:db8::10",
            );
        }
        address
    }
}

fn decimal(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::super::reader;
    use super::*;

    #[test]
    fn values_are_read_as_coturn_reads_them() {
        let text = "no-udp\nno-tcp=off\nno-tls=0\nno-tls=yes\nfingerprint=Off\nverbose=maybe\nmin-port=0\nmax-port=70000\n\
                    user-quota=-1\ntotal-quota=12\nrelay-ip=example.org\n";
        let file = reader::read(text.as_bytes()).unwrap_or_else(|_| panic!());
        let source = Source::new(&file);
        let on = ["no-udp", "no-tcp", "no-tls", "fingerprint", "verbose", "no-auth"]
            .map(|name| source.is_on(name));
        assert_eq!(on, [true, false, true, false, false, false]);
        assert_eq!((source.port("min-port", 5), source.port("max-port", 6)), (5, 6));
        assert!(source.number("user-quota").is_none());
        assert_eq!(source.number("total-quota").map(|(number, _)| number), Some(12));
        let relay = source.last("relay-ip").unwrap();
        assert_eq!(source.address(&relay, relay.value), None);
        let lines: Vec<_> = source.into_faults().iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [6, 8, 9, 11].map(Some));
    }
}
