//! TCP listeners of TURN behind a proxy. Each connection continues at a shard once its header is
//! read. Without a proxy the shards accept such connections themselves.

use std::sync::Arc;

use crate::net::accept::{self, Accepted, ListenerQueue};
use crate::net::connection_limit::ConnectionLimiter;
use crate::net::proxy_protocol::{self, ProxyProtocol};
use crate::phase::PhaseWatch;
use crate::shard::TurnConnection;

/// Serves all `listeners` until the server stops. The connections belong to the shards, which count
/// them to their clients.
pub(super) async fn serve<H>(
    listeners: ListenerQueue,
    proxied: Arc<ProxyProtocol>,
    limiter: Arc<ConnectionLimiter>,
    hand_over: H,
    phase: PhaseWatch,
) where
    H: Fn(TurnConnection) + Clone + Send + Sync + 'static,
{
    let serve = move |accepted: Accepted| {
        let hand_over = hand_over.clone();
        async move {
            let Accepted { stream, client, permit, .. } = accepted;
            drop(permit);
            match stream.local_addr().and_then(|server| Ok((server, stream.into_std()?))) {
                Ok((server, socket)) => hand_over(TurnConnection { socket, tls: None, client, server }),
                Err(error) => tracing::debug!(%client, %error, "a TURN connection broke"),
            }
        }
    };
    accept::accept_all(listeners, limiter, proxy_protocol::behind(Some(proxied), serve), phase).await;
}
