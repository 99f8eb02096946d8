//! Parameters of a request, in its query, its form, its path or its JSON body. Keys are among them:
//! nothing here is ever logged.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{self, FromRequest, FromRequestParts, Request};
use axum::http::header;
use axum::http::request::Parts;
use byway_turn::auth::is_name;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::problem::{Code, Problem};
use crate::access::Caller;
use crate::access::names::Region;

/// Bytes of a body. What is asked for here takes a few hundred.
pub(super) const LONGEST_BODY: u16 = 4 * 1024;

/// Time for a body, from its head to its end.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Names in the path. One that is not UTF-8 is a problem like any other.
pub(super) struct Path<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = extract::Path::from_request_parts(head, state).await;
        path.map(|extract::Path(names)| Self(names)).map_err(|_| bad("The path is not UTF-8."))
    }
}

/// Fields of a request's query and form, each once.
#[derive(Default)]
pub(super) struct Params(Vec<(String, String)>);

/// Body as JSON, whatever its media type: `curl -d` calls everything a form.
pub(super) struct JsonBody<T>(pub(super) T);

/// Name, lifetime and region that a program asks for.
#[derive(Default)]
pub(super) struct Wish {
    /// The name in the credential.
    pub(super) name: Option<String>,
    /// The lifetime of the credential.
    pub(super) ttl: Option<Duration>,
    /// The region of the relay.
    pub(super) region: Option<Region>,
}

/// Reads the query, and the form of a caller that was not refused: the extractor of the caller
/// comes first.
impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let mut params = Self::of_query(&head)?;
        params.add_form(&head, body).await?;
        Ok(params)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let body = bounded(request.into_body()).await?;
        // serde may quote a value of the body: a name, a number, never a key, which has no place
        // there.
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let detail = format!("The body is not the JSON object of this path: {error}.");
            Problem::new(Code::BadRequest, detail)
        })
    }
}

impl Params {
    /// Reads the query.
    pub(super) fn of_query(head: &Parts) -> Result<Self, Problem> {
        let mut params = Self::default();
        params.take(head.uri.query().unwrap_or_default().as_bytes())?;
        Ok(params)
    }

    /// Adds the fields of the body, if it is a form. A field may be in both places with one value:
    /// Janus sends all of them twice.
    pub(super) async fn add_form(&mut self, head: &Parts, body: Body) -> Result<(), Problem> {
        if is_form(head) { self.take(&bounded(body).await?) } else { Ok(()) }
    }

    /// Returns one of them.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the wish of a caller. Only a program has one.
    pub(super) fn wish(&self, caller: &Caller) -> Result<Wish, Problem> {
        match caller {
            Caller::Program => {
                let region = self.get("region").filter(|region| !region.is_empty()).map(str::parse);
                let region = region.transpose().map_err(bad)?;
                Ok(Wish { region, ..Wish::new(self.get("username"), self.get("ttl"))? })
            }
            Caller::Stranger | Caller::Guest(_) => Ok(Wish::default()),
        }
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
    /// Checks a name and a lifetime in seconds.
    ///
    /// # Errors
    /// 400 with a sentence.
    pub(super) fn new(name: Option<&str>, ttl: Option<&str>) -> Result<Self, Problem> {
        let ttl = ttl.map(|ttl| ttl.parse().map_err(|_| bad("A ttl is a number of seconds."))).transpose()?;
        let (name, ttl) = (name.map(checked_name).transpose()?, ttl.map(lifetime).transpose()?);
        Ok(Self { name, ttl, region: None })
    }
}

/// Checks the name of a credential, by the rule of `byway credential`.
pub(super) fn checked_name(name: &str) -> Result<String, Problem> {
    match is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(bad("A name has 1 to 256 bytes and no control characters.")),
    }
}

/// Checks a lifetime. A longer one is limited when the credential is issued, and the answer has
/// the actual one.
pub(super) fn lifetime(seconds: u64) -> Result<Duration, Problem> {
    match seconds {
        0 => Err(bad("A ttl is at least one second.")),
        seconds => Ok(Duration::from_secs(seconds)),
    }
}

/// A bad request, with a sentence about what is wrong.
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
