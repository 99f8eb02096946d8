//! Relayed transport addresses of an allocation: one, or one of each family (RFC 8656 sections 2.2
//! and 7.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::wire::AddressFamily;

/// Relayed transport address with its own time-to-expiry: a client may refresh or delete each
/// address of a dual allocation separately (section 8.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed {
    /// Address as announced to clients.
    pub(super) address: SocketAddr,
    /// Local address of its socket.
    pub(super) bind: IpAddr,
    pub(super) expires: Duration,
    /// Whether its socket is bound.
    pub(super) is_bound: bool,
    /// Number of ports that have been tried.
    pub(super) tries: u8,
    /// Whether the next higher port was taken, too, and is being bound to be held in reserve.
    pub(super) with_next: bool,
}

impl Relayed {
    pub(super) fn has_expired(&self, now: Duration) -> bool {
        now >= self.expires
    }

    /// Returns the addresses to give back when it ends: its own and, if `with_next`, the next
    /// higher one.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        std::iter::once(self.address).chain(self.with_next.then(|| next_higher(self.address)))
    }
}

/// Returns the next higher port of the same address.
pub(super) fn next_higher(address: SocketAddr) -> SocketAddr {
    // An even port is never the last one.
    SocketAddr::new(address.ip(), address.port().saturating_add(1))
}

/// At most one value for each address family.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByFamily<T>([Option<T>; 2]);

impl<T> ByFamily<T> {
    pub(super) fn new(of: impl Fn(AddressFamily) -> Option<T>) -> Self {
        Self(AddressFamily::ALL.map(of))
    }

    pub(super) fn get(&self, family: AddressFamily) -> Option<&T> {
        self.0[Self::place(family)].as_ref()
    }

    pub(super) fn get_mut(&mut self, family: AddressFamily) -> Option<&mut T> {
        self.0[Self::place(family)].as_mut()
    }

    pub(super) fn take(&mut self, family: AddressFamily) -> Option<T> {
        self.0[Self::place(family)].take()
    }

    /// Iterates over the values, IPv4 first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter().flatten()
    }

    fn place(family: AddressFamily) -> usize {
        match family {
            AddressFamily::V4 => 0,
            AddressFamily::V6 => 1,
        }
    }
}
