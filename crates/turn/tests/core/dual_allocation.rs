//! Creation of dual allocations (RFC 8656 sections 7.2, 18.11 and 18.12): a relayed transport
//! address of each family, or the one that is available.

use byway_test_support::turn::{
    ATTR_ADDITIONAL_ADDRESS_FAMILY, Bind, Client, Request, Response, Seen, Server, at, seconds,
};
use byway_turn::server::BindError::{Exhausted, PortInUse};
use byway_turn::server::DropReason;
use stun::attributes::{
    ATTR_EVEN_PORT, ATTR_LIFETIME, ATTR_MESSAGE_INTEGRITY, ATTR_REQUESTED_ADDRESS_FAMILY,
    ATTR_RESERVATION_TOKEN, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};

const V4: u8 = 1;
const V6: u8 = 2;

/// Creates a server of eight ports per family and as many allocations, so that a leak is noticed.
fn server(binds: impl IntoIterator<Item = Bind>) -> Server {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_007;
        settings.quota.allocations = 16;
    });
    server.binds.extend(binds);
    server
}

fn client(server: &Server) -> Client {
    Client::new(server, "203.0.113.9:5000", "alice")
}

/// Checks that, once every rest is over, dual allocations can use each port and each place in the
/// quota again.
fn nothing_is_lost(server: &mut Server) {
    server.advance(seconds(3601));
    assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
    server.advance(seconds(120));
    for n in 0..8 {
        let mut client = Client::new(server, &format!("203.0.113.77:{}", 5000 + n), "all");
        assert_eq!(client.granted(server, &Request::allocate_dual()).address_error(), None);
    }
}

#[test]
fn one_allocation_has_an_address_of_each_family() {
    for address in ["203.0.113.9:5000", "[2001:db8::9]:5000"] {
        let mut server = Server::new();
        let mut client = Client::new(&server, address, "alice");
        let response = client.granted(&mut server, &Request::allocate_dual());
        assert_eq!(
            response.kinds(),
            [
                ATTR_XOR_RELAYED_ADDRESS,
                ATTR_XOR_RELAYED_ADDRESS,
                ATTR_LIFETIME,
                ATTR_XORMAPPED_ADDRESS,
                ATTR_MESSAGE_INTEGRITY
            ]
        );
        let relayed = response.all_relayed();
        assert_eq!([relayed[0].ip(), relayed[1].ip()], [at("45.0.0.1:0").ip(), at("[2a0a::1]:0").ip()]);
        assert_eq!((response.mapped(), response.lifetime()), (at(address), 600));
        assert_eq!((server.sockets(), server.allocations()), (relayed, 1));
    }
}

/// coturn's clients use the attribute type of the drafts.
#[test]
fn the_number_of_the_drafts_means_the_same_but_that_of_the_rfc_wins() {
    let draft = stun::attributes::AttrType(0x8032);
    let mut server = server([]);
    let mut client = client(&server);
    let response = client.granted(&mut server, &Request::allocate().with(draft, &[V6, 0, 0, 0]));
    assert_eq!(response.all_relayed().len(), 2);
    refused_with_400(&Request::allocate().with(draft, &[V4, 0, 0, 0]));
    let rfc = |family| Request::allocate().with(ATTR_ADDITIONAL_ADDRESS_FAMILY, &[family, 0, 0, 0]);
    refused_with_400(&rfc(V4).with(draft, &[V6, 0, 0, 0]));
}

#[test]
fn a_retransmission_is_answered_byte_for_byte() {
    let mut server = server([]);
    let mut client = client(&server);
    client.learn_nonce(&mut server);
    let (datagram, transaction) = client.sign(&Request::allocate_dual());
    let first = client.answer(&mut server, &datagram, transaction);
    let again = client.answer(&mut server, &datagram, transaction);
    assert_eq!(first.bytes(), again.bytes());
    assert_eq!((server.sockets().len(), server.tried.len()), (2, 2));
}

/// Section 7.2 step 6.
#[test]
fn with_requested_address_family_it_is_400() {
    for family in [V4, V6] {
        let request = Request::allocate_dual().with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
        refused_with_400(&request);
    }
}

/// Section 7.2 step 9 and section 18.11: the only valid value is 0x02.
#[test]
fn any_additional_family_but_ipv6_is_400() {
    for value in [&[V4, 0, 0, 0][..], &[0, 0, 0, 0], &[3, 0, 0, 0], &[255, 0, 0, 0], &[], &[V6], &[V6; 8]] {
        refused_with_400(&Request::allocate().with(ATTR_ADDITIONAL_ADDRESS_FAMILY, value));
    }
}

/// Section 7.2 step 5.
#[test]
fn with_a_reservation_token_it_is_400() {
    refused_with_400(&Request::allocate_dual().with(ATTR_RESERVATION_TOKEN, &[7; 8]));
}

