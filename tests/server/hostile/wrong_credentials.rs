//! Threat 27: a client without a credential cannot make the log or the list of metrics grow.

use byway_test_support::process::sockets::{LOOPBACK, receive, socket};
use byway_test_support::process::{Server, http};
use byway_test_support::turn::{Request, Response};
use stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use stun::integrity::MessageIntegrity;

const ROUNDS: usize = 100;
const NAMES: usize = 1_000;

#[test]
fn threat_27_a_flood_of_bad_credentials_writes_no_log_and_no_label() {
    let server = Server::start();
    let series = || {
        let page = http::get(server.bound.admin[0], "/metrics").expect_ok();
        page.text().lines().filter(|line| !line.starts_with('#')).count()
    };
    // The last thing that is said at the start.
    server.logged("open http");
    let before = (series(), server.log().lines().count());
    let client = socket(LOOPBACK[0]);
    client.connect(server.bound.udp_v4()).unwrap();
    client.send(&Request::allocate().encode([0; 12], None)).unwrap();
    let nonce = Response::read(&receive(&client).0).nonce();
    let requests: Vec<Vec<u8>> =
        (0..NAMES).map(|n| signed_by_a_guess(&format!("4102444800:user{n}"), &nonce)).collect();
    for _ in 0..ROUNDS {
        // As many at a time as the buffers of both sockets hold.
        for batch in requests.chunks(50) {
            batch.iter().for_each(|request| assert_eq!(client.send(request).unwrap(), request.len()));
            batch.iter().for_each(|_| assert_eq!(receive(&client).0[..2], [0x01, 0x13]));
        }
    }
    server.until(r#"byway_turn_errors_total{code="401"}"#, (ROUNDS * NAMES) as u64);
    assert_eq!((series(), server.log().lines().count()), before);
}

fn signed_by_a_guess(username: &str, nonce: &[u8]) -> Vec<u8> {
    let realm = "byway.test";
    let key = MessageIntegrity::new_long_term_integrity(username.into(), realm.into(), "guess".into());
    Request::allocate()
        .with(ATTR_USERNAME, username.as_bytes())
        .with(ATTR_REALM, realm.as_bytes())
        .with(ATTR_NONCE, nonce)
        .encode([7; 12], Some(&key))
}
