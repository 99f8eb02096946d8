//! Messages of the process when it has started: to its log, and to a service manager.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use byway_test_support::process::interrupts::uninterrupted;
use byway_test_support::process::{Bound, CONFIG, Configuration, Server, http, stun};
use nix::sys::ptrace;

/// `Type=notify`: services that start after READY=1 find every socket answering.
#[test]
fn ready_is_announced_once_every_socket_answers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket is bound");
    manager.set_read_timeout(Some(Duration::from_secs(20))).expect("a read timeout is set");

    let server = Server::start_with(CONFIG, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let mut message = [0; 4096];
    let length = uninterrupted(|| manager.recv(&mut message)).expect("READY=1 arrives");
    let message = String::from_utf8_lossy(&message[..length]);
    assert!(message.lines().any(|line| line == "READY=1"), "{message}");

    every_socket_answers(&server.bound);
}

/// `WatchdogSec=`: fed while every shard answers, and by none of them alone.
#[test]
fn threat_30_the_watchdog_is_fed_while_every_shard_answers() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("the manager's socket is bound");
    let patience = |seconds| manager.set_read_timeout(Some(Duration::from_secs(seconds))).expect("it is set");
    let next_is_food = || {
        let mut message = [0; 4096];
        uninterrupted(|| manager.recv(&mut message))
            .map(|length| message[..length].starts_with(b"WATCHDOG=1"))
    };
    let server = Server::start_with(CONFIG, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000").env_remove("WATCHDOG_PID");
    });
    patience(20);
    let mut meals = 0;
    while meals < 3 {
        meals += usize::from(next_is_food().expect("the watchdog is fed"));
    }

    // One thread of the process is stopped, as by a fault in it; the others go on, this one's
    // listeners too.
    let stopped = Stopped::thread(server.thread("shard-1"));
    server.logged("ERROR no answer to a STUN request within 250ms: shard 1");
    manager.set_nonblocking(true).expect("it does not block");
    while next_is_food().is_ok() {}
    manager.set_nonblocking(false).expect("it blocks");
    patience(2);
    assert!(next_is_food().is_err(), "a server with a silent shard is fed");

    drop(stopped);
    patience(20);
    assert!(next_is_food().expect("the watchdog is fed again"));
}

/// A thread that is stopped until this is dropped. Otherwise a wait for the end of its process
/// would never return.
struct Stopped(nix::unistd::Pid);

impl Stopped {
    fn thread(thread: nix::unistd::Pid) -> Self {
        ptrace::seize(thread, ptrace::Options::empty()).expect("its parent may stop it");
        ptrace::interrupt(thread).expect("it is told to stop");
        nix::sys::wait::waitpid(thread, Some(nix::sys::wait::WaitPidFlag::__WALL)).expect("it has stopped");
        Self(thread)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let _ = ptrace::detach(self.0, None);
    }
}

/// Without a watchdog nobody asks for anything.
#[test]
fn without_a_watchdog_there_is_no_task_for_it() {
    let server = Server::start();
    let metrics = http::get(server.bound.admin[0], "/metrics").expect_ok();
    assert!(metrics.text().contains("byway_tasks_ended_total{task=\"addresses\"} 0"), "{}", metrics.text());
    assert!(!metrics.text().contains("watchdog"), "{}", metrics.text());
}

#[test]
fn the_listening_line_names_every_socket_with_its_real_port() {
    let server = Server::start();
    let counts = [&server.bound.udp, &server.bound.http, &server.bound.admin].map(Vec::len);
    assert_eq!(counts, [2, 1, 1], "{:?}", server.bound);
    every_socket_answers(&server.bound);
}

/// A limit of the system's that costs datagrams at bursts is not left for the operator to guess.
#[test]
fn buffers_that_the_kernel_cuts_are_told_once_with_the_remedy() {
    let limit = fs::read_to_string("/proc/sys/net/core/rmem_max").expect("Linux says its limit");
    let config =
        CONFIG.replace("shards = 2\n", "shards = 2\nreceive_buffer = \"512MiB\"\nsend_buffer = \"64KiB\"\n");
    let log = Server::start_with(&config, |_| {}).log();
    let told: Vec<_> = log.lines().filter(|line| line.contains("net.core.rmem_max=536870912")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains(&format!(" {} bytes of the 536870912 ", limit.trim())), "{log}");

    let log = Server::start_with(&config.replace("512MiB", "64KiB"), |_| {}).log();
    assert!(!log.contains("net.core"), "{log}");
}

