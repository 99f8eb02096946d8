//! NAT behaviour discovery (RFC 5780): the listener that answers a Binding request with
//! CHANGE-REQUEST.
//!
//! It takes four listeners: two addresses of one family, and the same two ports on each (section
//! 6). PADDING and RESPONSE-PORT stay unknown here and are answered with 420. PADDING would give
//! unauthenticated clients answers as large as an MTU. RESPONSE-PORT would let them direct answers
//! to a port that is not theirs.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::ListenerId;

/// Listeners that answer for each other.
#[derive(Clone, Debug, Default)]
pub struct Discovery {
    /// Corners by [`ListenerId`].
    corners: Vec<Option<Corner>>,
}

/// One of four listeners, with the listener for each CHANGE-REQUEST: `[change port][change IP]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Corner {
    from: [[(ListenerId, SocketAddr); 2]; 2],
}

impl Corner {
    /// Returns the listener that answers, and its address (section 6.1, table 1).
    pub(super) fn from(&self, change_ip: bool, change_port: bool) -> (ListenerId, SocketAddr) {
        self.from[usize::from(change_port)][usize::from(change_ip)]
    }

    /// Returns OTHER-ADDRESS: the listener with both another address and another port.
    pub(super) fn other(&self) -> SocketAddr {
        self.from(true, true).1
    }
}

impl Discovery {
    /// Finds the groups of four among these listeners, which are in the order of their
    /// [`ListenerId`]s.
    #[must_use]
    pub fn among(listeners: &[SocketAddr]) -> Self {
        let id = |address: SocketAddr| {
            let place = listeners.iter().position(|listener| *listener == address)?;
            Some((ListenerId(u16::try_from(place).ok()?), address))
        };
        let corner = |own: &SocketAddr| {
            let ips = pair(specific(listeners, own).map(|listener| listener.ip()), own.ip())?;
            let at_own_ip = specific(listeners, own).filter(|listener| listener.ip() == own.ip());
            let ports = pair(at_own_ip.map(|listener| listener.port()), own.port())?;
            let at = |port, ip| id(SocketAddr::new(ip, port));
            let from = [
                [at(ports[0], ips[0])?, at(ports[0], ips[1])?],
                [at(ports[1], ips[0])?, at(ports[1], ips[1])?],
            ];
            Some(Corner { from })
        };
        let corners: Vec<_> = listeners.iter().map(corner).collect();
        // A third port at one address alone would make a listener that has the others as corners
        // without being one of theirs.
        let is_mutual = |corner: &Corner| {
            let all = corner.from.as_flattened();
            all.iter().all(|(ListenerId(place), _)| corners[usize::from(*place)].is_some())
        };
        Self { corners: corners.iter().map(|corner| corner.filter(is_mutual)).collect() }
    }

    /// Returns the listeners to bind beside the configured ones, so that there are four. They have
    /// the next higher port on both addresses, if two addresses of one family listen on the same
    /// port.
    #[must_use]
    pub fn lacking(listeners: &[SocketAddr]) -> Vec<SocketAddr> {
        let next = |own: &SocketAddr| {
            let others = || specific(listeners, own);
            pair(others().map(|listener| listener.ip()), own.ip())?;
            // Port 0 stands for a different port at each address.
            let same = own.port() != 0 && others().all(|listener| listener.port() == own.port());
            Some(SocketAddr::new(own.ip(), own.port().checked_add(1).filter(|_| same)?))
        };
        listeners.iter().filter_map(next).collect()
    }

    /// Returns the addresses of the listeners that take part.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.corners.iter().flatten().map(|corner| corner.from(false, false).1)
    }

    /// Returns the corner of a listener, if it takes part.
    pub(super) fn at(&self, ListenerId(place): ListenerId) -> Option<&Corner> {
        self.corners.get(usize::from(place))?.as_ref()
    }
}

/// Returns the listeners of the family of `own` that name an address; none if `own` names none.
fn specific<'l>(listeners: &'l [SocketAddr], own: &SocketAddr) -> impl Iterator<Item = &'l SocketAddr> {
    let is_like = |listener: &&SocketAddr, own: SocketAddr| {
        listener.is_ipv4() == own.is_ipv4() && !listener.ip().is_unspecified() && !own.ip().is_unspecified()
    };
    let own = *own;
    listeners.iter().filter(move |listener| is_like(listener, own))
}

