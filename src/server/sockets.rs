//! All sockets, which are bound before the server serves any, and the file descriptors of each
//! part.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::thread::available_parallelism;

use byway_turn::server::Discovery;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::ServerError;
use crate::config::Config;
use crate::net::accept;
use crate::shard::{Addresses, BindFailed, ShardListeners, Tuning, bind_listeners, bind_tcp, is_missing};

/// All sockets, which are bound before the server serves any.
pub(super) struct Sockets {
    /// Listeners of each shard.
    pub(super) turn: Vec<ShardListeners>,
    pub(super) tls: AcceptQueue,
    pub(super) http: AcceptQueue,
    pub(super) admin: AcceptQueue,
    /// All listeners; those of one kind are in the order of the configuration.
    pub(super) listening: Listening,
}

/// Queue of listeners of one kind to the accept loops, including those whose address appears later.
pub(super) struct AcceptQueue {
    pub(super) sender: mpsc::UnboundedSender<TcpListener>,
    pub(super) listeners: accept::ListenerQueue,
}

/// The listeners, with their state.
#[derive(Clone, Debug)]
pub(super) struct Listening(pub(super) Vec<Listener>);

/// A listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listener {
    pub(super) kind: Kind,
    /// The configured address. Once bound, it has the port that the system chose for port 0.
    pub(super) address: SocketAddr,
    pub(super) is_bound: bool,
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
        let place = |listener: &Listener| match listener.is_bound && has(listener.address.ip()) {
            true => listener.address,
            false => nowhere,
        };
        Discovery::among(&self.of(Kind::Udp).map(place).collect::<Vec<_>>())
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
        let listener = |kind, address, is_stand_by| {
            let is_bound = !missing.contains(&address);
            Listener { kind, address, is_bound, is_stand_by }
        };
        let named = config.listen.udp.len();
        let udp = udp.iter().zip(0..).map(|(address, place)| listener(Kind::Udp, *address, place >= named));
        let tcp = tcp.iter().map(|address| listener(Kind::Tcp, *address, false));
        let mut listening = Listening(udp.chain(tcp).collect());
        let tls = AcceptQueue::open(Kind::Tls, &config.listen.tls, &mut listening)?;
        let http = AcceptQueue::open(Kind::Http, &config.listen.http, &mut listening)?;
        let admin = AcceptQueue::open(Kind::Admin, &config.listen.admin, &mut listening)?;
        Ok(Self { turn, tls, http, admin, listening })
    }
}

/// Binds the listeners of STUN and TURN. If two addresses enable NAT behaviour discovery (RFC
/// 5780), it also binds the additional ones.
fn bind_turn(
    config: &Config,
    shards: usize,
    tuning: &Tuning,
) -> Result<(Vec<ShardListeners>, Addresses), BindFailed> {
    let wanted =
        Addresses { udp: config.listen.udp.clone(), tcp: config.listen.tcp.clone(), ..Addresses::default() };
    // Behind a 1:1 NAT, clients could not reach the addresses in its responses.
    if !config.relay.public_addresses.is_empty() {
        return bind_listeners(&wanted, shards, tuning);
    }
    let stand_by = Discovery::lacking(&wanted.udp);
    let with_stand_by = Addresses { udp: [&wanted.udp[..], &stand_by].concat(), ..wanted.clone() };
    bind_listeners(&with_stand_by, shards, tuning).or_else(|failed| {
        // A listener that the configuration does not name must not prevent the start.
        if failed.listener != "udp" || !stand_by.contains(&failed.address) {
            return Err(failed);
        }
        let BindFailed { address, error, .. } = failed;
        tracing::warn!(%error, "no NAT behaviour discovery (RFC 5780): it also needs {address}, which \
            cannot be bound");
        bind_listeners(&wanted, shards, tuning)
    })
}

impl AcceptQueue {
    fn open(kind: Kind, configured: &[SocketAddr], listening: &mut Listening) -> Result<Self, ServerError> {
        let (sender, listeners) = mpsc::unbounded_channel();
        for &address in configured {
            let failed = |error| ServerError::Listen { listener: kind.name(), address, error };
            let (address, is_bound) = match bind_accepting(address) {
                Ok((listener, address)) => {
                    // The receiver still exists.
                    let _ = sender.send(listener);
                    (address, true)
                }
                Err(error) if is_missing(&error) => (address, false),
                Err(error) => return Err(failed(error)),
            };
            listening.0.push(Listener { kind, address, is_bound, is_stand_by: false });
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
pub(super) struct Files {
    pub(super) streams: usize,
    pub(super) http: usize,
    pub(super) admin: usize,
}

impl Files {
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
        Self { streams, http, admin }
    }
}

pub(super) fn list<T: ToString>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".into();
    }
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
