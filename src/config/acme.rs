//! The section `[acme]`.

use std::cell::Cell;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::Uri;

use super::diagnostic::Diagnostic;
use super::reader::{Section, Value};
use super::values::{self, list};
use crate::operator_file;
use crate::origin::{Host, HostPattern};
use crate::tls::acme::{AcmeSettings, Challenge};
use crate::tls::{Name, pem_kinds};

/// Settings outside of [acme] that its keys depend on.
#[derive(Clone, Copy)]
pub(super) struct AcmeRules {
    /// Whether [tls] names a certificate.
    pub(super) has_files: bool,
    pub(super) serves_tls: bool,
    pub(super) serves_http: bool,
}

/// Names of the largest certificate of Let's Encrypt.
const MAX_NAMES: usize = 100;

/// Reads the section. `None` if it has no names.
pub(super) fn read(
    mut section: Section<'_>,
    dir: Option<&Path>,
    rules: AcmeRules,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<AcmeSettings> {
    let names = section.get("names", |value| names(&value, rules));
    let is_on = !names.is_empty();
    let dns_hook = section.get_file("dns_hook", |value| dns_hook(&value, dir));
    let challenge = section.get("challenge", |value| challenge(&value));
    if is_on && let Err((reason, remedy)) = fits(challenge, &names, dns_hook.is_some(), rules) {
        let key = if section.has("challenge") { "challenge" } else { "names" };
        // The second value is the embedded default's.
        let is_told = Cell::new(false);
        section.get(key, |value| match is_told.replace(true) {
            false => Err(value.wrong(&reason, remedy)),
            true => Ok(()),
        });
    }
    let settings = AcmeSettings {
        mail: section.get("mail", |value| mail(&value)),
        directory: section.get("directory", |value| directory(&value)),
        ca_file: section.get_file("ca_file", |value| ca_file(&value, dir)),
        profile: section.get("profile", |value| value.text().map(str::to_owned)),
        state_dir: section.get_file("state_dir", |value| values::path(&value, dir)),
        names,
        challenge,
        dns_hook,
    };
    mistakes.extend(section.finish());
    is_on.then_some(settings)
}

fn names(value: &Value<'_>, rules: AcmeRules) -> Result<Vec<Name>, Diagnostic> {
    let names = list(value, name)?;
    if names.is_empty() {
        return Ok(names);
    }
    if cfg!(not(feature = "acme")) {
        return Err(value.wrong(
            "this build has no ACME client",
            "use a build with the feature `acme`, or remove the names and name a certificate under [tls]",
        ));
    }
    if rules.has_files {
        return Err(value.wrong(
            "[tls] names a certificate, too",
            "remove `cert` and `key` under [tls], or the names here",
        ));
    }
    if names.len() > MAX_NAMES {
        let remedy = format!("use at most {MAX_NAMES}");
        return Err(value.wrong(format!("{} names do not fit in one certificate", names.len()), remedy));
    }
    Ok(names)
}

/// A name or an address, in the form that the certificate will have.
fn name(value: &Value<'_>) -> Result<Name, Diagnostic> {
    let text = value.text()?;
    let remedy = "use a name such as \"call.example.org\" or an address such as \"203.0.113.10\", without scheme, port or path";
    if !text.is_ascii() {
        return Err(
            value.wrong("certificates have names in ASCII only", "write its form that begins with xn--")
        );
    }
    match HostPattern::parse(text) {
        Some(HostPattern::Host(Host::Ip(ip))) => {
            let ip = ip.to_canonical();
            let is_one_machine = !ip.is_unspecified() && !ip.is_multicast() && ip != IpAddr::from([255; 4]);
            if is_one_machine {
                Ok(Name::Ip(ip))
            } else {
                Err(value.wrong(format!("{ip} is not the address of one machine"), remedy))
            }
        }
        Some(HostPattern::Host(Host::Name(name))) if is_host_name(&name) => Ok(Name::Dns(name)),
        Some(HostPattern::Below(name)) if is_host_name(&name) => Ok(Name::Dns(format!("*.{name}"))),
        _ => Err(value.wrong(format!("{text:?} is not a name for a certificate"), remedy)),
    }
}

/// Whether the labels of a name are those of a host (RFC 1123 section 2.1).
#[must_use]
pub fn is_host_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    name.split('.').all(is_label)
}

