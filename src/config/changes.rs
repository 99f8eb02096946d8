//! Differences between two configurations, key by key, and the keys that need a restart.

use super::{Config, Tls};
use crate::tls::acme::AcmeSettings;

/// Keys that share one setting, and what a reload does with it.
pub struct Key {
    /// Full names, such as `listen.udp`. An error names the first.
    pub names: &'static [&'static str],
    /// Reason why the setting takes effect at the next start only; `None` if a reload applies it.
    pub restart: Option<&'static str>,
    differs: fn(&Config, &Config) -> bool,
}

/// Changed setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// Full name of its key.
    pub key: &'static str,
    /// Reason why it takes effect at the next start only; `None` if a reload applies it.
    pub restart: Option<&'static str>,
}

const PORTS: &str = "the table of relay ports has this size from the start on";
const THREADS: &str = "connections and allocations stay with the thread that has them";
const SOCKETS: &str = "open sockets keep the buffers and offloads that they began with";
const LOOP: &str = "each thread chooses how to wait as it begins";
const CLUSTER: &str = "a node joins its cluster as it starts";

/// Row of a setting that a reload applies.
const fn live(names: &'static [&'static str], differs: fn(&Config, &Config) -> bool) -> Key {
    Key { names, restart: None, differs }
}

/// Row of a setting that needs a restart.
const fn fixed(
    names: &'static [&'static str],
    restart: &'static str,
    differs: fn(&Config, &Config) -> bool,
) -> Key {
    Key { names, restart: Some(restart), differs }
}

/// Compares one value of two configurations.
macro_rules! differ {
    ($($field:tt)+) => { |a, b| a.$($field)+ != b.$($field)+ };
}

/// Compares one value under `[acme]`, a section that either configuration may lack.
macro_rules! differ_in_acme {
    ($field:ident) => {
        |a, b| acme(a, |acme| &acme.$field) != acme(b, |acme| &acme.$field)
    };
}

/// Compares one value under `[webhooks]`, a section that either configuration may lack.
macro_rules! differ_in_webhooks {
    ($field:ident) => {
        |a, b| {
            a.webhooks.as_ref().map(|webhooks| &webhooks.$field)
                != b.webhooks.as_ref().map(|webhooks| &webhooks.$field)
        }
    };
}

/// Compares one value under `[cluster]`, a section that either configuration may lack.
macro_rules! differ_in_cluster {
    ($field:ident) => {
        |a, b| {
            a.cluster.as_ref().map(|cluster| &cluster.$field)
                != b.cluster.as_ref().map(|cluster| &cluster.$field)
        }
    };
}

