//! Extractors of the caller. Each charges the rate limiter before it checks credentials, as
//! [`crate::access`] requires.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Site;
use super::authorization::proof;
use super::client_ip::ClientIp;
use super::origin::Asker;
use super::params::Params;
use super::problem::Problem;
use crate::access::grant::Rights;
use crate::access::{Caller, Inviter};

/// Caller with an API key. No page of another origin is one: such a page has no business with the
/// key.
pub(super) struct Program;

/// Caller whose protocol has no place for a join token.
pub(super) struct WithoutToken;

/// Caller with a token of any kind.
pub(super) struct Bearer {
    pub(super) rights: Rights,
    /// End of the token, in seconds since 1970-01-01 UTC.
    pub(super) end: u64,
}

/// Caller that may invite. Pages of other origins are refused, as for `Program`.
impl FromRequestParts<Arc<Site>> for Inviter {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        Asker::of(site, head)?;
        let proof = proof(&head.headers, None);
        Ok(site.access.load().inviter(site.clock.now(), ClientIp::in_head(head), &proof)?)
    }
}

/// Pages of other origins are refused, as for `Program`.
impl FromRequestParts<Arc<Site>> for Bearer {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        Asker::of(site, head)?;
        let proof = proof(&head.headers, None);
        let (rights, end) = site.access.load().bearer(site.clock.now(), ClientIp::in_head(head), &proof)?;
        Ok(Self { rights, end })
    }
}

/// Caller that may have credentials. Behind the `cors` layer, which checks origins.
impl FromRequestParts<Arc<Site>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        let now = site.clock.now();
        let access = site.access.load();
        access.charge_newcomer(now, ClientIp::in_head(head))?;
        // A query that contradicts itself is refused before any proof is checked.
        Params::of_query(head)?;
        Ok(access.caller(now, &proof(&head.headers, None))?)
    }
}

impl Program {
    /// Admits a program. `key` is the field that a convention has for an API key.
    ///
    /// # Errors
    /// 401, 403 or 429. Not 503: a backend has to be able to remove members while calls go on.
    pub(super) fn admit(site: &Site, head: &Parts, key: Option<&str>) -> Result<Self, Problem> {
        Asker::of(site, head)?;
        site.access.load().program(site.clock.now(), ClientIp::in_head(head), &proof(&head.headers, key))?;
        Ok(Self)
    }
}

impl FromRequestParts<Arc<Site>> for Program {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        Self::admit(site, head, None)
    }
}

impl FromRequestParts<Arc<Site>> for WithoutToken {
    type Rejection = Problem;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Problem> {
        site.access.load().without_token(site.clock.now(), ClientIp::in_head(head))?;
        Ok(Self)
    }
}
