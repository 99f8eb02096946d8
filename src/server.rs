//! The composition root: a [`Config`] becomes sockets, threads and tasks, and one place waits for
//! the end.

mod address_presence;
mod all_counters;
pub mod allowed_hosts;
mod certificate;
mod heap;
mod host_addresses;
pub mod page_url;
pub mod relay_addresses;
mod relaying;
mod reload;
mod secrets;
mod shutdown;
mod signaling;
mod sockets;
mod startup;
mod startup_log;
mod supervise;
mod tls_listener;
mod watchdog;
mod web;

use std::io;
use std::net::SocketAddr;
use std::panic::{self, AssertUnwindSafe};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use sd_notify::NotifyState;
use tokio::runtime::{Builder, Runtime};

use crate::config::Config;
use crate::metrics::ProcessCounters;
use crate::operator_file::{SHORTAGE, is_shortage};
use crate::tls;

pub(crate) use host_addresses::nobody_has;
use startup::Plan;

/// Threads for HTTP and signaling. They wait for most of their lives; the cores are for the shards.
const HTTP_THREADS: usize = 2;

/// Why the server did not start, or stopped unasked.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
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
/// [`ServerError`]; whatever it had bound is closed again.
pub fn run(config: Config, file: Option<PathBuf>, counters: Arc<ProcessCounters>) -> Result<(), ServerError> {
    let runtime = runtime("http", HTTP_THREADS).map_err(system("start the threads of HTTP"))?;
    // Every relay socket is a file descriptor. What cannot be raised is met by 508 later.
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let outcome = runtime.block_on(async { Plan::new(config, file, counters)?.bind()?.start()?.run().await });
    // A file system that hangs under a look at the certificate keeps nobody from the end.
    runtime.shutdown_background();
    outcome
}

/// A runtime of so many threads. tokio panics where no thread is to be had: so that is found out
/// before, and caught if it changes meanwhile.
fn runtime(name: &'static str, threads: usize) -> io::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(threads).thread_name(name).enable_all();
    threads_to_be_had(threads)?;
    let built = panic::catch_unwind(AssertUnwindSafe(move || builder.build()));
    built.unwrap_or_else(|_| Err(io::ErrorKind::WouldBlock.into()))
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
fn seed() -> Result<[u8; 32], ServerError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(io::Error::from).map_err(system("draw random bytes"))?;
    Ok(seed)
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

fn system(what: &'static str) -> impl FnOnce(io::Error) -> ServerError {
    move |error| ServerError::System { what, error }
}