/// Every key, in file order. A test compares it with the embedded default and with
/// `docs/configuration.md`.
pub const KEYS: &[Key] = &[
    live(&["realm"], differ!(realm)),
    live(&["listen.udp"], differ!(listen.udp)),
    live(&["listen.tcp"], differ!(listen.tcp)),
    live(&["listen.tls"], differ!(listen.tls)),
    live(&["listen.http"], differ!(listen.http)),
    live(&["listen.admin"], |a, b| {
        (&a.listen.admin, &a.listen.admin_sockets) != (&b.listen.admin, &b.listen.admin_sockets)
    }),
    live(&["listen.trusted_proxies"], differ!(listen.trusted_proxies)),
    live(&["listen.proxy_protocol"], differ!(listen.proxy_protocol)),
    live(&["tls.cert"], |a, b| cert(a) != cert(b)),
    live(&["tls.key"], |a, b| key(a) != key(b)),
    live(&["acme.names"], differ_in_acme!(names)),
    live(&["acme.mail"], differ_in_acme!(mail)),
    live(&["acme.directory"], differ_in_acme!(directory)),
    live(&["acme.ca_file"], differ_in_acme!(ca_file)),
    live(&["acme.challenge"], differ_in_acme!(challenge)),
    live(&["acme.dns_hook"], differ_in_acme!(dns_hook)),
    live(&["acme.profile"], differ_in_acme!(profile)),
    live(&["acme.state_dir"], differ_in_acme!(state_dir)),
    live(&["relay.addresses"], differ!(relay.addresses)),
    live(&["relay.public_addresses"], differ!(relay.public_addresses)),
    fixed(&["relay.ports"], PORTS, differ!(relay.ports)),
    live(&["relay.port_rest"], differ!(relay.port_rest)),
    fixed(&["relay.shards"], THREADS, differ!(relay.shards)),
    fixed(&["relay.offload"], SOCKETS, differ!(relay.tuning.offload)),
    fixed(&["relay.receive_buffer"], SOCKETS, differ!(relay.tuning.receive_buffer)),
    fixed(&["relay.send_buffer"], SOCKETS, differ!(relay.tuning.send_buffer)),
    fixed(&["relay.relay_buffer"], SOCKETS, differ!(relay.tuning.relay_buffer)),
    fixed(&["relay.nap"], LOOP, differ!(relay.tuning.nap)),
    fixed(&["relay.busy_poll"], LOOP, differ!(relay.tuning.busy_poll)),
    fixed(&["relay.incoming_cpu"], LOOP, differ!(relay.tuning.incoming_cpu)),
    live(&["relay.drain"], differ!(relay.drain)),
    live(&["credentials.secrets", "credentials.secret_files"], differ!(credentials.secrets)),
    live(&["credentials.ttl"], differ!(credentials.ttl)),
    live(&["credentials.strict_expiry"], differ!(credentials.strict_expiry)),
    live(&["tokens.secrets", "tokens.secret_files"], differ!(tokens.secrets)),
    live(&["tokens.jwks_file"], differ!(tokens.keys)),
    live(&["tokens.audience"], differ!(tokens.audience)),
    live(&["peers.allow"], differ!(peers.allow)),
    live(&["peers.deny"], differ!(peers.deny)),
    live(&["quota.allocations_per_user"], differ!(quota.allocations_per_user)),
    live(&["quota.allocations_per_address"], differ!(quota.allocations_per_address)),
    live(&["quota.allocations"], differ!(quota.allocations)),
    live(&["quota.bandwidth_per_allocation"], differ!(quota.bandwidth_per_allocation)),
    live(&["quota.unauthenticated_per_second"], differ!(quota.unauthenticated_per_second)),
    // The second key only confirms the first.
    live(&["ice.access", "ice.open_to_everyone"], differ!(ice.access)),
    live(&["ice.transport_policy"], differ!(ice.transport_policy)),
    live(&["ice.urls"], differ!(ice.urls)),
    live(&["ice.api_keys"], differ!(ice.api_keys)),
    live(&["http.hosts"], differ!(http.hosts)),
    live(&["signaling.max_rooms"], differ!(signaling.settings.max_rooms)),
    live(&["signaling.max_members"], differ!(signaling.settings.max_members)),
    live(&["signaling.max_viewers"], differ!(signaling.settings.max_viewers)),
    live(&["signaling.max_message"], differ!(signaling.settings.max_message)),
    live(&["signaling.resume_window"], differ!(signaling.settings.resume_window)),
    live(&["signaling.joins_per_second"], differ!(signaling.joins_per_second)),
    live(&["signaling.allowed_origins"], differ!(signaling.allowed_origins)),
    live(&["webhooks.url"], differ_in_webhooks!(url)),
    live(&["webhooks.secret"], differ_in_webhooks!(secret)),
    live(&["webhooks.plain_http"], differ_in_webhooks!(plain_http)),
    fixed(&["cluster.nats"], CLUSTER, differ_in_cluster!(nats)),
    fixed(&["cluster.credentials_file"], CLUSTER, differ_in_cluster!(credentials_file)),
    fixed(&["cluster.node"], CLUSTER, differ_in_cluster!(node)),
    fixed(&["cluster.region"], CLUSTER, differ_in_cluster!(region)),
    fixed(&["cluster.advertise"], CLUSTER, differ_in_cluster!(advertise)),
    fixed(&["cluster.region_header"], CLUSTER, differ_in_cluster!(region_header)),
    live(&["log.format"], differ!(log.format)),
    live(&["log.level"], differ!(log.level)),
    live(&["doctor.from"], differ!(doctor.from)),
    live(&["users"], differ!(users)),
];

