//! The composition root: a [`Config`] becomes sockets, threads and tasks, and one place waits for the end.

pub mod link;
mod sockets;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::admission::{Admissions, PER_ADDRESS};
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::credentials::Secrets;
use crate::dataplane::{DataPlane, Tuning};
use crate::external::External;
use crate::http::access::{Access, ApiKeys};
use crate::http::admin::{Admin, Health};
use crate::http::origin::Origins;
use crate::http::serve::{self, Pages, serve};
use crate::http::{Site, admin_router, public_router};
use crate::ice::{Endpoints, IceServers, rfc3339};
use crate::interfaces::{self, Interfaces};
use crate::metrics::{
    ConnectionCounters, HttpCounters, Metrics, ShardCounters, SignalingCounters, TlsCounters,
};
use crate::random::Random;
use crate::relay::{self, Gate, Relay, RelayAddress, Shared};
use crate::signaling::{self, Connections, Hub};
use crate::standing::Standing;
use crate::tls::front::{self, Front};
use crate::tls::renewal::Renewal;
use crate::tls::{self, Certificate};
use crate::tokens::Tokens;

use sockets::{Files, Sockets, list};

/// Threads for HTTP and signaling. They wait for most of their lives; the cores are for the shards.
const HTTP_THREADS: usize = 2;

/// HTTP connections at one time, WebSockets and those to the TLS port that are not yet a shard's among them: an upper bound
/// of their memory. One that waits takes some 10 KiB. Where a client does all it can, one takes a message of the largest size
/// and four that wait to be read, which is 320 KiB by default, and as much again in the kernel; of one address there are
/// [`PER_ADDRESS`].
const MAX_HTTP: usize = 16_384;

/// TCP and TLS connections to TURN at one time. Each may cost 200 kB where clients do all they can to that end.
const MAX_STREAMS: usize = 16_384;

/// What an address may join at once is what it may in this time.
const JOINS_AT_ONCE: Duration = Duration::from_secs(10);

/// How often the addresses of the machine's interfaces are looked up anew.
const INTERFACES_EVERY: Duration = Duration::from_secs(30);

/// Why the server did not start, or stopped unasked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A configured address cannot be had.
    #[error("cannot listen on {address} (listen.{listener}): {error}\n  remedy: {}", remedy(error))]
    Listen {
        /// The key under `[listen]`.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// A relay address cannot be had.
    #[error("cannot relay from {address} (relay.addresses): {error}\n  remedy: {}", remedy(error))]
    RelayAddress {
        /// The address.
        address: IpAddr,
        /// What the kernel says.
        error: io::Error,
    },
    /// There is no certificate to serve with.
    #[error(transparent)]
    Certificate(#[from] tls::Unusable),
    /// Neither family has an address that clients could be told, or not yet.
    #[error("{}\n  remedy: name this machine's address in relay.addresses (`ip address` lists them)", .0.join("\n"))]
    NoRelayAddress(Vec<String>),
    /// The machine refuses what every server needs.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        error: io::Error,
    },
    /// A thread of the data plane ended by itself.
    #[error("{} of the data plane ended unasked; the lines above say why", .0.join(", "))]
    ShardEnded(Vec<String>),
}

/// Runs the server until SIGINT or SIGTERM.
///
/// # Errors
/// [`Error`]; whatever it had bound is closed again.
pub fn run(config: Config) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .enable_all()
        .build()
        .map_err(system("start a runtime"))?;
    // Every relay socket is a file descriptor. What cannot be raised is met by 508 later.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let outcome = runtime.block_on(serve_all(config));
    // A file system that hangs under a look at the certificate keeps nobody from the end.
    runtime.shutdown_background();
    outcome
}

