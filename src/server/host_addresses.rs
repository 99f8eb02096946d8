//! The addresses of the machine, which change while the server runs: their consequences for each
//! part of the server.
//!
//! [`HostWatch`] decides and [`Follower`] acts. The server checks the addresses every quarter of a
//! second, by reading `/proc` and binding sockets. Notifications by netlink would need AF_NETLINK,
//! which the systemd unit forbids.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use byway_turn::address_set::AddressSet;
use byway_turn::server::{HostAddresses, RelayAddress, Shared, is_special_purpose};
use byway_turn::time::Now;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::sleep;

use super::address_presence::AddressPresence;
use super::relay_socket_watch::RelaySocketWatch;
use super::sockets::{Kind, Listener, Listening};
use super::startup_log::listening_line;
use super::{ServerError, remedy, system};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::ice::IceServers;
use crate::live::Live;
use crate::net::accept::ListenerChange;
use crate::net::interfaces::{self, Interfaces};
use crate::server::relay_addresses::RelayAddresses;
use crate::shard::{RelayCounters, ShardUpdates, Tuning};

/// Interval between checks of the machine. The relay refuses a new own address as a peer within a
/// second.
const EVERY: Duration = Duration::from_millis(250);

/// Bytes of `/proc` that may be read per interval, which takes a tenth of a core. A router with
/// many routes is checked less often.
const BYTES: usize = 256 * 1024;

/// Result of one check of the machine.
#[derive(Clone, Debug, Default)]
struct Observation {
    interfaces: Interfaces,
    /// Source addresses of the machine for traffic to the internet.
    sources: Vec<IpAddr>,
    /// Configured addresses that can be bound.
    bindable: Vec<IpAddr>,
}

/// Consequences of this check and of earlier ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HostState {
    own: AddressSet,
    relays: RelayAddresses,
    /// Configured addresses that the machine has.
    there: BTreeSet<IpAddr>,
    /// One line, with its remedy, for each setting that the server currently cannot fulfil.
    troubles: Vec<String>,
    /// Lines about settings that may be intended.
    remarks: Vec<String>,
}

impl HostState {
    pub(super) fn troubles(&self) -> Vec<String> {
        self.troubles.clone()
    }

    pub(super) fn relays(&self) -> &[RelayAddress] {
        &self.relays.addresses
    }

    /// Whether the machine has the address of a listener.
    pub(super) fn has(&self, ip: IpAddr) -> bool {
        ip.is_unspecified() || self.there.contains(&ip)
    }

    /// The machine's addresses in the form that the relay needs.
    pub(super) fn for_relay(&self, listening: &Listening) -> HostAddresses {
        let relays = self.relays();
        let public_of = |ip: IpAddr| {
            let same_family = |address: &&RelayAddress| address.public.is_ipv4() == ip.is_ipv4();
            relays.iter().find(same_family).map_or(ip, |address| address.public)
        };
        // Behind a 1:1 NAT a listener can also be reached under the public address of its family.
        let as_public = |listener: SocketAddr| SocketAddr::new(public_of(listener.ip()), listener.port());
        let addresses = listening.0.iter().map(|listener| listener.address);
        HostAddresses {
            own: self.own.clone(),
            relays: relays.to_vec(),
            listeners: addresses.flat_map(|listener| [listener, as_public(listener)]).collect(),
            lacks_relay: !self.relays.missing.is_empty(),
            discovery: listening.discovery(|ip| self.has(ip)),
        }
    }
}

/// Derives the state of the server from the machine's addresses.
#[derive(Debug)]
pub(super) struct HostWatch {
    config: config::Relay,
    /// The configured addresses, and the keys that name them.
    named: BTreeMap<IpAddr, BTreeSet<&'static str>>,
    lasting: AddressPresence,
    bindable: AddressPresence,
    /// Wildcards of families of which this machine has had an address.
    had: BTreeSet<IpAddr>,
    /// Addresses of the relay so far.
    relays: Vec<RelayAddress>,
}