/// A setting of the ACME client, if it is on.
fn acme<T>(config: &Config, setting: impl Fn(&AcmeSettings) -> &T) -> Option<&T> {
    config.acme.as_ref().map(setting)
}

fn cert(config: &Config) -> Option<&std::path::PathBuf> {
    config.tls.as_ref().map(|Tls { files, .. }| &files.cert)
}

fn key(config: &Config) -> Option<&std::path::PathBuf> {
    config.tls.as_ref().map(|Tls { files, .. }| &files.key)
}

impl Config {
    /// The settings in which `other` differs, in file order.
    #[must_use]
    pub fn changes(&self, other: &Self) -> Vec<Change> {
        let changed = KEYS.iter().filter(|key| (key.differs)(self, other));
        changed.map(|key| Change { key: key.names[0], restart: key.restart }).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::config::EMBEDDED;

    /// Full names of the keys in the embedded default, and the list of static users.
    fn reference() -> BTreeSet<String> {
        let (mut section, mut keys) = (String::new(), BTreeSet::from(["users".to_owned()]));
        for line in EMBEDDED.lines().filter(|line| !line.starts_with('#')) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                section = format!("{name}.");
            } else if let Some((key, _)) = line.split_once(" = ") {
                keys.insert(format!("{section}{key}"));
            }
        }
        keys
    }

    #[test]
    fn every_key_has_its_row() {
        let rows: BTreeSet<String> =
            KEYS.iter().flat_map(|key| key.names).map(|name| (*name).to_owned()).collect();
        assert_eq!(rows, reference());
    }

    /// Each row of the table in `docs/configuration.md` has some keys, and what a reload does with
    /// them.
    #[test]
    fn the_manual_says_of_every_key_what_a_reload_does() {
        let manual = include_str!("../../docs/configuration.md");
        let (_, chapter) = manual.split_once("\n## Reload\n").expect("the manual has the chapter");
        let rows: Vec<[&str; 2]> = chapter
            .lines()
            .take_while(|line| !line.starts_with("## "))
            .filter(|line| line.starts_with("| `"))
            .filter_map(|line| {
                let mut cells = line.trim_matches('|').split(" | ").map(str::trim);
                Some([cells.next()?, cells.next()?])
            })
            .collect();
        for key in KEYS {
            for name in key.names {
                let of_key: Vec<_> =
                    rows.iter().filter(|[keys, _]| keys.contains(&format!("`{name}`"))).collect();
                assert_eq!(of_key.len(), 1, "one row of the chapter has `{name}`");
                let needs_restart = of_key[0][1].contains("restart");
                assert_eq!(needs_restart, key.restart.is_some(), "`{name}`: {}", of_key[0][1]);
            }
        }
    }

    #[test]
    fn the_keys_that_differ_are_named() {
        let parsed = |text: &str| Config::parse(text, "f.toml", None).unwrap();
        let changed = |text: &str| {
            let changes = parsed("credentials.secrets = [\"north-north\"]").changes(&parsed(text));
            changes.into_iter().map(|change| (change.key, change.restart.is_some())).collect::<Vec<_>>()
        };
        assert!(changed("credentials = { secrets = [\"north-north\"] } # the same").is_empty());
        assert_eq!(
            changed(
                "realm = \"a\"\nquota.allocations = 7\nrelay.shards = 3\ncredentials.secrets = [\"south-south\"]"
            ),
            [
                ("realm", false),
                ("relay.shards", true),
                ("credentials.secrets", false),
                // The realm is also the audience of tokens.
                ("tokens.audience", false),
                ("quota.allocations", false)
            ]
        );
        assert_eq!(
            changed("credentials.secrets = [\"north-north\"]\nlisten.admin = [\"unix:a.sock\"]"),
            [("listen.admin", false)]
        );
    }
}
