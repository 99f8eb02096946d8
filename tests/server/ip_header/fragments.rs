//! DONT-FRAGMENT (RFC 8656 section 15): loopback carries 65,536 bytes at a time, which an IPv6
//! datagram can exceed.

use std::net::TcpStream;
use std::time::Duration;

use byway_test_support::process::Server;
use byway_test_support::process::sockets::{Client, LOOPBACK, Link, receive, socket};
use byway_test_support::turn::{Request, Response};
use stun::attributes::{ATTR_DONT_FRAGMENT, AttrType};

#[test]
fn what_must_not_be_fragmented_arrives_whole_or_the_client_is_told_the_mtu() {
    let server = Server::start();
    let socket_of_client = TcpStream::connect(server.bound.tcp_v4()).unwrap();
    socket_of_client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let peer = socket(LOOPBACK[1]);
    let address = peer.local_addr().unwrap();
    let (client, _) = Client::over(&server, Link::Tcp(socket_of_client)).permitting(address);
    let large = vec![7; 65_500];
    for _ in 0..2 {
        client.indicate(&Request::send(address, &large).with(ATTR_DONT_FRAGMENT, &[]));
        let told = Response::read(&client.receive());
        // Packet too big: 65,536.
        assert_eq!(told.get(AttrType(0x8004)), [0, 0, 2 << 1, 0, 0, 1, 0, 0]);
        assert_eq!(told.peer().ip(), address.ip());
        client.indicate(&Request::send(address, &large));
        assert_eq!(receive(&peer).0, large);
        client.indicate(&Request::send(address, b"small").with(ATTR_DONT_FRAGMENT, &[]));
        assert_eq!(receive(&peer).0, b"small");
    }
}
