//! Content negotiation for `/metrics` (RFC 9110 section 12.5.1).

use axum::http::{HeaderMap, header};

use super::target::elements;
use crate::metrics::Exposition;

/// The format that a client prefers; the text format where it has no preference, or takes neither.
pub(super) fn exposition(headers: &HeaderMap) -> Exposition {
    let text = quality(headers, "text", "plain", "0.0.4");
    let openmetrics = quality(headers, "application", "openmetrics-text", "1.0.0");
    if openmetrics > text { Exposition::OpenMetrics } else { Exposition::Text }
}

/// The weight of a media type with this version: that of the most specific media range which it is
/// part of.
fn quality(headers: &HeaderMap, kind: &str, subtype: &str, version: &str) -> f32 {
    let ranges = elements(headers, &header::ACCEPT).filter_map(Range::parse);
    ranges
        .filter_map(|range| Some((range.specificity(kind, subtype, version)?, range.weight)))
        .max_by_key(|(specificity, _)| *specificity)
        .map_or(0.0, |(_, weight)| weight)
}

/// A media range with its weight.
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    weight: f32,
}

impl<'a> Range<'a> {
    /// Reads `type/subtype;version=...;q=...`. Other parameters, such as Prometheus's `escaping`,
    /// do not narrow it.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self { kind, subtype, version: None, weight: 1.0 };
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            if name.eq_ignore_ascii_case("q") {
                range.weight = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
            } else if name.eq_ignore_ascii_case("version") {
                range.version = Some(value.trim_matches('"'));
            }
        }
        Some(range)
    }

    /// Precision of the match, if the range matches at all.
    fn specificity(&self, kind: &str, subtype: &str, version: &str) -> Option<u8> {
        let is = |range: &str, value: &str| range.eq_ignore_ascii_case(value);
        match (self.kind, self.subtype, self.version) {
            ("*", "*", _) => Some(0),
            (range, "*", _) if is(range, kind) => Some(1),
            (range, sub, None) if is(range, kind) && is(sub, subtype) => Some(2),
            (range, sub, Some(v)) if is(range, kind) && is(sub, subtype) && v == version => Some(3),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn threat_43_metrics_come_in_the_format_that_is_asked_for() {
        use Exposition::{OpenMetrics, Text};
        for (accept, format) in [
            (&[][..], Text),
            (&["*/*"], Text),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Text),
            (&["text/plain"], Text),
            (&["text/plain;version=0.0.4"], Text),
            (&["application/json"], Text),
            (&["application/openmetrics-text"], OpenMetrics),
            (&["Application/OpenMetrics-Text; Version=\"1.0.0\"; charset=utf-8"], OpenMetrics),
            (&["application/*"], OpenMetrics),
            (&["application/openmetrics-text;version=0.0.1"], Text),
            (&["application/openmetrics-text;q=0"], Text),
            (&["application/openmetrics-text;q=0.3,*/*;q=0.5"], Text),
            (&["text/plain;q=0.1, application/openmetrics-text;q=2"], Text),
            (&["text/plain;q=0.5", "application/openmetrics-text"], OpenMetrics),
            // Prometheus 2.50, and 3.
            (
                &[
                    "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
                   text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ],
                OpenMetrics,
            ),
            (
                &["application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                   application/openmetrics-text;version=0.0.1;q=0.5,\
                   text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"],
                OpenMetrics,
            ),
        ] {
            let mut headers = HeaderMap::new();
            for line in accept {
                headers.append(header::ACCEPT, HeaderValue::from_static(line));
            }
            assert_eq!(exposition(&headers), format, "{accept:?}");
        }
    }
}
