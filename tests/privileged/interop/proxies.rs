//! Real proxies in front of the listeners: HAProxy and nginx, which tell the client's address by
//! PROXY protocol.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use byway_test_support::process::free_port;
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;

use super::lab::{Lab, Transport};
use super::uclient::{Load, Peer, Uclient};

/// Address of the client, which is not the proxy's.
const CLIENT: &str = "127.0.0.77";

/// Debian has nginx's stream module as a file of its own; elsewhere it is built in.
const STREAM_MODULE: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// A running proxy, killed on drop.
struct Proxy {
    child: Child,
    /// Address that clients connect to.
    address: SocketAddr,
    _folder: TempDir,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Proxy {
    /// Starts `command` with the configuration, in which `FOLDER`, `LISTEN` and `SERVER` are
    /// replaced, and waits until it accepts.
    fn start(command: &str, arguments: &[&str], configuration: &str, server: SocketAddr) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let path = folder.path().join("proxy.conf");
        let text = configuration
            .replace("FOLDER", &folder.path().display().to_string())
            .replace("LISTEN", &address.to_string())
            .replace("SERVER", &server.to_string());
        fs::write(&path, text).unwrap();
        let mut command = Command::new(command);
        command.args(arguments).arg(&path).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().expect("`tests/run interop` installs HAProxy and nginx");
        let mut proxy = Self { child, address, _folder: folder };
        while TcpStream::connect(address).is_err() {
            assert!(proxy.child.try_wait().unwrap().is_none(), "the proxy does not start");
            thread::yield_now();
        }
        proxy
    }

    /// HAProxy with these options of its `server` line.
    fn haproxy(server: SocketAddr, options: &str) -> Self {
        let text = format!(
            "global\n  maxconn 200\ndefaults\n  mode tcp\n  timeout connect 10s\n  timeout client 60s\n  \
             timeout server 60s\nlisten turn\n  bind LISTEN\n  server byway SERVER {options}\n"
        );
        Self::start("haproxy", &["-db", "-q", "-f"], &text, server)
    }

    /// nginx, which sends version 1.
    fn nginx(server: SocketAddr) -> Self {
        let module = match fs::exists(STREAM_MODULE) {
            Ok(true) => format!("load_module {STREAM_MODULE};\n"),
            _ => String::new(),
        };
        let text = format!(
            "{module}daemon off;\nmaster_process off;\npid FOLDER/pid;\nerror_log stderr warn;\n\
             events {{ worker_connections 200; }}\n\
             stream {{ server {{ listen LISTEN; proxy_pass SERVER; proxy_protocol on; }} }}\n"
        );
        Self::start("nginx", &["-c"], &text, server)
    }

    /// Opens a connection from [`CLIENT`]. Also returns the client's address.
    fn connect(&self) -> (TcpStream, SocketAddr) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let client: IpAddr = CLIENT.parse().unwrap();
        socket.bind(&SocketAddr::new(client, 0).into()).unwrap();
        socket.connect(&self.address.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let client = stream.local_addr().unwrap();
        (stream, client)
    }
}

/// A server that expects PROXY headers on `tcp`, `tls` and `http` from this machine.
fn lab() -> Lab {
    Lab::start_as(|config| {
        let listen =
            "[listen]\ntrusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = [\"tcp\", \"tls\", \"http\"]";
        config.replacen("[listen]", listen, 1)
    })
}

/// Asks over TCP for the reflexive address.
fn binding(mut stream: TcpStream) -> SocketAddr {
    stream.write_all(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!").unwrap();
    let mut response = [0; 32];
    stream.read_exact(&mut response).unwrap();
    let octets: [u8; 4] = std::array::from_fn(|i| response[28 + i] ^ [0x21, 0x12, 0xA4, 0x42][i]);
    let port = u16::from_be_bytes([response[26] ^ 0x21, response[27] ^ 0x12]);
    SocketAddr::from((octets, port))
}

#[test]
fn haproxy_and_nginx_tell_the_client_s_address() {
    let lab = lab();
    let tcp = lab.listener(Transport::Tcp, false);
    for proxy in [
        Proxy::haproxy(tcp, "send-proxy"),
        Proxy::haproxy(tcp, "send-proxy-v2"),
        // TLVs with the checksum and an identifier.
        Proxy::haproxy(tcp, "send-proxy-v2 proxy-v2-options crc32c,unique-id"),
        Proxy::nginx(tcp),
    ] {
        let (stream, client) = proxy.connect();
        assert_eq!(binding(stream), client);
    }
    assert!(!lab.server.log().contains(CLIENT));
}

/// HAProxy's health check is LOCAL in version 2.
#[test]
fn a_health_check_of_haproxy_passes() {
    let lab = lab();
    let tcp = lab.listener(Transport::Tcp, false);
    let proxy = Proxy::haproxy(tcp, "send-proxy-v2 check check-send-proxy inter 100ms");
    lab.server.until_counted(r#"byway_proxy_headers_total{outcome="proxy"}"#);
    let (stream, client) = proxy.connect();
    assert_eq!(binding(stream), client);
}

/// coturn's client by way of each proxy, over TCP and inside TLS that the proxy does not end.
#[test]
fn coturns_client_relays_through_haproxy_and_nginx() {
    let lab = lab();
    for transport in [Transport::Tcp, Transport::Tls] {
        let listener = lab.listener(transport, false);
        for proxy in [
            Proxy::haproxy(listener, "send-proxy"),
            Proxy::haproxy(listener, "send-proxy-v2"),
            Proxy::nginx(listener),
        ] {
            let client = Uclient::at(proxy.address, transport).credential(&lab.server).towards(Peer::Client);
            client.with(Load::LIGHT).relays_everything(Load::LIGHT);
        }
    }
}

/// A proxy without PROXY protocol is refused: its clients would all be one.
#[test]
fn a_proxy_that_sends_no_header_is_refused() {
    let lab = lab();
    let proxy = Proxy::haproxy(lab.listener(Transport::Tcp, false), "");
    let (mut stream, _) = proxy.connect();
    stream.write_all(b"\x00\x01\x00\x00\x21\x12\xa4\x42transaction!").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty(), "{answer:?}");
    lab.server.until_counted(r#"byway_proxy_headers_total{outcome="invalid"}"#);
}

/// The page over plain HTTP behind a TCP proxy.
#[test]
fn http_behind_haproxy_is_served() {
    let lab = lab();
    let proxy = Proxy::haproxy(lab.server.bound.http[0], "send-proxy-v2");
    let (mut stream, _) = proxy.connect();
    let host = lab.server.bound.http[0];
    write!(stream, "GET /ice HTTP/1.0\r\nHost: {host}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") || answer.starts_with("HTTP/1.0 200"), "{answer}");
}
