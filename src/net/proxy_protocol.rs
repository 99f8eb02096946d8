//! Connections by way of a proxy that names the client in front of its bytes (PROXY protocol).
//!
//! A listener either always expects a header or never does. Guessing would let a client of a proxy
//! that sends none choose its own address.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use byway_turn::closed_set;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::live::Live;
use crate::metrics::{Counters, Family, Page, SharedCount};
use crate::net::accept::Accepted;
use crate::net::proxy_header::{self, LONGEST, Source};
use crate::net::trusted_proxies::TrustedProxies;

/// Longest wait for a whole header. A proxy sends it first, without waiting for its client.
const HEADER_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of a header that are read at one time.
const CHUNK: usize = 512;

closed_set! {
    /// Outcome of a connection to a listener that expects a header.
    pub enum HeaderOutcome {
        /// It names the client.
        Client = "client",
        /// It stands for the proxy itself, as in a health check.
        Proxy = "proxy",
        /// Refused: the connection is not from a trusted proxy. Nothing was read of it.
        Untrusted = "untrusted",
        /// Refused: no header, or an invalid one.
        Invalid = "invalid",
        /// Refused: the header took too long.
        Timeout = "timeout",
        /// Closed by the proxy before the end of the header.
        Closed = "closed",
        /// Refused: the client has too many connections.
        Limit = "limit",
    }
}

/// Counters of connections to listeners that expect a header.
#[derive(Debug, Default)]
pub struct ProxyCounters(Family<HeaderOutcome, SharedCount>);

impl Counters for ProxyCounters {
    fn encode(&self, page: &mut Page<'_>) -> fmt::Result {
        page.family(
            "proxy_headers",
            "Connections to listeners with PROXY protocol, by their header or the reason for their end.",
            "outcome",
            |outcome| self.0[outcome].get(),
        )
    }
}

/// Reader of the headers of trusted proxies.
#[derive(Debug)]
pub struct ProxyProtocol {
    proxies: Live<TrustedProxies>,
    counters: Arc<ProxyCounters>,
    within: Duration,
    /// Whether connections begin with a header.
    is_on: AtomicBool,
    /// Whether the log has told of a proxy that is not configured.
    has_told: Arc<AtomicBool>,
}

impl ProxyProtocol {
    /// Trusts the listed ones of `proxies`, and not loopback unless it is listed. It expects no
    /// header until [`Self::expect`] is called.
    #[must_use]
    pub fn new(proxies: Live<TrustedProxies>, counters: Arc<ProxyCounters>) -> Arc<Self> {
        Arc::new(Self {
            proxies,
            counters,
            within: HEADER_WITHIN,
            is_on: AtomicBool::new(false),
            has_told: Arc::default(),
        })
    }

    /// Returns a reader for other listeners, which tells the log of a proxy once with this one.
    #[must_use]
    pub fn another(&self) -> Arc<Self> {
        Arc::new(Self {
            proxies: self.proxies.clone(),
            counters: self.counters.clone(),
            within: self.within,
            is_on: AtomicBool::new(false),
            has_told: self.has_told.clone(),
        })
    }

    /// Sets whether connections that are accepted from now on begin with a header.
    pub fn expect(&self, is_on: bool) {
        self.is_on.store(is_on, Relaxed);
    }

    /// Reads the header of a connection, which then has the address of its client. `None` if the
    /// connection is refused; it is counted.
    async fn admit(&self, mut accepted: Accepted) -> Option<Accepted> {
        let outcome = self.outcome(&mut accepted).await?;
        self.counters.0[outcome].add(1);
        let proxy = accepted.client;
        match outcome {
            HeaderOutcome::Client | HeaderOutcome::Proxy => return Some(accepted),
            HeaderOutcome::Untrusted if self.may_be_proxy(&accepted) => tracing::warn!(
                "connections from {proxy} are refused: the listener expects a PROXY header, and this is no trusted proxy; \
                 list it under [listen], `trusted_proxies = [\"{}\"]`",
                proxy.ip().to_canonical()
            ),
            _ => tracing::debug!(%proxy, ?outcome, "a connection without a valid PROXY header"),
        }
        None
    }

