//! Formats of `/metrics`.

/// Format of the metrics page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text format 0.0.4, which every scraper supports.
    Text,
    /// OpenMetrics text format 1.0.0, which Prometheus prefers.
    OpenMetrics,
}

impl Exposition {
    /// Returns the media type for `Content-Type`.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Finishes a page of the encoder, whose families have their OpenMetrics names, in a format.
///
/// Samples are the same in both formats. In 0.0.4 a counter's family has the name of its samples,
/// with `_total`, and there are no units and no end marker. In OpenMetrics a counter's family lacks
/// `_total`. `promtool check metrics` reads every page as 0.0.4, and then misses the help of such a
/// family. So here counters have help under the name of their samples, and no type: OpenMetrics
/// calls that `unknown`, and both parsers accept it.
pub(super) fn finish(encoded: &str, exposition: Exposition) -> String {
    let mut out = String::with_capacity(encoded.len());
    let mut line = |parts: &[&str]| {
        parts.iter().for_each(|part| out.push_str(part));
        out.push('\n');
    };
    // `# HELP` precedes the `# TYPE` that determines the suffix.
    let mut help = None;
    for text in encoded.lines() {
        if let Some(rest) = text.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = text.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let suffix = if kind == "counter" { "_total" } else { "" };
            if let Some(help) = help.take() {
                line(&["# HELP ", name, suffix, " ", help]);
            }
            if suffix.is_empty() || exposition == Exposition::Text {
                line(&["# TYPE ", name, suffix, " ", kind]);
            }
        } else if !text.starts_with('#') {
            line(&[text]);
        }
    }
    if exposition == Exposition::OpenMetrics {
        line(&["# EOF"]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENCODED: &str = "\
# HELP byway_allocations Live TURN allocations.
# TYPE byway_allocations gauge
# UNIT byway_allocations allocations
byway_allocations 4
# HELP byway_relayed_bytes Bytes relayed, by direction.
# TYPE byway_relayed_bytes counter
byway_relayed_bytes_total{direction=\"to_peer\"} 200
byway_relayed_bytes_total{direction=\"to_client\"} 0
# EOF
";

    #[test]
    fn threat_43_the_text_format_names_families_as_their_samples() {
        let text = "\
# HELP byway_allocations Live TURN allocations.
# TYPE byway_allocations gauge
byway_allocations 4
# HELP byway_relayed_bytes_total Bytes relayed, by direction.
# TYPE byway_relayed_bytes_total counter
byway_relayed_bytes_total{direction=\"to_peer\"} 200
byway_relayed_bytes_total{direction=\"to_client\"} 0
";
        assert_eq!(finish(ENCODED, Exposition::Text), text);
    }

    #[test]
    fn openmetrics_names_families_so_that_a_parser_of_the_text_format_finds_their_help() {
        let openmetrics = "\
# HELP byway_allocations Live TURN allocations.
# TYPE byway_allocations gauge
byway_allocations 4
# HELP byway_relayed_bytes_total Bytes relayed, by direction.
byway_relayed_bytes_total{direction=\"to_peer\"} 200
byway_relayed_bytes_total{direction=\"to_client\"} 0
# EOF
";
        assert_eq!(finish(ENCODED, Exposition::OpenMetrics), openmetrics);
    }
}
