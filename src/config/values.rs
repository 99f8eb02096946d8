//! Parsers for each kind of value. Each function turns one value of the file into its type or
//! returns a [`Diagnostic`].

use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use byway_turn::auth::{Secret, StaticUser, StaticUserError, check_name};
use ipnet::IpNet;
use jsonwebtoken::jwk::JwkSet;

use super::diagnostic::{Diagnostic, Shortage};
use super::reader::Value;
use super::shown::names_a_file;
use super::{IceUrl, IceUrlError, ProxiedListener, TransportPolicy};
use crate::access::{Policy, tokens};
use crate::log::{LogFormat, LogLevel, LogLevelError};
use crate::operator_file::{self, SHORTAGE, is_shortage};
use crate::origin::{HostPattern, Origin, OriginError};

type Read<T> = Result<T, Diagnostic>;

/// A list whose items `read` parses, without duplicates.
pub(super) fn list<T: PartialEq>(value: &Value<'_>, read: impl Fn(&Value<'_>) -> Read<T>) -> Read<Vec<T>> {
    let mut list = Vec::new();
    for item in value.items()? {
        let parsed = read(&item)?;
        if list.contains(&parsed) {
            return Err(item.wrong("this is in the list twice", "remove one of the two"));
        }
        list.push(parsed);
    }
    Ok(list)
}

/// A number within `bounds`.
pub(super) fn number<T: TryFrom<u64>>(value: &Value<'_>, bounds: &RangeInclusive<u64>) -> Read<T> {
    let number = value.integer(bounds)?;
    T::try_from(number).map_err(|_| value.wrong(format!("{number} is out of bounds"), "use a smaller number"))
}

/// A realm. It fits in the REALM attribute (RFC 8489 section 14.9: fewer than 128 characters) and
/// in a quoted string of any client.
pub(super) fn realm(value: &Value<'_>) -> Read<String> {
    let realm = value.text()?;
    let length = realm.chars().count();
    if !(1..=127).contains(&length) {
        return Err(value
            .wrong(format!("it has {length} characters"), "use 1 to 127 characters, such as a domain name"));
    }
    match realm.chars().find(|c| c.is_control() || matches!(c, '"' | '\\')) {
        Some(c) => Err(value.wrong(
            format!("{c:?} is not allowed in a realm"),
            "use no quotes, backslashes or control characters; a domain name is a good choice",
        )),
        None => Ok(realm.to_owned()),
    }
}

/// Address of a listener. With port 0 the system chooses the port.
pub(super) fn socket_address(value: &Value<'_>) -> Read<SocketAddr> {
    let text = value.text()?;
    text.parse().map_err(|_| {
        let remedy = match text.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => format!("add the port: \"{text}:3478\""),
            // "::1:3478" is itself an IPv6 address, but not the intended one.
            Ok(IpAddr::V6(_)) => match text.rsplit_once(':') {
                Some((ip, port)) if port.len() > 2 && ip.parse::<Ipv6Addr>().is_ok() => {
                    format!("put brackets around the address: \"[{ip}]:{port}\"")
                }
                _ => format!("add brackets and a port: \"[{text}]:3478\""),
            },
            Err(_) => "use an IP address and a port, such as \"0.0.0.0:3478\" or \"[::]:3478\"".to_owned(),
        };
        value.wrong(format!("{text:?} is not a socket address"), remedy)
    })
}

/// Address of an admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum AdminAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Bytes of the longest path of a Unix socket. The kernel allows 107, and the socket has a longer
/// name until it is bound.
const LONGEST_SOCKET: usize = 100;

/// Address of an admin listener: `address:port`, or `unix:` and a path. A relative path starts from
/// `dir`.
pub(super) fn admin_address(value: &Value<'_>, dir: Option<&Path>) -> Read<AdminAddress> {
    let Some(path) = value.text()?.strip_prefix("unix:") else {
        return socket_address(value).map(AdminAddress::Tcp);
    };
    let whole = dir.unwrap_or(Path::new("")).join(path);
    let remedy = "write unix: and a path of at most 100 bytes, such as \"unix:/run/byway/admin.sock\"";
    if path.is_empty() || path.ends_with('/') || path.contains(char::is_control) {
        return Err(value.wrong("no path of a socket follows `unix:`", remedy));
    }
    if whole.as_os_str().len() > LONGEST_SOCKET {
        return Err(value.wrong("the path is too long for a socket", remedy));
    }
    Ok(AdminAddress::Unix(whole))
}

