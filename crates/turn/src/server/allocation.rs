//! An allocation with its permissions and channels (RFC 8656 sections 2.2 to 2.5).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use super::bandwidth::Bandwidth;
use super::ports::PortRequest;
use super::relayed::{ByFamily, Relayed};
use super::reserve::ReservationToken;
use super::route::{Route, RouteChannel};
use super::{FiveTuple, Peer};
use crate::auth::Username;
use crate::rate_limit::Gcra;
use crate::wire::{AddressFamily, ChannelNumber, ErrorCode, Head, IntegrityKey};

/// Lifetime of an allocation whose client asks for none (RFC 8656 section 3.2).
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(600);
/// The longest that a client gets by asking (section 7.2 recommends an hour).
pub const MAX_LIFETIME: Duration = Duration::from_secs(3600);
/// No refresh carries an allocation beyond this age. Where its credential is not looked at once it
/// has begun ([`super::Settings::strict_expiry`]), this bounds how long one that has leaked can
/// hold a relay.
pub const MAX_ALLOCATION_AGE: Duration = Duration::from_secs(24 * 3600);
/// Lifetime of a permission (section 9).
pub const PERMISSION_LIFETIME: Duration = Duration::from_secs(300);
/// Lifetime of a channel (section 12).
pub const CHANNEL_LIFETIME: Duration = Duration::from_secs(600);
/// How long a channel number and its peer stay with each other after the channel has expired
/// (section 12): late datagrams on it must not reach another peer.
pub const CHANNEL_REST: Duration = Duration::from_secs(300);
/// Permissions of one allocation. Few enough that a walk over them is a look-up.
pub const MAX_PERMISSIONS: usize = 64;
/// Channels of one allocation, resting ones included.
pub const MAX_CHANNELS: usize = 32;

/// An allocation.
///
/// ```text
///            Allocate                     relay_bound(Ok)
///   (none) ───────────► Binding a socket ───────────────► Live ──┐ Refresh
///      ▲                      │ relay_bound(Err)           │ ▲────┘
///      └──────────────────────┴────────────────────────────┘
///                                Refresh(0) or expiry
/// ```
///
/// A dual allocation (section 7.2) has two relayed transport addresses: it binds two sockets, is
/// live with the one that could be bound if the other could not, and ends with the later of the
/// two. Permissions and channels go with the address of their peer's family.
pub(super) struct Allocation {
    pub(super) five_tuple: FiveTuple,
    /// The username it was made with: every later request must be made with the same (RFC 8656
    /// section 5).
    pub(super) username: Box<str>,
    pub(super) key: IntegrityKey,
    /// At least one.
    pub(super) relayed: ByFamily<Relayed>,
    /// The Allocate request that made it, so that a retransmitted one is answered alike.
    pub(super) made_by: MadeBy,
    /// Its sockets are bound.
    pub(super) live: bool,
    pub(super) began: Duration,
    pub(super) permissions: Vec<Permission>,
    pub(super) channels: Vec<ChannelBinding>,
    /// Its cap, if there is one; shared with its route, since other shards deliver to its client,
    /// too.
    pub(super) bandwidth: Option<Arc<Bandwidth>>,
    /// How many ICMP errors its client is told.
    pub(super) icmp: Gcra,
}

/// What of an Allocate request its answer depends on.
#[derive(Clone, Copy, Debug)]
pub(super) struct MadeBy {
    pub(super) head: Head,
    pub(super) lifetime: Duration,
    pub(super) port: PortRequest,
    /// The token for the port above, where EVEN-PORT asked for it; once that is bound.
    pub(super) reserved: Option<ReservationToken>,
    /// The family that a dual allocation has to do without, and why.
    pub(super) lacking: Option<(AddressFamily, ErrorCode)>,
}

/// Lets datagrams through from and to one address (section 2.3).
#[derive(Clone, Copy, Debug)]
pub(super) struct Permission {
    ip: IpAddr,
    until: Duration,
}

/// A channel and its peer (section 2.5).
#[derive(Clone, Copy, Debug)]
pub(super) struct ChannelBinding {
    pub(super) number: ChannelNumber,
    pub(super) peer: Peer,
    pub(super) until: Duration,
    /// `ChannelBound` was said of it, and `ChannelUnbound` not yet.
    pub(super) announced: bool,
}

/// Why a channel cannot be bound.
#[derive(Clone, Copy, Debug)]
pub(super) enum BindRefused {
    /// Its number or its peer belongs to another one: 400.
    Taken,
    /// There is no room for another one: 508.
    Full,
}

impl Allocation {
    /// The name beside the expiry, which quotas count by.
    pub(super) fn name(&self) -> &str {
        Username::parse(&self.username).map_or("", |username| username.name)
    }

    pub(super) fn has_expired(&self, now: Duration) -> bool {
        self.relayed.iter().all(|relayed| relayed.has_expired(now))
    }

