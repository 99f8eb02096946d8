//! Static users: a fixed name and password beside time-limited credentials (RFC 8489 section 9.2).

use byway_test_support::turn::rfc8489::{Signing, md5_key, offered_all, sha256_key};
use byway_test_support::turn::{Client, REALM, Request, Response, SECRETS, Server, at, seconds};

use byway_turn::auth::{Secrets, StaticUser, account};
use byway_turn::wire::PasswordAlgorithm;

const HERE: &str = "203.0.113.9:5000";
const PASSWORD: &str = "geheim-geheim";

/// A server with the users camera, md5 and sha256, of which the last two have a key alone.
fn server() -> Server {
    Server::with(1, |settings| {
        let key = |name: &str, algorithm: PasswordAlgorithm| {
            let key = algorithm.key(name, REALM, PASSWORD);
            format!("0x{}", key.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        };
        settings.users = vec![
            StaticUser::new("camera", PASSWORD).unwrap(),
            StaticUser::new("md5", &key("md5", PasswordAlgorithm::Md5)).unwrap(),
            StaticUser::new("sha256", &key("sha256", PasswordAlgorithm::Sha256)).unwrap(),
        ];
        settings.quota.allocations_per_user = 1;
    })
}

/// A client that knows this username and password, and was offered both algorithms.
fn client(server: &mut Server, address: &str, username: &str, password: &str) -> Client {
    let mut client = offered_all(server, address, "alice");
    (client.username, client.password) = (username.into(), password.into());
    client
}

fn allocate(server: &mut Server, client: &mut Client, signing: fn(&Client) -> Signing) -> Response {
    signing(client).ask(client, server, &Request::allocate())
}

#[test]
fn a_static_user_allocates_with_every_algorithm_that_its_entry_allows() {
    for (user, old, modern) in [("camera", 0, 0), ("md5", 0, 401), ("sha256", 401, 0)] {
        for (signing, code) in [(Signing::old as fn(&Client) -> Signing, old), (Signing::modern, modern)] {
            let mut server = server();
            let mut client = client(&mut server, HERE, user, PASSWORD);
            assert_eq!(allocate(&mut server, &mut client, signing).code(), code, "{user}");
            assert_eq!(server.allocations(), usize::from(code == 0));
        }
    }
}

#[test]
fn everything_goes_on_with_a_static_user_for_as_long_as_it_likes() {
    let mut server = server();
    let mut client = client(&mut server, HERE, "camera", PASSWORD);
    let signing = Signing::old(&client);
    let peer = at("8.8.8.8:53");
    for request in [Request::allocate(), Request::permission(peer), Request::channel_bind(0x4000, peer)] {
        assert_eq!(signing.ask(&mut client, &mut server, &request).code(), 0);
    }
    // Longer than a time-limited credential with the same start would last.
    for _ in 0..20 {
        server.advance(seconds(599));
        let stale = signing.ask(&mut client, &mut server, &Request::refresh(600));
        client.nonce = if stale.code() == 438 { stale.nonce() } else { continue };
        assert_eq!(signing.ask(&mut client, &mut server, &Request::refresh(600)).code(), 0);
    }
    assert_eq!(server.allocations(), 1);
    assert_eq!(signing.ask(&mut client, &mut server, &Request::refresh(0)).code(), 0);
    assert_eq!(server.allocations(), 0);
}

#[test]
fn threat_8_a_static_name_is_not_told_from_an_unknown_one() {
    let mut first: Option<Vec<u8>> = None;
    for (username, password) in [
        ("camera", "guess"),
        ("camera", ""),
        ("nobody", PASSWORD),
        ("Camera", PASSWORD),
        ("camera ", PASSWORD),
        ("", PASSWORD),
        ("\0camera", PASSWORD),
    ] {
        for signing in [Signing::old as fn(&Client) -> Signing, Signing::modern, Signing::anonymous] {
            let mut server = server();
            let mut client = client(&mut server, HERE, username, password);
            let refusal = allocate(&mut server, &mut client, signing);
            assert_eq!(refusal.code(), 401, "{username:?}");
            let bytes = refusal.bytes()[20..].to_vec();
            assert_eq!(*first.get_or_insert_with(|| bytes.clone()), bytes, "{username:?}");
        }
    }
}

/// A name without a stored key is verified against a key that everybody knows, for its time alone.
#[test]
fn threat_8_the_key_that_stands_in_for_a_missing_one_opens_nothing() {
    let mut server = server();
    for (username, key) in [("nobody", vec![]), ("sha256", vec![]), ("nobody", vec![0; 16])] {
        let mut client = client(&mut server, HERE, username, PASSWORD);
        let signing = Signing { key, ..Signing::old(&client) };
        assert_eq!(signing.ask(&mut client, &mut server, &Request::allocate()).code(), 401, "{username}");
    }
}

#[test]
fn threat_9_the_two_kinds_of_users_are_never_confused() {
    let mut server = server();
    let secrets = Secrets::new(&SECRETS).unwrap();
    let valid = secrets.issue(server.now, "camera", seconds(3600)).username;
    for (username, password) in [
        // A secret makes no password of a static user.
        ("camera", secrets.passwords("camera").next().unwrap()),
        // A static user's password makes no time-limited credential.
        (&*valid, PASSWORD.to_owned()),
        ("4000000000:camera", PASSWORD.to_owned()),
        // Nothing turns a static name into a time-limited one.
        (":camera", PASSWORD.to_owned()),
        ("camera:", PASSWORD.to_owned()),
    ] {
        let mut client = client(&mut server, HERE, username, &password);
        assert_eq!(allocate(&mut server, &mut client, Signing::old).code(), 401, "{username}");
        assert_eq!(allocate(&mut server, &mut client, Signing::modern).code(), 401, "{username}");
    }
    // Neither takes the other's quota.
    let mut camera = client(&mut server, HERE, "camera", PASSWORD);
    assert_eq!(allocate(&mut server, &mut camera, Signing::old).code(), 0);
    let mut limited = Client::new(&server, "203.0.113.9:5001", "camera");
    limited.granted(&mut server, &Request::allocate());
    assert_eq!(server.allocations(), 2);
}

#[test]
fn threat_10_a_static_users_allocations_are_counted_by_its_name() {
    let mut server = server();
    let mut first = client(&mut server, HERE, "camera", PASSWORD);
    assert_eq!(allocate(&mut server, &mut first, Signing::old).code(), 0);
    let mut second = client(&mut server, "203.0.113.10:5000", "camera", PASSWORD);
    assert_eq!(allocate(&mut server, &mut second, Signing::old).code(), 486);
    let mut other = client(&mut server, "203.0.113.10:5001", "md5", PASSWORD);
    assert_eq!(allocate(&mut server, &mut other, Signing::old).code(), 0);
    assert_eq!(server.shared.allocations_of(&account("camera")), 1);
}

/// An allocation belongs to the username that made it.
#[test]
fn threat_11_a_static_user_takes_over_no_other_users_allocation() {
    let mut server = server();
    let (alice, _) = Client::allocated(&mut server, HERE, "alice");
    let mut camera = Client { username: "camera".into(), password: PASSWORD.into(), ..alice };
    let refresh = Signing::old(&camera).ask(&mut camera, &mut server, &Request::refresh(0));
    assert_eq!((refresh.code(), server.allocations()), (441, 1));
}

#[test]
fn a_revoked_static_user_is_refused_and_the_time_limited_one_of_its_name_is_not() {
    let mut server = server();
    let mut camera = client(&mut server, HERE, "camera", PASSWORD);
    assert_eq!(allocate(&mut server, &mut camera, Signing::old).code(), 0);
    server.revocations.revoke(server.now, &account("camera"), u64::MAX).unwrap();
    let signing = Signing::old(&camera);
    assert_eq!(signing.ask(&mut camera, &mut server, &Request::refresh(600)).code(), 401);
    // It may still give back what it has.
    assert_eq!(signing.ask(&mut camera, &mut server, &Request::refresh(0)).code(), 0);
    assert_eq!(allocate(&mut server, &mut camera, Signing::modern).code(), 401);
    let mut limited = Client::new(&server, "203.0.113.9:5001", "camera");
    limited.granted(&mut server, &Request::allocate());
}

/// The keys of this file's helpers are those of the RFC, so a stored key is what coturn stores.
#[test]
fn a_stored_key_is_the_hash_of_name_realm_and_password() {
    let mut server = server();
    let client = client(&mut server, HERE, "md5", PASSWORD);
    assert_eq!(md5_key(&client), PasswordAlgorithm::Md5.key("md5", REALM, PASSWORD));
    assert_eq!(sha256_key(&client), PasswordAlgorithm::Sha256.key("md5", REALM, PASSWORD));
}
