//! Text of others, such as names of members, made safe for a terminal.
//!
//! A terminal obeys control characters: they may move the cursor, change its title or answer as if
//! the user typed. Bidirectional and invisible characters make one name look like another.

use crate::diagnosis::finding::{REPLACEMENT, is_printable};

/// Characters of a text that are shown.
const LONGEST: usize = 512;

/// Returns a text on one line without control, bidirectional or invisible characters, cut where it
/// is too long.
#[must_use]
pub(super) fn plain(text: &str) -> String {
    let mut shown: String =
        text.chars().take(LONGEST).map(|c| if is_printable(c) { c } else { REPLACEMENT }).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Returns JSON in which such characters are escaped. JSON has them in strings alone.
#[must_use]
pub(super) fn plain_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c != '\n' && !is_printable(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown += &format!("\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_59_no_text_of_others_reaches_the_terminal_as_a_command() {
        let title = "\u{1b}]0;owned\u{7}\u{9b}31mred\r\n\u{8}\u{7f}";
        assert_eq!(plain(title), "\u{fffd}]0;owned\u{fffd}\u{fffd}31mred\u{fffd}\u{fffd}\u{fffd}\u{fffd}");
        assert_eq!(
            plain("ann\u{202e}gpj.\u{2066}\u{200b}\u{e0041}"),
            "ann\u{fffd}gpj.\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(plain("Zoë 李 👋"), "Zoë 李 👋");
        let long = plain(&"é".repeat(100_000));
        assert_eq!(long.chars().count(), LONGEST + 1);
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| c.is_control()) {
            assert_eq!(plain(&c.to_string()), "\u{fffd}", "{c:?}");
        }
    }

    #[test]
    fn threat_59_json_for_a_terminal_says_the_same() {
        let value = serde_json::json!({"name": "\u{1b}[2J\u{9b}\u{7f}\u{202e}\u{e0041} é\n", "n": [1, 2]});
        let shown = plain_json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!shown.chars().any(|c| c != '\n' && !is_printable(c)), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
