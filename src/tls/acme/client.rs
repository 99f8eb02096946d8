//! HTTPS client of one run: bounded answers, one connection at a time, and nothing between runs.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, Uri, header};
use byway_turn::lock::lock;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::operator_file;

/// Longest time of one request, its connection included.
const REQUEST_WITHIN: Duration = Duration::from_secs(30);

/// Longest time to connect to one address of the authority. A name may have several, of which one
/// does not answer.
const CONNECT_WITHIN: Duration = Duration::from_secs(8);

/// Bytes of the longest answer. A chain takes 4 to 8 KiB.
const LONGEST: usize = 256 << 10;

/// Failure of the connection to the authority. Its `Display` is for the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// A URL of the authority that does not begin with `https://`.
    #[error("the authority names a URL without https: {0}")]
    NotHttps(String),
    #[error("{0} has no address: {1}")]
    Resolve(String, io::Error),
    #[error("cannot connect to {0}: {1}")]
    Connect(String, io::Error),
    #[error("no answer from {0} within {1:?}")]
    Late(String, Duration),
    /// The answer ended early, or is no HTTP.
    #[error("the answer of {0} is incomplete: {1}")]
    Answer(String, String),
}

/// Roots that verify the authority could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum RootsError {
    #[error("{}: {reason}", file.display())]
    File { file: PathBuf, reason: String },
    #[error("this system has no root certificates")]
    None,
}

/// Client for one run. Copies share the connection.
#[derive(Clone)]
pub(super) struct AcmeClient(Arc<Inner>);

struct Inner {
    connector: TlsConnector,
    /// The connection of the last request, which the next may use.
    open: tokio::sync::Mutex<Option<Open>>,
    retry_after: Mutex<Option<Duration>>,
}

struct Open {
    authority: String,
    sender: SendRequest<BodyWrapper<Bytes>>,
}

impl AcmeClient {
    /// Builds a client that trusts the certificates in `ca_file`, else the system's.
    pub(super) fn new(ca_file: Option<&PathBuf>) -> Result<Self, RootsError> {
        let mut roots = RootCertStore::empty();
        match ca_file {
            Some(file) => {
                let wrong = |reason: String| RootsError::File { file: file.clone(), reason };
                let pem = operator_file::read(file, operator_file::LARGE)
                    .map_err(|error| wrong(error.to_string()))?;
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
        if roots.is_empty() {
            return Err(RootsError::None);
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has suites for both")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(config));
        Ok(Self(Arc::new(Inner {
            connector,
            open: tokio::sync::Mutex::default(),
            retry_after: Mutex::default(),
        })))
    }

    /// Wait that the authority imposed by its last refusal.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *lock(&self.0.retry_after)
    }
}

impl HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let host = request.uri().host().unwrap_or_default().to_owned();
            let late = || ClientError::Late(host, REQUEST_WITHIN);
            let answer = timeout(REQUEST_WITHIN, inner.send(request)).await;
            answer.unwrap_or_else(|_| Err(late())).map_err(|error| Error::Other(Box::new(error)))
        })
    }
}

impl Inner {
    async fn send(&self, mut request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, ClientError> {
        let uri = request.uri().clone();
        let Some(authority) = uri.authority().filter(|_| uri.scheme_str() == Some("https")) else {
            return Err(ClientError::NotHttps(uri.to_string()));
        };
        let authority = authority.to_string();
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        *request.uri_mut() = path.parse().expect("part of a URI");
        let host = authority.parse().expect("an authority has the characters of a header");
        request.headers_mut().insert(header::HOST, host);

        let mut open = self.open.lock().await;
        let mut reused = open.take().filter(|open| open.authority == authority).map(|open| open.sender);
        if let Some(sender) = &mut reused
            && sender.ready().await.is_err()
        {
            reused = None;
        }
        let mut sender = match reused {
            Some(sender) => sender,
            None => self.connect(&uri).await?,
        };
        let broken = |error: String| ClientError::Answer(authority.clone(), error);
        let answer = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
        let (parts, body) = answer.into_parts();
        let body = to_bytes(Body::new(body), LONGEST).await.map_err(|error| broken(error.to_string()))?;
        if parts.status == StatusCode::TOO_MANY_REQUESTS || parts.status == StatusCode::SERVICE_UNAVAILABLE {
            *lock(&self.retry_after) = retry_after(&parts.headers);
        }
        *open = Some(Open { authority, sender });
        Ok(BytesResponse { parts, body: Box::new(body) })
    }

    /// Opens a connection. Tries the addresses of the authority one after the other.
    async fn connect(&self, uri: &Uri) -> Result<SendRequest<BodyWrapper<Bytes>>, ClientError> {
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = uri.port_u16().unwrap_or(443);
        let name = ServerName::try_from(host.clone())
            .map_err(|error| ClientError::Connect(host.clone(), io::Error::other(error)))?;
        let addresses = lookup_host((host.as_str(), port)).await;
        let mut last = io::Error::other("the name has no address");
        for address in addresses.map_err(|error| ClientError::Resolve(host.clone(), error))? {
            let connecting = async {
                let socket = TcpStream::connect(address).await?;
                self.connector.connect(name.clone(), socket).await
            };
            match timeout(CONNECT_WITHIN, connecting).await {
                Ok(Ok(stream)) => {
                    let handshake = http1::handshake(TokioIo::new(stream)).await;
                    let (sender, connection) = handshake
                        .map_err(|error| ClientError::Connect(host.clone(), io::Error::other(error)))?;
                    // Ends with the sender, or with the authority; the sender reports the latter.
                    tokio::spawn(connection);
                    return Ok(sender);
                }
                Ok(Err(error)) => last = error,
                Err(late) => last = late.into(),
            }
        }
        Err(ClientError::Connect(format!("{host}:{port}"), last))
    }
}

/// Retry-After in seconds (RFC 9110 section 10.2.3). The form of a date is rare and ignored.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
