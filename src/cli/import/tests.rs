//! Files of coturn against the configurations that come of them.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::access::Policy;
use crate::config::Config;

const DUAL: Machine = Machine { has_ipv6: true };

fn imported(text: &str) -> Imported {
    import(text.as_bytes(), "turnserver.conf", Path::new("/etc"), DUAL)
        .unwrap_or_else(|faults| panic!("{faults:?}"))
}

fn config(text: &str) -> Config {
    Config::parse(&imported(text).text, "new", None).unwrap()
}

fn faults(text: &str) -> Vec<Fault> {
    import(text.as_bytes(), "turnserver.conf", Path::new("/etc"), DUAL).err().expect("it is refused")
}

fn told(text: &str) -> String {
    ImportFaults { file: "turnserver.conf".to_owned(), faults: faults(text) }.to_string()
}

/// The least that coturn needs to require credentials.
const SECRET: &str = "use-auth-secret\nstatic-auth-secret=a-long-secret\n";

fn strings(list: &[impl ToString]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

#[test]
fn the_result_has_only_what_differs_each_with_its_line() {
    let text = "listening-port=3478\nlistening-ip=192.0.2.1\nrealm=example.org\nuse-auth-secret\nstatic-auth-secret=a-long-secret\n\
                min-port=49152\nmax-port=65535\ntotal-quota=1200\n";
    let wanted = r#"# Imported by `byway import` from turnserver.conf. Lines are those of that file.
# Keys that are not here have their default: docs/configuration.md.

# realm, line 3
realm = "example.org"

[listen]
# listening-ip, line 2; listening-port, line 1
udp = ["192.0.2.1:3478"]
# listening-ip, line 2; listening-port, line 1
tcp = ["192.0.2.1:3478"]

[relay]
# listening-ip, line 2
addresses = ["192.0.2.1"]

[credentials]
# static-auth-secret, line 5
secrets = ["a-long-secret"]

[quota]
# total-quota, line 8
allocations = 1200

[ice]
# coturn has no page. Only holders of a join token may get credentials here: byway invite --room NAME
access = "token"
"#;
    assert_eq!(imported(text).text, wanted);
}

#[test]
fn listeners_have_the_addresses_and_ports_of_coturn() {
    let config = |text: &str| config(&format!("{SECRET}{text}")).listen;
    let all = config("listening-port=443\n");
    assert_eq!(strings(&all.udp), ["0.0.0.0:443", "[::]:443"]);
    assert!(all.tls.is_empty());
    let tls = config(
        "cert=/c.pem\npkey=/k.pem\nlistening-ip=192.0.2.1\nlistening-ip=2001:db8::1\nno-tcp\nno-udp=off\n",
    );
    assert_eq!(strings(&tls.tls), ["192.0.2.1:5349", "[2001:db8::1]:5349"]);
    assert_eq!((tls.tcp.len(), tls.udp.len()), (0, 2));
    let off = config("cert=/c.pem\npkey=/k.pem\nno-tls\nno-udp\n");
    assert_eq!((off.tls.len(), off.udp.len(), off.tcp.len()), (0, 0, 2));
    let two = config(
        "listening-ip=192.0.2.1\nlistening-ip=192.0.2.2\nlistening-ip=2001:db8::1\nalt-listening-port=5000\n",
    );
    assert_eq!(
        strings(&two.udp),
        ["192.0.2.1:3478", "192.0.2.2:3478", "[2001:db8::1]:3478", "192.0.2.1:5000", "192.0.2.2:5000"]
    );
    let any = config("listening-ip=\nlistening-ip=192.0.2.1\nlistening-ip=2001:db8::1\n");
    assert_eq!(strings(&any.udp), ["0.0.0.0:3478", "[2001:db8::1]:3478"]);
    let aux = config("listening-ip=192.0.2.1\naux-server=192.0.2.1:443\naux-server=192.0.2.1:443\n");
    assert_eq!(strings(&aux.tcp), ["192.0.2.1:3478", "192.0.2.1:443"]);
    let same = config(
        "listening-ip=192.0.2.1\nlistening-port=443\ntls-listening-port=443\ncert=c.pem\npkey=k.pem\n",
    );
    assert_eq!((same.tcp.len(), strings(&same.tls)), (0, vec!["192.0.2.1:443".to_owned()]));
    let metrics = config("prometheus\n");
    assert_eq!(strings(&metrics.admin), ["127.0.0.1:9641", "[::1]:9641"]);
    let metrics = config("prometheus\nprometheus-port=9000\nprometheus-address=10.0.0.1\n");
    assert_eq!(strings(&metrics.admin), ["10.0.0.1:9000"]);
    let metrics = config("prometheus-tls\nprometheus-address=10.0.0.1\n");
    assert!(metrics.admin.iter().all(|address| address.ip().is_loopback()));
}

#[test]
fn relay_addresses_come_from_relay_ip_listening_ip_or_the_private_part_of_external_ip() {
    let relay = |text: &str| config(&format!("{SECRET}{text}")).relay;
    let both = relay(
        "relay-ip=192.0.2.1\nrelay-ip=192.0.2.2\nrelay-ip=2001:db8::1\nmin-port=50000\nrelay-threads=0\n",
    );
    assert_eq!(strings(&both.addresses), ["192.0.2.1", "2001:db8::1"]);
    assert_eq!((*both.ports.start(), *both.ports.end(), both.shards), (50000, 65535, 1));
    let nat = relay("external-ip=203.0.113.1/10.0.0.5\n");
    assert_eq!(
        (strings(&nat.addresses), strings(&nat.public_addresses)),
        (vec!["10.0.0.5".into(), "::".into()], vec!["203.0.113.1".into()])
    );
    let nat = relay("listening-ip=10.0.0.5\nexternal-ip=203.0.113.1\ncpus=3\n");
    assert_eq!(
        (strings(&nat.addresses), strings(&nat.public_addresses)),
        (vec!["10.0.0.5".into()], vec!["203.0.113.1".into()])
    );
    assert_eq!(nat.shards, 3);
    let any = relay("listening-ip=192.0.2.1\nlistening-ip=0.0.0.0\nlistening-ip=2001:db8::1\n");
    assert_eq!(strings(&any.addresses), ["0.0.0.0", "2001:db8::1"]);
    let own = relay("listening-ip=203.0.113.1\nexternal-ip=203.0.113.1\n");
    assert!(own.public_addresses.is_empty());
    let two = format!("{SECRET}external-ip=203.0.113.1/10.0.0.5\nexternal-ip=203.0.113.2/10.0.0.6\n");
    assert!(imported(&two).report.contains("Byway relays from one address per family"));
}

#[test]
fn quotas_are_carried_over_and_users_keep_having_none() {
    let quota = |text: &str| config(text).quota;
    let default = Config::embedded().quota;
    assert_eq!(quota(SECRET), default);
    assert_eq!(quota(&format!("{SECRET}user-quota=0\ntotal-quota=0\nmax-bps=0\n")), default);
    let some = quota(&format!(
        "{SECRET}user-quota=12\ntotal-quota=1200\nmax-bps=3000000\nunauthorized-ratelimit-rps=10\n"
    ));
    assert_eq!(
        (some.allocations_per_user, some.allocations, some.bandwidth_per_allocation),
        (12, 1200, 3_000_000)
    );
    assert_eq!(some.unauthenticated_per_second, 10);
    assert_eq!(quota(&format!("{SECRET}max-bps=1000\n")).bandwidth_per_allocation, 65536);
    assert_eq!(quota("lt-cred-mech\nrealm=r\nuser=a:some-password\n").allocations_per_user, 0);
    assert_eq!(quota("lt-cred-mech\nrealm=r\nuser=a:some-password\nuser-quota=5\n").allocations_per_user, 5);
}

#[test]
fn users_count_without_a_secret_alone() {
    let users = "lt-cred-mech\nrealm=r\nuser=a:pass:word\nuser=b: 0x8493fbc53ba582fb4c044c456bdc40eb\n";
    let names = |text: &str| config(text).users.iter().map(|user| user.name().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(users), ["a", "b"]);
    let both = format!("{users}{SECRET}");
    assert_eq!((names(&both).len(), config(&both).credentials.secrets.len()), (0, 1));
    assert!(imported(&both).report.contains("coturn ignores it because there is a secret"));
    let stun = format!("stun-only\n{both}");
    assert!(names(&stun).is_empty() && config(&stun).credentials.secrets.is_empty());
    let database = imported("lt-cred-mech\nuserdb=/var/lib/turn/turndb\n");
    assert!(database.report.contains("turnadmin -l"), "{}", database.report);
    assert!(imported("use-auth-secret\n").report.contains("turnadmin -S"));
}

#[test]
fn threat_22_no_import_is_an_open_relay() {
    for open in [
        "no-auth\n",
        "realm=r\n",
        "lt-cred-mech=off\n",
        "lt-cred-mech\nuser=a:some-password\nno-auth\n",
        "userdb=/x\n",
    ] {
        assert!(!faults(open).is_empty(), "{open}");
    }
    assert_eq!(faults("realm=r\nno-auth\n")[0].line, Some(2));
    for fine in [SECRET, "stun-only\n", "lt-cred-mech\n", "use-auth-secret\nno-auth=off\n"] {
        assert_eq!(config(fine).ice.access, Policy::Token, "{fine}");
    }
}

#[test]
fn what_would_be_less_strict_is_refused() {
    let tls = "cert=/c.pem\npkey=/k.pem\n";
    for option in ["CA-file=/ca.pem", "no-tlsv1_2", "pkey-pwd=secret-word"] {
        let refused = told(&format!("{SECRET}{tls}{option}\n"));
        assert!(refused.starts_with("turnserver.conf:5: ") && refused.contains("remedy: "), "{refused}");
        assert!(!refused.contains("secret-word"));
        // Without TLS they have no effect.
        imported(&format!("{SECRET}{option}\n"));
    }
    assert_eq!(faults(&format!("{SECRET}no-udp-relay\n"))[0].line, Some(3));
    assert_eq!(faults(&format!("{SECRET}listening-device=eth0\n"))[0].line, Some(3));
    imported(&format!("{SECRET}listening-device=eth0\nlistening-ip=192.0.2.1\n"));
}

#[test]
fn peers_are_denied_as_in_coturn() {
    let peers = config(&format!(
        "{SECRET}denied-peer-ip=10.0.0.0-10.255.255.255\nallowed-peer-ip=10.0.0.1\ndenied-peer-ip=2001:db8::1\n"
    ))
    .peers;
    let contains =
        |nets: &[ipnet::IpNet], ip: &str| nets.iter().any(|net| net.contains(&ip.parse::<IpAddr>().unwrap()));
    assert!(
        contains(&peers.deny, "10.0.0.0")
            && contains(&peers.deny, "10.0.0.2")
            && contains(&peers.deny, "2001:db8::1")
    );
    assert!(
        !contains(&peers.deny, "10.0.0.1") && contains(&peers.allow, "10.0.0.1") && peers.allow.len() == 1
    );
}

#[test]
fn faults_have_their_line_and_no_secret() {
    for (line, text) in [
        (3, "static-auth-secret=geheim\n"),
        (3, "denied-peer-ip=10.0.0.9-10.0.0.1\n"),
        (3, "denied-peer-ip=10.0.0.0/8\n"),
        (3, "denied-peer-ip=example.org\n"),
        (3, "allowed-peer-ip=10.0.0.1-::1\n"),
        (3, "listening-port=70000\n"),
        (3, "listening-ip=eth0\n"),
        (3, "min-port=60000\nmax-port=50000\n"),
        (3, "min-port=80\n"),
        (3, "external-ip=203.0.113.1/::1\n"),
        (3, "external-ip=2001:db8::1\nlistening-ip=192.0.2.1\n"),
        (4, "relay-ip=10.0.0.4\nexternal-ip=203.0.113.1/10.0.0.5\n"),
        (3, "no-udp=perhaps\n"),
        (3, "realm=a\\b\n"),
        (3, "max-bps=fast\n"),
        (3, "relay-threads=999\n"),
        (3, "total-quota=99999999\n"),
        (3, "aux-server=192.0.2.1\n"),
    ] {
        let faults = faults(&format!("{SECRET}{text}"));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert_eq!(faults[0].line, Some(line), "{text}: {faults:?}");
        assert!(!format!("{faults:?}").contains("geheim"), "{faults:?}");
    }
    for (line, text) in [
        (3, "user=a:some-password\nuser=a:geheim-geheim\n"),
        (2, "user=geheim\n"),
        (2, "user=a:0xgeheim\n"),
        (2, "user=123:geheim-geheim\n"),
        (2, "user=:geheim-geheim\n"),
    ] {
        let faults = faults(&format!("realm=r\n{text}"));
        assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        assert_eq!(faults[0].line, Some(line), "{text}: {faults:?}");
        assert!(!format!("{faults:?}").contains("geheim"), "{faults:?}");
    }
    assert!(told("user=a:0x8493fbc53ba582fb4c044c456bdc40eb\n").contains("a key holds for one realm"));
    let many = "listening-ip=x\n".repeat(50);
    assert!(told(&format!("{SECRET}{many}")).ends_with("and 30 more"));
}

#[test]
fn the_report_names_every_option_and_no_secret() {
    let every: String = options::OPTIONS
        .iter()
        .filter(|option| {
            !["no-auth", "no-udp-relay", "listening-device", "CA-file", "no-tlsv1_2", "pkey-pwd"]
                .contains(&option.name)
        })
        .filter(|option| !["cert", "stun-only"].contains(&option.name))
        .map(|option| match option.name {
            "user" => "user=geheim-name:geheim-geheim\n".to_owned(),
            name if name.ends_with("-ip") || name.ends_with("-address") => format!("{name}=192.0.2.1\n"),
            name if name.ends_with("-port") || name.ends_with("-rps") => format!("{name}=50000\n"),
            name @ ("relay-threads" | "cpus" | "user-quota" | "total-quota" | "max-bps") => {
                format!("{name}=2\n")
            }
            name @ "aux-server" => format!("{name}=192.0.2.1:1\n"),
            name if options::find(name).is_some_and(|option| option.text.contains("`listen")) => {
                format!("{name}\n")
            }
            name @ "prometheus-tls" => format!("{name}\n"),
            name => format!("{name}=geheim-{name}\n"),
        })
        .collect();
    let Imported { report, text, hidden } = imported(&format!("{every}a-geheim-word\nno-stun2\n"));
    for line in every.lines() {
        let name = line.split('=').next().unwrap();
        assert!(report.lines().any(|row| row.starts_with(&format!("  {name} "))), "{name} in {report}");
    }
    assert!(report.contains("2 unknown") && report.contains("did you mean `no-stun`?"), "{report}");
    assert!(!report.contains("geheim"), "{report}");
    assert!(text.contains("geheim-static-auth-secret") && !hidden.contains("geheim-static"), "{hidden}");
}

#[test]
fn threat_41_a_large_file_is_read_in_bounded_time() {
    let users: String = (0..20_000).map(|number| format!("user=u{number}:some-password\n")).collect();
    assert!(told(&format!("realm=r\n{users}")).contains("longer than 256 KiB"));
    let ranges: String = (0..20_000u32)
        .map(|number| format!("denied-peer-ip={}\n", std::net::Ipv4Addr::from_bits(number * 2 + (11 << 24))))
        .collect();
    assert!(told(&format!("{SECRET}{ranges}")).contains("more than 10000 prefixes"));
}

/// A line as it may be in a file: an option with a value of some kind, or anything.
fn line() -> impl Strategy<Value = String> {
    let name = prop::sample::select(options::OPTIONS.iter().map(|option| option.name).collect::<Vec<_>>());
    let value = prop_oneof![
        Just(String::new()),
        "[0-9]{1,6}",
        "[0-9]{1,3}(\\.[0-9]{1,3}){3}",
        "10\\.0\\.0\\.[0-9]{1,3}-10\\.0\\.[0-9]{1,3}\\.[0-9]{1,3}",
        "[a-z0-9:]{0,3}::[a-f0-9]{0,4}",
        "[a-z]{1,5}:\\PC{0,12}",
        "\\PC{0,20}",
        "(on|off|yes|no)",
    ];
    prop_oneof![
        8 => (name, "[ =\t]{1,2}", value).prop_map(|(name, between, value)| format!("{name}{between}{value}")),
        1 => "\\PC{0,40}",
    ]
}

proptest! {
    // A case is read nine times.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_file_panics_and_every_result_is_a_closed_configuration(lines in prop::collection::vec(line(), 0..12), has_ipv6: bool) {
        for head in ["", SECRET, "lt-cred-mech\nrealm=r\n"] {
            let text = format!("{head}{}", lines.join("\n"));
            if let Ok(imported) = import(text.as_bytes(), "f", Path::new("/etc"), Machine { has_ipv6 }) {
                let config = Config::parse(&imported.text, "new", None).expect("the result is valid");
                prop_assert_eq!(config.ice.access, Policy::Token);
                prop_assert!(Config::parse(&imported.hidden, "hidden", None).is_ok() || imported.hidden.contains('…'));
            }
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = import(&bytes, "f", Path::new("/etc"), DUAL);
    }
}
