//! HTTP/2 by the byte (RFC 9113), as only an attacker writes it.

use std::io::{self, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use byway_test_support::process::tls::{Stream, connect};
use rustls::ClientConfig;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// A connection that has sent its preface and its settings, and acknowledged those of the server.
pub(crate) fn open(config: &Arc<ClientConfig>, server: SocketAddr) -> io::Result<Stream> {
    let mut stream = connect(config, server)?;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    stream.write_all(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, ACK, 0, &[])].concat())?;
    Ok(stream)
}

/// A frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The head of a request with this number of additional fields, each with a name of one letter and
/// no value. `more` goes with the flags: [`END_STREAM`], if there is no body.
pub(crate) fn head(stream: u32, method: &str, path: &str, fields: usize, more: u8) -> Vec<u8> {
    // HPACK (RFC 7541 appendix A and section 6.2.2): literals without indexing, for what the static
    // table lacks.
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    let mut block = vec![0x02];
    block.extend(text(method));
    block.extend([0x87, 0x04]);
    block.extend(text(path));
    block.push(0x01);
    block.extend(text("localhost"));
    block.extend([0x0f, 0x10]);
    block.extend(text("application/x-www-form-urlencoded"));
    for _ in 0..fields {
        block.extend(b"\x00\x01x\x00");
    }
    frame(HEADERS, END_HEADERS | more, stream, &block)
}

/// The next frame: its kind, its flags, its stream and its payload.
pub(crate) fn read(stream: &mut Stream) -> io::Result<(u8, u8, u32, Vec<u8>)> {
    let mut header = [0; 9];
    stream.read_exact(&mut header)?;
    let [a, b, c, kind, flags, id @ ..] = header;
    let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
    stream.read_exact(&mut payload)?;
    Ok((kind, flags, u32::from_be_bytes(id), payload))
}
