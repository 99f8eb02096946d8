//! The rules of language: CONTRIBUTING.md states them, these tests hold what a machine can hold.

use super::{Source, none, under};

/// First words that hide the thing a doc comment is about.
const OPENERS: &[&str] = &[
    "What", "Whatever", "Who", "Whoever", "Whom", "Whose", "Which", "How", "Where", "Wherever", "Why", "So",
];

/// Words and phrases that name no actor, or that a reader has to translate.
const PUZZLING: &[&str] = &[
    "whoever",
    "whomever",
    "whom",
    "whither",
    "somebody",
    "so many",
    "anew",
    "afresh",
    "none that",
    "dear",
    "mend",
    "mends",
    "mended",
    "let in",
    "lets in",
    "letting in",
    "in vain",
];

/// Columns that a line with a comment may take.
const COLUMNS: usize = 100;

/// Words that a sentence of a document, or of the configuration, may have.
const WORDS: usize = 30;

/// Consecutive lines of prose: a paragraph, an item of a list or a cell of a table.
struct Paragraph {
    /// Its first line, from 1.
    line: usize,
    /// Whether it opens a doc comment.
    opens_doc: bool,
    text: String,
}

#[test]
fn doc_comments_open_with_the_thing() {
    let mut offences = Vec::new();
    for source in code() {
        for paragraph in paragraphs(&source).into_iter().filter(|paragraph| paragraph.opens_doc) {
            let first: String = paragraph.text.chars().take_while(|c| c.is_alphabetic()).collect();
            if OPENERS.contains(&first.as_str()) {
                offences.push(format!("{}:{}: {first}", source.path, paragraph.line));
            }
        }
    }
    none(
        &offences,
        "open with a noun phrase (\"Relay socket to send from.\") or a verb (\"Returns the ...\")",
    );
}

#[test]
fn comments_end_at_column_100() {
    let mut offences = Vec::new();
    for source in code() {
        for (number, line) in source.text.lines().enumerate() {
            let columns = line.chars().count();
            let has_prose = comment(line, &source.path).is_some() || has_trailing_comment(line, &source.path);
            if has_prose && columns > COLUMNS {
                offences.push(format!("{}:{}: {columns} columns", source.path, number + 1));
            }
        }
    }
    none(&offences, "wrap the comment, or move it above the line");
}

#[test]
fn sentences_of_documents_are_short() {
    let mut offences = Vec::new();
    for source in documents() {
        for Paragraph { line, text, .. } in paragraphs(&source) {
            for sentence in sentences(&text) {
                let words = count_words(sentence);
                if words > WORDS {
                    let start: String = sentence.chars().take(60).collect();
                    offences.push(format!("{}:{line}: {words} words: {start}...", source.path));
                }
            }
        }
    }
    none(&offences, "one idea a sentence");
}

#[test]
fn prose_has_no_puzzling_words() {
    let mut offences = Vec::new();
    for source in code().into_iter().chain(documents()) {
        for Paragraph { line, text, .. } in paragraphs(&source) {
            let text = without_code_spans(&text).to_lowercase();
            for phrase in PUZZLING.iter().filter(|phrase| has_phrase(&text, phrase)) {
                offences.push(format!("{}:{line}: {phrase}", source.path));
            }
        }
    }
    none(&offences, "name the actor, and use the field's term");
}

#[test]
fn the_rules_of_language_find_what_they_forbid() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.into() };

    let rust = paragraphs(&source("a.rs", "/// Whose turn\n/// it is.\nfn a() {}\n// Who knows.\n"));
    assert_eq!(rust.iter().map(|it| (it.line, it.opens_doc)).collect::<Vec<_>>(), [(1, true), (4, false)]);
    assert_eq!(rust[0].text, "Whose turn it is.");

    let script = paragraphs(&source("a.js", "/** What\n * for. */\n/**\n * One.\n *\n * Two.\n */\n"));
    assert_eq!(
        script.iter().map(|it| (it.line, it.opens_doc)).collect::<Vec<_>>(),
        [(1, true), (4, true), (6, false)]
    );

    let page = paragraphs(&source(
        "a.md",
        "# Title\n\nOne. Two\nlines.\n\n```\ncode\n```\n\n| a | b c |\n|---|---|\n- item\n",
    ));
    assert_eq!(
        page.iter().map(|it| it.text.as_str()).collect::<Vec<_>>(),
        ["One. Two lines.", "a", "b c", "item"]
    );

    assert_eq!(sentences("RFC 8656 section 7.2, e.g. `a. b`. Then (so.) on").collect::<Vec<_>>().len(), 3);
    assert_eq!(count_words("Three `words of code` here - it is"), 5);
    assert!(has_phrase("it lets in all", "lets in") && !has_phrase("it lets inner", "lets in"));
    assert!(has_trailing_comment("a(); // why", "a.rs"));
    assert!(!has_trailing_comment("\"http://a\"", "a.rs"));
}

/// Every file whose comments are prose.
fn code() -> Vec<Source> {
    let mut sources = under(".", &["rs", "js", "mjs", "ts", "css", "toml", "service", "yml"]);
    sources.extend(["tests/run", "tests/tools"].map(super::file));
    sources
}

/// Every file that is read as a document.
fn documents() -> Vec<Source> {
    let mut sources = under(".", &["md", "service"]);
    sources.push(super::file("turnserver.toml"));
    sources
}

