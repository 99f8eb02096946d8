//! Credentials handed out: to whom, under which name, and how the answer is marked.
//!
//! Whoever asks without proof of who they are gets a name of our choice. One they chose could be someone else's, and
//! the relay's quotas count by name. A program with an API key knows whom it asks for, and may choose.

use axum::extract::Request;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::Site;
use super::access::Caller;
use super::origin::Asker;
use super::params::{Fields, Wish, is_form};
use super::problem::{Code, Problem};
use super::target::Target;
use crate::ice::Offer;

impl Site {
    /// Answers with an offer whoever may have one: a page of ours or a listed origin, or any program. `key` names the
    /// fields in which a convention has its API key.
    pub(super) async fn offer_to_anyone<T: IntoResponse>(
        &self,
        request: Request,
        key: &[&str],
        answer: impl FnOnce(Offer, &Fields) -> Result<T, Problem>,
    ) -> Response {
        let (head, body) = request.into_parts();
        self.for_pages(&head, async || {
            let now = self.clock.now();
            self.access.let_in(now, &head)?;
            let mut fields = Fields::of_query(&head)?;
            let caller_of = |fields: &Fields| {
                self.access.caller(now, &head, key.iter().find_map(|name| fields.get(name)))
            };
            // A body is read of nobody who is refused; but the key of a convention may be in it.
            let may_be_in_body = !key.is_empty() && is_form(&head);
            if let Err(problem) = caller_of(&fields)
                && !(may_be_in_body && problem.is(Code::TokenRequired))
            {
                return Err(problem);
            }
            fields.add_form(&head, body).await?;
            let caller = caller_of(&fields)?;
            let wish = match caller {
                Caller::Program => Wish::new(fields.get("username"), fields.get("ttl"))?,
                Caller::Stranger | Caller::Guest(_) => Wish::default(),
            };
            answer(self.offer(&head, &caller, wish), &fields)
        })
        .await
    }

    /// The answer to a page of an origin that may ask, with what lets it read the answer.
    pub(super) async fn for_pages<T: IntoResponse>(
        &self,
        head: &Parts,
        answer: impl AsyncFnOnce() -> Result<T, Problem>,
    ) -> Response {
        let asker = Target::in_head(head).and_then(|target| self.origins.check(target, &head.headers));
        let mut response = match &asker {
            Ok(_) => answer().await.into_response(),
            Err(problem) => problem.clone().into_response(),
        };
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if let Ok(Asker::Listed(origin)) = asker {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            let beyond_the_safelist = HeaderValue::from_static("link, retry-after");
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, beyond_the_safelist);
        }
        response
    }

    /// The answer to a program with an API key. No page of another origin reads it: it has no business with such a key.
    pub(super) async fn for_programs<T: IntoResponse>(
        &self,
        head: &Parts,
        key: Option<&str>,
        answer: impl AsyncFnOnce() -> Result<T, Problem>,
    ) -> Response {
        let let_in = || {
            self.origins.check(Target::in_head(head)?, &head.headers)?;
            self.access.program(self.clock.now(), head, key)
        };
        let mut response = match let_in() {
            Ok(()) => answer().await.into_response(),
            Err(problem) => problem.into_response(),
        };
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// A fresh offer to `caller`. Only a program is given what it wishes for.
    pub(super) fn offer(&self, head: &Parts, caller: &Caller, wish: Wish) -> Offer {
        self.counters.credentials.add(1);
        let (name, ttl) = match caller {
            Caller::Stranger => (self.random.token128(), None),
            Caller::Guest(grant) => {
                let room = self.ice.label(self.access.policy, grant.room.as_str());
                (self.one_of(&room), None)
            }
            Caller::Program => (wish.name.unwrap_or_else(|| self.random.token128()), wish.ttl),
        };
        let host = Target::in_head(head).ok().map(Target::host);
        self.ice.offer(self.clock.now(), host, &name, ttl)
    }

    /// A name that belongs to `whole` and to one credential alone. It is shorter than a member's, so that the two are never
    /// taken for each other.
    pub(super) fn one_of(&self, whole: &str) -> String {
        format!("{whole}.{}", self.random.token96())
    }
}
