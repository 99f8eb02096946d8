//! Media path: Send indications and ChannelData from clients, datagrams from peers (RFC 8656
//! sections 11 and 12).
//!
//! Nothing here allocates, locks or copies a payload.

use std::net::SocketAddr;

use super::allocation::Allocation;
use super::shared::CachedView;
use super::{Action, AllocationId, DropReason, FiveTuple, Peer, Relay, RelayId, Transport};
use crate::time::Now;
use crate::wire::{AddressFamily, ChannelData, ChannelNumber, Encapsulation, Message, Span};

/// State of the media path beside the allocations.
pub(super) struct Delivery {
    /// Address view for datagrams. Requests and other infrequent work read
    /// [`Shared`](super::Shared).
    pub(super) view: CachedView,
    /// Counter for the transaction IDs of Data indications; its start is random.
    indications: u128,
}

impl Relay {
    /// Sends ChannelData to the peer of its channel (section 12.6).
    pub(super) fn channel_data(&mut self, now: Now, five_tuple: FiveTuple, datagram: &[u8]) -> Action {
        let Some(message) = ChannelData::parse(datagram) else { return Action::Drop(DropReason::Malformed) };
        let Some((id, allocation)) = self.table.unexpired(now, &five_tuple) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let action = self.delivery.channel_data(now, id, allocation, &message);
        allocation.usage.count_from_client(&action, message.payload.len());
        action
    }

    /// Sends the DATA of a Send indication to its peer, if a permission exists (section 11.2).
    pub(super) fn send_indication(
        &mut self,
        now: Now,
        five_tuple: FiveTuple,
        message: &Message<'_>,
    ) -> Action {
        let Some((id, allocation)) = self.table.unexpired(now, &five_tuple) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let payload = message.attributes().data();
        let action = self.delivery.send_indication(now, id, allocation, message, payload);
        allocation.usage.count_from_client(&action, payload.map_or(0, Span::len));
        action
    }

    /// Handles a datagram of `length` bytes from a peer at a relay socket. If permitted, it goes to
    /// the client, on a channel if one is bound (sections 11.3 and 12.7).
    pub fn peer_datagram(&mut self, now: Now, relay: RelayId, source: SocketAddr, length: usize) -> Action {
        let Some(allocation) = self.table.living(now, relay) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        let action = self.delivery.peer_datagram(now, allocation, source, length);
        allocation.usage.count_from_peer(&action, length);
        action
    }
}

impl Delivery {
    pub(super) fn new(view: CachedView, indications: u128) -> Self {
        Self { view, indications }
    }

    #[inline]
    fn channel_data(
        &mut self,
        now: Now,
        id: AllocationId,
        allocation: &Allocation,
        message: &ChannelData,
    ) -> Action {
        let Some(channel) = allocation.channel(now.mono, message.number) else {
            return Action::Drop(DropReason::NoChannel);
        };
        let peer = channel.peer;
        let Some(from) = allocation.relayed_towards(now.mono, peer.address().ip()) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        if !allocation.may_send(now.mono, message.payload.len()) {
            return Action::Drop(DropReason::Bandwidth);
        }
        self.send_on(now, id, from, peer, message.payload, false)
    }

    #[inline]
    fn send_indication(
        &mut self,
        now: Now,
        id: AllocationId,
        allocation: &Allocation,
        message: &Message<'_>,
        payload: Option<Span>,
    ) -> Action {
        let attributes = message.attributes();
        let (Ok(Some(address)), Some(payload), Ok(dont_fragment)) =
            (attributes.peer_address(), payload, attributes.dont_fragment())
        else {
            return Action::Drop(DropReason::Malformed);
        };
        // RFC 8489 section 6.3.2: discard it if a comprehension-required attribute is unknown.
        if attributes.unknown_required().next().is_some() {
            return Action::Drop(DropReason::Malformed);
        }
        if !allocation.permits(now.mono, address.ip()) {
            return Action::Drop(DropReason::NoPermission);
        }
        let Ok(peer) = self.view.load().peer(address) else { return Action::Drop(DropReason::PeerDenied) };
        let Some(from) = allocation.relayed_towards(now.mono, address.ip()) else {
            return Action::Drop(DropReason::NoAllocation);
        };
        if !allocation.may_send(now.mono, payload.len()) {
            return Action::Drop(DropReason::Bandwidth);
        }
        let dont_fragment = dont_fragment && heeds_dont_fragment(allocation.five_tuple, address);
        self.send_on(now, id, from, peer, payload, dont_fragment)
    }

