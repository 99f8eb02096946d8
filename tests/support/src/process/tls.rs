//! A TLS client that trusts one certificate, with requests of several protocols.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::process::certificates::Pair;
use crate::process::http::Answer;

/// Maximum wait for an answer before a test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A TLS connection of a client.
pub type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Returns the configuration of a client that trusts the certificate of `pair` and offers
/// `protocols` by ALPN, if any.
pub fn trusting(pair: &Pair, protocols: &[&str]) -> Arc<ClientConfig> {
    of_version(pair, protocols, rustls::ALL_VERSIONS)
}

/// Returns the same configuration with these TLS versions alone.
pub fn of_version(
    pair: &Pair,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    of_root(&pair.der, protocols, versions)
}

/// Returns the configuration of a client that trusts certificates under this root.
pub fn trusting_root(root: &CertificateDer<'static>) -> Arc<ClientConfig> {
    of_root(root, &["http/1.1"], rustls::ALL_VERSIONS)
}

fn of_root(
    root: &CertificateDer<'static>,
    protocols: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects, and completes the handshake.
pub fn connect(config: &Arc<ClientConfig>, server: SocketAddr) -> io::Result<Stream> {
    over(config, tcp(server))
}

/// Connects to the server under this name or address.
pub fn connect_as(config: &Arc<ClientConfig>, server: SocketAddr, name: &str) -> io::Result<Stream> {
    over_as(config, tcp(server), name)
}

/// Completes the handshake over an open connection.
pub fn over(config: &Arc<ClientConfig>, socket: TcpStream) -> io::Result<Stream> {
    over_as(config, socket, "localhost")
}

fn over_as(config: &Arc<ClientConfig>, mut socket: TcpStream, name: &str) -> io::Result<Stream> {
    let mut tls = ClientConnection::new(config.clone(), name.to_owned().try_into().unwrap()).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// Opens a TCP connection to the listener, without a handshake.
pub fn tcp(server: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&server, PATIENCE).expect("the TLS listener accepts");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Sends `GET path`, and returns the answer. The connection ends with it.
pub fn get(stream: &mut Stream, path: &str) -> Answer {
    get_as(stream, "localhost", path)
}

/// Sends the same request with another `Host`.
pub fn get_as(stream: &mut Stream, host: &str, path: &str) -> Answer {
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    Answer::parse(&answer)
}

/// Sends a STUN Binding request, and checks the response.
pub fn binding(stream: &mut Stream) {
    stream.write_all(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!").unwrap();
    let mut response = [0; 32];
    stream.read_exact(&mut response).unwrap();
    assert_eq!(response[..8], *b"\x01\x01\x00\x0c\x21\x12\xa4\x42", "{response:02x?}");
    assert_eq!(response[8..20], *b"transaction!");
}

/// Opens a WebSocket over `stream`.
pub fn websocket(stream: Stream) -> WebSocket<Stream> {
    tungstenite::client("wss://localhost/ws", stream).expect("a WebSocket").0
}

/// Sends a signaling message, and returns the answer.
pub fn say(socket: &mut WebSocket<Stream>, text: &str) -> serde_json::Value {
    socket.send(Message::text(text)).unwrap();
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

/// Whether the TLS session was resumed.
pub fn is_resumed(stream: &Stream) -> bool {
    stream.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Waits until the server closes the connection, and returns all that it sent before.
pub fn until_closed(socket: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match socket.read_to_end(&mut said) {
        Ok(_) => said,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => said,
        Err(error) => panic!("the connection is still open: {error}"),
    }
}
