//! Link between a client and the server: datagrams, or frames in a byte stream with or without TLS.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, RawFd};
use std::sync::Arc;

use byway_turn::wire::{frame_length, frame_padding};
use byway_udp::join_received;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use socket2::{Domain, Socket, Type};

use crate::cli::probe::error::Step;

/// Bytes of each buffer of a UDP socket; the kernel may grant less. The buffer holds datagrams that
/// arrive while this program sends.
const BUFFER: usize = 4 << 20;
/// Bytes that may be queued for a server that reads too slowly. A message that does not fit is not
/// sent.
const OUTGOING_MAX: usize = 128 * 1024;
/// Bytes per read from a stream.
const READ: usize = 64 * 1024;
/// Address of clients' sockets if the server is on loopback. Sockets on the server's own address
/// would take ports that it needs for relays.
const LOOPBACK: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);

/// Address of the server, and the transport to it.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) server: SocketAddr,
    pub(super) carrier: Carrier,
    /// Whether the kernel may coalesce received datagrams (GRO).
    pub(super) join: bool,
}

/// Transport.
#[derive(Clone)]
pub(super) enum Carrier {
    Udp,
    Tcp,
    Tls(Arc<ClientConfig>, ServerName<'static>),
}

/// Client's end of a link.
pub(super) enum Link {
    Udp(UdpSocket),
    Stream(Box<LinkStream>),
}

/// Connection, possibly not yet established.
pub(super) struct LinkStream {
    socket: TcpStream,
    tls: Option<ClientConnection>,
    /// Bytes received; those before `read` are consumed.
    incoming: Vec<u8>,
    read: usize,
    /// Bytes not yet passed to TLS or the kernel.
    outgoing: Vec<u8>,
}

impl Link {
    /// Opens a link; a connection may still be in progress.
    pub(super) fn open(way: &Way) -> io::Result<Self> {
        let Way { server, ref carrier, join } = *way;
        if let Carrier::Udp = carrier {
            let socket = datagram_socket(client_ip(server.ip()), join)?;
            socket.connect(server)?;
            return Ok(Self::Udp(socket));
        }
        let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SocketAddr::new(client_ip(server.ip()), 0).into())?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
            _ => {}
        }
        let tls = match carrier {
            Carrier::Tls(config, name) => {
                Some(ClientConnection::new(config.clone(), name.clone()).map_err(io::Error::other)?)
            }
            _ => None,
        };
        let (incoming, outgoing) = (Vec::new(), Vec::new());
        Ok(Self::Stream(Box::new(LinkStream { socket: socket.into(), tls, incoming, read: 0, outgoing })))
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        match self {
            Self::Udp(socket) => socket.as_raw_fd(),
            Self::Stream(stream) => stream.socket.as_raw_fd(),
        }
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Stream(stream) => stream.socket.local_addr(),
        }
    }

    /// Returns the step that a connection must complete before it carries messages, if any.
    pub(super) fn waits_for(&self) -> Option<Step> {
        let Self::Stream(stream) = self else { return None };
        if stream.socket.peer_addr().is_err() {
            return Some(Step::Connection);
        }
        stream.tls.as_ref().filter(|tls| tls.is_handshaking()).map(|_| Step::Handshake)
    }

    /// Sends a message. If the kernel has no room for it, it is lost, as in any network.
    pub(super) fn send(&mut self, message: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => match socket.send(message) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
                sent => sent.map(|_| ()),
            },
            Self::Stream(stream) => {
                stream.put([message, &[]]);
                stream.flush()
            }
        }
    }

    /// Receives the next message into `room`; returns `None` if none is left. Also sends what a
    /// stream has queued.
    pub(super) fn receive(&mut self, room: &mut [u8]) -> io::Result<Option<usize>> {
        match self {
            Self::Udp(socket) => match socket.recv(room) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                received => received.map(Some),
            },
            Self::Stream(stream) => loop {
                if let Some(message) = stream.next()? {
                    let length = message.len().min(room.len());
                    room[..length].copy_from_slice(&message[..length]);
                    return Ok(Some(length));
                }
                stream.flush()?;
                if !stream.fill()? {
                    return Ok(None);
                }
            },
        }
    }
}

impl LinkStream {
    /// Queues a message, and returns whether there was room.
    pub(super) fn put(&mut self, parts: [&[u8]; 2]) -> bool {
        let length = parts[0].len() + parts[1].len();
        if self.outgoing.len() + length > OUTGOING_MAX {
            return false;
        }
        for part in [parts[0], parts[1], frame_padding(length)] {
            self.outgoing.extend_from_slice(part);
        }
        true
    }

    /// Writes as much of the queue as the kernel accepts.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let done = |sent: io::Result<usize>| match sent {
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            sent => sent,
        };
        let Some(tls) = &mut self.tls else {
            if !self.outgoing.is_empty() {
                let sent = done(self.socket.write(&self.outgoing))?;
                self.outgoing.drain(..sent);
            }
            return Ok(());
        };
        loop {
            // Data stays queued until the handshake is complete.
            if !tls.is_handshaking() && !self.outgoing.is_empty() {
                let taken = tls.writer().write(&self.outgoing)?;
                self.outgoing.drain(..taken);
            }
            if !tls.wants_write() || done(tls.write_tls(&mut self.socket))? == 0 {
                return Ok(());
            }
        }
    }

    /// Reads some of the available bytes; returns `false` once none are left.
    pub(super) fn fill(&mut self) -> io::Result<bool> {
        // The rest of an incomplete message moves to the front.
        self.incoming.drain(..self.read);
        self.read = 0;
        let end = self.incoming.len();
        let dry = |read: io::Result<usize>| match read {
            Ok(0) => Err(ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(false),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(true),
            Err(error) => Err(error),
        };
        let Some(tls) = &mut self.tls else {
            self.incoming.resize(end + READ, 0);
            let read = self.socket.read(&mut self.incoming[end..]);
            self.incoming.truncate(end + read.as_ref().map_or(0, |read| *read));
            return dry(read).map(|dry| !dry);
        };
        let is_dry = dry(tls.read_tls(&mut self.socket))?;
        let state =
            tls.process_new_packets().map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        let there = state.plaintext_bytes_to_read();
        self.incoming.resize(end + there, 0);
        tls.reader().read_exact(&mut self.incoming[end..])?;
        // The handshake needs responses of its own.
        self.flush()?;
        Ok(!is_dry)
    }

    /// Returns the next complete message, padding included.
    pub(super) fn next(&mut self) -> io::Result<Option<&[u8]>> {
        let rest = self.incoming.get(self.read..).unwrap_or_default();
        let length = frame_length(rest).map_err(|_| io::Error::from(ErrorKind::InvalidData))?;
        let Some(length) = length.filter(|length| *length <= rest.len()) else { return Ok(None) };
        self.read += length;
        Ok(self.incoming.get(self.read - length..self.read))
    }
}

/// Opens a UDP socket on a port that the system chooses.
pub(super) fn datagram_socket(ip: IpAddr, join: bool) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(ip, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, None)?;
    socket.set_nonblocking(true)?;
    // A smaller buffer costs only headroom.
    let _ = socket.set_recv_buffer_size(BUFFER);
    let _ = socket.set_send_buffer_size(BUFFER);
    socket.bind(&address.into())?;
    if join {
        join_received(&socket)?;
    }
    Ok(socket.into())
}

fn client_ip(server: IpAddr) -> IpAddr {
    match server {
        IpAddr::V4(ip) if ip.is_loopback() => LOOPBACK.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
