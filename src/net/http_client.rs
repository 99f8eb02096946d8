//! HTTPS client for the few requests that this server makes itself: to an ACME authority, and to
//! the receiver of webhooks.
//!
//! It bounds the time and the bytes of an answer, keeps one connection, and never follows a
//! redirect.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::response::Parts;
use axum::http::{HeaderMap, Request, Response, Uri, header};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::operator_file;

/// Bytes of the longest head of an answer.
const LONGEST_HEAD: usize = 64 << 10;

/// Failure of a request. Its `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A URL that does not begin with `https://`.
    #[error("a URL without https: {0}")]
    NotHttps(String),
    /// The name has no address.
    #[error("{0} has no address: {1}")]
    Resolve(String, io::Error),
    /// No address of the name took the connection.
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    /// The time was over.
    #[error("no answer from {0} within {1:?}")]
    Late(String, Duration),
    /// The answer ended early, was too long, or is no HTTP.
    #[error("the answer of {0} is incomplete: {1}")]
    Answer(String, String),
}

/// Roots that verify a server could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// A file of roots is unusable.
    #[error("{}: {reason}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// Cause.
        reason: String,
    },
    /// The system has none.
    #[error("this system has no root certificates")]
    None,
}

/// Servers to which a client speaks HTTP without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// None.
    Never,
    /// Those at an address of this machine's loopback interface.
    Loopback,
    /// All.
    Everywhere,
}

/// Bounds of a client's requests.
#[derive(Clone, Copy, Debug)]
pub struct ClientLimits {
    /// Longest time of one request, its connection included.
    pub request: Duration,
    /// Longest time to connect to one address. A name may have several, of which one does not
    /// answer.
    pub connect: Duration,
    /// Bytes of the longest answer.
    pub body: usize,
    /// Servers to which it speaks without TLS.
    pub plain: PlainHttp,
}

/// Client with one connection, which the next request to the same server uses again.
pub struct HttpClient {
    limits: ClientLimits,
    connector: TlsConnector,
    open: tokio::sync::Mutex<Option<Open>>,
}

struct Open {
    /// Scheme and authority of the server.
    server: (bool, String),
    sender: SendRequest<Body>,
}

impl HttpClient {
    /// Builds a client that trusts the certificates in `ca_file`, else the system's.
    ///
    /// # Errors
    /// The roots cannot be read, or there are none.
    pub fn new(ca_file: Option<&Path>, limits: ClientLimits) -> Result<Self, RootsError> {
        let roots = roots(ca_file)?;
        if roots.is_empty() && limits.plain == PlainHttp::Never {
            return Err(RootsError::None);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self { limits, connector, open: tokio::sync::Mutex::default() })
    }

