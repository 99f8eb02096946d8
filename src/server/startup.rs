//! The start in four phases: plan, bind, start, run. The server serves nothing before every socket
//! is bound.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::prng::Prng;
use sd_notify::NotifyState;
use tokio::sync::{Mutex, mpsc, watch};

use super::adapters::Adapters;
use super::admin_socket::AdminSockets;
use super::all_counters::{AllCounters, EventLosses, Shown};
use super::certificate::{self, Acme, CertificateParts};
use super::cluster::{self, NameEnds, NodeParts};
use super::host_addresses::{self, Follower, HostState, HostWatch};
use super::relay_socket_watch::RelaySocketWatch;
use super::relaying::Relaying;
use super::reload::{self, Hangups, ReloadParts, Step};
use super::secrets::{ServerSecrets, signing_tags};
use super::self_check::SelfCheck;
use super::shutdown::{self, Signals};
use super::sockets::{Files, Kind, Sockets};
use super::startup_log::StartupLog;
use super::status::{FactParts, facts};
use super::supervise::Supervisor;
use super::web::{self, Proxies, Web, WebParts};
use super::{ServerError, allowed_hosts, consumers, heap, notify, page_url, seed, signaling, watchdog};
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::config::Config;
use crate::events::EventSender;
use crate::http::Site;
use crate::http::admin::status::FactSource;
use crate::http::admin::{Admin, Health, OperatorRequests};
use crate::http::challenge_pages::ChallengePages;
use crate::http::check::PeerRules;
use crate::http::origin::Origins;
use crate::live::Live;
use crate::log::LogControl;
use crate::phase::{Phase, PhaseSender};
use crate::sessions::{Sessions, UsageTotals};
use crate::signaling::{ConnectionLimits, Hub};
use crate::tls::Certificate;
use crate::tls::renewal::{CertificateSource, Loaded, Renewal};
use crate::webhooks::{WebhookParts, Webhooks};

/// Phase one: everything that needs no socket.
pub(super) struct Plan {
    config: Config,
    /// The configuration before it was adapted to the machine, and its file.
    started: (Config, Option<PathBuf>),
    clock: Clock,
    supervisor: Supervisor,
    signals: Signals,
    hangups: Hangups,
    renewal: Renewal,
    log: LogControl,
    phase: PhaseSender,
}

impl Plan {
    /// Listens for signals, adapts the configuration to the machine, and loads the certificate.
    pub(super) fn new(
        mut config: Config,
        file: Option<PathBuf>,
        log: LogControl,
    ) -> Result<Self, ServerError> {
        let clock = Clock::start();
        for warning in config.secret_files.warnings() {
            tracing::warn!("{warning}");
        }
        log.counters().started.set(clock.now().unix);
        let supervisor = Supervisor::new(log.counters(), clock);
        let signals = Signals::listen()?;
        let hangups = Hangups::listen()?;
        if may_forget_ipv6(&config) {
            tracing::info!("this machine has no IPv6: ::1 is not used");
            forget_ipv6(&mut config);
        }
        let files = config.tls.as_ref().map(|tls| CertificateSource::Files(tls.files.clone()));
        let loaded = files.map(Loaded::read).transpose()?;
        let loaded = loaded.or_else(|| config.acme.as_ref().and_then(Loaded::of_acme));
        let started = (config.clone(), file);
        let (renewal, phase) = (Renewal::begin(loaded), PhaseSender::new());
        Ok(Self { config, started, clock, supervisor, signals, hangups, renewal, log, phase })
    }

    fn certificate(&self) -> Option<Arc<Certificate>> {
        self.renewal.identity().certificate()
    }

    /// Binds every socket, and determines the machine's addresses.
    pub(super) fn bind(mut self) -> Result<Bound, ServerError> {
        let sockets = Sockets::bind(&self.config, &self.config.relay.tuning)?;
        let admin_sockets = Arc::new(AdminSockets::bind(&self.config.listen.admin_sockets)?);
        let mut host = HostWatch::new(&self.config);
        let state = host.find(self.clock.now())?;
        host_addresses::tell(&state);
        let files = Files::shared_out(&sockets, &mut self.config);
        Ok(Bound { plan: self, sockets, admin_sockets, host, state, files })
    }
}

/// Phase two: every socket is bound, and none is served.
pub(super) struct Bound {
    plan: Plan,
    sockets: Sockets,
    admin_sockets: Arc<AdminSockets>,
    host: HostWatch,
    state: HostState,
    files: Files,
}

