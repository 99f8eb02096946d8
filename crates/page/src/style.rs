//! Style sheets as one text: without comments and needless white space.

use crate::{Fault, fault};

/// Returns a style sheet without comments, and without white space that separates nothing.
///
/// # Errors
///
/// Returns the line of a reference to another file, which would be relative to another folder, and
/// of what would end a `<style>`.
pub(crate) fn compact(source: &str) -> Result<String, Fault> {
    let mut text = String::new();
    let (mut rest, mut quote) = (source, None);
    while let Some(c) = rest.chars().next() {
        let line = 1 + source[..source.len() - rest.len()].matches('\n').count();
        if quote.is_none() && rest.starts_with("/*") {
            let Some(end) = rest.find("*/") else { return fault(line, "unterminated comment") };
            rest = &rest[end + 2..];
            continue;
        }
        let lower = rest.get(..7).unwrap_or(rest).to_ascii_lowercase();
        if lower.starts_with("</style") {
            return fault(line, "</style ends the element");
        }
        if quote.is_none()
            && (lower.starts_with("url(") && !is_self_contained(&rest[4..]) || lower == "@import")
        {
            return fault(line, "a style sheet of the document refers to no other file");
        }
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), '\\') => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                text.push_str(&rest[..length]);
                rest = &rest[length..];
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (None, c) if c.is_whitespace() && is_needless(&text, rest) => {
                rest = rest.trim_start();
                continue;
            }
            _ => {}
        }
        text.push(c);
        rest = &rest[c.len_utf8()..];
    }
    if quote.is_some() {
        return fault(source.lines().count(), "unterminated string");
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    Ok(lines.flat_map(|line| [line, "\n"]).collect())
}

/// Whether white space between these texts is beside a brace, or behind the end of a name, value or
/// selector. None precedes a colon or a comma: ` :hover` is a selector of its own.
fn is_needless(before: &str, after: &str) -> bool {
    let ends = before.ends_with(['{', ';', ',', ':']) && !before[..before.len() - 1].ends_with('\\');
    ends || after.trim_start().starts_with(['{', '}'])
}

fn is_self_contained(argument: &str) -> bool {
    let argument = argument.trim_start_matches(['"', '\'']);
    argument.starts_with("data:") || argument.starts_with('#')
}

#[cfg(test)]
mod tests {
    use super::compact;

    #[test]
    fn comments_and_needless_white_space_go() {
        let source = "/* One\n * two */\n:root {\n  --a: \"/* not */\";\n\n  --b: '\\'/*';\n}\n";
        assert_eq!(compact(source).unwrap(), ":root{--a:\"/* not */\";--b:'\\'/*';}\n");
    }

    #[test]
    fn white_space_that_separates_stays() {
        for (source, compacted) in [
            ("a :hover, b > c { margin: 0 auto }", "a :hover,b > c{margin:0 auto}\n"),
            (
                "@media (width < 40rem) {\n  a { b: calc(1px + 2px); }\n}",
                "@media (width < 40rem){a{b:calc(1px + 2px);}}\n",
            ),
            ("a { content: \"b: { c; }\" }", "a{content:\"b: { c; }\"}\n"),
            ("a\\: b {}\nc {}", "a\\: b{}\nc{}\n"),
        ] {
            assert_eq!(compact(source).unwrap(), compacted, "{source}");
        }
    }

    #[test]
    fn other_files_and_the_end_of_the_element_are_refused() {
        for (source, line) in [
            ("a {}\nb { background: url(x.png) }", 2),
            ("@import \"x.css\";", 1),
            ("a { content: \"</STYLE>\" }", 1),
            ("a {}\n\n/* open", 3),
        ] {
            assert_eq!(compact(source).unwrap_err().line, line, "{source}");
        }
        assert!(compact("a { mask: url(data:image/png;base64,AA) url(\"#b\") }").is_ok());
    }
}
