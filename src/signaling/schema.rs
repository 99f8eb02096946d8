//! The protocol as a JSON Schema (draft 2020-12), made from the types that speak it. Pure.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use byway_turn::closed_set::ClosedSet;

use super::protocol::{
    ByeCode, ClientMessage, DisplayName, ErrorCode, MemberIdText, RoomName, Secret, ServerMessage,
};

/// Path at which the schema is served.
pub const PATH: &str = "/schema/byway.v1.json";

/// The schema of one text frame, of either side; `ClientMessage` and `ServerMessage` are among its
/// definitions.
#[must_use]
pub fn schema() -> Value {
    let mut generator = SchemaGenerator::default();
    let any_of = [generator.subschema_for::<ClientMessage>(), generator.subschema_for::<ServerMessage>()];
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": PATH,
        "title": "byway.v1",
        "description": "One text frame of the signaling. Unknown fields are to be ignored.",
        "anyOf": any_of,
        "$defs": generator.take_definitions(true),
    })
}

fn labels<C: ClosedSet>() -> Vec<&'static str> {
    C::ALL.iter().map(|value| value.label()).collect()
}

/// A type that is a text on the wire, and its name in the schema.
macro_rules! text {
    ($type:ident, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

text!(MemberIdText, "MemberId", { "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" });
text!(RoomName, "RoomName", { "type": "string", "minLength": 1, "maxLength": RoomName::MAX_CHARS });
// A client's empty name counts as absent.
text!(DisplayName, "DisplayName", { "type": "string", "maxLength": DisplayName::MAX_CHARS });
text!(Secret, "Secret", { "type": "string" });
text!(ErrorCode, "ErrorCode", { "type": "string", "enum": labels::<ErrorCode>() });
text!(ByeCode, "ByeCode", { "type": "string", "enum": labels::<ByeCode>() });