fn challenge(value: &Value<'_>) -> Result<Challenge, Diagnostic> {
    let all = [Challenge::TlsAlpn01, Challenge::Http01, Challenge::Dns01];
    let text = value.text()?;
    all.into_iter().find(|challenge| challenge.name() == text).ok_or_else(|| {
        value.wrong(format!("{text:?} is not a challenge"), "use \"tls-alpn-01\", \"http-01\" or \"dns-01\"")
    })
}

/// Checks that the challenge can succeed with the names and the listeners. Returns the cause and
/// the remedy otherwise.
fn fits(
    challenge: Challenge,
    names: &[Name],
    has_hook: bool,
    rules: AcmeRules,
) -> Result<(), (String, &'static str)> {
    let wildcard = names.iter().find(|name| matches!(name, Name::Dns(name) if name.starts_with('*')));
    let address = names.iter().find(|name| matches!(name, Name::Ip(_)));
    let (reason, remedy) = match (challenge, wildcard, address) {
        (Challenge::TlsAlpn01 | Challenge::Http01, Some(name), _) => (
            format!("{name} is a wildcard, which only \"dns-01\" can prove"),
            "use \"dns-01\" with a `dns_hook`, or list the names themselves",
        ),
        (Challenge::Dns01, _, Some(ip)) => (
            format!("\"dns-01\" cannot prove the address {ip} (RFC 8738)"),
            "use \"tls-alpn-01\" or \"http-01\", or remove the address",
        ),
        (Challenge::Dns01, ..) if !has_hook => {
            ("\"dns-01\" needs a program that sets the record".to_owned(), "name it as `dns_hook`")
        }
        (Challenge::TlsAlpn01, ..) if !rules.serves_tls => (
            "\"tls-alpn-01\" needs a `tls` listener".to_owned(),
            "add one as `tls` under [listen]; the authority connects to port 443",
        ),
        (Challenge::Http01, ..) if !rules.serves_http => (
            "\"http-01\" needs an `http` listener".to_owned(),
            "add one as `http` under [listen]; the authority connects to port 80",
        ),
        _ => return Ok(()),
    };
    Err((reason, remedy))
}

/// Whether the text is one mail address without quotation marks, comments or characters that a
/// `mailto:` URL would have to encode.
#[must_use]
pub fn is_mail_address(text: &str) -> bool {
    let plain = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_graphic() && !b"@,;:<>()[]\\\"?#%&".contains(&byte))
    };
    text.split_once('@').is_some_and(|(local, host)| plain(local) && plain(host))
}

/// Whether the text is a URL at which an ACME directory can be.
#[must_use]
pub fn is_directory_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("https")
            && uri.host().is_some_and(|host| !host.is_empty())
            && !text.contains('@')
    })
}

fn mail(value: &Value<'_>) -> Result<String, Diagnostic> {
    let text = value.text()?;
    if text.is_empty() || is_mail_address(text) {
        return Ok(text.to_owned());
    }
    Err(value.wrong(
        "this is not a mail address",
        "use one address such as \"admin@example.org\", or \"\" for none",
    ))
}

fn directory(value: &Value<'_>) -> Result<String, Diagnostic> {
    let text = value.text()?;
    if is_directory_url(text) {
        return Ok(text.to_owned());
    }
    Err(value.wrong(
        "this is not the URL of an ACME directory",
        "use a URL that begins with https://, such as \"https://acme-v02.api.letsencrypt.org/directory\"",
    ))
}

/// A file with root certificates.
fn ca_file(value: &Value<'_>, dir: Option<&Path>) -> Result<Option<PathBuf>, Diagnostic> {
    let Some(path) = values::path(value, dir)? else { return Ok(None) };
    let remedy = "name a file with the authority's root certificate in PEM, readable by this user";
    let read = operator_file::read(&path, operator_file::LARGE).map_err(|error| error.to_string());
    let reason = match read.and_then(|pem| pem_kinds(&pem)) {
        Ok(kinds) if kinds.iter().any(|kind| kind == "CERTIFICATE") => return Ok(Some(path)),
        Ok(_) => "no certificate in this file".to_owned(),
        Err(error) => error,
    };
    Err(value.wrong(format!("{}: {reason}", path.display()), remedy))
}

/// A program.
fn dns_hook(value: &Value<'_>, dir: Option<&Path>) -> Result<Option<PathBuf>, Diagnostic> {
    let Some(path) = values::path(value, dir)? else { return Ok(None) };
    if path.is_file() {
        return Ok(Some(path));
    }
    Err(value.wrong(
        format!("{}: not a program", path.display()),
        "name the path of a program, without arguments; the server's user must be able to execute it",
    ))
}
