//! Prometheus and its linter read `/metrics` and the files of `contrib/`.

use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use byway::clock::Clock;
use byway_test_support::process::{CONFIG, Server, free_port, http};
use serde_json::Value;
use tempfile::TempDir;

fn contrib(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(file)
}

/// Runs promtool with this input. Its complaints fail the test.
fn promtool(arguments: &[&str], input: &str) {
    let mut promtool = Command::new("promtool")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("`tests/run interop` installs prometheus");
    promtool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}\n{input}");
    assert!(output.stderr.is_empty(), "{arguments:?}: {output:?}");
}

#[test]
fn promtool_accepts_the_page_in_each_format() {
    let server = Server::start();
    for accept in ["text/plain", "application/openmetrics-text;version=1.0.0", "*/*"] {
        let accept = format!("Accept: {accept}");
        let page = http::ask(server.bound.admin[0], "GET", "/metrics", &[&accept], "").expect_ok();
        promtool(&["check", "metrics"], page.text());
    }
}

#[test]
fn promtool_accepts_the_alert_rules() {
    promtool(&["check", "rules", contrib("byway-alerts.yaml").to_str().unwrap()], "");
}

/// A running Prometheus, killed on drop.
struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    fn scraping(target: SocketAddr) -> Self {
        let folder = TempDir::new().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nscrape_configs:\n  - job_name: byway\n    \
             static_configs: [{{targets: [\"{target}\"]}}]\nrule_files: [{:?}]\n",
            contrib("byway-alerts.yaml")
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, configuration).unwrap();
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`tests/run interop` installs prometheus");
        Self { child, address, _folder: folder }
    }

    /// Evaluates an expression until it has a result.
    fn value_of(&self, expression: &str) -> String {
        let clock = Clock::start();
        let path = format!("/api/v1/query?query={expression}");
        loop {
            if std::net::TcpStream::connect(self.address).is_ok() {
                let answer = http::get(self.address, &path);
                let found: Value = serde_json::from_str(answer.text()).unwrap_or_default();
                if let Some(value) = found["data"]["result"][0]["value"][1].as_str() {
                    return value.to_owned();
                }
            }
            assert!(clock.now().mono.as_secs() < 60, "no value of {expression}");
            thread::yield_now();
        }
    }
}

#[test]
fn prometheus_scrapes_the_server() {
    let server = Server::start_with(CONFIG, |_| {});
    let prometheus = Prometheus::scraping(server.bound.admin[0]);
    assert_eq!(prometheus.value_of("up==1"), "1");
    assert_eq!(prometheus.value_of("byway_allocations"), "0");
    assert_ne!(prometheus.value_of("process_open_fds"), "0");
}
