//! Reasons for which clients may refuse a usable certificate. The library accepts more than
//! browsers do.

use std::fmt;

use x509_parser::certificate::X509Certificate;
use x509_parser::oid_registry::{
    OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_PKCS1_RSAENCRYPTION, Oid,
};

use crate::fault::Fault;

/// Remedy that names the keys to use instead.
const KINDS: &str = "use ECDSA on P-256, or RSA of 2048 bits or more";

/// Signatures of RSA and ECDSA with SHA-1 (RFC 8017, RFC 5758).
const WITH_SHA1: [&str; 2] = ["1.2.840.113549.1.1.5", "1.2.840.10045.4.1"];

/// secp521r1 (RFC 5480).
const P521: &str = "1.3.132.0.35";

/// Reason for which clients may refuse a certificate. Its `Display` has the form `CAUSE: REMEDY`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Entry of the documentation.
    pub fault: Fault,
    text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Remarks on a chain, the server's own certificate first.
pub(super) fn on(chain: &[X509Certificate<'_>]) -> Vec<Remark> {
    let remark = |fault| move |text| Remark { fault, text };
    let untrusted = on_each(chain).into_iter().map(remark(Fault::CertificateUntrusted));
    untrusted.chain(on_order(chain).map(remark(Fault::CertificateChainIncomplete))).collect()
}

/// Remarks on the certificates, each by itself.
fn on_each(chain: &[X509Certificate<'_>]) -> Vec<String> {
    let mut remarks = Vec::new();
    for (number, certificate) in (1..).zip(chain) {
        let whose = if number == 1 {
            "the certificate".to_owned()
        } else {
            format!("certificate {number} of the chain")
        };
        remarks.extend(
            on_key(certificate)
                .map(|kind| format!("{whose} has a key of a kind that browsers refuse, {kind}: {KINDS}")),
        );
        let signed_by = certificate.signature_algorithm.algorithm.to_id_string();
        let is_root = certificate.issuer() == certificate.subject();
        if !is_root && WITH_SHA1.contains(&signed_by.as_str()) {
            remarks
                .push(format!("{whose} is signed with SHA-1, which browsers refuse: have it issued again"));
        }
    }
    if let [own, ..] = chain
        && own.issuer() == own.subject()
    {
        remarks.push(
            "the certificate is signed by itself: browsers refuse it; have it issued by an authority, such as Let's Encrypt"
                .to_owned(),
        );
    }
    if let [own, ..] = chain
        && let Ok(Some(usage)) = own.extended_key_usage()
        && !usage.value.server_auth
        && !usage.value.any
    {
        remarks.push(
            "the certificate is not for servers (extended key usage), and clients refuse it: have it issued for TLS servers"
                .to_owned(),
        );
    }
    remarks
}

/// Checks that each certificate is followed by its issuer's. If one is missing, only clients that
/// already know the issuer can connect.
fn on_order(chain: &[X509Certificate<'_>]) -> Option<String> {
    let [own, rest @ ..] = chain else { return None };
    if rest.is_empty() && own.issuer() != own.subject() {
        return Some(format!(
            "the certificate is alone in its file, without that of its issuer ({}), so clients that do not \
             know the issuer refuse it: name the file with the whole chain (certbot calls it fullchain.pem)",
            own.issuer()
        ));
    }
    let stray = chain.windows(2).position(|pair| pair[0].issuer() != pair[1].subject())?;
    Some(format!(
        "certificate {} in the file is not that of the issuer of the one before it; clients may refuse the \
         chain: put the server's certificate first, and after each one its issuer's",
        stray + 2
    ))
}

/// The kind of a certificate's key, if no browser accepts it.
fn on_key(certificate: &X509Certificate<'_>) -> Option<String> {
    let key = &certificate.public_key().algorithm;
    if key.algorithm == OID_PKCS1_RSAENCRYPTION {
        return None;
    }
    if key.algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.parameters.as_ref().and_then(|parameters| Oid::try_from(parameters).ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => None,
            Some(curve) if curve.to_id_string() == P521 => Some("ECDSA on P-521".to_owned()),
            _ => Some("ECDSA on another curve than P-256 or P-384".to_owned()),
        };
    }
    let named = [("1.3.101.112", "Ed25519"), ("1.3.101.113", "Ed448")];
    let id = key.algorithm.to_id_string();
    let name = named.into_iter().find_map(|(other, name)| (other == id).then_some(name));
    Some(name.map_or_else(|| format!("object identifier {id}"), str::to_owned))
}