/// A file; a relative path starts from `dir`. An empty string means no file.
pub(super) fn path(value: &Value<'_>, dir: Option<&Path>) -> Read<Option<PathBuf>> {
    let text = value.text()?;
    if text.contains(char::is_control) {
        return Err(value.wrong("this is the content of a file, not its name", "name the file"));
    }
    Ok((!text.is_empty()).then(|| dir.unwrap_or(Path::new("")).join(text)))
}

/// Addresses, at most one per family.
pub(super) fn one_per_family(
    value: &Value<'_>,
    read: impl Fn(&Value<'_>) -> Read<IpAddr>,
) -> Read<Vec<IpAddr>> {
    let mut addresses: Vec<IpAddr> = Vec::new();
    for item in value.items()? {
        let address = read(&item)?;
        if addresses.iter().any(|other| other.is_ipv4() == address.is_ipv4()) {
            let family = family(address);
            return Err(
                item.wrong(format!("a second {family} address"), format!("keep one {family} address"))
            );
        }
        addresses.push(address);
    }
    Ok(addresses)
}

/// A unicast address, to which a socket can be bound.
pub(super) fn unicast(value: &Value<'_>) -> Read<IpAddr> {
    let text = value.text()?;
    let remedy = "use an address without a port, such as \"203.0.113.10\" or \"2001:db8::10\"";
    let address: IpAddr =
        text.parse().map_err(|_| value.wrong(format!("{text:?} is not an IP address"), remedy))?;
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    if address.is_multicast() || broadcast {
        return Err(value.wrong(format!("{address} is not the address of one machine"), remedy));
    }
    Ok(address)
}

/// A relay address for clients.
pub(super) fn public_address(value: &Value<'_>) -> Read<IpAddr> {
    let address = unicast(value)?;
    if address.is_unspecified() {
        return Err(value.wrong(
            format!("clients cannot send to {address}"),
            "set the address under which the internet reaches this server",
        ));
    }
    Ok(address)
}

/// Addresses that relay sockets bind: at least one, and one for each public address. A wildcard is
/// resolved to an address of the machine.
pub(super) fn relay_addresses(value: &Value<'_>, public: &[IpAddr]) -> Read<Vec<IpAddr>> {
    let same_family = |a: &IpAddr, b: &IpAddr| a.is_ipv4() == b.is_ipv4();
    let addresses = one_per_family(value, unicast)?;
    if addresses.is_empty() {
        return Err(value.wrong("no address to relay from", "name one address of this machine per family"));
    }
    match public.iter().find(|public| !addresses.iter().any(|address| same_family(public, address))) {
        Some(public) => Err(value.wrong(
            format!("no {} address to go with the public address {public}", family(*public)),
            format!("add the machine's own {} address, or remove the public one", family(*public)),
        )),
        None => Ok(addresses),
    }
}

/// The name of an address family.
fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// `"low-high"`, above the ports of system services.
pub(super) fn ports(value: &Value<'_>) -> Read<RangeInclusive<u16>> {
    let remedy = "use two ports between 1024 and 65535, low-high, as in \"49152-65535\"";
    let text = value.text()?;
    let Some((low, high)) = text.split_once('-') else {
        return Err(value.wrong(format!("{text:?} is not a range"), remedy));
    };
    let port = |text: &str| {
        let text = text.trim();
        text.parse::<u16>().map_err(|_| value.wrong(format!("{text:?} is not a port"), remedy))
    };
    let (low, high) = (port(low)?, port(high)?);
    if low < 1024 {
        return Err(value.wrong(format!("{low} is below 1024; system services use these ports"), remedy));
    }
    if low > high {
        return Err(value.wrong(format!("{low} is above {high}"), remedy));
    }
    Ok(low..=high)
}

/// A duration within `bounds`.
pub(super) fn duration(value: &Value<'_>, bounds: &RangeInclusive<Duration>) -> Read<Duration> {
    let is_short = *bounds.end() < Duration::from_secs(1);
    let text = value
        .quantity("a duration", if is_short { "\"200us\" or \"1ms\"" } else { "\"600s\" or \"10m\"" })?;
    let (low, high) =
        (humantime::format_duration(*bounds.start()), humantime::format_duration(*bounds.end()));
    let such_as = if is_short { "\"200us\"" } else { "\"90s\", \"10m\" or \"1h 30m\"" };
    let remedy = format!("use a duration from \"{low}\" to \"{high}\", such as {such_as}");
    match humantime::parse_duration(text) {
        Ok(duration) if bounds.contains(&duration) => Ok(duration),
        Ok(_) => Err(value.wrong(format!("{text:?} is out of bounds"), remedy)),
        Err(_) => Err(value.wrong(format!("{text:?} is not a duration"), remedy)),
    }
}

/// Bytes per second; "0" means no cap.
pub(super) fn bandwidth(value: &Value<'_>) -> Read<u64> {
    // Below this minimum, not even one large datagram per second would pass.
    size_or_zero(value, &(64 * 1024..=1 << 40), "for no cap").map(|bytes| bytes as u64)
}

/// A size in bytes within `bounds`, or "0", whose meaning `zero` names.
pub(super) fn size_or_zero(value: &Value<'_>, bounds: &RangeInclusive<u64>, zero: &str) -> Read<usize> {
    if value.text().is_ok_and(|text| text == "0") {
        return Ok(0);
    }
    let or_zero = |mistake: Diagnostic| Diagnostic {
        remedy: format!("{}, or \"0\" {zero}", mistake.remedy),
        ..mistake
    };
    size(value, bounds).map_err(or_zero)
}

/// A size in bytes within `bounds`.
pub(super) fn size(value: &Value<'_>, bounds: &RangeInclusive<u64>) -> Read<usize> {
    let text = value.quantity("a size", "\"64KiB\" or \"1MiB\"")?;
    let show = |bytes| bytesize::ByteSize(bytes).display().iec().to_string();
    let remedy = format!("use a size from \"{}\" to \"{}\"", show(*bounds.start()), show(*bounds.end()));
    match text.parse::<bytesize::ByteSize>() {
        Ok(size) if bounds.contains(&size.as_u64()) => usize::try_from(size.as_u64())
            .map_err(|_| value.wrong("this machine cannot address that much memory", remedy)),
        Ok(_) => Err(value.wrong(format!("{text:?} is out of bounds"), remedy)),
        Err(_) => Err(value.wrong(format!("{text:?} is not a size"), remedy)),
    }
}

/// Access policy of rooms and credentials.
pub(super) fn access(value: &Value<'_>) -> Read<Policy> {
    match value.text()? {
        "open" => Ok(Policy::Open),
        "token" => Ok(Policy::Token),
        text => Err(value.wrong(format!("{text:?} is not an access policy"), "use \"open\" or \"token\"")),
    }
}

/// URL of a STUN or TURN server elsewhere, or "" for none.
pub(super) fn server_elsewhere(value: &Value<'_>) -> Read<Option<IceUrl>> {
    let text = value.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: IceUrlError| {
        value.wrong(
            format!("{text:?} is not a STUN or TURN URL: {error}"),
            "write \"stun:HOST\" or \"turn:HOST\", or \"\" for none",
        )
    })
}

