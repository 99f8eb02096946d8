//! The messages of PeerJS as `peerjs-server` 1.x has them on its WebSocket. Pure: text in, values
//! out.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use byway_turn::auth::Secrets;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use crate::signaling::protocol::{ErrorCode, Text, Topic, object};

/// The one key there is: PeerJS's own default, which it no longer asks anybody for.
pub const KEY: &str = "peerjs";

/// Id that a client chooses: 1 to 128 characters, none of them a control character. PeerJS allows
/// itself fewer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "Cow<'_, str>", into = "String")]
pub struct PeerId(Arc<str>);

impl PeerId {
    /// The longest id, in characters.
    pub const MAX_CHARS: usize = 128;

    /// Checks an id.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=Self::MAX_CHARS).contains(&id.chars().take(Self::MAX_CHARS + 1).count());
        (fits && !id.chars().any(char::is_control)).then(|| Self(id.into()))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Cow<'_, str>> for PeerId {
    type Error = &'static str;

    fn try_from(id: Cow<'_, str>) -> Result<Self, &'static str> {
        Self::new(&id).ok_or("An id is 1 to 128 characters without control characters.")
    }
}

impl From<PeerId> for String {
    fn from(id: PeerId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// Token by which a client takes its id back. Only its digest is stored, so that timing reveals
/// neither its length nor its bytes, and memory does not contain it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token([u8; 32]);

impl Token {
    /// Of what a client has sent.
    #[must_use]
    pub fn new(token: &str) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Returns what stands for this token of an id on other nodes. Only a node can compute it, so
    /// that a reader of the bus cannot try out tokens.
    #[must_use]
    pub fn tag(&self, id: &PeerId, secrets: &Secrets) -> String {
        secrets.tag(&self.tagged(id))
    }

    /// Whether `tag` stands for this token under one of the secrets.
    #[must_use]
    pub fn has_tag(&self, id: &PeerId, secrets: &Secrets, tag: &str) -> bool {
        secrets.tags(&self.tagged(id)).any(|own| own == tag)
    }

    fn tagged(&self, id: &PeerId) -> String {
        let digest: String = self.0.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("peerjs\n{digest}\n{}", id.as_str())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(redacted)")
    }
}

/// Reads the id and the token that a client's URL asks for.
///
/// # Errors
/// The refusal to send before the connection is closed.
pub fn asked(
    key: Option<&str>,
    id: Option<&str>,
    token: Option<&str>,
) -> Result<(PeerId, Token), PeerJsRefusal> {
    let given = [key, id, token].map(|field| field.filter(|text| !text.is_empty()));
    let [Some(key), Some(id), Some(token)] = given else { return Err(PeerJsRefusal::INCOMPLETE) };
    if key != KEY {
        return Err(PeerJsRefusal::BAD_KEY);
    }
    Ok((PeerId::new(id).ok_or(PeerJsRefusal::BAD_ID)?, Token::new(token)))
}

/// Message of a client.
#[derive(Debug)]
pub enum PeerJsMessage {
    /// It is there, which any frame shows.
    Heartbeat,
    /// It gives its id back.
    Leave,
    /// Something for another client.
    Pass(Passed),
}

/// Something for another client.
#[derive(Debug)]
pub struct Passed {
    /// Kind of the message.
    pub kind: PeerJsKind,
    /// Receiver.
    pub to: PeerId,
    /// Any JSON value. The server does not inspect it.
    pub payload: Option<Box<RawValue>>,
}

/// Kind of a message that is passed on between clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PeerJsKind {
    /// `OFFER`
    Offer,
    /// `ANSWER`
    Answer,
    /// `CANDIDATE`
    Candidate,
    /// `LEAVE`: the receiver closes its connections to the sender.
    Leave,
    /// `EXPIRE`: a message to the sender has not been delivered.
    Expire,
}

impl PeerJsMessage {
    /// Reads one text frame. A `src` in it counts for nothing.
    ///
    /// # Errors
    /// The code to count it as: the protocol has no answer that a client would survive.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            #[serde(borrow)]
            dst: Option<Cow<'a, str>>,
            payload: Option<Box<RawValue>>,
        }
        let Fields { kind, dst, payload } = object(text)?;
        let kind = match kind.as_ref() {
            "HEARTBEAT" => return Ok(Self::Heartbeat),
            "LEAVE" => PeerJsKind::Leave,
            "OFFER" => PeerJsKind::Offer,
            "ANSWER" => PeerJsKind::Answer,
            "CANDIDATE" => PeerJsKind::Candidate,
            "EXPIRE" => PeerJsKind::Expire,
            _ => return Err(ErrorCode::UnknownType),
        };
        match dst.filter(|dst| !dst.is_empty()) {
            None if kind == PeerJsKind::Leave => Ok(Self::Leave),
            None => Err(ErrorCode::BadMessage),
            Some(dst) => {
                let to = PeerId::new(&dst).ok_or(ErrorCode::NoSuchPeer)?;
                Ok(Self::Pass(Passed { kind, to, payload }))
            }
        }
    }
}

