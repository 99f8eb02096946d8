//! NAT behaviour discovery (RFC 5780 sections 6.1 and 7): a client can request the response from
//! another listener.

use byway_test_support::turn::{Client, Request, Response, Seen, Server, at};
use byway_turn::server::{Discovery, ListenerId, Transport};
use stun::attributes::{
    ATTR_CHANGE_REQUEST, ATTR_ERROR_CODE, ATTR_FINGERPRINT, ATTR_MAPPED_ADDRESS, ATTR_OTHER_ADDRESS,
    ATTR_PADDING, ATTR_RESPONSE_ORIGIN, ATTR_RESPONSE_PORT, ATTR_UNKNOWN_ATTRIBUTES, ATTR_XORMAPPED_ADDRESS,
    AttrType,
};

const CHANGE_IP: u8 = 4;
const CHANGE_PORT: u8 = 2;

/// Listeners 0 to 3 of IPv4 and 4 to 7 of IPv6 take part; listener 8 does not.
const LISTENERS: [&str; 9] = [
    "198.51.100.1:3478",
    "198.51.100.2:3478",
    "198.51.100.1:3479",
    "198.51.100.2:3479",
    "[2001:db8::1]:3478",
    "[2001:db8::2]:3478",
    "[2001:db8::1]:3479",
    "[2001:db8::2]:3479",
    "0.0.0.0:443",
];

fn server() -> Server {
    Server::with(1, |settings| settings.discovery = Discovery::among(&LISTENERS.map(at)))
}

/// Returns a client that sends to this listener.
fn client_of(server: &Server, listener: u16) -> Client {
    let own = at(LISTENERS[usize::from(listener)]);
    let address = if own.is_ipv4() { "203.0.113.9:5000" } else { "[2001:db8::9]:5000" };
    let mut client = Client::new(server, address, "alice");
    client.five_tuple.server = own.ip();
    client.five_tuple.transport = Transport::Udp(ListenerId(listener));
    client
}

fn change(flags: u8) -> Request {
    Request::binding().with(ATTR_CHANGE_REQUEST, &[0, 0, 0, flags])
}

/// Section 6.1, table 1, for each participating listener.
#[test]
fn the_answer_comes_from_where_it_was_asked_to_come_from() {
    let mut server = server();
    for listener in 0..8 {
        let mut client = client_of(&server, listener);
        let requests = [Request::binding(), change(0), change(CHANGE_IP), change(CHANGE_PORT)];
        let flags = [0, 0, CHANGE_IP, CHANGE_PORT];
        let all = requests.into_iter().zip(flags).chain([(change(CHANGE_IP | CHANGE_PORT), 6)]);
        for (request, flags) in all {
            let response = client.ask_unsigned(&mut server, &request);
            // In `LISTENERS`, addresses alternate and ports come in pairs.
            let from = listener ^ u16::from(flags & CHANGE_IP != 0) ^ u16::from(flags & CHANGE_PORT);
            let origin = at(LISTENERS[usize::from(from)]);
            assert_eq!(server.replied_from, Some((origin.ip(), Transport::Udp(ListenerId(from)))));
            assert_eq!(response.plain_address(ATTR_RESPONSE_ORIGIN), origin);
            assert_eq!(response.plain_address(ATTR_OTHER_ADDRESS), at(LISTENERS[usize::from(listener ^ 3)]));
            assert_eq!(response.plain_address(ATTR_MAPPED_ADDRESS), client.address());
            assert_eq!(response.mapped(), client.address());
        }
    }
}

/// The whole response, so that an extra byte is noticed. On the wire, it is twice the request over
/// IPv4 and 2.4 times over IPv6.
#[test]
fn what_is_added_is_three_addresses() {
    let mut server = server();
    let added = [ATTR_XORMAPPED_ADDRESS, ATTR_MAPPED_ADDRESS, ATTR_RESPONSE_ORIGIN, ATTR_OTHER_ADDRESS];
    for (listener, length) in [(0, 68), (4, 116)] {
        let mut client = client_of(&server, listener);
        let response = client.ask_unsigned(&mut server, &Request::binding());
        assert_eq!((response.kinds(), response.bytes().len()), (added.to_vec(), length));
        let response = client.ask_unsigned(&mut server, &Request::binding().fingerprint());
        assert_eq!(response.kinds()[4..], [ATTR_FINGERPRINT]);
    }
}

