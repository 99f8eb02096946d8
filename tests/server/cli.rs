//! The commands as a person or a script meets them: exit codes and what is printed.

use std::process::{Command, Output, Stdio};

use byway_test_support::process::{CONFIG, Configuration, Server, byway, password};

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("stdout is UTF-8")
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("stderr is UTF-8")
}

#[test]
fn help_names_the_commands() {
    let output = byway().arg("--help").output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(0));
    for command in ["serve", "check", "init", "credential", "import", "invite", "probe", "--config <FILE>"] {
        assert!(stdout(&output).contains(&format!("  {command}")), "{command}:\n{}", stdout(&output));
    }
}

#[test]
fn an_unknown_command_is_exit_2() {
    let output = byway().arg("prob").output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("a similar subcommand exists: 'probe'"), "{}", stderr(&output));
}

#[test]
fn check_says_ok_and_what_is_served() {
    let file = Configuration::new("[listen]\nudp = [\"0.0.0.0:3478\"]\nadmin = []\n");
    let output = file.run(&["check"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        stdout(&output),
        format!(
            "{}: ok\n  udp   0.0.0.0:3478\n  tcp   127.0.0.1:3478, [::1]:3478\n  tls   off\n  http  127.0.0.1:8080, [::1]:8080\n  admin off\n  \
             relay 127.0.0.1, ::1, ports 49152-65535\n  \
             hint: no secrets: the server generates one at each start, and no other program can sign credentials; \
             set `secrets` under [credentials] if one must\n  \
             hint: other machines reach the `udp` listeners, but relay.addresses is loopback: no peer can be reached; \
             set it to [\"0.0.0.0\"]\n    more: byway explain public-address-unset\n  \
             hint: no certificate, `[ice] urls` or `[http] hosts` names this server: HTTP is served under its addresses only; \
             list the names that a reverse proxy or Prometheus requests in `hosts` under [http]\n    \
             more: byway explain proxy-host\n",
            file.path().display()
        )
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn check_knows_that_turn_without_udp_is_not_off() {
    let file = Configuration::new("[listen]\nudp = []\ntcp = [\"0.0.0.0:3478\"]\n");
    let output = file.run(&["check"]);
    let told = stdout(&output);
    assert!(told.contains("hint: no `udp` listener: media goes over TCP"), "{told}");
    assert!(told.contains("hint: other machines reach the `tcp` listeners, but relay.addresses"), "{told}");
    let file = Configuration::new("[listen]\nudp = []\ntcp = []\n");
    let output = file.run(&["check"]);
    let told = stdout(&output);
    assert!(told.contains("listener: STUN and TURN are off"), "{told}");
}

#[test]
fn threat_44_check_knows_that_an_ipv6_wildcard_has_no_ipv4() {
    let listen = r#"udp = ["[::]:3478"]
tcp = ["[::]:3478", "0.0.0.0:3479"]
admin = ["[::]:9090", "192.0.2.1:9090"]
http = ["[::1]:8080"]
"#;
    let file = Configuration::new(&format!("relay.addresses = [\"::\"]\n[listen]\n{listen}"));
    let told = stdout(&file.run(&["check"])).to_owned();
    for hint in [
        "hint: listen.udp has [::]:3478, which is IPv6 only: add \"0.0.0.0:3478\" to serve IPv4 too\n",
        "hint: listen.tcp has [::]:3478, which is IPv6 only",
        "hint: relay.addresses has no IPv4 address",
    ] {
        assert!(told.contains(hint), "{hint} in {told}");
    }
    assert_eq!(told.matches("IPv6 only").count(), 2, "an address by name is meant: {told}");
    let both = "[listen]\nudp = [\"0.0.0.0:3478\", \"[::]:3478\"]\n";
    let told = stdout(&Configuration::new(both).run(&["check"])).to_owned();
    assert!(!told.contains("IPv6 only") && !told.contains("440"), "{told}");
}

/// Whether there is anything to say is this machine's matter; tests of the sentence stand beside
/// it.
#[test]
fn threat_49_check_tells_of_relay_ports_that_the_kernel_gives_away() {
    let told = |relay: &str| {
        stdout(&Configuration::new(&format!("relay.addresses = [\"{relay}\"]\n")).run(&["check"])).to_owned()
    };
    let remark = byway::net::local_ports::remark(&["192.0.2.1".parse().unwrap()], &(49_152..=65_535));
    match remark {
        Some(remark) => assert!(told("192.0.2.1").contains(&format!("hint: {remark}\n")), "{remark}"),
        None => assert!(!told("192.0.2.1").contains("ip_local_reserved_ports")),
    }
    assert!(!told("127.0.0.1").contains("ip_local_reserved_ports"));
}

#[test]
fn check_knows_listeners_behind_a_proxy() {
    let told = |text: &str| stdout(&Configuration::new(text).run(&["check"])).to_owned();
    let listed = "[listen]\nproxy_protocol = [\"http\", \"tcp\"]\ntrusted_proxies = [\"10.0.0.1\"]\n";
    assert!(told(listed).contains("  PROXY tcp, http\n"), "{}", told(listed));
    assert!(!told(listed).contains("hint: listen.proxy_protocol"), "{}", told(listed));
    let nobody = told("[listen]\nproxy_protocol = [\"tcp\"]\n");
    assert!(nobody.contains("trusted_proxies is empty: every connection is refused"), "{nobody}");
    let nothing = told("[listen]\nproxy_protocol = [\"tls\"]\ntrusted_proxies = [\"10.0.0.1\"]\n");
    assert!(nothing.contains("there is no `tls` listener"), "{nothing}");
    assert!(!told("").contains("PROXY"));
}

/// `check` has no network: it knows what an authority cannot reach, and what none certifies.
#[test]
fn check_knows_what_keeps_an_authority_away() {
    let told = |listen: &str, acme: &str| {
        let text = format!("ice.access = \"token\"\n[listen]\n{listen}\n[acme]\n{acme}\n");
        stdout(&Configuration::new(&text).run(&["check"])).to_owned()
    };
    let good = told("tls = [\"0.0.0.0:443\"]", "names = [\"call.example.org\"]");
    let line =
        "certificate for call.example.org from https://acme-v02.api.letsencrypt.org/directory by tls-alpn-01";
    assert!(good.contains(line) && !good.contains("hint: acme."), "{good}");
    for (listen, acme, words) in [
        ("tls = [\"0.0.0.0:8443\"]", "names = [\"call.example.org\"]", "no `tls` listener has port 443"),
        ("tls = [\"127.0.0.1:443\"]", "names = [\"call.example.org\"]", "listeners are on loopback"),
        ("tls = [\"0.0.0.0:443\"]", "names = [\"call.lan\"]", "acme.names has call.lan"),
        ("tls = [\"0.0.0.0:443\"]", "names = [\"10.0.0.5\"]", "acme.names has 10.0.0.5"),
        (
            "http = [\"0.0.0.0:80\"]",
            "names = [\"call.example.org\"]\nchallenge = \"http-01\"",
            "there is no `tls` listener: the certificate is not used",
        ),
    ] {
        let told = told(listen, acme);
        assert!(told.contains(words), "{words} in {told}");
    }
}

/// Clients verify the certificate by the host of the URL.
#[test]
fn a_credential_has_urls_with_the_name_that_is_to_be_certified() {
    let text = "ice.access = \"token\"\ncredentials.secrets = [\"north-north\"]\nlisten.tls = [\"0.0.0.0:443\"]\n\
                acme.names = [\"call.example.org\"]\n";
    let output = Configuration::new(text).run(&["credential", "--user", "ann"]);
    assert!(stdout(&output).contains("\"turns:call.example.org:443?transport=tcp\""), "{output:?}");
}

#[test]
fn an_invitation_leads_to_the_first_name_that_is_to_be_certified() {
    let text = "ice.access = \"token\"\ntokens.secrets = [\"north-north\"]\nlisten.tls = [\"0.0.0.0:443\"]\n\
                acme.names = [\"call.example.org\", \"turn.example.org\"]\n";
    let output = Configuration::new(text).run(&["invite", "--room", "oak"]);
    assert!(stdout(&output).starts_with("https://call.example.org/?room=oak#"), "{output:?}");
}

#[test]
fn check_knows_what_serves_to_find_faults() {
    let file = Configuration::new("relay.offload = false\n");
    let output = file.run(&["check"]);
    let told = stdout(&output);
    assert!(told.contains("hint: relay.offload is off"), "{told}");
}

#[test]
fn check_knows_a_door_without_a_key() {
    let nobody = "ice.access is \"token\", but no secret";
    for (text, warned) in [
        ("ice.access = \"token\"", true),
        ("ice.access = \"token\"\ncredentials.secrets = [\"north-north\"]", false),
        ("ice.access = \"token\"\ntokens.secrets = [\"north-north\"]", false),
        ("ice.access = \"token\"\nice.api_keys = [\"a-key-for-programs\"]", false),
        ("", false),
    ] {
        let output = Configuration::new(text).run(&["check"]);
        assert_eq!(stdout(&output).contains(nobody), warned, "{text}: {}", stdout(&output));
    }
}

#[test]
fn threat_33_check_knows_a_server_without_a_name() {
    let unnamed = "list the names that a reverse proxy or Prometheus requests in `hosts` under [http]";
    for (text, warned) in [
        ("", false),
        ("listen.udp = [\"0.0.0.0:3478\"]", true),
        ("listen.udp = [\"0.0.0.0:3478\"]\nlisten.http = []", false),
        ("listen.udp = [\"0.0.0.0:3478\"]\nhttp.hosts = [\"call.example.org\"]", false),
        ("listen.udp = [\"0.0.0.0:3478\"]\nice.urls = [\"stun:call.example.org\"]", false),
    ] {
        let output = Configuration::new(text).run(&["check"]);
        assert_eq!(stdout(&output).contains(unnamed), warned, "{text}: {}", stdout(&output));
    }
}

#[test]
fn threat_34_check_knows_that_everyone_is_trusted() {
    for (proxies, warned) in [("0.0.0.0/0", true), ("::/0", true), ("172.18.0.0/16", false)] {
        let output = Configuration::new(&format!("listen.trusted_proxies = [\"{proxies}\"]")).run(&["check"]);
        let told = stdout(&output);
        assert_eq!(told.contains("hint: listen.trusted_proxies has every address"), warned, "{told}");
    }
}

#[test]
fn check_reads_the_file_named_by_the_environment() {
    let file = Configuration::new("realm = 5");
    let output = byway().arg("check").env("BYWAY_CONFIG", file.path()).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_mistake_is_exit_2_with_file_line_caret_reason_and_remedy() {
    let cases = [
        (
            "realm = \"a\"\n[peers]\nallow = [\"10.0.0.0/33\"]\n",
            r#":3:10: `peers.allow`: "33" is not the length of an IPv4 range
  3 | allow = ["10.0.0.0/33"]
    |          ^^^^^^^^^^^^^
  remedy: use a length from 0 to 32 after the slash, such as "10.0.0.0/32"
"#,
        ),
        (
            "relam = \"a\"\n",
            r#":1:1: `relam` is not a key
  1 | relam = …
    | ^^^^^
  remedy: did you mean `realm`?
"#,
        ),
        (
            "[relay]\nbusy_poll = \"1s\"\n",
            r#":2:13: `relay.busy_poll`: "1s" is out of bounds
  2 | busy_poll = "1s"
    |             ^^^^
  remedy: use a duration from "0s" to "10ms", such as "200us"
"#,
        ),
        (
            "[credentials]\nsecret_files = [\"/nowhere/secret\"]\n",
            r#":2:17: `credentials.secret_files`: /nowhere/secret: No such file or directory (os error 2)
  2 | secret_files = ["/nowhere/secret"]
    |                 ^^^^^^^^^^^^^^^^^
  remedy: use a file that contains only the secret, readable by this user
"#,
        ),
    ];
    for (text, shown) in cases {
        let file = Configuration::new(text);
        // Whatever the command: nothing runs on a configuration that is wrong.
        for command in [&["check"][..], &["serve"], &[], &["credential", "--user", "a"], &["probe"]] {
            let output = file.run(command);
            assert_eq!(output.status.code(), Some(2), "{command:?}");
            assert_eq!(stderr(&output), format!("{}{shown}", file.path().display()), "{command:?}");
            assert_eq!(stdout(&output), "", "{command:?}");
        }
    }
}

/// A list that is dropped in silence would be a gate that stands open.
#[test]
fn threat_14_a_malformed_access_list_keeps_the_server_from_starting() {
    for key in ["allow", "deny"] {
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "localhost", ""] {
            let list = format!("[peers]\n{key} = [\"203.0.113.0/24\", {bad:?}]\n");
            let file = Configuration::new(&list);
            let serve = file.command();
            // A server that starts does not end by itself.
            let mut bounded = Command::new("timeout");
            bounded.arg("10").arg(serve.get_program()).args(serve.get_args()).arg("serve");
            let output = bounded.output().expect("`timeout` starts");
            let said = stderr(&output);
            assert_eq!(output.status.code(), Some(2), "{list}{said}");
            assert!(said.contains(&format!(": `peers.{key}`: ")), "{said}");
        }
    }
}

#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let file = Configuration::new("");
    let mut child = file
        .command()
        .arg("check")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}

#[test]
fn a_file_that_is_not_there_is_exit_2() {
    let output =
        byway().args(["check", "--config", "/nowhere/turnserver.toml"]).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "/nowhere/turnserver.toml: No such file or directory (os error 2)\n  \
         remedy: name a configuration file: --config FILE, or BYWAY_CONFIG in the environment\n"
    );
}

#[test]
fn a_credential_is_what_the_secret_makes_of_the_username() {
    let file = Configuration::new(
        "listen.udp = [\"0.0.0.0:3478\"]\nrelay.addresses = [\"192.0.2.7\"]\n\
         credentials.secrets = [\"north-north\", \"south-south\"]",
    );
    let output = file.run(&["credential", "--user", "alice", "--ttl", "1h 30m"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1);

    let json: serde_json::Value = serde_json::from_str(stdout(&output)).expect("JSON");
    let keys: Vec<_> = json.as_object().expect("an object").keys().collect();
    assert_eq!(keys, ["password", "ttl", "uris", "username"]);
    assert_eq!(json["ttl"], 5400);
    assert_eq!(json["uris"], serde_json::json!(["turn:192.0.2.7:3478?transport=udp"]));

    let username = json["username"].as_str().expect("a text");
    assert_eq!(json["password"], password("north-north", username));

    let (expiry, name) = username.split_once(':').expect("expiry:name");
    let ends_in = expiry.parse::<u64>().expect("digits") - byway::clock::Clock::start().now().unix;
    assert_eq!(name, "alice");
    assert!((5340..=5400).contains(&ends_in), "{ends_in}");
}

#[test]
fn a_port_that_the_system_chose_is_in_no_credential() {
    let file = Configuration::new(
        "listen.udp = [\"127.0.0.1:0\", \"127.0.0.1:3478\"]\nlisten.tcp = [\"127.0.0.1:0\"]\ncredentials.secrets = [\"north-north\"]",
    );
    let output = file.run(&["credential", "--user", "alice"]);
    let json: serde_json::Value = serde_json::from_str(stdout(&output)).expect("JSON");
    assert_eq!(json["uris"], serde_json::json!(["turn:127.0.0.1:3478?transport=udp"]));
}

#[test]
fn without_a_secret_there_is_no_credential() {
    let file = Configuration::new("");
    let output = file.run(&["credential", "--user", "alice"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        format!(
            "{}: no secret to sign with; the server generates its own at each start and shares it with nobody\n  \
             remedy: set `secrets` or `secret_files` under [credentials] and restart the server\n",
            file.path().display()
        )
    );
    assert_eq!(stdout(&output), "");
}

#[test]
fn arguments_out_of_bounds_are_exit_2() {
    let file = Configuration::new("credentials.secrets = [\"north-north\"]");
    let cases = [
        (&["credential"][..], "--user <NAME>"),
        (&["credential", "--user", ""], "a name has 1 to 256 bytes and no control characters"),
        (&["credential", "--user", "a\nb"], "a name has 1 to 256 bytes and no control characters"),
        (
            &["credential", "--user", "a", "--ttl", "600"],
            "write a duration such as \"90s\", \"10m\" or \"1h 30m\"",
        ),
        (&["credential", "--user", "a", "--ttl", "8days"], "give a lifetime from 1 second to 7 days"),
        (&["probe", "ftp://example.org"], "a page's URL begins with https:// or http://"),
        (&["probe", "example.org/a b"], "give a host, such as call.example.org, the URL of its page"),
        (&["probe", "turns:example.org?transport=udp"], "the client does not support DTLS"),
        (&["probe", "--username", "a"], "--password <P>"),
    ];
    for (arguments, reason) in cases {
        let output = file.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr(&output).contains(reason), "{arguments:?}\n{}", stderr(&output));
    }
}

#[test]
fn a_port_that_the_system_chose_cannot_be_probed_by_guessing() {
    let file = Configuration::new("listen.udp = [\"127.0.0.1:0\"]\nlisten.tcp = []");
    let output = file.run(&["probe"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        format!(
            "{}: no STUN or TURN listener with a fixed port\n  \
             remedy: give a URL, such as turn:HOST:PORT\n",
            file.path().display()
        )
    );
}

/// Opening a pipe waits for its writer, so `check` would wait for ever.
#[test]
fn threat_41_a_pipe_in_the_place_of_any_file_is_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("`mkfifo` starts").success());
    std::os::unix::fs::symlink(&pipe, folder.path().join("link")).expect("a link");
    let shown = pipe.display();
    let cases = [
        (format!("credentials.secret_files = [\"{shown}\"]"), "check"),
        (format!("tokens.secret_files = [\"{shown}\"]"), "serve"),
        (format!("tokens.jwks_file = \"{shown}\""), "check"),
        (format!("tls = {{ cert = \"{shown}\", key = \"{shown}\" }}"), "check"),
        ("credentials.secret_files = [\"/dev/zero\"]".to_owned(), "check"),
        ("tokens.jwks_file = \"/dev/tty\"".to_owned(), "check"),
    ];
    let refuses = |command: &mut Command| {
        let output = command.stdin(Stdio::piped()).output().expect("`timeout` starts");
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{command:?}: {said}");
        assert!(said.contains("not a regular file") && said.contains("\n  remedy: "), "{command:?}: {said}");
    };
    let bounded = |arguments: &[&str]| {
        let program = byway();
        let mut bounded = Command::new("timeout");
        bounded.args(["--kill-after=1", "20"]).arg(program.get_program()).args(arguments);
        bounded
    };
    for (text, command) in cases {
        let file = Configuration::new(&text);
        refuses(&mut bounded(&["--config", &file.path().to_string_lossy(), command]));
    }
    for path in [pipe, folder.path().join("link"), folder.path().to_owned(), "/dev/stdin".into()] {
        let path = path.to_string_lossy();
        refuses(&mut bounded(&["check", "--config", &path]));
        refuses(&mut bounded(&[
            "probe",
            "--ca",
            &path,
            "turn:127.0.0.1:1",
            "--username",
            "a",
            "--password",
            "b",
        ]));
    }
}

/// A disk image named by mistake: neither read whole, nor told of by the line.
#[test]
fn threat_41_a_huge_file_takes_neither_memory_nor_time() {
    let file = Configuration::new(&"wrong = 1\n".repeat(10_000_000));
    let mut small = Command::new("prlimit");
    small.args(["--as=268435456", byway().get_program().to_str().expect("a path"), "check", "--config"]);
    let output = small.arg(file.path()).output().expect("`prlimit` starts");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("turnserver.toml: longer than 256 KiB\n  remedy: "),
        "{}",
        stderr(&output)
    );

    // As much as is read, all of it wrong.
    let wrong: String = (0..15_000).map(|number| format!("wrong_{number} = 1\n")).collect();
    let file = Configuration::new(&wrong);
    let mut small = Command::new("prlimit");
    small.args(["--as=268435456", byway().get_program().to_str().expect("a path"), "check", "--config"]);
    let output = small.arg(file.path()).output().expect("`prlimit` starts");
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).ends_with("and 14980 more\n"), "{}", stderr(&output));
}

