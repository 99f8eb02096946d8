//! Refresh (RFC 8656 section 8).

use std::time::Duration;

use super::Relay;
use super::allocate::granted_lifetime;
use super::allocation::MAX_ALLOCATION_AGE;
use super::request::{Outcome, Request};
use crate::wire::{AddressFamily, ErrorCode, Response};

impl Relay {
    /// Prolongs an allocation, or ends it at LIFETIME 0.
    pub(super) fn refresh(&mut self, request: &Request<'_, '_>) -> Outcome {
        let attributes = request.message.attributes();
        let id = request.allocation()?;
        let allocation = self.table.get_mut(id).ok_or(ErrorCode::AllocationMismatch)?;
        // Section 8.2: a family that is not the allocation's is 443.
        if let Some(family) = attributes.requested_address_family()?
            && family != Some(AddressFamily::of(allocation.relayed.ip()))
        {
            return Err(ErrorCode::PeerAddressFamilyMismatch);
        }
        let response = Response::success(request.message.head());
        let requested = attributes.lifetime()?;
        if requested == Some(Duration::ZERO) {
            self.end(request.now, id);
            return Ok(Some(response.lifetime(Duration::ZERO)));
        }
        let now = request.now.mono;
        let last = allocation.began + MAX_ALLOCATION_AGE;
        let lifetime = granted_lifetime(requested).min(last.saturating_sub(now));
        allocation.expires = now + lifetime;
        self.prune(request.now, id);
        self.publish(id);
        Ok(Some(response.lifetime(lifetime)))
    }
}
