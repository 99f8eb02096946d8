//! Who keeps the certificate fresh.

use std::sync::Arc;

use super::reload::Hangups;
use super::sockets::list;
use super::supervise::Supervisor;
use crate::clock::Clock;
use crate::http::own_hosts::OwnHosts;
use crate::ice::{IceServers, rfc3339};
use crate::tls::renewal::Renewal;
use crate::tls::{Certificate, TlsCounters};

/// Loads what is renewed, at SIGHUP or when it has changed, and tells its names to browsers and to the check of hosts; for ever.
pub(super) fn keep(
    renewal: Option<Renewal>,
    mut hangups: Hangups,
    clock: Clock,
    counters: Arc<TlsCounters>,
    ice: Arc<IceServers>,
    hosts: Arc<OwnHosts>,
    supervisor: &Supervisor,
) {
    let Some(renewal) = renewal else { return };
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

/// What a certificate is good for, and until when.
fn described(certificate: &Certificate) -> String {
    format!("for {}, good until {}", list(certificate.names().as_slice()), rfc3339(certificate.expires()))
}

/// Says what clients may hold against a certificate.
fn warn_of(certificate: &Certificate) {
    for remark in certificate.remarks() {
        tracing::warn!("{remark}");
    }
}
