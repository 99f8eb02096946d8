//! Listeners that come and go while the server runs: with an address of the machine, or with the
//! configuration.
//!
//! A listener that a reload adds is bound before anything else changes, so that a port in use
//! refuses the whole reload. One that takes the port of a removed listener is bound after that is
//! closed.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::ServerError;
use super::host_addresses::{Follower, cannot_listen};
use super::sockets::{Kind, Listener, bind_accepting, stand_by, without_discovery};
use crate::config::Config;
use crate::net::accept::ListenerChange;
use crate::shard::{bind_tcp_listeners, bind_udp_listeners, is_missing};

/// Longest wait for a listener to be closed. A shard closes it within one round.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sockets of one listener.
pub(super) enum Sockets {
    Udp(Vec<UdpSocket>),
    Tcp(Vec<TcpListener>),
    Accepting(tokio::net::TcpListener),
}

/// Listener that the configuration asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Wanted {
    kind: Kind,
    configured: SocketAddr,
    is_proxied: bool,
    is_stand_by: bool,
}

impl Wanted {
    /// All listeners of a configuration, in its order.
    fn all(config: &Config) -> Vec<Self> {
        let listen = &config.listen;
        let mut wanted = Vec::new();
        let mut want = |kind, addresses: &[SocketAddr], is_proxied, is_stand_by| {
            let each = addresses.iter().map(|configured| Self {
                kind,
                configured: *configured,
                is_proxied,
                is_stand_by,
            });
            wanted.extend(each);
        };
        want(Kind::Udp, &listen.udp, false, false);
        want(Kind::Udp, &stand_by(config), false, true);
        want(Kind::Tcp, &listen.tcp, listen.is_tcp_proxied(), false);
        want(Kind::Tls, &listen.tls, false, false);
        want(Kind::Http, &listen.http, false, false);
        want(Kind::Admin, &listen.admin, false, false);
        wanted
    }

    fn matches(&self, listener: &Listener) -> bool {
        (self.kind, self.configured, self.is_proxied)
            == (listener.kind, listener.configured, listener.is_proxied)
    }
}

/// Change of the listeners that has been prepared. Dropping it closes what was bound for it.
pub(super) struct ListenerChanges {
    removed: Vec<Listener>,
    /// All listeners after the change, with the sockets of those that were bound for it.
    after: Vec<(Listener, Option<Sockets>)>,
}

impl Follower {
    /// Binds the listeners that a configuration adds. Nothing is served there yet.
    ///
    /// # Errors
    /// [`ServerError::Listen`]. An address that the machine lacks is no error.
    pub(super) fn prepare(&self, config: &Config) -> Result<ListenerChanges, ServerError> {
        let wanted = Wanted::all(config);
        let is_gone = |listener: &&Listener| !wanted.iter().any(|wanted| wanted.matches(listener));
        let removed: Vec<Listener> = self.listening.0.iter().filter(is_gone).cloned().collect();
        // Sockets of one change have different IDs from all that came before.
        let mut known = self.listening.clone();
        let mut after = Vec::new();
        for wanted in wanted {
            let Wanted { kind, configured, is_proxied, is_stand_by } = wanted;
            if let Some(kept) = self.listening.0.iter().find(|listener| wanted.matches(listener)) {
                after.push((Listener { is_stand_by, ..kept.clone() }, None));
                continue;
            }
            let mut listener = Listener {
                kind,
                id: known.free_id(),
                configured,
                address: configured,
                is_bound: false,
                is_proxied,
                is_stand_by,
            };
            let mut sockets = None;
            if !removed.iter().any(|gone| gone.is_bound && conflict(gone, &listener)) {
                match self.bind(&listener) {
                    Ok((bound, address)) => {
                        (listener.address, listener.is_bound, sockets) = (address, true, Some(bound));
                    }
                    Err(error) if is_missing(&error) => {}
                    Err(error) if is_stand_by => {
                        without_discovery(configured, &error);
                        continue;
                    }
                    Err(error) => {
                        return Err(ServerError::Listen {
                            listener: kind.name(),
                            address: configured,
                            error,
                        });
                    }
                }
            }
            known.0.push(listener.clone());
            after.push((listener, sockets));
        }
        Ok(ListenerChanges { removed, after })
    }

    /// Serves the added listeners, and closes the removed ones. Returns whether there were any.
    /// Connections of removed listeners go on; UDP clients of one lose their allocations.
    pub(super) async fn change_listeners(&mut self, changes: ListenerChanges) -> bool {
        let ListenerChanges { removed, after } = changes;
        let has_changed = !removed.is_empty() || after.iter().any(|(_, sockets)| sockets.is_some());
        let mut listening = Vec::new();
        for (listener, sockets) in after {
            if let Some(sockets) = sockets {
                self.serve(&listener, sockets);
            }
            listening.push(listener);
        }
        self.listening.0 = listening;
        let closings: Vec<_> = removed
            .iter()
            .filter(|listener| listener.is_bound)
            .map(|listener| self.close(listener))
            .collect();
        for closing in closings {
            // A shard that hangs is down, which `/healthz` says.
            let _ = timeout(PATIENCE, closing.closed()).await;
        }
        self.refused.clear();
        self.bind_missing() || has_changed
    }

