//! Certificate: its names, its period, and reasons for which clients refuse it.

use super::Finding;
use crate::fault::Fault;
use crate::ice::rfc3339;

/// Seconds of a day.
const DAY: u64 = 24 * 60 * 60;

/// Longest time before the expiry at which a certificate should have been renewed. ACME clients
/// renew after two thirds of the lifetime.
const LATE: u64 = 20 * DAY;

/// Facts about a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Names.
    pub names: Vec<String>,
    /// Start of the period, in seconds since 1970.
    pub not_before: u64,
    /// End of the period, in seconds since 1970.
    pub expires: u64,
    /// Reasons for which clients may refuse it, as `CAUSE: REMEDY` or `CAUSE: EVIDENCE; REMEDY`.
    pub remarks: Vec<(Fault, String)>,
}

/// Remedy for a certificate that was not renewed.
fn renew(by_acme: bool) -> &'static str {
    match by_acme {
        true => "see why the renewal failed: journalctl -u byway | grep -i acme",
        false => "renew it, for example: certbot renew; the server notices new files within seconds",
    }
}

/// Judges a certificate at the time `now`. `by_acme` tells whether the server renews it itself.
#[must_use]
pub fn judge(facts: &CertificateFacts, now: u64, by_acme: bool) -> Vec<Finding> {
    let mut findings = vec![period(facts, now, by_acme)];
    if facts.names.is_empty() {
        findings.push(Finding::failed(
            Fault::CertificateName,
            "the certificate has no subject alternative name",
            "browsers, and clients of TURN over TLS, reject it",
            "have it issued for the server's name",
        ));
    }
    for (fault, remark) in &facts.remarks {
        let (cause, rest) = remark.split_once(": ").unwrap_or((remark, ""));
        let (evidence, remedy) = rest.split_once("; ").unwrap_or(("", rest));
        findings.push(Finding::warning(*fault, cause, evidence, remedy));
    }
    findings
}

fn period(facts: &CertificateFacts, now: u64, by_acme: bool) -> Finding {
    let CertificateFacts { names, not_before, expires, .. } = facts;
    let (from, until) = (rfc3339(*not_before), rfc3339(*expires));
    if *expires < now {
        return Finding::failed(
            Fault::CertificateExpired,
            "the certificate has expired",
            format!("at {until}, so browsers reject it"),
            renew(by_acme),
        );
    }
    if *not_before > now {
        return Finding::failed(
            Fault::ClockOff,
            "the certificate is not valid yet",
            format!("before {from}"),
            "set this machine's clock: timedatectl set-ntp true",
        );
    }
    let (left, lifetime) = (expires - now, expires - not_before);
    if left < LATE.min(lifetime / 5) {
        return Finding::warning(
            Fault::CertificateExpiresSoon,
            "the certificate expires soon, and nothing has renewed it",
            format!("at {until}, in {} hours", left / 3600),
            renew(by_acme),
        );
    }
    let names = if names.is_empty() { "no name".to_owned() } else { names.join(", ") };
    Finding::ok(format!("certificate for {names}"), format!("valid until {until}, {} days", left / DAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_700_000_000;

    fn facts(days_before: u64, days_left: u64) -> CertificateFacts {
        CertificateFacts {
            names: vec!["a.example".to_owned()],
            not_before: NOW - days_before * DAY,
            expires: NOW + days_left * DAY,
            remarks: Vec::new(),
        }
    }

    #[test]
    fn a_period_is_judged_by_its_length() {
        let sound = Finding::ok("certificate for a.example", "valid until 2024-01-13T22:13:20Z, 60 days");
        assert_eq!(judge(&facts(30, 60), NOW, false), [sound]);
        let soon = |before, left| judge(&facts(before, left), NOW, true)[0].fault;
        assert_eq!(soon(80, 10), Some(Fault::CertificateExpiresSoon));
        // Certificates for addresses last six days.
        assert_eq!(soon(1, 5), None);
        assert_eq!(soon(5, 1), Some(Fault::CertificateExpiresSoon));
    }

    #[test]
    fn an_expired_certificate_is_a_failure_with_its_date() {
        let expired = CertificateFacts { expires: NOW - 1, ..facts(90, 0) };
        assert_eq!(
            judge(&expired, NOW, false)[0].hint(),
            "the certificate has expired: at 2023-11-14T22:13:19Z, so browsers reject it; renew it, for example: certbot \
             renew; the server notices new files within seconds"
        );
        let early = CertificateFacts { not_before: NOW + 60, ..facts(0, 90) };
        assert_eq!(judge(&early, NOW, false)[0].fault, Some(Fault::ClockOff));
    }

    #[test]
    fn remarks_and_lacking_names_follow() {
        let mut facts = facts(30, 60);
        facts.names.clear();
        facts
            .remarks
            .push((Fault::CertificateChainIncomplete, "alone in its file: name the chain".to_owned()));
        let found = judge(&facts, NOW, false);
        let faults: Vec<_> = found.iter().map(|finding| finding.fault).collect();
        assert_eq!(faults, [None, Some(Fault::CertificateName), Some(Fault::CertificateChainIncomplete)]);
        assert_eq!(found[2].hint(), "alone in its file: name the chain");
    }
}
