//! A configuration of coturn, imported: coturn's clients relay through it as they did through
//! coturn.

use std::fs;

use byway_test_support::process::certificates::{Folder, Pair};
use byway_test_support::process::{REALM, Server, byway, free_port};

use super::lab::Transport;
use super::relayed::coturn_key;
use super::uclient::{Load, Peer, Uclient};

/// Imports a file of coturn and starts the server with the result, pages on a free port aside.
fn serve(certificate: &Folder, port: u16, tls: u16, number: u8, further: &str) -> Server {
    let (cert, key) = (certificate.path("cert.pem"), certificate.path("key.pem"));
    let text = format!(
        "listening-ip=127.0.0.1\nlistening-port={port}\ntls-listening-port={tls}\nrelay-ip=127.0.3.{number}\nrealm={REALM}\n\
         cert={}\npkey={}\nfingerprint\nprometheus\nprometheus-port={}\n{further}",
        cert.display(),
        key.display(),
        free_port(),
    );
    certificate.write("turnserver.conf", &text);
    let target = certificate.path("turnserver.toml");
    let mut command = byway();
    command.arg("--config").arg(&target).arg("import").arg(certificate.path("turnserver.conf"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let imported = fs::read_to_string(&target).unwrap();
    Server::start_with(&imported.replace("[listen]\n", "[listen]\nhttp = [\"127.0.0.1:0\"]\n"), |_| {})
}

#[test]
fn with_the_same_secret_and_the_same_users_clients_relay_through_the_import() {
    let certificate = Folder::with(&Pair::new());
    let users = format!("lt-cred-mech\nuser=camera:geheim-geheim\nuser=phone:{}\n", coturn_key("phone"));
    for (number, further, credentials) in [
        (
            1,
            "use-auth-secret\nstatic-auth-secret=a-secret-of-coturn\n",
            vec!["-u alice -W a-secret-of-coturn"],
        ),
        (2, users.as_str(), vec!["-u camera -w geheim-geheim", "-u phone -w geheim-geheim"]),
    ] {
        let (port, tls) = (free_port(), free_port());
        let server = serve(&certificate, port, tls, number, further);
        for (transport, port) in [(Transport::Udp, port), (Transport::Tcp, port), (Transport::Tls, tls)] {
            for credential in &credentials {
                let client = Uclient::at(([127, 0, 0, 1], port).into(), transport).towards(Peer::Client);
                client.with(Load::LIGHT).args(credential).relays_everything(Load::LIGHT);
            }
        }
        assert!(!server.log().contains("geheim"));
        fs::remove_file(certificate.path("turnserver.toml")).unwrap();
    }
}
