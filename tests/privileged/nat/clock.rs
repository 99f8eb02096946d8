//! A wall clock that is set while members are in a room, on a machine whose clock `libfaketime`
//! stands in for.

use std::path::Path;
use std::process::Command;

use byway_test_support::process::member::Member;
use byway_test_support::process::sockets::{Client, Link, socket};
use byway_test_support::process::{CONFIG, Server};
use byway_test_support::turn::Request;

/// Path of the library as Debian's package `libfaketime` installs it, under the folder of the
/// architecture.
fn library() -> String {
    let found = std::fs::read_dir("/usr/lib").unwrap().filter_map(|folder| {
        let library = folder.ok()?.path().join("faketime/libfaketime.so.1");
        library.exists().then(|| library.to_str().unwrap().to_owned())
    });
    found.last().expect("`tests/run nat` installs libfaketime")
}

/// Sets the clock by so much from the real time. Written beside and moved there, so that nobody
/// reads half of it.
fn set(clock: &Path, by: &str) {
    let next = clock.with_extension("next");
    std::fs::write(&next, by).unwrap();
    std::fs::rename(next, clock).unwrap();
}

fn over_udp(server: &Server, credential: &(String, String)) -> Client {
    let socket = socket("127.0.0.1:0");
    socket.connect(server.bound.udp_v4()).unwrap();
    Client::with(Link::Udp(socket), credential.clone())
}

/// The monotonic clock goes on as ever, and half a lifetime is five minutes: only the step can be
/// what is told.
#[test]
#[ignore = "needs libfaketime: tests/run nat"]
fn threat_44_members_get_fresh_credentials_when_the_clock_is_set() {
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    set(&clock, "+0");
    let server = Server::start_with(CONFIG, |command: &mut Command| {
        command
            .env("LD_PRELOAD", library())
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    });
    let mut member = Member::join(&server, "tea");
    let mut client = over_udp(&server, &member.credential);
    client.granted(&Request::allocate());
    for (by, was_good) in [("+2h", false), ("+1h", true)] {
        set(&clock, by);
        let former = member.credential.clone();
        member.hear_ice();
        assert_ne!(member.credential.0, former.0);
        over_udp(&server, &member.credential).granted(&Request::allocate());
        let code = over_udp(&server, &former).asked(&Request::allocate()).code();
        assert_eq!(code == 0, was_good, "an hour ago it would still have been good");
    }
    assert_eq!(server.logged("the system clock was set"), 2);
}
