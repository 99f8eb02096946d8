//! Certificates in a folder, and a server that uses them.

use std::fs;
use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use crate::process::{CONFIG, Server};

/// A self-signed certificate and its key; for `localhost` unless other names are given.
pub struct Pair {
    /// The certificate in DER.
    pub der: CertificateDer<'static>,
    /// The certificate in PEM.
    pub cert: String,
    /// Its key in PEM.
    pub key: String,
}

impl Pair {
    /// Creates a certificate for `localhost`.
    pub fn new() -> Self {
        Self::of(&CertificateParams::new(["localhost".to_owned()]).unwrap())
    }

    /// Creates a certificate for these names.
    pub fn naming(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        Self::of(&CertificateParams::new(names).unwrap())
    }

    /// Creates a certificate that expired at the end of 2020.
    pub fn expired() -> Self {
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(2020, 12, 31);
        Self::of(&parameters)
    }

    fn of(parameters: &CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let cert = parameters.self_signed(&key).unwrap();
        Self { der: cert.der().clone(), cert: cert.pem(), key: key.serialize_pem() }
    }
}

/// A certificate for `localhost`, and the certificate of its issuer.
pub struct Chain {
    /// Certificate of the server, in PEM.
    pub leaf: String,
    /// Certificate of its issuer, in PEM.
    pub issuer: String,
    /// Key of the server, in PEM.
    pub key: String,
}

impl Chain {
    /// Creates a chain with a new key.
    pub fn new() -> Self {
        Self::with_key(&KeyPair::generate().unwrap())
    }

    /// Creates a chain whose server certificate has this key.
    pub fn with_key(key: &KeyPair) -> Self {
        let mut parameters = CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(DnType::CommonName, "an issuer");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer_key = KeyPair::generate().unwrap();
        let issuer = parameters.self_signed(&issuer_key).unwrap().pem();
        let issued_by = Issuer::new(parameters, issuer_key);
        let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let leaf = leaf.signed_by(key, &issued_by).unwrap().pem();
        Self { leaf, issuer, key: key.serialize_pem() }
    }

    /// Returns both certificates, as ACME clients write them.
    pub fn whole(&self) -> String {
        format!("{}{}", self.leaf, self.issuer)
    }

    /// Returns both certificates as `cat` joins them if the first file lacks a final newline.
    pub fn joined(&self) -> String {
        format!("{}{}", self.leaf.trim_end(), self.issuer)
    }
}

/// A folder with `cert.pem` and `key.pem`.
pub struct Folder(TempDir);

impl Folder {
    /// Creates a folder with this certificate and its key.
    pub fn with(pair: &Pair) -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("cert.pem", &pair.cert);
        folder.write("key.pem", &pair.key);
        folder
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file in the folder.
    pub fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Returns [`CONFIG`] with a TLS listener and this certificate.
    pub fn config(&self) -> String {
        let tls = "[listen]\ntls = [\"127.0.0.1:0\"]";
        let files = format!("[tls]\ncert = {:?}\nkey = {:?}\n", self.path("cert.pem"), self.path("key.pem"));
        CONFIG.replace("[listen]", tls) + &files
    }

    /// Starts a server with the configuration of [`Self::config`].
    pub fn serve(&self) -> Server {
        Server::start_with(&self.config(), |_| {})
    }
}

/// Starts a server with a certificate. Keep the folder: its files are deleted when it is dropped.
pub fn server() -> (Server, Pair, Folder) {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    (folder.serve(), pair, folder)
}