async fn serve_all(mut config: Config) -> Result<(), Error> {
    let clock = Clock::start();
    let mut interrupt = signal(SignalKind::interrupt()).map_err(system("listen for SIGINT"))?;
    let mut terminate = signal(SignalKind::terminate()).map_err(system("listen for SIGTERM"))?;
    let hangup = signal(SignalKind::hangup()).map_err(system("listen for SIGHUP"))?;

    if config.optional_ipv6 && !can_bind("::1".parse().expect("an address")) {
        forget_ipv6(&mut config);
    }
    let renewal = config.tls.take().map(Renewal::begin).transpose()?;
    let tuning = tuning(&config.relay);
    let sockets = Sockets::bind(&config, &tuning)?;
    let interfaces = Interfaces::read().map_err(system("list the addresses of the interfaces"))?;
    let external = External::find(&config.relay, &interfaces.lasting, &interfaces::sources());
    if external.addresses.is_empty() {
        return Err(Error::NoRelayAddress(external.remarks()));
    }
    for remark in external.remarks() {
        tracing::warn!("{remark}");
    }
    let relay_ports = config.relay.ports.len().saturating_mul(external.addresses.len());
    let allocations = relay_ports.min(config.quota.allocations as usize);
    let files = Files::shared_out(&sockets, allocations);
    if (files.relays as usize) < allocations {
        tracing::info!("file descriptors for {} allocations at most; `ulimit -n` raises that", files.relays);
    }
    config.quota.allocations = config.quota.allocations.min(files.relays);
    if let Some(cut) = sockets.turn.first().and_then(|listeners| listeners.cut_buffers(&tuning)) {
        tracing::info!("{cut}");
    }
    let secrets = secrets(&config)?;
    let standing = Arc::new(Standing::new(&seed()?));
    let shared = shared(&config, &sockets, &external.addresses, secrets.clone(), standing.clone())?;
    shared.interfaces(&interfaces.addresses);
    let relays = sockets.turn.iter().map(|_| Ok(Relay::new(shared.clone(), &seed()?)));
    let relays = relays.collect::<Result<Vec<Relay>, Error>>()?;
    let (relays, shards): (Vec<Relay>, Vec<Arc<ShardCounters>>) =
        relays.into_iter().map(|relay| (relay, Arc::<ShardCounters>::default())).unzip();
    let listening = sockets.describe(&config.relay.ports, &external.addresses, shards.len());
    let discovery: Vec<SocketAddr> = sockets.discovery.addresses().collect();
    let certificate = renewal.as_ref().map(|renewal| renewal.identity().certificate());
    let secure_page = link::secure_page(certificate.as_deref(), &sockets.tls.addresses);
    let page = link::page(certificate.as_deref(), &sockets.tls.addresses, &sockets.http.addresses);

    let signaling_counters = Arc::<SignalingCounters>::default();
    let http_counters = Arc::<HttpCounters>::default();
    let tls_counters = Arc::<TlsCounters>::default();
    let random = Arc::new(Random::new(&seed()?, "names"));
    let endpoints = Endpoints {
        // A page needs none of the listeners that stand by for NAT behaviour discovery alone.
        udp: sockets.turn_addresses.udp.iter().copied().take(config.listen.udp.len()).collect(),
        tcp: sockets.turn_addresses.tcp.clone(),
        tls: sockets.tls.addresses.clone(),
        public: config.relay.public_addresses.clone(),
        names: renewal.as_ref().map_or_else(Vec::new, |renewal| renewal.identity().certificate().named()),
    };
    let ice = Arc::new(IceServers::new(
        config.ice.urls.clone(),
        endpoints,
        secrets,
        config.credentials.ttl,
        config.ice.transport_policy,
    ));
    let settings = signaling::Settings::new(&config.signaling);
    let joins = Arc::new(Budget::new(
        config.signaling.joins_per_second,
        JOINS_AT_ONCE,
        Random::new(&seed()?, "joins").number(),
    ));
    let tokens = Arc::new(tokens(&config)?);
    let hub = Arc::new(Hub::new(signaling::Parts {
        connections: Arc::new(Connections::new(settings, clock, signaling_counters.clone())),
        ice: ice.clone(),
        standing: standing.clone(),
        access: config.ice.access,
        tokens: tokens.clone(),
        joins: joins.clone(),
        end_user: Box::new(|_| ()),
        seed: seed()?,
    }));
    tokio::spawn({
        let hub = hub.clone();
        async move { hub.give_up_the_absent().await }
    });

    let (stop, stopping) = watch::channel(false);
    let with_counters = relays.into_iter().zip(shards.iter().cloned()).collect();
    let turn_connections = Arc::<ConnectionCounters>::default();
    let per_shard = |places: usize| places.div_ceil(sockets.turn.len());
    let (streams, per_address) = (per_shard(files.streams.min(MAX_STREAMS)), per_shard(PER_ADDRESS));
    let admissions = || Admissions::new(streams, per_address, turn_connections.clone());
    let mut data_plane = DataPlane::start(sockets.turn, with_counters, admissions, tuning, clock)
        .map_err(system("start the data plane"))?;

    let metrics = Metrics {
        shards,
        turn_connections: turn_connections.clone(),
        signaling: signaling_counters,
        http: http_counters.clone(),
        tls: renewal.as_ref().map(|_| tls_counters.clone()),
    };
    let admin = Admin { metrics, health: Health::new(data_plane.down()) };
    let origins = Origins::new(config.signaling.allowed_origins.clone());
    let access = Access {
        policy: config.ice.access,
        tokens,
        keys: ApiKeys::new(&config.ice.api_keys),
        budget: joins,
        draining: stopping.clone(),
    };
    let site = Site {
        clock,
        ice: ice.clone(),
        random,
        hub: hub.clone(),
        origins,
        access,
        standing,
        end_user: Box::new(|_| ()),
        page: secure_page,
        counters: http_counters.clone(),
    };
    let stopped = |mut stopping: watch::Receiver<bool>| async move {
        // An error is a sender that is gone, which is the same news.
        let _ = stopping.wait_for(|stop| *stop).await;
    };
    let pages = Pages::new(public_router(site), serve::Limits::default());
    let public_places = files.http.min(MAX_HTTP);
    let public_admissions = Admissions::new(public_places, PER_ADDRESS, http_counters.connections.clone());
    let public = tokio::spawn(serve(
        sockets.http.listeners,
        pages.clone(),
        public_admissions.clone(),
        stopped(stopping.clone()),
    ));
    let secure = renewal.as_ref().map(|renewal| {
        let front = Front {
            config: tls::server_config(renewal.identity()),
            pages,
            places: public_admissions,
            hand_over: {
                let (streams, counters) = (data_plane.streams(), turn_connections);
                move |stream| {
                    if !streams.hand_over(stream) {
                        counters.refused_total.add(1);
                    }
                }
            },
            counters: tls_counters.clone(),
            limits: front::Limits::within(public_places),
        };
        let shutdown = stopped(stopping.clone());
        tokio::spawn(front::serve(sockets.tls.listeners, front, shutdown))
    });
    match renewal {
        Some(renewal) => {
            tracing::info!("certificate {}", described(&renewal.identity().certificate()));
            let tell = move |certificate: &Certificate| {
                ice.certified_for(certificate.named());
                tracing::info!("certificate loaded: {}", described(certificate));
            };
            tokio::spawn(renewal.run(hangup, clock, tls_counters, tell))
        }
        None => tokio::spawn(nothing_to_reload(hangup)),
    };
    tokio::spawn(follow_interfaces(shared));
    let admin = tokio::spawn(serve(
        sockets.admin.listeners,
        Pages::new(admin_router(admin), serve::Limits::default()),
        Admissions::new(files.admin.min(MAX_HTTP), PER_ADDRESS, http_counters.connections.clone()),
        stopped(stopping),
    ));

    if !discovery.is_empty() {
        tracing::info!("NAT behaviour discovery (RFC 5780) at {}", list(&discovery));
    }
    tracing::info!("{listening}");
    if let Some(page) = page {
        tracing::info!("open {page} in two tabs, and call");
    }
    notify(&[NotifyState::Ready]);

    let outcome = tokio::select! {
        _ = interrupt.recv() => Ok(()),
        _ = terminate.recv() => Ok(()),
        () = data_plane.ended() => Err(Error::ShardEnded(data_plane.down()())),
    };
    notify(&[NotifyState::Stopping]);
    tracing::info!("stopping");
    stop.send_replace(true);
    hub.connections().shut_down().await;
    // A task that panicked has said so; there is nothing left to do for it.
    let _ = tokio::join!(public, admin);
    if let Some(secure) = secure {
        let _ = secure.await;
    }
    data_plane.stop();
    outcome
}

