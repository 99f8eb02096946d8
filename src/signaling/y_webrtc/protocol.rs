//! The messages of y-webrtc as its `bin/server.js` has them. Pure: text in, values out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::signaling::protocol::{ErrorCode, RoomName, Text, Topic, object};

/// Message of a client.
#[derive(Debug)]
pub enum YWebrtcMessage {
    /// Subscribes to these topics.
    Subscribe(Vec<RoomName>),
    /// No longer.
    Unsubscribe(Vec<RoomName>),
    /// Message to all subscribers.
    Publish(Publication),
    /// Asks for a `pong`.
    Ping,
}

/// Message to all subscribers.
#[derive(Debug)]
pub struct Publication {
    /// To what.
    pub topic: RoomName,
    /// Anything; never looked into.
    pub data: Option<Box<RawValue>>,
}

impl YWebrtcMessage {
    /// Reads one text frame. A topic is named as a room is.
    ///
    /// # Errors
    /// The code to answer with.
    pub fn parse(text: &str) -> Result<Self, ErrorCode> {
        #[derive(Deserialize)]
        struct Fields<'a> {
            #[serde(borrow, rename = "type")]
            kind: Cow<'a, str>,
            topics: Option<Vec<String>>,
            topic: Option<String>,
            data: Option<Box<RawValue>>,
        }
        let Fields { kind, topics, topic, data } = object(text)?;
        let name = |name| RoomName::new(name).ok_or(ErrorCode::BadRoom);
        let names = || topics.unwrap_or_default().into_iter().map(name).collect::<Result<_, _>>();
        match kind.as_ref() {
            "subscribe" => Ok(Self::Subscribe(names()?)),
            "unsubscribe" => Ok(Self::Unsubscribe(names()?)),
            "publish" => {
                Ok(Self::Publish(Publication { topic: name(topic.ok_or(ErrorCode::BadMessage)?)?, data }))
            }
            "ping" => Ok(Self::Ping),
            _ => Err(ErrorCode::UnknownType),
        }
    }
}

impl Publication {
    /// Returns the message that each of this number of `clients` gets.
    #[must_use]
    pub fn text(&self, clients: usize) -> Text {
        #[derive(Serialize)]
        struct Message<'a> {
            r#type: &'static str,
            topic: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a RawValue>,
            clients: usize,
        }
        let Self { topic, data } = self;
        let message = Message { r#type: "publish", topic: topic.as_str(), data: data.as_deref(), clients };
        let json = serde_json::to_string(&message).expect("strings and checked raw values always serialise");
        Text { json: json.into(), topic: Topic::Other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_passed_byte_for_byte() {
        let frame =
            r#"{"type":"publish","topic":"te\u0061","data":{ "from":"\u0061" },"clients":99,"more":1}"#;
        let Ok(YWebrtcMessage::Publish(publication)) = YWebrtcMessage::parse(frame) else { unreachable!() };
        let expected = r#"{"type":"publish","topic":"tea","data":{ "from":"\u0061" },"clients":2}"#;
        assert_eq!(&*publication.text(2).json, expected);
    }

    #[test]
    fn what_clients_say() {
        let many = YWebrtcMessage::parse(r#"{"type":"subscribe","topics":["tea","oak"]}"#);
        assert!(matches!(many, Ok(YWebrtcMessage::Subscribe(topics)) if topics.len() == 2));
        let none = YWebrtcMessage::parse(r#"{"type":"unsubscribe"}"#);
        assert!(matches!(none, Ok(YWebrtcMessage::Unsubscribe(topics)) if topics.is_empty()));
        assert!(matches!(YWebrtcMessage::parse(r#"{"type":"ping"}"#), Ok(YWebrtcMessage::Ping)));
        let long = "x".repeat(RoomName::MAX_CHARS + 1);
        for (text, code) in [
            ("", ErrorCode::BadMessage),
            (r#"["ping"]"#, ErrorCode::BadMessage),
            (r#"{"type":"subscribe","topics":"tea"}"#, ErrorCode::BadMessage),
            (r#"{"type":"subscribe","topics":[7]}"#, ErrorCode::BadMessage),
            (r#"{"type":"subscribe","topics":["tea",""]}"#, ErrorCode::BadRoom),
            (&format!(r#"{{"type":"subscribe","topics":["{long}"]}}"#), ErrorCode::BadRoom),
            (r#"{"type":"publish","data":1}"#, ErrorCode::BadMessage),
            (r#"{"type":"publish","topic":"\n"}"#, ErrorCode::BadRoom),
            (r#"{"type":"pong"}"#, ErrorCode::UnknownType),
        ] {
            assert_eq!(YWebrtcMessage::parse(text).err(), Some(code), "{text}");
        }
    }
}
