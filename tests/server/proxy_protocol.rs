//! PROXY protocol on the listeners `tcp`, `tls` and `http`: the client's address from trusted
//! proxies, and from nobody else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::sockets::{Client, Link};
use byway_test_support::process::{Server, http, tls};
use byway_test_support::turn::Request;

const V1: &[u8] = b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

/// Version 2 of the same client, with two TLVs, of which CRC32C is wrong.
const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x17\xC0\0\x02\x07\xC6\x33\x64\x01\x12\x67\x01\xBB\
                    \x03\0\x04abcd\x04\0\x01.";

/// LOCAL, as HAProxy sends it for a health check.
const LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";

fn outcome(outcome: &str) -> String {
    format!("byway_proxy_headers_total{{outcome=\"{outcome}\"}}")
}

/// A server behind proxies at `trusted`, with a certificate.
fn behind(trusted: &str, more: &str) -> (Server, Pair, Folder) {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let listen =
        format!("[listen]\ntrusted_proxies = [{trusted}]\nproxy_protocol = [\"tcp\", \"tls\", \"http\"]");
    let config =
        folder.config().replacen("[listen]", &listen, 1).replacen("[quota]", &format!("{more}[quota]"), 1);
    (Server::start_with(&config, |_| {}), pair, folder)
}

fn trusting() -> (Server, Pair, Folder) {
    behind("\"127.0.0.1\", \"::1\"", "")
}

fn connected(listener: SocketAddr, parts: &[&[u8]]) -> TcpStream {
    let mut socket = tls::tcp(listener);
    for part in parts {
        socket.write_all(part).unwrap();
    }
    socket
}

/// Sends a Binding request and returns the bytes of XOR-MAPPED-ADDRESS in its answer.
fn mapped(stream: &mut (impl Read + Write)) -> Vec<u8> {
    stream.write_all(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!").unwrap();
    let mut head = [0; 20];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[..2], [1, 1], "{head:?}");
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[2], head[3]]))];
    stream.read_exact(&mut rest).unwrap();
    assert_eq!(rest[..2], [0, 0x20], "{rest:?}");
    rest[4..].to_vec()
}

/// XOR-MAPPED-ADDRESS of 192.0.2.7 port 4711: each byte with those of the cookie.
const SEEN: [u8; 8] = [0, 1, 0x12 ^ 0x21, 0x67 ^ 0x12, 0xC0 ^ 0x21, 0x12, 0x02 ^ 0xA4, 0x07 ^ 0x42];

#[test]
fn turn_clients_behind_a_proxy_have_their_own_address_over_tcp_and_tls() {
    let (server, pair, _folder) = trusting();
    for header in [V1, V2] {
        assert_eq!(mapped(&mut connected(server.bound.tcp_v4(), &[header])), SEEN);
        let socket = connected(server.bound.tls(), &[header]);
        let mut stream = tls::over(&tls::trusting(&pair, &[]), socket).unwrap();
        assert_eq!(mapped(&mut stream), SEEN);
    }
    // Byte by byte.
    let bytes: Vec<&[u8]> = V2.chunks(1).collect();
    assert_eq!(mapped(&mut connected(server.bound.tcp_v4(), &bytes)), SEEN);
    server.until(&outcome("client"), 5);
    // A health check stands for the proxy: the server names the connection's own address.
    let mut check = connected(server.bound.tcp_v4(), &[LOCAL]);
    let own = check.local_addr().unwrap().port().to_be_bytes();
    assert_eq!(mapped(&mut check)[2..4], [own[0] ^ 0x21, own[1] ^ 0x12]);
    let unknown: &[u8] = b"PROXY UNKNOWN\r\n";
    assert_eq!(mapped(&mut connected(server.bound.tcp_v4(), &[unknown])).len(), 8);
    server.until(&outcome("proxy"), 2);
    assert!(!server.log().contains("192.0.2.7"), "{}", server.log());
}

