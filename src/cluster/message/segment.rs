//! Part of the stream of items from one node to another.
//!
//! | field | meaning |
//! |---|---|
//! | `to` | name of the receiver |
//! | `to_run` | run of the receiver, as the sender knows it |
//! | `stream` | number of the sender's stream to the receiver, from 1 |
//! | `first` | number of the first item in its stream, from 1; absent from a mere acknowledgement |
//! | `items` | items, any JSON, passed on byte for byte |
//! | `ack` | `stream` of the receiver, and number `n` of the last item of it that came |

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use super::{Rejection, hexadecimal, object};
use crate::access::names::NodeName;

/// Segment of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Segment {
    /// Receiver.
    pub to: NodeName,
    /// Run of the receiver. Another process of that name ignores the segment.
    #[serde(serialize_with = "as_hexadecimal")]
    pub to_run: u64,
    /// Number of the stream. A higher one has replaced all before it.
    pub stream: u64,
    /// Number of the first item. 0: nothing here needs an acknowledgement.
    #[serde(skip_serializing_if = "is_zero")]
    pub first: u64,
    /// Items.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Acknowledgement of the stream in the other direction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<Ack>,
}

/// Acknowledgement of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Number of the stream. If it is above that of the sender's stream, the receiver takes no item
    /// before that stream begins.
    pub stream: u64,
    /// Number of the last item that came; 0: none did.
    pub n: u64,
}

/// Item of a stream: JSON that is passed on byte for byte. Clones share it.
#[derive(Clone)]
pub struct Item(Arc<RawValue>);

impl Item {
    /// Length of its JSON, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.0.get().len()
    }

    /// Returns its JSON.
    #[must_use]
    pub fn json(&self) -> &RawValue {
        &self.0
    }

    /// Returns a copy of its JSON.
    #[must_use]
    pub fn into_json(self) -> Box<RawValue> {
        (*self.0).to_owned()
    }
}

impl From<Box<RawValue>> for Item {
    fn from(json: Box<RawValue>) -> Self {
        Self(json.into())
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Item {}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.get())
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// Reads the segment of a message.
pub(super) fn read(json: &str) -> Result<Segment, Rejection> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        to: NodeName,
        #[serde(deserialize_with = "hexadecimal")]
        to_run: u64,
        stream: u64,
        #[serde(default)]
        first: u64,
        #[serde(default, borrow)]
        items: Vec<&'a RawValue>,
        #[serde(default)]
        ack: Option<Ack>,
    }
    let Fields { to, to_run, stream, first, items, ack } = object(json)?;
    let items: Vec<Item> = items.into_iter().map(|item| item.to_owned().into()).collect();
    let last = first.checked_add(items.len() as u64);
    if stream == 0 || last.is_none() || (first == 0 && !items.is_empty()) {
        return Err(Rejection::Malformed);
    }
    Ok(Segment { to, to_run, stream, first, items, ack })
}

fn as_hexadecimal<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}
