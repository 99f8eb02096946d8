//! The section `[cluster]`.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::{HeaderName, Uri};
use byway_turn::auth::{Secret, Secrets};

use super::diagnostic::Diagnostic;
use super::ice_url::IceUrl;
use super::reader::{Section, Value};
use super::values::{self, ice_url, list};
use crate::access::names::{NodeName, Region};
use crate::cluster::ClusterSettings;
use crate::cluster::credentials::BusCredentials;
use crate::operator_file;
use crate::origin::{Authority, Host};

/// Most brokers.
const MAX_BROKERS: usize = 16;

/// Most URLs of a node. They are in each of its messages.
const MAX_URLS: usize = 16;

/// Port of NATS.
const NATS_PORT: u16 = 4222;

/// File of the kernel with the host name.
const HOST_NAME: &str = "/proc/sys/kernel/hostname";

/// Reads the section. `None` if it names no broker. `secrets` are those of the credentials.
pub(super) fn read(
    mut section: Section<'_>,
    dir: Option<&Path>,
    secrets: &[Secret],
    mistakes: &mut Vec<Diagnostic>,
) -> Option<ClusterSettings> {
    let shared = Secrets::new(secrets);
    let nats = section.get("nats", |value| brokers(&value, shared.is_some()));
    let is_on = !nats.is_empty();
    let credentials_file = section.get_file("credentials_file", |value| credentials(&value, dir, is_on));
    let node = section.get("node", |value| node(&value));
    let node = node.or_else(|| own_name().filter(|_| is_on));
    if is_on && node.is_none() {
        // The second value is the embedded default's.
        let is_told = Cell::new(false);
        section.get("nats", |value| match is_told.replace(true) {
            false => Err(value.wrong(
                "the host name of this machine cannot be the name of a node",
                "set `node`, to another name on each machine",
            )),
            true => Ok(()),
        });
    }
    let region = section.get("region", |value| region(&value));
    let advertise = section.get("advertise", |value| advertised(&value));
    let region_header = section.get("region_header", |value| header(&value));
    mistakes.extend(section.finish());
    if !is_on {
        return None;
    }
    let (node, secrets) = (node?, shared?);
    Some(ClusterSettings { nats, credentials_file, node, region, advertise, region_header, secrets })
}

/// The brokers, each with its port.
fn brokers(value: &Value<'_>, has_secrets: bool) -> Result<Vec<String>, Diagnostic> {
    let brokers = list(value, broker)?;
    if brokers.is_empty() {
        return Ok(brokers);
    }
    if cfg!(not(feature = "nats")) {
        return Err(value.wrong(
            "this build has no NATS client",
            "use a build with the feature `nats`, or remove the URLs here",
        ));
    }
    if !has_secrets {
        return Err(value.wrong(
            "the nodes recognise each other by a secret, and [credentials] has none",
            "set `secrets` under [credentials], to the same on every node",
        ));
    }
    if brokers.len() > MAX_BROKERS {
        return Err(value.wrong("too many brokers", format!("name at most {MAX_BROKERS}")));
    }
    Ok(brokers)
}

fn broker(value: &Value<'_>) -> Result<String, Diagnostic> {
    let remedy = "use a URL such as \"tls://nats.example.org:4222\"";
    let text = value.text()?;
    if text.contains('@') {
        return Err(value.wrong(
            "this URL has a user name or a password",
            "write it as user:password into the file that `credentials_file` names",
        ));
    }
    let uri: Uri = text.parse().map_err(|_| value.wrong("this is not a URL", remedy))?;
    let authority = uri.authority().and_then(|authority| Authority::parse(authority.as_str()));
    let Some(Authority { host, port }) = authority else {
        return Err(value.wrong("this is not a URL with a host", remedy));
    };
    let has_more = !matches!(uri.path(), "" | "/") || uri.query().is_some() || text.contains('#');
    if has_more || port == Some(0) {
        return Err(value.wrong("this URL has more than a scheme, a host and a port", remedy));
    }
    let port = port.unwrap_or(NATS_PORT);
    match uri.scheme_str() {
        Some("nats") if !is_near(&host) => Err(value.wrong(
            "everyone on the way to another machine can read nats://",
            format!("use \"tls://{host}:{port}\", or a broker on this machine or at a private address"),
        )),
        Some(scheme @ ("nats" | "tls")) => Ok(format!("{scheme}://{host}:{port}")),
        _ => Err(value.wrong("this URL is neither tls:// nor nats://", remedy)),
    }
}