impl Bound {
    /// Starts the shards, the rooms, the pages and the background tasks, then logs the addresses.
    pub(super) fn start(self) -> Result<Running, ServerError> {
        let Self { plan, mut sockets, admin_sockets, host, state, files } = self;
        let plan_certificate = plan.certificate();
        let Plan { config, started, clock, supervisor, signals, hangups, renewal, log, phase } = plan;
        let certificate = plan_certificate.as_deref();
        let names = page_url::names(&config, certificate);
        let startup_log = StartupLog::of(&sockets, &config, &state, names.as_ref());
        let tls_listeners = sockets.listening.all(Kind::Tls);
        let page = Live::new(page_url::secure_page(names.as_ref(), &tls_listeners));

        let secrets = ServerSecrets::new(&config, phase.watch())?;
        let (events, [for_usage, for_timelines, for_webhooks]) = EventSender::to_consumers();
        let relaying = Relaying::start(&config, &mut sockets, &state, &files, &secrets, clock, &events)?;
        let totals = Arc::new(UsageTotals::new(clock.now().unix));
        consumers::keep("usage", for_usage, &supervisor, {
            let totals = totals.clone();
            move |event| totals.note(event)
        });
        let counted = AllCounters {
            relay: relaying.counters.clone(),
            signaling: Arc::default(),
            http: Arc::default(),
            access: secrets.access.load().counters.clone(),
            process: log.counters(),
            tls: Shown::new(config.tls.is_some() || config.acme.is_some()),
            #[cfg(feature = "acme")]
            acme: Shown::new(config.acme.is_some()),
            proxy: Shown::new(!config.listen.proxy_protocol.is_empty()),
            webhooks: Shown::new(config.webhooks.is_some()),
            cluster: Shown::new(config.cluster.is_some()),
            events: EventLosses(events.clone()),
        };
        let (webhooks, webhook_control) = Webhooks::new(WebhookParts {
            settings: config.webhooks.clone(),
            events: for_webhooks,
            random: Prng::new(&seed()?, "webhooks"),
            clock,
            counters: counted.webhooks.counters.clone(),
        });
        supervisor.keep("webhooks", move || webhooks.clone().run());

        let cluster = cluster::join(&config, &counted.cluster.counters, &relaying, &secrets, clock)?;
        let ice = signaling::ice(&config, names, &secrets);
        cluster::share_relays(cluster.as_ref(), &ice);
        let name_ends = NameEnds::new(cluster.as_ref(), &relaying, &secrets, &ice, clock);
        let tickets = Live::new(cluster::tickets(cluster.as_ref(), &config, &secrets)?);
        let hub = signaling::rooms(signaling::RoomParts {
            config: &config,
            ice: ice.clone(),
            secrets: &secrets,
            relaying: &relaying,
            cluster: cluster.as_ref(),
            name_ends: &name_ends,
            tickets: tickets.clone(),
            clock,
            counters: counted.signaling.clone(),
            phase: phase.watch(),
            events: events.clone(),
        })?;
        signaling::keep(&hub, for_timelines, &supervisor);
        let own_secrets = secrets.source().secrets(&config);
        let adapters = Adapters::new(hub.connections(), cluster.as_ref(), own_secrets, clock);
        cluster::listen(cluster.as_ref(), vec![cluster::rooms(&hub), Box::new(adapters.clone())]);

        let hosts =
            allowed_hosts::own(&config, certificate, relaying.shared.clone(), clock, counted.http.clone());
        let origins = Live::new(Origins::new(config.signaling.allowed_origins.clone()));
        let static_users = Live::new(static_names(&config));
        let drain = Live::new(config.relay.drain);
        let proxies = Proxies::new(&config, &counted.proxy.counters);
        let (degraded, troubles) = watch::channel(Vec::new());
        let (uncertified, without_certificate) = watch::channel(Vec::new());
        let line = Live::new(startup_log.listening().to_owned());
        let identity = renewal.identity();
        let challenges = ChallengePages::new(move |token| identity.challenges().page(token));
        let site = Site {
            clock,
            ice: ice.clone(),
            random: Arc::new(Prng::new(&seed()?, "names")),
            hub: hub.clone(),
            peerjs: adapters.peerjs.clone(),
            topics: adapters.topics.clone(),
            hosts: hosts.clone(),
            origins: origins.clone(),
            access: secrets.access.clone(),
            end_name: name_ends.of_credentials(),
            regions: cluster::regions(cluster.as_ref()),
            static_users: static_users.clone(),
            page: page.clone(),
            peers: PeerRules::new({
                let relay = relaying.shared.clone();
                move |ip| relay.relays_to(ip)
            }),
            challenges,
            counters: counted.http.clone(),
        };
        let admin = Admin {
            metrics: counted.metrics(),
            counters: counted.http.clone(),
            health: Health::new(relaying.data_plane.down()),
            degraded: vec![troubles, without_certificate],
            phase: phase.watch(),
            hosts: hosts.clone(),
            facts: FactSource::new(facts(FactParts {
                began: clock.now().unix,
                file: started.1.clone(),
                line: line.clone(),
                identity: renewal.identity(),
                allocations: relaying.allocations(),
                counters: relaying.counters.clone(),
                cluster: cluster::status(cluster.as_ref()),
            })),
            hub: hub.clone(),
            sessions: Sessions::new(relaying.allocations(), totals, events.clone()),
        };

        let Sockets { tcp, tls, http, admin: admins, listening, .. } = sockets;
        let accept_queues = host_addresses::AcceptQueues {
            tcp: tcp.sender,
            tls: tls.sender,
            http: http.sender,
            admin: admins.sender,
        };
        let told = state.troubles();
        let mut follower = Follower {
            host,
            state,
            listening,
            ports: config.relay.ports.clone(),
            tuning: config.relay.tuning,
            clock,
            shared: relaying.shared.clone(),
            shards: relaying.data_plane.updates(),
            accept_queues,
            ice: ice.clone(),
            degraded,
            refused: BTreeMap::new(),
            told,
            line,
            counters: relaying.counters.clone(),
            relay_sockets: RelaySocketWatch::default(),
        };
        follower.publish();
        let node = NodeParts {
            ice: ice.clone(),
            hub: hub.clone(),
            allocations: relaying.allocations(),
            phase: phase.watch(),
        };
        cluster::keep(cluster.as_ref(), node, &supervisor);
        let (ask_reload, reload_requests) = mpsc::channel(1);
        let tags = Live::new(signing_tags(&config));
        let parts = WebParts {
            listeners: web::WebListeners {
                tcp: tcp.listeners,
                tls: tls.listeners,
                http: http.listeners,
                admin: admins.listeners,
            },
            files,
            site,
            admin,
            tls: (renewal.identity(), counted.tls.counters.clone()),
            proxies: proxies.clone(),
            region_header: cluster::region_header(cluster.as_ref()),
            sockets: admin_sockets.clone(),
            requests: OperatorRequests { reload: ask_reload, tags: tags.clone() },
            phase: phase.watch(),
        };
        let web = Web::open(parts, &relaying)?;

        let connections = web.connections.clone();
        supervisor.keep("heap", move || heap::return_after_floods(connections.clone(), clock));
        let follower = Arc::new(Mutex::new(follower));
        let followed = follower.clone();
        supervisor.keep("addresses", move || host_addresses::follow(followed.clone()));
        let certificates = CertificateParts {
            renewal,
            clock,
            counters: counted.tls.counters.clone(),
            ice: ice.clone(),
            hosts: hosts.clone(),
            page,
            listeners: Live::new(tls_listeners),
            acme: Acme::new(config.acme.as_ref()),
        };
        certificate::keep(&certificates, &supervisor);
        #[cfg(feature = "acme")]
        certificate::keep_acme(&certificates, counted.acme.counters.clone(), uncertified, &supervisor)?;
        #[cfg(not(feature = "acme"))]
        drop(uncertified);
        let (source, joins) = (secrets.source(), Live::new(config.signaling.joins_per_second));
        let steps = vec![
            Step::new(&["credentials", "ice", "relay.public_addresses"], {
                let (ice, source) = (ice.clone(), source.clone());
                move |config| {
                    ice.configure(signaling::ice_settings(config, source.secrets(config)));
                    ice.public_at(&config.relay.public_addresses);
                }
            }),
            Step::new(&["realm", "credentials", "tokens", "ice", "signaling.joins_per_second"], {
                let (source, access) = (source.clone(), secrets.access.clone());
                move |config| match source.renewed(config, &access.load(), **joins.load()) {
                    Ok(renewed) => {
                        access.store(renewed);
                        joins.store(config.signaling.joins_per_second);
                    }
                    Err(error) => tracing::error!("reload: the rules of access are kept: {error}"),
                }
            }),
            Step::new(&["listen.trusted_proxies", "listen.proxy_protocol"], {
                let shown = counted.proxy.clone();
                move |config| {
                    proxies.configure(config);
                    shown.show(!config.listen.proxy_protocol.is_empty());
                }
            }),
            Step::new(&["tls", "acme"], {
                let shown = counted.tls.clone();
                move |config| shown.show(config.tls.is_some() || config.acme.is_some())
            }),
            #[cfg(feature = "acme")]
            Step::new(&["acme"], {
                let shown = counted.acme.clone();
                move |config| shown.show(config.acme.is_some())
            }),
            Step::new(&["acme"], {
                let certificates = certificates.clone();
                move |config| certificates.configure_acme(config.acme.as_ref())
            }),
            Step::new(&["ice.urls", "http", "acme"], {
                let hosts = hosts.clone();
                move |config| hosts.configure(allowed_hosts::configured(config))
            }),
            Step::new(&["signaling.allowed_origins"], move |config| {
                origins.store(Origins::new(config.signaling.allowed_origins.clone()));
            }),
            Step::new(&["realm", "webhooks"], {
                let shown = counted.webhooks.clone();
                move |config| {
                    shown.show(config.webhooks.is_some());
                    webhook_control.configure(config.webhooks.clone());
                }
            }),
            Step::new(&["log"], move |config| log.apply(&config.log)),
            Step::new(&["users"], move |config| static_users.store(static_names(config))),
            Step::new(&["credentials"], cluster::renewal(cluster.as_ref(), tickets, source.clone())),
            Step::new(&["credentials"], {
                let source = source.clone();
                move |config| adapters.peerjs.set_secrets(source.secrets(config))
            }),
            Step::new(&["relay.drain"], {
                let drain = drain.clone();
                move |config| drain.store(config.relay.drain)
            }),
            // After the rules of access, whose policy decides who is a host.
            Step::new(&["signaling", "ice.access"], {
                let hub = hub.clone();
                move |config| hub.configure(ConnectionLimits::of(config.signaling.settings))
            }),
            // Members learn of fresh credentials and URLs at once, rather than when theirs expire.
            Step::new(&["realm", "credentials", "ice", "relay.public_addresses"], {
                let hub = hub.clone();
                move |_| hub.renew_all()
            }),
        ];
        let mut self_check = SelfCheck::default();
        self_check.tell(&started.0, plan_certificate.as_deref(), clock.now().unix);
        let parts = ReloadParts {
            self_check,
            file: started.1,
            started: started.0,
            steps,
            follower,
            certificates,
            sockets: admin_sockets,
            secrets: source,
            allocations: relaying.allocations(),
            tags,
            adapt: Box::new(move |config| {
                if may_forget_ipv6(config) {
                    forget_ipv6(config);
                }
                files.limit(config);
            }),
            phase: phase.watch(),
        };
        reload::keep(parts, hangups, reload_requests, &supervisor);
        watchdog::keep(relaying.data_plane.pulse(), &supervisor);
        startup_log.write();
        notify(&[NotifyState::Ready]);
        Ok(Running { relaying, web, hub, cluster, signals, phase, drain })
    }
}

