//! A certificate with its key, read from files and checked before use.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::Error;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

use super::names::{CertificateNames, Name};
use super::pem::{self as blocks, CERTIFICATE, PARAMETERS, PRIVATE_KEYS};
use super::remarks::{self, Remark};
use crate::operator_file;

/// Files of a certificate, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, and the chain behind it.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate chain and the private key of its first certificate.
#[derive(Debug)]
pub struct Certificate {
    certified_key: Arc<CertifiedKey>,
    names: CertificateNames,
    validity: Validity,
    remarks: Vec<Remark>,
}

/// Validity period in seconds since 1970, inclusive.
#[derive(Clone, Copy, Debug)]
pub(super) struct Validity {
    pub(super) not_before: u64,
    pub(super) not_after: u64,
}

/// Reason for which the files cannot be used. Its `Display` addresses the operator.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}\n  remedy: {remedy}", file.display())]
pub struct Unusable {
    /// The file.
    pub file: PathBuf,
    /// The cause.
    pub reason: String,
    /// The remedy.
    pub remedy: &'static str,
    /// Whether the cause is the machine, not a file.
    pub is_shortage: bool,
    /// Whether the file does not exist.
    pub is_missing: bool,
}

impl Unusable {
    /// A file that cannot be read.
    #[must_use]
    pub fn unreadable(file: &Path, error: &io::Error) -> Self {
        let unusable = Problem(error.to_string(), unreadable(error)).of(file);
        let is_missing = error.kind() == io::ErrorKind::NotFound;
        Self { is_shortage: operator_file::is_shortage(error), is_missing, ..unusable }
    }
}

impl Certificate {
    /// Reads both files: a chain in PEM with the server's own certificate first, and its private
    /// key in PEM.
    ///
    /// # Errors
    /// [`Unusable`], if any part of the files is invalid.
    pub fn load(files: &CertificateFiles) -> Result<Self, Unusable> {
        let CertificateFiles { cert, key } = files;
        let chain = chain(&read(cert)?).map_err(|problem| problem.of(cert))?;
        let Described { names, validity, remarks } = describe(&chain).map_err(|problem| problem.of(cert))?;
        let certified_key = private_key(&read(key)?)
            .and_then(|private_key| pair(chain, &private_key))
            .map_err(|problem| {
                let at_fault = if problem.1 == ORDER { cert } else { key };
                problem.of(at_fault)
            })?;
        Ok(Self { certified_key: Arc::new(certified_key), names, validity, remarks })
    }

    /// Puts these of its names first, in this order.
    pub(super) fn with_first(self, names: &[Name]) -> Self {
        Self { names: self.names.with_first(names), ..self }
    }

    /// Names of the certificate.
    #[must_use]
    pub fn names(&self) -> &CertificateNames {
        &self.names
    }

    /// Expiry in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> u64 {
        self.validity.not_after
    }

    /// Reasons for which clients may refuse it, each with its remedy.
    #[must_use]
    pub fn remarks(&self) -> &[Remark] {
        &self.remarks
    }

    /// Start of the validity period in seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.validity.not_before
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    pub(super) fn certified_key(&self) -> Arc<CertifiedKey> {
        self.certified_key.clone()
    }
}

/// Cause and remedy of a problem with a file.
struct Problem(String, &'static str);

impl Problem {
    fn of(self, file: &Path) -> Unusable {
        let Self(reason, remedy) = self;
        Unusable { file: file.to_owned(), reason, remedy, is_shortage: false, is_missing: false }
    }
}

/// Longest chain. Usual chains have two or three certificates: the server's own and those between
/// it and a root. Every handshake carries them all.
const MAX_CHAIN: usize = 10;

const WHOLE_FILE: &str = "let your ACME client write it again; it is PEM, from -----BEGIN to -----END";
const CHAIN: &str = "name the file with the whole chain; certbot calls it fullchain.pem";
const JOIN: &str =
    "join the files with a line break between them: (cat cert.pem; echo; cat chain.pem) > fullchain.pem";
const ORDER: &str = "put that one first, followed by its issuers";
const KEY: &str = "name the key that the certificate was made with; certbot calls it privkey.pem";

fn read(file: &Path) -> Result<Vec<u8>, Unusable> {
    operator_file::read(file, operator_file::LARGE).map_err(|error| Unusable::unreadable(file, &error))
}

fn unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        _ if operator_file::is_shortage(error) => operator_file::SHORTAGE,
        io::ErrorKind::PermissionDenied => {
            "let the server's user read it and enter the folders above; `systemctl cat byway` says how"
        }
        _ => "name the files of the certificate under [tls]: cert and key",
    }
}

fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let kinds = blocks::kinds(pem).map_err(unfit)?;
    let is_known =
        |kind: &str| kind == CERTIFICATE || PRIVATE_KEYS.contains(&kind) || PARAMETERS.contains(&kind);
    if let Some(other) = kinds.iter().find(|kind| !is_known(kind)) {
        return Err(Problem(format!("a block {other:?}, which is not supported here"), CHAIN));
    }
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|error| broken(&error))?;
    if chain.is_empty() {
        return Err(Problem("no certificate in this file".to_owned(), CHAIN));
    }
    if chain.len() > MAX_CHAIN {
        return Err(Problem(
            format!("{} certificates, but a chain has at most {MAX_CHAIN}", chain.len()),
            CHAIN,
        ));
    }
    Ok(chain)
}

fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, Problem> {
    let kinds = blocks::kinds(pem).map_err(|reason| Problem(reason, WHOLE_FILE))?;
    let keys = kinds.iter().filter(|kind| PRIVATE_KEYS.contains(&kind.as_str())).count();
    if keys > 1 {
        return Err(Problem(
            format!("{keys} private keys instead of one"),
            "keep only the certificate's key",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        // PKCS #8 marks encryption in its label, openssl's older format in a header (RFC 1421),
        // which is not base64.
        pem::Error::NoItemsFound | pem::Error::Base64Decode(_)
            if pem.windows(9).any(|word| word == b"ENCRYPTED") =>
        {
            Problem(
                "the key is encrypted, and the server cannot ask for its password".to_owned(),
                "decrypt it into a file that only the server can read: openssl pkey -in this -out that",
            )
        }
        pem::Error::NoItemsFound => Problem("no private key in this file".to_owned(), KEY),
        other => broken(&other),
    })
}

/// Problem of a file of certificates of which a reader would skip a part.
fn unfit(reason: String) -> Problem {
    let remedy = if reason.ends_with(blocks::JOINED) { JOIN } else { WHOLE_FILE };
    Problem(reason, remedy)
}

fn broken(error: &pem::Error) -> Problem {
    let reason = match error {
        pem::Error::MissingSectionEnd { .. } => "cut off before its -----END line",
        pem::Error::Base64Decode(_) => "damaged: not base64 between -----BEGIN and -----END",
        _ => "not PEM",
    };
    Problem(reason.to_owned(), WHOLE_FILE)
}

/// Facts of a chain.
struct Described {
    names: CertificateNames,
    validity: Validity,
    remarks: Vec<Remark>,
}

/// Returns the names and the validity of the first certificate, and remarks on all. The others must
/// also be certificates.
fn describe(chain: &[CertificateDer<'_>]) -> Result<Described, Problem> {
    let mut parsed = Vec::new();
    for der in chain {
        match X509Certificate::from_der(der) {
            Ok(([], certificate)) => parsed.push(certificate),
            _ => return Err(Problem("its content is not a certificate".to_owned(), WHOLE_FILE)),
        }
    }
    let own = &parsed[0];
    Ok(Described { names: names(own), validity: validity(own), remarks: remarks::on(&parsed) })
}

fn names(certificate: &X509Certificate<'_>) -> CertificateNames {
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return CertificateNames::default() };
    let name = |name: &GeneralName<'_>| match *name {
        GeneralName::DNSName(name) => Some(Name::Dns(name.to_ascii_lowercase())),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
            v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(Name::Ip)
        }
        _ => None,
    };
    names.value.general_names.iter().filter_map(name).collect()
}

fn validity(certificate: &X509Certificate<'_>) -> Validity {
    // A date before 1970 counts as 1970.
    let unix = |time: x509_parser::time::ASN1Time| u64::try_from(time.timestamp()).unwrap_or(0);
    let validity = certificate.validity();
    Validity { not_before: unix(validity.not_before), not_after: unix(validity.not_after) }
}

/// Pairs the chain with its key, which must be the key of the first certificate.
fn pair(chain: Vec<CertificateDer<'static>>, key: &PrivateKeyDer<'_>) -> Result<CertifiedKey, Problem> {
    const KINDS: &str = "use ECDSA on P-256, or RSA of 2048 bits or more";
    let key = any_supported_type(key)
        .map_err(|_| Problem("a private key of an unsupported kind".to_owned(), KINDS))?;
    let pair = CertifiedKey::new(chain, key);
    match pair.keys_match() {
        Ok(()) => Ok(pair),
        Err(Error::InconsistentKeys(_)) => {
            if let Some(number) = matching(&pair) {
                let reason = format!("the key matches certificate {number} in the file, not the first");
                return Err(Problem(reason, ORDER));
            }
            let reason = "the key does not match the certificate, which is the first one in its file";
            Err(Problem(reason.to_owned(), KEY))
        }
        Err(error) => Err(Problem(format!("the certificate is not usable: {error}"), CHAIN)),
    }
}

/// Number, within the file, of the later certificate that the key belongs to.
fn matching(pair: &CertifiedKey) -> Option<usize> {
    let is_its_own = |certificate: &CertificateDer<'static>| {
        CertifiedKey::new(vec![certificate.clone()], pair.key.clone()).keys_match().is_ok()
    };
    pair.cert.iter().skip(1).position(is_its_own).map(|behind| behind + 2)
}
