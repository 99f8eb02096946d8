//! Static users: `[[users]]`.

use super::*;

const CAMERA: &str = "[[users]]\nname = \"camera\"\n";

#[test]
fn users_are_a_list_of_names_with_a_password_or_a_file() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("phone"), "geheim-geheim\r\n").unwrap();
    let key = "0x8493fbc53ba582fb4c044c456bdc40eb";
    let text = format!(
        "{CAMERA}password = \"geheim\"\n[[users]]\nname = \"phone\"\npassword_file = \"phone\"\n\
         [[users]]\npassword = \"{key}\"\nname = \"sip\"\n"
    );
    let config = Config::parse(&text, "f.toml", Some(dir.path())).unwrap();
    let user = |name, password| StaticUser::new(name, password).unwrap();
    assert!(config.users == [user("camera", "geheim"), user("phone", "geheim-geheim"), user("sip", key)]);
    assert!(!format!("{config:?}").contains("geheim") && !format!("{config:?}").contains("camera"));
    assert!(Config::embedded().users.is_empty() && parsed("users = []").users.is_empty());
    assert_eq!(parsed("users = [{ name = \"a\", password = \"b\" }]").users.len(), 1);
    let changes = Config::embedded().changes(&parsed(&format!("{CAMERA}password = \"b\"")));
    assert_eq!(changes.iter().map(|change| change.key).collect::<Vec<_>>(), ["users"]);
}

#[test]
fn a_mistake_in_a_user_has_its_place_and_remedy() {
    for (text, shown) in [
        (
            "[[users]]\nname = \"17:camera\"\npassword = \"geheim\"",
            r#"
f.toml:2:8: `users.name`: a name with a colon could be taken for a time-limited username, `expiry:name`
  2 | name = …
    |        ^
  remedy: use a name without a colon; a time-limited username needs no entry here, only a secret under [credentials]"#,
        ),
        (
            "[[users]]\nname = \"a\"\npassword = \"b\"\n[[users]]\npassword = \"c\"\nname = \"a\"",
            r#"
f.toml:6:8: `users.name`: an earlier one of the [[users]] has this name
  6 | name = …
    |        ^
  remedy: use another name, or remove one of the two"#,
        ),
        (
            "[[users]]\nname = \"a\"",
            r#"
f.toml:1:1: one of the [[users]] lacks a `password` or a `password_file`
  1 | [[users]]
    | ^^^^^^^^^
  remedy: write a `password` or a `password_file` below this line"#,
        ),
    ] {
        assert_eq!(refused(text), shown.trim_start(), "{text}");
    }
}

#[test]
fn users_that_are_close_to_good_ones_are_refused() {
    let with = |line: &str| format!("{CAMERA}{line}");
    for (text, reason) in [
        (with("password = \"\""), "the password is empty"),
        (with("password = 5"), "is not a string"),
        (with("password = \"0x12\""), "after `0x` stand neither"),
        (with("password = \"a\"\npassword_file = \"f\""), "has a password and a password_file"),
        (with("password_file = \"\""), "no file is named"),
        (with("password_file = \"./no.such\""), "No such file"),
        (with("password = \"a\"\npasswort = \"geheim\""), "an unknown key in [users]"),
        ("[[users]]\npassword = \"geheim\"".into(), "lacks a `name`"),
        ("[[users]]\n".into(), "lacks a `name`"),
        ("[[users]]\nname = \"\"\npassword = \"geheim\"".into(), "1 to 256 bytes"),
        ("[[users]]\nname = \"4711\"\npassword = \"geheim\"".into(), "a name of digits"),
        ("[[users]]\nname = \"u\u{308}ber\"\npassword = \"geheim\"".into(), "SASLprep"),
        ("[users]\nname = \"a\"\npassword = \"geheim\"".into(), "write a line [[users]]"),
        ("users = \"geheim\"".into(), "write a line [[users]]"),
        ("users = [\"geheim\"]".into(), "write a line [[users]]"),
    ] {
        let error = refused(&text);
        assert!(error.contains(reason) && !error.contains("geheim"), "{text}\n{error}");
    }
}

#[test]
fn threat_40_neither_name_nor_password_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("empty"), "\n").unwrap();
    fs::write(dir.path().join("two"), "geheim\ngeheim\n").unwrap();
    for text in [
        "[[users]]\nname = \"geheim:\"\npassword = \"geheim\"",
        "[[users]]\nname = \"geheim\"\npassword = \"0xgeheim\"",
        "[[users]]\nname = \"geheim\"\npassword = \"\"",
        "[[users]]\nname = \"geheim\"\npassword_file = \"empty\"",
        "[[users]]\nname = \"a\"\npassword_file = \"two\"",
        "[[users]]\nname = \"a\"\npassword_file = \"Geheim+geheim=\"",
        "[[users]]\nname = \"a\"\n\"geheim geheim\" = 1",
        "[[users]]\nname = \"a\"\npassword = \"geheim",
        "[[users]]\nname = geheim\npassword = \"geheim\"",
        "[[users]]\nname = \"a\"\npassword = geheim",
    ] {
        let error = Config::parse(text, "f.toml", Some(dir.path())).unwrap_err();
        let said = format!("{error}\n{error:?}").to_lowercase();
        assert!(!said.contains("geheim"), "{text}\n{said}");
    }
}

#[test]
fn threat_41_a_password_file_is_regular_and_small() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("long"), "x".repeat(65_537)).unwrap();
    for file in ["long", "/dev/zero", "/"] {
        let text = format!("{CAMERA}password_file = \"{file}\"");
        let error = Config::parse(&text, "f.toml", Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("longer than 64 KiB") || error.contains("not a regular file"), "{error}");
    }
}
