//! A server on loopback, an HTTP client that shows every byte, and a signaling client.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::HeaderName;
use byway::access::api_keys::ApiKeys;
use byway::access::names::Region;
use byway::access::tokens::{self, Tokens};
use byway::access::{Access, Policy};
use byway::clock::Clock;
use byway::events::{AllocationKey, Event, EventReceiver, EventSender};
use byway::http::HttpCounters;
use byway::http::admin::status::{FactSource, ServerFacts};
use byway::http::admin::{Admin, Health};
use byway::http::challenge_pages::ChallengePages;
use byway::http::check::PeerRules;
use byway::http::limits::{HttpLimits, Protocol};
use byway::http::origin::Origins;
use byway::http::own_hosts::OwnHosts;
use byway::http::serve::{Pages, serve};
use byway::http::{Site, admin_router, public_router};
use byway::ice::{Endpoints, IceServers, IceSettings, TransportPolicy};
use byway::live::Live;
use byway::metrics::Metrics;
use byway::net::accept::ListenerQueue;
use byway::net::accept::Stopping;
use byway::net::connection_limit::{ConnectionLimiter, PER_ADDRESS};
use byway::net::trusted_proxies::TrustedProxies;
use byway::origin::HostPattern;
use byway::phase::{Phase, PhaseSender};
use byway::sessions::{AllocationSource, LiveAllocation, Sessions, Unanswered, UsageTotals};
use byway::signaling::peerjs::PeerJs;
use byway::signaling::y_webrtc::Topics;
use byway::signaling::{ConnectionLimits, SignalingCounters, SignalingSettings};
use byway::signaling::{Hub, HubParts, SignalingConnections, Tickets};
use byway_test_support::process::http::Answer;
use byway_turn::auth::Revocations;
use byway_turn::auth::Secrets;
use byway_turn::prng::Prng;
use byway_turn::rate_limit::KeyedRateLimiter;
use futures_util::future::{BoxFuture, FutureExt as _, ready};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::{Error, Message};

/// No allocations: these servers have no relay.
struct NoRelay;

impl AllocationSource for NoRelay {
    fn list(&self) -> BoxFuture<'_, Result<Vec<LiveAllocation>, Unanswered>> {
        ready(Ok(Vec::new())).boxed()
    }

    fn end(&self, _: AllocationKey) -> BoxFuture<'_, Result<bool, Unanswered>> {
        ready(Ok(false)).boxed()
    }
}

/// Waits for `event`, for as long as an honest server on a busy machine could need.
pub(crate) async fn within<T>(event: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), event).await.expect("happens within 20 s")
}

/// API key of programs.
pub(crate) const API_KEY: &str = "a-key-for-programs";

/// URLs of the relay for a client of this region; none = this server's own.
pub(crate) type ChooseRelay = fn(Option<&Region>) -> Option<Vec<String>>;

/// Settings that a test may change.
pub(crate) struct Settings {
    pub(crate) max_rooms: usize,
    pub(crate) max_members: usize,
    pub(crate) max_viewers: usize,
    pub(crate) max_queued: usize,
    pub(crate) connections: usize,
    pub(crate) connections_per_address: usize,
    pub(crate) head_within: Duration,
    pub(crate) keep_alive: Duration,
    pub(crate) memory: usize,
    pub(crate) idle_after: Duration,
    pub(crate) ping_every: Duration,
    pub(crate) ttl: Duration,
    pub(crate) resume_window: Duration,
    pub(crate) joins_per_second: u32,
    pub(crate) access: Policy,
    /// URL of the page under the name of a certificate.
    pub(crate) page: Option<&'static str>,
    /// Choice of the relay, as in a cluster.
    pub(crate) relays: Option<ChooseRelay>,
    /// Field in which a trusted proxy names a client's region.
    pub(crate) region_header: Option<&'static str>,
}

impl Settings {
    /// Settings for most tests: nothing is limited, and a lost member has left.
    pub(crate) const DEFAULT: Self = Self {
        max_rooms: 100,
        max_members: 8,
        max_viewers: 3,
        max_queued: usize::MAX,
        connections: 100,
        connections_per_address: PER_ADDRESS,
        head_within: Duration::from_secs(5),
        keep_alive: Duration::from_secs(75),
        memory: 64 << 20,
        idle_after: Duration::from_secs(60),
        ping_every: Duration::from_secs(30),
        ttl: Duration::from_secs(600),
        resume_window: Duration::ZERO,
        joins_per_second: 0,
        access: Policy::Open,
        page: None,
        relays: None,
        region_header: None,
    };
}

