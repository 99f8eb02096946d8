//! Reader of `turnserver.conf`, with the grammar of coturn's `read_config_file`.
//!
//! - A line is blank, a comment (`#` is its first character), or an option.
//! - The name ends at a blank or `=`. Blanks and `=` behind it are skipped. The rest of the line is
//!   the value, comments included.
//! - A quotation mark at the start of the value is removed, and one at its end with it.
//! - Unknown options have no effect.
//!
//! coturn reads at most 1023 bytes at a time and takes the rest of a longer line for another
//! option. It ignores what follows a NUL byte. Both are faults here.

use super::fault::Fault;
use super::options::{self, CoturnOption};

/// Bytes of the longest line that coturn reads as one, without its end.
const LONGEST: usize = 1022;

/// Unknown options that are compared with the known ones, and that a report names.
pub(super) const NAMED: usize = 20;

/// A line that sets an option.
#[derive(Clone, Copy)]
pub(super) struct Entry<'a> {
    /// Line, from 1.
    pub(super) line: usize,
    pub(super) option: &'static CoturnOption,
    /// The value; empty if there is none.
    pub(super) value: &'a str,
}

/// A file that has the form of a coturn configuration.
#[derive(Default)]
pub(super) struct CoturnFile<'a> {
    /// Known options in file order.
    pub(super) entries: Vec<Entry<'a>>,
    /// Lines with an unknown option, and the known one that it resembles. The name itself may be a
    /// secret in the wrong place.
    pub(super) unknown: Vec<(usize, Option<&'static str>)>,
}

/// Reads the options of a file.
///
/// # Errors
/// Every line that coturn would read otherwise than it looks. A file that is no text has one fault.
pub(super) fn read(bytes: &[u8]) -> Result<CoturnFile<'_>, Vec<Fault>> {
    let line_of = |at: usize| bytes[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
    let not_text = |at: usize, reason: &str| {
        vec![Fault::at(line_of(at), reason, "name the configuration of coturn, saved as text in UTF-8")]
    };
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(not_text(at, "a NUL byte"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| not_text(error.valid_up_to(), "this is not text in UTF-8"))?;
    let mut file = CoturnFile::default();
    let mut faults = Vec::new();
    for (number, line) in text.split('\n').enumerate() {
        let number = number + 1;
        if line.len() > LONGEST {
            faults.push(Fault::at(
                number,
                format!("a line of {} bytes, which coturn cuts after {LONGEST}", line.len()),
                "shorten it, also if it is a comment",
            ));
            continue;
        }
        let line = line.trim_start_matches([' ', '\t']).trim_end_matches(is_space);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = split(line);
        match options::find(name) {
            Some(option) => file.entries.push(Entry { line: number, option, value }),
            None => {
                let is_shown = file.unknown.len() < NAMED;
                file.unknown.push((number, is_shown.then(|| options::resembles(name)).flatten()));
            }
        }
    }
    if faults.is_empty() && file.entries.is_empty() {
        let remedy =
            "name the configuration of coturn, such as /etc/turnserver.conf, and remove the # of its options";
        faults.push(Fault::of_file("no option of coturn is set in this file", remedy));
    }
    if faults.is_empty() { Ok(file) } else { Err(faults) }
}

/// Name and value of a line.
fn split(line: &str) -> (&str, &str) {
    const BETWEEN: [char; 3] = [' ', '\t', '='];
    let Some((name, value)) = line.split_once(BETWEEN) else { return (line, "") };
    let value = value.trim_start_matches(BETWEEN);
    let Some(quoted) = value.strip_prefix('"') else { return (name, value) };
    let quoted = quoted.trim_end_matches([' ', '\t', '\r', '\n']);
    (name, quoted.strip_suffix('"').unwrap_or(quoted))
}

/// C's `isspace`.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(text: &str) -> Vec<(usize, &str, &str)> {
        let file = read(text.as_bytes()).unwrap_or_else(|_| panic!("{text} is valid"));
        file.entries.iter().map(|entry| (entry.line, entry.option.name, entry.value)).collect()
    }

    #[test]
    fn lines_have_the_grammar_of_coturn() {
        let text = "# realm=a\n\n  realm=b\t \r\nno-udp\nrealm = c d # e\nuser\t==\tf:g=\nrealm=\"h i\" \nrealm=\"j\ncert=\n";
        assert_eq!(
            options(text),
            [
                (3, "realm", "b"),
                (4, "no-udp", ""),
                (5, "realm", "c d # e"),
                (6, "user", "f:g="),
                (7, "realm", "h i"),
                (8, "realm", "j"),
                (9, "cert", ""),
            ]
        );
    }

    #[test]
    fn unknown_options_have_no_effect_and_their_names_are_not_kept() {
        let file = read(b"realm=a\n--no-auth\nREALM=b\na-secret\nno-udp;\n").unwrap_or_else(|_| panic!());
        assert_eq!(file.entries.len(), 1);
        let guesses = [(2, Some("no-auth")), (3, Some("realm")), (4, None), (5, Some("no-udp"))];
        assert_eq!(file.unknown, guesses);
    }

    #[test]
    fn threat_38_what_coturn_reads_otherwise_is_a_fault_with_its_line() {
        let fault = |bytes: &[u8]| {
            let faults = read(bytes).err().expect("it is faulty");
            assert_eq!(faults.len(), 1);
            (faults[0].line, faults[0].reason.clone())
        };
        assert_eq!(fault(b"realm=a\nuser=a:b\0c\n"), (Some(2), "a NUL byte".to_owned()));
        assert_eq!(fault(b"realm=a\n\nrealm=\xff\n").0, Some(3));
        assert_eq!(fault(b"# nothing\n").0, None);
        assert_eq!(fault(b"\x7fELF").0, None);
        let long = |length| format!("realm=a\n#{}\n", "x".repeat(length - 1));
        assert_eq!(fault(long(LONGEST + 1).as_bytes()).0, Some(2));
        assert_eq!(options(&long(LONGEST)).len(), 1);
    }
}
