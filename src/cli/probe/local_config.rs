//! Targets of a probe from this machine's configuration.

use std::net::{Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;

use crate::config::{Config, IceScheme, IceUrl, Tls, Transport};
use crate::net::interfaces;
use crate::tls::{Certificate, Name};

use super::ProbeTarget;
use super::error::ProbeError;
use super::relay_addresses::RelayAddresses;
use super::server_path::ServerPath;
use super::trust_roots::Trust;

/// Returns every STUN and TURN listener with a fixed port, at an address that this machine can
/// reach.
pub(in crate::cli) async fn targets(config: &Config) -> Vec<ProbeTarget> {
    let no_ipv6 = config.optional_ipv6 && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err();
    // The system chose the port of a listener on port 0 at the server's start; only the log has it.
    let fixed = |listener: &&SocketAddr| listener.port() != 0 && !(listener.is_ipv6() && no_ipv6);
    let listen = &config.listen;
    let known = &RelayAddresses::of_config(config);
    let plain = |transport| {
        move |&listener: &SocketAddr| {
            let at = interfaces::reachable(listener);
            let host = at.ip().to_string();
            ProbeTarget {
                url: IceUrl { scheme: IceScheme::Turn, host, port: at.port(), transport },
                at: Some(Ok(vec![at])),
                known: known.clone(),
                passed_over: None,
            }
        }
    };
    let udp = listen.udp.iter().filter(fixed).map(plain(Transport::Udp));
    let tcp = listen.tcp.iter().filter(fixed).map(plain(Transport::Tcp));
    let name = name(config);
    let tls = listen.tls.iter().filter(fixed).map(|&listener| {
        let at = interfaces::reachable(listener);
        let (host, at) = match &name {
            Ok(name) => (name.clone(), Ok(vec![at])),
            Err(trouble) => (at.ip().to_string(), Err(trouble.clone())),
        };
        let url = IceUrl { scheme: IceScheme::Turns, host, port: listener.port(), transport: Transport::Tcp };
        ProbeTarget { url, at: Some(at), known: known.clone(), passed_over: None }
    });
    udp.chain(tcp).chain(tls).collect()
}

/// Returns the URLs of this configuration's `/ice`, each with the path to it.
pub(in crate::cli) fn ice(config: &Config, trust: &Trust) -> Vec<(String, Result<ServerPath, ProbeError>)> {
    let http = config.listen.http.iter().map(|&listener| {
        let at = interfaces::reachable(listener);
        (format!("http://{at}/ice"), Ok(ServerPath::tcp(at)))
    });
    let (trust, name) = (trust.speaking(b"http/1.1"), name(config));
    let https = config.listen.tls.iter().map(|&listener| {
        let at = interfaces::reachable(listener);
        match &name {
            Ok(name) if name.contains(':') => {
                (format!("https://[{name}]:{}/ice", at.port()), ServerPath::tls(at, name, &trust))
            }
            Ok(name) => (format!("https://{name}:{}/ice", at.port()), ServerPath::tls(at, name, &trust)),
            Err(trouble) => (format!("https://{at}/ice"), Err(trouble.clone())),
        }
    });
    http.chain(https).collect()
}

/// Returns the server's name in the certificate. Clients use that name, so a listener is verified
/// by it, wherever the name resolves to. A wildcard is replaced with a name below it.
fn name(config: &Config) -> Result<String, ProbeError> {
    if let Some(acme) = &config.acme {
        return Ok(called(acme.certificate_names().preferred(None).unwrap_or(&acme.names[0])));
    }
    let Some(Tls { files, .. }) = &config.tls else { return Ok(String::new()) };
    let unusable = |reason| ProbeError::OwnCertificate { file: files.cert.display().to_string(), reason };
    let certificate = Certificate::load(files).map_err(|error| ProbeError::OwnCertificate {
        file: error.file.display().to_string(),
        reason: error.reason,
    })?;
    let names = certificate.names();
    let name = names.preferred(None).or_else(|| names.as_slice().first());
    let name = name.ok_or_else(|| unusable("the certificate is for no name".to_owned()))?;
    Ok(called(name))
}

/// A name that clients can call.
fn called(name: &Name) -> String {
    match name {
        Name::Dns(name) => {
            name.strip_prefix('*').map_or_else(|| name.clone(), |below| format!("byway{below}"))
        }
        Name::Ip(ip) => ip.to_string(),
    }
}
