//! Judgement of the server's own installation that needs no network: for `byway check`, and as
//! warnings at the start and after each reload.

use super::allowed_hosts;
use super::host_addresses::nobody_has;
use super::relay_addresses::RelayAddresses;
use crate::config::Config;
use crate::diagnosis::certificate::CertificateFacts;
use crate::diagnosis::configuration::{self, MachineFacts};
use crate::diagnosis::{Finding, State, certificate, machine};
use crate::fault::Fault;
use crate::net::interfaces;
use crate::net::local_ports;
use crate::tls::Certificate;

/// Findings about the configuration and its certificate that are not ok. `now` is in seconds since
/// 1970.
#[must_use]
pub fn findings(config: &Config, certificate: Option<&Certificate>, now: u64) -> Vec<Finding> {
    let mut findings = configuration::judge(config, &machine_facts(config, certificate));
    let by_acme = config.acme.is_some();
    let of_certificate = certificate.map(|found| certificate::judge(&certificate_facts(found), now, by_acme));
    findings.extend(of_certificate.into_iter().flatten().filter(|finding| finding.state != State::Ok));
    findings
}

/// Facts about a certificate.
#[must_use]
pub fn certificate_facts(certificate: &Certificate) -> CertificateFacts {
    CertificateFacts {
        names: certificate.names().as_slice().iter().map(ToString::to_string).collect(),
        not_before: certificate.not_before(),
        expires: certificate.expires(),
        remarks: certificate.remarks().iter().map(|remark| (remark.fault, remark.to_string())).collect(),
    }
}

/// Reads the facts about this machine that a configuration is judged by.
#[must_use]
pub fn machine_facts(config: &Config, certificate: Option<&Certificate>) -> MachineFacts {
    let private_relays = interfaces::Interfaces::read().map(|found| {
        let sources = interfaces::sources();
        RelayAddresses::find(&config.relay, &found.lasting, &sources, &[], |_| true).remarks()
    });
    let needed = configuration::needed(config).into_iter();
    let is_certified = certificate.is_some_and(|certificate| !certificate.names().is_empty());
    MachineFacts {
        private_relays: private_relays.unwrap_or_default(),
        ephemeral_ports: local_ports::remark(&config.relay.addresses, &config.relay.ports),
        absent: needed
            .filter(|(ip, _)| !interfaces::has(*ip))
            .map(|(ip, keys)| nobody_has(ip, &keys))
            .collect(),
        exposed_files: config.secret_files.warnings(),
        is_named: is_certified || !allowed_hosts::configured(config).is_empty(),
        has_certificate: certificate.is_some(),
    }
}

/// Allocations that the configuration permits.
#[must_use]
pub fn allocations(config: &Config) -> u64 {
    let relay = &config.relay;
    let ports = relay.ports.len().saturating_mul(relay.addresses.len());
    u64::from(config.quota.allocations).min(u64::try_from(ports).unwrap_or(u64::MAX))
}

/// Warnings of the running server about itself, each logged once until it has gone.
#[derive(Debug, Default)]
pub(super) struct SelfCheck {
    told: Vec<Finding>,
}

impl SelfCheck {
    /// Logs what is new since the last call.
    pub(super) fn tell(&mut self, config: &Config, certificate: Option<&Certificate>, now: u64) {
        let (limit, _) = rlimit::getrlimit(rlimit::Resource::NOFILE).unwrap_or((u64::MAX, u64::MAX));
        let found = machine::Descriptors { limit, used: None, allocations: allocations(config) };
        let descriptors = machine::descriptors(found);
        let all = findings(config, certificate, now).into_iter().filter(is_ours);
        let all: Vec<Finding> =
            all.chain(Some(descriptors).filter(|finding| finding.state == State::Failed)).collect();
        for finding in all.iter().filter(|finding| !self.told.contains(finding)) {
            tracing::warn!("{}", finding.line());
        }
        self.told = all;
    }
}

/// Whether no other part of the server logs it. The watch of the host's addresses and the
/// certificate's own remarks have lines of theirs.
fn is_ours(finding: &Finding) -> bool {
    match finding.fault {
        None | Some(Fault::Degraded | Fault::CertificateUntrusted | Fault::CertificateChainIncomplete) => {
            false
        }
        Some(Fault::PublicAddressUnset) => finding.state == State::Failed,
        Some(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unchanged_is_told_once() {
        let mut check = SelfCheck::default();
        let config = Config::parse("ice.access = \"token\"", "f.toml", None).unwrap();
        check.tell(&config, None, 0);
        let first = check.told.clone();
        assert_eq!(
            first.iter().filter(|finding| finding.fault == Some(Fault::Access)).count(),
            1,
            "{first:?}"
        );
        check.tell(&config, None, 0);
        assert_eq!(check.told, first);
        check.tell(&Config::embedded(), None, 0);
        assert!(check.told.iter().all(|finding| finding.fault != Some(Fault::Access)));
    }
}
