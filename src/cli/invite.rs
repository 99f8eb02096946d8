//! `byway invite`: signs a join token, and prints the link that carries it to a browser.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use serde::Serialize;

use crate::access::grant::{Grant, Role};
use crate::access::tokens::{DEFAULT_OPERATOR_TTL, DEFAULT_TTL, MAX_TTL, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::invitations;
use crate::ice::rfc3339;
use crate::server::page_url;
use crate::tls::Certificate;

use super::CliError;
use super::running_server::{Signs, warn_unless_known};

#[derive(Debug, clap::Args)]
pub(super) struct InviteArguments {
    /// Room that the token is valid for; required, except for an operator's link (--host alone)
    #[arg(long, value_name = "NAME")]
    room: Option<String>,
    /// Lifetime of the token, at most 30 days [default: 1h, without a room 7 days]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
    /// Name shown to the other members [default: the name that the guest enters]
    #[arg(long, value_name = "NAME", requires = "room")]
    name: Option<String>,
    /// Number of members at which the room is full for the holder of the token
    #[arg(long, value_name = "N", requires = "room")]
    max_members: Option<usize>,
    /// Region of the relay that the holder gets, in a cluster [default: the nearest known]
    #[arg(long, value_name = "NAME", requires = "room")]
    region: Option<String>,
    /// Make the holder a host, who may remove members, lock the room and invite others; without
    /// --room an operator, who may start calls on the page and invite others to them
    #[arg(long, conflicts_with = "viewer")]
    host: bool,
    /// Let the holder watch only, without camera and microphone
    #[arg(long)]
    viewer: bool,
    /// Address of the call page [default: the certificate's name, else the `http` listener]
    #[arg(long, value_parser = page)]
    url: Option<String>,
    /// Print the token, the link and the expiry as JSON
    #[arg(long)]
    json: bool,
}

/// Fault of an invitation to no room that is not an operator's.
const NO_ROOM: &str = "name the room with --room NAME, or print an operator's link with --host";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Invitation<'a> {
    token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<&'a str>,
    expires_at: String,
    url: &'a str,
}

pub(super) fn run(arguments: InviteArguments, config: &Config, file: String) -> Result<(), CliError> {
    let InviteArguments { room, ttl, name, max_members, region, host, viewer, url, json } = arguments;
    let tokens = Tokens::new(&config.tokens, &config.credentials.secrets);
    let tokens = tokens.ok_or_else(|| CliError::NoSecret { file: file.clone() })?;
    let role = Role::of(host, viewer).map_err(CliError::Usage)?;
    let grant = match &room {
        Some(room) => {
            let grant = Grant::new(room.clone(), name, max_members).map_err(CliError::Usage)?;
            Some(grant.with_region(region.as_deref()).map_err(CliError::Usage)?.with_role(role))
        }
        None if host => None,
        None => return Err(CliError::Usage(NO_ROOM)),
    };
    let page = url.or_else(|| configured_page(config)).ok_or(CliError::NoPage { file })?;
    if is_of_this_machine(&page) {
        // The warning may be lost: the link is the result.
        let _ = writeln!(
            io::stderr(),
            "this link works on this machine only: give the address of the page, such as --url https://call.example.org"
        );
    }
    warn_unless_known(config, Signs::Tokens);
    let now = Clock::start().now();
    let (token, end) = match grant {
        Some(grant) => tokens.issue(now, grant, ttl.unwrap_or(DEFAULT_TTL)),
        None => tokens.issue_operator(now, ttl.unwrap_or(DEFAULT_OPERATOR_TTL)),
    };
    let url = match &room {
        Some(room) => invitations::link(&page, room, role, &token),
        None => invitations::operator_link(&page, &token),
    };
    let mut line = if json {
        let invitation =
            Invitation { token: &token, room: room.as_deref(), expires_at: rfc3339(end), url: &url };
        serde_json::to_string(&invitation).map_err(io::Error::from)?
    } else {
        url
    };
    line.push('\n');
    Ok(super::print(&line)?)
}

/// Returns the page's address, as in the server's log at start. The port of a listener on port 0 is
/// in that log only.
fn configured_page(config: &Config) -> Option<String> {
    let known = |listeners: &[SocketAddr]| -> Vec<SocketAddr> {
        listeners.iter().copied().filter(|listener| listener.port() != 0).collect()
    };
    // An unusable certificate is not an error here.
    let certificate = config.tls.as_ref().and_then(|tls| Certificate::load(&tls.files).ok());
    let names = page_url::names(config, certificate.as_ref());
    page_url::page(names.as_ref(), &known(&config.listen.tls), &known(&config.listen.http))
}

/// Whether only this machine can reach the page there.
fn is_of_this_machine(page: &str) -> bool {
    ["http://127.", "http://[::1]", "http://localhost"].iter().any(|start| page.starts_with(start))
}

/// Parses an address to which a room can be appended.
fn page(text: &str) -> Result<String, String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '"' | '<' | '>');
    if !matches!(scheme, "https" | "http") || rest.is_empty() || !rest.chars().all(plain) {
        return Err("give the address of the call page, such as https://call.example.org".to_owned());
    }
    Ok(if text.ends_with('/') { text.to_owned() } else { format!("{text}/") })
}

fn ttl(text: &str) -> Result<Duration, String> {
    match super::duration(text)? {
        ttl if (Duration::from_secs(1)..=MAX_TTL).contains(&ttl) => Ok(ttl),
        _ => Err("give a lifetime from 1 second to 30 days".to_owned()),
    }
}
