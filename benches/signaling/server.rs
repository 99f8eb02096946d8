//! The compared servers, each newly started for every round and stopped on drop.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::dialect::Dialect;
use crate::{floor, threads};

/// Binary of the bench's own profile.
const BINARY: &str = env!("CARGO_BIN_EXE_byway");
/// Packages that npm installs, and their destination, which is cargo's folder for temporary files.
const PEERJS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/signaling/peerjs");
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/peerjs");
/// Maximum time until a server listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Byway,
    Peerjs,
    Floor,
    /// The floor as tasks of a runtime with one worker.
    Thread,
    /// The floor with two workers, which share the core.
    Threads,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [Self::Byway, Self::Peerjs, Self::Floor, Self::Thread, Self::Threads];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Byway => "byway",
            Self::Peerjs => "peerjs",
            Self::Floor => "floor",
            Self::Thread => "thread",
            Self::Threads => "threads",
        }
    }

    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Self::Byway => Dialect::Byway,
            Self::Peerjs => Dialect::Peerjs,
            Self::Floor | Self::Thread | Self::Threads => Dialect::Floor,
        }
    }

    /// Whether it can be started. If not, prints why.
    pub(crate) fn is_there(self) -> bool {
        let installed = if self == Self::Peerjs { install() } else { Ok(()) };
        if let Err(why) = &installed {
            eprintln!("skipped: peerjs-server, because {why}");
        }
        installed.is_ok()
    }
}

/// A running server, on the first core.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    _folder: TempDir,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Result<Self, String> {
        let address = free();
        let mut command = first_core();
        match kind {
            Kind::Byway => return Self::byway(address, &byway(address, "")),
            Kind::Peerjs => {
                command.arg("node").arg(Path::new(INSTALLED).join("node_modules/peer/dist/bin/peerjs.js"));
                let port = address.port().to_string();
                command.args(["--host", "127.0.0.1", "--port", &port, "--concurrent_limit", "100000"]);
            }
            Kind::Floor => {
                let bench = std::env::current_exe().map_err(|error| error.to_string())?;
                command.arg(bench).args([floor::ARGUMENT, &address.to_string()]);
            }
            Kind::Thread | Kind::Threads => {
                let bench = std::env::current_exe().map_err(|error| error.to_string())?;
                let workers = if kind == Kind::Thread { "1" } else { "2" };
                command.arg(bench).args([threads::ARGUMENT, &address.to_string(), workers]);
            }
        }
        Self::spawn(command, address, folder()?)
    }

    /// Starts a node of the cluster that meets at `broker`. It shows its metrics at `admin`.
    pub(crate) fn node(name: &str, broker: SocketAddr, admin: SocketAddr) -> Result<Self, String> {
        let address = free();
        let cluster =
            format!("[cluster]\nnats = [\"nats://{broker}\"]\nnode = \"{name}\"\nregion = \"eu\"\n");
        let config = byway(address, &cluster).replace("admin = []", &format!("admin = [\"{admin}\"]"));
        Self::byway(address, &config)
    }

    /// Starts `nats-server`, which shows its counters at `monitor`.
    pub(crate) fn broker(monitor: SocketAddr) -> Result<Self, String> {
        let address = free();
        let mut command = first_core();
        command.args(["nats-server", "-a", "127.0.0.1", "-p", &address.port().to_string()]);
        command.args(["-m", &monitor.port().to_string()]);
        Self::spawn(command, address, folder()?)
    }

    fn byway(address: SocketAddr, config: &str) -> Result<Self, String> {
        let (folder, mut command) = (folder()?, first_core());
        let file = folder.path().join("turnserver.toml");
        std::fs::write(&file, config).map_err(|error| error.to_string())?;
        command.args([BINARY, "serve", "--config"]).arg(file);
        Self::spawn(command, address, folder)
    }

    fn spawn(mut command: Command, address: SocketAddr, folder: TempDir) -> Result<Self, String> {
        command.current_dir(folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("taskset: {error}"))?;
        let server = Self { child, address, _folder: folder };
        if listens(address) { Ok(server) } else { Err("it does not listen".to_owned()) }
    }

    /// Returns its own memory in bytes, with its share of shared pages.
    pub(crate) fn memory(&self) -> f64 {
        let rollup = std::fs::read_to_string(self.of_process("smaps_rollup")).unwrap_or_default();
        let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:")?.trim().strip_suffix(" kB"));
        pss.and_then(|kib| kib.trim().parse().ok()).map_or(f64::NAN, |kib: f64| kib * 1024.0)
    }

    /// Returns the run time of its threads.
    pub(crate) fn cpu(&self) -> Duration {
        let tasks = std::fs::read_dir(self.of_process("task")).into_iter().flatten().flatten();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("schedstat")).ok());
        let nanos = stats.filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok());
        Duration::from_nanos(nanos.sum())
    }

    /// `taskset` becomes the server by `exec`.
    fn of_process(&self, file: &str) -> PathBuf {
        Path::new("/proc").join(self.child.id().to_string()).join(file)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the start of a command on the first core.
fn first_core() -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", "0"]);
    command
}

fn folder() -> Result<TempDir, String> {
    TempDir::new().map_err(|error| error.to_string())
}

/// Returns Byway's configuration, with these lines at the end. Limits on joins are off, because one
/// machine plays all clients. Parts that are not measured get few file descriptors.
fn byway(address: SocketAddr, lines: &str) -> String {
    format!(
        "realm = \"bench\"\n[listen]\nudp = [\"127.0.0.1:0\"]\ntcp = []\ntls = []\nhttp = [\"{address}\"]\nadmin = []\n\
         [relay]\naddresses = [\"127.0.0.1\"]\nshards = 1\n\
         [quota]\nallocations = 1000\n\
         [credentials]\nsecrets = [\"a-secret-of-the-bench\"]\n\
         [signaling]\nmax_rooms = 100000\njoins_per_second = 0\n{lines}"
    )
}

/// Installs the pinned version, unless it is installed.
fn install() -> Result<(), String> {
    let failed = |what: &'static str| move |error: std::io::Error| format!("{what}: {error}");
    let [lock, made_for] =
        [Path::new(PEERJS).join("package-lock.json"), Path::new(INSTALLED).join("made-for")];
    let wanted = std::fs::read(&lock).map_err(failed("its lock file"))?;
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    node.map_err(failed("node"))?;
    if std::fs::read(&made_for).is_ok_and(|made_for| made_for == wanted) {
        return Ok(());
    }
    eprintln!("installing peerjs-server by npm");
    std::fs::create_dir_all(INSTALLED).map_err(failed("its folder"))?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(Path::new(PEERJS).join(file), Path::new(INSTALLED).join(file)).map_err(failed(file))?;
    }
    let arguments = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    let npm = Command::new("npm").args(arguments).current_dir(INSTALLED).stdout(Stdio::null()).status();
    if !npm.map_err(failed("npm"))?.success() {
        return Err("npm could not install it".to_owned());
    }
    // Written last, so that a partial installation does not count as complete.
    std::fs::write(made_for, wanted).map_err(failed("made-for"))
}

/// Returns a free port of loopback.
pub(crate) fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("it is bound")
}

fn listens(address: SocketAddr) -> bool {
    let clock = byway::clock::Clock::start();
    while clock.now().mono < PATIENCE {
        if TcpStream::connect(address).is_ok() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