/// Section 7.2 step 8.
#[test]
fn with_even_port_it_is_400_if_that_reserves() {
    refused_with_400(&Request::allocate_dual().with(ATTR_EVEN_PORT, &[0x80]));
    let mut server = server([]);
    for n in 0..4 {
        let mut client = Client::new(&server, &format!("203.0.113.9:{}", 5000 + n), "alice");
        let response = client.granted(&mut server, &Request::allocate_dual().with(ATTR_EVEN_PORT, &[0]));
        let relayed = response.all_relayed();
        assert_eq!(relayed.len(), 2);
        assert!(relayed.iter().all(|relayed| relayed.port().is_multiple_of(2)));
    }
}

fn refused_with_400(request: &Request) {
    let mut server = server([]);
    assert_eq!(client(&server).refused(&mut server, request), 400);
    assert_eq!((server.allocations(), server.tried.len()), (0, 0));
    nothing_is_lost(&mut server);
}

/// Section 7.2 step 9: a partial allocation is a success, and the response names the missing
/// family.
#[test]
fn a_family_without_a_relay_address_is_a_440_within_the_success() {
    for (lacking, at_index) in [(V4, 0), (V6, 1)] {
        let mut server = Server::with(1, |settings| {
            settings.addresses.remove(at_index);
        });
        let response = client(&server).granted(&mut server, &Request::allocate_dual());
        assert_eq!(response.address_error(), Some((lacking, 440)));
        assert_eq!(response.all_relayed(), server.sockets());
        assert_eq!(server.sockets().len(), 1);
    }
}

#[test]
fn a_family_without_a_free_port_is_a_508_within_the_success() {
    for (lacking, single) in [(V4, Request::allocate()), (V6, Request::allocate_v6())] {
        let mut server = server([]);
        for n in 0..8 {
            Client::new(&server, &format!("203.0.113.9:{}", 6000 + n), "bob").granted(&mut server, &single);
        }
        let response = client(&server).granted(&mut server, &Request::allocate_dual());
        assert_eq!(response.address_error(), Some((lacking, 508)));
        assert_eq!((response.all_relayed().len(), server.sockets().len()), (1, 9));
        nothing_is_lost(&mut server);
    }
}

#[test]
fn without_a_port_of_either_family_it_is_508() {
    let mut server = server([]);
    for n in 0..8 {
        let mut other = Client::new(&server, &format!("203.0.113.9:{}", 6000 + n), "bob");
        other.granted(&mut server, &Request::allocate_dual());
    }
    assert_eq!(client(&server).refused(&mut server, &Request::allocate_dual()), 508);
    assert_eq!((server.allocations(), server.sockets().len()), (8, 16));
    nothing_is_lost(&mut server);
}

#[test]
fn where_one_family_is_missing_and_the_other_used_up_it_is_508() {
    for at_index in [0, 1] {
        let mut server = Server::with(1, |settings| {
            settings.addresses.remove(at_index);
            settings.ports = 50_000..=50_000;
        });
        client(&server).granted(&mut server, &Request::allocate_dual());
        let mut late = Client::new(&server, "203.0.113.9:5001", "alice");
        assert_eq!(late.refused(&mut server, &Request::allocate_dual()), 508);
    }
}

#[test]
fn a_socket_that_cannot_be_bound_is_a_508_within_the_success() {
    for error in [Exhausted, PortInUse] {
        for (lacking, fail_first) in [(V4, true), (V6, false)] {
            let mut tries = vec![Bind::Fails(error); 8];
            // The families alternate. After the first bind of each, all further binds are of the
            // failing family.
            tries.insert(usize::from(fail_first), Bind::Works);
            let mut server = server(tries);
            let mut client = client(&server);
            let response = client.granted(&mut server, &Request::allocate_dual());
            assert_eq!(response.address_error(), Some((lacking, 508)));
            assert_eq!(response.all_relayed(), server.sockets());
            assert_eq!(server.tried.len(), if error == Exhausted { 2 } else { 9 });
            server.binds.clear();
            client.granted(&mut server, &Request::refresh(0));
            nothing_is_lost(&mut server);
        }
    }
}

#[test]
fn a_port_that_another_program_has_is_replaced_by_one_of_its_family() {
    let mut server = server([Bind::Fails(PortInUse), Bind::Fails(PortInUse)]);
    let response = client(&server).granted(&mut server, &Request::allocate_dual());
    assert_eq!((response.address_error(), response.all_relayed()), (None, server.sockets()));
    let families: Vec<bool> = server.tried.iter().map(std::net::SocketAddr::is_ipv6).collect();
    assert_eq!(families, [false, true, false, true]);
    nothing_is_lost(&mut server);
}

#[test]
fn where_neither_socket_can_be_bound_it_is_508() {
    for error in [Exhausted, PortInUse] {
        let mut server = server([Bind::Fails(error); 16]);
        assert_eq!(client(&server).refused(&mut server, &Request::allocate_dual()), 508);
        assert_eq!((server.allocations(), server.sockets().len()), (0, 0));
        server.binds.clear();
        nothing_is_lost(&mut server);
    }
}