/// Format of the log.
pub(super) fn log_format(value: &Value<'_>) -> Read<LogFormat> {
    match value.text()? {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        text => Err(value.wrong(format!("{text:?} is not a format of the log"), "use \"text\" or \"json\"")),
    }
}

/// Levels of the log.
pub(super) fn log_level(value: &Value<'_>) -> Read<LogLevel> {
    value.text()?.parse().map_err(|error: LogLevelError| value.wrong(&error, error.remedy()))
}

/// Characters of the shortest secret. A shorter one can be guessed from one captured message, and
/// its holder relays without limit.
const SHORTEST_SECRET: usize = 8;

/// A secret in the file itself. Errors never show it.
pub(super) fn secret(value: &Value<'_>) -> Read<Secret> {
    strong(value, value.secret()?)
}

/// Place of a secret that is not in a file of its own.
const INTO_SECRETS: &str = "secret into `secrets`";

/// A secret in a file of its own, on its only line. Errors never show it.
pub(super) fn secret_file(value: &Value<'_>, dir: Option<&Path>) -> Read<Secret> {
    strong(value, &only_line(value, dir, "secret", INTO_SECRETS)?)
}

/// A static user's password in a file of its own, on its only line. Errors never show it.
pub(super) fn password_file(value: &Value<'_>, dir: Option<&Path>) -> Read<String> {
    if value.text()?.is_empty() {
        return Err(value.wrong("no file is named", "name a file that contains only the password"));
    }
    only_line(value, dir, "password", "password into `password`")
}

