//! Servers that would hang `byway doctor`, make it panic, or send it elsewhere.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::thread;

use byway_test_support::process::Configuration;
use byway_test_support::process::interrupts::uninterrupted;

use super::front_door::web_server;
use super::{Setup, doctor};

/// Takes connections, and writes this to each until the other side closes.
fn endless(head: &'static [u8], rest: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                let _ = uninterrupted(|| client.read(&mut [0; 4096]));
                let _ = client.write_all(head);
                if rest.is_empty() {
                    // Holds the connection until the other side closes it.
                    let _ = uninterrupted(|| client.read(&mut [0; 16]));
                }
                while !rest.is_empty() && client.write_all(rest).is_ok() {}
            });
        }
    });
    at
}

/// Answers every datagram with this.
fn datagrams(answer: &'static [u8]) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = uninterrupted(|| socket.recv_from(&mut buffer)) {
            let mut answer = answer.to_vec();
            // The transaction id of the request, so that the answer belongs to it.
            if answer.len() >= 20 && length >= 20 {
                answer[4..20].copy_from_slice(&buffer[4..20]);
            }
            let _ = socket.send_to(&answer, from);
        }
    });
    at
}

#[test]
fn threat_56_a_web_server_can_neither_hang_nor_steer_it() {
    let file = Configuration::new(&Setup::new().text);
    let trap = TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let elsewhere = format!(
        "HTTP/1.1 302 Found\r\nLocation: http://{}/\r\nContent-Length: 0\r\n\r\n",
        trap.local_addr().unwrap()
    );
    let servers = [
        endless(b"", b""),
        endless(b"HTTP/1.1 200 OK\r\n", b"A: a\r\n"),
        endless(b"HTTP/1.1 200 OK\r\n\r\n", b"<title>Byway"),
        endless(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n"),
        endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"", b"\x00\xff\x16\x03"),
        web_server(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        web_server(
            b"HTTP/1.1 999 \x1b[2J\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: 99\r\n\r\n{{{",
        ),
        web_server(Box::leak(elsewhere.into_bytes().into_boxed_slice())),
    ];
    let runs = servers.map(|server| {
        let mut command = file.command();
        command.args([
            "doctor",
            "--url",
            &format!("http://{server}/"),
            "--clock",
            &format!("http://{server}/"),
        ]);
        thread::spawn(move || (server, command.output().unwrap()))
    });
    for run in runs {
        let (server, output) = run.join().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((output.status.code(), &*err), (Some(1), ""), "{out}");
        assert!(!out.contains('\u{1b}') && out.contains(" failed, "), "{out}");
        let is_ok = |line: &&str| line.starts_with("ok ") && line.contains(&server.to_string());
        assert_eq!(out.lines().find(is_ok), None, "nothing of such a server is ok: {out}");
    }
    assert!(trap.accept().is_err(), "no redirect was followed");
}

#[test]
fn threat_56_a_stun_server_can_neither_hang_it_nor_make_it_panic() {
    let file = Configuration::new(&Setup::new().text);
    for answer in [
        &b""[..],
        b"\x01\x01\x00\x00\x21\x12\xa4\x42transaction!",
        b"\x01\x01\xff\xff\x21\x12\xa4\x42transaction!",
        // XOR-MAPPED-ADDRESS of an unknown family, and one that is cut off.
        b"\x01\x01\x00\x08\x21\x12\xa4\x42transaction!\x00\x20\x00\x04\x00\x09\x00\x00",
        b"\x01\x01\x00\x0c\x21\x12\xa4\x42transaction!\x00\x20\x00\x08\x00\x02\x00\x00",
        b"\x01\x11\x00\x08\x21\x12\xa4\x42transaction!\x00\x09\x00\x04\x00\x00\x03\x00",
    ] {
        let from = format!("turn:{}", datagrams(answer));
        let report = doctor(file.command(), &["--from", &from, "--username", "u", "--password", "p"]);
        let found =
            report.findings().iter().find(|finding| finding["section"] == "outside").expect("a finding");
        assert_eq!(found["state"], "skipped", "{found:#}");
        assert_eq!(String::from_utf8_lossy(&report.output.stderr), "");
    }
}
