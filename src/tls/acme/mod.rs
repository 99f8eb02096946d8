//! Certificates from an ACME authority (RFC 8555), kept valid while the server runs.
//!
//! ```text
//! schedule ──► driver ──► account ──► order ──► state_files ──► Identity
//!                 ▲                     │
//!                 │                     └─► Challenges ◄── TLS handshakes, HTTP route
//!                 └── Failure: wait longer, and say why
//! ```
//!
//! - `schedule` decides when to renew, and the wait after a failure. `reverse_name` maps addresses
//!   to names (RFC 8738). Both are pure.
//! - [`AcmeDriver`] runs as a background task. It sleeps until something is due.
//! - `client` speaks HTTPS with the authority. It lives as long as one run: between runs neither
//!   connection, roots nor account key stay in memory.
//! - `order` proves control of the names. [`Challenges`] holds the answers meanwhile.
//! - `state_files` writes the account, and the certificate with its key. A reader sees the old file
//!   or the new one, whatever fails.
//!
//! Without the feature `acme` only the settings and [`Challenges`] remain: `config` refuses names,
//! and no handshake is expected.

#[cfg(feature = "acme")]
mod account;
mod challenges;
#[cfg(feature = "acme")]
mod client;
#[cfg(feature = "acme")]
mod counters;
#[cfg(feature = "acme")]
mod dns_hook;
#[cfg(feature = "acme")]
mod driver;
#[cfg(feature = "acme")]
mod failure;
#[cfg(feature = "acme")]
mod order;
#[cfg(feature = "acme")]
mod reverse_name;
#[cfg(feature = "acme")]
mod schedule;
#[cfg(feature = "acme")]
mod state_files;

use std::env;
use std::path::{Path, PathBuf};

use super::renewal::CertificateSource;
use super::{CertificateFiles, CertificateNames, Name};

pub use challenges::Challenges;
#[cfg(feature = "acme")]
pub use counters::AcmeCounters;
#[cfg(feature = "acme")]
pub use driver::{AcmeDriver, AcmeHandle, AcmeParts};
#[cfg(feature = "acme")]
pub use failure::AcmeOutcome;

/// File of the certificate chain and its private key. One file, so that both change together.
const CERTIFICATE: &str = "certificate.pem";

/// Settings of the ACME client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AcmeSettings {
    /// Names and addresses of the certificate, in lower case; at least one.
    pub names: Vec<Name>,
    /// Mail address for the authority, or empty.
    pub mail: String,
    /// URL of the authority's directory.
    pub directory: String,
    /// Certificates that verify the directory, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Challenge by which the authority checks the names.
    pub challenge: Challenge,
    /// Program that sets the record of DNS-01.
    pub dns_hook: Option<PathBuf>,
    /// Profile of the certificate, or empty.
    pub profile: String,
    /// Folder of the state, unless [`AcmeSettings::folder`] chooses it.
    pub state_dir: Option<PathBuf>,
}

/// Challenge types of RFC 8555 and RFC 8737.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// A certificate on the TLS listener, port 443 for the authority.
    TlsAlpn01,
    /// A page on the HTTP listener, port 80 for the authority.
    Http01,
    /// A TXT record.
    Dns01,
}

impl Challenge {
    /// Name of the type on the wire and in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TlsAlpn01 => "tls-alpn-01",
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

impl AcmeSettings {
    /// The names as those of a certificate.
    #[must_use]
    pub fn certificate_names(&self) -> CertificateNames {
        self.names.iter().cloned().collect()
    }

    /// Files of the certificate that these settings obtain.
    #[must_use]
    pub fn files(&self) -> CertificateFiles {
        let file = self.folder().join(CERTIFICATE);
        CertificateFiles { cert: file.clone(), key: file }
    }

    /// Source of the certificate that these settings obtain.
    #[must_use]
    pub fn source(&self) -> CertificateSource {
        CertificateSource::Acme { files: self.files(), names: self.names.clone() }
    }

    /// Folder of this authority below the state directory. Another authority has another, so a
    /// certificate of a test authority is never taken for a real one.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.state().join(self.authority_folder())
    }

    /// The configured state directory, else that of systemd, else the usual one.
    fn state(&self) -> PathBuf {
        let of_systemd = || {
            // systemd separates several by colons.
            let folders = env::var("STATE_DIRECTORY").ok()?;
            folders
                .split(':')
                .next()
                .filter(|first| !first.is_empty())
                .map(|first| Path::new(first).join("acme"))
        };
        self.state_dir.clone().or_else(of_systemd).unwrap_or_else(|| "/var/lib/byway/acme".into())
    }

    /// The directory's URL as the name of a folder.
    fn authority_folder(&self) -> String {
        let rest = self.directory.split_once("://").map_or(self.directory.as_str(), |(_, rest)| rest);
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        rest.trim_matches('/').chars().map(plain).collect::<String>().trim_start_matches('.').to_owned()
    }
}

#[cfg(test)]
impl AcmeSettings {
    /// Settings for these names, from an authority that does not exist.
    pub(crate) fn for_test(names: &[&str]) -> Self {
        let name = |name: &&str| name.parse().unwrap_or_else(|never| match never {});
        Self {
            names: names.iter().map(name).collect(),
            mail: String::new(),
            directory: "https://ca.example/acme/directory".to_owned(),
            ca_file: None,
            challenge: Challenge::TlsAlpn01,
            dns_hook: None,
            profile: String::new(),
            state_dir: Some("state".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_authority_has_a_folder_of_its_own() {
        let folder = |directory: &str| {
            let settings =
                AcmeSettings { directory: directory.to_owned(), ..AcmeSettings::for_test(&["a.b"]) };
            settings.folder().display().to_string()
        };
        assert_eq!(
            folder("https://acme-v02.api.letsencrypt.org/directory"),
            "state/acme-v02.api.letsencrypt.org-directory"
        );
        assert_eq!(folder("https://ca.lan:14000/dir"), "state/ca.lan-14000-dir");
        assert_eq!(folder("https://../../etc"), "state/-..-etc");
    }
}
