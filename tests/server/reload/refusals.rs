//! Broken files, and reloads in quick succession.

use byway_test_support::process::http::get;
use byway_test_support::process::{SECRET, Server};
use byway_test_support::turn::Request;

use super::{alice, client, reloaded, replaced, told, with_socket};

#[test]
fn threat_50_a_broken_file_is_refused_whole_with_its_line() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let mut call = alice(&server);
    call.granted(&Request::allocate());
    let broken = replaced(&text, "a-test-secret", "a-secret-of-tomorrow") + "[signaling]\nmax_members = 1\n";
    let path = server.configuration_path();
    server.configure(&broken);
    let by_command = told(&server.command().arg("reload").output().unwrap(), 1);
    let line = broken.lines().count();
    assert!(by_command.contains(&format!("{}:{line}:15: ", path.display())), "{by_command}");
    assert!(by_command.contains("max_members = 1") && by_command.contains("^\n  remedy: "), "{by_command}");
    let checked = told(&server.command().arg("check").output().unwrap(), 2);
    assert_eq!(by_command, checked, "as `byway check` says it");

    server.signal("HUP");
    server.logged("ERROR reload refused: the settings are kept");
    server.logged(&format!("{}:{line}:15: ", path.display()));
    call.granted(&Request::refresh(600));
    alice(&server).granted(&Request::allocate());
    assert_eq!(client(&server, "bob", "a-secret-of-tomorrow").asked(&Request::allocate()).code(), 401);
    // A file that is empty while it is written, or because the disk was full, is not the default.
    for nothing in ["", "# listen.udp = []\n"] {
        server.configure(nothing);
        server.signal("HUP");
    }
    server.logged("sets no key: it may be cut off");
    // The file that is gone, too.
    std::fs::remove_file(&path).unwrap();
    server.signal("HUP");
    server.logged("No such file or directory");
    alice(&server).granted(&Request::allocate());
    reloaded(&server, &text);
}

#[test]
fn twice_in_a_row_is_the_same_as_once() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let changed = replaced(&text, "shards = 2", "shards = 3") + "[http]\nhosts = [\"a.example.org\"]\n";
    let first = reloaded(&server, &changed);
    assert!(
        first.contains("in force: http.hosts\n") && first.contains("needs a restart: relay.shards: "),
        "{first}"
    );
    let second = reloaded(&server, &changed);
    assert!(
        second.contains("nothing to change\n") && second.contains("needs a restart: relay.shards: "),
        "{second}"
    );
    let back = reloaded(&server, &text);
    assert!(back.contains("in force: http.hosts\n") && !back.contains("restart"), "{back}");
}

/// Signals arrive faster than the file is read. The last text is in force at the end.
#[test]
fn a_storm_of_hangups_ends_with_the_last_file() {
    let text = with_socket("");
    let server = Server::start_with(&text, |_| {});
    let mut call = alice(&server);
    call.granted(&Request::allocate());
    for round in 0..60 {
        let secret = if round % 2 == 0 { "a-secret-of-tomorrow" } else { SECRET };
        server.configure(&replaced(&text, "a-test-secret", secret));
        server.signal("HUP");
        get(server.bound.http[0], "/ice").expect_ok();
    }
    // The command is answered after the signals before it.
    reloaded(&server, &replaced(&text, "a-test-secret", "the-last-secret"));
    client(&server, "bob", "the-last-secret").granted(&Request::allocate());
    assert_eq!(alice(&server).asked(&Request::allocate()).code(), 401);
    call.granted(&Request::refresh(600));
    assert_eq!(server.metric("byway_tasks_ended_total{task=\"reload\"}"), 0);
}
