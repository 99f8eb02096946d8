//! Threat 56: servers that would make a probe hang, panic, read without bound, or send elsewhere.

use std::net::SocketAddr;
use std::time::Duration;

use byway_test_support::process::Configuration;
use serde_json::Value;
use stun::attributes::{ATTR_NONCE, ATTR_REALM};
use stun::error_code::{CODE_UNAUTHORIZED, ErrorCodeAttribute};
use stun::message::{CLASS_ERROR_RESPONSE, CLASS_SUCCESS_RESPONSE, Message, MessageType, Setter};
use stun::message::{METHOD_ALLOCATE, METHOD_BINDING};
use stun::textattrs::TextAttribute;
use stun::xoraddr::XorMappedAddress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::interval;
use turn::proto::lifetime::Lifetime;
use turn::proto::relayaddr::RelayedAddress;

use super::{LOOPBACK, probe, rows};

/// Longest time of a probe: its deadlines, on a machine that also compiles.
const WITHIN: Duration = Duration::from_secs(60);

/// Time between two pieces of an answer: by the byte, and without end.
const SLOW: Duration = Duration::from_millis(200);
const FAST: Duration = Duration::from_millis(1);

/// Probes a target, which must end in time, fail, and not panic.
async fn survives(what: &str, target: &str) -> Vec<Value> {
    let config = Configuration::new("");
    let login = ["--json", target, "--username", "u", "--password", "p"];
    let output = tokio::time::timeout(WITHIN, probe(&config, &login)).await;
    let output = output.unwrap_or_else(|_| panic!("{what}: the probe hangs"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.as_ref()), (Some(1), ""), "{what}");
    let rows = rows(&output);
    for row in rows.iter().filter(|row| row["state"] == "failed") {
        assert!(row["fault"].is_string() && row["remedy"].is_string(), "{what}: {row:#}");
    }
    rows
}

/// Serves each connection by a function of its own.
async fn serving<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind((LOOPBACK, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// Reads a request's head, so that the answer comes after it.
async fn head(stream: &mut TcpStream) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
}

async fn again_and_again(mut stream: TcpStream, begin: &[u8], again: &[u8], pause: Duration) {
    head(&mut stream).await;
    let mut pace = interval(pause);
    let mut sent = stream.write_all(begin).await;
    while sent.is_ok() {
        sent = stream.write_all(again).await;
        pace.tick().await;
    }
}

#[tokio::test]
async fn threat_56_answers_without_end_are_cut_off() {
    let body = serving(|stream: TcpStream| async move {
        let begin = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n";
        again_and_again(stream, begin, &[b'x'; 65536], FAST).await;
    });
    let heads = serving(|stream: TcpStream| async move {
        again_and_again(stream, b"HTTP/1.1 200 OK\r\n", &b"X-More: and more\r\n".repeat(1000), FAST).await;
    });
    let interim = serving(|stream: TcpStream| async move {
        again_and_again(stream, b"", &b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000), FAST).await;
    });
    let drip = serving(|stream: TcpStream| async move {
        again_and_again(stream, b"HTTP/1.1 200 OK\r\n", b"x", SLOW).await;
    });
    let slow_body = serving(|stream: TcpStream| async move {
        let begin = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        again_and_again(stream, begin, b"x", SLOW).await;
    });
    let silent = serving(|mut stream: TcpStream| async move {
        head(&mut stream).await;
        let _ = stream.read(&mut [0]).await;
    });
    let all = [
        ("a body without end", body.await),
        ("a head without end", heads.await),
        ("interim answers without end", interim.await),
        ("a head by the byte", drip.await),
        ("a body by the byte", slow_body.await),
        ("no answer", silent.await),
    ];
    let probes = all.map(|(what, at)| async move { survives(what, &format!("http://{at}/")).await });
    for rows in futures_util::future::join_all(probes).await {
        let page = rows.iter().find(|row| row["what"] == "page").unwrap();
        assert_eq!(page["state"], "failed", "{page:#}");
    }
}

