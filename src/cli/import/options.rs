//! Every option of coturn 4.6.1 and 4.17.1, and its counterpart here.
//!
//! A test compares the table with the option lists of both versions, another with
//! `docs/migrate-from-coturn.md`.

use std::fmt;

/// Outcome of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fate {
    /// A key of ours has the same meaning.
    Taken,
    /// Byway does the same without a key, or another way.
    Replaced,
    /// Byway does not have it.
    Refused,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Taken => "taken",
            Self::Replaced => "replaced",
            Self::Refused => "refused",
        })
    }
}

/// One option of coturn.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoturnOption {
    pub(super) name: &'static str,
    pub(super) fate: Fate,
    /// The keys that have its value, its replacement, or the reason and the remedy.
    pub(super) text: &'static str,
}

/// The option of this name. coturn compares the case, too.
pub(super) fn find(name: &str) -> Option<&'static CoturnOption> {
    OPTIONS.iter().find(|option| option.name == name)
}

/// The known name that an unknown one resembles.
pub(super) fn resembles(name: &str) -> Option<&'static str> {
    const TYPING_ERROR: usize = 2;
    const LONGEST: usize = 64;
    if name.len() > LONGEST {
        return None;
    }
    let plain = name.trim_start_matches('-').trim_end_matches(';').to_lowercase();
    let distance = |option: &CoturnOption| strsim::damerau_levenshtein(&option.name.to_lowercase(), &plain);
    let nearest = OPTIONS.iter().map(|option| (distance(option), option.name)).min()?;
    (nearest.0 <= TYPING_ERROR && nearest.0 < plain.len()).then_some(nearest.1)
}

const fn taken(name: &'static str, text: &'static str) -> CoturnOption {
    CoturnOption { name, fate: Fate::Taken, text }
}

const fn replaced(name: &'static str, text: &'static str) -> CoturnOption {
    CoturnOption { name, fate: Fate::Replaced, text }
}

const fn refused(name: &'static str, text: &'static str) -> CoturnOption {
    CoturnOption { name, fate: Fate::Refused, text }
}

const DATABASE: &str = "Byway reads no database. Write each user as one of the `[[users]]` and each secret into \
                        `credentials.secrets`; `turnadmin -l` and `turnadmin -S` list them.";
const DISCOVERY: &str =
    "Discovery (RFC 5780) is on if two addresses of one family listen, and off otherwise.";
const ALTERNATE: &str = "Byway redirects no client. List the other servers in `ice.urls`.";
const TELNET: &str = "Byway has no telnet interface. `listen.admin` serves `/metrics` and `/healthz`.";
const WEB_ADMIN: &str =
    "Byway has no pages for administration. `listen.admin` serves `/metrics` and `/healthz`.";
const METRICS_TLS: &str = "`/metrics` has no TLS. It stays on loopback; put a reverse proxy in front.";
const CIPHERS: &str = "Fixed: TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only.";
const OLD_TLS: &str = "Byway never speaks it: TLS 1.2 and 1.3 only.";
const NO_OLD_TLS: &str = "Byway speaks TLS 1.2 and 1.3 only. Update the clients that need an older version.";
const JOURNAL: &str = "The log goes to the journal: `journalctl -u byway`.";
const LEVEL: &str = "`log.level` sets the level of the log.";
const OAUTH: &str = "Byway has no OAuth (RFC 7635). Use secrets, or `[[users]]`.";
const SHARDS: &str = "`relay.shards`";
const OFFLOAD: &str = "Byway always batches datagrams; `relay.offload` adds GRO and GSO.";
const MULTIPLEX: &str = "Each allocation has its own port. `relay.ports` sets their range.";
const SYSTEMD: &str = "The systemd unit does it.";
const SERVICE_USER: &str = "The systemd unit runs the server as the user `byway`.";
const NO_SOFTWARE: &str = "Byway never sends SOFTWARE.";
const INVALID: &str = "Byway always drops invalid packets, and counts them on `/metrics`.";
const NONCE: &str = "Nonces are always stateless.";
const IPV4_FIRST: &str = "Byway allocates IPv4 unless the client requests IPv6 (RFC 8656).";

