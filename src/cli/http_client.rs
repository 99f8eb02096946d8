//! One HTTP/1.1 request of a command, within bounds: a hostile server can neither delay the command
//! beyond the deadline nor make it store more than the limit. Redirects are reported, never
//! followed.

use std::fmt;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderName, Request, Response, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use byway_turn::auth::Secret;
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use sha1::{Digest as _, Sha1};
use tokio::time::timeout;

use crate::diagnosis::front_door::{Answer, Opening};

use super::probe::error::ProbeError;
use super::probe::server_path::ServerPath;

/// Deadline of a request, from the connection to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bytes of a body that are kept: more than the call page has. The rest is not read.
const LONGEST: usize = 2 << 20;

/// Key of the WebSocket handshake. Its accepting value is checked, so that a cached answer counts
/// as none. It needs no randomness, because no data follows.
const KEY: &str = "Ynl3YXkgZG9jdG9yISEhIQ==";

/// Constant of RFC 6455 section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Error of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HttpError {
    /// The connection failed.
    Path(ProbeError),
    /// The answer is not HTTP, or ended early.
    Odd(String),
    /// No answer before the deadline.
    Silent,
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(error) => error.fmt(f),
            Self::Odd(error) => write!(f, "no usable answer: {error}"),
            Self::Silent => write!(f, "no answer within {} s", PATIENCE.as_secs()),
        }
    }
}

/// Sends `GET` for `path` to the host of `authority`, as a page of `origin` if one is given.
pub(super) async fn get(
    road: &ServerPath,
    authority: &str,
    path: &str,
    origin: Option<&str>,
) -> Result<Answer, HttpError> {
    get_with(road, authority, path, origin, None).await
}

/// Does the same as [`get`], with a join token if one is given.
pub(super) async fn get_with(
    road: &ServerPath,
    authority: &str,
    path: &str,
    origin: Option<&str>,
    token: Option<&Secret>,
) -> Result<Answer, HttpError> {
    let bearer = token.map(|token| format!("Bearer {}", AsRef::<str>::as_ref(token)));
    let origin = origin.map(|origin| (header::ORIGIN, origin));
    let bearer = bearer.as_ref().map(|bearer| (header::AUTHORIZATION, bearer.as_str()));
    let fields: Vec<_> = origin.into_iter().chain(bearer).collect();
    within(async {
        let answer = send(road, authority, path, &fields).await?;
        Ok(read(answer).await)
    })
    .await
}

/// Performs the handshake of a WebSocket, and closes it.
pub(super) async fn open_websocket(
    road: &ServerPath,
    authority: &str,
    path: &str,
    origin: &str,
    subprotocol: &str,
) -> Result<Opening, HttpError> {
    let fields = [
        (header::ORIGIN, origin),
        (header::CONNECTION, "Upgrade"),
        (header::UPGRADE, "websocket"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
        (header::SEC_WEBSOCKET_KEY, KEY),
        (header::SEC_WEBSOCKET_PROTOCOL, subprotocol),
    ];
    within(async {
        let answer = send(road, authority, path, &fields).await?;
        if answer.status() != 101 {
            return Ok(Opening::Refused(read(answer).await));
        }
        let accepted = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        let expected = STANDARD.encode(Sha1::digest(format!("{KEY}{GUID}")));
        let is_ours = accepted.is_some_and(|accepted| *accepted == *expected);
        Ok(if is_ours { Opening::Open } else { Opening::NotWebSocket })
    })
    .await
}

async fn within<T>(work: impl Future<Output = Result<T, HttpError>>) -> Result<T, HttpError> {
    timeout(PATIENCE, work).await.unwrap_or(Err(HttpError::Silent))
}

async fn send(
    road: &ServerPath,
    authority: &str,
    path: &str,
    fields: &[(HeaderName, &str)],
) -> Result<Response<Incoming>, HttpError> {
    let odd = |error: &dyn fmt::Display| HttpError::Odd(error.to_string());
    let (stream, _) = road.stream().await.map_err(HttpError::Path)?;
    let (mut client, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| odd(&error))?;
    // It ends with the client or with the server. The client reports the latter.
    tokio::spawn(connection);
    let mut request = Request::get(path).header(header::HOST, authority);
    for (name, value) in fields {
        request = request.header(name, *value);
    }
    let request = request.body(Body::empty()).map_err(|error| odd(&error))?;
    client.send_request(request).await.map_err(|error| odd(&error))
}

/// Reads an answer up to the limit. A body that breaks off counts as far as it came.
async fn read(answer: Response<Incoming>) -> Answer {
    let (head, body) = answer.into_parts();
    let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
    let date = field(header::DATE).and_then(unix_time);
    let location = field(header::LOCATION).map(|location| location.chars().take(200).collect());
    let mut parts = Body::new(body).into_data_stream();
    let mut bytes = Vec::new();
    while let Some(Ok(part)) = parts.next().await {
        let room = LONGEST - bytes.len();
        bytes.extend_from_slice(&part[..part.len().min(room)]);
        if part.len() >= room {
            break;
        }
    }
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: head.status.as_u16(), date, location, body }
}

/// Parses an HTTP date (RFC 9110 section 5.6.7) of the preferred form, such as
/// `Sun, 06 Nov 1994 08:49:37 GMT`, as seconds since 1970.
pub(super) fn unix_time(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = date.split_once(", ")?;
    let words: Vec<&str> = rest.split(' ').collect();
    let [day, month, year, time, "GMT"] = words[..] else { return None };
    let month = 1 + MONTHS.iter().position(|name| *name == month)?;
    let valid = day.len() == 2 && year.len() == 4 && time.len() == 8;
    let stamp = format!("{year}-{month:02}-{day}T{time}Z");
    let parsed = humantime::parse_rfc3339(&stamp).ok().filter(|_| valid)?;
    Some(parsed.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seconds_since_1970() {
        assert_eq!(unix_time("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        for other in ["", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 CET", "x, 1 2 3 4 GMT"]
        {
            assert_eq!(unix_time(other), None, "{other}");
        }
        assert_eq!(unix_time("Sun, 99 Nov 1994 08:49:37 GMT"), None);
        assert_eq!(unix_time("Sun, 06 Nov 1969 08:49:37 GMT"), None);
    }
}