/// The port may be free at the next start (`RestartPreventExitStatus=2`).
#[test]
fn threat_35_a_port_in_use_is_one_clear_error_and_exit_1() {
    let first = Server::start();
    let taken = first.bound.http[0].to_string();
    let config = CONFIG.replace(r#"http = ["127.0.0.1:0"]"#, &format!(r#"http = ["{taken}"]"#));
    let output = Configuration::new(&config).run(&[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&taken), "the error names the address: {said}");
    assert!(!said.contains("panicked"), "{said}");
}

/// An address that is mistyped, or that comes late: the server starts without it, and both it and
/// `check` say so.
#[test]
fn threat_35_an_address_that_no_interface_has_is_told_and_does_not_keep_the_server_from_starting() {
    let config = CONFIG
        .replace(r#"udp = ["127.0.0.1:0""#, r#"udp = ["192.0.2.77:3478", "127.0.0.1:0""#)
        .replace(r#"tcp = ["127.0.0.1:0""#, r#"tcp = ["192.0.2.77:3478", "127.0.0.1:0""#);
    let server = Server::start_with(&config, |_| {});
    every_socket_answers_but_healthz(&server.bound);
    let missing = "no interface has 192.0.2.77 (listen.tcp, listen.udp): assign it to an interface (`ip \
        address` lists them), or \
                   correct the configuration";
    let health = http::get(server.bound.admin[0], "/healthz");
    assert_eq!((health.status, health.text()), (503, &*format!("degraded: {missing}\n")));
    let errors: Vec<_> =
        server.log().lines().filter(|line| line.contains("ERROR")).map(str::to_owned).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert!(errors[0].contains(missing), "{errors:?}");

    let check = server.command().arg("check").output().expect("the binary starts");
    let said = String::from_utf8_lossy(&check.stdout);
    assert!(check.status.success() && said.contains(&format!("hint: {missing}\n")), "{said}");
}

/// Another start may find more of them, so that systemd is to try it
/// (`RestartPreventExitStatus=2`).
#[test]
fn threat_35_a_lack_of_descriptors_at_the_start_is_exit_1() {
    let configuration = Configuration::new(CONFIG);
    // From too few for the first socket to nearly enough for all.
    for files in [12, 16, 20] {
        let output = configuration.command_with_files(files).arg("serve").output().expect("`sh` starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{files}: {said}");
        assert!(said.contains("Too many open files"), "{files}: {said}");
        assert!(!said.contains("configure another address"), "{files}: {said}");
    }
}

#[test]
fn the_listening_line_is_read_whatever_stands_before_it() {
    let line = "2031-01-01T00:00:00Z  INFO listening udp=127.0.0.1:1,[::1]:2 tcp=127.0.0.1:5 tls=- http=127.0.0.1:3 admin=127.0.0.1:4 relay=::1";
    let address = |text: &str| text.parse().expect("an address");
    let bound = Bound {
        udp: vec![address("127.0.0.1:1"), address("[::1]:2")],
        tcp: vec![address("127.0.0.1:5")],
        tls: vec![],
        http: vec![address("127.0.0.1:3")],
        admin: vec![address("127.0.0.1:4")],
    };
    assert_eq!(Bound::parse(line), Some(bound));
    assert_eq!(Bound::parse("INFO byway: open http://localhost:8080/"), None);
}

fn every_socket_answers(bound: &Bound) {
    every_socket_answers_but_healthz(bound);
    for &listener in &bound.admin {
        http::get(listener, "/healthz").expect_ok();
    }
}

fn every_socket_answers_but_healthz(bound: &Bound) {
    for &listener in &bound.udp {
        stun::binding(listener);
    }
    for &listener in &bound.http {
        http::get(listener, "/").expect_ok();
    }
}
