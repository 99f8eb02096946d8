//! HTTPS client of one run: bounded answers, one connection at a time, and nothing between runs.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Request, StatusCode};
use byway_turn::lock::lock;
use instant_acme::{BodyWrapper, BytesResponse, Error};

use crate::net::http_client::{ClientLimits, HttpClient, PlainHttp, RootsError, retry_after};

/// Bounds of the requests to an authority. A chain takes 4 to 8 KiB.
const LIMITS: ClientLimits = ClientLimits {
    request: Duration::from_secs(30),
    connect: Duration::from_secs(8),
    body: 256 << 10,
    plain: PlainHttp::Never,
};

/// Client for one run. Copies share the connection.
#[derive(Clone)]
pub(super) struct AcmeClient(Arc<Inner>);

struct Inner {
    client: HttpClient,
    retry_after: Mutex<Option<Duration>>,
}

impl AcmeClient {
    /// Builds a client that trusts the certificates in `ca_file`, else the system's.
    pub(super) fn new(ca_file: Option<&PathBuf>) -> Result<Self, RootsError> {
        let client = HttpClient::new(ca_file.map(PathBuf::as_path), LIMITS)?;
        Ok(Self(Arc::new(Inner { client, retry_after: Mutex::default() })))
    }

    /// Wait that the authority imposed by its last refusal.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        *lock(&self.0.retry_after)
    }
}

impl instant_acme::HttpClient for AcmeClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let inner = self.0.clone();
        Box::pin(async move {
            let answer = inner.client.send(request.map(Body::new)).await;
            let (parts, body) = answer.map_err(|error| Error::Other(Box::new(error)))?.into_parts();
            if matches!(parts.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                *lock(&inner.retry_after) = retry_after(&parts.headers);
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}
