//! What a request says by name, in its query or as a form. Among it are keys: nothing here is ever logged.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{self, FromRequestParts};
use axum::http::header;
use axum::http::request::Parts;
use byway_turn::auth::is_name;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Code, Problem};

/// Bytes of a body. What is asked for here takes a few hundred.
pub(super) const LONGEST_BODY: u16 = 4 * 1024;

/// Time for a body, from its head to its end.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// What stands in the place of the names in a path's pattern. One that is not UTF-8 is a problem like any other.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(head, state).await;
        path.map(|extract::Path(names)| Self(names)).map_err(|_| bad("The path is not UTF-8."))
    }
}

/// The fields of a request, each once.
#[derive(Default)]
pub(super) struct Fields(Vec<(String, String)>);

/// What a program asks for itself.
#[derive(Default)]
pub(super) struct Wish {
    /// The name in the credential.
    pub(super) name: Option<String>,
    /// How long it is to be good for.
    pub(super) ttl: Option<Duration>,
}

impl Fields {
    /// Those of the query.
    pub(super) fn of_query(head: &Parts) -> Result<Self, Problem> {
        let mut fields = Self::default();
        fields.take(head.uri.query().unwrap_or_default().as_bytes())?;
        Ok(fields)
    }

    /// Adds those of the body, where it is a form. A field may come in both places if it says the same: Janus sends all of
    /// them twice.
    pub(super) async fn add_form(&mut self, head: &Parts, body: Body) -> Result<(), Problem> {
        if is_form(head) { self.take(&bounded(body).await?) } else { Ok(()) }
    }

    /// One of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn take(&mut self, text: &[u8]) -> Result<(), Problem> {
        for (name, value) in form_urlencoded::parse(text) {
            match self.get(&name) {
                None => self.0.push((name.into_owned(), value.into_owned())),
                Some(before) if before == value => {}
                // Of two, one is checked and the other is used: not here.
                Some(_) => return Err(bad("A field comes twice and says two things.")),
            }
        }
        Ok(())
    }
}

impl Wish {
    /// Checks what was asked for.
    ///
    /// # Errors
    /// 400 with a sentence.
    pub(super) fn new(name: Option<&str>, ttl: Option<&str>) -> Result<Self, Problem> {
        let ttl = ttl.map(|ttl| ttl.parse().map_err(|_| bad("A ttl is a number of seconds."))).transpose()?;
        Ok(Self { name: name.map(checked_name).transpose()?, ttl: ttl.map(lifetime).transpose()? })
    }
}

/// A name for a credential, as `byway credential` would take it.
pub(super) fn checked_name(name: &str) -> Result<String, Problem> {
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(bad("A name has 1 to 256 bytes and no control characters.")),
    }
}

/// A lifetime. What is too long is cut where it is used, and the answer says to what.
pub(super) fn lifetime(seconds: u64) -> Result<Duration, Problem> {
    match seconds {
        0 => Err(bad("A ttl is at least one second.")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// The body as JSON, whatever it says of itself: `curl -d` calls everything a form.
pub(super) async fn json<T: DeserializeOwned>(body: Body) -> Result<T, Problem> {
    // What serde says of a value may quote it: a name, a number, never a key, which has no place in a body.
    serde_json::from_slice(&bounded(body).await?).map_err(|error| {
        Problem::new(Code::BadRequest, format!("The body is not the JSON object of this path: {error}."))
    })
}

pub(super) fn bad(detail: &'static str) -> Problem {
    Problem::new(Code::BadRequest, detail)
}

/// Whether the body of a request has fields.
pub(super) fn is_form(head: &Parts) -> bool {
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn bounded(body: Body) -> Result<Vec<u8>, Problem> {
    let read = async {
        let mut chunks = body.into_data_stream();
        let mut read = Vec::new();
        while let Some(chunk) = chunks.next().await {
            // An error is a connection that broke, which reads no answer.
            let chunk = chunk.map_err(|_| bad("The body has no end."))?;
            if read.len() + chunk.len() > LONGEST_BODY.into() {
                return Err(Code::TooLarge.into());
            }
            // Copied: a chunk may be a few bytes of a large buffer, which would be kept for them.
            read.extend_from_slice(&chunk);
        }
        Ok(read)
    };
    timeout(BODY_WITHIN, read).await.unwrap_or(Err(Code::BodyTooSlow.into()))
}
