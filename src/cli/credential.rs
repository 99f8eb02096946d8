//! `byway credential`: signs a credential for a TURN client, as a backend with the secret would.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use byway_turn::auth::{MAX_TTL, Secrets, is_name};

use crate::clock::Clock;
use crate::config::Config;
use crate::ice::{ClientView, Endpoints, Host, IceServers, IceSettings, TurnCredential};
use crate::net::interfaces::{self, Interfaces};
use crate::server::page_url;
use crate::server::relay_addresses::RelayAddresses;
use crate::tls::Certificate;

use super::CliError;
use super::running_server::{Signs, warn_unless_known};

#[derive(Debug, clap::Args)]
pub(super) struct CredentialArguments {
    /// Name of the client; quotas count by this name
    #[arg(long, value_name = "NAME", value_parser = name)]
    user: String,
    /// Lifetime of the credential, at most 7 days [default: the configuration's]
    #[arg(long, value_parser = ttl)]
    ttl: Option<Duration>,
}

/// Prints the credential as one line of JSON, in the REST draft's shape
/// (draft-uberti-behave-turn-rest-00).
pub(super) fn run(arguments: &CredentialArguments, config: &Config, file: String) -> Result<(), CliError> {
    let secrets = Secrets::new(&config.credentials.secrets).ok_or(CliError::NoSecret { file })?;
    // The system chose the port of a listener on port 0 at the server's start; only the log has it.
    let known = |listeners: &[SocketAddr]| listeners.iter().copied().filter(|l| l.port() != 0).collect();
    // An unusable certificate is not an error here.
    let certificate = config.tls.as_ref().and_then(|tls| Certificate::load(&tls.files).ok());
    let endpoints = Endpoints {
        udp: known(&config.listen.udp),
        tcp: known(&config.listen.tcp),
        tls: known(&config.listen.tls),
        public: config.relay.public_addresses.clone(),
        names: page_url::names(config, certificate.as_ref()).unwrap_or_default(),
        discovery: Vec::new(),
    };
    let settings = IceSettings {
        urls: config.ice.urls.clone(),
        secrets,
        ttl: arguments.ttl.unwrap_or(config.credentials.ttl),
        policy: config.ice.transport_policy,
    };
    let ice = IceServers::new(settings, endpoints);
    // A wildcard listener has no address to give clients, and no request names the host here. Relay
    // sockets have an address.
    let lasting = Interfaces::read()?.lasting;
    let relays = RelayAddresses::find(&config.relay, &lasting, &interfaces::sources(), &[], |_| true);
    let host = relays.addresses.first().map(|address| Host::Ip(address.public));
    let client = ClientView { host: host.as_ref(), region: None };
    let offer = ice.offer(Clock::start().now(), client, &arguments.user, None);
    let credential = TurnCredential::from(offer);
    warn_unless_known(config, Signs::Credentials);
    let mut line = serde_json::to_string(&credential).map_err(io::Error::from)?;
    line.push('\n');
    Ok(super::print(&line)?)
}

fn name(text: &str) -> Result<String, String> {
    match is_name(text) {
        true => Ok(text.to_owned()),
        false => Err("a name has 1 to 256 bytes and no control characters".to_owned()),
    }
}

fn ttl(text: &str) -> Result<Duration, String> {
    match super::duration(text)? {
        ttl if (Duration::from_secs(1)..=MAX_TTL).contains(&ttl) => Ok(ttl),
        _ => Err("give a lifetime from 1 second to 7 days".to_owned()),
    }
}
