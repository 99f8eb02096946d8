//! Renewal of the certificate while the server runs.

use std::sync::Arc;

use super::reload::Hangups;
use super::sockets::list;
use super::supervise::Supervisor;
use crate::clock::Clock;
use crate::http::own_hosts::OwnHosts;
use crate::ice::{IceServers, rfc3339};
use crate::tls::renewal::Renewal;
use crate::tls::{Certificate, TlsCounters};

/// The certificate, and the parts that use its names.
pub(super) struct CertificateParts {
    pub(super) renewal: Renewal,
    pub(super) hangups: Hangups,
    pub(super) clock: Clock,
    pub(super) counters: Arc<TlsCounters>,
    pub(super) ice: Arc<IceServers>,
    pub(super) hosts: Arc<OwnHosts>,
}

/// Reloads the certificate on SIGHUP and when its files have changed. Passes its names to the ICE
/// configuration and to the host check. Runs until the server ends.
pub(super) fn keep(parts: CertificateParts, supervisor: &Supervisor) {
    let CertificateParts { renewal, mut hangups, clock, counters, ice, hosts } = parts;
    let first = renewal.identity().certificate();
    tracing::info!("certificate {}", described(&first));
    warn_of(&first);
    let tell = move |certificate: &Certificate| {
        hosts.certified_for(certificate.names());
        ice.certified_for(certificate.names());
        tracing::info!("certificate loaded: {}", described(certificate));
        warn_of(certificate);
    };
    supervisor.keep("certificate", move || {
        let (renewal, counters, tell) = (renewal.clone(), counters.clone(), tell.clone());
        let hangup = hangups.again();
        async move {
            match hangup {
                Ok(hangup) => renewal.run(hangup, clock, counters, tell).await,
                Err(error) => tracing::error!(%error, "cannot listen for SIGHUP"),
            }
        }
    });
}

/// Describes a certificate by its names and its expiry.
fn described(certificate: &Certificate) -> String {
    format!("for {}, valid until {}", list(certificate.names().as_slice()), rfc3339(certificate.expires()))
}

/// Logs the reasons for which clients may refuse a certificate.
fn warn_of(certificate: &Certificate) {
    for remark in certificate.remarks() {
        tracing::warn!("{remark}");
    }
}
