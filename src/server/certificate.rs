//! Who keeps the certificate fresh.

use std::sync::Arc;

use tokio::signal::unix::Signal;

use super::sockets::list;
use crate::clock::Clock;
use crate::http::own_hosts::OwnHosts;
use crate::ice::{IceServers, rfc3339};
use crate::metrics::TlsCounters;
use crate::tls::Certificate;
use crate::tls::renewal::Renewal;

/// Loads what is renewed, at SIGHUP or when it has changed, and tells its names to browsers and to the check of hosts; for ever.
pub(super) fn keep(
    renewal: Option<Renewal>,
    hangup: Signal,
    clock: Clock,
    counters: Arc<TlsCounters>,
    ice: Arc<IceServers>,
    hosts: Arc<OwnHosts>,
) {
    let Some(renewal) = renewal else {
        tokio::spawn(nothing_to_reload(hangup));
        return;
    };
    tracing::info!("certificate {}", described(&renewal.identity().certificate()));
    let tell = move |certificate: &Certificate| {
        hosts.certified_for(&certificate.named());
        ice.certified_for(certificate.named());
        tracing::info!("certificate loaded: {}", described(certificate));
    };
    tokio::spawn(renewal.run(hangup, clock, counters, tell));
}

/// What a certificate is good for, and until when.
fn described(certificate: &Certificate) -> String {
    format!("for {}, good until {}", list(certificate.names()), rfc3339(certificate.expires()))
}

/// Without this, SIGHUP would end the process.
async fn nothing_to_reload(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::info!("nothing to reload: there is no certificate, and other settings need a restart");
    }
}
