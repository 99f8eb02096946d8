//! All sockets, which are bound before the server serves any, and the file descriptors of each
//! part.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::available_parallelism;

use byway_turn::server::{Discovery, ListenerId};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::ServerError;
use crate::config::Config;
use crate::net::accept::{self, ListenerChange};
use crate::shard::{Addresses, BindFailed, ShardListeners, Tuning, bind_listeners, bind_tcp, is_missing};

/// All sockets, which are bound before the server serves any.
pub(super) struct Sockets {
    /// Listeners of each shard.
    pub(super) turn: Vec<ShardListeners>,
    /// TCP listeners of TURN behind a proxy. The shards have the others.
    pub(super) tcp: AcceptQueue,
    pub(super) tls: AcceptQueue,
    pub(super) http: AcceptQueue,
    pub(super) admin: AcceptQueue,
    /// All listeners; those of one kind are in the order of the configuration.
    pub(super) listening: Listening,
}

/// Queue of listeners of one kind to the accept loops, including those whose address appears later.
pub(super) struct AcceptQueue {
    pub(super) sender: mpsc::UnboundedSender<ListenerChange>,
    pub(super) listeners: accept::ListenerQueue,
}

/// The listeners, with their state.
#[derive(Clone, Debug)]
pub(super) struct Listening(pub(super) Vec<Listener>);

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) kind: Kind,
    /// The ID of a UDP listener on the shards.
    pub(super) id: ListenerId,
    pub(super) configured: SocketAddr,
    /// The configured address. Once bound, it has the port that the system chose for port 0.
    pub(super) address: SocketAddr,
    pub(super) is_bound: bool,
    /// Whether it is a TCP listener of TURN with an accept loop, because its connections begin with
    /// a PROXY header. The shards have the others.
    pub(super) is_proxied: bool,
    /// Whether it exists only for NAT behaviour discovery. The configuration does not name it, so
    /// its absence is not an error.
    pub(super) is_stand_by: bool,
}

/// Its key under `[listen]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Udp,
    Tcp,
    Tls,
    Http,
    Admin,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Http => "http",
            Self::Admin => "admin",
        }
    }
}

impl Listening {
    /// The served addresses of a kind. `has` tells whether the machine has an address.
    pub(super) fn served(&self, kind: Kind, has: impl Fn(IpAddr) -> bool) -> Vec<SocketAddr> {
        let served = self.of(kind).filter(|listener| listener.is_bound && has(listener.address.ip()));
        served.map(|listener| listener.address).collect()
    }

    /// All addresses of a kind, including those that the machine lacks.
    pub(super) fn all(&self, kind: Kind) -> Vec<SocketAddr> {
        self.of(kind).map(|listener| listener.address).collect()
    }

    /// The UDP listeners for NAT behaviour discovery.
    pub(super) fn discovery(&self, has: impl Fn(IpAddr) -> bool) -> Discovery {
        // A listener that is not served takes no part. A wildcard stands for it, because wildcards
        // never take part.
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut by_id = Vec::new();
        for listener in self.of(Kind::Udp) {
            let place = usize::from(listener.id.0);
            by_id.resize(by_id.len().max(place + 1), nowhere);
            if listener.is_bound && has(listener.address.ip()) {
                by_id[place] = listener.address;
            }
        }
        Discovery::among(&by_id)
    }

    /// The lowest ID that no UDP listener has.
    pub(super) fn free_id(&self) -> ListenerId {
        let is_free = |id: &u16| self.of(Kind::Udp).all(|listener| listener.id.0 != *id);
        ListenerId((0..u16::MAX).find(is_free).expect("the configuration holds fewer than 2^16 listeners"))
    }

    fn of(&self, kind: Kind) -> impl Iterator<Item = &Listener> {
        self.0.iter().filter(move |listener| listener.kind == kind)
    }
}

