//! Configuration: settings that are valid, but seldom intended or without effect.

mod acme;
mod cluster;
mod listeners;
mod relay;
mod urls;
mod users;

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Finding;
use crate::access::Policy;
use crate::config::Config;
use crate::fault::Fault;

/// Facts about the machine that the configuration is judged by. Lines have the form `CAUSE:
/// REMEDY`.
#[derive(Clone, Debug, Default)]
pub struct MachineFacts {
    /// Lines about addresses for clients that the internet cannot reach.
    pub private_relays: Vec<String>,
    /// Line about relay ports that the kernel assigns to other programs.
    pub ephemeral_ports: Option<String>,
    /// Configured addresses that no interface has, with their lines.
    pub absent: Vec<String>,
    /// Lines about files with secrets that too many users can read or change.
    pub exposed_files: Vec<String>,
    /// Whether the configuration, or a name of the certificate, names this server.
    pub is_named: bool,
    /// Whether there is a certificate in files.
    pub has_certificate: bool,
}

/// Judges a configuration, section by section.
#[must_use]
pub fn judge(config: &Config, machine: &MachineFacts) -> Vec<Finding> {
    let mut findings = secrets(config);
    findings.extend(listeners::of_turn(config));
    findings.extend(relay::judge(config, machine));
    findings.extend(listeners::of_http(config, machine));
    findings.extend(listeners::behind_proxies(config));
    findings.extend(urls::judge(config));
    findings.extend(config.users.iter().filter_map(users::judge));
    findings.extend(machine.exposed_files.iter().map(|line| of_line(None, line)));
    findings.extend(config.acme.iter().flat_map(|acme| acme::judge(acme, config)));
    findings.extend(config.cluster.as_ref().and_then(cluster::judge));
    if machine.has_certificate && config.listen.tls.is_empty() {
        findings.push(Finding::warning(
            None,
            "a certificate but no `tls` listener",
            "it is not used",
            "add one as `tls` under [listen]",
        ));
    }
    findings
}

/// Keys of the addresses that the configuration needs and the machine lacks.
#[must_use]
pub fn needed(config: &Config) -> Vec<(IpAddr, BTreeSet<&'static str>)> {
    let is_optional = |ip: &IpAddr| config.optional_ipv6 && ip.is_ipv6();
    let named = config.addresses().into_iter();
    named.filter(|(ip, _)| !ip.is_unspecified() && !is_optional(ip)).collect()
}

fn secrets(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.credentials.secrets.is_empty() {
        findings.push(Finding::warning(
            None,
            "no secrets",
            "the server generates one at each start, and no other program can sign credentials",
            "set `secrets` under [credentials] if one must",
        ));
    }
    let signs = !config.tokens.secrets.is_empty() || !config.credentials.secrets.is_empty();
    if config.ice.access == Policy::Token
        && !signs
        && config.tokens.keys.is_none()
        && config.ice.api_keys.is_empty()
    {
        findings.push(Finding::failed(
            Fault::Access,
            "ice.access is \"token\", but no secret, `jwks_file` or API key can issue a token",
            "nobody can join",
            "set `secrets` under [tokens]",
        ));
    }
    findings
}

/// Converts a line of the form `CAUSE: REMEDY`.
fn of_line(fault: impl Into<Option<Fault>>, line: &str) -> Finding {
    let (cause, remedy) = line.split_once(": ").unwrap_or((line, ""));
    Finding::warning(fault, cause, "", remedy)
}
