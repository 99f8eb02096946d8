//! The operator's Unix socket, the service manager, and commands that ask the running server.

use std::fs::{self, Permissions};
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use byway_test_support::process::http::ask;
use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::tls::until_closed;
use byway_test_support::process::{CONFIG, Configuration, SECRET, Server};

use super::{reloaded, replaced, told, with_socket};

fn socket_of(server: &Server) -> PathBuf {
    server.configuration_path().with_file_name("admin.sock")
}

#[test]
fn the_socket_has_its_mode_and_its_file_goes_with_the_server() {
    let mut server = Server::start_with(&with_socket(""), |_| {});
    let path = socket_of(&server);
    assert!(server.log().contains(&format!(" admin-socket=unix:{}", path.display())), "{}", server.log());
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o660);
    // A reload removes it, and makes another.
    let elsewhere = replaced(&with_socket(""), "unix:admin.sock", "unix:other.sock");
    reloaded(&server, &with_socket(""));
    server.configure(&elsewhere);
    server.signal("HUP");
    server.logged("in force from");
    while path.exists() {
        std::thread::yield_now();
    }
    let other = path.with_file_name("other.sock");
    assert!(reloaded(&server, &elsewhere).contains("nothing to change"));
    assert!(server.terminate().success());
    assert!(!other.exists(), "the file of an ended server");
}