impl Passed {
    /// Returns the message that its receiver gets from the sender `from`.
    #[must_use]
    pub fn text(&self, from: &PeerId) -> Text {
        passed(self.kind, from, &self.to, self.payload.as_deref())
    }
}

/// Message as its receiver gets it, when another node sends it here or gives it back.
#[derive(Debug)]
pub struct OnTheWay {
    /// Sender.
    pub from: PeerId,
    /// Kind and receiver.
    pub message: Passed,
}

impl OnTheWay {
    /// Reads the text of [`Passed::text`].
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Fields {
            r#type: PeerJsKind,
            src: PeerId,
            dst: PeerId,
            payload: Option<Box<RawValue>>,
        }
        let Fields { r#type: kind, src: from, dst: to, payload } = serde_json::from_str(text).ok()?;
        Some(Self { from, message: Passed { kind, to, payload } })
    }

    /// Returns the text again.
    #[must_use]
    pub fn text(&self) -> Text {
        self.message.text(&self.from)
    }
}

/// Notifies `to` that its message to `absent` has expired.
#[must_use]
pub fn expire(absent: &PeerId, to: &PeerId) -> Text {
    passed(PeerJsKind::Expire, absent, to, None)
}

/// Tells a client that it has its id.
#[must_use]
pub fn open() -> Text {
    text(&Told { r#type: "OPEN", payload: None })
}

/// Reason to reject a client, now or later: for PeerJS, the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerJsRefusal {
    /// The id is another's, or the token is not the one it was taken with.
    Taken,
    /// Anything else, in a sentence.
    Error(&'static str),
}

impl PeerJsRefusal {
    /// The URL lacks something.
    pub const INCOMPLETE: Self = Self::Error("No id, token, or key supplied to websocket server");
    /// The key is not [`KEY`].
    pub const BAD_KEY: Self = Self::Error("Invalid key provided");
    /// The id is not a [`PeerId`].
    pub const BAD_ID: Self = Self::Error("An id is 1 to 128 characters without control characters.");
    /// There are as many clients as there may be.
    pub const FULL: Self = Self::Error("Server has reached its concurrent user limit");

    /// The message.
    #[must_use]
    pub fn text(self) -> Text {
        let (r#type, msg) = match self {
            Self::Taken => ("ID-TAKEN", "ID is taken"),
            Self::Error(msg) => ("ERROR", msg),
        };
        text(&Told { r#type, payload: Some(Reason { msg }) })
    }
}

#[derive(Serialize)]
struct Told {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Reason>,
}

#[derive(Serialize)]
struct Reason {
    msg: &'static str,
}

fn passed(kind: PeerJsKind, from: &PeerId, to: &PeerId, payload: Option<&RawValue>) -> Text {
    #[derive(Serialize)]
    struct Message<'a> {
        r#type: PeerJsKind,
        src: &'a str,
        dst: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        payload: Option<&'a RawValue>,
    }
    text(&Message { r#type: kind, src: from.as_str(), dst: to.as_str(), payload })
}

fn text(message: &impl Serialize) -> Text {
    let json = serde_json::to_string(message).expect("strings and checked raw values always serialise");
    Text { json: json.into(), topic: Topic::Other }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(id: &str) -> PeerId {
        PeerId::new(id).unwrap()
    }

    #[test]
    fn the_server_says_who_it_was_and_passes_the_payload_byte_for_byte() {
        let frame =
            r#"{"type":"OFFER","src":"eve","payload":{ "sdp":"\u0041é", "n":1.0 },"dst":"bob","more":1}"#;
        let PeerJsMessage::Pass(message) = PeerJsMessage::parse(frame).unwrap() else { unreachable!() };
        let text = message.text(&id("ann"));
        let expected = r#"{"type":"OFFER","src":"ann","dst":"bob","payload":{ "sdp":"\u0041é", "n":1.0 }}"#;
        assert_eq!(&*text.json, expected);
    }

    #[test]
    fn what_another_node_passes_on_is_the_same_text() {
        let text = r#"{"type":"OFFER","src":"ann","dst":"bob","payload":{ "sdp":"\u0041é", "n":1.0 }}"#;
        assert_eq!(&*OnTheWay::read(text).unwrap().text().json, text);
        let bare = r#"{"type":"LEAVE","src":"ann","dst":"bob"}"#;
        assert_eq!(&*OnTheWay::read(bare).unwrap().text().json, bare);
        for forged in [
            r#"{"type":"OPEN","src":"ann","dst":"bob"}"#,
            r#"{"type":"OFFER","src":"","dst":"bob"}"#,
            r#"{"type":"OFFER","src":"ann","dst":"a\nb"}"#,
            r#"{"type":"OFFER","dst":"bob"}"#,
            r#"["OFFER"]"#,
        ] {
            assert!(OnTheWay::read(forged).is_none(), "{forged}");
        }
    }

    #[test]
    fn a_token_is_known_on_another_node_by_its_tag_alone() {
        let secrets = |all: &[&str]| Secrets::new(all).unwrap();
        let (token, ann) = (Token::new("north"), id("ann"));
        let tag = token.tag(&ann, &secrets(&["old"]));
        assert!(token.has_tag(&ann, &secrets(&["new", "old"]), &tag));
        assert!(!token.has_tag(&ann, &secrets(&["new"]), &tag));
        assert!(!token.has_tag(&id("bob"), &secrets(&["old"]), &tag));
        assert!(!Token::new("south").has_tag(&ann, &secrets(&["old"]), &tag));
    }

    #[test]
    fn what_clients_say() {
        let kind = |text: &str| match PeerJsMessage::parse(text).unwrap() {
            PeerJsMessage::Pass(Passed { kind, .. }) => Some(kind),
            PeerJsMessage::Heartbeat | PeerJsMessage::Leave => None,
        };
        assert!(matches!(PeerJsMessage::parse(r#"{"type":"HEARTBEAT"}"#), Ok(PeerJsMessage::Heartbeat)));
        for leave in [r#"{"type":"LEAVE"}"#, r#"{"type":"LEAVE","dst":""}"#, r#"{"type":"LEAVE","dst":null}"#]
        {
            assert!(matches!(PeerJsMessage::parse(leave), Ok(PeerJsMessage::Leave)), "{leave}");
        }
        assert_eq!(kind(r#"{"type":"LEAVE","dst":"bob"}"#), Some(PeerJsKind::Leave));
        assert_eq!(kind(r#"{"type":"CANDIDATE","dst":"bob","payload":[]}"#), Some(PeerJsKind::Candidate));
        for (text, code) in [
            ("", ErrorCode::BadMessage),
            (r#"["HEARTBEAT"]"#, ErrorCode::BadMessage),
            (r#"{"dst":"bob"}"#, ErrorCode::BadMessage),
            (r#"{"type":"OFFER","payload":1}"#, ErrorCode::BadMessage),
            (r#"{"type":"OFFER","dst":7}"#, ErrorCode::BadMessage),
            (r#"{"type":"OPEN","dst":"bob"}"#, ErrorCode::UnknownType),
            (r#"{"type":"OFFER","dst":"\u0000"}"#, ErrorCode::NoSuchPeer),
        ] {
            assert_eq!(PeerJsMessage::parse(text).err(), Some(code), "{text}");
        }
        assert!(PeerId::new(&"é".repeat(128)).is_some() && PeerId::new(&"é".repeat(129)).is_none());
    }

    #[test]
    fn what_the_server_says() {
        for (text, expected) in [
            (open(), r#"{"type":"OPEN"}"#),
            (expire(&id("bob"), &id("ann")), r#"{"type":"EXPIRE","src":"bob","dst":"ann"}"#),
            (PeerJsRefusal::Taken.text(), r#"{"type":"ID-TAKEN","payload":{"msg":"ID is taken"}}"#),
            (PeerJsRefusal::BAD_KEY.text(), r#"{"type":"ERROR","payload":{"msg":"Invalid key provided"}}"#),
        ] {
            assert_eq!(&*text.json, expected);
        }
    }

    #[test]
    fn what_a_url_asks_for() {
        assert!(asked(Some("peerjs"), Some("ann"), Some("t")).is_ok());
        for (key, id, token, refusal) in [
            (None, Some("ann"), Some("t"), PeerJsRefusal::INCOMPLETE),
            (Some("peerjs"), Some(""), Some("t"), PeerJsRefusal::INCOMPLETE),
            (Some("peerjs"), Some("ann"), None, PeerJsRefusal::INCOMPLETE),
            (Some("other"), Some("ann"), Some("t"), PeerJsRefusal::BAD_KEY),
            (Some("peerjs"), Some("a\nn"), Some("t"), PeerJsRefusal::BAD_ID),
        ] {
            assert_eq!(asked(key, id, token).unwrap_err(), refusal);
        }
    }

    #[test]
    fn a_token_reaches_no_log() {
        assert_eq!(format!("{:?}", Token::new("north")), "Token(redacted)");
        assert!(Token::new("north") == Token::new("north") && Token::new("north") != Token::new("north "));
    }
}
