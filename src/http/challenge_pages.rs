//! Pages that an ACME authority asks for (RFC 8555 section 8.3).

use std::fmt;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};

use super::Site;
use super::params::Path;
use super::problem::{Code, Problem};

/// Path of the pages.
pub(super) const PATH: &str = "/.well-known/acme-challenge/{token}";

/// Looks up the content of a page by its token.
type Lookup = dyn Fn(&str) -> Option<String> + Send + Sync;

/// Content of a challenge's page by its token; the composition root knows it.
#[derive(Clone)]
pub struct ChallengePages(Arc<Lookup>);

impl ChallengePages {
    /// `page` returns the content at the moment it is called.
    pub fn new(page: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(page))
    }
}

impl Default for ChallengePages {
    /// No pages.
    fn default() -> Self {
        Self::new(|_| None)
    }
}

impl fmt::Debug for ChallengePages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengePages")
    }
}

/// Answers with the key authorization of an order that is under way.
pub(super) async fn answer(State(site): State<Arc<Site>>, Path(token): Path<String>) -> Response {
    match (site.challenges.0)(&token) {
        Some(page) => ([(header::CONTENT_TYPE, "application/octet-stream")], page).into_response(),
        None => Problem::from(Code::NotFound).into_response(),
    }
}
