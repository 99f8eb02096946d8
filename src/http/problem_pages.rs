//! Addresses of problems: the `type` of a problem object, and the page that it leads to.

use axum::extract::Request;
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use byway_turn::closed_set::ClosedSet as _;

use super::params::Path;
use super::problem::{Code, Problem};
use super::target::prefix;

/// Puts the `type` of a problem below the prefix that a trusted proxy publishes this server at.
pub(super) async fn below_prefix(request: Request, next: Next) -> Response {
    let prefix = prefix(request.headers());
    let mut response = next.run(request).await;
    if prefix != "/"
        && let Some(problem) = response.extensions().get::<Problem>()
    {
        *response.body_mut() = problem.body(&prefix).into_response().into_body();
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    response
}

/// `GET /problems/{code}`: the sentence of a code.
pub(super) async fn page(Path(name): Path<String>) -> Result<String, Problem> {
    let code = Code::ALL.iter().find(|code| code.label() == name).ok_or(Code::NotFound)?;
    Ok(format!("{name} ({})\n\n{}\n", code.status(), code.sentence()))
}
