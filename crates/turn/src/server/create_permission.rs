//! CreatePermission (RFC 8656 section 10).

use std::net::IpAddr;

use super::request::{Outcome, Request};
use super::{MAX_PERMISSIONS, Relay};
use crate::wire::{AttributeError, ErrorCode, Response};

impl Relay {
    /// Installs or refreshes a permission for every XOR-PEER-ADDRESS, or for none if one of them is
    /// rejected (section 10.2).
    ///
    /// # Errors
    /// 400, 403, 437, 443 or 508.
    pub(super) fn create_permission(&mut self, request: &Request<'_, '_>) -> Outcome {
        let id = request.allocation()?;
        let allocation = self.table.get_mut(id).ok_or(ErrorCode::AllocationMismatch)?;
        // One more than the limit is enough to reject them.
        let addresses = request.message.attributes().peer_addresses().take(MAX_PERMISSIONS + 1);
        let peers: Vec<IpAddr> = addresses
            .map(|address| address.map(|address| address.ip()))
            .collect::<Result<_, AttributeError>>()?;
        match peers.len() {
            0 => return Err(ErrorCode::BadRequest),
            1..=MAX_PERMISSIONS => {}
            _ => return Err(ErrorCode::InsufficientCapacity),
        }
        for &ip in &peers {
            if !allocation.has_family_of(ip) {
                return Err(ErrorCode::PeerAddressFamilyMismatch);
            }
            self.shared.permission(ip).map_err(|_| ErrorCode::Forbidden)?;
        }
        if !allocation.has_room_for(&peers) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        for &ip in &peers {
            allocation.permit(request.now.mono, ip);
        }
        self.prune(request.now, id);
        self.publish(id);
        Ok(Some(Response::success(request.message.head())))
    }
}