    /// Sends a request and returns the whole answer.
    ///
    /// # Errors
    /// As [`ClientError`] says.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Bytes>, ClientError> {
        let host = host(request.uri());
        let exchange = async {
            let mut open = self.open.lock().await;
            let (connection, answer) = self.head(open.take(), request).await?;
            let (parts, body) = answer.into_parts();
            let body = self.whole(body).await.map_err(|error| ClientError::Answer(host.clone(), error))?;
            *open = Some(connection);
            Ok(Response::from_parts(parts, body))
        };
        let late = || ClientError::Late(host.clone(), self.limits.request);
        timeout(self.limits.request, exchange).await.unwrap_or_else(|_| Err(late()))
    }

    /// Sends a request and returns the head of the answer. Its body is read only as far as the
    /// limits allow, and has no effect.
    ///
    /// # Errors
    /// As [`ClientError`] says, but for errors of the body.
    pub async fn send_for_head(&self, request: Request<Body>) -> Result<Parts, ClientError> {
        let host = host(request.uri());
        let mut received = None;
        let exchange = async {
            let mut open = self.open.lock().await;
            let (connection, answer) = self.head(open.take(), request).await?;
            let (parts, body) = answer.into_parts();
            received = Some(parts);
            // After a body that is cut short, the connection has its rest.
            if self.whole(body).await.is_ok() {
                *open = Some(connection);
            }
            Ok(())
        };
        let outcome = timeout(self.limits.request, exchange).await;
        match (received, outcome) {
            (Some(parts), _) => Ok(parts),
            (None, Ok(Err(error))) => Err(error),
            (None, _) => Err(ClientError::Late(host, self.limits.request)),
        }
    }

    async fn whole(&self, body: Incoming) -> Result<Bytes, String> {
        to_bytes(Body::new(body), self.limits.body).await.map_err(|error| error.to_string())
    }

    /// Sends a request over the open connection if it leads to the same server, else over a new
    /// one.
    async fn head(
        &self,
        open: Option<Open>,
        mut request: Request<Body>,
    ) -> Result<(Open, Response<Incoming>), ClientError> {
        let uri = request.uri().clone();
        let is_tls = uri.scheme_str() == Some("https");
        let may_be_plain = uri.scheme_str() == Some("http") && self.limits.plain != PlainHttp::Never;
        let Some(authority) = uri.authority().filter(|_| is_tls || may_be_plain) else {
            return Err(ClientError::NotHttps(uri.to_string()));
        };
        let server = (is_tls, authority.to_string());
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().expect("part of a URI");
        let field = server.1.parse().expect("an authority has the characters of a header");
        request.headers_mut().insert(header::HOST, field);

        let mut reused = open.filter(|open| open.server == server).map(|open| open.sender);
        if let Some(sender) = &mut reused
            && sender.ready().await.is_err()
        {
            reused = None;
        }
        let mut sender = match reused {
            Some(sender) => sender,
            None => self.connect(&uri, is_tls).await?,
        };
        let broken = |error: hyper::Error| ClientError::Answer(host(&uri), error.to_string());
        let answer = sender.send_request(request).await.map_err(broken)?;
        Ok((Open { server, sender }, answer))
    }

    /// Opens a connection. Tries the addresses of the server one after the other.
    async fn connect(&self, uri: &Uri, is_tls: bool) -> Result<SendRequest<Body>, ClientError> {
        let host = host(uri);
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let failed = |error| ClientError::Connect(format!("{host}:{port}"), error);
        let name = ServerName::try_from(host.clone()).map_err(|error| failed(io::Error::other(error)))?;
        let addresses = lookup_host((host.as_str(), port)).await;
        let mut last = io::Error::other("the name has no address");
        for address in addresses.map_err(|error| ClientError::Resolve(host.clone(), error))? {
            if !is_tls && !self.may_be_plain(address) {
                last = io::Error::other("HTTP without TLS leads to other machines");
                continue;
            }
            let connecting = async {
                let socket = TcpStream::connect(address).await?;
                if is_tls {
                    handshake(self.connector.connect(name.clone(), socket).await?).await
                } else {
                    handshake(socket).await
                }
            };
            match timeout(self.limits.connect, connecting).await {
                Ok(Ok(sender)) => return Ok(sender),
                Ok(Err(error)) => last = error,
                Err(late) => last = late.into(),
            }
        }
        Err(failed(last))
    }

    fn may_be_plain(&self, address: SocketAddr) -> bool {
        match self.limits.plain {
            PlainHttp::Never => false,
            PlainHttp::Loopback => address.ip().to_canonical().is_loopback(),
            PlainHttp::Everywhere => true,
        }
    }
}

/// Begins HTTP/1.1 on a connection.
async fn handshake(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> io::Result<SendRequest<Body>> {
    let begun = Builder::new().max_buf_size(LONGEST_HEAD).handshake(TokioIo::new(stream)).await;
    let (sender, connection) = begun.map_err(io::Error::other)?;
    // Ends with the sender, or with the server; the sender reports the latter.
    tokio::spawn(connection);
    Ok(sender)
}

/// Host of a URL, an IPv6 address without brackets.
fn host(uri: &Uri) -> String {
    uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned()
}

fn roots(ca_file: Option<&Path>) -> Result<RootCertStore, RootsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(file) => {
            let wrong = |reason: String| RootsError::File { file: file.to_owned(), reason };
            let pem =
                operator_file::read(file, operator_file::LARGE).map_err(|error| wrong(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&pem) {
                let added = certificate
                    .map_err(|error| error.to_string())
                    .and_then(|root| roots.add(root).map_err(|error| error.to_string()));
                added.map_err(wrong)?;
            }
        }
        // A root that cannot be parsed is skipped; the others remain in use.
        None => drop(roots.add_parsable_certificates(load_native_certs().certs)),
    }
    Ok(roots)
}

/// Retry-After in seconds (RFC 9110 section 10.2.3). The form of a date is rare and ignored.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
