//! The composition root. It turns a [`Config`] into sockets, threads and tasks, and waits for the
//! shutdown.

mod adapters;
mod address_presence;
mod admin_socket;
mod all_counters;
pub mod allowed_hosts;
mod certificate;
mod cluster;
mod consumers;
mod heap;
mod host_addresses;
mod listener_changes;
pub mod page_url;
pub mod relay_addresses;
mod relay_socket_watch;
mod relaying;
mod reload;
pub mod secrets;
pub mod self_check;
mod shutdown;
mod signaling;
mod sockets;
mod startup;
mod startup_log;
mod status;
mod supervise;
mod tcp_listener;
mod tls_listener;
mod watchdog;
mod web;

use std::io;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::log::LogControl;
use crate::operator_file::{SHORTAGE, is_shortage};
use crate::tls;

use startup::Plan;

/// Threads for HTTP and signaling. They are mostly idle; the cores are for the shards.
const HTTP_THREADS: usize = 2;

/// Reason for which the server did not start, or stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A configured address cannot be bound.
    #[error("cannot listen on {address} (listen.{listener}): {error}\n  remedy: {}", remedy(error))]
    Listen {
        /// The key under `[listen]`.
        listener: &'static str,
        /// The address.
        address: SocketAddr,
        /// The kernel's error.
        error: io::Error,
    },
    /// A configured Unix socket cannot be bound.
    #[error("cannot listen on unix:{} (listen.admin): {error}\n  remedy: {remedy}", path.display())]
    AdminSocket {
        /// The path.
        path: PathBuf,
        /// The kernel's error.
        error: io::Error,
        /// The remedy.
        remedy: &'static str,
    },
    /// The certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] tls::Unusable),
    /// The system refuses a resource that every server needs.
    #[error("cannot {what}: {error}")]
    System {
        /// The failed operation.
        what: &'static str,
        /// The kernel's error.
        error: io::Error,
    },
    /// The accept loop of an HTTP or TLS listener has ended.
    #[error("the `{0}` listeners ended unexpectedly; see the log lines above for the cause")]
    ListenersEnded(&'static str),
    /// A thread of the data plane ended unexpectedly.
    #[error("{} of the data plane ended unexpectedly; see the log lines above for the cause", .0.join(", "))]
    ShardEnded(Vec<String>),
}

/// Runs the server until SIGINT, or until SIGTERM and the drain that follows.
///
/// `file` is the path of `config`.
///
/// # Errors
/// [`ServerError`]; all sockets are closed.
pub fn run(config: Config, file: Option<PathBuf>, log: LogControl) -> Result<(), ServerError> {
    let runtime = runtime("http", HTTP_THREADS).map_err(system("start the threads of HTTP"))?;
    // Every relay socket is a file descriptor. If the limit cannot be raised, later requests get
    // 508.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let outcome = runtime.block_on(async { Plan::new(config, file, log)?.bind()?.start()?.run().await });
    // A file system that hangs while the certificate is checked must not delay the shutdown.
    runtime.shutdown_background();
    outcome
}

/// Builds a runtime with `threads` threads. tokio panics if the system grants no thread, so that is
/// checked first, and a panic after the check is caught.
fn runtime(name: &'static str, threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all();
    threads_to_be_had(threads)?;
    let built = panic::catch_unwind(AssertUnwindSafe(move || builder.build()));
    built.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
}

/// Checks that the system grants `count` threads to this process.
fn threads_to_be_had(count: usize) -> io::Result<()> {
    let (release, wait) = mpsc::sync_channel::<()>(0);
    let wait = Arc::new(Mutex::new(wait));
    let parked = |_| {
        let wait = wait.clone();
        // The thread ends when the sender is dropped.
        thread::Builder::new().spawn(move || drop(wait.lock().map(|wait| wait.recv())))
    };
    let threads = (0..count).map(parked).collect::<Vec<_>>();
    drop(release);
    threads.into_iter().try_for_each(|thread| thread.map(|thread| drop(thread.join())))
}

/// Draws 32 secret random bytes.
#[expect(clippy::disallowed_methods, reason = "this function is the source of seeds")]
fn seed() -> Result<[u8; 32], ServerError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::from).map_err(system("draw random bytes"))?;
    Ok(seed)
}

/// Draws a secret for a new configuration: 32 random bytes in Base64.
///
/// # Errors
/// [`ServerError::System`].
pub(crate) fn fresh_secret() -> Result<String, ServerError> {
    Ok(STANDARD.encode(seed()?))
}

/// Notifies systemd, if it started the server.
fn notify(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "stop the program that uses this port (`ss -lntup` names it), or configure another port"
        }
        io::ErrorKind::PermissionDenied => {
            "a port below 1024 needs the capability CAP_NET_BIND_SERVICE; the systemd unit grants it"
        }
        _ if is_shortage(error) => SHORTAGE,
        _ => "configure another address",
    }
}

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServerError {
    move |error| ServerError::System { what, error }
}
