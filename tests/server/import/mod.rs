//! `byway import` with files as projects document them, and with files that are none.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use byway_test_support::process::byway;
use tempfile::TempDir;

/// A folder with a file of coturn and a place for the result.
struct Import {
    folder: TempDir,
}

impl Import {
    fn new(text: impl AsRef<[u8]>) -> Self {
        let import = Self { folder: tempfile::tempdir().unwrap() };
        fs::write(import.source(), text).unwrap();
        import
    }

    fn source(&self) -> PathBuf {
        self.folder.path().join("turnserver.conf")
    }

    fn target(&self) -> PathBuf {
        self.folder.path().join("turnserver.toml")
    }

    fn run(&self, source: &Path, further: &[&str]) -> Output {
        let mut command = byway();
        command.arg("--config").arg(self.target()).arg("import").arg(source).args(further);
        command.output().unwrap()
    }

    /// Imports the file and returns the report.
    fn done(&self) -> String {
        let output = self.run(&self.source(), &[]);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Imports the file, which is refused, and returns the error.
    fn refused(&self, source: &Path) -> String {
        let output = self.run(source, &[]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(output.stdout.is_empty() && told.contains("\n  remedy: "), "{told}");
        assert!(!self.target().exists(), "something is written: {told}");
        told
    }

    /// Names of the files in the folder.
    fn files(&self) -> Vec<String> {
        let names = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> =
            names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

const DOCUMENTED: [(&str, &str); 4] = [
    ("Nextcloud Talk", include_str!("nextcloud-talk.conf")),
    ("Synapse", include_str!("synapse.conf")),
    ("Jitsi Meet", include_str!("jitsi.conf")),
    ("BigBlueButton", include_str!("bigbluebutton.conf")),
];

#[test]
fn documented_files_are_imported_whole_and_without_secrets_in_the_report() {
    for (project, text) in DOCUMENTED {
        let import = Import::new(text);
        let report = import.done();
        let secret = text.lines().find_map(|line| line.strip_prefix("static-auth-secret=")).unwrap();
        assert!(!report.contains(secret), "{project}: {report}");
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let name = line.split('=').next().unwrap();
            // Two options of older versions, which coturn ignores today.
            let is_known = !["no-loopback-peers", "dh2066"].contains(&name);
            let is_named = report.lines().any(|row| row.starts_with(&format!("  {name} ")));
            assert_eq!(is_named, is_known, "{project}, {name}: {report}");
        }
        let written = fs::read_to_string(import.target()).unwrap();
        assert!(written.contains(&format!("secrets = [\"{secret}\"]")), "{project}: {written}");
        assert!(written.contains("access = \"token\""), "{project}: {written}");
        assert_eq!(fs::metadata(import.target()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(import.files(), ["turnserver.conf", "turnserver.toml"]);
        // Certificates are not there, and `check` says so of no other key.
        let mut check = byway();
        let told = check.arg("--config").arg(import.target()).arg("check").output().unwrap();
        let complaint = String::from_utf8(told.stderr).unwrap();
        match text.contains("cert=") {
            true => assert!(complaint.contains("`tls.cert`"), "{project}: {complaint}"),
            false => assert_eq!(told.status.code(), Some(0), "{project}: {complaint}"),
        }
        // A second import keeps the first.
        let again = import.run(&import.source(), &[]);
        assert_eq!(again.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&again.stderr).contains("this file sets keys already"));
        assert_eq!(fs::read_to_string(import.target()).unwrap(), written);
    }
}

#[test]
fn the_values_of_documented_files_arrive() {
    let [_, (_, synapse), (_, jitsi), (_, bigbluebutton)] = DOCUMENTED;
    let written = |text: &str| {
        let import = Import::new(text);
        import.done();
        fs::read_to_string(import.target()).unwrap()
    };
    let synapse = written(synapse);
    for line in [
        "public_addresses = [\"203.0.113.10\"]",
        "    \"192.168.0.0/16\",",
        "allow = [\"10.0.0.1/32\"]",
        "allocations_per_user = 12",
        "allocations = 1200",
        "cert = \"/etc/letsencrypt/live/turn.example.org/fullchain.pem\"",
    ] {
        assert!(synapse.lines().any(|written| written == line), "{line} in {synapse}");
    }
    assert!(!synapse.contains("\"10.0.0.0/8\""), "the exception is not lost: {synapse}");
    assert!(written(jitsi).contains("\ntcp = []\n"), "{}", written(jitsi));
    let bigbluebutton = written(bigbluebutton);
    for line in [
        "tls = [\"10.0.0.5:443\"]",
        "addresses = [\"10.0.0.5\"]",
        "public_addresses = [\"203.0.113.20\"]",
        "ports = \"32769-65535\"",
    ] {
        assert!(bigbluebutton.lines().any(|written| written == line), "{line} in {bigbluebutton}");
    }
}

/// The example has samples of everything, of which many exclude one another.
#[test]
fn the_example_of_coturn_is_refused_for_what_it_contradicts() {
    let example = include_str!("coturn-example.conf");
    let import = Import::new(example);
    let told = import.refused(&import.source());
    for fault in [
        ":40: `no-auth`: it cannot be carried over. Everyone could relay\n  remedy: configure `use-auth-secret`",
        ":77: `no-udp-relay`: it cannot be carried over. ",
    ] {
        assert!(told.contains(fault), "{fault} in {told}");
    }
    let rest: Vec<_> = example.lines().filter(|line| !["no-auth", "no-udp-relay"].contains(line)).collect();
    let import = Import::new(rest.join("\n"));
    let report = import.done();
    for line in rest {
        let name = line.split(['=', ' ']).next().unwrap();
        assert!(report.lines().any(|row| row.starts_with(&format!("  {name} "))), "{name} in {report}");
    }
    // As it is shipped, no line of it asks for credentials.
    let shipped = Import::new("# a comment\nsyslog\nno-rfc5780\nno-stun-backward-compatibility\n");
    assert!(shipped.refused(&shipped.source()).contains("coturn lets everyone relay with this file"));
}

#[test]
fn a_dry_run_writes_nothing_and_hides_secrets() {
    let import = Import::new(DOCUMENTED[0].1);
    let output = import.run(&import.source(), &["--dry-run"]);
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("nothing is written") && told.contains("secrets = [\"…\"]"), "{told}");
    assert!(!told.contains("5a1c0a5d94ea8ab5e0a1fe5cf0fbf1d7"), "{told}");
    assert_eq!(import.files(), ["turnserver.conf"]);
}

#[test]
fn threat_41_a_file_that_is_none_is_one_clear_error() {
    let import = Import::new("");
    let folder = import.folder.path();
    let at = |name: &str| folder.join(name);
    assert!(import.refused(folder).contains("not a regular file"));
    assert!(import.refused(Path::new("/dev/zero")).contains("not a regular file"));
    assert!(import.refused(&at("missing")).contains("No such file"));
    assert!(Command::new("mkfifo").arg(at("fifo")).status().unwrap().success());
    assert!(import.refused(&at("fifo")).contains("not a regular file"));
    symlink(at("loop"), at("loop")).unwrap();
    assert!(import.refused(&at("loop")).contains("symbolic links"));
    fs::write(at("large"), "x".repeat(10 << 20)).unwrap();
    assert!(import.refused(&at("large")).contains("longer than 1024 KiB"));
    fs::write(at("binary"), [0x7f, b'E', b'L', b'F', 0, 0, 0xff]).unwrap();
    assert!(import.refused(&at("binary")).contains("binary:1: a NUL byte"));
    fs::write(at("garbage"), "geheim geheim\n".repeat(50_000)).unwrap();
    let told = import.refused(&at("garbage"));
    assert!(told.contains("no option of coturn") && !told.contains("geheim"), "{told}");
    fs::write(at("long"), format!("realm=a\nuser=a:{}\n", "x".repeat(5000))).unwrap();
    assert!(import.refused(&at("long")).contains("long:2: a line of 5007 bytes"));
    // A link to a file is followed.
    fs::write(at("file"), DOCUMENTED[0].1).unwrap();
    symlink(at("file"), at("link")).unwrap();
    assert_eq!(import.run(&at("link"), &[]).status.code(), Some(0));
}

#[test]
fn threat_40_faults_of_a_file_show_no_secret_and_leave_nothing() {
    let text = "realm=example.org\nuser=geheim-name:geheim-word\nuser=geheim-name:geheim-too\nlistening-port=99999\n\
                denied-peer-ip=10.0.0.9-10.0.0.1\n";
    let import = Import::new(text);
    let told = import.refused(&import.source());
    for line in ["turnserver.conf:4: `listening-port`: ", "turnserver.conf:5: `denied-peer-ip`: "] {
        assert!(told.contains(line), "{line} in {told}");
    }
    assert!(!told.contains("geheim"), "{told}");
    assert_eq!(import.files(), ["turnserver.conf"]);
    let twice = Import::new(&text[..text.find("listening").unwrap()]);
    let told = twice.refused(&twice.source());
    assert!(told.contains("turnserver.conf:3: `user`: ") && !told.contains("geheim"), "{told}");
}
