//! Relayed flows over reloads: every datagram is counted, and none is lost.

use std::net::UdpSocket;

use byway_test_support::process::sockets::{Client, LOOPBACK, receive, socket};
use byway_test_support::process::{SECRET, Server};
use byway_test_support::turn::Request;
use socket2::SockRef;

use super::{client, replaced, told, with_socket};

const FLOWS: u16 = 200;
const CHANNEL: u16 = 0x4000;

/// Sends one datagram through each flow to the peer and one back, and checks each.
fn round(clients: &[Client], peer: &UdpSocket, number: u16) {
    let payload = |flow: u16| [flow.to_be_bytes(), number.to_be_bytes()].concat();
    for (client, flow) in clients.iter().zip(0..) {
        client.send_on(CHANNEL, &payload(flow));
    }
    let mut arrived = Vec::new();
    for _ in clients {
        let mut bytes = [0; 64];
        let received =
            byway_test_support::process::interrupts::uninterrupted(|| peer.recv_from(&mut bytes)).unwrap();
        peer.send_to(&bytes[..received.0], received.1).unwrap();
        arrived.push(bytes[..received.0].to_vec());
    }
    arrived.sort();
    assert_eq!(arrived, (0..FLOWS).map(payload).collect::<Vec<_>>());
    for (client, flow) in clients.iter().zip(0..) {
        let message = receive(client.udp()).0;
        assert_eq!(message[4..8], payload(flow), "flow {flow}");
    }
}

#[test]
fn two_hundred_flows_lose_nothing_over_reloads() {
    let text = with_socket("allocations_per_address = 0\n");
    let server = Server::start_with(&text, |_| {});
    let peer = socket(LOOPBACK[0]);
    SockRef::from(&peer).set_recv_buffer_size(1 << 20).unwrap();
    let at = peer.local_addr().unwrap();
    let clients: Vec<_> = (0..FLOWS)
        .map(|flow| {
            let mut client = client(&server, &format!("flow-{flow}"), SECRET);
            client.granted(&Request::allocate());
            client.granted(&Request::channel_bind(CHANNEL, at));
            client
        })
        .collect();
    server.until("byway_allocations", FLOWS.into());

    // Every reload changes secrets, users, quotas, listeners, rooms and rules of peers.
    let other = replaced(&text, "a-test-secret", "a-secret-of-tomorrow");
    let other = replaced(&other, "udp = [", "udp = [\"127.0.0.2:0\", ");
    let other = replaced(&other, "allow = [", "deny = [\"192.0.2.0/24\"]\nallow = [\"198.51.100.0/24\", ")
        + "allocations = 500\n[signaling]\nmax_members = 4\n[[users]]\nname = \"camera\"\npassword = \"geheim\"\n";
    let mut rounds = 0;
    for reload in 0..10 {
        let command = server.command();
        server.configure(if reload % 2 == 0 { &other } else { &text });
        let running = std::thread::spawn(move || {
            let mut command = command;
            command.arg("reload").output().unwrap()
        });
        // Datagrams flow before, during and after the reload.
        while !running.is_finished() {
            round(&clients, &peer, rounds);
            rounds += 1;
        }
        let told = told(&running.join().unwrap(), 0);
        assert!(told.contains("credentials.secrets") && told.contains("listen.udp"), "{told}");
        round(&clients, &peer, rounds);
        rounds += 1;
    }
    server.until("byway_relayed_packets_total{direction=\"to_peer\"}", u64::from(rounds) * u64::from(FLOWS));
    server
        .until("byway_relayed_packets_total{direction=\"to_client\"}", u64::from(rounds) * u64::from(FLOWS));
    assert_eq!(server.metric("byway_allocations"), u64::from(FLOWS));
}
