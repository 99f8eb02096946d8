//! `byway invite`: signs a join token, and prints the link that brings it to a browser.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::access::tokens::{DEFAULT_TTL, Grant, MAX_TTL, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::invitations;
use crate::ice::rfc3339;
use crate::server::page_url;
use crate::tls::Certificate;

use super::CliError;

#[derive(Debug, clap::Args)]
pub(super) struct InviteArguments {
    /// The room it is for, and no other
    #[arg(long, value_name = "NAME")]
    room: String,
    /// How long it is good for, at most 30 days [default: 1h]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
    /// What the others are shown; without it, whoever comes says a name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Whoever comes with it finds the room full with so many there
    #[arg(long, value_name = "N")]
    max_members: Option<usize>,
    /// Where the call page is [default: the certificate's name, else the `http` listener]
    #[arg(long, value_parser = page)]
    url: Option<String>,
    /// Print the token, the link and its end as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invitation<'a> {
    token: &'a str,
    room: &'a str,
    expires_at: String,
    url: &'a str,
}

pub(super) fn run(arguments: InviteArguments, config: &Config, file: String) -> Result<(), CliError> {
    let InviteArguments { room, ttl, name, max_members, url, json } = arguments;
    let tokens = Tokens::new(&config.tokens, &config.credentials.secrets);
    let tokens = tokens.ok_or_else(|| CliError::NoSecret { file: file.clone() })?;
    let grant = Grant::new(room.clone(), name, max_members).map_err(CliError::Usage)?;
    let page = url.or_else(|| configured_page(config)).ok_or(CliError::NoPage { file })?;
    if is_of_this_machine(&page) {
        // A lost line is lost: the link is what counts.
        let _ = writeln!(
            io::stderr(),
            "this link is for this machine alone: name the address of the page, as in --url https://call.example.org"
        );
    }
    let (token, end) = tokens.issue(Clock::start().now(), grant, ttl.unwrap_or(DEFAULT_TTL));
    let url = invitations::link(&page, &room, &token);
    let mut line = if json {
        let invitation = Invitation { token: &token, room: &room, expires_at: rfc3339(end), url: &url };
        serde_json::to_string(&invitation).map_err(io::Error::from)?
    } else {
        url
    };
    line.push('\n');
    Ok(super::print(&line)?)
}

/// What the server says at its start. Port 0's port only its log knows.
fn configured_page(config: &Config) -> Option<String> {
    let known = |listeners: &[SocketAddr]| -> Vec<SocketAddr> {
        listeners.iter().copied().filter(|listener| listener.port() != 0).collect()
    };
    // Whether the certificate can be served with is not asked here.
    let certificate = config.tls.as_ref().and_then(|tls| Certificate::load(&tls.files).ok());
    page_url::page(certificate.as_ref(), &known(&config.listen.tls), &known(&config.listen.http))
}

/// Whether nobody else reaches the page there.
fn is_of_this_machine(page: &str) -> bool {
    ["http://127.", "http://[::1]", "http://localhost"].iter().any(|start| page.starts_with(start))
}

/// An address to which a room can be added.
fn page(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    if !matches!(scheme, "https" | "http") || rest.is_empty() || !rest.chars().all(plain) {
        return Err("where the call page is, such as https://call.example.org".to_owned());
    }
    Ok(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") })
}

fn ttl(text: &str) -> Result<Duration, String> {
    match super::duration(text)? {
        ttl if (Duration::from_secs(1)..=MAX_TTL).contains(&ttl) => Ok(ttl),
        _ => Err("an invitation is good for 1 second to 30 days".to_owned()),
    }
}