/// `byway ... | head -0`: the reader has read enough, whichever command it is; how the command ends
/// is its own business.
#[test]
fn threat_30_no_command_minds_a_reader_that_is_gone() {
    let file =
        Configuration::new("credentials.secrets = [\"north-north\"]\nlisten.http = [\"127.0.0.1:8080\"]");
    for (arguments, status) in [
        (&["check"][..], 0),
        (&["credential", "--user", "a"], 0),
        (&["invite", "--room", "oak", "--url", "https://call.example.org"], 0),
        (&["--help"], 0),
        (&["probe", "turn:127.0.0.1:1", "--username", "a", "--password", "b"], 1),
    ] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let output = file.command().args(arguments).stdout(writer).output().expect("the binary starts");
        assert_eq!((output.status.code(), stderr(&output)), (Some(status), ""), "{arguments:?}");
    }
    // Nobody hears of an error either.
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let status = Configuration::new("realm = 5").command().arg("check").stderr(writer).status();
    assert_eq!(status.expect("the binary starts").code(), Some(2));
    // An answer that could not be given is no answer.
    let full = std::fs::File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = file.command().arg("check").stdout(full).output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
}

/// A good key beside a wrong one, and a secret that was torn apart.
#[test]
fn threat_40_no_command_shows_a_secret_of_a_wrong_file() {
    for text in [
        "[ice]\napi_keys = [\"a-key-of-a-backend\", \"short\"]\n",
        "[ice]\napi_keys = [\n  \"a-key-of-a-backend\",\n  \"a-key-of-another\n]\n",
        "[credentials]\nsecret = \"a-key-of-a-backend\"\n",
        "credentials = { secrets = [\"a-key-of-a-backend\"], realm = 5 }\n",
        "[tokens]\nsecrets = \"a-key-of-a-backend\"\n",
    ] {
        let file = Configuration::new(text);
        for command in [&["check"][..], &["serve"], &["credential", "--user", "a"]] {
            let output = file.run(command);
            assert_eq!(output.status.code(), Some(2), "{text}");
            assert!(!stderr(&output).contains("a-key-of"), "{}", stderr(&output));
        }
    }
}

