//! Messages of each server and its clients.

use std::time::Duration;

use serde_json::Value;

/// A protocol by which two clients exchange what they need to start a call.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `byway.v1`: rooms.
    Byway,
    /// PeerJS: the client chooses an identifier, and does not join anything else.
    Peerjs,
    /// The floor: the name of a room, followed by any messages.
    Floor,
}

/// Message from a server, as far as it matters.
pub(crate) enum Word {
    /// The client has joined, under this identifier. `peer` is the member that it finds there.
    Joined {
        id: String,
        peer: Option<String>,
        resume: Option<String>,
    },
    /// Another member joined.
    Peer(String),
    /// Signal with this number.
    Signal(usize),
    /// Reason, sent before the server closes the connection.
    Bye(String),
    Error(String),
    Other,
}

/// Candidate, which a browser sends a few dozen times when a call starts.
pub(crate) const CANDIDATE: &str = r#""candidate":"candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EEtu network-cost 999","sdpMid":"0","sdpMLineIndex":0"#;

/// Returns a description as long as a browser's for audio and video. Its content does not matter.
pub(crate) fn description() -> String {
    format!(r#""type":"offer","sdp":"{}""#, "a=rtpmap:111 opus/48000/2\\r\\n".repeat(180))
}

/// Text before the number of a signal.
const NUMBER: &[u8] = br#""n":""#;
const DIGITS: usize = 8;

impl Dialect {
    /// Returns the request with which a browser opens the WebSocket of client `number` in `crowd`.
    pub(crate) fn request(self, crowd: &str, number: usize) -> String {
        let (path, protocol) = match self {
            Self::Byway => ("/ws".to_owned(), "Sec-WebSocket-Protocol: byway.v1\r\n"),
            Self::Peerjs => {
                let id = peerjs_id(crowd, number);
                (format!("/peerjs?key=peerjs&id={id}&token=t0k3n&version=1.5.5"), "")
            }
            Self::Floor => ("/".to_owned(), ""),
        };
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n\
             User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36\r\n\
             Upgrade: websocket\r\nOrigin: http://localhost\r\nSec-WebSocket-Version: 13\r\n\
             Accept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
        )
    }

    /// Returns the first message of client `number`. Two clients share a room.
    pub(crate) fn join(self, crowd: &str, number: usize) -> Option<String> {
        let room = number / 2;
        match self {
            Self::Byway => Some(byway_join(&format!("{crowd}-{room}"))),
            Self::Peerjs => None,
            Self::Floor => Some(format!("{crowd}-{room}")),
        }
    }

    /// Returns the heartbeat that a client sends, and its interval.
    pub(crate) fn heartbeat(self) -> Option<(&'static [u8], Duration)> {
        match self {
            // Browsers answer the server's pings on their own.
            Self::Byway | Self::Floor => None,
            Self::Peerjs => Some((br#"{"type":"HEARTBEAT"}"#, Duration::from_secs(5))),
        }
    }

    /// Returns `what` as a signal to `peer`.
    pub(crate) fn signal(self, peer: &str, number: usize, what: &str) -> String {
        let data = format!(r#"{{"n":"{number:0DIGITS$}",{what}}}"#);
        match self {
            Self::Byway => format!(r#"{{"type":"signal","to":"{peer}","data":{data}}}"#),
            Self::Peerjs => format!(r#"{{"type":"CANDIDATE","payload":{data},"dst":"{peer}"}}"#),
            Self::Floor => data,
        }
    }

    /// Parses a message from the server to client `number` in `crowd`.
    pub(crate) fn hear(self, crowd: &str, number: usize, text: &[u8]) -> Word {
        if let Some(at) = text.windows(NUMBER.len()).position(|window| window == NUMBER) {
            let digits = text.get(at + NUMBER.len()..).and_then(|rest| rest.get(..DIGITS));
            let number = digits.and_then(|digits| str::from_utf8(digits).ok()?.parse().ok());
            return number.map_or(Word::Other, Word::Signal);
        }
        let together = |id| Word::Joined { id, peer: Some(peerjs_id(crowd, number ^ 1)), resume: None };
        if self == Self::Floor {
            return together(peerjs_id(crowd, number));
        }
        let Ok(message) = serde_json::from_slice::<Value>(text) else { return Word::Other };
        let said = |field: &Value| field.as_str().map(str::to_owned);
        match message["type"].as_str() {
            Some("OPEN") => together(peerjs_id(crowd, number)),
            Some("joined") => Word::Joined {
                id: said(&message["id"]).unwrap_or_default(),
                peer: said(&message["peers"][0]["id"]),
                resume: said(&message["resume"]),
            },
            Some("peer-joined") => said(&message["id"]).map_or(Word::Other, Word::Peer),
            Some("bye") => said(&message["code"]).map_or(Word::Other, Word::Bye),
            Some("error" | "ERROR" | "ID-TAKEN") => Word::Error(String::from_utf8_lossy(text).into_owned()),
            _ => Word::Other,
        }
    }
}

/// Returns the first message of a client of Byway.
pub(crate) fn byway_join(room: &str) -> String {
    format!(r#"{{"type":"join","room":"{room}","name":"Guest"}}"#)
}

fn peerjs_id(crowd: &str, number: usize) -> String {
    format!("{crowd}-{number}")
}
