//! Everything that is bound before anything is served, and the share of file descriptors that each part has.

use std::net::SocketAddr;
use std::thread::available_parallelism;

use tokio::net::TcpListener;

use super::{Error, system};
use crate::config::Config;
use crate::dataplane::{Addresses, BindFailed, Listeners, Tuning, bind_listeners, bind_tcp};
use crate::relay::Discovery;

/// Everything that is bound before anything is served.
pub(super) struct Sockets {
    /// Of each shard.
    pub(super) turn: Vec<Listeners>,
    pub(super) turn_addresses: Addresses,
    pub(super) discovery: Discovery,
    pub(super) tls: Bound,
    pub(super) http: Bound,
    pub(super) admin: Bound,
}

pub(super) struct Bound {
    pub(super) listeners: Vec<TcpListener>,
    pub(super) addresses: Vec<SocketAddr>,
}

impl Sockets {
    pub(super) fn bind(config: &Config, tuning: &Tuning) -> Result<Self, Error> {
        let shards = match config.relay.shards {
            0 => available_parallelism().map_or(1, usize::from),
            shards => shards,
        };
        let (turn, turn_addresses, discovery) = bind_turn(config, shards, tuning)
            .map_err(|BindFailed { listener, address, error }| Error::Listen { listener, address, error })?;
        let tls = Bound::bind("tls", &config.listen.tls)?;
        let http = Bound::bind("http", &config.listen.http)?;
        let admin = Bound::bind("admin", &config.listen.admin)?;
        Ok(Self { turn, turn_addresses, discovery, tls, http, admin })
    }

    pub(super) fn all_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let Addresses { udp, tcp } = &self.turn_addresses;
        [udp, tcp, &self.tls.addresses, &self.http.addresses, &self.admin.addresses]
            .into_iter()
            .flatten()
            .copied()
    }
}

/// Binds the listeners of STUN and TURN; and where two addresses make NAT behaviour discovery possible (RFC 5780), those
/// that it takes beside them.
fn bind_turn(
    config: &Config,
    shards: usize,
    tuning: &Tuning,
) -> Result<(Vec<Listeners>, Addresses, Discovery), BindFailed> {
    let wanted = Addresses { udp: config.listen.udp.clone(), tcp: config.listen.tcp.clone() };
    // Behind a 1:1 NAT the addresses that its responses tell would lead nowhere.
    if !config.relay.public_addresses.is_empty() {
        let (listeners, bound) = bind_listeners(&wanted, shards, tuning)?;
        return Ok((listeners, bound, Discovery::default()));
    }
    let stand_by = Discovery::lacking(&wanted.udp);
    let with_stand_by = Addresses { udp: [&wanted.udp[..], &stand_by].concat(), tcp: wanted.tcp.clone() };
    let (listeners, bound) = bind_listeners(&with_stand_by, shards, tuning).or_else(|failed| {
        // What nobody has asked for by name does not keep a server from starting.
        if failed.listener != "udp" || !stand_by.contains(&failed.address) {
            return Err(failed);
        }
        let BindFailed { address, error, .. } = failed;
        tracing::warn!(%error, "no NAT behaviour discovery (RFC 5780): it takes {address}, too");
        bind_listeners(&wanted, shards, tuning)
    })?;
    let discovery = Discovery::among(&bound.udp);
    Ok((listeners, bound, discovery))
}

impl Bound {
    fn bind(listener: &'static str, configured: &[SocketAddr]) -> Result<Self, Error> {
        let (mut listeners, mut addresses) = (Vec::new(), Vec::new());
        for &address in configured {
            let bound = bind_tcp(address).and_then(TcpListener::from_std).map_err(|error| Error::Listen {
                listener,
                address,
                error,
            })?;
            addresses.push(bound.local_addr().map_err(system("read the address of a socket"))?);
            listeners.push(bound);
        }
        Ok(Self { listeners, addresses })
    }
}

/// How many file descriptors each part may hold. What one of them takes, the others would miss: a flood of connections
/// would end in calls without a relay, and a flood of allocations in a server that cannot even say that it lives.
pub(super) struct Files {
    pub(super) streams: usize,
    pub(super) http: usize,
    pub(super) admin: usize,
}

impl Files {
    /// From the limit of this process, with `sockets` bound. Of the configured allocations on so many addresses, no more
    /// stay configured than there are files for.
    pub(super) fn shared_out(sockets: &Sockets, config: &mut Config, addresses: usize) -> Self {
        let relay_ports = config.relay.ports.len().saturating_mul(addresses);
        let allocations = relay_ports.min(config.quota.allocations as usize);
        // Where it cannot be read, it is what every system has at least.
        let limit = rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(1024, |(soft, _)| soft);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // Most are for what the server is there for; a page or a WebSocket needs one for as long as its call, too.
        let (streams, mut http, admin) = (limit / 8, limit / 16 * 3, limit / 16);
        // A shard has its listeners, and two polls with what wakes them.
        let Addresses { udp, tcp } = &sockets.turn_addresses;
        let shards = sockets.turn.len() * (udp.len() + tcp.len() + 10);
        let relays = limit - streams - http - admin;
        let mut relays = relays.saturating_sub(shards + 32);
        // A server that is for signaling more than for relaying says so by its quota.
        if let Some(unused) = relays.checked_sub(allocations) {
            relays -= unused;
            http += unused;
        }
        if relays < allocations {
            tracing::info!("file descriptors for {relays} allocations at most; `ulimit -n` raises that");
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
