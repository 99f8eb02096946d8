//! Issue of credentials: their name and lifetime.
//!
//! An unauthenticated caller gets a name that the server chooses. Its own choice could be another
//! user's name, and the relay's quotas count by name. A program with an API key knows its
//! users, and may choose.
//!
//! The region of a credential's relay is, in this order, the one that a program wishes for, that of
//! the caller's join token, that of the client as a trusted proxy tells it, and the one that the
//! client asks for.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Site;
use super::client_region::ClientRegion;
use super::params::Wish;
use super::target::Target;
use crate::access::Caller;
use crate::access::names::Region;
use crate::ice::{ClientView, Host, Offer};

/// Issuer of credentials for the host that a request was sent to, and the region that it came from.
pub(super) struct Issuer {
    site: Arc<Site>,
    host: Option<Host>,
    region: Option<Region>,
}

impl FromRequestParts<Arc<Site>> for Issuer {
    type Rejection = Infallible;

    async fn from_request_parts(head: &mut Parts, site: &Arc<Site>) -> Result<Self, Infallible> {
        let host = Target::in_head(head).ok().map(|target| target.host().clone());
        Ok(Self { site: site.clone(), host, region: ClientRegion::in_head(head) })
    }
}

impl Issuer {
    /// Issues a fresh offer to `caller`. Only a program gets what it wishes for.
    pub(super) fn offer(&self, caller: &Caller, wish: Wish) -> Offer {
        let site = &self.site;
        site.counters.credentials.add(1);
        let (name, ttl, wished) = match caller {
            Caller::Stranger => (site.random.token128(), None, None),
            Caller::Guest(grant) => {
                let room = site.ice.label(site.access.load().policy, grant.room.as_str());
                (self.one_of(&room), None, grant.region.as_ref())
            }
            Caller::Program => {
                (wish.name.unwrap_or_else(|| site.random.token128()), wish.ttl, wish.region.as_ref())
            }
        };
        let client = ClientView { host: self.host.as_ref(), region: wished.or(self.region.as_ref()) };
        site.ice.offer(site.clock.now(), client, &name, ttl)
    }

    /// Returns a fresh name without any meaning.
    pub(super) fn name(&self) -> String {
        self.site.random.token128()
    }

    /// Returns a name that belongs to `whole` and to one credential alone. It is shorter than a
    /// member's, so that the two are never taken for each other.
    pub(super) fn one_of(&self, whole: &str) -> String {
        format!("{whole}.{}", self.site.random.token96())
    }
}
