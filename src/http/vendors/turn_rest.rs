//! `/turn`: the REST draft (draft-uberti-behave-turn-rest-00), as Janus, `mediasoup` demos and many
//! others ask.

use std::sync::Arc;

use axum::Router;
use axum::extract::{FromRequest, Request};
use axum::routing::get;

use crate::access::{Caller, Proof};
use crate::http::authorization::proof;
use crate::http::client_ip::ClientIp;
use crate::http::issue::Issuer;
use crate::http::params::{Params, bad, is_form};
use crate::http::problem::Problem;
use crate::http::{Site, cors};
use crate::ice::TurnCredential;

/// Fields of the API key: `key` by the draft's last version, `api` by Janus until it learned of
/// that.
const KEY_FIELDS: [&str; 2] = ["key", "api"];

pub(super) fn router(site: &Arc<Site>) -> Router<Arc<Site>> {
    Router::new().route("/turn", cors::for_pages(site, get(turn).post(turn).options(cors::preflight)))
}

async fn turn(
    issuer: Issuer,
    Keyed { caller, params }: Keyed,
) -> Result<axum::Json<TurnCredential>, Problem> {
    let offer = issuer.offer(&caller, params.wish(&caller)?);
    match params.get("service") {
        None | Some("turn") => Ok(axum::Json(offer.into())),
        Some(_) => Err(bad("The one service here is `turn`.")),
    }
}

/// Caller whose API key may be in its query or in its form, with the fields of both.
struct Keyed {
    caller: Caller,
    params: Params,
}

impl FromRequest<Arc<Site>> for Keyed {
    type Rejection = Problem;

    async fn from_request(request: Request, site: &Arc<Site>) -> Result<Self, Problem> {
        let (head, body) = request.into_parts();
        let now = site.clock.now();
        let access = site.access.load();
        access.charge_newcomer(now, ClientIp::in_head(&head))?;
        let mut params = Params::of_query(&head)?;
        let caller = |params: &Params| {
            let key = KEY_FIELDS.iter().find_map(|name| params.get(name));
            access.caller(now, &proof(&head.headers, key))
        };
        // No body of a refused caller is read, unless its key may be there.
        let has_no_proof = |params: &Params| {
            let key = KEY_FIELDS.iter().find_map(|name| params.get(name));
            proof(&head.headers, key) == Proof::None
        };
        if !(is_form(&head) && has_no_proof(&params)) {
            caller(&params)?;
        }
        params.add_form(&head, body).await?;
        Ok(Self { caller: caller(&params)?, params })
    }
}