#[tokio::test]
async fn threat_56_a_stream_by_the_byte_and_a_stream_without_end_are_given_up() {
    let drip = serving(|mut stream: TcpStream| async move {
        // The head of a response with 65,532 bytes to come.
        let begin = b"\x01\x01\xff\xfc\x21\x12\xa4\x42transaction!";
        let mut pace = interval(SLOW);
        let mut sent = stream.write_all(begin).await;
        while sent.is_ok() {
            sent = stream.write_all(b"x").await;
            pace.tick().await;
        }
    });
    let flood = serving(|mut stream: TcpStream| async move {
        // Indications, one after the other.
        let data = b"\x00\x17\x00\x00\x21\x12\xa4\x42transaction!".repeat(1000);
        while stream.write_all(&data).await.is_ok() {}
    });
    for (what, at) in [("a message by the byte", drip.await), ("indications without end", flood.await)] {
        let rows = survives(what, &format!("turn:{at}?transport=tcp")).await;
        assert_eq!(rows[0]["state"], "failed", "{what}");
    }
}

/// A UDP server that answers every datagram with what `answer` makes of it.
async fn answering(mut answer: impl FnMut(&[u8], SocketAddr) -> Vec<Vec<u8>> + Send + 'static) -> SocketAddr {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            for answer in answer(&buffer[..length], from) {
                let _ = socket.send_to(&answer, from).await;
            }
        }
    });
    address
}

/// Head of a response to a request, with these attributes as they are.
fn response(request: &[u8], class: u8, attributes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(attributes.len()).unwrap().to_be_bytes();
    [&[class, request[1] | 0x10][..], &length, &request[4..20], attributes].concat()
}

#[tokio::test]
async fn threat_56_malformed_answers_panic_nowhere() {
    let cases: &[(&str, u8, &[u8])] = &[
        ("no attribute", 0x01, b""),
        ("an attribute cut short", 0x01, b"\x00\x20\x00\x08\x00\x01"),
        ("a length that lies", 0x01, b"\x00\x20\xff\xff\x00\x01\x00\x00"),
        ("an address of no family", 0x01, b"\x00\x20\x00\x08\x00\x09\x12\x34\x01\x02\x03\x04"),
        ("an address cut short", 0x01, b"\x00\x20\x00\x04\x00\x02\x12\x34"),
        ("an address without bytes", 0x01, b"\x00\x20\x00\x00"),
        ("a long IPv4 address", 0x01, b"\x00\x20\x00\x0c\x00\x01\x12\x34\x01\x02\x03\x04\x05\x06\x07\x08"),
        ("an error without code", 0x01, b"\x00\x09\x00\x00"),
        ("an error that is no text", 0x01, b"\x00\x09\x00\x08\x00\x00\x04\x01\xff\xfe\x1b["),
        ("an indication", 0x00, b""),
    ];
    for (what, class, attributes) in cases {
        let at = answering(move |request, _| vec![response(request, *class, attributes)]).await;
        let rows = survives(what, &format!("turn:{at}")).await;
        assert_eq!(rows[0]["state"], "failed", "{what}: {rows:#?}");
    }
    // Every byte of a good answer replaced, and cut at every length.
    let mut seed = 7_u32;
    let at = answering(move |request, from| {
        let mut answer = bound(request, from);
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let at = 20 + (seed >> 8) as usize % (answer.len() - 20);
        answer[at] = (seed >> 24) as u8;
        answer.truncate(at + 4);
        vec![answer, request.to_vec(), vec![0x40, 0, 0xff, 0xff, 1], Vec::new()]
    });
    survives("random answers", &format!("turn:{}", at.await)).await;
}

fn of(request: &[u8], kind: MessageType, attributes: &[&dyn Setter]) -> Vec<u8> {
    let mut old = Message::new();
    old.unmarshal_binary(request).unwrap();
    let mut new = Message::new();
    (new.typ, new.transaction_id) = (kind, old.transaction_id);
    new.write_header();
    for attribute in attributes {
        attribute.add_to(&mut new).unwrap();
    }
    new.raw
}