impl HostWatch {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            config: config.relay.clone(),
            named: config.addresses(),
            lasting: AddressPresence::default(),
            bindable: AddressPresence::default(),
            had: BTreeSet::new(),
            relays: Vec::new(),
        }
    }

    /// Checks the machine for the first time.
    ///
    /// # Errors
    /// [`ServerError::System`], if the addresses cannot be read.
    pub(super) fn find(&mut self, now: Now) -> Result<HostState, ServerError> {
        let found = observe(&self.names()).map_err(system("list the addresses of the interfaces"))?;
        Ok(self.take_in(now, found))
    }

    /// Takes in new settings.
    pub(super) fn configure(&mut self, config: &Config) {
        self.config = config.relay.clone();
        self.named = config.addresses();
    }

    fn names(&self) -> Vec<IpAddr> {
        self.named.keys().copied().collect()
    }

    fn take_in(&mut self, now: Now, Observation { interfaces, sources, bindable }: Observation) -> HostState {
        let lasting = self.lasting.observe(now, &interfaces.lasting);
        let there: BTreeSet<IpAddr> = self.bindable.observe(now, &bindable).into_iter().collect();
        let relays =
            RelayAddresses::find(&self.config, &lasting, &sources, &self.relays, |ip| there.contains(&ip));
        self.relays.clone_from(&relays.addresses);
        let relays_by = |wildcard: IpAddr| {
            relays.addresses.iter().any(|relay| relay.public.is_ipv4() == wildcard.is_ipv4())
        };
        let configured = self.config.addresses.iter().copied();
        self.had.extend(configured.filter(|ip| ip.is_unspecified() && relays_by(*ip)));

        let (mut troubles, mut remarks) = (Vec::new(), relays.remarks());
        let absent = self.named.iter().filter(|(ip, _)| !ip.is_unspecified() && !there.contains(ip));
        for (ip, keys) in absent {
            troubles.push(nobody_has(*ip, keys));
        }
        for wildcard in relays.missing.iter().filter(|ip| ip.is_unspecified()) {
            let family = if wildcard.is_ipv4() { "IPv4" } else { "IPv6" };
            let line = format!(
                "no relaying by {family}, because no interface has a usable {family} address (relay.addresses): \
                 assign one to an interface, and relaying begins; or remove {wildcard}"
            );
            // A machine may permanently lack a family. If it has had the family, or has neither,
            // that is an error.
            match self.had.contains(wildcard) || relays.addresses.is_empty() {
                true => troubles.push(line),
                false => remarks.push(line),
            }
        }
        let own = interfaces.own.union(&lasting.iter().copied().collect());
        HostState { own, relays, there, troubles, remarks }
    }
}

/// The error line for an address that the configuration names under these keys and no interface
/// has.
pub(super) fn nobody_has(ip: IpAddr, keys: &BTreeSet<&'static str>) -> String {
    let named: Vec<&str> = keys.iter().copied().collect();
    // In most clouds no interface has the public address.
    let behind_nat = if keys.contains("relay.addresses") || !is_special_purpose(ip) {
        format!("; behind a 1:1 NAT, listen and relay on \"0.0.0.0\" and name {ip} in relay.public_addresses")
    } else {
        String::new()
    };
    format!(
        "no interface has {ip} ({}): assign it to an interface (`ip address` lists them), or correct the \
         configuration{behind_nat}",
        named.join(", ")
    )
}

/// The error line for a listener that cannot be bound although the machine has its address.
pub(super) fn cannot_listen(listener: &Listener, error: &io::Error) -> String {
    let (address, kind) = (listener.address, listener.kind.name());
    format!("cannot listen on {address} (listen.{kind}), because of {error}: {}", remedy(error))
}

fn observe(named: &[IpAddr]) -> io::Result<Observation> {
    Ok(Observation {
        interfaces: Interfaces::read()?,
        sources: interfaces::sources(),
        bindable: named.iter().copied().filter(|ip| interfaces::has(*ip)).collect(),
    })
}

/// Logs the troubles and remarks at the start.
pub(super) fn tell(state: &HostState) {
    tell_troubles(&[], &state.troubles);
    tell_remarks(&[], &state.remarks);
}

/// Logs each new remark once.
fn tell_remarks(old: &[String], now: &[String]) {
    for remark in now.iter().filter(|remark| !old.contains(remark)) {
        tracing::warn!("{remark}");
    }
}

/// Logs each new trouble once, and each trouble that is over.
fn tell_troubles(old: &[String], now: &[String]) {
    for trouble in now.iter().filter(|trouble| !old.contains(trouble)) {
        tracing::error!("{trouble}");
    }
    for over in old.iter().filter(|trouble| !now.contains(trouble)) {
        let cause = over.split_once(": ").map_or(&**over, |(cause, _)| cause);
        tracing::info!("no longer so: {cause}");
    }
}

