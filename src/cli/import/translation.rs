//! coturn's options as our keys.
//!
//! The result is never less strict than coturn was. An option that would make it so is a fault, and
//! nothing is written.

mod credentials;
mod listeners;
mod relay;

use std::collections::BTreeMap;
use std::path::Path;

use super::draft::{Draft, Item, Origin};
use super::fault::Fault;
use super::options::Fate;
use super::ranges::{self, AddressRange};
use super::reader::{CoturnFile, Entry};
use super::source::Source;

/// Properties of this machine that coturn's defaults depend on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// Whether an interface has an IPv6 address beyond loopback and link-local.
    pub(super) has_ipv6: bool,
}

/// A translated file.
pub(super) struct Translation {
    pub(super) draft: Draft,
    /// Outcomes that differ from the table's, by option.
    pub(super) outcomes: BTreeMap<&'static str, (Fate, String)>,
    /// Hints for the operator.
    pub(super) notes: Vec<String>,
}

/// Translation in progress.
struct Translator<'s, 'a> {
    source: &'s Source<'a>,
    /// Folder from which relative paths start.
    folder: &'s Path,
    machine: Machine,
    draft: Draft,
    outcomes: BTreeMap<&'static str, (Fate, String)>,
    notes: Vec<String>,
}

/// Translates a file. Relative paths in it start from `folder`.
///
/// # Errors
/// Every value that is faulty or cannot be carried over.
pub(super) fn translate(
    file: &CoturnFile<'_>,
    folder: &Path,
    machine: Machine,
) -> Result<Translation, Vec<Fault>> {
    let source = Source::new(file);
    let mut translator = Translator {
        source: &source,
        folder,
        machine,
        draft: Draft::default(),
        outcomes: BTreeMap::new(),
        notes: Vec::new(),
    };
    translator.realm();
    translator.listeners();
    translator.relay();
    translator.credentials();
    translator.peers();
    translator.quota();
    let anyway =
        "coturn has no page. Only holders of a join token may get credentials here: byway invite --room NAME";
    let origin = Origin { option: "ice.access", line: None };
    translator.draft.set_anyway("ice", "access", Item::text("token", origin), anyway);
    translator.users();
    translator.odd_values(file);
    let Translator { draft, outcomes, notes, .. } = translator;
    match source.into_faults() {
        faults if faults.is_empty() => Ok(Translation { draft, outcomes, notes }),
        faults => Err(faults),
    }
}

impl Translator<'_, '_> {
    /// Gives an option another outcome than the table's.
    fn outcome(&mut self, option: &'static str, fate: Fate, text: impl Into<String>) {
        self.outcomes.insert(option, (fate, text.into()));
    }

    fn realm(&mut self) {
        if let Some(realm) = self.source.last("realm") {
            self.draft.set("", "realm", Item::text(realm.value, self.source.origin("realm")), &[]);
        }
    }

    fn peers(&mut self) {
        let (denied, allowed) = (self.ranges("denied-peer-ip"), self.ranges("allowed-peer-ip"));
        let Some((deny, allow)) = ranges::lists(denied, allowed) else {
            self.source.lacks(
                "the ranges of peers need more than 10000 prefixes",
                "write fewer ranges that begin and end at round addresses",
            );
            return;
        };
        for (key, option, nets) in [("allow", "allowed-peer-ip", allow), ("deny", "denied-peer-ip", deny)] {
            let origins: Vec<_> = self.source.all(option).iter().map(origin).collect();
            // One prefix may come from several lines, so none is named beside it.
            let of_all = Origin { option, line: None };
            let items: Vec<_> = nets.iter().map(|net| Item::text(&net.to_string(), of_all)).collect();
            if !items.is_empty() {
                self.draft.list("peers", key, items, &origins);
            }
        }
        if self.source.has("allowed-peer-ip") || !self.source.has("denied-peer-ip") {
            return;
        }
        self.notes.push(
            "Byway refuses peers in private ranges without being told. List those that clients must reach in `peers.allow`."
                .to_owned(),
        );
    }

    fn ranges(&self, option: &str) -> Vec<AddressRange> {
        let source = self.source;
        let read = |entry: &Entry<'_>| {
            let (first, last) = entry.value.split_once('-').unwrap_or((entry.value, entry.value));
            if let Ok(net) = entry.value.parse::<ipnet::IpNet>() {
                let remedy = format!("write the range as {}-{}", net.network(), net.broadcast());
                source.wrong(entry, "coturn does not take prefixes", remedy);
                return None;
            }
            let range = (source.address(entry, first)?, source.address(entry, last)?);
            let range = AddressRange::new(range.0, range.1);
            if range.is_none() {
                source.wrong(
                    entry,
                    "this range is reversed, or mixes IPv4 and IPv6",
                    "write the lower address first",
                );
            }
            range
        };
        self.source.all(option).iter().filter_map(read).collect()
    }

    fn quota(&mut self) {
        const LEAST_BANDWIDTH: u64 = 64 << 10;
        let per_user = self.source.number("user-quota").map_or(0, |(number, _)| number);
        let of_users = self.source.origin("user-quota");
        if per_user > 0 {
            self.draft.set("quota", "allocations_per_user", Item::number(per_user, of_users), &[]);
        } else if self.has_users() {
            // Programs such as media servers often make all of their allocations as one user.
            self.draft.set("quota", "allocations_per_user", Item::number(0, of_users), &[]);
        }
        if let Some((total, _)) = self.source.number("total-quota").filter(|(total, _)| *total > 0) {
            let item = Item::number(total, self.source.origin("total-quota"));
            self.draft.set("quota", "allocations", item, &[]);
        }
        if let Some((bandwidth, _)) = self.source.number("max-bps").filter(|(bandwidth, _)| *bandwidth > 0) {
            if bandwidth < LEAST_BANDWIDTH {
                let text = "`quota.bandwidth_per_allocation`, raised to the least, 64 KiB a second";
                self.outcome("max-bps", Fate::Taken, text);
            }
            let text = format!("{}B", bandwidth.max(LEAST_BANDWIDTH));
            let item = Item::text(&text, self.source.origin("max-bps"));
            self.draft.set("quota", "bandwidth_per_allocation", item, &[]);
        }
        if let Some((rate, _)) =
            self.source.number("unauthorized-ratelimit-rps").filter(|(rate, _)| *rate > 0)
        {
            let item = Item::number(rate, self.source.origin("unauthorized-ratelimit-rps"));
            self.draft.set("quota", "unauthenticated_per_second", item, &[]);
        }
    }

    /// Notes values that look as if coturn read them otherwise than they were meant.
    fn odd_values(&mut self, file: &CoturnFile<'_>) {
        for Entry { line, option, value } in &file.entries {
            let odd = match value {
                value if value.contains(" #") || value.contains("\t#") => "a comment behind its value",
                value if value.ends_with(';') => "a semicolon at its end",
                _ => continue,
            };
            let name = option.name;
            self.notes.push(format!(
                "Line {line}: `{name}` has {odd}, which coturn takes for a part of the value."
            ));
        }
    }
}

/// Origin of an item: its line.
fn origin(entry: &Entry<'_>) -> Origin {
    Origin { option: entry.option.name, line: Some(entry.line) }
}
