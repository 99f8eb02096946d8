//! Allocation with its permissions and channels (RFC 8656 sections 2.2 to 2.5).

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::accounting::UsageCounters;
use super::bandwidth::Bandwidth;
use super::ports::PortRequest;
use super::relayed::{ByFamily, Relayed};
use super::reserve::ReservationToken;
use super::route::{Route, RouteChannel};
use super::{FiveTuple, Peer};
use crate::auth::account;
use crate::rate_limit::Gcra;
use crate::wire::{AddressFamily, ChannelNumber, ErrorCode, Head, IntegrityKey};

/// Lifetime of an allocation whose client requests none: 10 minutes (RFC 8656 section 3.2).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// Longest lifetime granted to a client that requests one: 1 hour, as section 7.2 recommends.
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// Greatest age of an allocation, 24 hours; a refresh cannot extend it further. If
/// [`super::Settings::strict_expiry`] is off, an allocation can outlive its credential. This age
/// then bounds how long a leaked credential can hold a relay.
pub const MAX_ALLOCATION_AGE: Duration = Duration::from_secs(24 * 3600);
/// Lifetime of a permission: 5 minutes (section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel: 10 minutes (section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// Time after expiry during which a channel number and its peer can only be bound to each other: 5
/// minutes (section 12). Late datagrams on the channel must not reach another peer.
pub const CHANNEL_REST: Duration = Duration::from_secs(300);
/// Greatest number of permissions of one allocation, few enough for a linear search.
pub const MAX_PERMISSIONS: usize = 64;
/// Greatest number of channels of one allocation, including those at rest.
pub const MAX_CHANNELS: usize = 32;

/// State of one allocation.
///
/// ```text
///            Allocate                     relay_bound(Ok)
///   (none) ───────────► Binding a socket ───────────────► Live ──┐ Refresh
///      ▲                      │ relay_bound(Err)           │ ▲────┘
///      └──────────────────────┴────────────────────────────┘
///                                Refresh(0) or expiry
/// ```
///
/// A dual allocation (section 7.2) has two relayed transport addresses and binds two sockets. If
/// one socket cannot be bound, the allocation is live with the other. It ends with the later of the
/// two. Permissions and channels belong to the address of their peer's family.
pub(super) struct Allocation {
    pub(super) five_tuple: FiveTuple,
    /// Username that it was made with. Every later request must use the same one (RFC 8656 section
    /// 5).
    pub(super) username: Box<str>,
    pub(super) key: IntegrityKey,
    /// Relayed transport addresses, at least one.
    pub(super) relayed: ByFamily<Relayed>,
    /// Allocate request that made it, so that a retransmitted request gets the same answer.
    pub(super) made_by: MadeBy,
    /// Whether its sockets are bound.
    pub(super) live: bool,
    pub(super) began: Duration,
    pub(super) permissions: Vec<Permission>,
    pub(super) channels: Vec<ChannelBinding>,
    /// Bandwidth cap, if there is one. The route shares it, because other shards deliver to this
    /// client, too.
    pub(super) bandwidth: Option<Arc<Bandwidth>>,
    /// Rate limiter of the ICMP errors that are reported to the client.
    pub(super) icmp: Gcra,
    pub(super) usage: UsageCounters,
}

/// Parts of an Allocate request on which its answer depends.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeBy {
    pub(super) head: Head,
    pub(super) lifetime: Duration,
    pub(super) port: PortRequest,
    /// Token for the next higher port, if EVEN-PORT asked for it; set once that port is bound.
    pub(super) reserved: Option<ReservationToken>,
    /// Family that a dual allocation has to do without, and the reason.
    pub(super) lacking: Option<(AddressFamily, ErrorCode)>,
}

/// Permission for datagrams to and from one IP address (section 2.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    ip: IpAddr,
    until: Duration,
}

