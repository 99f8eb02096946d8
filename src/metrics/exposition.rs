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

/// Converts an OpenMetrics page to the text format 0.0.4.
///
/// Samples are the same in both formats. In 0.0.4 a family has the name of its samples: `_total` of
/// a counter and `_info` of an info are part of the name. The format has no infos, state sets,
/// units or end marker.
pub(super) fn to_text(openmetrics: &str) -> String {
    let mut out = String::with_capacity(openmetrics.len());
    let mut line = |parts: &[&str]| {
        parts.iter().for_each(|part| out.push_str(part));
        out.push('\n');
    };
    // `# HELP` precedes the `# TYPE` that determines the suffix.
    let mut help = None;
    for text in openmetrics.lines() {
        if let Some(rest) = text.strip_prefix("# HELP ") {
            help = rest.split_once(' ').map(|(_, help)| help);
        } else if let Some((name, kind)) = text.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' '))
        {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "info" => ("_info", "gauge"),
                "stateset" => ("", "gauge"),
                "unknown" => ("", "untyped"),
                kind => ("", kind),
            };
            if let Some(help) = help.take() {
                line(&["# HELP ", name, suffix, " ", help]);
            }
            line(&["# TYPE ", name, suffix, " ", kind]);
        } else if !text.starts_with('#') {
            line(&[text]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_43_the_text_format_names_families_as_their_samples() {
        let openmetrics = "\
# HELP byway_build Version of the running program.
# TYPE byway_build info
byway_build_info{version=\"0.1.0\"} 1
# HELP byway_allocations Live TURN allocations.
# TYPE byway_allocations gauge
# UNIT byway_allocations allocations
byway_allocations 4
# HELP byway_relayed_bytes Bytes relayed, by direction.
# TYPE byway_relayed_bytes counter
byway_relayed_bytes_total{direction=\"to_peer\"} 200
byway_relayed_bytes_total{direction=\"to_client\"} 0
# TYPE byway_other unknown
byway_other 1
# EOF
";
        let text = "\
# HELP byway_build_info Version of the running program.
# TYPE byway_build_info gauge
byway_build_info{version=\"0.1.0\"} 1
# HELP byway_allocations Live TURN allocations.
# TYPE byway_allocations gauge
byway_allocations 4
# HELP byway_relayed_bytes_total Bytes relayed, by direction.
# TYPE byway_relayed_bytes_total counter
byway_relayed_bytes_total{direction=\"to_peer\"} 200
byway_relayed_bytes_total{direction=\"to_client\"} 0
# TYPE byway_other untyped
byway_other 1
";
        assert_eq!(to_text(openmetrics), text);
    }
}
