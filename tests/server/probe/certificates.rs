//! Over TLS: certificates that prove who the server is, and those that do not.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use byway_test_support::process::{CONFIG, Configuration, Server};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::{LOOPBACK, Nobody, probe, rows, trouble};

/// An issuer that no system knows, and a folder with its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: TempDir,
}

impl Authority {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let mut parameters = CertificateParams::new([]).unwrap();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let own = parameters.self_signed(&key).unwrap();
        std::fs::write(folder.path().join("ca.pem"), own.pem()).unwrap();
        Self { issuer: Issuer::new(parameters, key), folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Its certificate, as an argument.
    fn ca(&self) -> String {
        self.file("ca.pem").display().to_string()
    }

    /// A TLS server with a certificate for `name`, which `adjust` spoils, that shakes hands and
    /// then says nothing.
    async fn server(&self, name: &str, adjust: impl FnOnce(&mut CertificateParams)) -> SocketAddr {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        adjust(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        serve(certificate.der().clone(), &key).await
    }
}

async fn serve(certificate: CertificateDer<'static>, key: &KeyPair) -> SocketAddr {
    serve_chain(vec![certificate], key).await
}

async fn serve_chain(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> SocketAddr {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        }
    });
    address
}

/// Reason for which a probe of `stuns:` fails.
async fn asked(address: SocketAddr, more: &[&str]) -> String {
    let url = format!("stuns:{address}");
    trouble(&probe(&Configuration::new(""), &[&["--json", &url], more].concat()).await)
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_said_in_plain_words() {
    let authority = Authority::new();
    let ca = authority.ca();
    let ca = ["--ca", ca.as_str()];

    let sound = authority.server("127.0.0.1", |_| {}).await;
    assert_eq!(asked(sound, &[]).await, "the certificate is from an issuer that this machine does not trust");
    assert_eq!(asked(sound, &ca).await, "the server closed the connection", "TLS is agreed on");

    let expired = authority.server("127.0.0.1", |p| p.not_after = date_time_ymd(2020, 12, 31)).await;
    assert_eq!(asked(expired, &ca).await, "the certificate expired at 2020-12-31T00:00:00Z");

    let early = authority.server("127.0.0.1", |p| {
        p.not_before = date_time_ymd(2100, 1, 1);
        p.not_after = date_time_ymd(2101, 1, 1);
    });
    let early = early.await;
    assert_eq!(asked(early, &ca).await, "the certificate is not valid before 2100-01-01T00:00:00Z");

    let other = authority.server("turn.example.org", |_| {}).await;
    assert_eq!(asked(other, &ca).await, "the certificate is for turn.example.org, not for 127.0.0.1");

    let own = authority.server("127.0.0.1", |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)).await;
    let reason = "the certificate is a CA certificate, which may sign others but not identify a server";
    assert_eq!(asked(own, &ca).await, reason);
}