/// Returns the two distinct values, `own` first; `None` if there are fewer or more.
fn pair<T: Ord + Copy>(all: impl Iterator<Item = T>, own: T) -> Option<[T; 2]> {
    let mut others: BTreeSet<T> = all.collect();
    others.remove(&own);
    let other = others.pop_first()?;
    others.is_empty().then_some([own, other])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &str) -> Vec<SocketAddr> {
        list.split_whitespace().map(|address| address.parse().unwrap()).collect()
    }

    fn lacking(list: &str) -> Vec<SocketAddr> {
        Discovery::lacking(&addresses(list))
    }

    fn taking_part(list: &str) -> usize {
        Discovery::among(&addresses(list)).addresses().count()
    }

    const FOUR: &str = "192.0.2.1:3478 192.0.2.2:3478 192.0.2.1:3479 192.0.2.2:3479";

    /// RFC 5780 section 6.1, table 1, from each of the four.
    #[test]
    fn each_listener_knows_the_three_others() {
        let all = addresses(FOUR);
        let discovery = Discovery::among(&all);
        for (place, own) in (0..).zip(&all) {
            let corner = discovery.at(ListenerId(place)).unwrap();
            for (change_ip, change_port) in [(false, false), (true, false), (false, true), (true, true)] {
                let (ListenerId(to), address) = corner.from(change_ip, change_port);
                assert_eq!(all[usize::from(to)], address);
                assert_eq!(address.ip() != own.ip(), change_ip);
                assert_eq!(address.port() != own.port(), change_port);
            }
            assert_eq!(corner.other(), corner.from(true, true).1);
        }
    }

    #[test]
    fn the_next_higher_port_is_added_where_two_addresses_share_one() {
        assert_eq!(lacking("192.0.2.1:3478 192.0.2.2:3478"), addresses("192.0.2.1:3479 192.0.2.2:3479"));
        assert_eq!(lacking("192.0.2.1:9 0.0.0.0:7 192.0.2.2:9"), addresses("192.0.2.1:10 192.0.2.2:10"));
        assert_eq!(
            lacking("192.0.2.1:3478 [2001:db8::1]:9 192.0.2.2:3478 [2001:db8::2]:9"),
            addresses("192.0.2.1:3479 [2001:db8::1]:10 192.0.2.2:3479 [2001:db8::2]:10")
        );
    }

    #[test]
    fn nothing_is_added_to_any_other_list() {
        for list in [
            "",
            "192.0.2.1:3478",
            "192.0.2.1:3478 [2001:db8::1]:3478",
            "0.0.0.0:3478 192.0.2.1:3478",
            "192.0.2.1:3478 192.0.2.2:3479",
            "192.0.2.1:0 192.0.2.2:0",
            "192.0.2.1:65535 192.0.2.2:65535",
            "192.0.2.1:3478 192.0.2.2:3478 192.0.2.3:3478",
            FOUR,
        ] {
            assert_eq!(lacking(list), [], "{list}");
        }
    }

    #[test]
    fn it_takes_two_addresses_with_the_same_two_ports() {
        assert_eq!(taking_part(FOUR), 4);
        assert_eq!(
            taking_part(&format!(
                "{FOUR} {}",
                FOUR.replace("192.0.2.", "[2001:db8::").replace(":347", "]:347")
            )),
            8
        );
        for list in [
            "",
            "192.0.2.1:3478 192.0.2.2:3478",
            "192.0.2.1:3478 192.0.2.2:3478 192.0.2.1:3479 192.0.2.2:3480",
            "192.0.2.1:3478 192.0.2.1:3479 0.0.0.0:3480 192.0.2.1:3480",
            &format!("{FOUR} 192.0.2.3:3478"),
            &format!("{FOUR} 192.0.2.1:3480"),
        ] {
            assert_eq!(taking_part(list), 0, "{list}");
        }
    }
}
