//! Threat 6: the server keeps no state for unauthenticated clients.

use byway_test_support::turn::{Client, Request, Server};
use stun::message::{METHOD_ALLOCATE, METHOD_CHANNEL_BIND, METHOD_CREATE_PERMISSION, METHOD_REFRESH};

/// `tests/no_heap` counts the memory for a million of them.
#[test]
fn threat_6_strangers_leave_nothing_behind() {
    let mut server = Server::new();
    for port in 1..2000 {
        let mut client = Client::new(&server, &format!("203.0.113.9:{port}"), "alice");
        for method in [METHOD_ALLOCATE, METHOD_REFRESH, METHOD_CREATE_PERMISSION, METHOD_CHANNEL_BIND] {
            assert_eq!(client.ask_unsigned(&mut server, &Request::bare(method)).code(), 401);
        }
    }
    assert_eq!((server.allocations(), server.sockets().len(), server.next_deadline()), (0, 0, None));
}

#[test]
fn threat_6_wrong_credentials_leave_nothing_behind() {
    let mut server = Server::new();
    for port in 1..2000 {
        let mut client = Client::new(&server, &format!("203.0.113.9:{port}"), "alice");
        client.password = "guess".into();
        for request in [Request::allocate(), Request::refresh(600)] {
            assert_eq!(client.refused(&mut server, &request), 401);
        }
    }
    assert_eq!((server.allocations(), server.sockets().len(), server.next_deadline()), (0, 0, None));
}
