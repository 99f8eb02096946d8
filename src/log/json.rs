//! An event as one JSON object: timestamp, level, message, fields and target.
//!
//! The JSON format of `tracing-subscriber` puts the message among the fields, and reports the
//! events of the `log` crate under the target `log`.

use std::error::Error;
use std::fmt::{Debug, Write as _};

use serde::Serialize;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

/// Returns an event as a line without its end.
pub(super) fn event(event: &Event<'_>) -> String {
    let mut content = Content::default();
    event.record(&mut content);
    let metadata = event.metadata();
    let target = content.target.take();
    line(*metadata.level(), target.as_deref().unwrap_or(metadata.target()), &content)
}

/// Returns a message that comes from no event.
pub(super) fn message(level: Level, target: &str, text: &str) -> String {
    line(level, target, &Content { message: text.to_owned(), ..Content::default() })
}

/// The object, with its keys in this order.
#[derive(Serialize)]
struct Object<'a> {
    /// RFC 3339 with microseconds, in UTC.
    timestamp: String,
    level: &'a str,
    message: &'a str,
    fields: &'a Map<String, Value>,
    target: &'a str,
}

fn line(level: Level, target: &str, content: &Content) -> String {
    let mut timestamp = String::new();
    // Without a timestamp the line is still of use.
    let _ = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let Content { message, fields, .. } = content;
    let object = Object { timestamp, level: level.as_str(), message, fields, target };
    serde_json::to_string(&object).expect("strings and numbers are JSON")
}

/// Content of an event.
#[derive(Default)]
struct Content {
    message: String,
    fields: Map<String, Value>,
    /// Target of an event of the `log` crate, which comes as a field.
    target: Option<String>,
}

impl Content {
    fn put(&mut self, field: &Field, value: Value) {
        match field.name() {
            "message" => {
                self.message = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            }
            "log.target" => self.target = value.as_str().map(str::to_owned),
            "log.module_path" | "log.file" | "log.line" => {}
            name => {
                self.fields.insert(name.trim_start_matches("r#").to_owned(), value);
            }
        }
    }
}

impl Visit for Content {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.put(field, value.to_string().into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = String::new();
        // A value whose `Debug` fails keeps what it has written.
        let _ = write!(text, "{value:?}");
        self.put(field, text.into());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    use super::*;

    /// Layer that keeps each event as a line.
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl<S: tracing::Subscriber> Layer<S> for Lines {
        fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
            self.0.lock().unwrap().push(super::event(event));
        }
    }

    #[test]
    fn an_event_is_one_line_with_its_fields_by_their_types() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let subscriber = tracing_subscriber::registry().with(Lines(lines.clone()));
        tracing::subscriber::with_default(subscriber, || {
            let error = std::io::Error::other("a \"quoted\" cause");
            tracing::warn!(%error, count = 3, good = false, ratio = f64::NAN, name = ?Some(1), "two\nlines");
            tracing::info!("plain");
        });
        let lines = lines.lock().unwrap();
        assert!(lines.iter().all(|line| !line.contains('\n')), "{lines:?}");
        let objects: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects[0]["message"], "two\nlines");
        assert_eq!(objects[0]["level"], "WARN");
        assert_eq!(objects[0]["target"], "byway::log::json::tests");
        let fields = serde_json::json!({
            "error": "a \"quoted\" cause", "count": 3, "good": false, "ratio": null, "name": "Some(1)"
        });
        assert_eq!(objects[0]["fields"], fields);
        assert_eq!(
            (&objects[1]["message"], &objects[1]["fields"]),
            (&"plain".into(), &serde_json::json!({}))
        );
        let timestamp = objects[1]["timestamp"].as_str().unwrap();
        assert!(timestamp.len() == 27 && timestamp.ends_with('Z'), "{timestamp}");
    }
}
