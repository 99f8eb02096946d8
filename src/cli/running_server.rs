//! Requests to the running server, through the Unix socket of its admin listener.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::http::admin::{SIGNING, SigningAnswer, SigningTags};
use crate::server::secrets::signing_tags;

/// Longest wait for an answer. A reload reads files, which a slow file system may delay.
const PATIENCE: Duration = Duration::from_secs(60);

/// Bytes of an answer that are read: far more than any has.
const LONGEST: u64 = 1 << 20;

/// Remedy for a user that may not use the server's Unix socket.
pub(super) const AS_ROOT: &str = "run this as root or as the server's user";

/// Sends one request to the server behind a socket, and returns the status and the answer.
///
/// # Errors
/// No server listens there, or it does not answer. [`io::ErrorKind::PermissionDenied`] if this user
/// may not ask.
pub(super) fn ask<T: DeserializeOwned>(
    socket: &Path,
    path: &str,
    question: &impl Serialize,
) -> io::Result<(u16, T)> {
    let stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let body = serde_json::to_string(question).map_err(io::Error::other)?;
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let (answer, outcome) = exchange(stream, &request, LONGEST);
    let (status, body) = parse(&answer)
        .ok_or_else(|| outcome.err().unwrap_or_else(|| io::Error::other("the server sent no answer")))?;
    if status == 403 {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    let answer = serde_json::from_slice(body);
    Ok((status, answer.map_err(|_| io::Error::other(format!("the server answered {status}")))?))
}

/// Sends a request and reads up to `longest` bytes, until the server closes. Returns all that came,
/// and the first error: a server that refuses this user closes the connection early, and its answer
/// says so.
pub(super) fn exchange(
    mut stream: impl Read + Write,
    request: &str,
    longest: u64,
) -> (Vec<u8>, io::Result<()>) {
    let sent = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let read = stream.take(longest).read_to_end(&mut answer);
    (answer, sent.and(read.map(drop)))
}

/// Splits an answer into its status and its body.
fn parse(answer: &[u8]) -> Option<(u16, &[u8])> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = str::from_utf8(&answer[..end]).ok()?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some((status, &answer[end + 4..]))
}

/// Secret that a command signs with.
#[derive(Clone, Copy)]
pub(super) enum Signs {
    Credentials,
    Tokens,
}

/// Warns if a server runs that does not know the secret which `config` signs with. Without a server
/// or a socket it is silent.
pub(super) fn warn_unless_known(config: &Config, signs: Signs) {
    let all = signing_tags(config);
    let first = |tags: Vec<String>| tags.into_iter().take(1).collect();
    let (question, what) = match signs {
        Signs::Credentials => {
            (SigningTags { credentials: first(all.credentials), tokens: Vec::new() }, "credential")
        }
        Signs::Tokens => (SigningTags { credentials: Vec::new(), tokens: first(all.tokens) }, "invitation"),
    };
    let mut answers = config.listen.admin_sockets.iter().filter_map(|socket| {
        ask::<SigningAnswer>(socket, SIGNING, &question).ok().map(|(_, answer)| answer.known)
    });
    if answers.next() == Some(false) {
        // Whether it can be told or not, the answer is on stdout.
        let _ = writeln!(
            io::stderr(),
            "the running server refuses this {what}: it does not know the secret or the realm of this configuration\n  \
             remedy: run `byway reload`"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_none() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"), Some((200, b"{}".as_slice())));
        for cut in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 2\r\n\r\n"] {
            assert_eq!(parse(cut.as_bytes()), None, "{cut}");
        }
    }
}
