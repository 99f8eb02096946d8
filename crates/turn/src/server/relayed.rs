//! The relayed transport addresses of an allocation: one, or one of each family (RFC 8656 sections
//! 2.2 and 7.2).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::wire::AddressFamily;

/// A relayed transport address, with the time-to-expiry that is its own: a client may refresh and
/// delete those of a dual allocation apart (section 8.1).
#[derive(Clone, Copy, Debug)]
pub(super) struct Relayed {
    /// As clients are told.
    pub(super) address: SocketAddr,
    /// Local address of its socket.
    pub(super) bind: IpAddr,
    pub(super) expires: Duration,
    /// Its socket is there.
    pub(super) is_bound: bool,
    /// How many ports have been tried.
    pub(super) tries: u8,
    /// The next higher port was taken along and is being bound, too, to be held in reserve.
    pub(super) with_next: bool,
}

impl Relayed {
    pub(super) fn has_expired(&self, now: Duration) -> bool {
        now >= self.expires
    }

    /// Every address that goes with it when it ends.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        std::iter::once(self.address).chain(self.with_next.then(|| next_higher(self.address)))
    }
}

/// The next higher port of the same address.
pub(super) fn next_higher(address: SocketAddr) -> SocketAddr {
    // An even port is never the last one.
    SocketAddr::new(address.ip(), address.port().saturating_add(1))
}

/// At most one thing of each address family.
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

    /// IPv4 first.
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
