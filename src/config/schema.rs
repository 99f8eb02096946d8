//! The keys, section by section.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use byway_turn::auth::{MAX_TTL, StaticUser};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::acme::{self, AcmeRules};
use super::cluster;
use super::diagnostic::{Diagnostic, Refusal};
use super::reader::{Keys, Names, Section, Value};
use super::secret_files::SecretFiles;
use super::shown::Shown;
use super::values::{self, AdminAddress, list};
use super::webhooks;
use super::{
    Config, Credentials, Doctor, EMBEDDED, Http, Ice, Listen, Peers, Places, Quota, Relay, Signaling, Tls,
};
use crate::access::{Policy, tokens};
use crate::log::LogSettings;
use crate::net::trusted_proxies::TrustedProxies;
use crate::shard::Tuning;
use crate::signaling::SignalingSettings;
use crate::tls::CertificateFiles;

/// Reads a file on top of the embedded default. Returns all mistakes otherwise, in file order.
pub(super) fn read(text: &str, name: &str, dir: Option<&Path>) -> Result<Config, Refusal> {
    let (own, errors) = DeTable::parse_recoverable(text);
    let default = DeTable::parse(EMBEDDED).expect("a test parses the embedded default");
    // The parser continues after an error, and its further errors mostly follow from the first.
    if let Some(first) = errors.first() {
        let nothing = DeTable::new();
        let (_, _, names) = assemble(&nothing, default.get_ref(), None);
        return Err(Refusal { mistakes: vec![syntax(first, text)], shown: Shown::of_broken(&names) });
    }
    let (mut config, mut mistakes, names) = assemble(own.get_ref(), default.get_ref(), dir);
    if mistakes.is_empty() {
        if let Some(tls) = &mut config.tls {
            tls.places = places(own.get_ref(), &names, name, text);
        }
        config.secret_files = SecretFiles::find(own.get_ref(), &names, dir);
        return Ok(config);
    }
    mistakes.sort_by_key(|mistake| mistake.span.start);
    Err(Refusal { mistakes, shown: Shown::of_parsed(own.get_ref(), &names) })
}

/// Builds the configuration from a file on top of the default. Returns it with all mistakes and all
/// known keys.
fn assemble<'d>(
    own: &'d DeTable<'d>,
    default: &'d DeTable<'d>,
    dir: Option<&Path>,
) -> (Config, Vec<Diagnostic>, Names) {
    let mut root = Section::root(own, default);
    let names = root.names();
    let mut mistakes = Vec::new();
    let realm = root.get("realm", |value| values::realm(&value));
    let (ice, open_to_everyone) = ice(root.section("ice"), &mut mistakes);
    let tls = tls(root.section("tls"), dir, &mut mistakes);
    let acme_section = root.section("acme");
    let rules = ListenRules {
        for_everyone: ice.access == Policy::Token || open_to_everyone,
        // A mistake under [acme] is no second one here.
        has_certificate: tls.is_some() || acme_section.has("names"),
    };
    let (listen, listens_v6) = listen(root.section("listen"), dir, rules, &mut mistakes);
    let acme_rules = AcmeRules {
        has_files: tls.is_some(),
        serves_tls: !listen.tls.is_empty(),
        serves_http: !listen.http.is_empty(),
    };
    let acme = acme::read(acme_section, dir, acme_rules, &mut mistakes);
    let (relay, relays_v6) = relay(root.section("relay"), &mut mistakes);
    let credentials = credentials(root.section("credentials"), dir, &mut mistakes);
    let users = users(root.sections("users", USER_KEYS), dir, &mut mistakes);
    let tokens = tokens(root.section("tokens"), dir, &realm, &mut mistakes);
    let peers = peers(root.section("peers"), &mut mistakes);
    let quota = quota(root.section("quota"), &mut mistakes);
    let http = http(root.section("http"), &mut mistakes);
    let signaling = signaling(root.section("signaling"), &mut mistakes);
    let webhooks = webhooks::read(root.section("webhooks"), &realm, &mut mistakes);
    let cluster = cluster::read(root.section("cluster"), dir, &credentials.secrets, &mut mistakes);
    let log = log(root.section("log"), &mut mistakes);
    let doctor = doctor(root.section("doctor"), &mut mistakes);
    mistakes.extend(root.finish());

    let optional_ipv6 = !(listens_v6 || relays_v6);
    let config = Config {
        realm,
        listen,
        tls,
        acme,
        relay,
        credentials,
        users,
        tokens,
        peers,
        quota,
        ice,
        http,
        signaling,
        webhooks,
        cluster,
        log,
        doctor,
        secret_files: SecretFiles::default(),
        optional_ipv6,
    };
    (config, mistakes, names.take())
}

/// Settings outside of [listen] that its keys depend on.
#[derive(Clone, Copy)]
struct ListenRules {
    /// Whether `/ice` may be reachable by everyone.
    for_everyone: bool,
    has_certificate: bool,
}

