//! Kernel statistics on this machine: CPU time and memory of the server's process, and datagrams
//! that this program's sockets dropped.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// Process ID.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process(pub(super) u32);

/// Memory in bytes (proc(5), smaps_rollup).
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Proportional set size: a page shared with other processes counts by its share.
    pub(super) proportional: u64,
    /// Anonymous part of it. It excludes the program file, which `byway load` may share.
    pub(super) anonymous: u64,
}

impl Process {
    /// Returns the CPU time of its running threads. It excludes threads that have ended.
    pub(super) fn cpu(self) -> io::Result<Duration> {
        let mut sum = Duration::ZERO;
        for thread in fs::read_dir(self.folder().join("task"))? {
            // A thread may end between listing and reading.
            let Ok(text) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
            sum += Duration::from_nanos(nanoseconds.unwrap_or_default());
        }
        Ok(sum)
    }

    pub(super) fn memory(self) -> io::Result<Memory> {
        let text = fs::read_to_string(self.folder().join("smaps_rollup"))?;
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kibibytes.ok_or(io::ErrorKind::InvalidData).map(|kibibytes| kibibytes * 1024)
        };
        Ok(Memory { proportional: field("Pss:")?, anonymous: field("Pss_Anon:")? })
    }

    fn folder(self) -> PathBuf {
        PathBuf::from(format!("/proc/{}", self.0))
    }
}

/// Returns the datagrams that the UDP sockets bound to these addresses dropped because they were
/// not read in time.
pub(super) fn dropped(sockets: &HashSet<SocketAddr>) -> u64 {
    // Without IPv6 the table of its sockets does not exist.
    let tables = ["/proc/self/net/udp", "/proc/self/net/udp6"]
        .map(|file| fs::read_to_string(file).unwrap_or_default());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(row);
    rows.filter(|(address, _)| sockets.contains(address)).map(|(_, drops)| drops).sum()
}

/// Parses a row. The second word is `ADDRESS:PORT` in hexadecimal, with the address as words in the
/// machine's byte order. The last word is the number of drops.
fn row(line: &str) -> Option<(SocketAddr, u64)> {
    let (address, port) = line.split_whitespace().nth(1)?.split_once(':')?;
    let word = |at: usize| Some(u32::from_str_radix(address.get(at..at + 8)?, 16).ok()?.to_ne_bytes());
    let ip = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        _ => {
            let words = [word(0)?, word(8)?, word(16)?, word(24)?];
            Ipv6Addr::from(<[u8; 16]>::try_from(words.as_flattened()).ok()?).into()
        }
    };
    let drops = line.split_whitespace().last()?.parse().ok()?;
    Some((SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?), drops))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn this_process_has_run_and_has_memory() {
        let this = Process(std::process::id());
        assert!(this.cpu().unwrap() > Duration::ZERO);
        let memory = this.memory().unwrap();
        assert!(memory.anonymous <= memory.proportional && memory.anonymous > 0, "{memory:?}");
    }

    #[test]
    fn what_a_full_socket_drops_is_counted() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let (full, other) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
            socket2::SockRef::from(&full).set_recv_buffer_size(1).unwrap();
            let of = |socket: &UdpSocket| dropped(&HashSet::from([socket.local_addr().unwrap()]));
            assert_eq!((of(&full), of(&other)), (0, 0));
            // Loopback delivers, or drops, before `send_to` returns.
            for _ in 0..100 {
                other.send_to(&[0; 1000], full.local_addr().unwrap()).unwrap();
            }
            assert!(of(&full) > 50, "{}", of(&full));
            assert_eq!(of(&other), 0);
        }
    }
}
