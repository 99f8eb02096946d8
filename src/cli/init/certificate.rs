//! Waiting for the first certificate of a server that has just started.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::cli::health::Listener;
use crate::cli::probe::error::ProbeError;
use crate::cli::probe::server_path::ServerPath;
use crate::cli::probe::trust_roots::Trust;
use crate::config::Config;
use crate::net::interfaces;
use crate::tls::Name;

/// Longest wait. An order takes some seconds at a public authority.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// Waits until the server presents a certificate. Returns whether it did.
pub(super) fn wait(config: &Config, name: &Name, trust: &Trust) -> io::Result<bool> {
    let Some(&listener) = config.listen.tls.first() else { return Ok(true) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let presented = async {
        while !is_presented(interfaces::reachable(listener), name, trust).await {
            sleep(PAUSE).await;
        }
    };
    Ok(runtime.block_on(async { timeout(PATIENCE, presented).await }).is_ok())
}

/// Whether the server presents a certificate. `byway probe` judges it afterwards.
async fn is_presented(server: SocketAddr, name: &Name, trust: &Trust) -> bool {
    let Ok(path) = ServerPath::tls(server, &name.to_string(), trust) else { return true };
    match path.stream().await {
        Ok(_) | Err(ProbeError::Certificate(_) | ProbeError::NoRoots) => true,
        Err(_) => false,
    }
}

/// Returns the lines of `/healthz` on the admin listener, which say what the server lacks. Returns
/// none if it does not answer.
pub(super) fn troubles(admin: SocketAddr) -> Vec<String> {
    let answer = Listener::Tcp(admin).ask().unwrap_or_default();
    let is_trouble = |line: &&str| line.starts_with("degraded: ") || line.starts_with("down: ");
    answer.lines().filter(is_trouble).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    #[test]
    fn the_lines_of_an_unhealthy_server_are_returned() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let body = "degraded: no certificate\ndown: shard 0\ndraining\n";
            write!(
                stream,
                "HTTP/1.1 503 Service Unavailable\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .unwrap();
        });
        assert_eq!(troubles(admin), ["degraded: no certificate", "down: shard 0"]);
        server.join().unwrap();
        assert!(troubles(admin).is_empty(), "nobody listens any more");
    }
}