fn bound(request: &[u8], from: SocketAddr) -> Vec<u8> {
    let mapped = XorMappedAddress { ip: from.ip(), port: from.port() };
    of(request, MessageType::new(METHOD_BINDING, CLASS_SUCCESS_RESPONSE), &[&mapped])
}

/// A relay that says its relayed addresses are the victim's, and relays as one should, so that
/// nothing but the address is wrong.
#[tokio::test]
async fn threat_56_a_relayed_address_of_the_server_s_choice_gets_no_datagram() {
    let victim = UdpSocket::bind("127.0.0.9:0").await.unwrap();
    let victim_at = victim.local_addr().unwrap();
    let mut clients: Vec<SocketAddr> = Vec::new();
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let request = &buffer[..length];
            let mut message = Message::new();
            if message.unmarshal_binary(request).is_err() {
                continue;
            }
            let success = MessageType::new(message.typ.method, CLASS_SUCCESS_RESPONSE);
            if message.typ.method == stun::message::METHOD_SEND {
                // To every other client, from the victim.
                for to in clients.iter().filter(|client| **client != from) {
                    let mut data = Message::new();
                    data.typ = MessageType::new(stun::message::METHOD_DATA, stun::message::CLASS_INDICATION);
                    data.write_header();
                    let peer = XorMappedAddress { ip: victim_at.ip(), port: victim_at.port() };
                    peer.add_to_as(&mut data, stun::attributes::ATTR_XOR_PEER_ADDRESS).unwrap();
                    data.add(stun::attributes::ATTR_DATA, &message.get(stun::attributes::ATTR_DATA).unwrap());
                    let _ = socket.send_to(&data.raw, to).await;
                }
                continue;
            }
            let answer = match (message.typ.method, message.get(ATTR_NONCE)) {
                (METHOD_BINDING, _) => bound(request, victim_at),
                (METHOD_ALLOCATE, Err(_)) => of(
                    request,
                    MessageType::new(METHOD_ALLOCATE, CLASS_ERROR_RESPONSE),
                    &[
                        &ErrorCodeAttribute { code: CODE_UNAUTHORIZED, reason: Vec::new() },
                        &TextAttribute::new(ATTR_REALM, "r".into()),
                        &TextAttribute::new(ATTR_NONCE, "n".into()),
                    ],
                ),
                (METHOD_ALLOCATE, Ok(_)) => {
                    clients.push(from);
                    let relayed = RelayedAddress { ip: victim_at.ip(), port: victim_at.port() };
                    of(request, success, &[&relayed, &Lifetime(Duration::from_secs(600))])
                }
                // Channels are refused, so that data goes on as indications.
                (stun::message::METHOD_CHANNEL_BIND, _) => continue,
                _ => of(request, success, &[&Lifetime(Duration::ZERO)]),
            };
            let _ = socket.send_to(&answer, from).await;
        }
    });
    let rows = survives("a relay elsewhere", &format!("turn:{at}")).await;
    assert_eq!(rows[0]["mapped_address"], victim_at.to_string(), "it is shown, and nothing more");
    assert_eq!(rows[0]["fault"], "wrong-public-address", "{rows:#?}");
    assert!(victim.try_recv(&mut [0; 2048]).is_err(), "a datagram was sent to the victim");
}

/// A server whose first answer is late, as behind a slow look-up of its link layer.
#[tokio::test]
async fn a_round_trip_is_the_shortest_of_several() {
    let socket = UdpSocket::bind((LOOPBACK, 0)).await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2048];
        for number in 0.. {
            let Ok((length, from)) = socket.recv_from(&mut buffer).await else { break };
            // The server takes this long.
            let late = Duration::from_millis(if number == 0 { 90 } else { 20 });
            let _ = tokio::time::timeout(late, std::future::pending::<()>()).await;
            let _ = socket.send_to(&bound(&buffer[..length], from), from).await;
        }
    });
    let output = probe(&Configuration::new(""), &["--json", &format!("stun:{at}")]).await;
    let rows = rows(&output);
    let time = rows[0]["binding_ms"].as_f64().unwrap();
    assert!((20.0..90.0).contains(&time), "{rows:#?}");
}
