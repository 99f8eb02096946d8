//! `lifetimeDuration`: AppRTC's name for the lifetime of an ICE configuration. Its clients and
//! Google's service behind them use it. The other fields of `/ice` are the same.

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