/// The only line of a file. `what` names its content.
///
/// Only line endings are removed. Another program that reads the file may keep surrounding
/// characters and then sign with a different secret.
fn only_line(value: &Value<'_>, dir: Option<&Path>, what: &str, inline: &str) -> Read<String> {
    let path = dir.unwrap_or(Path::new("")).join(value.text()?);
    let text = read(value, &path, &format!("use a file that contains only the {what}"), inline)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    let surplus = if text.starts_with('\u{feff}') {
        Some("it begins with a byte order mark, which would be part of the content")
    } else if secret.contains(['\r', '\n']) {
        Some("it has more than one line")
    } else if secret != secret.trim() {
        Some("there is a space before or after the content")
    } else if secret.contains(char::is_control) {
        Some("it contains a control character")
    } else {
        None
    };
    match surplus {
        Some(surplus) => Err(value.wrong(
            format!("{}: {surplus}", path.display()),
            format!("write only the {what} into the file: printf '%s' \"$SECRET\" >{}", path.display()),
        )),
        None => Ok(secret.to_owned()),
    }
}

/// The name of a static user. Errors never show it, because a password may be in its place.
pub(super) fn user_name(value: &Value<'_>, is_taken: impl Fn(&str) -> bool) -> Read<String> {
    let name = value.secret()?;
    check_name(name).map_err(|error| value.wrong(error, remedy(error)))?;
    if is_taken(name) {
        return Err(value.wrong(
            "an earlier one of the [[users]] has this name",
            "use another name, or remove one of the two",
        ));
    }
    Ok(name.to_owned())
}

/// A static user with this password. Errors never show it.
pub(super) fn user(value: &Value<'_>, name: &str, password: &str) -> Read<StaticUser> {
    StaticUser::new(name, password).map_err(|error| value.wrong(error, remedy(error)))
}

/// Remedy for a wrong name or password.
fn remedy(error: StaticUserError) -> &'static str {
    match error {
        StaticUserError::Name => "use a short name, such as \"camera\"",
        StaticUserError::Colon => {
            "use a name without a colon; a time-limited username needs no entry here, only a secret under [credentials]"
        }
        StaticUserError::Digits => {
            "put a letter or a sign into the name, such as \"+4930123456\" or \"phone-4711\""
        }
        StaticUserError::UnpreparedName => {
            "use ASCII, or the composed form of each character without invisible ones"
        }
        StaticUserError::NoPassword => "use a random one: openssl rand -base64 24",
        StaticUserError::UnpreparedPassword => {
            "use ASCII, or the composed form of each character without invisible ones: openssl rand -base64 24"
        }
        StaticUserError::Key => {
            "write the whole key, as `turnadmin -k -u NAME -r REALM -p PASSWORD` prints it, or the password itself; a \
             password cannot begin with 0x"
        }
    }
}

/// An API key for programs. It is longer than a secret, because it grants more than relaying and
/// guesses get an answer.
pub(super) fn api_key(value: &Value<'_>) -> Read<Secret> {
    let key = value.secret()?;
    let remedy = "use 16 or more letters, digits and signs without spaces: openssl rand -base64 24";
    match key.len() {
        length if length < 16 => {
            Err(value.wrong(format!("a key of {length} characters can be guessed"), remedy))
        }
        // Clients send it in a header, and as a password after a colon.
        _ if !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(value.wrong("the key has a character that is not allowed in a header", remedy))
        }
        _ => Ok(Secret::new(key)),
    }
}

