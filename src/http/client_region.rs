//! The region that a request comes from, as a trusted proxy or the client itself tells it.

use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};

use super::target::elements;
use crate::access::names::Region;

/// A client's region, an extension of the requests that have one: [`super::serve`] puts it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ClientRegion(pub(super) Region);

impl ClientRegion {
    /// The region of a request that [`super::serve`] has passed on.
    pub(super) fn in_head(head: &Parts) -> Option<Region> {
        head.extensions.get().map(|Self(region)| region.clone())
    }

    /// Reads the region that the client itself asks for, in the parameter `region`. It counts less
    /// than a proxy's word.
    pub(super) fn asked(query: Option<&str>) -> Option<Self> {
        let value = query?.split('&').find_map(|field| field.strip_prefix("region="))?;
        value.parse().ok().map(Self)
    }

    /// Reads the region in the field `name` of a request by a trusted proxy. One that is no region
    /// counts as absent.
    ///
    /// The last element of the field is the nearest proxy's. Those to its left may be the client's
    /// own words and count for nothing. Upper case is accepted, because proxies write codes of
    /// countries so.
    pub(super) fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let last = elements(headers, name).next_back()?;
        (last.len() <= Region::MAX_LEN).then(|| last.to_ascii_lowercase().parse().ok().map(Self))?
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(lines: &[&str]) -> Option<String> {
        let name = HeaderName::from_static("x-region");
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(&name, HeaderValue::from_bytes(line.as_bytes()).unwrap());
        }
        ClientRegion::of(&headers, &name).map(|ClientRegion(region)| region.to_string())
    }

    #[test]
    fn threat_34_the_nearest_proxy_has_the_last_word() {
        assert_eq!(of(&["oslo"]).as_deref(), Some("oslo"));
        assert_eq!(of(&[" EU-North-1 "]).as_deref(), Some("eu-north-1"));
        assert_eq!(of(&["us", "oslo"]).as_deref(), Some("oslo"));
        assert_eq!(of(&["us, oslo"]).as_deref(), Some("oslo"));
        let longest = "a".repeat(32);
        assert_eq!(of(&[&longest]).as_ref(), Some(&longest));
    }

    #[test]
    fn a_client_may_ask_for_a_region() {
        let asked = |query| ClientRegion::asked(query).map(|ClientRegion(region)| region.to_string());
        assert_eq!(asked(Some("username=ann&region=eu&ttl=60")).as_deref(), Some("eu"));
        for none in
            [None, Some(""), Some("region="), Some("region=EU"), Some("region=%65u"), Some("aregion=eu")]
        {
            assert_eq!(asked(none), None, "{none:?}");
        }
    }

    #[test]
    fn threat_34_a_field_without_a_region_is_absent() {
        let (long, longer) = ("a".repeat(33), "a".repeat(8_000));
        for nonsense in ["", ",", "os lo", "oslo.no", "north_america", "\u{e9}", "oslo;q=1", &long, &longer] {
            assert_eq!(of(&[nonsense]), None, "{nonsense:?}");
            // Not even the element before it counts.
            let expected = if matches!(nonsense, "" | ",") { Some("us") } else { None };
            assert_eq!(of(&["us", nonsense]).as_deref(), expected, "{nonsense:?}");
        }
        assert_eq!(of(&[]), None);
    }
}