/// The public and the admin pages on free ports, until dropped.
pub(crate) struct Server {
    pub(crate) http: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) hub: Arc<Hub>,
    pub(crate) revocations: Arc<Revocations>,
    pub(crate) access: Live<Access>,
    /// The users that the relay was told to end.
    pub(crate) ended: Arc<Mutex<Vec<String>>>,
    events: Mutex<EventReceiver>,
    /// Phase of access and health alone, so that a test can inspect members while the server
    /// rejects new ones.
    pub(crate) access_phase: PhaseSender,
    /// Phase of the public pages and of signaling.
    phase: PhaseSender,
    pages: Pages,
    broken: Arc<AtomicBool>,
    public: JoinHandle<()>,
    operator: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with(Settings::DEFAULT).await
    }

    /// Events since the last call.
    pub(crate) fn events(&self) -> Vec<Event> {
        let mut events = self.events.lock().unwrap();
        std::iter::from_fn(|| events.try_recv().ok()).map(|timed| timed.event).collect()
    }

    /// Whether credentials under this name are good.
    pub(crate) fn is_good(&self, user: &str) -> bool {
        self.revocations.is_good(Clock::start().now(), user)
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        let clock = Clock::start();
        let (signaling_counters, counters) =
            (Arc::<SignalingCounters>::default(), Arc::<HttpCounters>::default());
        let metrics = Metrics::new(vec![signaling_counters.clone(), counters.clone()]);
        let random = Arc::new(Prng::new(&[7; 32], "names"));
        let ice = IceSettings {
            urls: vec![],
            secrets: Secrets::new(&["north"]).unwrap(),
            ttl: settings.ttl,
            policy: TransportPolicy::All,
        };
        let endpoints = Endpoints { udp: vec!["127.0.0.1:3478".parse().unwrap()], ..Endpoints::default() };
        let ice = Arc::new(IceServers::new(ice, endpoints));
        if let Some(relays) = settings.relays {
            ice.choose_relays(Arc::new(relays));
        }
        let mut limits = ConnectionLimits::of(SignalingSettings {
            max_rooms: settings.max_rooms,
            max_members: settings.max_members,
            max_viewers: settings.max_viewers,
            max_message: 64 * 1024,
            resume_window: settings.resume_window,
        });
        (limits.idle_after, limits.ping_every) = (settings.idle_after, settings.ping_every);
        limits.max_queued = settings.max_queued;
        let token_keys = tokens::Settings { secrets: vec![], keys: None, audience: "byway.test".to_owned() };
        let ended = Arc::<Mutex<Vec<String>>>::default();
        let end_user = || {
            let ended = ended.clone();
            Box::new(move |user: &str| ended.lock().unwrap().push(user.to_owned()))
        };
        let (phase, access_phase) = (PhaseSender::new(), PhaseSender::new());
        let draining = access_phase.watch();
        let access = Live::new(Access {
            policy: settings.access,
            tokens: Tokens::new(&token_keys, &["north"]).unwrap(),
            api_keys: ApiKeys::new(&[API_KEY]),
            limiter: Arc::new(KeyedRateLimiter::new(settings.joins_per_second, Duration::from_secs(10), 7)),
            is_draining: Arc::new(move || draining.has_reached(Phase::Draining)),
            counters: Arc::default(),
        });
        let revocations = Arc::new(Revocations::new(&[8; 32]));
        let (sender, [events]) = EventSender::to_consumers();
        let hub = Arc::new(Hub::new(HubParts {
            connections: Arc::new(SignalingConnections::new(
                limits,
                clock,
                signaling_counters,
                phase.watch(),
            )),
            ice: ice.clone(),
            revocations: revocations.clone(),
            access: access.clone(),
            end_user: end_user(),
            count_user: Box::new(|_| 0),
            events: sender,
            tickets: Live::new(Tickets::of_process(&[9; 32])),
            node: None,
        }));
        tokio::spawn({
            let hub = hub.clone();
            async move { hub.give_up_the_absent().await }
        });
        let configured = vec![HostPattern::parse("call.example.org").unwrap()];
        let hosts = Arc::new(OwnHosts::new(configured, |_| false, clock, counters.clone()));
        let site = Site {
            clock,
            ice,
            random,
            hub: hub.clone(),
            peerjs: Arc::new(PeerJs::new(hub.connections().clone(), None)),
            topics: Arc::new(Topics::new(hub.connections().clone(), None)),
            hosts: hosts.clone(),
            origins: Live::new(Origins::new(vec!["https://app.example.com".parse().unwrap()])),
            access: access.clone(),
            end_name: {
                let (end_user, revocations) = (end_user(), revocations.clone());
                Box::new(move |name, until| {
                    revocations.revoke(clock.now(), name, until)?;
                    end_user(name);
                    Ok(())
                })
            },
            regions: Box::new(Vec::new),
            static_users: Live::default(),
            page: Live::new(settings.page.map(str::to_owned)),
            peers: PeerRules::default(),
            challenges: ChallengePages::default(),
            counters: counters.clone(),
        };
        let broken = Arc::new(AtomicBool::new(false));
        let shard = broken.clone();
        let health =
            Health::new(move || if shard.load(Relaxed) { vec!["shard 3".to_owned()] } else { vec![] });

        let (http, admin) = (listen().await, listen().await);
        let addresses = (http.local_addr().unwrap(), admin.local_addr().unwrap());
        let limits = HttpLimits {
            head_within: settings.head_within,
            idle_within: settings.keep_alive,
            memory: settings.memory,
            ..HttpLimits::default()
        };
        let limiter = ConnectionLimiter::new(
            settings.connections,
            settings.connections_per_address,
            counters.connections.clone(),
        );
        let proxies = TrustedProxies::new(vec!["172.18.0.0/16".parse().unwrap()]);
        let pages = Pages::new(public_router(site), limits, counters.clone())
            .behind(Live::new(proxies))
            .with_region_header(settings.region_header.map(HeaderName::from_static));
        let public = serve(only(http), pages.clone(), limiter, None, phase.watch());
        // Its own counters: a test counts what it does on the public pages.
        let operator = Pages::new(
            admin_router(Admin {
                metrics,
                counters: counters.clone(),
                health,
                degraded: vec![watch::channel(Vec::new()).1],
                phase: access_phase.watch(),
                hosts,
                facts: FactSource::new(ServerFacts::default),
                hub: hub.clone(),
                sessions: Sessions::new(NoRelay, Arc::new(UsageTotals::new(0)), EventSender::default()),
            }),
            HttpLimits::default(),
            Arc::default(),
        );
        let everyone = ConnectionLimiter::new(usize::MAX, usize::MAX, Arc::default());
        let operator = serve(only(admin), operator, everyone, None, access_phase.watch());
        Self {
            http: addresses.0,
            admin: addresses.1,
            hub,
            revocations,
            access,
            ended,
            events: Mutex::new(events),
            phase,
            access_phase,
            pages,
            broken,
            public: tokio::spawn(public),
            operator: tokio::spawn(operator),
        }
    }

    /// Returns one metric of `/metrics`.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let page = get(self.admin, "/metrics", &[]).await;
        let value =
            page.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.unwrap_or_else(|| panic!("{name}"))
    }

    /// Sends this request on a connection from any address, as the network would show it to the
    /// server.
    pub(crate) async fn asked_from(&self, client: &str, request: &str) -> Answer {
        let limiter = ConnectionLimiter::new(1, 1, Arc::default());
        let mut connection = self.connection_from(client, &limiter);
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        within(connection.read_to_end(&mut answer)).await.unwrap();
        Answer::parse(&answer)
    }

    /// A connection from any address, with a place among these.
    pub(crate) fn connection_from(&self, client: &str, limiter: &Arc<ConnectionLimiter>) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (pages, client) = (self.pages.clone(), SocketAddr::new(client.parse().unwrap(), 40_000));
        let place = limiter.admit(client.ip()).unwrap();
        tokio::spawn(async move {
            let (phase, open) = (PhaseSender::new(), watch::Sender::new(()));
            let stopping = Stopping::new(phase.watch(), &open);
            pages.connection(theirs, client, Protocol::Http, place, stopping).await;
        });
        ours
    }

    pub(crate) fn break_shard(&self) {
        self.broken.store(true, Relaxed);
    }

    /// Waits until `/metrics` has this line.
    pub(crate) async fn until(&self, line: &str) {
        within(async {
            while !get(self.admin, "/metrics", &[]).await.text().lines().any(|found| found == line) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stops as the composition root does, and waits until everything has.
    pub(crate) async fn shut_down(&mut self) {
        self.phase.enter(Phase::Stopping);
        self.hub.connections().ended().await;
        (&mut self.public).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.operator.abort();
    }
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(address, &format!("GET {path}"), headers).await
}

/// Asks on a connection of its own. `line` is method and target; the target goes out as it is
/// written.
pub(crate) async fn request(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Answer {
    request_with(address, line, headers, "").await
}

/// The same with a body.
pub(crate) async fn request_with(
    address: SocketAddr,
    line: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    send(
        address,
        &format!("{line} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{length}{headers}\r\n{body}"),
    )
    .await
}

/// Sends this text on a connection of its own, which the server has to end.
pub(crate) async fn send(address: SocketAddr, request: &str) -> Answer {
    let answer = within(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A refused head may end in a reset behind the answer.
        while stream.read_buf(&mut answer).await.is_ok_and(|read| read > 0) {}
        answer
    })
    .await;
    Answer::parse(&answer)
}

/// A connection with a receive buffer that fills soon.
async fn small(server: &Server) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.connect(server.http).await.unwrap()
}

/// A signaling client.
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
    /// Heard while waiting for something else.
    heard: VecDeque<Value>,
}

