//! Reload of the configuration while calls go on: each kind of setting by its effect, refusals, the
//! operator's socket, and flows that lose nothing.

mod flows;
mod listeners;
mod operator;
mod refusals;
mod settings;

use std::process::Output;

use byway_test_support::process::sockets::{Client, LOOPBACK, Link, socket};
use byway_test_support::process::{CONFIG, SECRET, Server, password};

/// The configuration with a Unix socket beside the admin listener. `more` follows.
fn with_socket(more: &str) -> String {
    let admin = "admin = [\"127.0.0.1:0\", \"unix:admin.sock\"]";
    CONFIG.replace("admin = [\"127.0.0.1:0\"]", admin) + more
}

/// The same text with one value replaced, which has to be there.
fn replaced(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

/// A username with its password under a secret.
fn credential(name: &str, secret: &str) -> (String, String) {
    let username = format!("{}:{name}", byway::clock::Clock::start().now().unix + 600);
    let password = password(secret, &username);
    (username, password)
}

/// A client of the first UDP listener, under a secret.
fn client(server: &Server, name: &str, secret: &str) -> Client {
    let socket = socket(LOOPBACK[0]);
    socket.connect(server.bound.udp_v4()).unwrap();
    Client::with(Link::Udp(socket), credential(name, secret))
}

/// Reloads, and returns the keys that are in force.
fn reloaded(server: &Server, text: &str) -> String {
    told(&server.reload(text), 0)
}

/// Output of a command that ended with this exit code.
fn told(output: &Output, code: i32) -> String {
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{told}");
    told
}

/// A client under the secret of [`CONFIG`].
fn alice(server: &Server) -> Client {
    client(server, "alice", SECRET)
}
