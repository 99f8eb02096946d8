//! Text of the configuration: the keys that differ from the embedded default.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use crate::access::Policy;
use crate::cli::new_configuration::quoted;
use crate::tls::Name;

use super::answers::Answers;
use super::reachability::Reachability;

/// Port of the page and of TURN over TLS, and of TURN for networks that allow little else.
pub(super) const HTTPS: u16 = 443;
/// Port of STUN and TURN (RFC 8656 section 18).
const TURN: u16 = 3478;

/// Listener of `/healthz` and `/metrics`.
pub(super) const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9090));

/// Parts of a configuration.
pub(super) struct Settings<'a> {
    pub(super) answers: &'a Answers,
    pub(super) reachability: &'a Reachability,
    /// Secret that signs credentials and join tokens.
    pub(super) secret: &'a str,
    pub(super) authority: &'a Authority<'a>,
    /// Whether a service manager makes the folder of the admin socket.
    pub(super) has_runtime_folder: bool,
}

/// Certificate authority other than the default.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Authority<'a> {
    /// URL of its ACME directory.
    pub(super) directory: Option<&'a str>,
    /// PEM file with the issuer to trust for that directory.
    pub(super) ca_file: Option<&'a Path>,
}

impl Settings<'_> {
    /// Returns the text of the file.
    pub(super) fn text(&self) -> String {
        let name = &self.answers.name;
        let mut text = format!(
            "# Byway on {name}, written by `byway init`.\n\
             #\n\
             # A key that is not in this file has its default value. turnserver.toml of the documentation\n\
             # explains all keys: /usr/share/doc/byway/turnserver.toml.\n\
             # After a change: sudo byway check && sudo systemctl reload byway\n"
        );
        self.listen(&mut text);
        self.acme(&mut text);
        self.relay(&mut text);
        self.secrets(&mut text);
        self.access(&mut text);
        text
    }

    fn listen(&self, text: &mut String) {
        let everywhere = |ports: &[u16]| {
            let families = [("0.0.0.0", self.reachability.v4), ("[::]", self.reachability.v6)];
            let used: Vec<_> = families.iter().filter(|(_, is_used)| *is_used).map(|(any, _)| any).collect();
            list(ports.iter().flat_map(|port| used.iter().map(move |any| format!("{any}:{port}"))))
        };
        let socket = self.has_runtime_folder.then(|| "unix:/run/byway/admin.sock".to_owned());
        let admin = list(socket.into_iter().chain([ADMIN.to_string()]));
        let _ = write!(
            text,
            "\n[listen]\n\
             # STUN and TURN over UDP, the best path for calls. Networks that block port 3478 often allow 443.\n\
             udp = {}\n\
             # STUN and TURN over TCP, for networks that block UDP.\n\
             tcp = {}\n\
             # The call page over HTTPS, and TURN over TLS for networks that allow nothing else.\n\
             tls = {}\n\
             # Status and metrics, for this machine only.\n\
             admin = {admin}\n",
            everywhere(&[TURN, HTTPS]),
            everywhere(&[TURN]),
            everywhere(&[HTTPS]),
        );
    }

    /// Writes the certificate's section.
    fn acme(&self, text: &mut String) {
        let Authority { directory, ca_file } = self.authority;
        let _ = write!(
            text,
            "\n[acme]\n\
             # The server gets its certificate for this name by itself, and renews it. The certificate\n\
             # authority must reach TCP port 443. Using it means to agree to the authority's terms.\n\
             names = [{}]\n",
            quoted(&self.answers.name.to_string())
        );
        if let Some(mail) = &self.answers.mail {
            let _ = write!(
                text,
                "# Address for notices of the certificate authority. It is sent there and used nowhere else.\n\
                 mail = {}\n",
                quoted(mail)
            );
        }
        if let Some(directory) = directory {
            let _ = write!(
                text,
                "# ACME directory of the certificate authority.\ndirectory = {}\n",
                quoted(directory)
            );
        }
        if let Some(file) = ca_file {
            let file = quoted(&file.display().to_string());
            let _ = write!(text, "# Issuer to trust for that directory.\nca_file = {file}\n");
        }
    }

    fn relay(&self, text: &mut String) {
        let Reachability { v4, v6, public, .. } = self.reachability;
        let any = [("0.0.0.0", *v4), ("::", *v6)];
        let any = list(any.iter().filter(|(_, is_used)| *is_used).map(|(any, _)| (*any).to_owned()));
        let _ = write!(
            text,
            "\n[relay]\n\
             # Relayed media uses a public address of this machine, which the server finds by itself, on\n\
             # the UDP ports 49152 to 65535.\n\
             addresses = {any}\n"
        );
        if !public.is_empty() {
            let _ = write!(
                text,
                "# Address that callers use for this machine: a 1:1 NAT translates it, or it belongs to a\n\
                 # private network that is meant.\n\
                 public_addresses = {}\n",
                list(public.iter().map(IpAddr::to_string))
            );
        }
    }

    fn secrets(&self, text: &mut String) {
        let _ = write!(
            text,
            "\n[credentials]\n\
             # Secret that signs the credentials and invitations of this server. Keep it to yourself. To\n\
             # replace it, put a new one in front (openssl rand -base64 24). Keep this one behind it until\n\
             # the invitations that it signed have expired.\n\
             secrets = [{}]\n",
            quoted(self.secret)
        );
    }

    fn access(&self, text: &mut String) {
        text.push_str(match self.answers.access {
            Policy::Token => {
                "\n[ice]\n\
                 # Only guests with an invitation may call. `sudo byway invite --host` prints a link to the page\n\
                 # that may start calls and invite others.\n\
                 access = \"token\"\n"
            }
            Policy::Open => {
                "\n[ice]\n\
                 # Everyone who opens the page may call, and relays at your expense.\n\
                 open_to_everyone = true\n"
            }
        });
    }
}