/// While either socket is being bound, the allocation cannot be used.
#[test]
fn it_is_answered_once_and_when_both_sockets_are_there() {
    let mut server = server([Bind::Hangs, Bind::Hangs]);
    let mut client = client(&server);
    client.learn_nonce(&mut server);
    let (datagram, _) = client.sign(&Request::allocate_dual());
    assert_eq!(client.send(&mut server, &datagram), Seen::Waiting);
    assert_eq!(server.answer_bind(Ok(())), Seen::Waiting);
    assert_eq!(client.send(&mut server, &datagram), Seen::Dropped(DropReason::Pending));
    assert_eq!(client.ask_once(&mut server, &Request::refresh(0)).code(), 437);
    let first = server.tried[0];
    assert_eq!(server.peer_datagram(first, at("8.8.8.8:53"), b"x"), Seen::Dropped(DropReason::NoAllocation));
    let Seen::Reply(_, _, bytes) = server.answer_bind(Err(Exhausted)) else { panic!("not answered") };
    assert_eq!(Response::read(&bytes).address_error(), Some((V6, 508)));
    assert_eq!(server.sockets(), [first]);
    client.granted(&mut server, &Request::refresh(600));
    nothing_is_lost(&mut server);
}

/// A dual allocation counts once for its name, because it has one 5-tuple. It counts twice for its
/// address and for the server, which count ports.
#[test]
fn the_quota_counts_one_allocation_and_two_ports() {
    let dual = |server: &mut Server, port: u16, name| {
        let mut client = Client::new(server, &format!("203.0.113.9:{port}"), name);
        let response = client.ask(server, &Request::allocate_dual());
        match response.code() {
            0 => Ok(response.address_error()),
            code => Err(code),
        }
    };
    let mut by_name = Server::with(1, |settings| settings.quota.allocations_per_user = 2);
    let of_a_name = [1, 2, 3].map(|port| dual(&mut by_name, port, "alice"));
    assert_eq!(of_a_name, [Ok(None), Ok(None), Err(486)]);

    let mut by_address = Server::with(1, |settings| settings.quota.allocations_per_address = 3);
    let of_an_address = [1, 2, 3].map(|port| dual(&mut by_address, port, "alice"));
    assert_eq!(of_an_address, [Ok(None), Ok(Some((V6, 508))), Err(486)]);

    let mut in_total = Server::with(1, |settings| settings.quota.allocations = 3);
    let of_the_server = [1, 2, 3].map(|port| dual(&mut in_total, port, "alice"));
    assert_eq!(of_the_server, [Ok(None), Ok(Some((V6, 508))), Err(508)]);
}

/// Threat 16: an address is charged for both ports until each has rested.
#[test]
fn threat_16_both_ports_rest_and_are_paid_for() {
    let mut server = Server::with(1, |settings| {
        settings.ports = 50_000..=50_000;
        settings.quota.allocations_per_address = 2;
    });
    let mut first = client(&server);
    first.granted(&mut server, &Request::allocate_dual());
    first.granted(&mut server, &Request::refresh(0).with(ATTR_REQUESTED_ADDRESS_FAMILY, &[V6, 0, 0, 0]));
    server.advance(seconds(60));
    first.granted(&mut server, &Request::refresh(0));
    assert_eq!(first.refused(&mut server, &Request::allocate_dual()), 486);
    let mut other = Client::new(&server, "203.0.113.10:5000", "bob");
    other.granted(&mut server, &Request::allocate_dual());
    assert_eq!(server.unrested, 2, "the ports rest");
    other.granted(&mut server, &Request::refresh(0));
    server.advance(seconds(60));
    let response = first.granted(&mut server, &Request::allocate_dual());
    assert_eq!(response.address_error(), Some((V6, 508)), "one port has rested, and the quota has one place");
}

/// Threat 17.
#[test]
fn threat_17_a_thousand_dual_cycles_lose_no_port() {
    let mut server = server([]);
    for cycle in 0..1000_u32 {
        let mut client = client(&server);
        if cycle % 3 == 0 {
            server.binds.extend([Bind::Works, Bind::Fails([Exhausted, PortInUse][(cycle % 2) as usize])]);
        }
        // EVEN-PORT is allowed if it reserves no port (section 7.2).
        let even = Request::allocate_dual().with(ATTR_EVEN_PORT, &[0]);
        client.granted(&mut server, &if cycle % 5 == 0 { even } else { Request::allocate_dual() });
        if cycle % 2 == 0 {
            let family = u8::try_from(1 + cycle / 2 % 2).unwrap();
            let one = Request::refresh(0).with(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
            client.ask(&mut server, &one);
        }
        server.advance(seconds(721));
    }
    server.binds.clear();
    nothing_is_lost(&mut server);
}