    /// Whether it can have peers at `ip`: those of another family are 443.
    pub(super) fn has_family_of(&self, ip: IpAddr) -> bool {
        self.relayed.get(AddressFamily::of(ip)).is_some()
    }

    /// The relayed transport address that peers at `ip` are sent from.
    pub(super) fn relayed_towards(&self, now: Duration, ip: IpAddr) -> Option<SocketAddr> {
        let relayed = self.relayed.get(AddressFamily::of(ip))?;
        (!relayed.has_expired(now)).then_some(relayed.address)
    }

    /// Whether datagrams to and from `ip` are permitted.
    pub(super) fn permits(&self, now: Duration, ip: IpAddr) -> bool {
        self.permissions.iter().any(|permission| permission.ip == ip && now < permission.until)
    }

    /// Whether so many more addresses can be permitted, of which some may be already.
    pub(super) fn has_room_for(&self, ips: &[IpAddr]) -> bool {
        let is_new = |ip: &IpAddr| !self.permissions.iter().any(|permission| permission.ip == *ip);
        let mut new: Vec<IpAddr> = ips.iter().copied().filter(is_new).collect();
        new.sort_unstable();
        new.dedup();
        self.permissions.len() + new.len() <= MAX_PERMISSIONS
    }

    /// Begins or refreshes a permission, for which [`Allocation::has_room_for`] has been asked.
    pub(super) fn permit(&mut self, now: Duration, ip: IpAddr) {
        let until = now + PERMISSION_LIFETIME;
        match self.permissions.iter_mut().find(|permission| permission.ip == ip) {
            Some(permission) => permission.until = until,
            None => self.permissions.push(Permission { ip, until }),
        }
    }

    /// Whether its client may send so many bytes more.
    pub(super) fn may_send(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_peers(now, bytes))
    }

    /// Whether its client may be sent so many bytes more.
    pub(super) fn may_receive(&self, now: Duration, bytes: usize) -> bool {
        self.bandwidth.as_deref().is_none_or(|cap| cap.to_client(now, bytes))
    }

    /// The channel with this number, while it is bound.
    pub(super) fn channel(&self, now: Duration, number: ChannelNumber) -> Option<&ChannelBinding> {
        self.channels.iter().find(|channel| channel.number == number && now < channel.until)
    }

    /// The channel to this peer, while it is bound.
    pub(super) fn channel_to(&self, now: Duration, peer: SocketAddr) -> Option<&ChannelBinding> {
        self.channels.iter().find(|channel| channel.peer.address() == peer && now < channel.until)
    }

    /// Binds or refreshes a channel; true if it was not bound before. A resting number or peer goes
    /// with its old partner only.
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
        // Of two that are concerned, one has the number and the other the peer: either is refused.
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

    /// Forgets permissions that are over, to make room.
    pub(super) fn prune_permissions(&mut self, now: Duration) {
        self.permissions.retain(|permission| now < permission.until);
    }

    /// Forgets permissions and channels that are over; yields the channels that are bound no
    /// longer.
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
        // Only then: a timer that is later than the rest must not swallow an announcement.
        self.channels.retain(|channel| now < channel.until + CHANNEL_REST);
        unbound
    }

    /// Ends permissions and channels that are no longer allowed; whether there were any. Such a
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

    /// Forgets the permissions and channels of a family; yields the channels that were still bound.
    pub(super) fn forget(&mut self, family: AddressFamily) -> Vec<ChannelNumber> {
        self.permissions.retain(|permission| AddressFamily::of(permission.ip) != family);
        let is_of = |channel: &mut ChannelBinding| AddressFamily::of(channel.peer.address().ip()) == family;
        let forgotten = self.channels.extract_if(.., is_of);
        forgotten.filter(|channel| channel.announced).map(|channel| channel.number).collect()
    }

    /// The earliest moment at which something of it ends.
    pub(super) fn next_deadline(&self) -> Duration {
        let relayed = self.relayed.iter().map(|relayed| relayed.expires);
        let permissions = self.permissions.iter().map(|permission| permission.until);
        let channels = self
            .channels
            .iter()
            .map(|channel| if channel.announced { channel.until } else { channel.until + CHANNEL_REST });
        relayed.chain(permissions).chain(channels).min().unwrap_or_default()
    }

    /// Route for the relay ports of this server, to deliver to its client through one of its own.
    /// `is_relay` tells whether an address is the relay's.
    pub(super) fn route(&self, relayed: &Relayed, is_relay: impl Fn(IpAddr) -> bool) -> Route {
        let permitted = self.permissions.iter().filter(|permission| is_relay(permission.ip));
        // By address, not by what lived there when the channel was bound: an allocation may have
        // begun since.
        let channels = self.channels.iter().filter(|channel| is_relay(channel.peer.address().ip()));
        Route {
            five_tuple: self.five_tuple,
            bandwidth: self.bandwidth.clone(),
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