/// Reads the prose of a file: paragraphs of a document, comments of code.
fn paragraphs(source: &Source) -> Vec<Paragraph> {
    let mut found: Vec<Paragraph> = Vec::new();
    // Whether the next line continues the last paragraph, and stands in a code block.
    let (mut continues, mut in_code) = (false, false);
    let mut previous = None;
    for (number, line) in source.text.lines().enumerate() {
        let Some(Comment { mark, text }) = comment(line, &source.path) else {
            (continues, in_code, previous) = (false, false, None);
            continue;
        };
        let is_block = matches!(mark, "/**" | "*");
        let text = text.trim();
        if text.starts_with("```") {
            (continues, in_code) = (false, !in_code);
        } else if in_code || text.is_empty() || text.starts_with(['#', '<', '@']) {
            continues = false;
        } else if text.starts_with('|') {
            let cells = text.trim_matches('|').split(" | ").map(str::trim);
            let cells = cells.filter(|cell| cell.contains(|c: char| c.is_alphanumeric()));
            found.extend(cells.map(|cell| Paragraph {
                line: number + 1,
                opens_doc: false,
                text: cell.into(),
            }));
            continues = false;
        } else {
            let item = list_item(text);
            match found.last_mut().filter(|_| continues && item.is_none()) {
                Some(paragraph) => {
                    paragraph.text.push(' ');
                    paragraph.text.push_str(text);
                }
                None => {
                    let opens_doc = match mark {
                        "///" | "//!" => previous != Some(mark),
                        "/**" => true,
                        "*" => previous == Some("/**") && found.last().is_none_or(|last| last.line != number),
                        _ => false,
                    };
                    let text = item.unwrap_or(text).into();
                    found.push(Paragraph { line: number + 1, opens_doc, text });
                }
            }
            continues = true;
        }
        previous = Some(if is_block && !text.is_empty() && mark == "/**" { "*" } else { mark });
    }
    found
}

struct Comment<'a> {
    /// The characters that begin it: none in a document.
    mark: &'static str,
    text: &'a str,
}

/// The comment that a line consists of; a line of a document as it stands.
fn comment<'a>(line: &'a str, path: &str) -> Option<Comment<'a>> {
    let marks: &[&'static str] = match extension(path) {
        "md" => &[""],
        "rs" => &["///", "//!", "//"],
        "js" | "mjs" | "ts" | "css" => &["/**", "/*", "//", "*"],
        _ => &["#"],
    };
    let line = line.trim();
    let mark = marks.iter().find(|&&mark| line.starts_with(mark))?;
    let text = &line[mark.len()..];
    // `#!`, `*/` and an operator are none.
    if !(mark.is_empty() || text.is_empty() || text.starts_with(' ')) {
        return None;
    }
    Some(Comment { mark, text: text.strip_suffix("*/").unwrap_or(text) })
}

/// Whether a comment follows code on the line.
fn has_trailing_comment(line: &str, path: &str) -> bool {
    let mark = match extension(path) {
        "rs" | "js" | "mjs" | "ts" => " // ",
        "css" => " /* ",
        _ => " # ",
    };
    line.contains(mark)
}

fn extension(path: &str) -> &str {
    path.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// The text of an item of a list, behind its bullet or number.
fn list_item(text: &str) -> Option<&str> {
    let numbered = || {
        let (number, rest) = text.split_once(". ")?;
        number.parse::<u8>().is_ok().then_some(rest)
    };
    text.strip_prefix("- ").or_else(|| text.strip_prefix("* ")).or_else(numbered)
}

/// Splits a paragraph at the marks that end a sentence.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut in_code = false;
        let mut end = rest.len();
        for (at, character) in rest.char_indices() {
            in_code ^= character == '`';
            let behind = rest[at + character.len_utf8()..].trim_start_matches(['"', ')', '*', '_']);
            let is_abbreviation = [" e.g", " i.e", "(e.g", "(i.e"].iter().any(|it| rest[..at].ends_with(it));
            let ends = matches!(character, '.' | '!' | '?') && (behind.is_empty() || behind.starts_with(' '));
            if ends && !in_code && !is_abbreviation {
                end = rest.len() - behind.len();
                break;
            }
        }
        let (sentence, behind) = rest.split_at(end);
        rest = behind;
        Some(sentence.trim()).filter(|sentence| !sentence.is_empty())
    })
}

/// Words of a sentence. A code span counts as one, a dash as none.
fn count_words(sentence: &str) -> usize {
    let plain = without_code_spans(sentence);
    plain.split_whitespace().filter(|word| word.contains(|c: char| c.is_alphanumeric())).count()
}

/// The text with `code` in place of each code span.
fn without_code_spans(text: &str) -> String {
    let parts = text.split('`').enumerate();
    parts.map(|(number, part)| if number % 2 == 0 { part } else { "code" }).collect()
}

/// Whether a phrase stands in lower-case text as words of its own.
fn has_phrase(text: &str, phrase: &str) -> bool {
    text.match_indices(phrase).any(|(at, _)| {
        let is_letter = |c: char| c.is_alphanumeric() || c == '-';
        !text[..at].ends_with(is_letter) && !text[at + phrase.len()..].starts_with(is_letter)
    })
}
