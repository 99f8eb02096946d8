//! Threat 29: memory that strangers make the server hold, and whether it comes back.
//! `docs/limits.md` has the sums.

use std::io::{self, Write as _};
use std::net::TcpStream;

use byway_test_support::process::Server;
use byway_test_support::process::certificates::{Folder, Pair, server};
use byway_test_support::process::tls::{connect, get, tcp, trusting, until_closed};

use super::http2::{DATA, HEADERS, RST_STREAM, frame, head, open, read};

const MIB: u64 = 1 << 20;

/// All that HTTP may hold together, and a third for what an allocator and a debug build add.
const IN_ALL: u64 = 64 * MIB * 4 / 3;

/// Memory that a flood may leave behind.
const LEFT: u64 = 30 * MIB;

/// A flood of this many connections. Others are served meanwhile, and it leaves nothing behind.
fn flood<T>(server: &Server, pair: &Pair, connections: usize, mut connection: impl FnMut() -> io::Result<T>) {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let honest = trusting(pair, &["http/1.1"]);
    let page = || get(&mut connect(&honest, server.bound.tls()).unwrap(), "/").expect_ok();
    page();
    let before = server.memory();
    // The server may have had enough of one before it is complete.
    let open: Vec<T> = (0..connections).filter_map(|_| connection().ok()).collect();
    let during = server.memory();
    page();
    drop(open);
    server.until_memory_is_below(before + LEFT);
    assert!(during < before + IN_ALL, "{} MiB more", (during - before) / MIB);
}

#[test]
fn threat_29_a_flood_of_unfinished_requests_over_http2_holds_little_and_leaves_nothing() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["h2"]);
    flood(&server, &pair, 512, || {
        let mut stream = open(&config, server.bound.tls())?;
        let requests = (0..64).map(|n| head(2 * n + 1, "POST", "/ice", 215, 0));
        stream.write_all(&requests.collect::<Vec<_>>().concat())?;
        Ok(stream)
    });
}

/// The same with all that is allowed: sixteen requests that wait for their bodies, of 100 fields
/// each.
#[test]
fn threat_29_a_flood_of_all_that_a_connection_may_hold_leaves_nothing() {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let server = Server::start_with(&(folder.config() + "[signaling]\njoins_per_second = 0\n"), |_| {});
    let config = trusting(&pair, &["h2"]);
    flood(&server, &pair, 512, || {
        let mut stream = open(&config, server.bound.tls())?;
        let request = |id| [head(id, "POST", "/ice", 94, 0), frame(DATA, 0, id, b"a")].concat();
        stream.write_all(&(0..16).map(|n| request(2 * n + 1)).collect::<Vec<_>>().concat())?;
        Ok(stream)
    });
}

#[test]
fn threat_29_a_flood_of_responses_that_nobody_reads_holds_little_and_leaves_nothing() {
    let (server, pair, _folder) = server();
    let config = trusting(&pair, &["http/1.1"]);
    let requests = "GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n".repeat(1_000);
    flood(&server, &pair, 512, || {
        let mut stream = connect(&config, server.bound.tls())?;
        stream.write_all(requests.as_bytes())?;
        Ok(stream)
    });
}

/// Before the body: the origin, the rate and the token.
#[test]
fn threat_29_a_request_is_judged_before_its_body() {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let config = folder.config() + "[ice]\naccess = \"token\"\n";
    let server = Server::start_with(&config, |_| {});
    // The first is refused for want of a token; `/invite` wants an API key.
    for path in ["/ice", "/invite"] {
        let mut stream = open(&trusting(&pair, &["h2"]), server.bound.tls()).unwrap();
        stream.write_all(&head(1, "POST", path, 0, 0)).unwrap();
        let block = loop {
            let (kind, _, _, block) = read(&mut stream).unwrap();
            if kind == HEADERS {
                break block;
            }
        };
        // `:status` 401 (RFC 7541 section 6.2.1 and appendix B).
        assert!(block.starts_with(b"\x48\x82\x68\x01"), "{block:x?}");
    }
}

#[test]
fn threat_29_a_client_that_begins_more_requests_than_it_may_is_refused_them() {
    let (server, pair, _folder) = server();
    let mut stream = open(&trusting(&pair, &["h2"]), server.bound.tls()).unwrap();
    let requests = (0..17).map(|n| head(2 * n + 1, "POST", "/ice", 0, 0));
    stream.write_all(&requests.collect::<Vec<_>>().concat()).unwrap();
    let refused = loop {
        let (kind, _, stream, code) = read(&mut stream).unwrap();
        if kind == RST_STREAM {
            break (stream, code);
        }
    };
    // REFUSED_STREAM (RFC 9113 section 8.7): it may try again.
    assert_eq!(refused, (33, vec![0, 0, 0, 7]));
}

/// Ten records of a ClientHello without an end, of 16 KiB in all and more.
#[test]
fn threat_29_a_handshake_without_an_end_holds_little_and_leaves_nothing() {
    let (server, pair, _folder) = server();
    flood(&server, &pair, 800, || {
        let mut socket = tcp(server.bound.tls());
        let hello = [&b"\x16\x03\x01\x10\x04\x01\x00\xff\xf0"[..], &[0; 4096]].concat();
        let more = [&b"\x16\x03\x01\x10\x00"[..], &[0; 4096]].concat();
        socket.write_all(&hello)?;
        (0..2).try_for_each(|_| socket.write_all(&more))?;
        Ok::<TcpStream, io::Error>(socket)
    });
    let mut long = tcp(server.bound.tls());
    let hello = [&b"\x16\x03\x01\x40\x00\x01\x00\xff\xf0"[..], &[0; 0x4000 - 4]].concat();
    long.write_all(&hello).unwrap();
    until_closed(&mut long);
    server.until(r#"byway_tls_connections_total{outcome="invalid"}"#, 1);
}
