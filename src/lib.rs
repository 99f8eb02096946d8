//! Byway: a STUN server, a TURN relay, signaling and ICE configuration in one process, for calls
//! between browsers.
//!
//! # Architecture
//!
//! The code has three rings. Each ring knows only the rings within it.
//!
//! 1. **Protocol, pure.** May know bytes, values and a `Now` that the caller hands in: no socket,
//!    no tokio, no clock, no global randomness.
//!    - The package `byway-turn`: the relay's core, without I/O.
//!    - The package `byway-udp`: batched sockets, which know no protocol.
//!    - [`access`]: policy, join tokens, API keys, names and the rate limit.
//!    - [`ice`]: STUN and TURN URLs and credentials for clients.
//!    - [`tls::CertificateNames`]: names of a certificate.
//!    - `tls::acme::{schedule, reverse_name}`: times of renewals, and names of addresses.
//!    - [`origin`]: hosts, authorities and origins as values.
//!    - [`cluster`], of which `status`, `message`, `nodes`, `choice`, `regions`, `revocation_log`
//!      and `credentials`.
//!    - `signaling`, of which `protocol`, `codes`, `schema`, `room`, `shared_rooms`, `membership`,
//!      `ticket`, `timeline`, `flood_guard`, `directory`, `peerjs::*` and `y_webrtc::*`.
//! 2. **Drivers.** May know sockets, threads and tokio.
//!    - [`shard`]: threads that relay over UDP, TCP and TLS.
//!    - `signaling::{connection, session, hub, send_queue, neighbours, peerjs, y_webrtc}`
//!    - [`http`]: routes for pages, credentials and health checks.
//!    - [`tls`]: certificates and handshakes.
//!    - [`tls::acme`]: certificates from an ACME authority.
//!    - [`net`]: accept loops, connection limits, PROXY headers, addresses of the machine, and the
//!      HTTPS client.
//!    - [`webhooks`]: signed requests to a URL of the operator.
//!    - `cluster::bus`: connection to the broker that joins several servers.
//! 3. **Composition.** May know everything.
//!    - [`server`]: composition root, which also applies what changes later. `reload` changes
//!      settings, `listener_changes` listeners, `host_addresses` addresses of the machine, and
//!      `certificate` the certificate. `admin_socket` takes the operator's requests.
//!    - [`config`]: parser of `turnserver.toml`.
//!    - [`cli`] with the commands. `init` and `import` write a configuration. `reload`, `health`,
//!      `status` and `top` ask the running server. `doctor` examines the whole installation.
//!    - `main.rs`
//!
//! These rooms stand beside the rings:
//!
//! - [`clock`]: the only room that reads a clock.
//! - [`live`]: values that a reload replaces.
//! - [`bounded`]: lists of a bounded length in JSON that others wrote.
//! - [`phase`]: the one signal for shutdown.
//! - [`events`]: begin and end of rooms and allocations, for those who record them.
//! - [`diagnosis`]: findings about an installation, from facts that are handed in.
//! - [`sessions`]: traffic of the clients, by allocation and by user, for the operator.
//! - [`fault`]: names of faults, which log, commands, pages and documentation share.
//! - [`metrics`]: the page that shows the counters. Each room owns its counters.
//! - [`log`](mod@log): the log. It drops lines rather than delay a caller. A reload changes its
//!   format and levels.
//! - [`operator_file`]: reads the files that an operator names.
//!
//! [`config`] parses into settings that the rooms own. No room of the inner rings imports it.
//! `MAY_IMPORT` in `tests/tidy/main.rs` lists the imports that each room may have.
//!
//! | package | holds | guarantee of its manifest |
//! |---|---|---|
//! | `crates/turn` | core: wire, auth, server, rate limits | no socket, runtime or unsafe code |
//! | `crates/udp` | batches: GRO, GSO, `recvmmsg`, `sendmmsg` | the only unsafe code |
//! | `crates/page` | linker: `static/` as one document, for the build script | no dependency |
//! | `packaging` | man pages, completions, licence notices | not part of the binary |
//! | `tests/support` | helpers of tests and benches | not part of the product |
//!
//! ## Path of a datagram
//!
//! ```text
//!           ┌───────────── a shard: one thread, one Relay, no lock ─────────────┐
//! client ──►│ Inbox ──► Relay::client_datagram ──► Action::ToPeer ──► Outbox    │──► peer
//!        ◄──│ Outbox ◄── wire::Header ◄── Relay::peer_datagram ◄── Inbox        │◄──
//!           └───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`shard`] lists the steps, each with its function.
//!
//! Datagrams travel in batches. On receipt the kernel joins those of one flow (GRO), and the core
//! inspects each. Those with the same destination leave as one message, which the kernel or a
//! device segments (GSO). The cost of a relay is trips through the network stack, not bytes or
//! system calls. Where neither the kernel nor a device supports this, datagrams go one by one, and
//! `byway_offload` and related metrics report it. `docs/performance.md` has the figures.
//!
//! No payload is copied: it stays a span of the inbox until the outbox is flushed, and its new
//! header stands beside it.
//!
//! In each round a shard serves its listeners first, then some of the other sockets. Each gets a
//! bounded number of batches, so a greedy flow delays the others by a bounded time and cannot
//! starve them. If a socket's send buffer is full, the datagram is dropped and counted.
//!
//! The kernel pins a client's 4-tuple to one shard by `SO_REUSEPORT`. When the peer is itself a
//! relay port of this server, perhaps on another shard, the shard looks its
//! [route](byway_turn::server) up in memory. The payload then goes straight from one listener to
//! the other client. Two clients that both force the relay thus cost one trip through the kernel,
//! not two.
//!
//! A client's TCP connection lives on one shard, polled beside its datagram sockets and served by
//! the same core. Messages to the client gather during a round and leave together. Messages from
//! another shard arrive through the mailbox of the connection's shard.
//!
//! Behind a proxy, a connection begins with the client's address
//! ([`net::proxy_protocol`]). A TCP listener of TURN then has an accept loop, which reads it and
//! hands the connection to a shard. Everything behind it knows the client's address alone.
//!
//! The TLS port serves HTTPS, WSS and TURN. [`tls`] performs the handshakes on a thread of its own
//! and detects the protocol. It hands TURN connections to a shard, with the bytes that are
//! decrypted by then.
//!
//! [`tls::acme`] gets the certificate and renews it, if the configuration says so. Its task sleeps
//! until something is due, and holds no connection, roots or account meanwhile. The authority
//! checks the names on the TLS port itself. Until the first certificate is there, handshakes fail,
//! `/healthz` says why, and everything else is served.
//!
//! The DSCP and ECN of a datagram go with its payload beside the core, which never sees them. ICMP
//! errors about a peer go through the core and reach the client as a Data indication.
//!
//! ## Start of a call
//!
//! 1. The page opens `/ws` and `join`s a room. It presents a join token where [`access`] requires
//!    one, and stays within the [rate limit](byway_turn::rate_limit) of its address.
//! 2. It gets an [`ice::IceConfiguration`] with a fresh credential under the name `room.member`,
//!    and the peers in the room.
//! 3. Offers, answers and candidates travel as `signal`, whose contents the server never inspects.
//! 4. Media goes directly or over the relay.
//! 5. Before the credential expires the server sends the page a new one. The page moves its relayed
//!    paths to it.
//!
//! A lost connection does not end the membership. The member stays in its room for a while, and the
//! server keeps the signals for it. A client that returns with the membership's ticket gets each of
//! them once and in order. `docs/signaling.md` specifies the protocol, `docs/client.md` documents
//! the browser's module.
//!
//! In a cluster a room may have members on several servers. One of them owns it and decides, and
//! the others have replicas (`signaling::shared_rooms`).
//!
//! The server also speaks two protocols of other projects, PeerJS and y-webrtc
//! (`docs/adapters.md`). In a [`cluster`], their ids and topics span the nodes. [`http`] issues
//! credentials in the formats of other services (`docs/ice.md`). All of them ask [`access`] for
//! permission.
//!
//! ## End of a call
//!
//! When a member leaves, is removed or was lost for too long, the server
//! [revokes](byway_turn::auth::Revocations) its name. From then on the relay refuses its
//! credentials, and a message to each shard ends the allocations made with them.
//!
//! On shutdown the server sends members away without revoking their names, refuses new clients, and
//! waits for the existing allocations to end.
//!
//! ## Changes of the machine's addresses
//!
//! The machine's addresses can change at any time. [`server`] reads them four times a second
//! ([`net::interfaces`]). It passes changes to the relay
//! ([`byway_turn::server::Shared::set_host_addresses`]), every shard, `/ice`, `/healthz` and the
//! log. A shard then ends what the rules forbid now ([`byway_turn::server::Relay::enforce`]). A
//! rule is evaluated when a channel is bound, and again when the addresses behind it change.
//!
//! ## Reload
//!
//! SIGHUP and `byway reload` make [`server`] read the configuration again. The command asks through
//! a Unix socket, which serves root and the server's own user only. The server first does what may
//! fail: it parses the file, loads the certificate and binds added listeners. Then each part takes
//! its settings as a whole. Requests read them from a [`live::Live`] or from the relay's
//! [rules](byway_turn::server::Rules), without a lock. Shards learn by messages which listeners
//! come and go, and enforce rules that have changed. [`config::KEYS`] says which keys need a
//! restart.
//!
//! # Invariants
//!
//! 1. Only [`clock`] reads a clock. A shard reads it once per round of datagrams.
//! 2. Only [`server`] draws randomness from the system. All other code is handed a seed, so that
//!    simulations replay. TLS is the exception: it uses its library's.
//! 3. There is one of each:
//!    - parser of STUN input ([`byway_turn::wire::Message`]),
//!    - parser of configuration ([`config`]),
//!    - policy for peers ([`byway_turn::server::PeerPolicy`]),
//!    - timer for expiry (a wheel),
//!    - source of ICE configurations ([`ice`]).
//! 4. An unauthenticated client leaves no state. Before MESSAGE-INTEGRITY has passed, nothing is
//!    stored and nothing is allocated per source.
//! 5. Between receiving and sending a datagram a shard takes no lock, allocates no heap memory,
//!    copies no payload and crosses to no other thread. A shard has no `.await` at all.
//! 6. A late timer extends nothing: every look-up checks expiry itself.
//! 7. A send error for one peer ends neither its allocation nor its shard.
//! 8. Secrets, passwords and tokens never appear in a log or `Debug` output. Client addresses are
//!    never logged above debug. Labels of metrics come from closed sets.
//! 9. Unsafe code exists only in `byway-udp`, and each block states its reason.
//! 10. `http` and `signaling` never import `byway_turn::server` or `shard`. Only
//!     `server::tls_listener` knows both sides. `tests/tidy/main.rs` enforces these rules.
//!
//! # Tests
//!
//! - `crates/turn/tests/core`, `crates/turn/tests/wire`: the core in virtual time, beside an
//!   independent model. They show the effect of each datagram, to the byte.
//! - `tests/server`: the binary, on loopback. They show what an unauthenticated client can do.
//! - `tests/rooms.rs`: the pure rooms, by seeds. It shows that no signal crosses a room, arrives
//!   twice or is lost, whatever breaks.
//! - `tests/server/reload`: the binary. They show that each setting changes while calls go on, that
//!   a broken file changes nothing, and that relayed flows lose no datagram.
//! - `tests/server/operator_view.rs`: the binary. It shows that an operator sees the users of the
//!   server, that others change nothing, and that a server that hangs or lies does not stop
//!   `byway top`.
//! - `tests/server/{init,import}`: the binary. They show which configurations the commands write,
//!   and that none overwrites settings.
//! - `tests/server/{revocation,shutdown}`: the binary. They show that a revoked member relays no
//!   more, and that calls may end before the server does.
//! - `tests/server/ice`, `tests/e2e/clients`: the binary, with clients of twilio, Janus and others.
//!   They show which clients get credentials, and that each gets them in the format it knows.
//! - `tests/server/trains`, `tests/no_heap`: the binary, and a data plane under a counting
//!   allocator. They show that batching changes no datagram, order or turn, and that a packet
//!   allocates nothing on the heap.
//! - `tests/privileged`: coturn's clients, HAProxy, nginx, the ACME authority pebble, and other
//!   machines as namespaces. They show interoperability.
//! - `tests/e2e/browser`: Chromium and Firefox. They show that a person can make a call.
//! - `tests/e2e/vps`: a bare machine with systemd. It shows that README's commands lead to a call.
//! - `tests/e2e/faults`: faults of real life, one at a time. They show which part of the product
//!   names each of them: `docs/faults.md`.
//! - `tests/e2e/cluster`: browsers in a call across two of three nodes. They show what callers see
//!   while the broker and nodes fail: the fault table of `docs/cluster.md`.
//! - `crates/turn/benches/instructions.rs`: callgrind. It shows that a packet costs no more
//!   instructions than recorded. `crates/turn/benches/core.rs` times them.
//! - `benches/{relay,signaling}`: beside coturn and `peerjs-server`. They measure the cost of a
//!   packet, a room and an idle WebSocket.
//! - `tests/e2e/lab`: browsers and other clients behind NATs and firewalls of every kind, with
//!   Byway and with coturn. They show the result for users: `docs/nat-results.md`.
//!
//! The Rust tests share the helpers in `tests/support`, a package of its own.
//!
//! # What is absent
//!
//! - Relaying inside the kernel (XDP). `ChannelBound` and `ChannelUnbound` of
//!   [`byway_turn::server::Effect`] are the seam for it.
//! - RFC 6062 (TCP allocations), RFC 7635 (OAuth) and DTLS.
//! - PADDING and RESPONSE-PORT of RFC 5780. The server refuses them, because unauthenticated
//!   clients would flood third parties with them.
//! - Rooms, memberships and revocations on disk. They live in one process and end with it. A server
//!   writes files in [`tls::acme`] only: its account, and the certificate with its key.
//! - Rooms, quotas and figures shared between servers. Servers of one realm with the same secrets
//!   accept each other's credentials and join tokens. In a [`cluster`] they share relays and
//!   revocations, and nothing else.
//! - Revocation of a single join token: only a new secret invalidates one.
//!
//! `docs/protocol-coverage.md` lists the state of every RFC section, each with its test.

pub mod access;
pub mod bounded;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod diagnosis;
pub mod events;
pub mod fault;
pub mod http;
pub mod ice;
pub mod live;
pub mod log;
pub mod metrics;
pub mod net;
pub mod operator_file;
pub mod origin;
pub mod phase;
pub mod server;
pub mod sessions;
pub mod shard;
pub mod signaling;
pub mod tls;
pub mod webhooks;