/// The configured secrets, or one that lives as long as this process.
fn secrets(config: &Config) -> Result<Secrets, Error> {
    if let Some(secrets) = Secrets::new(&config.credentials.secrets) {
        return Ok(secrets);
    }
    tracing::info!("no secret is configured: credentials are good until this process ends");
    Ok(Secrets::new(&[seed()?]).expect("one secret is not none"))
}

/// Who signs join tokens: configured secrets, those of the credentials, or one that lives as long as this process.
fn tokens(config: &Config) -> Result<Tokens, Error> {
    if let Some(tokens) = Tokens::new(&config.tokens, &config.credentials.secrets) {
        return Ok(tokens);
    }
    Ok(Tokens::new(&config.tokens, &[seed()?]).expect("one secret is not none"))
}

/// What the data plane is told of the machine.
fn tuning(relay: &config::Relay) -> Tuning {
    Tuning {
        offload: relay.offload,
        receive_buffer: relay.receive_buffer,
        send_buffer: relay.send_buffer,
        relay_buffer: relay.relay_buffer,
        nap: relay.nap,
        busy_poll: relay.busy_poll,
        incoming_cpu: relay.incoming_cpu,
    }
}

/// What the relays of all shards share.
fn shared(
    config: &Config,
    sockets: &Sockets,
    addresses: &[RelayAddress],
    secrets: Secrets,
    standing: Arc<Standing>,
) -> Result<Arc<Shared>, Error> {
    for &RelayAddress { bind, .. } in addresses {
        std::net::UdpSocket::bind((bind, 0)).map_err(|error| Error::RelayAddress { address: bind, error })?;
    }
    let public_of = |ip: IpAddr| {
        let same_family = |address: &&RelayAddress| address.public.is_ipv4() == ip.is_ipv4();
        addresses.iter().find(same_family).map_or(ip, |address| address.public)
    };
    // Behind a 1:1 NAT a listener can also be reached under the public address of its family.
    let as_public = |listener: SocketAddr| SocketAddr::new(public_of(listener.ip()), listener.port());
    let listeners: Vec<SocketAddr> =
        sockets.all_addresses().flat_map(|listener| [listener, as_public(listener)]).collect();
    let gate = Gate {
        allow: config.peers.allow.clone(),
        deny: config.peers.deny.clone(),
        own: listeners.iter().map(SocketAddr::ip).collect(),
        listeners,
    };
    let settings = relay::Settings {
        realm: config.realm.clone(),
        secrets,
        standing,
        strict_expiry: config.credentials.strict_expiry,
        addresses: addresses.to_vec(),
        ports: config.relay.ports.clone(),
        port_rest: config.relay.port_rest,
        gate,
        allocations_per_user: config.quota.allocations_per_user,
        allocations_per_address: config.quota.allocations_per_address,
        allocations: config.quota.allocations,
        bandwidth_per_allocation: config.quota.bandwidth_per_allocation,
        unauthenticated_per_second: config.quota.unauthenticated_per_second,
        discovery: sockets.discovery.clone(),
    };
    Ok(Shared::new(settings, &seed()?))
}

