//! CreatePermission (RFC 8656 section 10).

use std::net::IpAddr;

use super::Relay;
use super::request::{Outcome, Request};
use crate::wire::{AttributeError, ErrorCode, Response};

impl Relay {
    /// Begins or refreshes permissions for every XOR-PEER-ADDRESS, or, if one of them cannot be, for none.
    pub(super) fn create_permission(&mut self, request: &Request<'_, '_>) -> Outcome {
        let id = request.allocation()?;
        let allocation = self.table.get_mut(id).ok_or(ErrorCode::AllocationMismatch)?;
        let addresses = request.message.attributes().peer_addresses();
        let peers: Vec<IpAddr> = addresses
            .map(|address| address.map(|address| address.ip()))
            .collect::<Result<_, AttributeError>>()?;
        if peers.is_empty() {
            return Err(ErrorCode::BadRequest);
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
