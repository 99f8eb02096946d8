//! Refresh (RFC 8656 section 8).

use std::time::Duration;

use super::accounting::EndCause;
use super::allocate::granted_lifetime;
use super::allocation::MAX_ALLOCATION_AGE;
use super::request::{Outcome, Request};
use super::{Relay, RelayId};
use crate::wire::{AddressFamily, ErrorCode, Response};

impl Relay {
    /// Extends an allocation, or ends it at LIFETIME 0. In a dual allocation
    /// REQUESTED-ADDRESS-FAMILY selects one relayed transport address; without it the request is
    /// about both (section 8.1).
    ///
    /// # Errors
    /// 400, 437 or 443.
    pub(super) fn refresh(&mut self, request: &Request<'_, '_>) -> Outcome {
        let attributes = request.message.attributes();
        let id = request.allocation()?;
        let allocation = self.table.get_mut(id).ok_or(ErrorCode::AllocationMismatch)?;
        let requested = attributes.requested_address_family()?;
        let is_meant = |family| requested.is_none_or(|requested| requested == Some(family));
        let meant = AddressFamily::ALL.into_iter().filter(|family| is_meant(*family));
        // Section 8.2: 443 if the allocation does not have the requested family.
        if meant.clone().all(|family| allocation.relayed.get(family).is_none()) {
            return Err(ErrorCode::PeerAddressFamilyMismatch);
        }
        let response = Response::success(request.message.head());
        let lifetime = attributes.lifetime()?;
        if lifetime == Some(Duration::ZERO) {
            for family in meant {
                self.end(request.now, RelayId { allocation: id, family }, EndCause::Deleted);
            }
            return Ok(Some(response.lifetime(Duration::ZERO)));
        }
        let now = request.now.mono;
        let last = allocation.began + MAX_ALLOCATION_AGE;
        let lifetime = granted_lifetime(lifetime).min(last.saturating_sub(now));
        for family in meant {
            if let Some(relayed) = allocation.relayed.get_mut(family) {
                relayed.expires = now + lifetime;
            }
        }
        self.prune(request.now, id);
        self.publish(id);
        Ok(Some(response.lifetime(lifetime)))
    }
}