/// A JSON Web Key Set with public keys that verify join tokens. An empty string means no file.
pub(super) fn public_keys(value: &Value<'_>, dir: Option<&Path>) -> Read<Option<JwkSet>> {
    let Some(path) = path(value, dir)? else { return Ok(None) };
    let remedy = "use a JSON Web Key Set: {\"keys\": [...]} with Ed25519 or P-256 public keys";
    let text = read(value, &path, "use a JSON Web Key Set", INTO_SECRETS)?;
    let wrong = |reason: String| value.wrong(format!("{}: {reason}", path.display()), remedy);
    // The parser's message might quote the file.
    let place = |error: serde_json::Error| match error.line() {
        0 => wrong("not a JSON Web Key Set".to_owned()),
        line => wrong(format!("not a JSON Web Key Set at line {line}, column {}", error.column())),
    };
    let set: JwkSet = serde_json::from_str(&text).map_err(place)?;
    let leftovers: KeyMembers = serde_json::from_str(&text).map_err(place)?;
    if set.keys.is_empty() {
        return Err(wrong("no keys".to_owned()));
    }
    for (number, (key, members)) in (1..).zip(set.keys.iter().zip(&leftovers.keys)) {
        let reason = if members.contains_key("d") || members.contains_key("k") {
            "is private: everyone who can read this file would have it"
        } else if tokens::verifier(key).is_none() {
            "is of an unsupported kind"
        } else if !is_for_signatures(members) {
            "is not for verifying signatures (`use`, `key_ops`)"
        } else {
            continue;
        };
        let name = key.common.key_id.as_deref().unwrap_or("");
        return Err(wrong(format!("key {number}, {name:?}, {reason}")));
    }
    Ok(Some(set))
}

/// Members of each key (RFC 7517 section 4), including those that [`JwkSet`] ignores.
#[derive(serde::Deserialize)]
struct KeyMembers {
    keys: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// Whether a key may verify signatures (RFC 7517 sections 4.2 and 4.3).
fn is_for_signatures(members: &serde_json::Map<String, serde_json::Value>) -> bool {
    let is_used = members.get("use").is_none_or(|used| used == "sig");
    let verifies = |operations: &serde_json::Value| {
        operations
            .as_array()
            .is_some_and(|operations| operations.iter().any(|operation| operation == "verify"))
    };
    is_used && members.get("key_ops").is_none_or(verifies)
}

/// Reads the text of a file. `what` is the remedy for a wrong one, `inline` says where a secret
/// goes that is in the place of its file's name.
pub(super) fn read(value: &Value<'_>, path: &Path, what: &str, inline: &str) -> Read<String> {
    operator_file::read_text(path, operator_file::SMALL).map_err(|error| {
        if let Some(code) = error.raw_os_error().filter(|_| is_shortage(&error)) {
            let shortage = Shortage { path: path.to_owned(), code };
            return Diagnostic { shortage: Some(shortage), ..value.wrong(error, SHORTAGE) };
        }
        let remedy = match error.kind() {
            io::ErrorKind::Other | io::ErrorKind::InvalidData => what.to_owned(),
            _ => format!("{what}, readable by this user"),
        };
        let is_there = error.kind() == io::ErrorKind::PermissionDenied || path.exists();
        // Errors end up in logs, and the operator may have put a secret in place of its file's
        // name.
        match is_there || value.text().is_ok_and(names_a_file) {
            true => value.wrong(format!("{}: {error}", path.display()), remedy),
            false => value.wrong(
                format!("the file with this name cannot be read: {error}"),
                format!("name a file, relative to the folder of this one; put a {inline}"),
            ),
        }
    })
}

fn strong(value: &Value<'_>, secret: &str) -> Read<Secret> {
    match secret.chars().count() {
        length if length < SHORTEST_SECRET => Err(value.wrong(
            format!("a secret of {length} characters can be guessed, and its holder relays without limit"),
            format!(
                "use at least {SHORTEST_SECRET} characters, better 32 random ones: openssl rand -base64 24"
            ),
        )),
        _ => Ok(Secret::new(secret)),
    }
}

/// A range of addresses; a single address is a range of one.
pub(super) fn network(value: &Value<'_>) -> Read<IpNet> {
    let text = value.text()?;
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(address.into());
    }
    let network: IpNet = text.parse().map_err(|_| {
        let (address, length) = text.split_once('/').unwrap_or((text, ""));
        match address.parse::<IpAddr>() {
            Ok(address) => {
                let longest = if address.is_ipv4() { 32 } else { 128 };
                value.wrong(
                    format!("{length:?} is not the length of an {} range", family(address)),
                    format!("use a length from 0 to {longest} after the slash, such as \"{address}/{longest}\""),
                )
            }
            Err(_) => value.wrong(
                format!("{text:?} is not a range of addresses"),
                "use an address such as \"172.18.0.2\" or a range such as \"172.18.0.0/16\", without a port or a name",
            ),
        }
    })?;
    if network != network.trunc() {
        // The operator may mean the address or the whole range. An access list must not guess.
        return Err(value.wrong(
            format!("{network} has address bits after its length of {}", network.prefix_len()),
            format!(
                "write \"{}\" for the whole range or \"{}\" for the one address",
                network.trunc(),
                network.addr()
            ),
        ));
    }
    Ok(network)
}

