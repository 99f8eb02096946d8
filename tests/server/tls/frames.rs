//! Threat 32: frames that cost us work and that no library tells of.

use std::io::Write as _;

use byway_test_support::process::certificates::server;
use byway_test_support::process::tls::{connect, get, trusting, until_closed};

use super::http2::{
    DATA, END_STREAM, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head, open, read,
};

/// Frames of a flood: some seconds of work, if nothing ended it.
const FLOOD: usize = 40_000;

#[test]
fn threat_32_a_flood_of_control_frames_ends_its_connection_and_no_other() {
    let (server, pair, _folder) = server();
    let (config, address) = (trusting(&pair, &["h2"]), server.bound.tls());
    let mut other = open(&config, address).unwrap();
    let reset = [head(1, "GET", "/", 0, END_STREAM), frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])].concat();
    let floods = [
        ("PING", vec![], frame(PING, 0, 0, b"how much")),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("WINDOW_UPDATE", vec![], frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 7])),
        ("RST_STREAM", reset, frame(RST_STREAM, 0, 1, &[0, 0, 0, 8])),
    ];
    let ended = r#"byway_http_connections_ended_total{reason="flood"}"#;
    for (count, (name, first, each)) in floods.into_iter().enumerate() {
        let mut stream = open(&config, address).unwrap();
        stream.write_all(&first).unwrap();
        let batch = each.repeat(100);
        // The end of the connection is an error here, or later.
        let _ = (0..FLOOD / 100).try_for_each(|_| stream.write_all(&batch));
        until_closed(&mut stream.sock);
        server.until(ended, count as u64 + 1);
        println!("{name} ended");
    }
    // The library may have had enough of these before us.
    let mut stream = open(&config, address).unwrap();
    stream.write_all(&head(1, "POST", "/ice", 0, 0)).unwrap();
    let empty = frame(DATA, 0, 1, &[]).repeat(100);
    let _ = (0..FLOOD / 100).try_for_each(|_| stream.write_all(&empty));
    until_closed(&mut stream.sock);
    // Who speaks as little as that is not concerned.
    other.write_all(&frame(PING, 0, 0, b"still on")).unwrap();
    while !matches!(read(&mut other).unwrap(), (PING, 1, 0, payload) if payload == b"still on") {}
    get(&mut connect(&trusting(&pair, &["http/1.1"]), address).unwrap(), "/").expect_ok();
}

/// As many requests as a page makes in a minute, one after the other: their frames are paid for by
/// their answers.
#[test]
fn threat_32_a_busy_client_of_http2_is_no_flood() {
    const REQUESTS: u32 = 2_000;
    let (server, pair, _folder) = server();
    let mut stream = open(&trusting(&pair, &["h2"]), server.bound.tls()).unwrap();
    for n in 0..REQUESTS {
        let id = 2 * n + 1;
        let request =
            [head(id, "GET", "/icon.svg", 0, END_STREAM), frame(WINDOW_UPDATE, 0, 0, &[0, 0, 8, 0])];
        stream.write_all(&request.concat()).unwrap();
        loop {
            let (kind, flags, of, _) = read(&mut stream).unwrap();
            if kind == DATA && of == id && flags & END_STREAM != 0 {
                break;
            }
        }
    }
    assert_eq!(server.metric(r#"byway_http_connections_ended_total{reason="flood"}"#), 0);
}
