//! The floor: the cost of connections and of the generator without a signaling server. A client
//! that names a room is in it, and its messages are copied to the other client there. It has one
//! thread, and parses and checks frames only.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::websocket::{Heard, Side, WebSocket};

/// Argument that starts the bench as the floor; the address to listen on follows.
pub(crate) const ARGUMENT: &str = "--floor";

const LISTENER: Token = Token(usize::MAX - 1);
/// Response to the example key of RFC 6455 section 1.3, which all clients of this bench send.
pub(crate) const ANSWER: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                      Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct Member {
    socket: WebSocket,
    room: Option<String>,
    peer: Option<usize>,
}

pub(crate) fn run(address: SocketAddr) -> io::Result<()> {
    let mut listener = TcpListener::from_std(listen(address)?);
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut members, mut waiting) = (Slab::<Member>::new(), HashMap::<String, usize>::new());
    let (mut events, mut buffer) = (Events::with_capacity(256), vec![0; 64 * 1024]);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    let entry = members.vacant_entry();
                    let mut socket = WebSocket::new(stream, Side::Server);
                    let interest = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut socket.stream, Token(entry.key()), interest)?;
                    entry.insert(Member { socket, room: None, peer: None });
                }
                continue;
            }
            let Token(key) = event.token();
            let Some(member) = members.get_mut(key) else { continue };
            member.socket.flush();
            let (mut has_met, mut has_ended, mut texts) = (false, false, Vec::new());
            member.socket.read(&mut buffer, event.is_read_closed(), |heard| match heard {
                Heard::Head(_) => has_met = true,
                Heard::Text(text) => texts.push(text.to_vec()),
                Heard::Close | Heard::End => has_ended = true,
            });
            if has_met {
                member.socket.head(ANSWER);
            }
            for text in texts {
                let member = &mut members[key];
                if member.room.is_some() {
                    if let Some(peer) = member.peer {
                        members[peer].socket.text(&text);
                    }
                    continue;
                }
                let room = String::from_utf8_lossy(&text).into_owned();
                member.socket.text(b"joined");
                member.room = Some(room.clone());
                match waiting.remove(&room) {
                    None => {
                        waiting.insert(room, key);
                    }
                    Some(peer) => {
                        members[key].peer = Some(peer);
                        members[peer].peer = Some(key);
                    }
                }
            }
            if has_ended {
                let mut gone = members.remove(key);
                gone.socket.close();
                if let Some(peer) = gone.peer {
                    members[peer].peer = None;
                }
                if let Some(room) = gone.room.filter(|room| waiting.get(room) == Some(&key)) {
                    waiting.remove(&room);
                }
            }
        }
    }
}

/// Listens with the longest accept queue that the kernel allows.
pub(crate) fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM.nonblocking(), None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::from(u16::MAX))?;
    Ok(socket.into())
}
