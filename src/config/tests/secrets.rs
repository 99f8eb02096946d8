//! Secrets and keys: read whole, and never shown.

use super::*;

/// A line with any line ending is one line.
#[test]
fn threat_38_a_secret_file_holds_the_secret_and_the_end_of_its_line_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let read = |content: &str| {
        fs::write(dir.path().join("secret"), content).unwrap();
        let text = "credentials.secret_files = [\"secret\"]";
        Config::parse(text, "f.toml", Some(dir.path())).map(|config| config.credentials.secrets)
    };
    for content in ["north-north", "north-north\n", "north-north\r\n", "north-north\n\n"] {
        assert_eq!(clear(&read(content).unwrap()), ["north-north"], "{content:?}");
    }
    for (content, reason) in [
        ("\u{feff}north-north\n", "begins with a byte order mark"),
        ("north-north\nsouth-south\n", "more than one line"),
        ("\nnorth-north\n", "more than one line"),
        ("north-north \n", "a space before or after"),
        ("\tnorth-north\n", "a space before or after"),
        ("north\0north\n", "a control character"),
    ] {
        let error = read(content).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("north"), "{content:?}: {error}");
    }
}

#[test]
fn threat_38_a_set_of_keys_is_read_whole() {
    let dir = tempfile::tempdir().unwrap();
    let read = |content: &str| {
        fs::write(dir.path().join("keys.json"), content).unwrap();
        Config::parse("tokens.jwks_file = \"keys.json\"", "f.toml", Some(dir.path()))
    };
    let key = |more: &str| {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"{more}}}"#)
    };
    let set = |key: &str| format!(r#"{{"keys":[{key}]}}"#);
    for more in ["", r#","use":"sig""#, r#","key_ops":["verify"],"x-more":"of another's""#] {
        read(&set(&key(more))).unwrap_or_else(|error| panic!("{more}: {error}"));
    }
    for (content, reason) in [
        (set(&key(r#","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A""#)), "key 1, \"\", is private"),
        (set(&key(r#","use":"enc""#)), "is not for verifying signatures"),
        (set(&key(r#","key_ops":["sign"]"#)), "is not for verifying signatures"),
        (set(&format!("{},{}", key(""), key(r#","d":"geheim""#))), "key 2, \"\", is private"),
        (set(r#"{"kty":"oct","k":"geheim"}"#), "key 1, \"\", is private"),
        (set(&key("")) + "{}", "not a JSON Web Key Set at line 1, column"),
        (r#"{"keys":"geheim"}"#.to_owned(), "not a JSON Web Key Set at line 1, column"),
    ] {
        let error = read(&content).unwrap_err().to_string();
        assert!(error.contains(reason) && !error.contains("geheim"), "{content}: {error}");
    }
}

#[test]
fn threat_40_a_secret_in_the_place_of_a_file_or_a_key_is_not_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (text, remedy) in [
        ("[credentials]\nsecret_files = [\"geheim-geheim\"]", "put a secret into `secrets`"),
        ("[tokens]\nsecret_files = [\"Geheim/geheim+9=\"]", "put a secret into `secrets`"),
        ("tokens.jwks_file = \"geheim-geheim\"", "put a secret into `secrets`"),
        ("[credentials]\n\"geheim-geheim\" = 1", "write a secret after its key"),
        ("[tokens]\ngeheim-geheim = \"\"", "write a secret after its key"),
        ("[ice]\n\"geheim-geheim\" = \"\"", "write a secret after its key"),
        // The header of its section is missing.
        ("#[tokens]\n\"Geheim/geheim+9=\" = 1", "write a secret after its key"),
        ("[relay]\n\"geheim geheim\" = 1", "write a secret after its key"),
        ("tls = { key = \"-----BEGIN PRIVATE KEY-----\\ngeheim\" }", "name the file"),
        ("tls.key = \"-----BEGIN PRIVATE KEY-----geheim\" 5", "write TOML"),
        ("tls.key = \"\"\"\ngeheim\n\"\"\"", "name the file"),
        ("tls.key = \"MIGHAgEAgeheim\"", "name the certificate in `cert`"),
        ("http.hosts = [\"user:geheim@example.org\"]", "host"),
        ("listen.udp = [\"user:geheim@example.org\"]", "an IP address and a port"),
        ("relay.ports = \"user:geheim@example.org\"", ""),
    ] {
        let error = Config::parse(text, "f.toml", Some(dir.path())).unwrap_err().to_string();
        assert!(!error.to_lowercase().contains("geheim") && error.contains(remedy), "{text}\n{error}");
    }
    // A key cannot write control characters to the terminal.
    let error = Config::parse("\"\\u001b[31mudp\\n\" = 1", "f.toml", None).unwrap_err().to_string();
    assert!(!error.contains('\u{1b}'), "{error}");
    let text = "[credentials]\nsecret_files = [\"turn.secret\"]";
    let error = Config::parse(text, "f.toml", Some(dir.path())).unwrap_err().to_string();
    assert!(error.contains("/turn.secret: No such file"), "{error}");
}

/// Positions of secrets in a file that is otherwise valid, as `SECRET` and `OTHER`.
const PLACES: &[&str] = &[
    "[credentials]\nsecrets = [\"OTHER\", \"SECRET\"]\n",
    "[credentials]\nsecrets = [\n  \"OTHER\", # of May\n  \"SECRET\",\n]\n",
    "credentials = { ttl = \"10m\", secrets = [\"SECRET\", \"OTHER\"] }\n",
    "credentials.secrets = ['SECRET', \"\"\"OTHER\"\"\"]\n",
    "tokens.secrets = [\"SECRET\", \"OTHER\"]\n",
    "[tokens]\n\"secrets\" = [\n\"\"\"\nSECRET\"\"\",\n'''OTHER''']\n",
    "[ice]\napi_keys = [\"SECRET\", \"OTHER\"]\n",
    "ice.api_keys = [\n\"SECRET\",\n\"OTHER\",\n]\n",
    // Unknown keys.
    "[credentials]\nsecret = \"SECRET\"\n[ice]\napi_key = [\"OTHER\"]\n",
    "[credentials]\nsecret_files = [\"SECRET\", \"OTHER\"]\nttl = 5\n",
    "tokens = { secret_files = [\"SECRET\"], jwks_file = \"OTHER\", audience = 5 }\n",
    // In the place of a key.
    "[credentials]\n\"SECRET\" = \"OTHER\"\n",
    "tokens.\"SECRET\" = [\"OTHER\"]\nice.\"OTHER\" = true\n",
    "[tokens.\"SECRET\"]\n\"OTHER\" = 1\n",
    "[[users]]\nname = \"a\"\npassword = \"SECRET\"\n[webhooks]\nsecret = \"OTHER\"\n",
];

fn in_its_place(place: &str, secret: &str, other: &str) -> String {
    place.replace("SECRET", secret).replace("OTHER", other)
}

proptest! {
    /// Applies one random mistake: an extra, missing or different character, half of the file, a
    /// repeated line, a value of another type. It may also be elsewhere on the line.
    #[test]
    fn threat_40_no_mistake_shows_a_secret(
        place in prop::sample::select(PLACES),
        secret in "[A-Za-z0-9+/]{20}(==)?",
        other in "[A-Za-z0-9+/]{4}|[A-Za-z0-9 #,.-]{16,40}",
        slip in 0..10,
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["\"", "'", "]", "[", "{", "=", "\n", "#", ",", "\\", "realm = 5 ", "\"\"\""]),
    ) {
        let right = in_its_place(place, &secret, &other);
        let at = right.floor_char_boundary(at.index(right.len()));
        let line = right.lines().nth(at % right.lines().count()).unwrap_or_default();
        let text = match slip {
            0 | 1 => format!("{}{with}{}", &right[..at], &right[at..]),
            2 => right[..at].to_owned() + right.get(at + 1..).unwrap_or_default(),
            3 => right[..at].to_owned() + with + right.get(at + 1..).unwrap_or_default(),
            4 => right[..at].to_owned(),
            5 => format!("{right}{line}\n"),
            6 => right.replace(['[', ']'], ""),
            7 => right.replace('"', "").replace("''", ""),
            8 => right.replacen('\n', " realm = 7\n", 1 + at % 3),
            _ => format!("realm = 5\n{right}\n[listen]\nudp = 3"),
        };
        // A mistake within a secret splits it, so the test looks for its halves.
        let halves: Vec<&str> = [&*secret, &*other]
            .into_iter()
            .filter(|secret| secret.len() >= 16)
            .flat_map(|secret| [&secret[..secret.len() / 2], &secret[secret.len() / 2..]])
            .collect();
        match Config::parse(&text, "f.toml", None) {
            Ok(config) => {
                let said = format!("{config:?}");
                prop_assert!(halves.iter().all(|half| !said.contains(half)), "{}\n{}", text, said);
            }
            Err(error) => {
                let said = format!("{error}\n{error:?}");
                prop_assert!(halves.iter().all(|half| !said.contains(half)), "{}\n{}", text, said);
            }
        }
    }
}
