//! Renewal of the certificate while the server runs: reload of files, and the ACME client.

use std::net::SocketAddr;
use std::sync::Arc;

#[cfg(feature = "acme")]
use byway_turn::prng::Prng;
#[cfg(feature = "acme")]
use tokio::sync::watch;

#[cfg(feature = "acme")]
use super::ServerError;
use super::page_url;
use super::sockets::list;
use super::supervise::Supervisor;
use crate::clock::Clock;
use crate::http::own_hosts::OwnHosts;
use crate::ice::{IceServers, rfc3339};
use crate::live::Live;
use crate::tls::acme::AcmeSettings;
#[cfg(feature = "acme")]
use crate::tls::acme::{AcmeCounters, AcmeHandle, AcmeParts};
use crate::tls::renewal::{Loaded, Renewal};
use crate::tls::{Certificate, CertificateNames, TlsCounters};

/// The certificate, and the parts that use its names.
#[derive(Clone)]
pub(super) struct CertificateParts {
    pub(super) renewal: Renewal,
    pub(super) clock: Clock,
    pub(super) counters: Arc<TlsCounters>,
    pub(super) ice: Arc<IceServers>,
    pub(super) hosts: Arc<OwnHosts>,
    /// URL of the call page under a name of the certificate.
    pub(super) page: Live<Option<String>>,
    /// The TLS listeners, on which the page is.
    pub(super) listeners: Live<Vec<SocketAddr>>,
    /// The ACME client.
    pub(super) acme: Acme,
}

/// Control of the ACME client, where this build has one.
#[derive(Clone)]
pub(super) struct Acme {
    /// Names that it keeps a certificate for. They stand for those of the certificate.
    names: Live<Option<CertificateNames>>,
    #[cfg(feature = "acme")]
    handle: AcmeHandle,
}

impl Acme {
    pub(super) fn new(settings: Option<&AcmeSettings>) -> Self {
        Self {
            names: Live::new(settings.map(AcmeSettings::certificate_names)),
            #[cfg(feature = "acme")]
            handle: AcmeHandle::new(settings.cloned()),
        }
    }
}

impl CertificateParts {
    /// Uses a certificate from now on, or none.
    pub(super) fn install(&self, loaded: Option<Loaded>) {
        self.renewal.install(loaded);
        match self.renewal.identity().certificate() {
            Some(certificate) => {
                self.counters.loaded(true);
                self.tell(&certificate);
            }
            None => self.announce(&CertificateNames::default(), None),
        }
    }

    /// Takes in other TLS listeners.
    pub(super) fn listening_at(&self, listeners: Vec<SocketAddr>) {
        self.listeners.store(listeners);
        self.store_page(self.renewal.identity().certificate().as_deref());
    }

    /// Takes in other settings of the ACME client, after the certificate of the same configuration.
    pub(super) fn configure_acme(&self, settings: Option<&AcmeSettings>) {
        self.acme.names.store(settings.map(AcmeSettings::certificate_names));
        let certificate = self.renewal.identity().certificate();
        if let (Some(settings), None) = (settings, &certificate) {
            self.ice.certified_for(&settings.certificate_names());
        }
        self.store_page(certificate.as_deref());
        #[cfg(feature = "acme")]
        self.acme.handle.set(settings.cloned());
    }

    /// Ends the wait of the ACME client after failures.
    pub(super) fn retry(&self) {
        #[cfg(feature = "acme")]
        self.acme.handle.retry();
    }

    fn store_page(&self, certificate: Option<&Certificate>) {
        let promised = self.acme.names.load();
        let names = promised.as_ref().as_ref().or_else(|| certificate.map(Certificate::names));
        self.page.store(page_url::secure_page(names, &self.listeners.load()));
    }

    fn tell(&self, certificate: &Certificate) {
        self.announce(certificate.names(), Some(certificate));
        tracing::info!("certificate loaded: {}", described(certificate));
        warn_of(certificate);
    }

    fn announce(&self, names: &CertificateNames, certificate: Option<&Certificate>) {
        self.hosts.certified_for(names);
        self.ice.certified_for(names);
        self.store_page(certificate);
        self.counters.expires.set(certificate.map_or(0, Certificate::expires));
    }
}

/// Reloads the certificate when its files have changed. Passes its names to the ICE configuration
/// and to the host check. Runs until the server ends.
pub(super) fn keep(parts: &CertificateParts, supervisor: &Supervisor) {
    if let Some(first) = parts.renewal.identity().certificate() {
        tracing::info!("certificate {}", described(&first));
        warn_of(&first);
    }
    let parts = parts.clone();
    supervisor.keep("certificate", move || {
        let parts = parts.clone();
        let (renewal, clock, counters) = (parts.renewal.clone(), parts.clock, parts.counters.clone());
        renewal.run(clock, counters, move |certificate| parts.tell(certificate))
    });
}

/// Starts the ACME client, which waits for settings if there are none. `degraded` gets its lines of
/// `/healthz`.
#[cfg(feature = "acme")]
pub(super) fn keep_acme(
    parts: &CertificateParts,
    counters: Arc<AcmeCounters>,
    degraded: watch::Sender<Vec<String>>,
    supervisor: &Supervisor,
) -> Result<(), ServerError> {
    let installing = parts.clone();
    let driver = parts.acme.handle.driver(AcmeParts {
        renewal: parts.renewal.clone(),
        install: Box::new(move |loaded| installing.install(Some(loaded))),
        clock: parts.clock,
        counters,
        random: Prng::new(&super::seed()?, "acme"),
        degraded,
        return_memory: byway_udp::return_free_pages,
    });
    supervisor.keep("acme", move || driver.clone().run());
    Ok(())
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
