//! Tests on loopback, which delivers joined datagrams as they were sent.

use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use mio::unix::SourceFd;

use super::options::set_one;
use super::*;

const LOOPBACK: [&str; 2] = ["127.0.0.1:0", "[::1]:0"];

fn bound(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    let ip = socket.local_addr().unwrap().ip();
    tell_traffic_class(&socket, ip).unwrap();
    allow_fragments(&socket, ip).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

fn to(socket: &UdpSocket) -> Destination {
    let address = socket.local_addr().unwrap();
    Destination { address, source: None, traffic_class: UNMARKED, dont_fragment: false }
}

/// Sends datagrams from one socket, and returns their outcomes in the order of each message's first
/// datagram.
fn send(socket: &UdpSocket, segment: bool, datagrams: &[(&[u8], Destination)]) -> (Vec<Fate>, SendStats) {
    let mut outbox = Outbox::new(segment);
    let mut bytes = Vec::new();
    for (datagram, destination) in datagrams {
        let start = bytes.len();
        bytes.extend_from_slice(datagram);
        outbox.push(Transmit {
            socket: (),
            tag: (),
            destination: *destination,
            header: &[],
            payload: start..bytes.len(),
            padding: 0,
        });
    }
    let Flushed { stats, outcomes } = outbox.flush(&bytes, |()| Some(socket));
    let fate = |outcome: Outcome<()>| {
        (outcome.datagrams, outcome.result.err().and_then(|error| error.raw_os_error()))
    };
    let fates = outcomes.map(fate).collect();
    assert!(outbox.is_empty());
    (fates, stats)
}

/// Number of datagrams, and the errno that they failed with.
type Fate = (u64, Option<i32>);

const GONE: Fate = (1, None);

/// Sends one datagram.
fn send_one(socket: &UdpSocket, datagram: &[u8], destination: Destination) -> Fate {
    let (fates, _) = send(socket, true, &[(datagram, destination)]);
    assert_eq!(fates.len(), 1);
    fates[0]
}

/// Waits ten seconds at most for the next batches, and returns them.
fn receive(socket: &UdpSocket, inbox: &mut Inbox) -> Vec<Batch> {
    inbox.clear();
    for _ in 0..100 {
        let places = inbox.receive(socket, inbox.room()).unwrap();
        if !places.is_empty() {
            return places.map(|place| inbox.batch(place).unwrap()).collect();
        }
        wait(socket, |_| true);
    }
    panic!("no batch within ten seconds");
}

/// Returns the next datagram, which must arrive alone.
fn receive_one(socket: &UdpSocket) -> (Batch, Vec<u8>) {
    let mut inbox = Inbox::new(2, 0);
    let batches = receive(socket, &mut inbox);
    let datagrams: Vec<std::ops::Range<usize>> = batches[0].datagrams().collect();
    assert_eq!((batches.len(), datagrams.len()), (1, 1));
    (batches[0], inbox.bytes()[datagrams[0].clone()].to_vec())
}

#[test]
fn the_traffic_class_goes_with_its_datagram_and_no_other() {
    for address in LOOPBACK {
        let (sender, receiver) = (bound(address), bound(address));
        // In turn: expedited forwarding with CE, ECT(0) alone, all bits set, all bits clear.
        for traffic_class in [0xBB, 0x02, 0xFF, 0x00] {
            assert_eq!(send_one(&sender, b"hello", Destination { traffic_class, ..to(&receiver) }), GONE);
            let (batch, bytes) = receive_one(&receiver);
            assert_eq!((batch.source, batch.destination), (sender.local_addr().unwrap(), None));
            assert_eq!((batch.traffic_class, &bytes[..]), (traffic_class, &b"hello"[..]));
        }
    }
}

#[test]
fn an_answer_leaves_from_where_the_datagram_went() {
    for (any, asked) in [("0.0.0.0:0", "127.0.0.5"), ("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "::1")] {
        let server = bound(any);
        let asked: IpAddr = asked.parse().unwrap();
        tell_destination(&server, asked).unwrap();
        // A connected client receives only answers from the address that it asked.
        let client = bound(if asked.is_ipv4() { LOOPBACK[0] } else { LOOPBACK[1] });
        client.connect((asked, server.local_addr().unwrap().port())).unwrap();
        client.send(b"ask").unwrap();
        let (batch, _) = receive_one(&server);
        assert_eq!(batch.destination, Some(asked));
        let answer = Destination { source: batch.destination, traffic_class: 0x03, ..to(&client) };
        assert_eq!(send_one(&server, b"answer", answer), GONE);
        assert_eq!(receive_one(&client).0.traffic_class, 0x03);
    }
}

/// One flow of datagrams with these sizes. A datagram as long as the first of a message joins it; a
/// shorter one joins and closes it.
#[test]
fn a_flow_arrives_in_order_whether_the_kernel_joins_it_or_not() {
    let sizes = [160, 160, 160, 40, 160, 160, 0, 1200, 1200, 1250, 7, 7, 7, 1260, 1260];
    let datagrams: Vec<Vec<u8>> = (0..).zip(sizes).map(|(i, size)| vec![i; size]).collect();
    for address in LOOPBACK {
        for (segment, join) in [(true, true), (true, false), (false, true), (false, false)] {
            let (sender, receiver) = (bound(address), bound(address));
            if join {
                join_received(&receiver).unwrap();
            }
            let way = Destination { traffic_class: 0x02, ..to(&receiver) };
            let all: Vec<_> = datagrams.iter().map(|datagram| (&datagram[..], way)).collect();
            let (fates, sent) = send(&sender, segment, &all);
            assert!(fates.iter().all(|(_, error)| error.is_none()), "{fates:?}");
            let segmented = if segment { 4 + 2 + 2 + 2 + 2 } else { 0 };
            let total = sizes.len() as u64;
            assert_eq!((sent.segmented, sent.alone), (segmented, total - segmented));
            assert_eq!((sent.calls, sent.refused), (1, 0));

            let (mut inbox, mut came) = (Inbox::new(32, 100), Vec::new());
            let mut joined = 0;
            while came.len() < sizes.len() {
                for batch in receive(&receiver, &mut inbox) {
                    assert_eq!(batch.traffic_class, 0x02);
                    joined += usize::from(batch.is_joined());
                    came.extend(batch.datagrams().map(|span| inbox.bytes()[span].to_vec()));
                }
            }
            assert_eq!(came, datagrams);
            assert_eq!(joined > 0, segment && join, "loopback delivers joined datagrams joined");
        }
    }
}

/// Three interleaved flows from two sockets: each flow is joined, and none is reordered.
#[test]
fn flows_that_take_turns_are_sorted_out() {
    let senders = [bound(LOOPBACK[0]), bound(LOOPBACK[0])];
    let receivers = [bound(LOOPBACK[0]), bound(LOOPBACK[0])];
    receivers.iter().for_each(|receiver| join_received(receiver).unwrap());
    let flows = [(0, 0), (1, 1), (0, 1)];
    let (mut outbox, mut bytes) = (Outbox::new(true), Vec::new());
    for i in 0..10 {
        for (flow, &(from, at)) in (0..).zip(&flows) {
            let span = bytes.len()..bytes.len() + 100;
            bytes.extend([[flow, i]; 50].concat());
            outbox.push(Transmit {
                socket: from,
                tag: flow,
                destination: to(&receivers[at]),
                header: b"head",
                payload: span,
                padding: 3,
            });
        }
    }
    let Flushed { stats, outcomes } = outbox.flush(&bytes, |from: usize| Some(&senders[from]));
    let outcomes: Vec<_> = outcomes
        .map(|Outcome { tag, datagrams, bytes, result }| (tag, datagrams, bytes, result.is_ok()))
        .collect();
    let sent = |flow| (flow, 10, 1000, true);
    assert_eq!(outcomes, [sent(0), sent(2), sent(1)], "by socket, then in order of push");
    assert_eq!(stats, SendStats { calls: 2, alone: 0, segmented: 30, refused: 0 });
    let mut inbox = Inbox::new(8, 0);
    for (receiver, flows) in receivers.iter().zip([vec![0], vec![2, 1]]) {
        for flow in flows {
            let batch = receive(receiver, &mut inbox).remove(0);
            assert_eq!(batch.count(), 10);
            for (i, span) in (0..).zip(batch.datagrams()) {
                let expected = [&b"head"[..], &[[flow, i]; 50].concat(), &[0; 3]].concat();
                assert_eq!(inbox.bytes()[span], expected);
            }
            if receiver.peek(&mut [0]).is_err() {
                break;
            }
        }
    }
}

/// The kernel segments nothing for a socket with checksums disabled. This refusal needs no special
/// device.
#[test]
fn what_is_refused_for_being_joined_goes_one_by_one() {
    let (sender, receiver) = (bound(LOOPBACK[0]), bound(LOOPBACK[0]));
    set_one(&sender, libc::SOL_SOCKET, libc::SO_NO_CHECK, 1).unwrap();
    let (small, large) = ([7; 100], [8; 200]);
    let sizes = [&small[..], &small, &small, &large, &large];
    let datagrams: Vec<_> = sizes.into_iter().map(|datagram| (datagram, to(&receiver))).collect();
    let (fates, sent) = send(&sender, true, &datagrams);
    assert_eq!(fates, [GONE; 5]);
    assert_eq!((sent.alone, sent.segmented, sent.refused), (5, 0, 2));
    let mut inbox = Inbox::new(8, 0);
    let batches = receive(&receiver, &mut inbox);
    let came = batches.iter().flat_map(|batch| batch.datagrams());
    assert!(came.map(|span| &inbox.bytes()[span]).eq(sizes));
}

/// Loopback has an MTU of 65,536 bytes, which an IPv6 datagram can exceed and an IPv4 one cannot.
#[test]
fn what_must_not_be_fragmented_is_not_sent_where_it_does_not_fit() {
    let (sender, receiver) = (bound(LOOPBACK[1]), bound(LOOPBACK[1]));
    let large = vec![7; 65_520];
    for _ in 0..2 {
        let whole = Destination { dont_fragment: true, ..to(&receiver) };
        assert_eq!(send_one(&sender, &large, whole), (1, Some(libc::EMSGSIZE)));
        assert_eq!(send_one(&sender, b"small", whole), GONE);
        assert_eq!(receive_one(&receiver).1, b"small");
        assert_eq!(send_one(&sender, &large, to(&receiver)), GONE);
        assert_eq!(receive_one(&receiver).1, large);
    }
}

/// A closed port answers with an ICMP error, which the kernel reports to the socket's next send.
#[test]
fn an_error_that_another_peer_has_caused_loses_no_datagram() {
    for address in LOOPBACK {
        let (sender, receiver) = (bound(address), bound(address));
        keep_errors(&sender, sender.local_addr().unwrap().ip()).unwrap();
        // Connected to itself: it keeps its port from others and receives nothing from them.
        let deaf = bound(address);
        deaf.connect(deaf.local_addr().unwrap()).unwrap();
        for dont_fragment in [false, true, false, true] {
            assert_eq!(send_one(&sender, b"to nobody", to(&deaf)), GONE);
            wait(&sender, mio::event::Event::is_error);
            let way = Destination { dont_fragment, ..to(&receiver) };
            assert_eq!(send_one(&sender, b"hello", way), GONE);
            assert_eq!(receive_one(&receiver).1, b"hello");
        }
    }
}

#[test]
fn an_error_is_told_of_its_own_datagram_alone() {
    let (sender, receiver) = (bound(LOOPBACK[0]), bound(LOOPBACK[0]));
    let nowhere = Destination { address: "127.0.0.1:0".parse().unwrap(), ..to(&receiver) };
    let broadcast = Destination { address: "255.255.255.255:9".parse().unwrap(), ..to(&receiver) };
    let all = [(b"a", to(&receiver)), (b"x", nowhere), (b"b", to(&receiver)), (b"x", broadcast)];
    let all: Vec<_> = all.iter().map(|(datagram, way)| (&datagram[..], *way)).collect();
    let (fates, _) = send(&sender, false, &all);
    assert_eq!(fates, [GONE, (1, Some(libc::EINVAL)), GONE, (1, Some(libc::EACCES))]);
    assert_eq!(receive(&receiver, &mut Inbox::new(4, 0)).len(), 2);
}

/// Waits ten seconds at most for such an event on the socket.
pub(super) fn wait(socket: &UdpSocket, of_interest: fn(&mio::event::Event) -> bool) {
    let mut poll = mio::Poll::new().unwrap();
    let mut events = mio::Events::with_capacity(1);
    let (mut source, interest) = (SourceFd(&socket.as_raw_fd()), mio::Interest::READABLE);
    poll.registry().register(&mut source, mio::Token(0), interest).unwrap();
    for _ in 0..100 {
        poll.poll(&mut events, Some(Duration::from_millis(100))).unwrap();
        if events.iter().any(of_interest) {
            return;
        }
    }
    panic!("no event within ten seconds");
}
