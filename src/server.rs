//! The composition root: a [`Config`] becomes sockets, threads and tasks, and one place waits for the end.

mod certificate;
mod counted;
mod heap;
mod host;
pub mod hosts;
pub mod page_url;
mod presence;
pub mod relay_addresses;
mod relaying;
mod reload;
mod secrets;
mod shutdown;
mod signaling;
mod sockets;
mod startup_log;
mod supervise;
mod tls_listener;
mod watchdog;
mod web;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use byway_turn::prng::Prng;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::config::Config;
use crate::http::Site;
use crate::http::admin::{Admin, Health};
use crate::http::origin::Origins;
use crate::metrics::ProcessCounters;
use crate::operator_file::{SHORTAGE, is_shortage};
use crate::phase::{Phase, PhaseSender};
use crate::tls;
use crate::tls::renewal::Renewal;

use counted::Counted;
pub(crate) use host::nobody_has;
use host::{Follower, Host};
use relaying::Relaying;
use reload::{Hangups, Reload};
use secrets::ServerSecrets;
use shutdown::Signals;
use sockets::{Files, Kind, Sockets};
use startup_log::StartupLog;
use supervise::Supervisor;
use web::Web;

/// Threads for HTTP and signaling. They wait for most of their lives; the cores are for the shards.
const HTTP_THREADS: usize = 2;

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
    /// There is no certificate to serve with.
    #[error(transparent)]
    Certificate(#[from] tls::Unusable),
    /// The machine refuses what every server needs.
    #[error("cannot {what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the kernel says.
        error: io::Error,
    },
    /// A listener of HTTP or TLS is served no more.
    #[error("the listeners `{0}` are served no more; the lines above say why")]
    ListenersEnded(&'static str),
    /// A thread of the data plane ended by itself.
    #[error("{} of the data plane ended unasked; the lines above say why", .0.join(", "))]
    ShardEnded(Vec<String>),
}

/// Runs the server until SIGINT, or until SIGTERM and what it then waits for.
///
/// `file` is where `config` was read from, and `counters` are those of the process.
///
/// # Errors
/// [`Error`]; whatever it had bound is closed again.
pub fn run(config: Config, file: Option<PathBuf>, counters: Arc<ProcessCounters>) -> Result<(), Error> {
    let runtime = runtime("http", HTTP_THREADS).map_err(system("start the threads of HTTP"))?;
    // Every relay socket is a file descriptor. What cannot be raised is met by 508 later.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let outcome = runtime.block_on(serve_all(config, file, counters));
    // A file system that hangs under a look at the certificate keeps nobody from the end.
    runtime.shutdown_background();
    outcome
}

/// A runtime of so many threads. tokio panics where no thread is to be had: so that is found out before, and caught if it
/// changes meanwhile.
fn runtime(name: &'static str, threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all();
    threads_to_be_had(threads)?;
    let built = panic::catch_unwind(AssertUnwindSafe(move || builder.build()));
    built.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
}

