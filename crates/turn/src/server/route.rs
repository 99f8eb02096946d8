//! Relay-to-relay traffic: the data that a shard needs to deliver to the client of an allocation,
//! perhaps of another shard.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::FiveTuple;
use super::accounting::Delivered;
use super::bandwidth::Bandwidth;
use crate::wire::ChannelNumber;

/// Allocation as seen from the relay ports of the same server. It is published again after every
/// change, and read without a lock for every datagram.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// 5-tuple of the allocation.
    pub(super) five_tuple: FiveTuple,
    /// Relay addresses of this server that the client permits as peers, and the end of each
    /// permission. Mostly there is one, and two while the relay moves from one address to another.
    pub(super) permitted: Box<[(IpAddr, Duration)]>,
    /// Bandwidth cap, if there is one.
    pub(super) bandwidth: Option<Arc<Bandwidth>>,
    /// Counter of what is delivered.
    pub(super) delivered: Arc<Delivered>,
    /// Channels bound to relay ports of this server.
    pub(super) channels: Box<[RouteChannel]>,
}

/// Channel bound to a peer that is itself a relay port of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteChannel {
    pub(super) peer: SocketAddr,
    pub(super) number: ChannelNumber,
    pub(super) until: Duration,
}

impl Route {
    /// Whether the client permits datagrams from a relay port of this server at `ip`.
    pub(super) fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.permitted.iter().any(|(permitted, until)| *permitted == ip && now < *until)
    }

    /// Charges `bytes` to the bandwidth cap; false if the client may not receive them.
    pub(super) fn may_receive(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_client(now, bytes))
    }

    /// Returns the channel that the client has bound to `peer`, if there is one.
    pub(super) fn channel(&self, now: Duration, peer: SocketAddr) -> Option<ChannelNumber> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && now < channel.until)
            .map(|channel| channel.number)
    }
}

/// Routes of one relay address, by port.
pub(super) struct Routes {
    low: u16,
    by_port: Box<[ArcSwapOption<Route>]>,
}

impl Routes {
    pub(super) fn new(ports: RangeInclusive<u16>) -> Self {
        Self { low: *ports.start(), by_port: ports.map(|_| ArcSwapOption::empty()).collect() }
    }

    /// Publishes the route of a port; `None` removes it.
    pub(super) fn publish(&self, port: u16, route: Option<Route>) {
        if let Some(slot) = self.slot(port) {
            slot.store(route.map(Arc::new));
        }
    }

    /// Returns the route of a port. The inner `None` means a port without an allocation, the outer
    /// one a port out of range.
    pub(super) fn get(&self, port: u16) -> Option<Guard<Option<Arc<Route>>>> {
        self.slot(port).map(ArcSwapOption::load)
    }

    /// Whether the port belongs to a live allocation.
    pub(super) fn is_live(&self, port: u16) -> bool {
        self.get(port).is_some_and(|route| route.is_some())
    }

    fn slot(&self, port: u16) -> Option<&ArcSwapOption<Route>> {
        self.by_port.get(usize::from(port.checked_sub(self.low)?))
    }
}
