//! Over TCP: our own server, and what else may have the port.

use std::net::SocketAddr;

use byway_test_support::process::{Configuration, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::{LOOPBACK, Nobody, probe, rows, trouble};

#[tokio::test]
async fn our_own_server_relays_over_tcp() {
    let server = Server::start();
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}?transport=tcp", server.bound.tcp_v4());
    let config = Configuration::new("");
    let login = ["--username", &username, "--password", &password];
    let output = probe(&config, &[&["--json", &url], &login[..]].concat()).await;
    let rows = rows(&output);
    assert_eq!(output.status.code(), Some(0), "{rows:#?}");
    assert_eq!(rows[0]["url"], url);
    for field in ["binding_ms", "round_trip_ms", "from_peer_ms"] {
        assert!(rows[0][field].is_f64(), "{field}: {rows:#?}");
    }
}

#[tokio::test]
async fn a_probe_of_many_urls_stays_within_its_user_s_quota() {
    let server = Server::start();
    let (username, password) = server.credential("probe");
    let url = format!("turn:{}?transport=tcp", server.bound.tcp_v4());
    // Two allocations each, where a user may have 16 at one time.
    let urls = [url.as_str(); 12];
    let login = ["--json", "--username", &username, "--password", &password];
    let output = probe(&Configuration::new(""), &[&urls[..], &login].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{:#?}", rows(&output));
}

#[tokio::test]
async fn a_port_that_is_closed_and_a_host_that_is_nowhere_are_told_apart() {
    let nobody = Nobody::new().await;
    let address = nobody.tcp();
    assert_eq!(asked(address).await, format!("nothing listens on TCP {address}"));

    let config = Configuration::new("");
    let output = probe(&config, &["--json", "turn:a..b?transport=tcp", "--username", "a", "--password", "b"]);
    let why = trouble(&output.await);
    assert!(why.starts_with("a..b has no address: "), "{why}");
}

#[tokio::test]
async fn a_machine_that_answers_no_connection_is_given_up() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((LOOPBACK, 0).into()).unwrap();
    let listener = socket.listen(0).unwrap();
    let address = listener.local_addr().unwrap();
    // The kernel drops what comes to a full backlog, as a firewall would.
    let _first = TcpStream::connect(address).await.unwrap();
    assert_eq!(asked(address).await, "no answer to a TCP connection");
}

#[tokio::test]
async fn another_server_s_port_is_known_by_what_it_says() {
    for (says, reason) in [
        (&b""[..], "the server closed the connection"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "a web server answers there: HTTP instead of STUN"),
        (b"\x15\x03\x01\x00\x02\x02\x32", "the server speaks TLS there"),
        (b"220 mail.example.org ESMTP\r\n", "the service there does not speak STUN"),
    ] {
        let address = server_that_says(says).await;
        assert_eq!(asked(address).await, reason);
    }
    let silent = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    assert_eq!(asked(silent.local_addr().unwrap()).await, "no answer to STUN binding requests");
}

/// Reason for which a probe of this port fails.
async fn asked(address: SocketAddr) -> String {
    let url = format!("turn:{address}?transport=tcp");
    let config = Configuration::new("");
    trouble(&probe(&config, &["--json", &url, "--username", "a", "--password", "b"]).await)
}

/// Says the same to everyone, once they have said something, and hangs up.
async fn server_that_says(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.readable().await;
            let _ = stream.try_read(&mut [0; 1024]);
            let _ = stream.write_all(answer).await;
        }
    });
    address
}
