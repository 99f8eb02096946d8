//! Measures the heartbeats of many nodes: a `nats-server` that passes each on to all others, with
//! connections in the place of nodes.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use byway::clock::Clock;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use crate::crowd::Schedule;
use crate::server::{Server, free};
use crate::{WARM_UP, messages, second_core};

/// Argument that selects this measurement.
pub(crate) const ARGUMENT: &str = "heartbeats";

/// Numbers of nodes.
const NODES: [u32; 4] = [100, 300, 600, 1_000];
const SUBJECT: &str = "byway.v1.all";
const MEASURED: Duration = Duration::from_secs(8);

/// Connections, each in the place of a node.
struct Nodes {
    poll: Poll,
    clock: Clock,
    streams: Vec<TcpStream>,
    buffer: Vec<u8>,
    /// Heartbeat as a node sends it.
    beat: Vec<u8>,
    /// Its length without the command.
    length: usize,
    /// Bytes that all have received.
    received: u64,
}

/// Measures all. Returns the table.
pub(crate) fn measure() -> Result<String, String> {
    let mut table = format!(
        "{:>6} {:>12} {:>12} {:>10} {:>14} {:>12}\n",
        "nodes", "due per s", "delivered", "% of due", "broker, % core", "us each"
    );
    for nodes in NODES {
        eprintln!("{nodes} nodes");
        let broker = Server::broker(free())?;
        second_core();
        let mut connections = Nodes::connect(broker.address, nodes).map_err(|error| error.to_string())?;
        let mut beats = Schedule::new(nodes, connections.clock.now().mono);
        connections.run(WARM_UP, &mut beats);
        let (before, cpu, from) = (connections.received, broker.cpu(), connections.clock.now().mono);
        connections.run(MEASURED, &mut beats);
        let cpu = (broker.cpu() - cpu).as_secs_f64();
        let seconds = (connections.clock.now().mono - from).as_secs_f64();
        // The broker writes a line before each message, and an end behind it.
        let line = format!("MSG {SUBJECT} 1 {}\r\n\r\n", connections.length);
        let beat = (line.len() + connections.length) as f64;
        let received = (connections.received - before) as f64 / beat;
        let (due, delivered) = (f64::from(nodes * (nodes - 1)), received / seconds);
        let (share, busy, each) = (delivered * 100.0 / due, cpu * 100.0 / seconds, cpu * 1e6 / received);
        let _ = writeln!(
            table,
            "{nodes:>6} {due:>12.0} {delivered:>12.0} {share:>10.1} {busy:>14.0} {each:>12.2}"
        );
    }
    Ok(table)
}

impl Nodes {
    fn connect(broker: SocketAddr, count: u32) -> std::io::Result<Self> {
        let poll = Poll::new()?;
        let mut streams = Vec::new();
        for number in 0..count {
            let mut stream = std::net::TcpStream::connect(broker)?;
            stream.write_all(b"CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\n")?;
            stream.write_all(format!("SUB {SUBJECT} 1\r\n").as_bytes())?;
            stream.set_nonblocking(true)?;
            let mut stream = TcpStream::from_std(stream);
            let token = Token(usize::try_from(number).expect("it fits"));
            poll.registry().register(&mut stream, token, Interest::READABLE)?;
            streams.push(stream);
        }
        let beat = messages::heartbeat();
        let mut publish = format!("PUB {SUBJECT} {}\r\n", beat.len()).into_bytes();
        publish.extend(&beat);
        publish.extend(b"\r\n");
        let (clock, buffer, length) = (Clock::start(), vec![0; 256 * 1024], beat.len());
        Ok(Self { poll, clock, streams, buffer, beat: publish, length, received: 0 })
    }

    /// Lets each node send its heartbeats for `time`, and reads those of the others.
    fn run(&mut self, time: Duration, beats: &mut Schedule) {
        let until = self.clock.now().mono + time;
        let mut events = Events::with_capacity(1024);
        let mut next = 0;
        while self.clock.now().mono < until {
            while beats.due(self.clock.now().mono).is_some() {
                let stream = &mut self.streams[next];
                stream.write_all(&self.beat).expect("a broker that reads");
                next = (next + 1) % self.streams.len();
            }
            if self.poll.poll(&mut events, Some(Duration::ZERO)).is_err() {
                continue;
            }
            for event in &events {
                let Token(number) = event.token();
                // Later data causes another event of the poll.
                while let Ok(length) = self.streams[number].read(&mut self.buffer) {
                    assert!(length > 0, "the broker closed a connection");
                    self.received += length as u64;
                    if length < self.buffer.len() {
                        break;
                    }
                }
            }
        }
    }
}
