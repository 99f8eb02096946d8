//! The page, `/ice` and `/ws` through proxies that drop fields, and the clock by dates.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{Configuration, Server};

use super::{Setup, doctor};

/// Fault of a proxy.
#[derive(Clone, Copy, PartialEq)]
enum Drops {
    Nothing,
    /// It names its upstream as the host, as nginx does by default.
    Host,
    /// It forwards no `Upgrade`, as nginx does by default.
    Upgrade,
}

/// Starts a reverse proxy on a free port. Its threads end with the test.
fn proxy(upstream: u16, drops: Drops) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || forward(client, upstream, drops));
        }
    });
    at
}

fn forward(mut client: TcpStream, upstream: u16, drops: Drops) -> std::io::Result<()> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let is = |line: &str, name: &str| line.to_ascii_lowercase().starts_with(name);
    let lines = head.trim_end().split("\r\n").filter_map(|line| match drops {
        Drops::Host if is(line, "host:") => Some(format!("Host: 127.0.0.1:{upstream}")),
        Drops::Upgrade if is(line, "upgrade:") => None,
        Drops::Upgrade if is(line, "connection:") => Some("Connection: close".to_owned()),
        _ => Some(line.to_owned()),
    });
    let head = lines.collect::<Vec<_>>().join("\r\n") + "\r\n\r\n";
    let mut server = TcpStream::connect(("127.0.0.1", upstream))?;
    server.write_all(head.as_bytes())?;
    let (mut up, mut down) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || std::io::copy(&mut client, &mut server));
    std::io::copy(&mut up, &mut down)?;
    down.shutdown(std::net::Shutdown::Both)
}

#[test]
fn a_proxy_that_drops_a_field_is_named_with_the_remedy() {
    let setup = Setup::new();
    let server = Server::start_with(&setup.text, |_| {});
    for (drops, fault, remedy) in [
        (Drops::Nothing, None, ""),
        (Drops::Host, Some("proxy-host"), "proxy_set_header Host $http_host"),
        (Drops::Upgrade, Some("proxy-upgrade"), "proxy_set_header Upgrade $http_upgrade"),
    ] {
        let url = format!("http://{}/", proxy(setup.http, drops));
        let report = doctor(server.command(), &["--url", &url]);
        let Some(fault) = fault else {
            report.is_sound();
            continue;
        };
        let failed = report.failed();
        assert!(!failed.is_empty() && failed.iter().all(|finding| finding["fault"] == fault), "{failed:#?}");
        assert!(
            failed.iter().all(|finding| finding["remedy"].as_str().unwrap().contains(remedy)),
            "{failed:#?}"
        );
        assert_eq!(report.output.status.code(), Some(1));
    }
}

/// Serves one answer to every request. Its thread ends with the test.
pub(super) fn web_server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = uninterrupted(|| client.read(&mut [0; 4096]));
            let _ = client.write_all(answer);
        }
    });
    at
}

#[test]
fn a_clock_that_is_off_is_named_by_the_date_of_another_server() {
    let file = Configuration::new(&Setup::new().text);
    let long_ago =
        web_server(b"HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2015 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n");
    let url = format!("http://{long_ago}/");
    let report = doctor(file.command(), &["--clock", &url]);
    let found = report.fails_by("clock-off");
    assert!(
        found["evidence"].as_str().unwrap().ends_with(&format!(" days ahead of {long_ago}")),
        "{found:#}"
    );
    assert!(found["remedy"].as_str().unwrap().contains("timedatectl"), "{found:#}");
}
