//! Byway: STUN, a TURN relay, signaling and ICE configuration in one process, so that browser calls
//! connect.
//!
//! # Architecture
//!
//! Three rings; each knows only the ones within.
//!
//! | ring | rooms | may know |
//! |---|---|---|
//! | protocol, pure | the packages `byway-turn` (the relay's core, without I/O) and `byway-udp` (batched sockets, which know no protocol); [`access`] (policy, join tokens, API keys, names, the rate limit), [`ice`], [`tls::CertificateNames`], [`origin`], `signaling::{protocol, codes, schema, room, membership, ticket, flood_guard, peerjs::*, y_webrtc::*}` | bytes, values, and a `Now` that is handed in: no socket, no tokio, no clock, no global randomness |
//! | drivers | [`shard`], `signaling::{connection, session, hub, send_queue, peerjs, y_webrtc}`, [`http`], [`tls`], [`net`] | sockets, threads, tokio |
//! | composition | [`server`], [`config`], [`cli`], `main.rs` | everything |
//!
//! Beside them stand [`clock`], the one place that reads a clock, [`phase`], the one signal of the
//! end, [`metrics`], counts that each room owns and one page shows, [`log`](mod@log), whose lines
//! may be lost and delay nobody, and [`operator_file`], which reads the files that an operator
//! names. [`config`] parses into settings that the rooms own, and no room knows it.
//!
//! | package | holds | held by its manifest |
//! |---|---|---|
//! | `crates/turn` | the relay's core: wire, auth, server, rate limits | no socket, no runtime, no unsafe code |
//! | `crates/udp` | batches of datagrams by GRO, GSO, `recvmmsg` and `sendmmsg` | the only unsafe code |
//! | `tests/support` | helpers of tests and benches | no part of the product |
//!
//! ## How a datagram goes
//!
//! ```text
//!           ┌───────────── a shard: one thread, one Relay, no lock ─────────────┐
//! client ──►│ Inbox ──► Relay::client_datagram ──► Action::ToPeer ──► Outbox    │──► peer
//!        ◄──│ Outbox ◄── wire::Header ◄── Relay::peer_datagram ◄── Inbox        │◄──
//!           └───────────────────────────────────────────────────────────────────┘
//! ```
//!
//! [`shard`] lists the steps, each with its function. Datagrams travel in batches: the kernel joins
//! those of one flow on receipt (GRO), the core looks at each, and those that go the same way leave
//! as one message, which the kernel takes apart (GSO), or a device does. A trip through the network
//! stack, not a byte or a system call, is what a relay pays for. Nothing is copied: a payload is a
//! span of the inbox until the outbox is flushed, and its new header stands beside it. Datagrams go
//! one by one where the kernel or a device can do neither; `byway_offload` and its neighbours in
//! the metrics say so. `docs/performance.md` has the figures.
//!
//! In each round listeners have their turn first, then some of the other sockets, each for a
//! bounded number of batches: one greedy flow delays the others by so much, and cannot starve them.
//! What a full socket does not take is dropped and counted.
//!
//! The kernel pins a client's 4-tuple to one shard by `SO_REUSEPORT`. When the peer is itself a
//! relay port of this server, perhaps on another shard, its [route](byway_turn::server) is looked
//! up in memory and the payload goes straight from one listener to the other client: two clients
//! that both force the relay cost one trip through the kernel, not two.
//!
//! A client's TCP connection lives on one shard, polled beside its datagram sockets and served by
//! the same core. Messages to it gather for the length of a round and leave together; what another
//! shard has for it goes by that shard's mailbox.
//!
//! Behind the TLS port are HTTPS, WSS and TURN. [`tls`] shakes hands on a thread of its own, finds
//! out which of them a client speaks, and gives TURN to a shard, which goes on with what has been
//! decrypted by then.
//!
//! The DSCP and ECN of a datagram go with its payload beside the core, which never sees them; what
//! ICMP says of a peer goes through it, and reaches the client as a Data indication.
//!
//! ## How a call begins
//!
//! The page opens `/ws` and `join`s a room: with a join token, where [`access`] requires one, and
//! within the [rate limit](byway_turn::rate_limit) of its address. It gets an
//! [`ice::IceConfiguration`] with a fresh credential under the name `room.member`, and the peers
//! there are; offers, answers and candidates travel as `signal`, which the server never looks into;
//! media then goes directly, or over the relay. Before the credential ends the page is sent another
//! one, to which it moves its relayed paths.
//!
//! A connection that is lost takes nothing with it: the member stays in its room for a while, what
//! others say to it is kept, and whoever comes back with the membership's ticket gets it, once and
//! in order. `docs/signaling.md` is the protocol, `docs/client.md` the browser's module.
//!
//! Beside that stand two protocols of others, PeerJS and y-webrtc (`docs/adapters.md`), and
//! [`http`] hands out credentials in the shapes of other services (`docs/ice.md`); all of them ask
//! the one [`access`] who may enter.
//!
//! ## How one ends
//!
//! A member that leaves, is removed or was lost for too long is no longer
//! [here](byway_turn::auth::Revocations): from then on the relay refuses its credentials, and what
//! they have begun ends on every shard, which a message to each tells it. A server that is told to
//! stop sends members away without that, lets nobody new in, and waits for the allocations there
//! are.
//!
//! ## How it follows the machine
//!
//! The machine's addresses come and go. [`server`] looks at them four times a second
//! ([`net::interfaces`]) and tells the relay ([`byway_turn::server::Shared::set_host_addresses`]),
//! every shard, `/ice`, `/healthz` and the log. A shard then ends what is no longer allowed
//! ([`byway_turn::server::Relay::enforce`]): a rule is asked when a channel is bound, and again
//! when its grounds change.
//!
//! # Invariants
//!
//! 1. Only [`clock`] reads a clock, and a tick is read once per round of datagrams.
//! 2. Only [`server`] draws randomness from the system; everything else is handed a seed, so that
//!    simulations replay. TLS has its own: its library's.
//! 3. There is one parser of STUN input ([`byway_turn::wire::Message`]), one of configuration
//!    ([`config`]), one policy for peers ([`byway_turn::server::PeerPolicy`]), one timer for expiry
//!    (a wheel) and one source of ICE configurations ([`ice`]).
//! 4. A stranger leaves no state: before MESSAGE-INTEGRITY has passed, nothing is stored and
//!    nothing allocated per source.
//! 5. Between receiving a datagram and sending it on as one there is no lock, no heap allocation,
//!    no copy of a payload and no hop to another thread; a shard knows no `.await` at all.
//! 6. A late timer extends nothing: every look-up checks expiry for itself.
//! 7. One peer's send error ends neither its allocation nor its shard.
//! 8. Secrets, passwords and tokens reach no log and no `Debug`; client addresses none above debug.
//!    Labels of metrics come from closed sets.
//! 9. Unsafe code lives in `byway-udp` only, with its reason.
//! 10. `http` and `signaling` never import `byway_turn::server` or `shard`; `server::tls_listener`
//!     alone knows both sides. `tests/tidy/main.rs` holds these rules.
//!
//! # What shows it
//!
//! | tests | against | show |
//! |---|---|---|
//! | `crates/turn/tests/core`, `crates/turn/tests/wire` | the core in virtual time, with an independent model beside it | what a datagram does, to the byte |
//! | `tests/server` | the binary, on loopback | what a stranger can do |
//! | `tests/rooms.rs` | the pure rooms, by seeds | that no signal crosses a room, comes twice or is lost, whatever breaks |
//! | `tests/server/{revocation,shutdown}` | the binary | that who is gone relays no more, and that calls may end before the server does |
//! | `tests/server/ice`, `tests/e2e/clients` | the binary; twilio, Janus and others | who gets credentials, and that other services' clients get theirs in the shape they know |
//! | `tests/server/trains`, `tests/no_heap` | the binary, and a data plane under a counting allocator | that trains change no datagram, no order and nobody's turn, and that a packet takes nothing of the heap |
//! | `tests/privileged` | coturn's clients; other machines, as namespaces | that others understand it |
//! | `tests/e2e/browser` | Chromium and Firefox | that a person can call |
//! | `crates/turn/benches/instructions.rs` | callgrind | that a packet costs no more instructions than recorded; `crates/turn/benches/core.rs` times them |
//! | `benches/{relay,signaling}` | coturn and `peerjs-server` beside it | what a packet costs, and what a room and a WebSocket that waits |
//! | `tests/e2e/lab` | both, and other clients, behind NATs and firewalls of every kind | the promise itself: `docs/nat-results.md` |
//!
//! Helpers of the Rust ones are in `tests/support`, a package of its own.
//!
//! # What is absent
//!
//! Relaying inside the kernel (XDP), for which `ChannelBound` and `ChannelUnbound` of
//! [`byway_turn::server::Effect`] are the seam. RFC 6062 (TCP allocations), RFC 7635 (OAuth) and
//! DTLS are not spoken; of RFC 5780, PADDING and RESPONSE-PORT are refused, because strangers would
//! flood others with them. `docs/protocol-coverage.md` has all of it by section, each with its
//! test.
//!
//! Nothing is written to disk and nothing shared between servers: rooms, memberships and what was
//! revoked live in one process and end with it. Servers of one realm with the same secrets take
//! each other's credentials and join tokens, and that is all they share. A join token cannot be
//! taken back, but by another secret.

pub mod access;
pub mod cli;
pub mod clock;
pub mod config;
pub mod http;
pub mod ice;
pub mod log;
pub mod metrics;
pub mod net;
pub mod operator_file;
pub mod origin;
pub mod phase;
pub mod server;
pub mod shard;
pub mod signaling;
pub mod tls;