/// Returns the address of the call page.
pub(super) fn page(name: &Name) -> String {
    format!("https://{}/", name.in_url())
}

/// Formats a list of texts without special characters.
fn list(items: impl IntoIterator<Item = String>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| quoted(&item)).collect();
    format!("[{}]", items.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn text(
        name: &str,
        access: Policy,
        families: (bool, bool),
        public: &[&str],
        authority: Authority<'_>,
    ) -> String {
        let answers = Answers { name: name.parse().unwrap(), mail: Some("a@example.org".to_owned()), access };
        let (v4, v6) = families;
        let public = public.iter().map(|ip| ip.parse().unwrap()).collect();
        let reachability = Reachability { v4, v6, public, remarks: Vec::new() };
        let secret = "a secret of a test";
        let settings = Settings {
            answers: &answers,
            reachability: &reachability,
            secret,
            authority: &authority,
            has_runtime_folder: false,
        };
        settings.text()
    }

    fn parsed(text: &str) -> Config {
        Config::parse(text, "a test", None).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn every_combination_is_a_valid_configuration() {
        let sockets = |list: &[&str]| list.iter().map(|a| a.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (families, udp, relay) in [
            ((true, false), &["0.0.0.0:3478", "0.0.0.0:443"][..], &["0.0.0.0"][..]),
            ((false, true), &["[::]:3478", "[::]:443"], &["::"]),
            ((true, true), &["0.0.0.0:3478", "[::]:3478", "0.0.0.0:443", "[::]:443"], &["0.0.0.0", "::"]),
        ] {
            for access in [Policy::Token, Policy::Open] {
                for name in ["call.example.org", "203.0.113.10", "2001:db8::1"] {
                    let config = parsed(&text(name, access, families, &[], Authority::default()));
                    assert_eq!(config.listen.udp, sockets(udp));
                    assert_eq!(config.listen.tls.len(), udp.len() / 2);
                    assert_eq!(config.listen.tcp.len(), udp.len() / 2);
                    assert_eq!(config.ice.access, access);
                    let relay: Vec<IpAddr> = relay.iter().map(|ip| ip.parse().unwrap()).collect();
                    assert_eq!(config.relay.addresses, relay);
                    assert_eq!(config.credentials.secrets.len(), 1);
                    assert!(config.listen.http.iter().all(|address| address.ip().is_loopback()));
                }
            }
        }
    }

    #[test]
    fn only_keys_that_differ_are_written() {
        let text =
            text("call.example.org", Policy::Token, (true, false), &["203.0.113.10"], Authority::default());
        let is_key = |line: &&str| line.contains(" = ") && !line.starts_with('#');
        let keys: Vec<_> = text.lines().filter(is_key).filter_map(|line| line.split(" = ").next()).collect();
        let expected = [
            "udp",
            "tcp",
            "tls",
            "admin",
            "names",
            "mail",
            "addresses",
            "public_addresses",
            "secrets",
            "access",
        ];
        assert_eq!(keys, expected);
        let config = parsed(&text);
        assert_eq!(config.relay.public_addresses, ["203.0.113.10".parse::<IpAddr>().unwrap()]);
        // Each key is explained right above it.
        let lines: Vec<_> = text.lines().collect();
        for pair in lines.windows(2).filter(|pair| is_key(&pair[1])) {
            assert!(pair[0].starts_with('#'), "{}", pair[1]);
        }
    }

    #[test]
    fn the_unit_s_server_has_an_admin_socket() {
        let answers = Answers { name: "a.example".parse().unwrap(), mail: None, access: Policy::Token };
        let reachability = Reachability { v4: true, ..Reachability::default() };
        let settings = Settings {
            answers: &answers,
            reachability: &reachability,
            secret: "a secret of a test",
            authority: &Authority::default(),
            has_runtime_folder: true,
        };
        let listen = parsed(&settings.text()).listen;
        assert_eq!(listen.admin_sockets, [Path::new("/run/byway/admin.sock")]);
        assert_eq!(listen.admin, [ADMIN]);
    }

    #[test]
    fn another_certificate_authority_is_named_in_full() {
        let authority = Authority {
            directory: Some("https://ca.example/dir"),
            ca_file: Some(Path::new("/etc/a \"file\"\\with\u{7f}.pem")),
        };
        let text = text("call.example.org", Policy::Token, (true, false), &[], authority);
        assert!(text.contains("directory = \"https://ca.example/dir\"\n"), "{text}");
        assert!(text.contains(r#"ca_file = "/etc/a \"file\"\\with\u007F.pem""#), "{text}");
    }

    #[test]
    fn the_page_has_the_name_as_a_url_writes_it() {
        for (name, url) in [("a.example", "https://a.example/"), ("2001:db8::1", "https://[2001:db8::1]/")] {
            assert_eq!(page(&name.parse().unwrap()), url);
        }
    }
}
