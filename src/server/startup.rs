//! The start in four phases: plan, bind, start, run. The server serves nothing before every socket
//! is bound.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::prng::Prng;
use sd_notify::NotifyState;
use tokio::sync::{Mutex, watch};

use super::all_counters::AllCounters;
use super::certificate::{self, CertificateParts};
use super::host_addresses::{self, Follower, HostState, HostWatch};
use super::relaying::Relaying;
use super::reload::{Hangups, Reload};
use super::secrets::ServerSecrets;
use super::shutdown::{self, Signals};
use super::sockets::{Files, Kind, Sockets};
use super::startup_log::StartupLog;
use super::supervise::Supervisor;
use super::web::{self, Web, WebParts};
use super::{ServerError, allowed_hosts, heap, notify, page_url, seed, signaling, watchdog};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::Site;
use crate::http::admin::{Admin, Health};
use crate::http::origin::Origins;
use crate::metrics::ProcessCounters;
use crate::phase::{Phase, PhaseSender};
use crate::signaling::Hub;
use crate::tls::renewal::Renewal;
use crate::tls::{Certificate, Identity};

/// Phase one: everything that needs no socket.
pub(super) struct Plan {
    config: Config,
    clock: Clock,
    supervisor: Supervisor,
    signals: Signals,
    reload: Reload,
    /// SIGHUP for the certificate.
    hangups: Hangups,
    renewal: Option<Renewal>,
    process: Arc<ProcessCounters>,
    phase: PhaseSender,
}

impl Plan {
    /// Listens for signals, adapts the configuration to the machine, and loads the certificate.
    pub(super) fn new(
        mut config: Config,
        file: Option<PathBuf>,
        process: Arc<ProcessCounters>,
    ) -> Result<Self, ServerError> {
        let clock = Clock::start();
        let supervisor = Supervisor::new(process.clone(), clock);
        let signals = Signals::listen()?;
        let reload = Reload::new(file, config.clone(), Hangups::listen()?);
        let hangups = Hangups::listen()?;
        if config.optional_ipv6 && !can_bind("::1".parse().expect("an address")) {
            forget_ipv6(&mut config);
        }
        let renewal = config.tls.take().map(|tls| Renewal::begin(tls.files)).transpose()?;
        let phase = PhaseSender::new();
        Ok(Self { config, clock, supervisor, signals, reload, hangups, renewal, process, phase })
    }

    fn identity(&self) -> Option<Arc<Identity>> {
        self.renewal.as_ref().map(Renewal::identity)
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.identity().map(|identity| identity.certificate())
    }

    /// Binds every socket, and determines the machine's addresses.
    pub(super) fn bind(mut self) -> Result<Bound, ServerError> {
        let sockets = Sockets::bind(&self.config, &self.config.relay.tuning)?;
        let mut host = HostWatch::new(&self.config);
        let state = host.find(self.clock.now())?;
        host_addresses::tell(None, &state);
        let files = Files::shared_out(&sockets, &mut self.config);
        Ok(Bound { plan: self, sockets, host, state, files })
    }
}

/// Phase two: every socket is bound, and none is served.
pub(super) struct Bound {
    plan: Plan,
    sockets: Sockets,
    host: HostWatch,
    state: HostState,
    files: Files,
}