    /// Waits until every shard has applied what it was told.
    pub(super) async fn applied(&self) {
        let _ = timeout(PATIENCE, Closing::OnShards(self.shards.applied()).closed()).await;
    }

    /// Binds the listeners whose address has appeared. Returns whether there were any.
    pub(super) fn bind_missing(&mut self) -> bool {
        let mut has_come = false;
        for place in 0..self.listening.0.len() {
            let listener = self.listening.0[place].clone();
            if listener.is_bound {
                continue;
            }
            let key = (listener.kind.name(), listener.configured);
            match self.bind(&listener) {
                Ok((sockets, address)) => {
                    self.refused.remove(&key);
                    let listener = Listener { address, is_bound: true, ..listener };
                    self.serve(&listener, sockets);
                    self.listening.0[place] = listener;
                    has_come = true;
                }
                // With another error, such as a lack of descriptors, the address may be missing.
                Err(error) if is_missing(&error) || !self.state.has(listener.configured.ip()) => {
                    self.refused.remove(&key);
                }
                // The configuration does not name it.
                Err(error) if listener.is_stand_by => {
                    tracing::debug!(%error, "no NAT behaviour discovery at {}", listener.configured);
                }
                Err(error) => {
                    self.refused.insert(key, cannot_listen(&listener, &error));
                }
            }
        }
        has_come
    }

    /// Binds a listener. Also returns its address, because the kernel may choose the port.
    fn bind(&self, listener: &Listener) -> io::Result<(Sockets, SocketAddr)> {
        let (address, shards) = (listener.configured, self.shards.shards());
        match (listener.kind, listener.is_proxied) {
            (Kind::Udp, _) => {
                let (sockets, address) = bind_udp_listeners(address, shards, &self.tuning)?;
                Ok((Sockets::Udp(sockets), address))
            }
            (Kind::Tcp, false) => {
                let (sockets, address) = bind_tcp_listeners(address, shards)?;
                Ok((Sockets::Tcp(sockets), address))
            }
            _ => {
                let (socket, address) = bind_accepting(address)?;
                Ok((Sockets::Accepting(socket), address))
            }
        }
    }

    /// Hands the sockets of a listener to the shards or to an accept loop.
    fn serve(&self, listener: &Listener, sockets: Sockets) {
        match sockets {
            Sockets::Udp(sockets) => self.shards.listen_udp(listener.id, sockets),
            Sockets::Tcp(sockets) => self.shards.listen_tcp(sockets),
            Sockets::Accepting(socket) => {
                // The queue is closed if the server is about to end.
                let _ = self.queue(listener.kind).send(socket.into());
            }
        }
    }

    fn close(&self, listener: &Listener) -> Closing {
        match (listener.kind, listener.is_proxied) {
            (Kind::Udp, _) => Closing::OnShards(self.shards.close_udp(listener.id)),
            (Kind::Tcp, false) => Closing::OnShards(self.shards.close_tcp(listener.address)),
            _ => {
                let (closing, closed) = oneshot::channel();
                let _ = self.queue(listener.kind).send(ListenerChange::Close(listener.address, closing));
                Closing::Accepting(closed)
            }
        }
    }

    fn queue(&self, kind: Kind) -> &mpsc::UnboundedSender<ListenerChange> {
        match kind {
            Kind::Udp | Kind::Tcp => &self.accept_queues.tcp,
            Kind::Tls => &self.accept_queues.tls,
            Kind::Http => &self.accept_queues.http,
            Kind::Admin => &self.accept_queues.admin,
        }
    }
}

/// Listener that is being closed.
enum Closing {
    OnShards(mpsc::Receiver<()>),
    Accepting(oneshot::Receiver<()>),
}

impl Closing {
    async fn closed(self) {
        match self {
            Self::OnShards(mut closed) => while closed.recv().await.is_some() {},
            Self::Accepting(closed) => {
                // The sender is dropped once it is closed.
                let _ = closed.await;
            }
        }
    }
}

/// Whether two listeners cannot be bound at the same time.
fn conflict(one: &Listener, other: &Listener) -> bool {
    let (a, b) = (one.address, other.address);
    let same_protocol = (one.kind == Kind::Udp) == (other.kind == Kind::Udp);
    let same_place = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    same_protocol && a.port() == b.port() && b.port() != 0 && a.is_ipv4() == b.is_ipv4() && same_place
}