/// Section 6: without a second address, CHANGE-REQUEST is unknown, and the response is a plain one
/// (threat 5).
#[test]
fn a_listener_that_takes_no_part_knows_nothing_of_it() {
    for mut server in [server(), Server::new()] {
        let mut client = client_of(&server, 8);
        let response = client.ask_unsigned(&mut server, &Request::binding());
        assert_eq!((response.kinds(), response.bytes().len()), (vec![ATTR_XORMAPPED_ADDRESS], 32));
        let response = client.ask_unsigned(&mut server, &change(CHANGE_IP));
        assert_eq!(response.kinds(), [ATTR_ERROR_CODE, ATTR_UNKNOWN_ATTRIBUTES]);
        assert_eq!((response.code(), response.get(ATTR_UNKNOWN_ATTRIBUTES)), (420, vec![0, 3]));
    }
}

/// Sections 7.5 and 7.6: one would be a reflector, the other an amplifier.
#[test]
fn response_port_and_padding_are_refused() {
    let mut server = server();
    let mut client = client_of(&server, 0);
    let padding = vec![0; 1400];
    for (refused, value) in [(ATTR_RESPONSE_PORT, &[0, 53, 0, 0][..]), (ATTR_PADDING, &padding)] {
        let response = client.ask_unsigned(&mut server, &change(CHANGE_IP).with(refused, value));
        assert_eq!(response.code(), 420);
        assert_eq!(response.get(ATTR_UNKNOWN_ATTRIBUTES), refused.0.to_be_bytes());
        assert_eq!(server.replied_from, Some((client.five_tuple.server, client.five_tuple.transport)));
        assert!(response.bytes().len() <= 36);
    }
}

#[test]
fn change_request_of_a_wrong_size_is_400() {
    let mut server = server();
    let mut client = client_of(&server, 0);
    for wrong in [&[][..], &[6], &[0, 0, 0, 6, 0, 0, 0, 0]] {
        let request = Request::binding().with(ATTR_CHANGE_REQUEST, wrong);
        assert_eq!(client.ask_unsigned(&mut server, &request).code(), 400);
    }
}

/// Section 7.2: only Binding requests may use it.
#[test]
fn in_a_turn_request_change_request_is_unknown() {
    let mut server = server();
    let mut client = client_of(&server, 0);
    let response = client.ask(&mut server, &Request::allocate().with(ATTR_CHANGE_REQUEST, &[0, 0, 0, 6]));
    assert_eq!((response.code(), response.get(ATTR_UNKNOWN_ATTRIBUTES)), (420, vec![0, 3]));
}

/// Threat 5: all listeners and all request forms share one rate limit for unauthenticated requests.
#[test]
fn the_budget_of_strangers_holds() {
    let mut server = Server::with(1, |settings| {
        settings.discovery = Discovery::among(&LISTENERS.map(at));
        settings.quota.unauthenticated_per_second = 10;
    });
    let mut answered = 0;
    for n in 0..100_u16 {
        let mut client = client_of(&server, n % 4);
        let request = [change(6), Request::binding(), change(6).with(AttrType(0x7000), &[])];
        let seen = client.send_unsigned(&mut server, &request[usize::from(n % 3)]);
        answered += usize::from(matches!(seen, Seen::Reply(..)));
    }
    assert_eq!(answered, 10);
}

/// A stream cannot be answered from another listener.
#[test]
fn a_stream_takes_no_part() {
    let mut server = server();
    let mut client = client_of(&server, 0);
    let stream = byway_turn::server::StreamId { shard: 0, slot: 0, generation: 1 };
    client.five_tuple.transport = Transport::Stream(stream);
    let response: Response = client.ask_unsigned(&mut server, &Request::binding());
    assert_eq!(response.kinds(), [ATTR_XORMAPPED_ADDRESS]);
    assert_eq!(client.ask_unsigned(&mut server, &change(6)).code(), 420);
}
