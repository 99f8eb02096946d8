//! Names of a certificate (RFC 5280 section 4.2.1.6). Pure.

use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use byway_turn::wire::AddressFamily;

use crate::origin::{Host, HostPattern};

/// One name of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// A DNS name; its first label may be `*`.
    Dns(String),
    /// An address.
    Ip(IpAddr),
}

impl Name {
    /// The name as the host of a URL (RFC 3986 section 3.2.2).
    #[must_use]
    pub fn in_url(&self) -> String {
        match self {
            Self::Dns(name) => name.clone(),
            Self::Ip(ip) => Host::Ip(*ip).to_string(),
        }
    }
}

impl FromStr for Name {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(text.parse().map_or_else(|_| Self::Dns(text.to_owned()), Self::Ip))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// All names of a certificate, in its own order.
///
/// The common name is not included, because browsers check the subject alternative names only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames(Vec<Name>);

impl CertificateNames {
    /// The names as a list.
    #[must_use]
    pub fn as_slice(&self) -> &[Name] {
        &self.0
    }

    /// The same names, of which these come first and in this order.
    pub(super) fn with_first(mut self, first: &[Name]) -> Self {
        let position = |name: &Name| first.iter().position(|other| other == name);
        self.0.sort_by_key(|name| position(name).unwrap_or(usize::MAX));
        self
    }

    /// Whether the certificate has no names.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The preferred name of the server: the first that is not a wildcard. An address must be of
    /// `family`.
    #[must_use]
    pub fn preferred(&self, family: Option<AddressFamily>) -> Option<&Name> {
        self.0.iter().find(|name| match name {
            Name::Dns(name) => !name.starts_with('*'),
            Name::Ip(ip) => family.is_none_or(|family| family == AddressFamily::of(*ip)),
        })
    }

    /// Whether a client accepts the certificate for `host`.
    #[must_use]
    pub fn cover(&self, host: &Host) -> bool {
        self.patterns().any(|pattern| pattern.matches(host))
    }

    /// Host patterns of the names, without names that are not valid hosts.
    pub fn patterns(&self) -> impl Iterator<Item = HostPattern> {
        self.0.iter().filter_map(|name| HostPattern::parse(&name.to_string()))
    }
}

impl FromIterator<Name> for CertificateNames {
    fn from_iter<I: IntoIterator<Item = Name>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> CertificateNames {
        list.split_whitespace().map(|name| name.parse::<Name>().unwrap()).collect()
    }

    fn preferred(list: &str, family: Option<AddressFamily>) -> Option<String> {
        names(list).preferred(family).map(Name::in_url)
    }

    #[test]
    fn the_first_name_that_clients_can_call_is_preferred() {
        use AddressFamily::{V4, V6};
        let list = "*.example.org 192.0.2.7 call.example.org 2001:db8::7";
        assert_eq!(preferred(list, None).as_deref(), Some("192.0.2.7"));
        assert_eq!(preferred(list, Some(V4)).as_deref(), Some("192.0.2.7"));
        assert_eq!(preferred(list, Some(V6)).as_deref(), Some("call.example.org"));
        assert_eq!(preferred("2001:db8::7", Some(V6)).as_deref(), Some("[2001:db8::7]"));
        assert_eq!(preferred("2001:db8::7", Some(V4)), None);
        assert_eq!(preferred("*.example.org", None), None);
    }

    #[test]
    fn the_order_of_the_operator_comes_before_that_of_the_certificate() {
        let first = names("call.example.org 192.0.2.7 absent.example.org");
        let ordered = names("a.example.org 192.0.2.7 b.example.org call.example.org").with_first(&first.0);
        assert_eq!(ordered, names("call.example.org 192.0.2.7 a.example.org b.example.org"));
    }

    #[test]
    fn a_wildcard_covers_one_label() {
        let names = names("*.example.org 192.0.2.7");
        let cover = |host: &str| names.cover(&Host::parse(host).unwrap());
        assert!(cover("a.example.org") && cover("192.0.2.7"));
        assert!(!cover("example.org") && !cover("a.b.example.org") && !cover("192.0.2.8"));
    }
}
