//! Configuration, certificate, running server, ports and limits.

use std::fs::{self, Permissions};
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;

use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::{Configuration, Server};

use super::{Setup, doctor};

#[test]
fn a_sound_installation_has_no_failure() {
    let setup = Setup::new();
    let server = Server::start_with(&setup.text, |_| {});
    let report = doctor(server.command(), &[]);
    report.is_sound();
    for (words, evidence) in [
        (format!("UDP 127.0.0.1:{} (listen.udp)", setup.turn), "held by this server"),
        (format!("TCP 127.0.0.1:{} (listen.http)", setup.http), "held by this server"),
        (format!("page http://127.0.0.1:{}/", setup.http), "served"),
        (format!("signaling ws://127.0.0.1:{}/ws", setup.http), "opens"),
        ("secrets".to_owned(), "the running server has those of the file"),
        ("log".to_owned(), "no line lost"),
    ] {
        assert_eq!(report.about(&words)["evidence"], evidence, "{words}");
    }
    for transport in ["udp", "tcp"] {
        let url = format!("turn:127.0.0.1:{}?transport={transport}", setup.turn);
        assert_eq!(report.about(&url)["state"], "ok", "{:#}", report.json);
    }
    let text = server.command().arg("doctor").output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("byway doctor as user "), "{text}");
    assert!(text.lines().last().is_some_and(|line| line.starts_with("0 failed, ")), "{text}");
}

#[test]
fn a_server_that_does_not_run_is_named() {
    let setup = Setup::new();
    let file = Configuration::new(&setup.text);
    let report = doctor(file.command(), &[]);
    report.fails_by("not-running");
    assert_eq!(report.about(&format!("UDP 127.0.0.1:{}", setup.turn))["evidence"], "free");
}

#[test]
fn a_port_of_another_program_is_named_with_it() {
    let setup = Setup::new();
    let held = UdpSocket::bind(("127.0.0.1", setup.turn)).unwrap();
    let web = TcpListener::bind(("127.0.0.1", setup.http)).unwrap();
    let report = doctor(Configuration::new(&setup.text).command(), &[]);
    let me = format!("process {}", std::process::id());
    let taken: Vec<_> =
        report.failed().into_iter().filter(|finding| finding["fault"] == "port-taken").collect();
    assert_eq!(taken.len(), 2, "{:#}", report.json);
    assert!(taken.iter().all(|finding| finding["evidence"].as_str().unwrap().ends_with(&me)), "{taken:#?}");
    drop((held, web));
}

#[test]
fn a_secret_that_the_running_server_lacks_is_named_until_a_reload() {
    let setup = Setup::new();
    let server = Server::start_with(&setup.text, |_| {});
    let other = setup.with("a-test-secret", "another-secret");
    server.configure(&other);
    let report = doctor(server.command(), &[]);
    assert_eq!(report.fails_by("secret-differs")["remedy"], "apply the file: byway reload");
    assert!(server.reload(&other).status.success());
    doctor(server.command(), &[]).is_sound();
}

#[test]
fn few_file_descriptors_are_named() {
    let setup = Setup::new();
    let server = Server::start_with_files(&setup.text, 120);
    let report = doctor(server.command(), &[]);
    let found = report.fails_by("descriptors-few");
    assert!(found["evidence"].as_str().unwrap().contains(" of 120 in use"), "{found:#}");
    assert!(found["remedy"].as_str().unwrap().contains("LimitNOFILE="), "{found:#}");
    // The server has said so at its start.
    server.logged("(byway explain descriptors-few)");
}

#[test]
fn a_broken_configuration_is_named_by_its_line() {
    let file = Configuration::new("realm = \"a\"\nlisten.udp = [\"nowhere\"]\n");
    let report = doctor(file.command(), &[]);
    let found = report.fails_by("configuration-invalid");
    assert!(found["what"].as_str().unwrap().contains("turnserver.toml:2: "), "{found:#}");
}

#[test]
fn an_expired_certificate_is_named() {
    let folder = Folder::with(&Pair::expired());
    let setup = Setup::new();
    let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", folder.path("cert.pem"), folder.path("key.pem"));
    let port = byway_test_support::process::free_port();
    let text = setup.with("[listen]\n", &format!("[listen]\ntls = [\"127.0.0.1:{port}\"]\n")) + &tls;
    let server = Server::start_with(&text, |_| {});
    server.logged("(byway explain certificate-expired)");
    let report = doctor(server.command(), &[]);
    let section = |name: &str| {
        let is_it = |finding: &&serde_json::Value| {
            finding["section"] == name && finding["fault"] == "certificate-expired"
        };
        report.failed().into_iter().filter(is_it).count()
    };
    assert_eq!(section("certificate"), 1, "{:#}", report.json);
    assert_eq!(report.output.status.code(), Some(1));
}

/// Root reads every file, so the checks take the user that the service has.
#[test]
fn a_key_that_the_service_cannot_read_is_named() {
    let pair = Pair::new();
    let folder = Folder::with(&pair);
    let setup = Setup::new();
    let tls = format!("[tls]\ncert = {:?}\nkey = {:?}\n", folder.path("cert.pem"), folder.path("key.pem"));
    let text = setup.with("[listen]\n", "[listen]\ntls = [\"127.0.0.1:0\"]\n") + &tls;
    let file = Configuration::new(&text);
    fs::set_permissions(file.path().parent().unwrap(), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(folder.path(""), Permissions::from_mode(0o755)).unwrap();
    let is_root = nix::unistd::Uid::effective().is_root();
    let (mode, arguments): (u32, &[&str]) = if is_root { (0o600, &["--user", "nobody"]) } else { (0, &[]) };
    fs::set_permissions(folder.path("key.pem"), Permissions::from_mode(mode)).unwrap();
    let report = doctor(file.command(), arguments);
    let found = report.fails_by("key-unreadable");
    assert!(found["evidence"].as_str().unwrap().contains("key.pem"), "{found:#}");
    if is_root {
        assert_eq!(report.json["user"], "nobody");
        assert!(found["what"].as_str().unwrap().starts_with("user nobody cannot read"), "{found:#}");
    }
}

#[test]
fn a_user_that_does_not_exist_is_refused() {
    let file = Configuration::new("");
    let output = file.run(&["doctor", "--user", "no-such-user"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("remedy: run `sudo byway doctor`"), "{said}");
}