/// All options, by subject.
pub(super) const OPTIONS: &[CoturnOption] = &[
    // Listeners.
    taken(
        "listening-ip",
        "`listen.udp`, `listen.tcp`, `listen.tls`. Without it: every address of the machine.",
    ),
    taken("listening-port", "`listen.udp`, `listen.tcp`"),
    taken(
        "tls-listening-port",
        "`listen.tls`, if there is a certificate. This port serves the call page, too.",
    ),
    taken("alt-listening-port", "`listen.udp`, if two addresses of one family listen"),
    refused(
        "alt-tls-listening-port",
        "Discovery works over UDP only. Add the port to `listen.tls` if clients use it.",
    ),
    taken("aux-server", "`listen.udp`; `listen.tls` if there is a certificate, else `listen.tcp`"),
    refused("listening-device", "Byway binds addresses. Name the address of the device as `listening-ip`."),
    taken("no-udp", "`listen.udp`"),
    taken("no-tcp", "`listen.tcp`"),
    taken("no-tls", "`listen.tls`"),
    replaced("no-dtls", "Byway has no DTLS."),
    refused("dtls", "Byway has no DTLS, which browsers do not use. Clients use TLS instead."),
    refused(
        "tcp-proxy-port",
        "coturn takes the header from everyone. Set `listen.proxy_protocol` and `listen.trusted_proxies`.",
    ),
    replaced("udp-self-balance", "The kernel distributes clients over the shards."),
    replaced("ne", "It has no effect in coturn either."),
    replaced("no-rfc5780", DISCOVERY),
    replaced("rfc5780", DISCOVERY),
    replaced("respond-http-unsupported", "The `tls` and `http` listeners answer HTTP."),
    refused(
        "acme-redirect",
        "Byway redirects no ACME request. `[acme]` orders certificates itself, without port 80.",
    ),
    // Relay.
    taken("relay-ip", "`relay.addresses`. Byway relays from one address per family, the first."),
    taken("external-ip", "`relay.public_addresses`, one per family; the private part: `relay.addresses`"),
    refused("relay-device", "Byway binds addresses. Name the address of the device as `relay-ip`."),
    taken("min-port", "`relay.ports`"),
    taken("max-port", "`relay.ports`"),
    taken("relay-threads", SHARDS),
    taken("cpus", SHARDS),
    replaced("sock-buf-size", "`relay.receive_buffer`, `relay.send_buffer` and `relay.relay_buffer`"),
    refused("no-udp-relay", "Byway relays UDP only, so nothing would be left. Remove the line to relay UDP."),
    replaced("no-tcp-relay", "Byway has no TCP allocations (RFC 6062)."),
    refused("server-relay", "Byway always checks permissions (RFC 8656)."),
    replaced("multiplex-peer", MULTIPLEX),
    replaced("multiplex-peer-port", MULTIPLEX),
    replaced("multiplex-peer-max-peers", MULTIPLEX),
    replaced("udp-recvmmsg", OFFLOAD),
    replaced("udp-recvmmsg-log", "`/metrics` counts the datagrams of each batch."),
    replaced("udp-sendmmsg-log", "`/metrics` counts the datagrams of each batch."),
    replaced("udp-gso", OFFLOAD),
    replaced("max-allocate-lifetime", "Fixed: a lifetime is at most one hour, and clients refresh it."),
    replaced("channel-lifetime", "Fixed: 10 minutes (RFC 8656)."),
    replaced("permission-lifetime", "Fixed: 5 minutes (RFC 8656)."),
    replaced("max-allocate-timeout", "Fixed: a connection without an allocation ends after 10 seconds."),
    replaced("drain-min-allocations", "`relay.drain` sets the time that calls may continue after SIGTERM."),
    refused("keep-address-family", IPV4_FIRST),
    refused("allocation-default-address-family", IPV4_FIRST),
    replaced("rfc5766-channel-numbers", "Byway always accepts the numbers 0x4000 to 0x7FFF."),
    // Peers.
    taken("denied-peer-ip", "`peers.deny`, as prefixes and without the ranges of `allowed-peer-ip`"),
    taken("allowed-peer-ip", "`peers.allow`, and exceptions of `peers.deny`. Never loopback or multicast."),
    replaced("no-multicast-peers", "Byway always refuses multicast peers."),
    refused(
        "allow-loopback-peers",
        "Clients would reach services of this machine. Let these listen on another address.",
    ),
    replaced("no-dynamic-ip-list", "The ranges are always those of the file."),
    // Users and secrets.
    taken("realm", "`realm`"),
    taken("use-auth-secret", "`credentials.secrets`"),
    taken("static-auth-secret", "`credentials.secrets`"),
    taken("user", "`[[users]]`. coturn ignores it if there is a secret, and so does the import."),
    replaced("lt-cred-mech", "Byway always requires long-term credentials."),
    refused("no-auth", "Everyone could relay. Configure `use-auth-secret` or `user` instead."),
    replaced("no-auth-pings", DATABASE),
    replaced("userdb", DATABASE),
    replaced("db", DATABASE),
    replaced("psql-userdb", DATABASE),
    replaced("sql-userdb", DATABASE),
    replaced("mysql-userdb", DATABASE),
    replaced("mongo-userdb", DATABASE),
    replaced("redis-userdb", DATABASE),
    replaced("secret-key-file", DATABASE),
    replaced("redis-statsdb", "`/metrics` on `listen.admin`, for Prometheus"),
    replaced("no-dynamic-realms", "There is one realm, that of the file."),
    refused("rest-api-separator", "Usernames are `expiry:name`. Let the issuer of credentials use a colon."),
    replaced("secret-ts-exp-time", "It has no effect in coturn either. `credentials.ttl` is the lifetime."),
    refused("oauth", OAUTH),
    refused("server-name", OAUTH),
    replaced("stale-nonce", "A nonce always expires after 600 seconds."),
    replaced("stateless-nonce", NONCE),
    replaced("stateless-nonce-secret", NONCE),
    replaced(
        "check-origin-consistency",
        "Browsers send no ORIGIN to TURN. `signaling.allowed_origins` is for pages.",
    ),
    replaced("fingerprint", "A response has FINGERPRINT if its request has one."),
    refused("mobility", "Byway has no mobility (RFC 8016). Browsers restart ICE when their network changes."),
    // STUN.
    replaced("stun-only", "The import then writes no secret and no user, so nobody can allocate."),
    refused("no-stun", "ICE needs Binding requests. `quota.unauthenticated_per_second` limits the answers."),
    refused(
        "secure-stun",
        "Binding needs no credential. `quota.unauthenticated_per_second` limits the answers.",
    ),
    replaced("no-stun-backward-compatibility", "Byway never answers RFC 3489."),
    refused("stun-backward-compatibility", "Byway never answers RFC 3489, which is obsolete since 2008."),
    refused("rfc3489-compatibility", "Byway never answers RFC 3489, which is obsolete since 2008."),
    replaced("response-origin-only-with-rfc5780", "Byway always does this."),
    replaced("no-software-attribute", NO_SOFTWARE),
    replaced("prod", NO_SOFTWARE),
    refused("software-attribute", NO_SOFTWARE),
    refused(
        "include-reason-string",
        "Responses have the standard phrase, so that they tell attackers nothing.",
    ),
    replaced("drop-invalid-packets", INVALID),
    replaced("drop-invalid-packets-log", INVALID),
    refused("alternate-server", ALTERNATE),
    refused("udp-alternate-server", ALTERNATE),
    refused("tcp-alternate-server", ALTERNATE),
    refused("tls-alternate-server", ALTERNATE),
    // Limits.
    taken("user-quota", "`quota.allocations_per_user`. Without it, users of the file have no such limit."),
    taken("total-quota", "`quota.allocations`; 0 keeps the default"),
    taken("max-bps", "`quota.bandwidth_per_allocation`, at least 64 KiB a second"),
    refused(
        "bps-capacity",
        "Byway has no limit of all traffic together. Set `max-bps`, or limit the network device.",
    ),
    replaced("unauthorized-ratelimit", "`quota.unauthenticated_per_second` is always on."),
    taken("unauthorized-ratelimit-rps", "`quota.unauthenticated_per_second`"),
    // TLS.
    taken("cert", "`tls.cert`"),
    taken("pkey", "`tls.key`"),
    refused("pkey-pwd", "Byway asks for no password. Decrypt the key: `openssl pkey -in OLD -out NEW`."),
    refused(
        "CA-file",
        "Byway asks clients for no certificate. Remove the line to serve clients without one.",
    ),
    refused("raw-public-keys", "Byway has no raw public keys (RFC 7250). Clients use the certificate."),
    replaced("cipher-list", CIPHERS),
    replaced("dh-file", CIPHERS),
    replaced("dh566", CIPHERS),
    replaced("dh1066", CIPHERS),
    replaced("ec-curve-name", CIPHERS),
    replaced("no-sslv2", OLD_TLS),
    replaced("no-sslv3", OLD_TLS),
    replaced("no-tlsv1", OLD_TLS),
    replaced("no-tlsv1_1", OLD_TLS),
    refused("no-tlsv1_2", "Byway also speaks TLS 1.2. Remove the line to accept that."),
    refused("tlsv1", NO_OLD_TLS),
    refused("tlsv1_1", NO_OLD_TLS),
    // Administration.
    taken("prometheus", "`listen.admin`"),
    taken("prometheus-port", "`listen.admin`"),
    taken("prometheus-address", "`listen.admin`. Without it: loopback."),
    replaced("prometheus-path", "The path is `/metrics`."),
    refused("prometheus-username-labels", "`/metrics` has no names of users. Use the total counters."),
    refused("prometheus-tls", METRICS_TLS),
    refused("prometheus-cert", METRICS_TLS),
    refused("prometheus-key", METRICS_TLS),
    replaced("cli", TELNET),
    replaced("no-cli", TELNET),
    replaced("cli-ip", TELNET),
    replaced("cli-port", TELNET),
    replaced("cli-password", TELNET),
    replaced("cli-max-output-sessions", TELNET),
    replaced("web-admin", WEB_ADMIN),
    replaced("web-admin-ip", WEB_ADMIN),
    replaced("web-admin-port", WEB_ADMIN),
    replaced("web-admin-listen-on-workers", WEB_ADMIN),
    // Log and process.
    replaced("verbose", LEVEL),
    replaced("Verbose", LEVEL),
    replaced("log-min-level", LEVEL),
    replaced("log-binding", "`/metrics` counts Binding requests. The log never has one line for each."),
    replaced("log-file", JOURNAL),
    replaced("no-stdout-log", JOURNAL),
    replaced("syslog", JOURNAL),
    replaced("syslog-facility", JOURNAL),
    replaced("simple-log", JOURNAL),
    replaced("new-log-timestamp", JOURNAL),
    replaced("new-log-timestamp-format", JOURNAL),
    replaced("daemon", SYSTEMD),
    replaced("pidfile", SYSTEMD),
    replaced("proc-user", SERVICE_USER),
    replaced("proc-group", SERVICE_USER),
    replaced("version", "`byway --version`"),
];

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const LISTS: [(&str, &str); 2] = [
        ("4.6.1", include_str!("coturn/options-4.6.1.txt")),
        ("4.17.1", include_str!("coturn/options-4.17.1.txt")),
    ];
    const DOCUMENT: &str = include_str!("../../../docs/migrate-from-coturn.md");

    #[test]
    fn every_option_of_both_versions_is_in_the_table_once() {
        let mut rows = BTreeMap::<&str, usize>::new();
        OPTIONS.iter().for_each(|option| *rows.entry(option.name).or_default() += 1);
        let known: BTreeSet<_> = LISTS.iter().flat_map(|(_, list)| list.lines()).collect();
        assert!(known.len() > 140, "{}", known.len());
        for (version, list) in LISTS {
            for name in list.lines() {
                assert_eq!(rows.get(name), Some(&1), "{name} of {version}");
            }
        }
        let unknown: Vec<_> = rows.keys().filter(|name| !known.contains(*name)).collect();
        assert!(unknown.is_empty(), "neither version has {unknown:?}");
    }

    #[test]
    fn the_document_has_the_rows_of_the_table_in_its_order() {
        let row =
            |option: &CoturnOption| format!("| `{}` | {} | {} |", option.name, option.fate, option.text);
        let wanted: Vec<_> = OPTIONS.iter().map(row).collect();
        let found: Vec<_> = DOCUMENT.lines().filter(|line| line.starts_with("| `")).collect();
        assert_eq!(found, wanted, "the document should have:\n{}", wanted.join("\n"));
    }

    #[test]
    fn a_typing_error_resembles_its_option() {
        assert_eq!(resembles("--no-auth"), Some("no-auth"));
        assert_eq!(resembles("denied-peer-ips"), Some("denied-peer-ip"));
        assert_eq!(resembles("no-udp;"), Some("no-udp"));
        for other in ["", "x", "a-secret-in-the-wrong-place", &"no-udp".repeat(100)] {
            assert_eq!(resembles(other), None, "{other}");
        }
    }
}
