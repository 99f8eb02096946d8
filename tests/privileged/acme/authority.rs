//! Pebble and its name server, as child processes.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;

use byway_test_support::process::certificates::Pair;
use byway_test_support::process::free_port;
use byway_test_support::process::tls::{connect, get, trusting};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tempfile::TempDir;

/// A name that the authority refuses.
pub(super) const BLOCKED: &str = "blocked.example.org";

/// A child process, killed on drop.
struct Process(Child);

impl Process {
    /// Starts a command, and waits until it accepts connections at `port`.
    fn start(command: &mut Command, port: u16) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut process = Self(child.expect("`tests/run acme` installs pebble"));
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(process.0.try_wait().unwrap().is_none(), "{command:?} ended");
            thread::yield_now();
        }
        process
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An authority. Every start has other roots and knows no accounts.
pub(super) struct Authority {
    /// Port to which it connects for TLS-ALPN-01.
    pub(super) tls_port: u16,
    /// Port to which it connects for HTTP-01.
    pub(super) http_port: u16,
    /// Port of its directory.
    pub(super) port: u16,
    /// Management port of the name server.
    pub(super) dns_management: u16,
    /// Certificate of its HTTPS.
    pub(super) https: Pair,
    management: u16,
    dns: u16,
    folder: TempDir,
    pebble: Option<Process>,
    _name_server: Process,
}

impl Authority {
    /// Starts an authority whose certificates last five years.
    pub(super) fn start() -> Self {
        Self::with_life(5 * 365 * 24 * 3_600)
    }

    /// Starts an authority whose certificates last `seconds`.
    pub(super) fn with_life(seconds: u64) -> Self {
        let [port, management, dns, dns_management] = [(); 4].map(|()| free_port());
        let (tls_port, http_port) = (free_port(), free_port());
        let https = Pair::new();
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("cert.pem"), &https.cert).unwrap();
        fs::write(folder.path().join("key.pem"), &https.key).unwrap();
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{port}"),
            "managementListenAddress": format!("127.0.0.1:{management}"),
            "certificate": folder.path().join("cert.pem"),
            "privateKey": folder.path().join("key.pem"),
            "httpPort": http_port,
            "tlsPort": tls_port,
            "domainBlocklist": [BLOCKED],
            "certificateValidityPeriod": seconds,
        }});
        fs::write(folder.path().join("pebble.json"), config.to_string()).unwrap();
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server.args(["-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""]);
        name_server.args(["-dns01", &format!("127.0.0.1:{dns}")]);
        name_server.args(["-management", &format!("127.0.0.1:{dns_management}")]);
        let name_server = Process::start(&mut name_server, dns_management);
        let mut authority = Self {
            tls_port,
            http_port,
            port,
            dns_management,
            https,
            management,
            dns,
            folder,
            pebble: None,
            _name_server: name_server,
        };
        authority.resume();
        authority
    }

    /// Ends the authority.
    pub(super) fn stop(&mut self) {
        self.pebble = None;
    }

    /// Starts the authority again.
    pub(super) fn resume(&mut self) {
        let mut pebble = Command::new("pebble");
        pebble.arg("-config").arg(self.folder.path().join("pebble.json"));
        pebble.arg("-dnsserver").arg(format!("127.0.0.1:{}", self.dns));
        pebble.envs([
            ("PEBBLE_VA_NOSLEEP", "1"),
            ("PEBBLE_WFE_NONCEREJECT", "0"),
            ("PEBBLE_AUTHZREUSE", "0"),
        ]);
        self.pebble = Some(Process::start(&mut pebble, self.port));
    }

    /// URL of its directory.
    pub(super) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// File with the certificate that verifies its directory.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// Root of the certificates that it issues.
    pub(super) fn root(&self) -> CertificateDer<'static> {
        let management = SocketAddr::from(([127, 0, 0, 1], self.management));
        let mut stream = connect(&trusting(&self.https, &["http/1.1"]), management).unwrap();
        let answer = get(&mut stream, "/roots/0").expect_ok();
        CertificateDer::from_pem_slice(answer.text().as_bytes()).unwrap()
    }
}