/// Tells the relays what addresses the machine has by now, for ever.
async fn follow_interfaces(shared: Arc<Shared>) {
    loop {
        sleep(INTERFACES_EVERY).await;
        match Interfaces::read() {
            Ok(interfaces) => shared.interfaces(&interfaces.addresses),
            // Those known so far stay closed.
            Err(error) => tracing::debug!(%error, "cannot list the addresses of the interfaces"),
        }
    }
}

/// 32 bytes that nobody else knows.
#[expect(clippy::disallowed_methods, reason = "this is where seeds come from")]
fn seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::from).map_err(system("draw random bytes"))?;
    Ok(seed)
}

fn forget_ipv6(config: &mut Config) {
    tracing::info!("this machine has no IPv6: doing without ::1");
    let listen = &mut config.listen;
    for listeners in [&mut listen.udp, &mut listen.tcp, &mut listen.tls, &mut listen.http, &mut listen.admin]
    {
        listeners.retain(SocketAddr::is_ipv4);
    }
    config.relay.addresses.retain(IpAddr::is_ipv4);
}

fn can_bind(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

/// What a certificate is good for, and until when.
fn described(certificate: &Certificate) -> String {
    format!("for {}, good until {}", list(certificate.names()), rfc3339(certificate.expires()))
}

/// Without this, SIGHUP would end the process.
async fn nothing_to_reload(mut hangup: Signal) {
    while hangup.recv().await.is_some() {
        tracing::info!("nothing to reload: there is no certificate, and other settings need a restart");
    }
}

/// Tells systemd, if it asked.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that has this port (`ss -lntup` names it), or configure another port"
        }
        io::ErrorKind::AddrNotAvailable => {
            "configure an address that an interface of this machine has (`ip address` lists them)"
        }
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs the capability CAP_NET_BIND_SERVICE; the systemd unit grants it"
        }
        _ => "configure another address",
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::System { what, error }
}
