//! What clients of each server say, and hear.

use std::time::Duration;

use serde_json::Value;

/// A protocol that lets two clients exchange what a call needs to begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `byway.v1`: rooms.
    Byway,
    /// PeerJS: identifiers, which a client chooses, and nothing else to join.
    Peerjs,
    /// The floor's: a room's name, and from then on anything.
    Floor,
}

/// What a server said, as far as it matters.
pub(crate) enum Word {
    /// The client is in, under this identifier, and may meet this one there.
    Joined {
        id: String,
        peer: Option<String>,
        resume: Option<String>,
    },
    /// Somebody came.
    Peer(String),
    /// The signal of this number.
    Signal(usize),
    /// Said before the server closes the connection, and why.
    Bye(String),
    Error(String),
    Other,
}

/// What a browser sends a few dozen times when a call begins.
pub(crate) const CANDIDATE: &str = r#""candidate":"candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 0.0.0.0 rport 0 generation 0 ufrag EEtu network-cost 999","sdpMid":"0","sdpMLineIndex":0"#;

/// What it sends once, with sound and pictures: in length that is, nobody here reads it.
pub(crate) fn description() -> String {
    format!(r#""type":"offer","sdp":"{}""#, "a=rtpmap:111 opus/48000/2\\r\\n".repeat(180))
}

/// Before the number of a signal.
const NUMBER: &[u8] = br#""n":""#;
const DIGITS: usize = 8;

impl Dialect {
    /// The request by which a browser opens the WebSocket of client `number` in `crowd`.
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

    /// The first message of client `number`, of whom two make a room.
    pub(crate) fn join(self, crowd: &str, number: usize) -> Option<String> {
        let room = number / 2;
        match self {
            Self::Byway => Some(format!(r#"{{"type":"join","room":"{crowd}-{room}","name":"Guest"}}"#)),
            Self::Peerjs => None,
            Self::Floor => Some(format!("{crowd}-{room}")),
        }
    }

    /// What a client says all the time, and how often.
    pub(crate) fn heartbeat(self) -> Option<(&'static [u8], Duration)> {
        match self {
            // Browsers answer the server's pings, which it sends itself.
            Self::Byway | Self::Floor => None,
            Self::Peerjs => Some((br#"{"type":"HEARTBEAT"}"#, Duration::from_secs(5))),
        }
    }

    /// `what` for `peer`.
    pub(crate) fn signal(self, peer: &str, number: usize, what: &str) -> String {
        let data = format!(r#"{{"n":"{number:0DIGITS$}",{what}}}"#);
        match self {
            Self::Byway => format!(r#"{{"type":"signal","to":"{peer}","data":{data}}}"#),
            Self::Peerjs => format!(r#"{{"type":"CANDIDATE","payload":{data},"dst":"{peer}"}}"#),
            Self::Floor => data,
        }
    }

    /// What the server said to client `number` in `crowd`.
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

fn peerjs_id(crowd: &str, number: usize) -> String {
    format!("{crowd}-{number}")
}
