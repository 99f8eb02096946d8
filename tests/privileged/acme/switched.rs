//! Reloads that change who provides the certificate, also while an order is under way.

use std::sync::{Mutex, mpsc};

use byway_test_support::process::Server;
use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::tls::{connect_as, trusting_root};

use super::authority::Authority;
use super::middleman::Middleman;
use super::site::{Site, attempts, certificate, health, visit};

/// The operator's files for `localhost`, and the same configuration as a site otherwise.
struct Files {
    pair: Pair,
    _folder: Folder,
    config: String,
}

impl Files {
    fn beside(site: &Site) -> Self {
        let pair = Pair::new();
        let folder = Folder::with(&pair);
        let (rest, _) = site.config().split_once("[acme]").unwrap();
        let files =
            format!("[tls]\ncert = {:?}\nkey = {:?}\n", folder.path("cert.pem"), folder.path("key.pem"));
        let config = format!("{rest}{files}");
        Self { pair, _folder: folder, config }
    }

    fn are_used(&self, server: &Server) {
        assert_eq!(certificate(&visit(server, &self.pair.der, "localhost").unwrap()), self.pair.der);
    }
}

fn reload(server: &Server, config: &str) {
    let output = server.reload(config);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// The authority is asked once: on the way back its certificate is on the disk.
#[test]
fn files_and_the_authority_take_turns() {
    let authority = Authority::start();
    let site = Site::new(&authority, "[\"call.example.org\"]");
    let files = Files::beside(&site);
    let server = Server::start_with(&files.config, |_| {});
    files.are_used(&server);

    reload(&server, site.config());
    server.until(&attempts("issued"), 1);
    server.logged("certificate loaded: for call.example.org");
    let root = authority.root();
    let first = certificate(&visit(&server, &root, "call.example.org").unwrap());
    for _ in 0..3 {
        reload(&server, &files.config);
        files.are_used(&server);
        reload(&server, site.config());
        while !visit(&server, &root, "call.example.org").is_ok_and(|stream| certificate(&stream) == first) {
            assert_eq!(server.metric(&attempts("issued")), 1);
        }
    }
    assert_eq!(server.metric(&attempts("issued")), 1);
    assert_eq!(health(&server).expect_ok().text(), "ok\n");
}

/// A certificate of a test authority has the right names, and no browser trusts it.
#[test]
fn another_authority_is_asked_at_once() {
    let (test, real) = (Authority::start(), Authority::start());
    let names = "[\"call.example.org\"]";
    let first = Site::new(&test, names);
    let server = first.serve();
    server.logged("certificate loaded");
    visit(&server, &test.root(), "call.example.org").unwrap();
    let site = Site::new(&real, names);
    reload(&server, site.config());
    server.until(&attempts("issued"), 2);
    server.listening_again();
    let root = real.root();
    let config = trusting_root(&root);
    let at = ([127, 0, 0, 1], real.tls_port).into();
    while connect_as(&config, at, "call.example.org").is_err() {}
}

/// The authority's answer would come after the files were put to use.
#[test]
fn an_order_that_a_reload_made_needless_changes_nothing() {
    let authority = Authority::start();
    let (asked, is_asked) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let (asked, held) = (Mutex::new(asked), Mutex::new(held));
    let middleman = Middleman::start(&authority, move |_, path, answer| {
        if path != "/order-plz" {
            return answer;
        }
        asked.lock().unwrap().send(()).unwrap();
        let _ = held.lock().unwrap().recv();
        answer
    });
    let site = Site::at(&authority, &middleman.directory(), "[\"call.example.org\"]", "");
    let files = Files::beside(&site);
    let server = site.serve();
    is_asked.recv().unwrap();
    reload(&server, &files.config);
    files.are_used(&server);
    server.logged("no longer ordering a certificate for call.example.org");
    drop(release);
    files.are_used(&server);
    assert_eq!(site.files(), ["account.json"]);
}