/// Binding of a channel to its peer (section 2.5).
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelBinding {
    pub(super) number: ChannelNumber,
    pub(super) peer: Peer,
    pub(super) until: Duration,
    /// Whether `ChannelBound` was announced for it and `ChannelUnbound` was not yet.
    pub(super) announced: bool,
}

/// Reason for which a channel cannot be bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum BindRefused {
    /// Its number or its peer belongs to another channel: 400.
    Taken,
    /// The allocation has [`MAX_CHANNELS`] channels: 508.
    Full,
}

impl Allocation {
    /// Returns the [account] by which quotas count.
    pub(super) fn account(&self) -> Cow<'_, str> {
        account(&self.username)
    }

    pub(super) fn has_expired(&self, now: Duration) -> bool {
        self.relayed.iter().all(|relayed| relayed.has_expired(now))
    }

    /// Whether it has a relayed transport address of the family of `ip`. Peers of another family
    /// are rejected with 443.
    pub(super) fn has_family_of(&self, ip: IpAddr) -> bool {
        self.relayed.get(AddressFamily::of(ip)).is_some()
    }

    /// Returns the relayed transport address from which datagrams go to peers at `ip`.
    pub(super) fn relayed_towards(&self, now: Duration, ip: IpAddr) -> Option<SocketAddr> {
        let relayed = self.relayed.get(AddressFamily::of(ip))?;
        (!relayed.has_expired(now)).then_some(relayed.address)
    }

    /// Whether datagrams to and from `ip` are permitted.
    pub(super) fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && now < permission.until)
    }

    /// Whether permissions for all of `ips` fit. Some may exist already.
    pub(super) fn has_room_for(&self, ips: &[IpAddr]) -> bool {
        let is_new = |ip: &IpAddr| !self.permissions.iter().any(|permission| permission.ip == *ip);
        let mut new: Vec<IpAddr> = ips.iter().copied().filter(is_new).collect();
        new.sort_unstable();
        new.dedup();
        self.permissions.len() + new.len() <= MAX_PERMISSIONS
    }

    /// Installs or refreshes a permission. The caller has checked [`Allocation::has_room_for`].
    pub(super) fn permit(&mut self, now: Duration, ip: IpAddr) {
        let until = now + PERMISSION_LIFETIME;
        match self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            Some(permission) => permission.until = until,
            None => self.permissions.push(Permission { ip, until }),
        }
    }

    /// Charges `bytes` to the bandwidth cap; false if the client may not send them.
    pub(super) fn may_send(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_peers(now, bytes))
    }

    /// Charges `bytes` to the bandwidth cap; false if the client may not receive them.
    pub(super) fn may_receive(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_client(now, bytes))
    }

    /// Returns the channel with this number, if it is bound.
    pub(super) fn channel(&self, now: Duration, number: ChannelNumber) -> Option<&ChannelBinding> {
        self.channels.iter().find(|channel| channel.number == number && now < channel.until)
    }

    /// Returns the channel to this peer, if it is bound.
    pub(super) fn channel_to(&self, now: Duration, peer: SocketAddr) -> Option<&ChannelBinding> {
        self.channels.iter().find(|channel| channel.peer.address() == peer && now < channel.until)
    }

    /// Binds or refreshes a channel; true if it was not bound before. A number or peer at rest can
    /// only be bound to its former partner.
    ///
    /// # Errors
    /// [`BindRefused`].
    pub(super) fn bind(
        &mut self,
        now: Duration,
        number: ChannelNumber,
        peer: Peer,
    ) -> Result<bool, BindRefused> {
        let until = now + CHANNEL_LIFETIME;
        let is_concerned = |channel: &&mut ChannelBinding| {
            let same = channel.number == number || channel.peer.address() == peer.address();
            same && now < channel.until + CHANNEL_REST
        };
        // If two channels match, one has the number and the other the peer: either one is a reason
        // to reject.
        if let Some(channel) = self.channels.iter_mut().find(is_concerned) {
            if channel.number != number || channel.peer.address() != peer.address() {
                return Err(BindRefused::Taken);
            }
            channel.peer = peer;
            channel.until = until;
            return Ok(!std::mem::replace(&mut channel.announced, true));
        }
        if self.channels.len() >= MAX_CHANNELS {
            return Err(BindRefused::Full);
        }
        self.channels.push(ChannelBinding { number, peer, until, announced: true });
        Ok(true)
    }

    /// Removes expired permissions, to make room.
    pub(super) fn prune_permissions(&mut self, now: Duration) {
        self.permissions.retain(|permission| now < permission.until);
    }

    /// Removes expired permissions and channels. Returns the channels that have expired.
    pub(super) fn prune(&mut self, now: Duration) -> Vec<ChannelNumber> {
        self.prune_permissions(now);
        let is_over = |channel: &&mut ChannelBinding| channel.announced && now >= channel.until;
        let over = self.channels.iter_mut().filter(is_over);
        let unbound = over
            .map(|channel| {
                channel.announced = false;
                channel.number
            })
            .collect();
        // Done last: a timer later than the rest must not swallow an announcement.
        self.channels.retain(|channel| now < channel.until + CHANNEL_REST);
        unbound
    }

    /// Ends permissions and channels that the policy now denies; true if there were any. Such a
    /// channel rests like an expired one, so that late datagrams on its number reach no other peer.
    pub(super) fn restrict(
        &mut self,
        now: Duration,
        may_permit: impl Fn(IpAddr) -> bool,
        may_bind: impl Fn(Peer) -> bool,
    ) -> bool {
        let before = self.permissions.len();
        self.permissions.retain(|permission| may_permit(permission.ip));
        let mut has_ended = self.permissions.len() < before;
        for channel in self.channels.iter_mut().filter(|channel| now < channel.until) {
            if !may_bind(channel.peer) {
                channel.until = now;
                has_ended = true;
            }
        }
        has_ended
    }

    /// Removes the permissions and channels of a family. Returns the channels that were still
    /// bound.
    pub(super) fn forget(&mut self, family: AddressFamily) -> Vec<ChannelNumber> {
        self.permissions.retain(|permission| AddressFamily::of(permission.ip) != family);
        let is_of = |channel: &mut ChannelBinding| AddressFamily::of(channel.peer.address().ip()) == family;
        let forgotten = self.channels.extract_if(.., is_of);
        forgotten.filter(|channel| channel.announced).map(|channel| channel.number).collect()
    }

    /// Returns the earliest time at which any part of it expires.
    pub(super) fn next_deadline(&self) -> Duration {
        let relayed = self.relayed.iter().map(|relayed| relayed.expires);
        let permissions = self.permissions.iter().map(|permission| permission.until);
        let channels = self
            .channels
            .iter()
            .map(|channel| if channel.announced { channel.until } else { channel.until + CHANNEL_REST });
        relayed.chain(permissions).chain(channels).min().unwrap_or_default()
    }

    /// Returns the route by which relay ports of this server deliver to its client through
    /// `relayed`. `is_relay` tells whether an address is one of the relay's.
    pub(super) fn route(&self, relayed: &Relayed, is_relay: impl Fn(IpAddr) -> bool) -> Route {
        let permitted = self.permissions.iter().filter(|permission| is_relay(permission.ip));
        // Filtered by address, not by what was at the port when the channel was bound: an
        // allocation may have begun there since.
        let channels = self.channels.iter().filter(|channel| is_relay(channel.peer.address().ip()));
        Route {
            five_tuple: self.five_tuple,
            bandwidth: self.bandwidth.clone(),
            delivered: self.usage.delivered.clone(),
            permitted: permitted
                .map(|permission| (permission.ip, permission.until.min(relayed.expires)))
                .collect(),
            channels: channels
                .map(|channel| RouteChannel {
                    peer: channel.peer.address(),
                    number: channel.number,
                    until: channel.until,
                })
                .collect(),
        }
    }
}