/// The listeners, and whether the file itself names an IPv6 one.
fn listen(
    mut section: Section<'_>,
    dir: Option<&Path>,
    rules: ListenRules,
    mistakes: &mut Vec<Diagnostic>,
) -> (Listen, bool) {
    let mut names_v6 = false;
    let over_tcp = RefCell::new(Vec::<(&str, SocketAddr)>::new());
    let free = |key, value: &Value<'_>, address: SocketAddr| {
        if key == "udp" || address.port() == 0 {
            return Ok(address);
        }
        let mut taken = over_tcp.borrow_mut();
        if let Some((other, _)) = taken.iter().find(|(other, taken)| *other != key && *taken == address) {
            return Err(value.wrong(
                format!("{address} is already in `listen.{other}`"),
                "configure another port for one of the two; a `tls` listener serves TURN over TLS and the page on one port",
            ));
        }
        taken.push((key, address));
        Ok(address)
    };
    let mut get = |key, read: &dyn Fn(&Value<'_>) -> Result<SocketAddr, Diagnostic>| {
        let addresses = section.get(key, |value| list(&value, |item| free(key, item, read(item)?)));
        names_v6 |= section.has(key) && addresses.iter().any(SocketAddr::is_ipv6);
        addresses
    };
    // These listeners serve /ice. Open access on a public listener needs a second confirmation.
    let serves_ice = |value: &Value<'_>| {
        let address = values::socket_address(value)?;
        if rules.for_everyone || address.ip().to_canonical().is_loopback() {
            return Ok(address);
        }
        Err(value.wrong(
            format!("everyone who reaches {address} gets relay credentials, because ice.access is \"open\""),
            format!(
                "set `access = \"token\"` under [ice], confirm open access with `open_to_everyone = true`, or listen on \"127.0.0.1:{}\"",
                address.port()
            ),
        ))
    };
    let udp = get("udp", &values::socket_address);
    let tcp = get("tcp", &values::socket_address);
    let tls = get("tls", &|value| {
        if rules.has_certificate {
            return serves_ice(value);
        }
        Err(value.wrong(
            "TLS needs a certificate",
            "set `names` under [acme], or name its files: cert = \"/path/fullchain.pem\" and key = \"/path/privkey.pem\" \
             under [tls]",
        ))
    });
    let http = get("http", &serves_ice);
    let both = section.get("admin", |value| {
        list(&value, |item| match values::admin_address(item, dir)? {
            AdminAddress::Tcp(address) => free("admin", item, address).map(AdminAddress::Tcp),
            socket => Ok(socket),
        })
    });
    let (mut admin, mut admin_sockets) = (Vec::new(), Vec::new());
    for address in both {
        match address {
            AdminAddress::Tcp(address) => admin.push(address),
            AdminAddress::Unix(path) => admin_sockets.push(path),
        }
    }
    names_v6 |= section.has("admin") && admin.iter().any(SocketAddr::is_ipv6);
    let listen = Listen {
        udp,
        tcp,
        tls,
        http,
        admin,
        admin_sockets,
        trusted_proxies: TrustedProxies::new(
            section.get("trusted_proxies", |value| list(&value, values::network)),
        ),
        proxy_protocol: section.get("proxy_protocol", |value| list(&value, values::proxied_listener)),
    };
    mistakes.extend(section.finish());
    (listen, names_v6)
}

/// The files of the certificate, if there is one.
fn tls(mut section: Section<'_>, dir: Option<&Path>, mistakes: &mut Vec<Diagnostic>) -> Option<Tls> {
    let cert = section.get_file("cert", |value| values::path(&value, dir));
    let key = section.get_file("key", |value| {
        let key = values::path(&value, dir)?;
        match (&cert, &key) {
            (None, Some(_)) => {
                Err(value.wrong("a key without its certificate", "name the certificate in `cert`"))
            }
            _ => Ok(key),
        }
    });
    // Read a second time so that the mistake points at `cert`.
    section.get_file("cert", |value| match (values::path(&value, dir)?, &key) {
        (Some(_), None) => Err(value.wrong("a certificate without its key", "name the key in `key`")),
        _ => Ok(()),
    });
    mistakes.extend(section.finish());
    Some(Tls { files: CertificateFiles { cert: cert?, key: key? }, places: Places::default() })
}