/// Applies changes of the machine's addresses.
pub(super) struct Follower {
    pub(super) host: HostWatch,
    pub(super) state: HostState,
    pub(super) listening: Listening,
    pub(super) ports: RangeInclusive<u16>,
    pub(super) tuning: Tuning,
    pub(super) clock: Clock,
    pub(super) shared: Arc<Shared>,
    pub(super) shards: ShardUpdates,
    pub(super) accept_queues: AcceptQueues,
    pub(super) ice: Arc<IceServers>,
    pub(super) degraded: watch::Sender<Vec<String>>,
    /// One line for each listener whose address is present but could not be bound.
    pub(super) refused: BTreeMap<(&'static str, SocketAddr), String>,
    /// Troubles that the log has.
    pub(super) told: Vec<String>,
    /// The line that names every address that is served.
    pub(super) line: Live<String>,
    pub(super) counters: Arc<RelayCounters>,
    pub(super) relay_sockets: RelaySocketWatch,
}

/// Queues to the accept loops, for listeners that come and go.
pub(super) struct AcceptQueues {
    /// For TCP listeners behind a proxy. The shards have the others.
    pub(super) tcp: mpsc::UnboundedSender<ListenerChange>,
    pub(super) tls: mpsc::UnboundedSender<ListenerChange>,
    pub(super) http: mpsc::UnboundedSender<ListenerChange>,
    pub(super) admin: mpsc::UnboundedSender<ListenerChange>,
}

/// Follows the machine's addresses until the server ends. The future may be dropped and restarted
/// at any time.
pub(super) async fn follow(follower: Arc<Mutex<Follower>>) {
    follower.lock().await.publish();
    loop {
        let names = follower.lock().await.host.names();
        // Neither `/proc` nor a bind blocks, but reading a long list of routes takes time.
        let looked = tokio::task::spawn_blocking(move || observe(&names)).await;
        let mut times = 1;
        let found = match looked {
            Ok(Ok(found)) => {
                times += found.interfaces.bytes / BYTES;
                Some(found)
            }
            // The last known state is kept.
            Ok(Err(error)) => {
                tracing::debug!(%error, "cannot list the addresses of the interfaces");
                None
            }
            // The panic is already logged.
            Err(_) => {
                tracing::debug!("cannot look at the addresses of the interfaces");
                None
            }
        };
        let mut locked = follower.lock().await;
        let now = locked.clock.now();
        locked.take_in(now, found);
        drop(locked);
        sleep(EVERY.saturating_mul(u32::try_from(times).unwrap_or(u32::MAX))).await;
    }
}

impl Follower {
    /// Acts on a check of the machine. Without one, as where the file descriptors are used up, the
    /// addresses stay as they are.
    fn take_in(&mut self, now: Now, found: Option<Observation>) {
        let state = match found {
            Some(found) => self.host.take_in(now, found),
            None => self.state.clone(),
        };
        let has_come = self.bind_missing();
        self.relay_sockets.observe(now, |reason| self.counters.bind_failures(reason));
        if state != self.state || has_come || self.troubles() != self.told {
            self.adopt(state, has_come);
        }
    }

    /// Takes in the configured addresses of new settings, after the listeners have changed. Looks
    /// at the machine again, because they may name other addresses.
    ///
    /// # Errors
    /// The addresses of the machine cannot be read. What was known of it stays.
    pub(super) fn configure(&mut self, config: &Config, has_changed: bool) -> io::Result<()> {
        self.host.configure(config);
        let found = observe(&self.host.names())?;
        let state = self.host.take_in(self.clock.now(), found);
        self.adopt(state, has_changed);
        Ok(())
    }

    /// Publishes a state, and logs the differences.
    fn adopt(&mut self, state: HostState, has_come: bool) {
        let is_elsewhere = state.relays != self.state.relays || state.there != self.state.there;
        let before = std::mem::replace(&mut self.state, state);
        self.publish();
        let troubles = self.troubles();
        tell_troubles(&self.told, &troubles);
        tell_remarks(&before.remarks, &self.state.remarks);
        self.told = troubles;
        if has_come || is_elsewhere {
            let line = listening_line(&self.listening, &self.state, &self.ports, self.shards.shards());
            tracing::info!("{line}");
            self.line.store(line);
        }
    }

    /// One line, with its remedy, for each of the server's current troubles.
    fn troubles(&self) -> Vec<String> {
        let refused = self.refused.values().cloned();
        self.state.troubles.iter().cloned().chain(refused).chain(self.relay_sockets.troubles()).collect()
    }

    /// Publishes the state to all parts of the server.
    pub(super) fn publish(&mut self) {
        let troubles = self.troubles();
        let Self { state, listening, .. } = self;
        let for_relay = state.for_relay(listening);
        self.ice.discovers_at(&for_relay.discovery.addresses().collect::<Vec<_>>());
        self.shared.set_host_addresses(for_relay);
        self.shards.changed();
        // Pages need no listener that exists only for NAT behaviour discovery.
        let served = |kind| {
            let named = listening.0.iter().filter(|listener| listener.kind == kind && !listener.is_stand_by);
            Listening(named.cloned().collect()).served(kind, |ip| state.has(ip))
        };
        self.ice.listening_at(&served(Kind::Udp), &served(Kind::Tcp), &served(Kind::Tls));
        self.degraded.send_replace(troubles);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &str) -> Vec<IpAddr> {
        list.split_whitespace().map(|ip| ip.parse().unwrap()).collect()
    }

