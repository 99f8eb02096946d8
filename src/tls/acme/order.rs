//! One order: proof of control of every name, the signing request, the certificate (RFC 8555
//! section 7.4).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, AuthorizedIdentifier, CertificateIdentifier, ChallengeHandle,
    ChallengeType, Error, Identifier, NewOrder, Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, SanType};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::failure::{AcmeOutcome, Failure};
use super::reverse_name::reverse_name;
use super::{AcmeSettings, Challenge, Challenges, dns_hook};
use crate::tls::Name;

/// Profile for certificates of addresses, the only one of Let's Encrypt that has them.
const SHORT_LIVED: &str = "shortlived";

/// Patience with the authority's checks, and with its signature.
const DECIDES_WITHIN: Duration = Duration::from_secs(120);

/// A chain and its key, in PEM.
pub(super) struct Issued {
    pub(super) chain: String,
    pub(super) key: String,
}

/// Orders a certificate. `replaces` is the certificate that it will replace (RFC 9773 section 5).
pub(super) async fn place(
    account: &Account,
    settings: &AcmeSettings,
    challenges: &Challenges,
    replaces: Option<CertificateIdentifier<'_>>,
) -> Result<Issued, Failure> {
    let of = |error: Error| Failure::of(&error, settings, None);
    let identifiers: Vec<Identifier> = settings.names.iter().map(identifier).collect();
    let profile = profile(account, settings)?;
    let new = || new_order(&identifiers, profile.as_deref());
    let mut order = match replaces {
        // An authority that knows nothing of the earlier certificate issues one all the same.
        Some(replaces) => match account.new_order(&new().replaces(replaces)).await {
            Ok(order) => order,
            Err(Error::Api(problem)) if is_limit(&problem) => return Err(of(Error::Api(problem))),
            Err(_) => account.new_order(&new()).await.map_err(of)?,
        },
        None => account.new_order(&new()).await.map_err(of)?,
    };

    let mut answers = Answers { challenges, settings, records: Vec::new() };
    let issued = prove_and_finalize(&mut order, &mut answers).await;
    answers.withdraw().await;
    issued
}

/// Answers the challenges, waits for the decision, and gets the certificate.
async fn prove_and_finalize(order: &mut Order, answers: &mut Answers<'_>) -> Result<Issued, Failure> {
    let settings = answers.settings;
    let of = |error: Error| Failure::of(&error, settings, None);
    let mut open: Vec<Name> = settings.names.clone();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(of)?;
        // One for each name: the program of DNS-01 may control more than these.
        let asked = asked_name(&authorization.identifier());
        let place = open.iter().position(|name| Some(name) == asked.as_ref());
        let Some(place) = place else { return Err(unknown_identifier()) };
        open.swap_remove(place);
        match authorization.status {
            AuthorizationStatus::Pending => {}
            AuthorizationStatus::Valid => continue,
            status => {
                let reason = format!("the authorization of {} is {status:?}", authorization.identifier());
                return Err(Failure::new(
                    AcmeOutcome::Refused,
                    reason,
                    "reload the server, so that it orders again",
                ));
            }
        }
        let name = authorization.identifier().to_string();
        let wanted = match settings.challenge {
            Challenge::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Challenge::Http01 => ChallengeType::Http01,
            Challenge::Dns01 => ChallengeType::Dns01,
        };
        let Some(mut challenge) = authorization.challenge(wanted) else {
            return Err(Failure::new(
                AcmeOutcome::Refused,
                format!("the authority does not offer {} for {name}", settings.challenge.name()),
                "set another `challenge` under [acme]",
            ));
        };
        answers.publish(&challenge).await?;
        challenge.set_ready().await.map_err(|error| Failure::of(&error, settings, Some(&name)))?;
    }
    let patience = RetryPolicy::new().timeout(DECIDES_WITHIN);
    match order.poll_ready(&patience).await {
        Ok(OrderStatus::Ready) => {}
        decision => {
            // The order names no cause: its challenges do.
            if let Some((name, problem)) = refusal(order).await {
                return Err(Failure::of_problem(&problem, settings, Some(&name)));
            }
            return Err(match decision {
                Err(error) => of(error),
                Ok(status) => Failure::new(
                    AcmeOutcome::Refused,
                    format!("the authority made the order {status:?} without a reason"),
                    "reload the server, so that it orders again",
                ),
            });
        }
    }
    let key = order.finalize().await.map_err(of)?;
    let chain = order.poll_certificate(&patience).await.map_err(of)?;
    Ok(Issued { chain, key })
}

/// Returns the first challenge that failed, with its name.
async fn refusal(order: &mut Order) -> Option<(String, Problem)> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let name = state.identifier().to_string();
        if let Some(problem) = state.challenges.iter().find_map(|challenge| challenge.error.clone()) {
            return Some((name, problem));
        }
    }
    None
}

fn is_limit(problem: &Problem) -> bool {
    problem.r#type.as_deref().is_some_and(|kind| kind.ends_with(":rateLimited"))
}

/// Returns the order to place. `replaces` consumes it, so a second attempt needs another.
fn new_order<'a>(identifiers: &'a [Identifier], profile: Option<&'a str>) -> NewOrder<'a> {
    let new = NewOrder::new(identifiers);
    match profile {
        Some(profile) => new.profile(profile),
        None => new,
    }
}