async fn serve_all(
    mut config: Config,
    file: Option<PathBuf>,
    counters: Arc<ProcessCounters>,
) -> Result<(), Error> {
    let clock = Clock::start();
    let supervisor = Supervisor::new(counters.clone(), clock);
    let signals = Signals::listen()?;
    let reload = Reload::new(file, config.clone(), Hangups::listen()?);
    let hangups = Hangups::listen()?;

    if config.optional_ipv6 && !can_bind("::1".parse().expect("an address")) {
        forget_ipv6(&mut config);
    }
    let renewal = config.tls.take().map(|tls| Renewal::begin(tls.files)).transpose()?;
    let identity = renewal.as_ref().map(Renewal::identity);
    let certificate = identity.as_ref().map(|identity| identity.certificate());
    let mut sockets = Sockets::bind(&config, &config.relay.tuning)?;
    let mut host = Host::new(&config);
    let state = host.find(clock.now())?;
    host::tell(None, &state);
    let files = Files::shared_out(&sockets, &mut config);
    let startup_log =
        StartupLog::of(&sockets, &config.relay.ports, &state, certificate.as_deref(), config.ice.access);
    let page = page_url::secure_page(certificate.as_deref(), &sockets.listening.all(Kind::Tls));

    let phase = PhaseSender::new();
    let keys = ServerSecrets::new(&config, phase.watch())?;
    let mut relaying = Relaying::start(&config, &mut sockets, &state, &files, &keys, clock)?;
    let counted = Counted {
        relay: relaying.counters.clone(),
        signaling: Arc::default(),
        http: Arc::default(),
        process: counters,
        tls: identity.as_ref().map(|_| Arc::default()),
    };
    let ice = signaling::ice(&config, certificate.as_deref(), &keys);
    let hub = signaling::rooms(
        &config,
        ice.clone(),
        &keys,
        &relaying,
        clock,
        counted.signaling.clone(),
        phase.watch(),
    )?;
    signaling::keep(&hub, &supervisor);

    let certified = certificate.as_deref();
    let hosts = hosts::own(&config, certified, relaying.shared.clone(), clock, counted.http.clone());
    let site = Site {
        clock,
        ice: ice.clone(),
        random: Arc::new(Prng::new(&seed()?, "names")),
        hub: hub.clone(),
        hosts: hosts.clone(),
        origins: Origins::new(config.signaling.allowed_origins.clone()),
        access: keys.access,
        revocations: keys.revocations,
        end_user: relaying.end_user(),
        page,
        counters: counted.http.clone(),
    };
    let health = Health::new(relaying.data_plane.down());
    let (degraded, troubles) = watch::channel(Vec::new());
    let admin = Admin {
        metrics: counted.metrics(),
        counters: counted.http.clone(),
        health,
        degraded: troubles,
        phase: phase.watch(),
        hosts: hosts.clone(),
    };
    let Sockets { tls, http, admin: admins, listening, .. } = sockets;
    let doors = host::Doors { tls: tls.sender, http: http.sender, admin: admins.sender };
    let listeners = web::Listeners { tls: tls.listeners, http: http.listeners, admin: admins.listeners };
    let mut follower = Follower {
        host,
        state,
        listening,
        ports: config.relay.ports.clone(),
        tuning: config.relay.tuning,
        clock,
        shared: relaying.shared.clone(),
        shards: relaying.data_plane.addresses(),
        doors,
        ice: ice.clone(),
        degraded,
        refused: BTreeSet::new(),
    };
    follower.publish();
    let proxies = Arc::new(config.listen.trusted_proxies.clone());
    let tls = identity.zip(counted.tls.clone());
    let mut web = Web::open(listeners, &files, site, admin, tls, &relaying, &proxies, &phase.watch())?;
    let connections = web.connections.clone();
    supervisor.keep("heap", move || heap::return_after_floods(connections.clone(), clock));
    let follower = Arc::new(tokio::sync::Mutex::new(follower));
    supervisor.keep("addresses", move || host::follow(follower.clone()));
    reload.keep(renewal.is_some(), &supervisor);
    certificate::keep(renewal, hangups, clock, counted.tls.unwrap_or_default(), ice, hosts, &supervisor);
    watchdog::keep(relaying.data_plane.pulse(), &supervisor);
    startup_log.write();
    notify(&[NotifyState::Ready]);

    let outcome = shutdown::wait(signals, &mut relaying, &mut web, &phase, config.relay.drain).await;
    tracing::info!("stopping");
    phase.enter(Phase::Stopping);
    // Together: clients that come back again and again would always leave one more to wait for.
    tokio::join!(hub.connections().ended(), web.close());
    relaying.data_plane.stop();
    outcome
}

/// Whether the system has so many threads for this process.
fn threads_to_be_had(count: usize) -> io::Result<()> {
    let (release, wait) = mpsc::sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let parked = |_| {
        let wait = wait.clone();
        // Ends with the sender.
        thread::Builder::new().spawn(move || drop(wait.lock().map(|wait| wait.recv())))
    };
    let threads = (0..count).map(parked).collect::<Vec<_>>();
    drop(release);
    threads.into_iter().try_for_each(|thread| thread.map(|thread| drop(thread.join())))
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
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs the capability CAP_NET_BIND_SERVICE; the systemd unit grants it"
        }
        _ if is_shortage(error) => SHORTAGE,
        _ => "configure another address",
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::System { what, error }
}