/// A listener behind a proxy with PROXY protocol.
pub(super) fn proxied_listener(value: &Value<'_>) -> Read<ProxiedListener> {
    let remedy = "use \"tcp\", \"tls\" and \"http\", the keys of the listeners behind the proxy";
    match value.text()? {
        "tcp" => Ok(ProxiedListener::Tcp),
        "tls" => Ok(ProxiedListener::Tls),
        "http" => Ok(ProxiedListener::Http),
        text @ ("udp" | "admin") => {
            Err(value.wrong(format!("a `{text}` listener takes no PROXY header"), remedy))
        }
        text => Err(value.wrong(format!("{text:?} is not a listener"), remedy)),
    }
}

/// ICE transport policy for pages.
pub(super) fn transport_policy(value: &Value<'_>) -> Read<TransportPolicy> {
    match value.text()? {
        "all" => Ok(TransportPolicy::All),
        "relay" => Ok(TransportPolicy::Relay),
        text => Err(value.wrong(format!("{text:?} is not a policy"), "use \"all\" or \"relay\"")),
    }
}

/// A STUN or TURN URL.
pub(super) fn ice_url(value: &Value<'_>) -> Read<String> {
    let text = value.text()?;
    let such_as = "write a URL such as \"turn:turn.example.org:3478?transport=udp\"";
    // `shown` hides this text, because a password may precede the @.
    if text.contains('@') {
        return Err(value.wrong(
            "a TURN URL has no user or password: /ice adds credentials itself",
            format!("remove everything up to the @; {such_as}"),
        ));
    }
    match text.parse::<IceUrl>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(value.wrong(error, such_as)),
    }
}

/// An origin of web pages. Two notations of the same origin are equal.
pub(super) fn origin(value: &Value<'_>) -> Read<Origin> {
    let text = value.text()?;
    if !text.is_ascii() {
        return Err(value.wrong(ASCII_ONLY, ASCII_FORM));
    }
    text.parse().map_err(|error: OriginError| {
        value.wrong(error, "write it like the browser's Origin header, such as \"https://example.org\"")
    })
}

/// A host that requests may name.
pub(super) fn host(value: &Value<'_>) -> Read<HostPattern> {
    let text = value.text()?;
    if !text.is_ascii() {
        return Err(value.wrong(ASCII_ONLY, ASCII_FORM));
    }
    HostPattern::parse(text).ok_or_else(|| {
        let reason = match text {
            "*" => "a wildcard for every host would disable the protection against DNS rebinding".to_owned(),
            _ => format!("{text:?} is not a host"),
        };
        value.wrong(
            reason,
            "use a name or an address without scheme, port or path, such as \"call.example.org\", \"*.example.org\" or \
             \"203.0.113.10\"",
        )
    })
}

const ASCII_ONLY: &str = "browsers send names in ASCII only";
const ASCII_FORM: &str = "write its ASCII form, which begins with xn--";
