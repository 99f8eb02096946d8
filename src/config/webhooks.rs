//! The section `[webhooks]`.

use axum::http::Uri;
use byway_turn::auth::Secret;

use super::diagnostic::Diagnostic;
use super::reader::{Section, Value};
use crate::webhooks::WebhookSettings;

/// Characters of the shortest secret. A shorter one could be guessed from a recorded request.
const SHORTEST_SECRET: usize = 16;

/// Reads the section. `None` if it has no URL.
pub(super) fn read(
    mut section: Section<'_>,
    realm: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<WebhookSettings> {
    let plain_http = section.get("plain_http", |value| value.boolean());
    let is_on = section.get_secret("url", |value| url(&value, plain_http)).is_some();
    let secret = section.get_secret("secret", |value| secret(&value, is_on));
    let has_secret = section.has("secret");
    // Read a second time, so that the mistake points at `url`. The second value is the embedded
    // default's.
    let url = section.get_secret("url", |value| {
        let url = url(&value, plain_http).unwrap_or_default();
        match url {
            Some(_) if !has_secret => Err(value.wrong(
                "the messages need a key that signs them",
                "add `secret` below: `openssl rand -base64 24` prints one",
            )),
            url => Ok(url),
        }
    });
    mistakes.extend(section.finish());
    Some(WebhookSettings { url: Secret::new(url?), secret, plain_http, realm: realm.to_owned() })
}

/// The URL of a receiver. A mistake never shows it, because it may hold a token.
fn url(value: &Value<'_>, plain_http: bool) -> Result<Option<String>, Diagnostic> {
    let text = value.secret()?;
    if text.is_empty() {
        return Ok(None);
    }
    let remedy = "use a URL such as \"https://example.org/hooks/byway\"";
    let uri: Uri = text.parse().map_err(|_| value.wrong("this is not a URL", remedy))?;
    let host = uri.host().unwrap_or_default();
    if host.is_empty() || text.contains('#') {
        return Err(value.wrong("this is not a URL with a host", remedy));
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(
            value.wrong("this URL has a user name or a password", "remove it: the signature shows who sends")
        );
    }
    let is_here = host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(Some(text.to_owned())),
        Some("http") if is_here || plain_http => Ok(Some(text.to_owned())),
        Some("http") => Err(value.wrong(
            "everyone on the way to another machine can read http",
            "use https, or a receiver on this machine, or confirm it with `plain_http = true`",
        )),
        _ => Err(value.wrong("this URL is neither https nor http", remedy)),
    }
}

fn secret(value: &Value<'_>, is_on: bool) -> Result<Secret, Diagnostic> {
    let text = value.secret()?;
    if is_on && !text.is_empty() && text.chars().count() < SHORTEST_SECRET {
        return Err(value.wrong(
            format!("shorter than {SHORTEST_SECRET} characters"),
            "use `openssl rand -base64 24`, which prints a good one",
        ));
    }
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const SECRET: &str = "a-secret-of-webhooks";

    fn read(section: &str) -> Result<Config, String> {
        let parsed = Config::parse(&format!("[webhooks]\n{section}"), "f.toml", None);
        parsed.map_err(|error| error.to_string())
    }

    #[test]
    fn a_receiver_is_https_or_on_this_machine() {
        let with = |url: &str, more: &str| read(&format!("url = \"{url}\"\nsecret = \"{SECRET}\"\n{more}"));
        for url in [
            "https://example.org/hook?token=t",
            "https://[2001:db8::1]:8443/",
            "http://127.0.0.1:8000/",
            "http://[::1]/",
            "http://localhost:1/a",
        ] {
            let webhooks = with(url, "").unwrap().webhooks.unwrap();
            assert_eq!(AsRef::<str>::as_ref(&webhooks.url), url);
        }
        assert!(with("http://example.org/", "plain_http = true").unwrap().webhooks.is_some());
        assert!(read("").unwrap().webhooks.is_none());
        for (url, reason) in [
            ("http://example.org/", "everyone on the way"),
            ("http://127.0.0.1.example.org/", "everyone on the way"),
            ("ftp://example.org/", "neither https nor http"),
            ("example.org", "neither https nor http"),
            ("https://", "not a URL"),
            ("https://user:pw@example.org/", "a user name or a password"),
            ("/hook", "not a URL with a host"),
        ] {
            let error = with(url, "").unwrap_err();
            assert!(error.contains(reason), "{url}: {error}");
        }
    }

    #[test]
    fn threat_40_mistakes_show_neither_the_url_nor_the_secret() {
        for (section, reason) in [
            ("url = \"ftp://example.org/t0ken\"\nsecret = \"a-secret-of-webhooks\"", "neither"),
            ("url = \"https://example.org/t0ken\"", "a key that signs"),
            ("url = \"https://example.org/t0ken\"\nsecret = \"a-secret\"", "shorter than 16"),
        ] {
            let error = read(section).unwrap_err();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("t0ken") && !error.contains("a-secret"), "{error}");
        }
    }
}