impl Client {
    pub(crate) async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.http).await.unwrap();
        Self::over(stream, server, "/ws", &["byway.v1"]).await
    }

    /// With a receive buffer that fills soon.
    pub(crate) async fn connect_with_small_buffer(server: &Server) -> Self {
        Self::over(small(server).await, server, "/ws", &["byway.v1"]).await
    }

    /// One that speaks another protocol, and names none.
    pub(crate) async fn at(server: &Server, path: &str) -> Self {
        Self::over(TcpStream::connect(server.http).await.unwrap(), server, path, &[]).await
    }

    /// The same with a receive buffer that fills soon.
    pub(crate) async fn at_with_small_buffer(server: &Server, path: &str) -> Self {
        Self::over(small(server).await, server, path, &[]).await
    }

    /// One that a reverse proxy on this machine speaks for.
    pub(crate) async fn proxied(server: &Server, path: &str, client: &str) -> Self {
        Self::with_header(server, path, "x-forwarded-for", client).await
    }

    /// One with a field by a reverse proxy on this machine.
    pub(crate) async fn with_header(server: &Server, path: &str, name: &'static str, value: &str) -> Self {
        let mut request = format!("ws://{}{path}", server.http).into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let stream = TcpStream::connect(server.http).await.unwrap();
        let (socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        Self { socket, heard: VecDeque::new() }
    }

    async fn over(stream: TcpStream, server: &Server, path: &str, protocols: &[&str]) -> Self {
        let mut request = format!("ws://{}{path}", server.http).into_client_request().unwrap();
        for protocol in protocols {
            request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        }
        let (socket, _) = within(tokio_tungstenite::client_async(request, stream)).await.unwrap();
        Self { socket, heard: VecDeque::new() }
    }

    /// Only opens a connection; the status of the refusal if it is refused.
    pub(crate) async fn open(server: &Server, headers: &[(&'static str, &str)]) -> Result<Response, u16> {
        Self::open_at(server, "/ws", headers).await.map_err(|refusal| refusal.status().as_u16())
    }

    /// The same at another path; the refusal, which is a problem, if it is refused.
    pub(crate) async fn open_at(
        server: &Server,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Response, Response> {
        let mut request = format!("ws://{}{path}", server.http).into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(server.http).await.unwrap();
        match within(tokio_tungstenite::client_async(request, stream)).await {
            Ok((_, response)) => Ok(response),
            Err(Error::Http(response)) => {
                let kind = response.headers().get("content-type").unwrap();
                assert_eq!(kind, "application/problem+json");
                Err(*response)
            }
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn send(&mut self, message: Message) {
        within(self.socket.send(message)).await.unwrap();
    }

    pub(crate) async fn say(&mut self, text: &str) {
        self.send(Message::Text(text.into())).await;
    }

    /// Says something to a server that may have stopped listening.
    pub(crate) async fn try_say(&mut self, text: &str) {
        let _ = self.socket.send(Message::Text(text.into())).await;
    }

    /// One text message in several frames.
    pub(crate) async fn send_fragments(&mut self, fragments: &[&[u8]]) {
        for (i, fragment) in fragments.iter().enumerate() {
            let opcode = OpCode::Data(if i == 0 { Data::Text } else { Data::Continue });
            let frame = Frame::message(fragment.to_vec(), opcode, i + 1 == fragments.len());
            self.send(Message::Frame(frame)).await;
        }
    }

    /// Bytes that need not be WebSocket.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        self.socket.get_mut().write_all(bytes).await.unwrap();
    }

    /// The next message.
    pub(crate) async fn hear(&mut self) -> Value {
        match self.heard.pop_front() {
            Some(message) => message,
            None => self.receive().await,
        }
    }

    /// The next message of this type; those before it are kept.
    pub(crate) async fn hear_type(&mut self, kind: &str) -> Value {
        if let Some(at) = self.heard.iter().position(|message| message["type"] == kind) {
            return self.heard.remove(at).unwrap();
        }
        loop {
            let message = self.receive().await;
            if message["type"] == kind {
                return message;
            }
            self.heard.push_back(message);
        }
    }

    /// Whether a message of this type was passed over by [`Self::hear_type`].
    pub(crate) fn has_heard(&self, kind: &str) -> bool {
        self.heard.iter().any(|message| message["type"] == kind)
    }

    pub(crate) async fn hear_error(&mut self, code: &str) {
        let error = self.hear().await;
        assert_eq!((&error["type"], &error["code"]), (&"error".into(), &code.into()), "{error}");
    }

    /// Joins a room and returns the id.
    pub(crate) async fn join(&mut self, room: &str) -> String {
        self.say(&serde_json::json!({"type": "join", "room": room}).to_string()).await;
        let joined = self.hear().await;
        assert_eq!(joined["type"], "joined", "{joined}");
        joined["id"].as_str().unwrap().to_owned()
    }

    /// Waits for the answer to a ping, or for the end.
    pub(crate) async fn pong(&mut self) {
        loop {
            match within(self.socket.next()).await {
                Some(Ok(Message::Pong(_))) | None | Some(Err(_)) => return,
                Some(Ok(Message::Text(text))) => self.heard.push_back(serde_json::from_str(&text).unwrap()),
                Some(Ok(_)) => {}
            }
        }
    }

    /// Asserts that the server is there and has nothing else to say first.
    pub(crate) async fn ping(&mut self) {
        self.say(r#"{"type":"ping"}"#).await;
        assert_eq!(self.hear().await, serde_json::json!({"type": "pong"}));
    }

    pub(crate) async fn close(&mut self, code: u16, reason: &'static str) {
        self.send(Message::Close(Some(CloseFrame { code: code.into(), reason: reason.into() }))).await;
    }

    /// Code and reason of the server's close frame, which must be next.
    pub(crate) async fn closed(&mut self) -> (u16, String) {
        loop {
            match within(self.socket.next()).await.expect("a close frame").expect("a close frame") {
                Message::Close(Some(CloseFrame { code, reason })) => {
                    return (code.into(), reason.to_string());
                }
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    async fn receive(&mut self) -> Value {
        loop {
            match within(self.socket.next()).await.expect("a message").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

/// One listener, there from the start.
fn only(listener: TcpListener) -> ListenerQueue {
    let (sender, listeners) = mpsc::unbounded_channel();
    sender.send(listener.into()).unwrap();
    listeners
}

/// Asks, with the number of the attempt, until an answer is an error. It has to be `rate-limited`
/// with a pause of about a second, and to come within a minute's worth of attempts.
pub(crate) async fn is_throttled(mut ask: impl AsyncFnMut(usize) -> Value) {
    for n in 0..60 {
        let answer = ask(n).await;
        if answer["type"] == "error" {
            assert_eq!(answer["code"], "rate-limited");
            assert!((1..=1_001).contains(&answer["retry_ms"].as_u64().unwrap()), "{answer}");
            return;
        }
    }
    panic!("within a minute's worth");
}
