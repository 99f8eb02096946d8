//! Static users of the binary: served over every transport, counted, revoked, and never logged.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

use byway_test_support::process::sockets::{Client, LOOPBACK, Link, socket};
use byway_test_support::process::{CONFIG, Configuration, Server, http};
use byway_test_support::turn::Request;

const NAME: &str = "camera-at-the-door";
const PASSWORD: &str = "geheim-geheim";
const KEY: &str = "a-key-for-programs-that-revoke";

/// The configuration with two static users. The second has a stored key.
fn configuration() -> String {
    format!(
        "{CONFIG}allocations_per_user = 2\n[ice]\napi_keys = [\"{KEY}\"]\n\
         [[users]]\nname = \"{NAME}\"\npassword = \"{PASSWORD}\"\n\
         [[users]]\nname = \"handset-7\"\npassword = \"0x{}\"\n",
        md5_key("handset-7")
    )
}

fn md5_key(name: &str) -> String {
    let key = byway_turn::wire::PasswordAlgorithm::Md5.key(name, "byway.test", PASSWORD);
    key.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn over_udp(server: &Server, name: &str, password: &str) -> Client {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    Client::with(Link::Udp(socket), (name.to_owned(), password.to_owned()))
}

fn over_tcp(server: &Server, name: &str, password: &str) -> Client {
    let socket = TcpStream::connect(server.bound.tcp_v4()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    Client::with(Link::Tcp(socket), (name.to_owned(), password.to_owned()))
}

fn with_log(command: &mut Command) {
    command.env("RUST_LOG", "trace");
}

#[test]
fn static_users_are_served_counted_and_revoked_and_never_logged() {
    let server = Server::start_with(&configuration(), with_log);
    let mut camera = over_udp(&server, NAME, PASSWORD);
    camera.granted(&Request::allocate());
    let mut second = over_tcp(&server, NAME, PASSWORD);
    second.granted(&Request::allocate());
    assert_eq!(over_udp(&server, NAME, PASSWORD).asked(&Request::allocate()).code(), 486);
    over_udp(&server, "handset-7", PASSWORD).granted(&Request::allocate());
    for (name, password) in
        [(NAME, "guess"), ("nobody", PASSWORD), ("1:handset-7", PASSWORD), ("handset-7", "")]
    {
        assert_eq!(over_udp(&server, name, password).asked(&Request::allocate()).code(), 401, "{name}");
    }
    // A time-limited credential works beside them.
    Client::of(&server, server.bound.udp_v4()).granted(&Request::allocate());
    assert_eq!(server.metric("byway_allocations"), 4);

    let http = server.bound.http[0];
    let path = |name: &str| format!("/v1/turn/keys/k/credentials/{name}/revoke");
    let bearer = format!("Authorization: Bearer {KEY}");
    assert_eq!(http::ask(http, "POST", &path("nobody"), &[&bearer], "").status, 400);
    assert_eq!(http::ask(http, "POST", &path(NAME), &[&bearer], "").status, 204);
    server.until("byway_allocations", 2);
    assert_eq!(camera.asked(&Request::allocate()).code(), 401);
    assert_eq!(over_tcp(&server, NAME, PASSWORD).asked(&Request::allocate()).code(), 401);

    let log = server.log();
    for hidden in [NAME, PASSWORD, "handset-7", &md5_key("handset-7")] {
        assert!(!log.contains(hidden), "{hidden} in {log}");
    }
}

#[test]
fn check_lists_the_static_users_and_never_their_passwords() {
    let file = Configuration::new(&configuration());
    let output = file.run(&["check"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && told.contains(&format!("  users {NAME}, handset-7\n")), "{told}");
    assert!(!told.contains(PASSWORD) && !told.contains(&md5_key("handset-7")), "{told}");
    let short = Configuration::new("[[users]]\nname = \"a\"\npassword = \"short\"\n").run(&["check"]);
    let told = String::from_utf8(short.stdout).unwrap();
    assert!(told.contains("hint: the password of user a has 5 characters"), "{told}");
    let key = format!("[[users]]\nname = \"a\"\npassword = \"0x{}\"\n", "00".repeat(32));
    let told = String::from_utf8(Configuration::new(&key).run(&["check"]).stdout).unwrap();
    assert!(told.contains("hint: user a has a SHA-256 key only"), "{told}");
}

#[test]
fn a_password_file_starts_from_the_configurations_folder_and_a_reload_reads_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("camera.password");
    fs::write(&path, format!("{PASSWORD}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!("{CONFIG}[[users]]\nname = \"{NAME}\"\npassword_file = \"{}\"\n", path.display());
    let server = Server::start_with(&text, with_log);
    over_udp(&server, NAME, PASSWORD).granted(&Request::allocate());
    fs::write(&path, "another-password").unwrap();
    server.signal("HUP");
    server.logged("turnserver.toml: users");
    over_udp(&server, NAME, "another-password").granted(&Request::allocate());
    assert_eq!(over_udp(&server, NAME, PASSWORD).asked(&Request::allocate()).code(), 401);
    fs::write(&path, "").unwrap();
    server.signal("HUP");
    server.logged("the settings are kept, and a restart would fail");
    over_udp(&server, NAME, "another-password").granted(&Request::allocate());
    let log = server.log();
    assert!(!log.contains(NAME) && !log.contains(PASSWORD), "{log}");
}
