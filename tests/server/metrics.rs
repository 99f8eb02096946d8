//! `/metrics` beside the files of `contrib/` that name its metrics.

use std::collections::BTreeSet;

use byway_test_support::process::{CONFIG, Server, http};
use tempfile::TempDir;

const ALERTS: &str = include_str!("../../contrib/byway-alerts.yaml");
const DASHBOARD: &str = include_str!("../../contrib/byway-grafana.json");

/// Starts a server that uses everything with metrics of its own. Neither its ACME authority, its
/// receiver of webhooks nor its broker is there.
fn server(folder: &TempDir) -> Server {
    let tls = "[listen]\ntls = [\"127.0.0.1:0\"]";
    let more = format!(
        "[acme]\nnames = [\"call.example.org\"]\ndirectory = \"https://127.0.0.1:1/\"\nstate_dir = {:?}\n\
         [webhooks]\nurl = \"http://127.0.0.1:1/\"\nsecret = \"a-secret-of-webhooks\"\n\
         [cluster]\nnats = [\"nats://127.0.0.1:1\"]\nnode = \"fra-1\"\n",
        folder.path()
    );
    Server::start_with(&(CONFIG.replace("[listen]", tls) + &more), |_| {})
}

/// Returns the names of metrics in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_of_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.split(|c| !is_of_name(c))
        .filter(|word| word.starts_with("byway_") || word.starts_with("process_"))
        .collect()
}

#[test]
fn every_metric_of_the_dashboard_and_the_alerts_is_on_the_page() {
    let folder = TempDir::new().unwrap();
    let server = server(&folder);
    let page = http::get(server.bound.admin[0], "/metrics").expect_ok();
    let samples: BTreeSet<&str> = page
        .text()
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split([' ', '{']).next())
        .collect();
    for (file, text, least) in [("alerts", ALERTS, 10), ("dashboard", DASHBOARD, 40)] {
        let named = names(text);
        assert!(named.len() > least, "{file} names metrics: {named:?}");
        let absent: Vec<_> = named.difference(&samples).collect();
        assert!(absent.is_empty(), "{file}: {absent:?} in\n{}", page.text());
    }
}

#[test]
fn the_process_is_measured_under_the_usual_names() {
    let server = Server::start();
    let page = http::get(server.bound.admin[0], "/metrics").expect_ok();
    let value = |name: &str| {
        let line = page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name}")).parse::<f64>().unwrap()
    };
    assert!(value("process_cpu_seconds_total") > 0.0);
    assert!(value("process_resident_memory_bytes") > 1e6);
    assert!(value("process_open_fds") > 10.0 && value("process_open_fds") < value("process_max_fds"));
    assert!(value("process_start_time_seconds") > 1.7e9);
    assert_eq!(
        http::ask(server.bound.http[0], "GET", "/ice", &["Origin: https://other.example"], "").status,
        403
    );
    let refused = "byway_http_origins_refused_total{reason=\"foreign\"}";
    assert_eq!(server.metric(refused), 1);
}
