//! A retransmitted Allocate request gets the same response (RFC 8656 section 7.2, RFC 8489 section
//! 6.3.1).

use byway_test_support::turn::{Client, Request, Server, at, seconds};

fn both_answers(request: &Request, between: impl FnOnce(&mut Server, &mut Client)) -> [Vec<u8>; 2] {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let (datagram, transaction) = client.sign(request);
    let first = client.answer(&mut server, &datagram, transaction);
    assert_eq!(first.code(), 0);
    between(&mut server, &mut client);
    let second = client.answer(&mut server, &datagram, transaction);
    assert_eq!(server.tried.len(), 1, "one relay socket for both requests");
    [first, second].map(|response| response.bytes().to_vec())
}

#[test]
fn the_answer_is_the_same_byte_for_byte() {
    for request in
        [Request::allocate(), Request::allocate_v6().lifetime(1800), Request::allocate().fingerprint()]
    {
        let [first, second] = both_answers(&request, |server, _| server.advance(seconds(30)));
        assert_eq!(first, second);
    }
}

#[test]
fn the_reservation_token_is_the_same_too() {
    let request = Request::allocate().with(stun::attributes::ATTR_EVEN_PORT, &[0x80]);
    let [first, second] = both_answers(&request, |_, _| {});
    assert_eq!(first, second);
}

#[test]
fn what_happened_in_between_does_not_show() {
    let [first, second] = both_answers(&Request::allocate(), |server, client| {
        client.granted(server, &Request::permission(at("8.8.8.8:53")));
        client.granted(server, &Request::refresh(3600));
    });
    assert_eq!(first, second);
}

#[test]
fn another_transaction_on_the_same_five_tuple_is_437() {
    let mut server = Server::new();
    let (mut client, relayed) = Client::allocated(&mut server, "203.0.113.9:5000", "alice");
    assert_eq!(client.refused(&mut server, &Request::allocate()), 437);
    assert_eq!(client.refused(&mut server, &Request::allocate_v6()), 437);
    assert_eq!(server.sockets(), [relayed], "the allocation is unchanged");
}

/// The transaction that created an allocation can create another only after that one has ended.
#[test]
fn after_the_end_it_is_a_new_request() {
    let mut server = Server::new();
    let mut client = Client::new(&server, "203.0.113.9:5000", "alice");
    client.learn_nonce(&mut server);
    let (datagram, transaction) = client.sign(&Request::allocate());
    let first = client.answer(&mut server, &datagram, transaction).relayed();
    client.granted(&mut server, &Request::refresh(0));
    let second = client.answer(&mut server, &datagram, transaction).relayed();
    assert_ne!(first, second, "the first port rests");
    assert_eq!(server.sockets(), [second]);
}