    fn at(millis: u64) -> Now {
        Now { mono: Duration::from_millis(millis), unix: 0 }
    }

    /// A machine with these addresses, all of them permanent.
    fn with(addresses: &str) -> Observation {
        let addresses = ips(addresses);
        let own = addresses.iter().copied().collect();
        Observation {
            interfaces: Interfaces { own, lasting: addresses.clone(), bytes: 0 },
            sources: Vec::new(),
            bindable: addresses,
        }
    }

    fn host(listen: &str, relay: &str) -> HostWatch {
        let text = format!(
            "[listen]\nudp = [{listen}]\ntcp = [{listen}]\nhttp = []\nadmin = []\n[relay]\naddresses = [{relay}]\n"
        );
        HostWatch::new(&Config::parse(&text, "test", None).unwrap())
    }

    fn relays(state: &HostState) -> Vec<IpAddr> {
        state.relays().iter().map(|relay| relay.bind).collect()
    }

    #[test]
    fn threat_35_a_wildcard_follows_the_machine_and_misses_what_it_has_had() {
        let mut host = host("\"0.0.0.0:3478\"", "\"0.0.0.0\", \"::\"");
        let bare = host.take_in(at(0), with("127.0.0.1 ::1"));
        assert_eq!((relays(&bare), bare.troubles.len(), bare.remarks.len()), (vec![], 2, 0));
        let v4 = host.take_in(at(250), with("127.0.0.1 45.0.0.1"));
        assert_eq!((relays(&v4), v4.troubles.len(), v4.remarks.len()), (ips("45.0.0.1"), 0, 1));
        let both = host.take_in(at(500), with("45.0.0.1 2a00::1"));
        assert_eq!((relays(&both), both.troubles.len(), both.remarks.len()), (ips("45.0.0.1 2a00::1"), 0, 0));
        let moving = host.take_in(at(750), with("45.0.0.1 2a00::2"));
        assert_eq!(relays(&moving), ips("45.0.0.1 2a00::1"), "it may return");
        let moved = host.take_in(at(3_500), with("45.0.0.1 2a00::2"));
        assert_eq!(relays(&moved), ips("45.0.0.1 2a00::2"));
        host.take_in(at(3_750), with("45.0.0.1"));
        let lost = host.take_in(at(6_500), with("45.0.0.1"));
        assert_eq!((relays(&lost), lost.troubles.len()), (ips("45.0.0.1"), 1), "it has had IPv6");
    }

    #[test]
    fn threat_35_a_named_address_is_missed_by_all_its_keys_at_once() {
        let mut host = host("\"45.0.0.1:3478\", \"[2a00::1]:3478\"", "\"45.0.0.1\"");
        let state = host.take_in(at(0), with("127.0.0.1 2a00::1"));
        assert_eq!(
            state.troubles,
            ["no interface has 45.0.0.1 (listen.tcp, listen.udp, relay.addresses): assign it to an \
                 interface (`ip address` lists them), or correct the configuration; behind a 1:1 NAT, \
                 listen and relay on \"0.0.0.0\" and name 45.0.0.1 in relay.public_addresses"]
        );
        assert!(!state.has(ips("45.0.0.1")[0]) && state.has(ips("2a00::1")[0]));
        let state = host.take_in(at(250), with("45.0.0.1 2a00::1"));
        assert_eq!((relays(&state), state.troubles.len()), (ips("45.0.0.1"), 0));
        let flaps = host.take_in(at(500), with("2a00::1"));
        assert_eq!(flaps.troubles, state.troubles);
        assert_eq!(host.take_in(at(3_250), with("2a00::1")).troubles.len(), 1);
    }

    #[test]
    fn threat_36_what_the_machine_has_is_own_at_once_and_for_its_patience() {
        let mut host = host("\"0.0.0.0:3478\"", "\"0.0.0.0\"");
        let ip = ips("45.0.0.9")[0];
        assert!(!host.take_in(at(0), with("45.0.0.1")).own.contains(ip));
        assert!(host.take_in(at(250), with("45.0.0.1 45.0.0.9")).own.contains(ip));
        assert!(host.take_in(at(500), with("45.0.0.1")).own.contains(ip));
        assert!(!host.take_in(at(3_250), with("45.0.0.1")).own.contains(ip));
    }
}
