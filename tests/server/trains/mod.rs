//! Datagrams in trains, black box: whatever the kernel joins and segments, each arrives as it would
//! by itself.
//!
//! The server is stopped while a test sends, so that it finds everything at once: what may be
//! joined is.

mod fairness;
mod order;
mod requests;
mod streams;
mod tuning;

use std::net::{SocketAddr, UdpSocket};

use byway_test_support::process::sockets::{self, Client};
use byway_test_support::process::{CONFIG, Server};
use socket2::SockRef;

/// A server of one shard, unless `more` of its `[relay]` says otherwise.
fn start(more: &str) -> Server {
    let shards = if more.contains("shards") { "" } else { "shards = 1\n" };
    Server::start_with(&CONFIG.replace("shards = 2", &format!("{shards}{more}")), |_| {})
}

/// Does `work` with a server that has the kernel join and segment, and with one that has not. Each
/// says so.
fn with_and_without_offload(more: &str, work: impl Fn(&Server)) {
    for offload in [true, false] {
        let server = start(&format!("{more}\noffload = {offload}"));
        work(&server);
        for kind in ["receive", "send"] {
            let series = format!("byway_offload{{kind={kind:?}}}");
            assert_eq!(server.metric(&series) > 0, offload, "{series}");
        }
        for series in [
            r#"byway_datagrams_received_total{path="joined"}"#,
            r#"byway_datagrams_sent_total{path="segmented"}"#,
        ] {
            if offload {
                // It is counted a moment after the datagrams have left.
                server.until_counted(series);
            } else {
                assert_eq!(server.metric(series), 0, "{series}");
            }
        }
        assert_eq!(server.metric("byway_segmentation_refused_total"), 0);
    }
}

/// A client, or a peer, with room for all that a test sends before it looks.
fn roomy(socket: &UdpSocket) {
    SockRef::from(socket).set_recv_buffer_size(4 << 20).unwrap();
}

fn peer(loopback: &str) -> (UdpSocket, SocketAddr) {
    let socket = sockets::socket(loopback);
    roomy(&socket);
    let address = socket.local_addr().unwrap();
    (socket, address)
}

fn client(server: &Server, listener: SocketAddr) -> Client {
    let client = Client::of(server, listener);
    roomy(client.udp());
    client
}

/// The `n`th payload of a flow: of `size` bytes, three at least, and unlike any other.
fn payload(flow: u8, n: u16, size: usize) -> Vec<u8> {
    let [n0, n1] = n.to_be_bytes();
    [flow, n0, n1].into_iter().chain((3_u8..=255).cycle().map(|i| i ^ flow ^ n1)).take(size.max(3)).collect()
}
