//! `byway probe`, black box: what it says of servers that are sound, and of those that are not.

mod certificates;
mod datagrams;
mod hostile;
mod hosts;
mod relay_ports;
mod streams;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Output;

use byway_test_support::process::Configuration;
use serde_json::Value;
use tokio::net::{TcpSocket, UdpSocket};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn probe(config: &Configuration, arguments: &[&str]) -> Output {
    let mut command = config.command();
    command.arg("probe").args(arguments);
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("nothing panicked").expect("the binary starts")
}

fn rows(output: &Output) -> Vec<Value> {
    serde_json::from_slice(&output.stdout).expect("a report in JSON")
}

/// An address that nothing listens on, over UDP or TCP, and nothing else will while this is held:
/// its UDP socket takes datagrams of one peer only, which sends none, and its TCP socket never
/// listens.
struct Nobody {
    udp: UdpSocket,
    tcp: TcpSocket,
}

impl Nobody {
    async fn new() -> Self {
        let udp = UdpSocket::bind((LOOPBACK, 0)).await.expect("a free port");
        udp.connect(udp.local_addr().expect("it is bound")).await.expect("a route to itself");
        let tcp = TcpSocket::new_v4().expect("a socket");
        tcp.bind((LOOPBACK, 0).into()).expect("a free port");
        Self { udp, tcp }
    }

    fn udp(&self) -> SocketAddr {
        self.udp.local_addr().expect("it is bound")
    }

    fn tcp(&self) -> SocketAddr {
        self.tcp.local_addr().expect("it is bound")
    }
}

/// The reason why the only row failed.
fn trouble(output: &Output) -> String {
    let rows = rows(output);
    assert_eq!((rows.len(), output.status.code()), (1, Some(1)), "{rows:#?}");
    assert!(rows[0]["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()), "{rows:#?}");
    rows[0]["trouble"].as_str().expect("a reason").to_owned()
}