    /// `None` if the server stops.
    async fn outcome(&self, accepted: &mut Accepted) -> Option<HeaderOutcome> {
        if !self.proxies.load().lists(accepted.client.ip()) {
            return Some(HeaderOutcome::Untrusted);
        }
        let source = tokio::select! {
            source = timeout(self.within, read(&mut accepted.stream)) => source,
            () = accepted.stopping.requested() => return None,
        };
        Some(match source {
            Ok(Ok(Source::Proxy)) => HeaderOutcome::Proxy,
            Ok(Ok(Source::Client(client))) => {
                accepted.client = client;
                match accepted.permit.speaks_for(client.ip()) {
                    true => HeaderOutcome::Client,
                    false => HeaderOutcome::Limit,
                }
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => HeaderOutcome::Invalid,
            Ok(Err(_)) => HeaderOutcome::Closed,
            Err(_) => HeaderOutcome::Timeout,
        })
    }

    /// Whether to tell the log of an untrusted connection, once. The addresses of clients do not
    /// belong there, only those of this machine and of private networks.
    fn may_be_proxy(&self, accepted: &Accepted) -> bool {
        let ip = accepted.client.ip().to_canonical();
        (ip.is_loopback() || self.proxies.load().may_lack(ip)) && !self.has_told.swap(true, Relaxed)
    }
}

/// Serves connections as `serve` does, once `proxied` has read their headers.
pub fn behind<S, T>(
    proxied: Option<Arc<ProxyProtocol>>,
    serve: S,
) -> impl Fn(Accepted) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> + Clone + Send + 'static
where
    S: Fn(Accepted) -> T + Clone + Send + 'static,
    T: Future<Output = ()> + Send + 'static,
{
    move |accepted| {
        let (proxied, serve) = (proxied.clone(), serve.clone());
        // Without a header, the task is the same as ever.
        let Some(proxied) = proxied.filter(|proxied| proxied.is_on.load(Relaxed)) else {
            return Box::pin(serve(accepted));
        };
        Box::pin(async move {
            if let Some(accepted) = proxied.admit(accepted).await {
                serve(accepted).await;
            }
        })
    }
}

/// Reads exactly the header, and leaves what follows in the socket.
async fn read(stream: &mut TcpStream) -> io::Result<Source> {
    let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
    let mut header = Vec::new();
    loop {
        let mut chunk = [0; CHUNK];
        let room = CHUNK.min(LONGEST - header.len());
        let arrived = stream.peek(&mut chunk[..room]).await?;
        if arrived == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let before = header.len();
        header.extend_from_slice(&chunk[..arrived]);
        let length = proxy_header::length(&header).map_err(invalid)?;
        // Taken from the socket, so that the next look waits for more.
        let taken = length.map_or(arrived, |length| length - before);
        stream.read_exact(&mut chunk[..taken]).await?;
        if let Some(length) = length {
            return proxy_header::parse(&header[..length]).map_err(invalid);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.set_nodelay(true).unwrap();
        (client, listener.accept().await.unwrap().0)
    }

    #[tokio::test]
    async fn the_bytes_behind_a_header_are_left_to_the_protocol() {
        for header in [
            &b"PROXY TCP4 192.0.2.1 198.51.100.1 4711 443\r\n"[..],
            &[b"\r\n\r\n\0\r\nQUIT\n\x20\0\x0B\xB8".as_slice(), &[7; 3000]].concat(),
        ] {
            // All at once, then byte by byte.
            for step in [header.len() + 5, 1] {
                let (mut client, mut server) = pair().await;
                let bytes = [header, b"hello"].concat();
                let writing = tokio::spawn(async move {
                    for part in bytes.chunks(step) {
                        client.write_all(part).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                    client
                });
                read(&mut server).await.unwrap();
                let mut rest = [0; 5];
                server.read_exact(&mut rest).await.unwrap();
                assert_eq!(&rest, b"hello");
                drop(writing.await.unwrap());
            }
        }
    }

    #[tokio::test]
    async fn a_header_that_ends_early_is_an_error() {
        for header in ["", "PROXY TCP4 192.0.2.1", "\r\n\r\n\0\r\nQUIT\n\x20\0\0\x05123"] {
            let (mut client, mut server) = pair().await;
            client.write_all(header.as_bytes()).await.unwrap();
            drop(client);
            let error = read(&mut server).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{header:?}");
        }
    }
}