impl Sockets {
    pub(super) fn bind(config: &Config, tuning: &Tuning) -> Result<Self, ServerError> {
        let shards = match config.relay.shards {
            0 => available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let (turn, Addresses { udp, tcp, missing }) =
            bind_turn(config, shards, tuning).map_err(|BindFailed { listener, address, error }| {
                ServerError::Listen { listener, address, error }
            })?;
        let listener = |kind, id, configured: Option<&SocketAddr>, address| Listener {
            kind,
            id: ListenerId(id),
            configured: *configured.unwrap_or(&address),
            address,
            is_bound: !missing.contains(&address),
            is_proxied: false,
            is_stand_by: configured.is_none(),
        };
        let listen = &config.listen;
        let udp = udp
            .iter()
            .zip(0..)
            .map(|(address, id)| listener(Kind::Udp, id, listen.udp.get(usize::from(id)), *address));
        let tcp = tcp.iter().zip(&listen.tcp);
        let tcp = tcp.map(|(address, configured)| listener(Kind::Tcp, 0, Some(configured), *address));
        let mut listening = Listening(udp.chain(tcp).collect());
        let proxied: &[SocketAddr] = if config.listen.is_tcp_proxied() { &config.listen.tcp } else { &[] };
        let tcp = AcceptQueue::open(Kind::Tcp, proxied, &mut listening)?;
        let tls = AcceptQueue::open(Kind::Tls, &config.listen.tls, &mut listening)?;
        let http = AcceptQueue::open(Kind::Http, &config.listen.http, &mut listening)?;
        let admin = AcceptQueue::open(Kind::Admin, &config.listen.admin, &mut listening)?;
        Ok(Self { turn, tcp, tls, http, admin, listening })
    }
}

/// Binds the listeners of STUN and TURN. If two addresses enable NAT behaviour discovery (RFC
/// 5780), it also binds the additional ones.
fn bind_turn(
    config: &Config,
    shards: usize,
    tuning: &Tuning,
) -> Result<(Vec<ShardListeners>, Addresses), BindFailed> {
    let tcp = if config.listen.is_tcp_proxied() { Vec::new() } else { config.listen.tcp.clone() };
    let wanted = Addresses { udp: config.listen.udp.clone(), tcp, ..Addresses::default() };
    let stand_by = stand_by(config);
    let with_stand_by = Addresses { udp: [&wanted.udp[..], &stand_by].concat(), ..wanted.clone() };
    bind_listeners(&with_stand_by, shards, tuning).or_else(|failed| {
        // A listener that the configuration does not name must not prevent the start.
        if failed.listener != "udp" || !stand_by.contains(&failed.address) {
            return Err(failed);
        }
        without_discovery(failed.address, &failed.error);
        bind_listeners(&wanted, shards, tuning)
    })
}

/// Addresses that NAT behaviour discovery needs beside the configured ones. Behind a 1:1 NAT there
/// are none: clients could not reach the addresses in its responses.
pub(super) fn stand_by(config: &Config) -> Vec<SocketAddr> {
    let is_behind_nat = !config.relay.public_addresses.is_empty();
    if is_behind_nat { Vec::new() } else { Discovery::lacking(&config.listen.udp) }
}

/// Warns that one of them cannot be bound.
pub(super) fn without_discovery(address: SocketAddr, error: &io::Error) {
    tracing::warn!(%error, "no NAT behaviour discovery (RFC 5780): it also needs {address}, which \
        cannot be bound");
}

impl AcceptQueue {
    fn open(kind: Kind, configured: &[SocketAddr], listening: &mut Listening) -> Result<Self, ServerError> {
        let (sender, listeners) = mpsc::unbounded_channel();
        for &configured in configured {
            let failed = |error| ServerError::Listen { listener: kind.name(), address: configured, error };
            let (address, is_bound) = match bind_accepting(configured) {
                Ok((listener, address)) => {
                    // The receiver still exists.
                    let _ = sender.send(listener.into());
                    (address, true)
                }
                Err(error) if is_missing(&error) => (configured, false),
                Err(error) => return Err(failed(error)),
            };
            listening.0.push(Listener {
                kind,
                id: ListenerId(0),
                configured,
                address,
                is_bound,
                is_proxied: kind == Kind::Tcp,
                is_stand_by: false,
            });
        }
        Ok(Self { sender, listeners })
    }
}

/// Binds a listener for the accept loops. Returns it with its address.
pub(super) fn bind_accepting(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = bind_tcp(address).and_then(TcpListener::from_std)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// File descriptors that each part may hold. Without these shares, a flood of connections would
/// leave none for relayed calls, and a flood of allocations none for `/healthz`.
#[derive(Clone, Copy)]
pub(super) struct Files {
    pub(super) streams: usize,
    pub(super) http: usize,
    pub(super) admin: usize,
    /// Descriptors for allocations, before unused ones were given to pages.
    pub(super) relays: u32,
}

impl Files {
    /// Reduces the allocations of a later configuration to the number of ports and descriptors.
    pub(super) fn limit(self, config: &mut Config) {
        let ports = config.relay.ports.len().saturating_mul(config.relay.addresses.len());
        let ports = u32::try_from(ports).unwrap_or(u32::MAX);
        config.quota.allocations = config.quota.allocations.min(self.relays).min(ports);
    }

    /// Divides the limit of this process, with `sockets` bound. Reduces the configured allocations
    /// to the number of available descriptors.
    pub(super) fn shared_out(sockets: &Sockets, config: &mut Config) -> Self {
        // On every address, including those that the machine does not have yet.
        let relay_ports = config.relay.ports.len().saturating_mul(config.relay.addresses.len());
        let allocations = relay_ports.min(config.quota.allocations as usize);
        // If the limit cannot be read, the minimum of every system is assumed.
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // Most descriptors are for allocations. A page or a WebSocket also needs one for the
        // duration of its call.
        let (streams, mut http, admin) = (limit / 8, limit / 16 * 3, limit / 16);
        // A shard has its listeners, and two polls with their wakers.
        let listeners = [Kind::Udp, Kind::Tcp].map(|kind| sockets.listening.all(kind).len());
        let shards = sockets.turn.len() * (listeners.iter().sum::<usize>() + 10);
        let relays = limit - streams - http - admin;
        let mut relays = relays.saturating_sub(shards + 32);
        let all_relays = u32::try_from(relays).unwrap_or(u32::MAX);
        // A low quota indicates a server that is more for signaling than for relaying.
        if let Some(unused) = relays.checked_sub(allocations) {
            relays -= unused;
            http += unused;
        }
        if relays < allocations {
            tracing::info!(
                "the file descriptor limit allows {relays} allocations at most; raise it with `ulimit -n`"
            );
        }
        let relays = u32::try_from(relays).unwrap_or(u32::MAX);
        config.quota.allocations = config.quota.allocations.min(relays);
        Self { streams, http, admin, relays: all_relays }
    }
}

pub(super) fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".into();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