/// The leaf of an issuer below the authority, without that issuer's certificate. A server sends it
/// that was given `cert.pem` instead of `fullchain.pem`.
#[tokio::test]
async fn a_chain_that_is_incomplete_is_told_from_an_issuer_that_is_unknown() {
    let authority = Authority::new();
    let mut parameters = CertificateParams::new([]).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Issuer \u{1b}[2J 1");
    let key = KeyPair::generate().unwrap();
    let certificate = parameters.signed_by(&key, &authority.issuer).unwrap();
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();

    let ca = authority.ca();
    let url = format!("stuns:{}", serve(leaf.der().clone(), &key).await);
    let output = probe(&Configuration::new(""), &["--json", &url, "--ca", &ca]).await;
    let row = &rows(&output)[0];
    assert_eq!(row["fault"], "certificate-chain-incomplete", "{row:#}");
    let trouble = row["trouble"].as_str().unwrap();
    assert!(
        trouble.starts_with("the server sends its certificate without that of its issuer, "),
        "{trouble}"
    );
    assert!(
        !trouble.contains('\u{1b}') && row["remedy"].as_str().unwrap().contains("fullchain.pem"),
        "{row:#}"
    );

    let url =
        format!("stuns:{}", serve_chain(vec![leaf.der().clone(), certificate.der().clone()], &key).await);
    let output = probe(&Configuration::new(""), &["--json", &url, "--ca", &ca]).await;
    assert_eq!(super::trouble(&output), "the server closed the connection", "TLS is agreed on");
}

#[tokio::test]
async fn a_port_without_tls_is_told_from_one_with_a_bad_certificate() {
    let server = Server::start();
    let reason = asked(server.bound.tcp_v4(), &[]).await;
    assert_eq!(reason, "the server closed the connection during the TLS handshake");
    let reason = asked(server.bound.http[0], &[]).await;
    assert_eq!(reason, "the server does not speak TLS there");
    let silent = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let reason = asked(silent.local_addr().unwrap(), &[]).await;
    assert_eq!(reason, "no answer to the TLS handshake");
}

#[tokio::test]
async fn a_server_that_waits_for_its_certificate_is_told_from_one_with_old_tls() {
    // Nothing listens on that port, so there is no certificate.
    let nobody = Nobody::new().await;
    let acme = format!(
        "\n[acme]\nnames = [\"127.0.0.1\"]\nstate_dir = \"state\"\ndirectory = \"https://{}/\"\n",
        nobody.tcp()
    );
    let tls = CONFIG.replacen("[listen]\n", "[listen]\ntls = [\"127.0.0.1:0\"]\n", 1);
    let server = Server::start_with(&(tls + &acme), |_| {});
    let authority = Authority::new();
    let reason = asked(server.bound.tls[0], &["--ca", &authority.ca()]).await;
    assert_eq!(reason, "the server has no certificate yet, or none for this name");
}

#[tokio::test]
async fn a_ca_file_that_holds_no_certificate_is_exit_2() {
    let file = Configuration::new("");
    let path = file.path().display().to_string();
    let output = probe(&file, &["stuns:127.0.0.1", "--ca", &path]).await;
    assert_eq!(output.status.code(), Some(2));
    let reason = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(reason.contains(&format!("{path}: no certificate in this file")), "{reason}");
}

/// Each listener of the server's own configuration is probed; TLS by the name in the certificate,
/// wherever that leads. The login comes from `/ice` over HTTPS.
#[tokio::test]
async fn a_configuration_s_own_listeners_are_probed_over_udp_tcp_and_tls() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let parameters = CertificateParams::new(["turn.example.org".to_owned()]).unwrap();
    let certificate = parameters.signed_by(&key, &authority.issuer).unwrap();
    std::fs::write(authority.file("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(authority.file("key.pem"), key.serialize_pem()).unwrap();
    let config = |[udp, tcp, tls]: [SocketAddr; 3], http: &str| {
        format!(
            "listen.udp = [\"{udp}\"]\nlisten.tcp = [\"{tcp}\"]\nlisten.tls = [\"{tls}\"]\nlisten.http = [{http}]\n\
             listen.admin = [\"127.0.0.1:0\"]\ntls.cert = {:?}\ntls.key = {:?}\n",
            authority.file("cert.pem"),
            authority.file("key.pem")
        )
    };
    let free = SocketAddr::new(LOOPBACK, 0);
    let server = Server::start_with(&config([free; 3], "\"127.0.0.1:0\""), |_| {});
    let [udp, tcp, tls] = [&server.bound.udp, &server.bound.tcp, &server.bound.tls].map(|bound| bound[0]);
    let config = Configuration::new(&config([udp, tcp, tls], ""));

    let output = probe(&config, &["--json", "--ca", &authority.ca()]).await;
    let found = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{found:#?}");
    let urls: Vec<_> = found.iter().map(|row| row["url"].as_str().unwrap()).collect();
    let port = tls.port();
    assert_eq!(
        urls,
        [
            format!("turn:{udp}?transport=udp"),
            format!("turn:{tcp}?transport=tcp"),
            format!("turns:turn.example.org:{port}?transport=tcp")
        ]
    );
    assert_eq!(found[2]["address"], tls.to_string());
    assert!(found.iter().all(|row| row["round_trip_ms"].is_f64()), "{found:#?}");

    let output = probe(&config, &["--json"]).await;
    let found = rows(&output);
    let unknown = "the certificate is from an issuer that this machine does not trust";
    assert_eq!(found[2]["trouble"], unknown);
    let login = format!("no credential: https://turn.example.org:{port}/ice: {unknown}");
    assert_eq!(found[0]["trouble"], login.as_str());
}