/// The relay, and whether the file itself names an IPv6 address for it.
fn relay(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> (Relay, bool) {
    const LONGEST_REST: Duration = Duration::from_secs(3600);
    const LONGEST_DRAIN: Duration = Duration::from_secs(3600);
    let public_addresses =
        section.get("public_addresses", |value| values::one_per_family(&value, values::public_address));
    let addresses = section.get("addresses", |value| values::relay_addresses(&value, &public_addresses));
    let names_v6 = section.has("addresses") && addresses.iter().any(IpAddr::is_ipv6);
    let tuning = tuning(&mut section);
    let relay = Relay {
        addresses,
        public_addresses,
        ports: section.get("ports", |value| values::ports(&value)),
        port_rest: section
            .get("port_rest", |value| values::duration(&value, &(Duration::ZERO..=LONGEST_REST))),
        shards: section.get("shards", |value| values::number(&value, &(0..=256))),
        tuning,
        drain: section.get("drain", |value| values::duration(&value, &(Duration::ZERO..=LONGEST_DRAIN))),
    };
    mistakes.extend(section.finish());
    (relay, names_v6)
}
fn tuning(section: &mut Section<'_>) -> Tuning {
    // A longer pause saves hardly any more CPU and fills the buffers.
    const LONGEST_NAP: Duration = Duration::from_millis(1);
    // A client with audio sends every 20 ms. At twice that, a single call would keep its core awake
    // for good.
    const LONGEST_POLL: Duration = Duration::from_millis(10);
    // The minimum holds one datagram of the largest size. Twice the maximum still fits an int, the
    // kernel's type.
    let listener_buffer = 64 << 10..=512 << 20;
    let relay_buffer = 64 << 10..=64 << 20;
    let nap = section.get("nap", |value| values::duration(&value, &(Duration::ZERO..=LONGEST_NAP)));
    let busy_poll = section.get("busy_poll", |value| {
        let busy_poll = values::duration(&value, &(Duration::ZERO..=LONGEST_POLL))?;
        if busy_poll.is_zero() || nap.is_zero() {
            return Ok(busy_poll);
        }
        Err(value.wrong(
            "it excludes `nap`: one spends CPU to save latency, the other the reverse",
            "set this or `nap` to \"0s\"",
        ))
    });
    Tuning {
        offload: section.get("offload", |value| value.boolean()),
        receive_buffer: section.get("receive_buffer", |value| values::size(&value, &listener_buffer)),
        send_buffer: section.get("send_buffer", |value| values::size(&value, &listener_buffer)),
        relay_buffer: section.get("relay_buffer", |value| {
            values::size_or_zero(&value, &relay_buffer, "for the system's default")
        }),
        nap,
        busy_poll,
        incoming_cpu: section.get("incoming_cpu", |value| value.boolean()),
    }
}

fn credentials(mut section: Section<'_>, dir: Option<&Path>, mistakes: &mut Vec<Diagnostic>) -> Credentials {
    const SHORTEST_TTL: Duration = Duration::from_secs(10);
    let mut secrets = section.get_secret("secrets", |value| list(&value, values::secret));
    secrets.extend(
        section.get_file("secret_files", |value| list(&value, |item| values::secret_file(item, dir))),
    );
    let ttl = section.get("ttl", |value| values::duration(&value, &(SHORTEST_TTL..=MAX_TTL)));
    let strict_expiry = section.get("strict_expiry", |value| value.boolean());
    mistakes.extend(section.finish());
    Credentials { secrets, ttl, strict_expiry }
}

/// Keys of one of the `[[users]]`, which has no default.
const USER_KEYS: Keys = Keys { secret: &["name", "password"], files: &["password_file"] };

/// The static users. Errors show neither a name nor a password: one may be in the other's place.
fn users(sections: Vec<Section<'_>>, dir: Option<&Path>, mistakes: &mut Vec<Diagnostic>) -> Vec<StaticUser> {
    let mut users = Vec::<StaticUser>::new();
    for mut section in sections {
        let is_taken = |name: &str| users.iter().any(|user| user.name() == name);
        let name = section.find("name", |value| values::user_name(&value, is_taken));
        let has_password = section.has("password");
        // A wrong name is a mistake of its own. Any other serves to check the password.
        let read = |value: &Value<'_>, password: &str| {
            values::user(value, name.as_deref().unwrap_or("name"), password)
        };
        let inline = section.find("password", |value| read(&value, value.secret()?));
        let of_file = section.find("password_file", |value| {
            if has_password {
                return Err(
                    value.wrong("this user has a password and a password_file", "remove one of the two")
                );
            }
            read(&value, &values::password_file(&value, dir)?)
        });
        for (is_there, key) in [
            (section.has("name"), "a `name`"),
            (has_password || section.has("password_file"), "a `password` or a `password_file`"),
        ] {
            if !is_there {
                section.lacks(key);
            }
        }
        users.extend(inline.or(of_file).filter(|_| name.is_some()));
        mistakes.extend(section.finish());
    }
    users
}

