//! A server that gets its certificate from an authority.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use byway_test_support::process::http::{self, Answer};
use byway_test_support::process::tls::{Stream, connect_as, trusting_root};
use byway_test_support::process::{CONFIG, Server};
use rustls::pki_types::CertificateDer;
use tempfile::TempDir;

use super::authority::Authority;

/// Counts of attempts by outcome.
pub(super) fn attempts(outcome: &str) -> String {
    format!("byway_acme_attempts_total{{outcome=\"{outcome}\"}}")
}

/// Settings of a server, and its state directory.
pub(super) struct Site {
    state: TempDir,
    config: String,
}

impl Site {
    /// A site with these names, a list in TOML.
    pub(super) fn new(authority: &Authority, names: &str) -> Self {
        Self::at(authority, &authority.directory(), names, "")
    }

    /// A site at another URL of the authority, with further lines under `[acme]`.
    pub(super) fn at(authority: &Authority, directory: &str, names: &str, more: &str) -> Self {
        let state = TempDir::new().unwrap();
        let Authority { tls_port, http_port, .. } = authority;
        let config = CONFIG
            .replace("[listen]", &format!("[listen]\ntls = [\"127.0.0.1:{tls_port}\", \"[::1]:{tls_port}\"]"))
            .replace("admin = [", "admin = [\"unix:admin.sock\", ")
            .replace("http = [\"127.0.0.1:0\"]", &format!("http = [\"127.0.0.1:{http_port}\"]"));
        let acme = format!(
            "[acme]\nnames = {names}\ndirectory = {directory:?}\nca_file = {:?}\nstate_dir = {:?}\n{more}\n",
            authority.ca_file(),
            state.path().join("acme"),
        );
        Self { state, config: config + &acme }
    }

    /// Moves a listener to a port to which the authority does not connect.
    pub(super) fn listen_elsewhere(&mut self, key: &str) {
        let key = format!("{key} = ");
        let line = self.config.lines().find(|line| line.starts_with(&key)).unwrap().to_owned();
        self.config = self.config.replace(&line, &format!("{key}[\"127.0.0.1:0\"]"));
    }

    /// The same site without the file that verifies the authority. Its state is that of `self`.
    pub(super) fn untrusting(&self, authority: &Authority) -> Self {
        let ca_file = format!("ca_file = {:?}\n", authority.ca_file());
        Self { state: TempDir::new().unwrap(), config: self.config.replace(&ca_file, "") }
    }

    /// Its configuration.
    pub(super) fn config(&self) -> &str {
        &self.config
    }

    pub(super) fn serve(&self) -> Server {
        Server::start_with(&self.config, |_| {})
    }

    /// Starts a server whose state directory is a disk of 128 KiB.
    pub(super) fn serve_on_a_small_disk(&self) -> Server {
        fs::create_dir(self.acme()).unwrap();
        Server::start_with(&self.config, |command| {
            let mut small = Command::new("unshare");
            let mount = "mount -t tmpfs -o size=128k,mode=700 tmpfs \"$0\" && exec \"$@\"";
            small.args(["--mount", "sh", "-c", mount]).arg(self.acme()).arg(command.get_program());
            small.args(command.get_args());
            for (name, value) in command.get_envs() {
                match value {
                    Some(value) => small.env(name, value),
                    None => small.env_remove(name),
                };
            }
            *command = small;
        })
    }

    /// The state directory.
    pub(super) fn acme(&self) -> PathBuf {
        self.state.path().join("acme")
    }

    /// The folder of the only authority.
    pub(super) fn folder(&self) -> PathBuf {
        let mut entries = fs::read_dir(self.acme()).unwrap();
        let folder = entries.next().unwrap().unwrap().path();
        assert!(entries.next().is_none());
        folder
    }

    /// Names of the files of the only authority.
    pub(super) fn files(&self) -> Vec<String> {
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(self.folder()).unwrap().map(name).collect();
        names.sort();
        names
    }
}

/// Permissions of a file or folder.
pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// Connects under a name or an address that the certificate must have.
pub(super) fn visit(server: &Server, root: &CertificateDer<'static>, name: &str) -> std::io::Result<Stream> {
    connect_as(&trusting_root(root), server.bound.tls(), name)
}

/// The certificate that the server presents.
pub(super) fn certificate(stream: &Stream) -> CertificateDer<'static> {
    stream.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The answer of `/healthz`.
pub(super) fn health(server: &Server) -> Answer {
    http::get(server.bound.admin[0], "/healthz")
}
