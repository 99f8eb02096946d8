//! The compared servers, each newly started for every measurement and stopped on drop.

use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;

use crate::floor;
use crate::rows::{Over, Row};

/// Binary of the bench's own profile.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_byway");
pub(crate) const SECRET: &str = "a-secret-of-the-bench";
/// Path in Debian's package.
const COTURN: &str = "/usr/bin/turnserver";
/// Maximum time until a server answers; coturn needs a second to set up its ports.
const PATIENCE: Duration = Duration::from_secs(10);

/// Kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Byway,
    Coturn,
    Floor,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Byway, Self::Coturn, Self::Floor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Byway => "byway",
            Self::Coturn => "coturn",
            Self::Floor => "floor",
        }
    }

    /// Whether it can be started. If not, prints why.
    pub(crate) fn is_there(self) -> bool {
        let is_there = self != Self::Coturn || Path::new(COTURN).exists();
        if !is_there {
            eprintln!("skipped: {COTURN} is missing. Install Debian's package coturn");
        }
        is_there
    }
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    address: SocketAddr,
    tls: SocketAddr,
    folder: TempDir,
}

impl Server {
    pub(crate) fn start(kind: Kind, row: &Row) -> Result<Self, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let (address, tls) = (free(), free());
        write_certificate(folder.path());
        let cores = if kind == Kind::Byway { row.cores } else { "0" };
        let mut command = Command::new("taskset");
        command.args(["-c", cores]).current_dir(folder.path());
        match kind {
            Kind::Byway => {
                let config = folder.path().join("turnserver.toml");
                std::fs::write(&config, byway(row, address, tls)).map_err(|error| error.to_string())?;
                command.args([BINARY, "serve", "--config"]).arg(config);
            }
            Kind::Coturn => {
                command.arg(COTURN).args(coturn(address, tls));
            }
            Kind::Floor => {
                let bench = std::env::current_exe().map_err(|error| error.to_string())?;
                command.arg(bench).args([floor::ARGUMENT, &address.to_string()]);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().map_err(|error| format!("taskset: {error}"))?;
        let server = Self { child, address, tls, folder };
        if answers(address) { Ok(server) } else { Err("it does not answer".to_owned()) }
    }

    /// Process ID: `taskset` becomes the server by `exec`.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, over: Over) -> String {
        match over {
            Over::Udp => format!("turn:{}", self.address),
            Over::Tcp => format!("turn:{}?transport=tcp", self.address),
            Over::Tls => format!("turns:{}", self.tls),
        }
    }

    /// Returns the arguments that make `byway load` trust its certificate.
    pub(crate) fn trust(&self) -> [PathBuf; 2] {
        [PathBuf::from("--ca"), self.folder.path().join("cert.pem")]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns Byway's configuration. Quotas are off, because one machine plays all clients. The rest
/// of ports is off, too, as in coturn.
fn byway(row: &Row, address: SocketAddr, tls: SocketAddr) -> String {
    format!(
        "realm = \"bench\"\n[listen]\nudp = [\"{address}\"]\ntcp = [\"{address}\"]\ntls = [\"{tls}\"]\nhttp = []\nadmin = []\n\
         [tls]\ncert = \"cert.pem\"\nkey = \"key.pem\"\n\
         [relay]\naddresses = [\"127.0.0.1\"]\nports = \"40000-65535\"\nport_rest = \"0s\"\n{}\n\
         [credentials]\nsecrets = [\"{SECRET}\"]\n[peers]\nallow = [\"127.0.0.0/8\"]\n\
         [quota]\nallocations_per_user = 0\nallocations_per_address = 0\nunauthenticated_per_second = 0\n",
        row.config
    )
}

fn coturn(address: SocketAddr, tls: SocketAddr) -> Vec<String> {
    let ports =
        [format!("--listening-port={}", address.port()), format!("--tls-listening-port={}", tls.port())];
    // One thread for media, because there is one core.
    let fixed = [
        "-n",
        "-m",
        "1",
        "-L",
        "127.0.0.1",
        "-E",
        "127.0.0.1",
        "-r",
        "bench",
        "--use-auth-secret",
        "--allow-loopback-peers",
        "--no-cli",
        "--no-dtls",
        "--min-port=40000",
        "--max-port=65535",
        "--cert=cert.pem",
        "--pkey=key.pem",
        "--userdb=none.db",
        "--pidfile=coturn.pid",
        "--log-file=/dev/null",
        "--no-stdout-log",
    ];
    let secret = format!("--static-auth-secret={SECRET}");
    fixed.into_iter().map(str::to_owned).chain(ports).chain([secret]).collect()
}

fn write_certificate(folder: &Path) {
    let key = KeyPair::generate().expect("a key");
    let certificate =
        CertificateParams::new(["127.0.0.1".to_owned()]).and_then(|parameters| parameters.self_signed(&key));
    std::fs::write(folder.join("cert.pem"), certificate.expect("a certificate").pem())
        .expect("room on the disk");
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).expect("room on the disk");
}

/// Returns a free port of loopback, below those of the kernel and of relays.
fn free() -> SocketAddr {
    let start = 10_000 + u16::try_from(std::process::id() % 10_000).expect("it is below");
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    loop {
        let next = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let address: SocketAddr = ([127, 0, 0, 1], start + next % 10_000).into();
        if UdpSocket::bind(address).is_ok() && std::net::TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// Waits until the server answers a Binding request.
fn answers(address: SocketAddr) -> bool {
    let clock = byway::clock::Clock::start();
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    socket.connect(address).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a timeout");
    while clock.now().mono < PATIENCE {
        let _ = socket.send(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!");
        if socket.recv(&mut [0; 256]).is_ok() {
            return true;
        }
        // Without a listener, the request is refused at once.
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}
