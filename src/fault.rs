//! Faults that keep calls from connecting, each with the name of its entry in
//! `docs/when-calls-fail.md`.
//!
//! The log, `byway check`, `doctor`, `probe`, the page `/check` and the documentation use the same
//! names.

use std::fmt;

/// Declares the enum with its names.
macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal),+ $(,)?) => {
        /// Fault that has an entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault),+
        }

        impl Fault {
            /// All faults.
            pub const ALL: &'static [Self] = &[$(Self::$fault),+];

            /// Returns the fault of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|fault| fault.name() == name)
            }

            /// Returns the name, which is also the anchor of the entry.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name),+
                }
            }
        }
    };
}

faults! {
    /// No certificate, or one that has expired.
    CertificateExpired = "certificate-expired",
    /// The certificate expires within days, and nothing renews it.
    CertificateExpiresSoon = "certificate-expires-soon",
    /// The server sends no intermediate certificate.
    CertificateChainIncomplete = "certificate-chain-incomplete",
    /// The certificate is for another name.
    CertificateName = "certificate-name",
    /// The certificate's issuer is not trusted.
    CertificateUntrusted = "certificate-untrusted",
    /// There is no certificate yet.
    CertificateMissing = "certificate-missing",
    /// The port speaks no TLS, or another version of it.
    TlsHandshake = "tls-handshake",
    /// The server's user cannot read the private key.
    KeyUnreadable = "key-unreadable",
    /// The clock of a machine is wrong.
    ClockOff = "clock-off",
    /// Another program has a port.
    PortTaken = "port-taken",
    /// UDP to the listeners is blocked.
    UdpBlocked = "udp-blocked",
    /// TCP to the listeners is blocked.
    TcpBlocked = "tcp-blocked",
    /// UDP to the relay ports is blocked.
    RelayPortsBlocked = "relay-ports-blocked",
    /// Clients are told an address that does not lead to the server.
    WrongPublicAddress = "wrong-public-address",
    /// Clients are told a private address.
    PublicAddressUnset = "public-address-unset",
    /// IPv6 is announced and does not work.
    Ipv6Broken = "ipv6-broken",
    /// This machine has no route to the server.
    NoRoute = "no-route",
    /// A name does not resolve.
    NameUnresolved = "name-unresolved",
    /// A name resolves to another machine.
    NameElsewhere = "name-elsewhere",
    /// The running server has another secret than the file.
    SecretDiffers = "secret-differs",
    /// The server refuses the credentials.
    CredentialsRefused = "credentials-refused",
    /// Too few file descriptors.
    DescriptorsFew = "descriptors-few",
    /// The table of connection tracking is full, or nearly.
    ConntrackFull = "conntrack-full",
    /// The kernel grants smaller socket buffers than configured.
    BuffersSmall = "buffers-small",
    /// A kernel feature that the relay uses is missing.
    KernelFeature = "kernel-feature",
    /// A reverse proxy does not pass on `Host`, or the name is not listed.
    ProxyHost = "proxy-host",
    /// A reverse proxy does not pass on the WebSocket upgrade.
    ProxyUpgrade = "proxy-upgrade",
    /// A reverse proxy hides the addresses of its clients.
    ProxyAddress = "proxy-address",
    /// The log has no reader, or its disk is full.
    LogGone = "log-gone",
    /// The configuration is invalid.
    ConfigurationInvalid = "configuration-invalid",
    /// The server does not run.
    NotRunning = "not-running",
    /// A part of the server is down or degraded.
    Degraded = "degraded",
    /// The broker of the cluster does not answer.
    BusUnreachable = "bus-unreachable",
    /// The clocks of two nodes of the cluster differ.
    NodeClockDiffers = "node-clock-differs",
    /// Another node of the cluster has another secret.
    NodeSecretDiffers = "node-secret-differs",
    /// Another node of the cluster has the same name.
    NodeNameTaken = "node-name-taken",
    /// `/ice` names no relay.
    NoRelay = "no-relay",
    /// Nobody can join, or everybody can.
    Access = "access",
    /// A room has as many members as it may.
    RoomFull = "room-full",
    /// A limit of the server is reached: 486, 508 or 429.
    LimitReached = "limit-reached",
    /// The browser blocks access to a local server from a public page.
    LocalNetworkAccess = "local-network-access",
    /// The page was not opened over HTTPS.
    InsecureOrigin = "insecure-origin",
    /// Camera or microphone is refused, missing or busy.
    Devices = "devices",
    /// The browser or its policy forbids WebRTC, or a part of it.
    BrowserPolicy = "browser-policy",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl serde::Serialize for Fault {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
