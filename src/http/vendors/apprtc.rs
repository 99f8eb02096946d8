//! `lifetimeDuration`: what AppRTC's clients, and Google's own service behind them, call the
//! lifetime of an ICE configuration. Beside what `/ice` says anyway, the rest of which they share.

use serde::Serialize;

use crate::ice::{IceConfiguration, Offer};

/// The answer of `/ice`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::http) struct Configuration {
    #[serde(flatten)]
    configuration: IceConfiguration,
    /// As protocol buffers write a duration: `600s`.
    lifetime_duration: String,
}

impl From<Offer> for Configuration {
    fn from(offer: Offer) -> Self {
        Self { lifetime_duration: format!("{}s", offer.ttl), configuration: offer.into() }
    }
}
