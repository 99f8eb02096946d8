//! Requests of `byway top`, on a thread of their own: a server that hangs delays no key.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::screen::{Answer, Removal};
use super::views::{Content, View};
use crate::cli::running_server::{AdminListener, Unanswered, escaped};
use crate::http::admin::status::STATUS;

/// Items of a list that are requested.
const LISTED: usize = 1_000;

/// Cause where a page does not exist.
const NOTHING: &str = "the server has nothing to show here";

fn no_timeline() -> Unanswered {
    Unanswered {
        cause: "there is no timeline of this room".to_owned(),
        remedy: "choose a call of view 4: timelines are kept for an hour after the call",
    }
}

/// Request to the thread.
pub(super) enum Request {
    /// The state of the server, and what a view shows.
    Show(View),
    /// A removal.
    Remove(Removal),
}

/// Answer of the thread.
pub(super) enum Reply {
    /// To [`Request::Show`].
    Shown(Box<Result<Answer, Unanswered>>),
    /// To [`Request::Remove`].
    Removed(Removal, Result<u16, Unanswered>),
}

/// Server that is asked.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) listener: AdminListener,
    /// Whether lists have the addresses of clients.
    pub(super) has_addresses: bool,
}

impl Source {
    /// Starts the thread. It ends with the sender of its requests.
    pub(super) fn begin(self, reply: impl Fn(Reply) + Send + 'static) -> io::Result<Sender<Request>> {
        let (sender, requests) = channel();
        thread::Builder::new().name("requests".to_owned()).spawn(move || self.serve(&requests, reply))?;
        Ok(sender)
    }

    fn serve(&self, requests: &Receiver<Request>, reply: impl Fn(Reply)) {
        for request in requests {
            reply(match request {
                Request::Show(view) => Reply::Shown(Box::new(self.show(view))),
                Request::Remove(removal) => {
                    let outcome = self.listener.delete(&removal.path);
                    Reply::Removed(removal, outcome)
                }
            });
        }
    }

    fn show(&self, view: View) -> Result<Answer, Unanswered> {
        let status = self.read(STATUS)?;
        let content = self.content(&view);
        Ok(Answer { view, status, content })
    }

    fn content(&self, view: &View) -> Result<Content, Unanswered> {
        let path = self.path(view);
        Ok(match view {
            View::Allocations => Content::Allocations(self.read(&path)?),
            View::Rooms => Content::Rooms(self.read(&path)?),
            View::Users => Content::Users(self.read(&path)?),
            View::Calls => Content::Calls(self.read(&path)?),
            View::Timeline(_) => Content::Timeline(self.read(&path).map_err(|reason| match reason {
                Unanswered { cause, .. } if cause == NOTHING => no_timeline(),
                reason => reason,
            })?),
        })
    }

    fn path(&self, view: &View) -> String {
        match view {
            View::Allocations => {
                let addresses = if self.has_addresses { "&addresses=1" } else { "" };
                format!("/allocations?limit={LISTED}{addresses}")
            }
            View::Rooms => format!("/rooms?limit={LISTED}"),
            View::Users => format!("/usage?limit={LISTED}"),
            View::Calls => "/timelines".to_owned(),
            View::Timeline(room) => format!("/timelines/{}", escaped(room)),
        }
    }

    /// Requests a page of JSON.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<T, Unanswered> {
        let (status, body) = self.listener.get(path)?;
        let unreadable = || Unanswered {
            cause: "the answer is not that of this version".to_owned(),
            remedy: "restart the server, so that it has the version of this command",
        };
        match status {
            200 => serde_json::from_slice(&body).map_err(|_| unreadable()),
            404 => Err(Unanswered {
                cause: NOTHING.to_owned(),
                remedy: "if the server is older than this command, restart it",
            }),
            421 => Err(Unanswered {
                cause: "the server does not answer for this host".to_owned(),
                remedy: "list it in http.hosts",
            }),
            status => Err(Unanswered {
                cause: format!("the server answered {status}"),
                remedy: "see the server's log",
            }),
        }
    }

    /// Everything once, as the server says it. What it does not say is null.
    ///
    /// # Errors
    /// There is no state of the server.
    pub(super) fn all(&self) -> Result<Value, Unanswered> {
        let status: Value = self.read(STATUS)?;
        let [allocations, rooms, usage, calls] =
            View::ALL.map(|view| self.read::<Value>(&self.path(&view)).unwrap_or_default());
        Ok(json!({
            "status": status, "allocations": allocations, "rooms": rooms, "usage": usage, "calls": calls,
        }))
    }
}