impl Bound {
    /// Starts the shards, the rooms, the pages and the background tasks, then logs the addresses.
    pub(super) fn start(self) -> Result<Running, ServerError> {
        let Self { plan, mut sockets, host, state, files } = self;
        let (identity, certificate) = (plan.identity(), plan.certificate());
        let Plan { config, clock, supervisor, signals, reload, hangups, renewal, process, phase } = plan;
        let certificate = certificate.as_deref();
        let startup_log =
            StartupLog::of(&sockets, &config.relay.ports, &state, certificate, config.ice.access);
        let page = page_url::secure_page(certificate, &sockets.listening.all(Kind::Tls));

        let secrets = ServerSecrets::new(&config, phase.watch())?;
        let relaying = Relaying::start(&config, &mut sockets, &state, &files, &secrets, clock)?;
        let counted = AllCounters {
            relay: relaying.counters.clone(),
            signaling: Arc::default(),
            http: Arc::default(),
            process,
            tls: identity.as_ref().map(|_| Arc::default()),
        };

        let ice = signaling::ice(&config, certificate, &secrets);
        let hub = signaling::rooms(signaling::RoomParts {
            config: &config,
            ice: ice.clone(),
            secrets: &secrets,
            relaying: &relaying,
            clock,
            counters: counted.signaling.clone(),
            phase: phase.watch(),
        })?;
        signaling::keep(&hub, &supervisor);

        let hosts =
            allowed_hosts::own(&config, certificate, relaying.shared.clone(), clock, counted.http.clone());
        let (degraded, troubles) = watch::channel(Vec::new());
        let site = Site {
            clock,
            ice: ice.clone(),
            random: Arc::new(Prng::new(&seed()?, "names")),
            hub: hub.clone(),
            hosts: hosts.clone(),
            origins: Origins::new(config.signaling.allowed_origins.clone()),
            access: secrets.access,
            revocations: secrets.revocations,
            end_user: relaying.end_user(),
            page,
            counters: counted.http.clone(),
        };
        let admin = Admin {
            metrics: counted.metrics(),
            counters: counted.http.clone(),
            health: Health::new(relaying.data_plane.down()),
            degraded: troubles,
            phase: phase.watch(),
            hosts: hosts.clone(),
        };

        let Sockets { tls, http, admin: admins, listening, .. } = sockets;
        let accept_queues =
            host_addresses::AcceptQueues { tls: tls.sender, http: http.sender, admin: admins.sender };
        let mut follower = Follower {
            host,
            state,
            listening,
            ports: config.relay.ports.clone(),
            tuning: config.relay.tuning,
            clock,
            shared: relaying.shared.clone(),
            shards: relaying.data_plane.address_updates(),
            accept_queues,
            ice: ice.clone(),
            degraded,
            refused: BTreeSet::new(),
        };
        follower.publish();
        let parts = WebParts {
            listeners: web::WebListeners {
                tls: tls.listeners,
                http: http.listeners,
                admin: admins.listeners,
            },
            files,
            site,
            admin,
            tls: identity.zip(counted.tls.clone()),
            proxies: Arc::new(config.listen.trusted_proxies.clone()),
            phase: phase.watch(),
        };
        let web = Web::open(parts, &relaying)?;

        let connections = web.connections.clone();
        supervisor.keep("heap", move || heap::return_after_floods(connections.clone(), clock));
        let follower = Arc::new(Mutex::new(follower));
        supervisor.keep("addresses", move || host_addresses::follow(follower.clone()));
        reload.keep(renewal.is_some(), &supervisor);
        if let Some(renewal) = renewal {
            let counters = counted.tls.unwrap_or_default();
            certificate::keep(
                CertificateParts { renewal, hangups, clock, counters, ice, hosts },
                &supervisor,
            );
        }
        watchdog::keep(relaying.data_plane.pulse(), &supervisor);
        startup_log.write();
        notify(&[NotifyState::Ready]);
        Ok(Running { relaying, web, hub, signals, phase, drain: config.relay.drain })
    }
}

/// Phase three: everything is served.
pub(super) struct Running {
    relaying: Relaying,
    web: Web,
    hub: Arc<Hub>,
    signals: Signals,
    phase: PhaseSender,
    /// Longest time that calls may continue after SIGTERM.
    drain: Duration,
}

impl Running {
    /// Phase four: waits for the shutdown, then ends everything.
    pub(super) async fn run(mut self) -> Result<(), ServerError> {
        let outcome =
            shutdown::wait(self.signals, &mut self.relaying, &mut self.web, &self.phase, self.drain).await;
        tracing::info!("stopping");
        self.phase.enter(Phase::Stopping);
        // Concurrently: otherwise clients that reconnect repeatedly would prolong the wait.
        tokio::join!(self.hub.connections().ended(), self.web.close());
        self.relaying.data_plane.stop();
        outcome
    }
}

fn forget_ipv6(config: &mut Config) {
    tracing::info!("this machine has no IPv6: ::1 is not used");
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