/// Returns the profile to order: the configured one, else that for addresses if there is one.
fn profile(account: &Account, settings: &AcmeSettings) -> Result<Option<String>, Failure> {
    let offered: Vec<&str> = account.profiles().map(|profile| profile.name).collect();
    if !settings.profile.is_empty() {
        if offered.contains(&settings.profile.as_str()) {
            return Ok(Some(settings.profile.clone()));
        }
        let offers = if offered.is_empty() { "none".to_owned() } else { offered.join(", ") };
        return Err(Failure::new(
            AcmeOutcome::Refused,
            format!("the authority has no profile {:?}; its profiles: {offers}", settings.profile),
            "correct `profile` under [acme], or leave it empty",
        ));
    }
    let has_address = settings.names.iter().any(|name| matches!(name, Name::Ip(_)));
    Ok((has_address && offered.contains(&SHORT_LIVED)).then(|| SHORT_LIVED.to_owned()))
}

/// Name that an authorization is about.
fn asked_name(AuthorizedIdentifier { identifier, wildcard, .. }: &AuthorizedIdentifier<'_>) -> Option<Name> {
    match identifier {
        Identifier::Dns(name) if *wildcard => Some(Name::Dns(format!("*.{}", name.to_ascii_lowercase()))),
        Identifier::Dns(name) => Some(Name::Dns(name.to_ascii_lowercase())),
        Identifier::Ip(ip) => Some(Name::Ip(*ip)),
        _ => None,
    }
}

fn identifier(name: &Name) -> Identifier {
    match name {
        Name::Dns(name) => Identifier::Dns(name.clone()),
        Name::Ip(ip) => Identifier::Ip(*ip),
    }
}

/// Published answers of one order.
struct Answers<'a> {
    challenges: &'a Challenges,
    settings: &'a AcmeSettings,
    /// DNS records to remove: program, name and value.
    records: Vec<(PathBuf, String, String)>,
}

impl Answers<'_> {
    async fn publish(&mut self, challenge: &ChallengeHandle<'_>) -> Result<(), Failure> {
        let authorization = challenge.key_authorization();
        let identifier = challenge.identifier().identifier;
        match self.settings.challenge {
            Challenge::Http01 => {
                self.challenges.publish_page(challenge.token.clone(), authorization.as_str().to_owned());
            }
            Challenge::TlsAlpn01 => {
                let (server_name, san) = match identifier {
                    Identifier::Ip(ip) => (reverse_name(*ip), Name::Ip(*ip)),
                    Identifier::Dns(name) => (name.to_ascii_lowercase(), Name::Dns(name.clone())),
                    _ => return Err(unknown_identifier()),
                };
                let made = challenge_certificate(&san, authorization.digest().as_ref());
                let certificate = made.map_err(|error| {
                    let reason = format!("cannot make the challenge's certificate: {error}");
                    Failure::new(AcmeOutcome::Refused, reason, "set another `challenge` under [acme]")
                })?;
                self.challenges.publish_certificate(server_name, certificate);
            }
            Challenge::Dns01 => {
                let (Identifier::Dns(name), Some(program)) = (identifier, &self.settings.dns_hook) else {
                    return Err(unknown_identifier());
                };
                let record = (program.clone(), format!("_acme-challenge.{name}"), authorization.dns_value());
                let (program, name, value) = &record;
                let present = dns_hook::execute(program, "present", name, value).await;
                // Also after a failure, because a part of the work may be done.
                self.records.push(record);
                present?;
            }
        }
        Ok(())
    }

    /// Withdraws everything. A record that cannot be removed does not matter to the certificate.
    async fn withdraw(mut self) {
        for (program, name, value) in std::mem::take(&mut self.records) {
            if let Err(failure) = dns_hook::execute(&program, "cleanup", &name, &value).await {
                tracing::warn!("{}; remedy: {}", failure.reason, failure.remedy);
            }
        }
    }
}

impl Drop for Answers<'_> {
    fn drop(&mut self) {
        self.challenges.withdraw();
    }
}

fn unknown_identifier() -> Failure {
    Failure::new(
        AcmeOutcome::Refused,
        "the authority asks about something else than the names of the order, or twice about one",
        "use another authority as `directory` under [acme]",
    )
}

/// Makes the certificate of TLS-ALPN-01 (RFC 8737 section 3): self-signed, for one name or address,
/// with the digest of the key authorization in a critical extension.
fn challenge_certificate(
    name: &Name,
    digest: &[u8],
) -> Result<Arc<CertifiedKey>, Box<dyn std::error::Error>> {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = DistinguishedName::new();
    parameters.subject_alt_names = vec![match name {
        Name::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
        Name::Ip(ip) => SanType::IpAddress(*ip),
    }];
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], any_supported_type(&key)?)))
}

#[cfg(test)]
mod tests {
    use x509_parser::extensions::GeneralName;
    use x509_parser::prelude::{FromDer as _, X509Certificate};

    use super::*;

    /// RFC 8737 section 3, RFC 8738 section 6.
    #[test]
    fn the_challenge_certificate_has_one_name_and_the_critical_digest() {
        for (text, is_name) in [("call.example.org", true), ("192.0.2.7", false)] {
            let name: Name = text.parse().unwrap();
            let key = challenge_certificate(&name, &[7; 32]).unwrap();
            let (_, certificate) = X509Certificate::from_der(&key.cert[0]).unwrap();
            let names = certificate.subject_alternative_name().unwrap().unwrap();
            assert_eq!(names.value.general_names.len(), 1);
            assert_eq!(matches!(names.value.general_names[0], GeneralName::DNSName(_)), is_name);
            let extensions = certificate.extensions();
            let digest = extensions.iter().find(|it| it.oid.to_id_string() == "1.3.6.1.5.5.7.1.31").unwrap();
            assert!(digest.critical);
            assert_eq!(digest.value, [&[4, 32][..], &[7; 32]].concat());
        }
    }
}
