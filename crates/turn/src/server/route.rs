//! Relay-to-relay traffic: what a shard must know of an allocation, perhaps another shard's, to
//! deliver to its client.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};

use super::FiveTuple;
use super::bandwidth::Bandwidth;
use crate::wire::ChannelNumber;

/// An allocation as seen from the relay ports of the same server. Published anew whenever it
/// changes, read without a lock for every datagram.
#[derive(Clone, Debug)]
pub(super) struct Route {
    /// Whose client.
    pub(super) five_tuple: FiveTuple,
    /// Until when this client permits peers at each of the server's relay addresses. Mostly that is
    /// one; two while the relay moves from one to another.
    pub(super) permitted: Box<[(IpAddr, Duration)]>,
    /// Its cap, if there is one.
    pub(super) bandwidth: Option<Arc<Bandwidth>>,
    /// The channels that it has bound to such peers.
    pub(super) channels: Box<[RouteChannel]>,
}

/// A channel bound to a peer that is itself a relay port of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RouteChannel {
    pub(super) peer: SocketAddr,
    pub(super) number: ChannelNumber,
    pub(super) until: Duration,
}

impl Route {
    /// Whether the client takes datagrams from a relay port of this server at `ip`.
    pub(super) fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.permitted.iter().any(|(permitted, until)| *permitted == ip && now < *until)
    }

    /// Whether its client may be sent so many bytes more.
    pub(super) fn may_receive(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_client(now, bytes))
    }

    /// The channel on which it takes them from `peer`, if it has bound one.
    pub(super) fn channel(&self, now: Duration, peer: SocketAddr) -> Option<ChannelNumber> {
        self.channels
            .iter()
            .find(|channel| channel.peer == peer && now < channel.until)
            .map(|channel| channel.number)
    }
}

/// The routes of one relay address, by port.
pub(super) struct Routes {
    low: u16,
    by_port: Box<[ArcSwapOption<Route>]>,
}

impl Routes {
    pub(super) fn new(ports: RangeInclusive<u16>) -> Self {
        Self { low: *ports.start(), by_port: ports.map(|_| ArcSwapOption::empty()).collect() }
    }

    /// Publishes the route of a port, or that it has none any more.
    pub(super) fn publish(&self, port: u16, route: Option<Route>) {
        if let Some(slot) = self.slot(port) {
            slot.store(route.map(Arc::new));
        }
    }

    /// The route of a port; the inner `None` is a port without an allocation.
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
