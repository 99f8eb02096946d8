//! ChannelBind (RFC 8656 section 12).

use super::allocation::BindRefused;
use super::request::{Outcome, Request};
use super::{Effect, Relay};
use crate::wire::{ErrorCode, Response};

impl Relay {
    /// Binds or refreshes a channel and its permission, after the checks of section 12.2.
    ///
    /// # Errors
    /// 400, 403, 437, 443 or 508.
    pub(super) fn channel_bind(&mut self, request: &Request<'_, '_>) -> Outcome {
        let attributes = request.message.attributes();
        let id = request.allocation()?;
        let allocation = self.table.get_mut(id).ok_or(ErrorCode::AllocationMismatch)?;
        let number = attributes.channel_number()?.ok_or(ErrorCode::BadRequest)?;
        let address = attributes.peer_address()?.ok_or(ErrorCode::BadRequest)?;
        if !allocation.has_family_of(address.ip()) {
            return Err(ErrorCode::PeerAddressFamilyMismatch);
        }
        let peer = self.shared.peer(address).map_err(|_| ErrorCode::Forbidden)?;
        let now = request.now.mono;
        if !allocation.has_room_for(&[address.ip()]) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        let is_new = allocation.bind(now, number, peer).map_err(|refused| match refused {
            BindRefused::Taken => ErrorCode::BadRequest,
            BindRefused::Full => ErrorCode::InsufficientCapacity,
        })?;
        allocation.permit(now, address.ip());
        if is_new {
            self.effects.push_back(Effect::ChannelBound { allocation: id, number, peer });
        }
        self.prune(request.now, id);
        self.publish(id);
        Ok(Some(Response::success(request.message.head())))
    }
}
