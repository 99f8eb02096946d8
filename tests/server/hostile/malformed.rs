//! Threat 1: messages that are cut short, of odd lengths, or that claim more than there is.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream, UdpSocket};
use std::time::Duration;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::sockets::{Client, LOOPBACK, receive, socket};
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::{Request, channel_data};

/// The process lives, its memory stays as it was, and a client that was there before goes on.
#[test]
fn threat_1_malformed_messages_over_udp_and_tcp_leave_the_server_as_it_was() {
    // What one shard has answered, it has received.
    let server = Server::start_with(&CONFIG.replace("shards = 2", "shards = 1"), |_| {});
    let mut control = Control::new(&server);
    let stranger = socket(LOOPBACK[0]);
    stranger.connect(server.bound.udp_v4()).unwrap();
    let mut before = None;
    for round in 0..4 {
        for (n, message) in malformed().iter().enumerate() {
            stranger.send(message).unwrap();
            control.client.send(message);
            // As many at a time as fit the buffer of the server's socket.
            if n % 20 == 0 || message.len() > 10_000 {
                control.goes_on();
            }
        }
        control.goes_on();
        for message in malformed().iter().step_by(3) {
            let mut stream = TcpStream::connect(server.bound.tcp_v4()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            // Closed already, for some of them are impossible from their first byte on.
            let _ = stream.write_all(message);
            let _ = stream.shutdown(Shutdown::Write);
            let _ = stream.read_to_end(&mut Vec::new());
            control.goes_on();
        }
        // What the first round takes is kept for the next ones.
        let memory = server.memory();
        let grown = memory.saturating_sub(*before.get_or_insert(memory));
        assert!(grown < 1 << 20, "{grown} bytes more after round {round}");
    }
    assert!(server.metric(r#"byway_dropped_packets_total{reason="malformed"}"#) > 500);
    assert_eq!(server.metric("byway_allocations"), 1);
    stranger.set_nonblocking(true).unwrap();
    assert!(uninterrupted(|| stranger.recv(&mut [0; 2048])).is_err(), "one of them was answered");
    server.until("byway_turn_streams", 0);
}

/// A client with an allocation, a channel and a peer.
struct Control {
    client: Client,
    peer: UdpSocket,
    sent: u64,
}

impl Control {
    fn new(server: &Server) -> Self {
        let peer = socket(LOOPBACK[0]);
        let address = peer.local_addr().unwrap();
        let (mut client, _) = Client::of(server, server.bound.udp_v4()).permitting(address);
        client.granted(&Request::channel_bind(0x4000, address));
        Self { client, peer, sent: 0 }
    }

    fn goes_on(&mut self) {
        self.sent += 1;
        self.client.send_on(0x4000, &self.sent.to_be_bytes());
        assert_eq!(receive(&self.peer).0, self.sent.to_be_bytes());
    }
}

/// None of them is a message, and none is answered.
fn malformed() -> Vec<Vec<u8>> {
    let whole = Request::allocate().lifetime(600).peer("8.8.8.8:53".parse().unwrap()).encode([7; 12], None);
    let data = channel_data(0x4000, b"hello");
    let mut all = Vec::new();
    // Where lengths stand: the message's and each attribute's.
    for (message, lengths) in [(&whole, &[2, 22, 30, 38][..]), (&data, &[2])] {
        all.extend((1..message.len()).map(|length| message[..length].to_vec()));
        all.extend((4..=9).map(|more| [&message[..], &vec![0; more]].concat()));
        for &at in lengths {
            for lie in [0x7FFD_u16, 0x7FFF, 0x8000, 0xFFEB, 0xFFEC, 0xFFFC, 0xFFFD, 0xFFFE, 0xFFFF] {
                let mut liar = message.clone();
                liar[at..at + 2].copy_from_slice(&lie.to_be_bytes());
                all.push(liar);
            }
        }
    }
    // As long as a datagram can be, with a header that says so and one that does not.
    for header in [[0x00, 0x03, 0xFF, 0xCF], [0x00, 0x03, 0x00, 0x00], [0x40, 0x00, 0xFF, 0xFF], [0xFF; 4]] {
        all.push([&header[..], &[0xFF; 65_503]].concat());
    }
    all
}