fn tokens(
    mut section: Section<'_>,
    dir: Option<&Path>,
    realm: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> tokens::Settings {
    let mut secrets = section.get_secret("secrets", |value| list(&value, values::secret));
    secrets.extend(
        section.get_file("secret_files", |value| list(&value, |item| values::secret_file(item, dir))),
    );
    let keys = section.get_file("jwks_file", |value| values::public_keys(&value, dir));
    let audience = section.get("audience", |value| value.text().map(str::to_owned));
    mistakes.extend(section.finish());
    tokens::Settings {
        secrets,
        keys,
        audience: if audience.is_empty() { realm.to_owned() } else { audience },
    }
}

fn peers(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> Peers {
    let peers = Peers {
        allow: section.get("allow", |value| list(&value, values::network)),
        deny: section.get("deny", |value| list(&value, values::network)),
    };
    mistakes.extend(section.finish());
    peers
}

fn quota(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> Quota {
    const U32: u64 = u32::MAX as u64;
    let quota = Quota {
        allocations_per_user: section.get("allocations_per_user", |value| values::number(&value, &(0..=U32))),
        allocations_per_address: section
            .get("allocations_per_address", |value| values::number(&value, &(0..=U32))),
        allocations: section.get("allocations", |value| values::number(&value, &(1..=1_000_000))),
        bandwidth_per_allocation: section.get("bandwidth_per_allocation", |value| values::bandwidth(&value)),
        unauthenticated_per_second: section
            .get("unauthenticated_per_second", |value| values::number(&value, &(0..=U32))),
    };
    mistakes.extend(section.finish());
    quota
}

/// Reads access and the answers of `/ice`, and whether the file confirms open access.
fn ice(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> (Ice, bool) {
    let open_to_everyone = section.get("open_to_everyone", |value| value.boolean());
    let ice = Ice {
        access: section.get("access", |value| values::access(&value)),
        api_keys: section.get_secret("api_keys", |value| list(&value, values::api_key)),
        transport_policy: section.get("transport_policy", |value| values::transport_policy(&value)),
        urls: section.get("urls", |value| list(&value, values::ice_url)),
    };
    mistakes.extend(section.finish());
    (ice, open_to_everyone)
}

fn http(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> Http {
    let http = Http { hosts: section.get("hosts", |value| list(&value, values::host)) };
    mistakes.extend(section.finish());
    http
}

fn signaling(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> Signaling {
    const LONGEST_ABSENCE: Duration = Duration::from_secs(600);
    let signaling = Signaling {
        settings: SignalingSettings {
            max_rooms: section.get("max_rooms", |value| values::number(&value, &(1..=1_000_000))),
            max_members: section.get("max_members", |value| values::number(&value, &(2..=64))),
            max_viewers: section.get("max_viewers", |value| values::number(&value, &(0..=256))),
            max_message: section.get("max_message", |value| values::size(&value, &(4 << 10..=1 << 20))),
            resume_window: section
                .get("resume_window", |value| values::duration(&value, &(Duration::ZERO..=LONGEST_ABSENCE))),
        },
        joins_per_second: section.get("joins_per_second", |value| values::number(&value, &(0..=1_000_000))),
        allowed_origins: section.get("allowed_origins", |value| list(&value, values::origin)),
    };
    mistakes.extend(section.finish());
    signaling
}

fn log(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> LogSettings {
    let log = LogSettings {
        format: section.get("format", |value| values::log_format(&value)),
        level: section.get("level", |value| values::log_level(&value)),
    };
    mistakes.extend(section.finish());
    log
}

fn doctor(mut section: Section<'_>, mistakes: &mut Vec<Diagnostic>) -> Doctor {
    let doctor = Doctor { from: section.get("from", |value| values::server_elsewhere(&value)) };
    mistakes.extend(section.finish());
    doctor
}

/// Positions of the certificate's and the key's path in a file.
fn places(own: &DeTable<'_>, names: &Names, name: &str, text: &str) -> Places {
    let shown = Shown::of_parsed(own, names);
    let Some(section) = own.get("tls").and_then(|tls| tls.get_ref().as_table()) else {
        return Places::default();
    };
    let values = ["cert", "key"].map(|key| Some((key, section.get(key)?)));
    let place = |(key, value): (&str, &Spanned<DeValue<'_>>)| {
        let reason = format!("`tls.{key}`");
        Diagnostic { span: value.span(), reason, remedy: String::new(), shortage: None }
            .problem(name, text, &shown)
    };
    Places(values.into_iter().flatten().map(place).collect())
}

/// An error of the TOML itself.
fn syntax(error: &toml::de::Error, text: &str) -> Diagnostic {
    let reason = error.message().replace('\n', ", ");
    let remedy = match reason.as_str() {
        "duplicate key" => "keep one of the two",
        _ => "write TOML: key = \"text\", key = 5, key = [\"a\", \"b\"], [section]",
    };
    Diagnostic {
        span: error.span().unwrap_or(text.len()..text.len()),
        reason,
        remedy: remedy.to_owned(),
        shortage: None,
    }
}