    #[inline]
    fn peer_datagram(
        &mut self,
        now: Now,
        allocation: &Allocation,
        source: SocketAddr,
        length: usize,
    ) -> Action {
        if !allocation.permits(now.mono, source.ip()) {
            return Action::Drop(DropReason::NoPermission);
        }
        // Flow label and scope are not part of a transport address here.
        let source = SocketAddr::new(source.ip(), source.port());
        let channel = allocation.channel_to(now.mono, source);
        // The peer policy accepted a channel's peer when the channel was bound; `enforce` ends the
        // channel if the policy changes. Datagrams from a relay port of this server are delivered
        // in memory, so one that comes through a socket can only be forged.
        let is_through = channel.is_some_and(|channel| !channel.peer.is_own_relay());
        if !is_through && self.view.load().peer(source).ok().is_none_or(Peer::is_own_relay) {
            return Action::Drop(DropReason::PeerDenied);
        }
        if !allocation.may_receive(now.mono, length) {
            return Action::Drop(DropReason::Bandwidth);
        }
        let (five_tuple, channel) = (allocation.five_tuple, channel.map(|channel| channel.number));
        self.deliver(five_tuple, channel, source, Span { start: 0, end: length })
    }

    /// Sends through the relay socket. If the peer is a relay port of this server, hands the
    /// payload straight to the client behind that port.
    fn send_on(
        &mut self,
        now: Now,
        id: AllocationId,
        from: SocketAddr,
        peer: Peer,
        payload: Span,
        dont_fragment: bool,
    ) -> Action {
        if !peer.is_own_relay() {
            let relay = RelayId { allocation: id, family: AddressFamily::of(from.ip()) };
            return Action::ToPeer { relay, peer, payload, dont_fragment };
        }
        let Some(route) = self.view.load().route(peer.address()) else {
            return Action::Drop(DropReason::RelayGone);
        };
        let Some(route) = route.as_ref() else { return Action::Drop(DropReason::RelayGone) };
        if !route.permits(now.mono, from.ip()) {
            return Action::Drop(DropReason::NoPermission);
        }
        if !route.may_receive(now.mono, payload.len()) {
            return Action::Drop(DropReason::Bandwidth);
        }
        let (five_tuple, channel) = (route.five_tuple, route.channel(now.mono, from));
        let delivered = self.deliver(five_tuple, channel, from, payload);
        if !matches!(delivered, Action::Drop(_)) {
            route.delivered.add(payload.len());
        }
        delivered
    }

    fn deliver(
        &mut self,
        five_tuple: FiveTuple,
        channel: Option<ChannelNumber>,
        peer: SocketAddr,
        payload: Span,
    ) -> Action {
        let encapsulation = match channel {
            Some(number) => Encapsulation::Channel(number),
            None => Encapsulation::Data { peer, transaction: self.next_indication() },
        };
        if !encapsulation.fits(payload.len()) {
            return Action::Drop(DropReason::TooLong);
        }
        Action::ToClient { five_tuple, encapsulation, payload }
    }

    pub(super) fn next_indication(&mut self) -> [u8; 12] {
        self.indications = self.indications.wrapping_add(1);
        self.indications.to_be_bytes().last_chunk().copied().unwrap_or_default()
    }
}

/// Whether DONT-FRAGMENT applies between this client and peer. It applies from IPv4 to IPv4
/// (section 14) and from a stream to either family (section 15). It MUST be ignored where one side
/// is IPv6 and the other a datagram (section 13).
fn heeds_dont_fragment(five_tuple: FiveTuple, peer: SocketAddr) -> bool {
    match five_tuple.transport {
        Transport::Udp(_) => five_tuple.client.is_ipv4() && peer.is_ipv4(),
        Transport::Stream(_) => true,
    }
}