#[test]
fn health_is_a_fault_only_if_no_server_answers() {
    let server = Server::start();
    let file = Configuration::new(&format!("[listen]\nadmin = [\"{}\"]\n", server.bound.admin[0]));
    let output = file.run(&["health"]);
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "ok\n"), "{}", stderr(&output));
    drop(server);
    let output = file.run(&["health"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).contains("\n  remedy: start the server\n"), "{}", stdout(&output));
    let output = Configuration::new("listen.admin = []").run(&["health"]);
    assert_eq!(output.status.code(), Some(2), "{}", stdout(&output));
    assert!(stderr(&output).contains("remedy: set `admin` under [listen]"), "{}", stderr(&output));
}

#[test]
fn health_asks_a_unix_socket_where_it_is_the_only_listener() {
    let config = CONFIG.replace("admin = [\"127.0.0.1:0\"]", "admin = [\"unix:admin.sock\"]");
    let server = Server::start_with(&config, |_| {});
    let health = || server.command().arg("health").output().expect("the binary starts");
    let output = health();
    assert_eq!((output.status.code(), stdout(&output)), (Some(0), "ok\n"), "{}", stderr(&output));
    let output = server.command().arg("check").output().expect("the binary starts");
    assert!(!stdout(&output).contains("admin off") && stdout(&output).contains("admin unix:"));
    let socket = server.configuration_path().with_file_name("admin.sock");
    std::fs::remove_file(&socket).expect("the socket is there");
    let output = health();
    let expected = format!("no answer from unix:{}: ", socket.display());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stdout(&output).starts_with(&expected), "{}", stdout(&output));
}

#[test]
fn explain_prints_the_entry_of_a_fault_without_a_configuration() {
    let explain = |arguments: &[&str]| {
        let missing = ["--config", "/nowhere/turnserver.toml", "explain"];
        byway().args(missing).args(arguments).output().expect("the binary starts")
    };
    let output = explain(&["relay-ports-blocked"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    assert!(text.starts_with("relay-ports-blocked: UDP does not reach the relay ports.\n"), "{text}");
    assert!(text.contains("\nOperator  Allow the range: `sudo ufw allow 49152:65535/udp`"), "{text}");
    let list = explain(&[]);
    assert!(stdout(&list).contains("\nrelay-ports-blocked "), "{}", stdout(&list));
    let unknown = explain(&["relay-port-blocked"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(
        stderr(&unknown).contains("a similar value exists: 'relay-ports-blocked'"),
        "{}",
        stderr(&unknown)
    );
}