#[test]
fn the_file_of_a_dead_server_is_replaced_and_a_live_one_is_left_alone() {
    let configuration = Configuration::new(&with_socket(""));
    let path = configuration.path().with_file_name("admin.sock");
    let text = replaced(&with_socket(""), "unix:admin.sock", &format!("unix:{}", path.display()));
    drop(UnixListener::bind(&path).unwrap());
    assert!(path.exists(), "what a killed server leaves");
    let first = Server::start_with(&text, |_| {});
    reloaded(&first, &text);
    let second = Configuration::new(&text).run(&[]);
    // It may be the predecessor of this one, so the service manager tries again.
    let refused = told(&second, 1);
    assert!(
        refused.contains(&format!("cannot listen on unix:{} (listen.admin)", path.display())),
        "{refused}"
    );
    assert!(refused.contains("a server listens there"), "{refused}");
    reloaded(&first, &text);

    let file = path.with_file_name("a-file");
    fs::write(&file, "precious").unwrap();
    let at_file = text.replace("admin.sock", "a-file");
    let refused = told(&Configuration::new(&at_file).run(&[]), 2);
    assert!(refused.contains("is no socket"), "{refused}");
    assert!(told(&first.reload(&at_file), 1).contains("a-file"), "no server answers there");
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn threat_51_only_root_and_the_servers_own_user_are_answered() {
    let server = Server::start_with(&with_socket(""), |_| {});
    assert_eq!(ask(server.bound.admin[0], "POST", "/reload", &[], "").status, 404, "not over TCP");
    let path = socket_of(&server);
    if fs::metadata(&path).unwrap().uid() != 0 {
        eprintln!("SKIPPED: only root can become another user");
        return;
    }
    let folder = path.parent().unwrap();
    // The mode of the file alone would keep others out.
    for (path, mode) in [(folder, 0o755), (&*path, 0o666), (&*server.configuration_path(), 0o644)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    let own = server.command();
    other.arg(own.get_program()).args(own.get_args()).arg("reload");
    let refused = told(&other.output().unwrap(), 1);
    assert!(refused.contains("permission denied") || refused.contains("Permission denied"), "{refused}");
    assert!(refused.contains("remedy: run this as root or as the server's user"), "{refused}");
    assert!(!server.log().contains("reload:"), "{}", server.log());
}

#[test]
fn without_a_socket_or_a_server_the_command_says_what_to_do() {
    let without = told(&Configuration::new(CONFIG).run(&["reload"]), 1);
    assert!(without.contains("add \"unix:/run/byway/admin.sock\" to `admin`"), "{without}");
    let nobody = told(&Configuration::new(&with_socket("")).run(&["reload"]), 1);
    assert!(nobody.contains("admin.sock: ") && nobody.contains("start the server"), "{nobody}");
}

/// `Type=notify-reload` (sd_notify(3)).
#[test]
fn a_service_manager_is_told_of_the_begin_and_the_end_of_a_reload() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let server = Server::start_with(&with_socket(""), |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let next = || {
        let mut message = [0; 4096];
        let length = uninterrupted(|| manager.recv(&mut message)).unwrap();
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    assert!(next().contains("READY=1"));
    let is_told = || {
        let begin = next();
        let mut lines = begin.lines();
        assert_eq!(lines.next(), Some("RELOADING=1"));
        let monotonic =
            lines.next().and_then(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap().to_owned();
        assert!(monotonic.parse::<u64>().is_ok_and(|time| time > 0), "{begin}");
        assert_eq!(next().trim_end(), "READY=1");
    };
    server.signal("HUP");
    is_told();
    reloaded(&server, &with_socket(""));
    is_told();
    // Whatever the outcome, or systemd would wait for it.
    server.configure("realm = 5\n");
    server.signal("HUP");
    is_told();
}

#[test]
fn a_command_that_signs_with_an_unknown_secret_says_so() {
    let text = with_socket("[ice]\naccess = \"token\"\n");
    let server = Server::start_with(&text, |_| {});
    let signs = |arguments: &[&str]| {
        let output = server.command().args(arguments).output().unwrap();
        assert!(output.status.success() && !output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    };
    let (credential, invite) =
        (["credential", "--user", "ann"], ["invite", "--room", "tea", "--url", "https://call.example.org"]);
    let warns = |arguments: &[&str]| signs(arguments).contains("remedy: run `byway reload`");
    assert!(!warns(&credential) && !warns(&invite));
    let rotated = replaced(&text, SECRET, "a-secret-of-tomorrow");
    server.configure(&rotated);
    assert!(warns(&credential) && warns(&invite));
    // The secret that both know is not the one that signs.
    server.configure(&replaced(
        &text,
        "[\"a-test-secret\"]",
        "[\"a-secret-of-tomorrow\", \"a-test-secret\"]",
    ));
    assert!(warns(&credential));
    server.configure(&(text.clone() + "[tokens]\nsecrets = [\"north-north\"]\n"));
    assert!(!warns(&credential) && warns(&invite));
    server.configure(&replaced(&text, "byway.test", "other.test"));
    assert!(warns(&credential) && warns(&invite));
    reloaded(&server, &rotated);
    assert!(!warns(&credential) && !warns(&invite));
    let said = signs(&credential);
    assert!(!said.contains("secret-of"), "{said}");
    drop(server);
    let alone = Configuration::new(&text).run(&credential);
    assert!(alone.status.success() && alone.stderr.is_empty(), "without a server it is as ever");
}

/// Any user of this machine may open the admin pages over TCP, and take every place there.
#[test]
fn threat_31_strangers_on_the_tcp_listener_do_not_lock_the_operator_out() {
    let server = Server::start_with_files(&with_socket(""), 400);
    let held: Vec<TcpStream> = (0..500)
        .map(|_| {
            let mut stranger = TcpStream::connect(server.bound.admin[0]).unwrap();
            // It may be refused by now.
            let _ = stranger.write_all(b"GET /healthz HT");
            stranger
        })
        .collect();
    // The server has no place for the last one.
    until_closed(&mut held.last().unwrap().try_clone().unwrap());
    assert!(reloaded(&server, &with_socket("")).contains("nothing to change"));
}

/// `/run` is empty after a boot, and without systemd nobody makes `/run/byway`.
#[test]
fn a_missing_folder_is_made_but_not_those_above() {
    let in_folder = replaced(&with_socket(""), "unix:admin.sock", "unix:run/admin.sock");
    let server = Server::start_with(&in_folder, |_| {});
    let path = server.configuration_path().with_file_name("run");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o022, 0);
    assert!(reloaded(&server, &in_folder).contains("nothing to change"));
    let deeper = replaced(&in_folder, "unix:run/admin.sock", "unix:no/where/admin.sock");
    server.configure(&deeper);
    server.signal("HUP");
    server.logged("reload refused");
    server.logged("remedy: create the folder");
}