/// Whether a host is this machine, or in a network of its operator (RFC 1918, RFC 4193).
fn is_near(host: &Host) -> bool {
    match host {
        Host::Name(name) => name == "localhost",
        Host::Ip(ip) => match ip.to_canonical() {
            IpAddr::V4(v4) => v4.is_loopback() || v4.is_private(),
            IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local(),
        },
    }
}

/// The file of the credentials, which is read to check it.
fn credentials(value: &Value<'_>, dir: Option<&Path>, is_on: bool) -> Result<Option<PathBuf>, Diagnostic> {
    let Some(path) = values::path(value, dir)?.filter(|_| is_on) else { return Ok(None) };
    let what = "use a .creds file, or one that contains only the seed of an nkey or user:password";
    let text = values::read(value, &path, what, "secret into a file of its own")?;
    match BusCredentials::parse(&text) {
        Ok(_) => Ok(Some(path)),
        Err(reason) => Err(value.wrong(format!("{}: {reason}", path.display()), what)),
    }
}

fn node(value: &Value<'_>) -> Result<Option<NodeName>, Diagnostic> {
    match value.text()? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error| value.wrong(error, "use a name such as \"fra-1\"")),
    }
}

/// Name of this machine.
fn own_name() -> Option<NodeName> {
    name_of(&operator_file::read_text(Path::new(HOST_NAME), operator_file::SMALL).ok()?)
}

/// Name of a node by the host name, without its domain. `localhost` would be that of every node.
fn name_of(host: &str) -> Option<NodeName> {
    let name = host.trim().split('.').next().filter(|name| *name != "localhost");
    name.and_then(|name| name.parse().ok())
}

fn region(value: &Value<'_>) -> Result<Option<Region>, Diagnostic> {
    match value.text()? {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|error| value.wrong(error, "use a name such as \"eu-west\"")),
    }
}

fn advertised(value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
    let urls = list(value, ice_url)?;
    if urls.len() > MAX_URLS {
        return Err(value.wrong("too many URLs", format!("name at most {MAX_URLS}")));
    }
    let relays = |url: &String| url.parse::<IceUrl>().is_ok_and(|url| url.scheme.relays());
    if !urls.is_empty() && !urls.iter().any(relays) {
        return Err(
            value.wrong("none of these URLs is of a relay", "add one that begins with turn: or turns:")
        );
    }
    Ok(urls)
}

fn header(value: &Value<'_>) -> Result<Option<String>, Diagnostic> {
    let text = value.text()?;
    if text.is_empty() {
        return Ok(None);
    }
    match HeaderName::from_bytes(text.as_bytes()) {
        Ok(name) => Ok(Some(name.as_str().to_owned())),
        Err(_) => Err(value.wrong("this is not the name of a header", "use a name such as \"X-Region\"")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_name_is_the_name_of_the_node_without_its_domain() {
        let name = |host| name_of(host).map(|name| name.to_string());
        assert_eq!(name("fra-1\n").as_deref(), Some("fra-1"));
        assert_eq!(name("fra-1.example.org\n").as_deref(), Some("fra-1"));
        for host in ["", "\n", "localhost\n", "localhost.localdomain", "(none)", "ü"] {
            assert_eq!(name(host), None, "{host:?}");
        }
    }
}