/// Phase three: everything is served.
pub(super) struct Running {
    relaying: Relaying,
    web: Web,
    hub: Arc<Hub>,
    cluster: Option<Cluster>,
    signals: Signals,
    phase: PhaseSender,
    /// Longest time that calls may continue after SIGTERM.
    drain: Live<Duration>,
}

impl Running {
    /// Phase four: waits for the shutdown, then ends everything.
    pub(super) async fn run(mut self) -> Result<(), ServerError> {
        let outcome =
            shutdown::wait(self.signals, &mut self.relaying, &mut self.web, &self.phase, &self.drain).await;
        tracing::info!("stopping");
        self.phase.enter(Phase::Stopping);
        // Concurrently: otherwise clients that reconnect repeatedly would prolong the wait.
        tokio::join!(self.hub.connections().ended(), self.web.close(), cluster::left(self.cluster.as_ref()));
        self.relaying.data_plane.stop();
        outcome
    }
}

/// Names of the static users.
fn static_names(config: &Config) -> BTreeSet<String> {
    config.users.iter().map(|user| user.name().to_owned()).collect()
}

/// Whether the embedded default names `::1` on a machine without IPv6.
fn may_forget_ipv6(config: &Config) -> bool {
    config.optional_ipv6 && !can_bind("::1".parse().expect("an address"))
}

fn forget_ipv6(config: &mut Config) {
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
