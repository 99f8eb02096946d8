//! An HTTPS server in front of the authority, which changes some of its answers.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use byway_test_support::process::certificates::Pair;
use byway_test_support::process::tls::{connect, trusting};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ServerConfig, ServerConnection, StreamOwned};

use super::authority::Authority;

/// A running middleman. Its thread ends with the test process.
pub(super) struct Middleman {
    port: u16,
}

impl Middleman {
    /// Starts one with the authority's certificate. `change` gets its port, the path of each
    /// request and the authority's answer, and returns the answer for the client.
    pub(super) fn start(
        authority: &Authority,
        change: impl Fn(u16, &str, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let Pair { der, key, .. } = &authority.https;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![der.clone()], PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap())
            .unwrap();
        let config = Arc::new(config);
        let trust = trusting(&authority.https, &["http/1.1"]);
        let behind = SocketAddr::from(([127, 0, 0, 1], authority.port));
        let change = Arc::new(change);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, trust, change) = (config.clone(), trust.clone(), change.clone());
                thread::spawn(move || {
                    serve(stream.unwrap(), config, &trust, behind, |path, answer| change(port, path, answer))
                });
            }
        });
        Self { port }
    }

    /// URL of the directory, as seen through it.
    pub(super) fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    /// The body of an answer.
    pub(super) fn body(answer: &[u8]) -> String {
        let text = String::from_utf8_lossy(answer).into_owned();
        text.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// An answer with further header lines.
    pub(super) fn answer(status: &str, header: &str, body: &str) -> Vec<u8> {
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{header}\
             Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// Passes one request on, and its answer back.
fn serve(
    socket: TcpStream,
    config: Arc<ServerConfig>,
    trust: &Arc<ClientConfig>,
    authority: SocketAddr,
    change: impl Fn(&str, Vec<u8>) -> Vec<u8>,
) {
    let mut client = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), socket));
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        // A client that leaves before its request, as when a test has ended.
        if client.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if line.to_ascii_lowercase().starts_with("content-length:") {
            length = line.split_once(':').unwrap().1.trim().parse().unwrap();
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line);
    }
    let mut body = vec![0; length];
    client.read_exact(&mut body).unwrap();
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let mut behind = connect(trust, authority).unwrap();
    behind.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    behind.write_all(&body).unwrap();
    let mut answer = Vec::new();
    behind.read_to_end(&mut answer).unwrap();
    let mut client = client.into_inner();
    let _ = client.write_all(&change(&path, answer));
    client.conn.send_close_notify();
    let _ = client.flush();
}