#[test]
fn an_allocation_over_a_proxied_connection_relays_and_counts_for_its_client() {
    let quota = "[quota]\nallocations_per_address = 1\n";
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let listen = "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = [\"tcp\"]";
    let config = folder.config().replacen("[listen]", listen, 1).replacen("[quota]\n", quota, 1);
    let server = Server::start_with(&config, |_| {});
    let client = |address: &str| {
        let header = format!("PROXY TCP4 {address} 198.51.100.1 4711 3478\r\n");
        Client::over(&server, Link::Tcp(connected(server.bound.tcp_v4(), &[header.as_bytes()])))
    };
    let mut first = client("192.0.2.7");
    first.granted(&Request::allocate());
    assert_eq!(client("192.0.2.7").asked(&Request::allocate()).code(), 486);
    let mut other = client("192.0.2.8");
    other.granted(&Request::allocate());
    server.until("byway_allocations", 2);
    drop(first);
    server.until("byway_allocations", 1);
    // The other listeners take no header here.
    assert_eq!(http::get(server.bound.http[0], "/ice").status, 200);
    let answer = connected(server.bound.http[0], &[V1, b"GET /ice HTTP/1.0\r\n\r\n"]);
    assert!(!String::from_utf8_lossy(&tls::until_closed(&mut { answer })).contains("iceServers"));
}

#[test]
fn threat_34_http_limits_count_by_the_address_in_the_header_alone() {
    let (server, pair, _folder) = behind("\"127.0.0.1\"", "[signaling]\njoins_per_second = 1\n");
    let host = format!("Host: {}", server.bound.http[0]);
    let ask = |client: &str, field: &str| {
        let header = format!("PROXY TCP4 {client} 198.51.100.1 4711 80\r\n");
        let request = format!("{header}GET /ice HTTP/1.0\r\n{host}\r\n{field}\r\n\r\n");
        http::exchange(server.bound.http[0], &request).status
    };
    // Behind a PROXY header the client's own words about others count for nothing.
    let statuses: Vec<u16> =
        (0..12).map(|n| ask("192.0.2.7", &format!("X-Forwarded-For: 192.0.2.{}", 100 + n))).collect();
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    assert_eq!(ask("192.0.2.8", "Accept: */*"), 200);
    // Over TLS it is the same.
    let socket = connected(server.bound.tls(), &[V1]);
    let mut stream = tls::over(&tls::trusting(&pair, &["http/1.1"]), socket).unwrap();
    assert_eq!(tls::get(&mut stream, "/ice").status, 429);
}

#[test]
fn a_stranger_is_refused_whatever_it_sends() {
    let (server, pair, _folder) = behind("\"192.0.2.0/24\"", "");
    let listeners = [server.bound.tcp_v4(), server.bound.tls(), server.bound.http[0]];
    for listener in listeners {
        for bytes in [V1, V2, b"GET / HTTP/1.0\r\n\r\n", b""] {
            let mut socket = tls::tcp(listener);
            // The server may have closed it already.
            let _ = socket.write_all(bytes);
            assert_eq!(tls::until_closed(&mut socket), b"", "{listener} {bytes:?}");
        }
    }
    assert!(tls::connect(&tls::trusting(&pair, &[]), server.bound.tls()).is_err());
    server.until(&outcome("untrusted"), 13);
    // Loopback is no trusted proxy unless it is listed, which is told once.
    server.logged("trusted_proxies = [\"127.0.0.1\"]");
    assert_eq!(server.log().matches("are refused").count(), 1, "{}", server.log());
}

#[test]
fn a_trusted_proxy_that_sends_no_valid_header_is_refused() {
    let (server, _pair, _folder) = trusting();
    let oversized = [b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xFF\xFF".as_slice(), &[0; 100]].concat();
    let long_line = [b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat();
    let invalid: [&[u8]; 5] = [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\n\n",
        &oversized,
        &long_line,
    ];
    for listener in [server.bound.tcp_v4(), server.bound.tls(), server.bound.http[0]] {
        for bytes in invalid {
            let mut socket = connected(listener, &[bytes]);
            assert_eq!(tls::until_closed(&mut socket), b"", "{bytes:?}");
        }
        drop(connected(listener, &[b"PROXY TCP4 192"]));
    }
    server.until(&outcome("invalid"), 15);
    server.until(&outcome("closed"), 3);
    // A proxy that sends the whole header after these is served.
    assert_eq!(mapped(&mut connected(server.bound.tcp_v4(), &[V1])), SEEN);
}

#[test]
fn threat_19_a_slow_header_is_cut_off() {
    let (server, _pair, _folder) = trusting();
    let mut slow: Vec<TcpStream> = [server.bound.tcp_v4(), server.bound.tls(), server.bound.http[0]]
        .iter()
        .map(|listener| connected(*listener, &[&V2[..20]]))
        .collect();
    for socket in &mut slow {
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(tls::until_closed(socket), b"");
    }
    server.until(&outcome("timeout"), 3);
    // No permit is kept; the one is for the request that asks.
    server.until("byway_http_connections", 1);
}
