//! Source files of the project, as `tidy.rs` checks them: by line, without comments and strings,
//! and with the local modules that they name.

use std::path::{Path, PathBuf};

/// One text file of the project.
pub struct Source {
    /// Path from the project's root, with `/`.
    pub path: String,
    /// Unchanged text.
    pub text: String,
}

/// A local path in code: `crate::relay::DropReason` becomes `["relay", "DropReason"]`.
pub struct LocalPath {
    /// Line number, from 1.
    pub line: usize,
    /// Segments after `crate`.
    pub segments: Vec<String>,
}

impl LocalPath {
    /// Whether the path equals `prefix` (such as `clock::Now`) or lies under it.
    pub fn is_under(&self, prefix: &str) -> bool {
        let prefix: Vec<_> = prefix.split("::").collect();
        self.segments.len() >= prefix.len()
            && self.segments.iter().zip(&prefix).all(|(segment, want)| segment == want)
    }
}

/// Returns the root of the project.
pub fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).expect("this package lies in tests/support")
}

/// Returns every file under `directory` (relative to the root) with one of these `extensions`.
pub fn under(directory: &str, extensions: &[&str]) -> Vec<Source> {
    let root = root();
    let mut sources = Vec::new();
    let mut waiting = vec![root.join(directory)];
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            // Files in static/vendor are others' work, by other rules.
            let skipped = ["target", "node_modules", ".venv", ".git", "static/vendor"];
            let skipped = skipped.iter().any(|name| path.ends_with(name));
            if !skipped {
                waiting.extend(entries(&path));
            }
        } else if extensions.iter().any(|&extension| path.extension().is_some_and(|found| found == extension))
        {
            sources.push(read(root, &path));
        }
    }
    assert!(!sources.is_empty(), "no {extensions:?} under {directory}: the rule would check no files");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

/// Returns one file by its path relative to the root.
pub fn file(path: &str) -> Source {
    let root = root();
    read(root, &root.join(path))
}

impl Source {
    /// Returns the code with blanked comments and empty strings. Line numbers stay.
    pub fn code(&self) -> String {
        blank_comments_and_strings(&self.text)
    }

    /// Returns the numbers, from 1, of the lines whose code contains `word` as a separate word.
    pub fn lines_with_word(&self, word: &str) -> Vec<usize> {
        let code = self.code();
        let mut found = Vec::new();
        for (number, line) in code.lines().enumerate() {
            let mut stands_alone = line.match_indices(word).filter(|&(at, _)| {
                let before = line[..at].chars().next_back();
                let after = line[at + word.len()..].chars().next();
                // A word with punctuation at its end, such as `rand::`, needs no boundary.
                let open_end = word.ends_with(|c: char| is_identifier(c));
                !(before.is_some_and(is_identifier) || open_end && after.is_some_and(is_identifier))
            });
            if stands_alone.next().is_some() {
                found.push(number + 1);
            }
        }
        found
    }

    /// Returns the path of the file's own module: `["http", "issue"]` for `crate::http::issue`. In
    /// a member crate, it begins with the crate: `["byway_turn", "wire"]`.
    pub fn module(&self) -> Vec<String> {
        let (package, inner) =
            match self.path.strip_prefix("crates/").and_then(|path| path.split_once("/src/")) {
                Some((member, inner)) => (Some(format!("byway_{member}")), inner),
                None => (None, self.path.trim_start_matches("src/")),
            };
        let inner = inner.trim_end_matches(".rs").trim_end_matches("/mod");
        let segments = inner.split('/').filter(|segment| !["lib", "main"].contains(segment));
        package.into_iter().chain(segments.map(str::to_owned)).collect()
    }

    /// Returns every local path in the code: from `crate::`, `super::`, or (in the binary)
    /// `byway::`. Use trees are expanded. A path into a member crate begins with the crate's name.
    pub fn local_paths(&self) -> Vec<LocalPath> {
        let code = self.code();
        // `mod tests` within the file is one level deeper, so its `super::` is the module itself.
        let tests_from = code.find("#[cfg(test)]").unwrap_or(code.len());
        let mut found = Vec::new();
        let module = self.module();
        let package = module.iter().take(1).filter(|first| first.starts_with("byway_")).cloned();
        for prefix in ["crate::", "super::", "byway::", "byway_turn::", "byway_udp::"] {
            for (at, _) in code.match_indices(prefix) {
                let before = code[..at].chars().next_back();
                if before.is_some_and(|c| is_identifier(c) || c == ':') {
                    continue;
                }
                let mut base = module.clone();
                let mut rest = &code[at..];
                if rest.starts_with("super::") {
                    if at > tests_from {
                        base.push("tests".to_owned());
                    }
                    while let Some(further) = rest.strip_prefix("super::") {
                        base.pop();
                        rest = further;
                    }
                } else if prefix.starts_with("byway_") {
                    base.clear();
                } else {
                    base = package.clone().collect();
                    rest = &rest[prefix.len()..];
                }
                let line = code[..at].matches('\n').count() + 1;
                found.extend(open(rest, &base).into_iter().map(|segments| LocalPath { line, segments }));
            }
        }
        found
    }
}

/// Expands a use tree such as `relay::{DropReason, auth::Key}` into paths that begin with `base`.
fn open(tree: &str, base: &[String]) -> Vec<Vec<String>> {
    let tree = tree.trim_start();
    if let Some(inside) = tree.strip_prefix('{') {
        return branches(inside).iter().flat_map(|branch| open(branch, base)).collect();
    }
    let segment: String = tree.chars().take_while(|&c| is_identifier(c)).collect();
    let mut path = base.to_vec();
    if !segment.is_empty() {
        path.push(segment.clone());
    }
    match tree[segment.len()..].strip_prefix("::") {
        Some(rest) => open(rest, &path),
        None => vec![path],
    }
}

/// Returns the comma-separated branches up to the closing brace.
fn branches(inside: &str) -> Vec<&str> {
    let (mut depth, mut start, mut found) = (0_u32, 0, Vec::new());
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                found.push(&inside[start..at]);
                start = at + 1;
                if c == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    found
}

fn is_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).expect("the project's directories are readable");
    entries.map(|entry| entry.expect("each entry is readable, too").path()).collect()
}

fn read(root: &Path, path: &Path) -> Source {
    let name = path.strip_prefix(root).expect("it lies under the root").to_string_lossy().replace('\\', "/");
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    Source { path: name, text }
}

/// Blanks comments, and the content of string and character literals. Line breaks stay, so line
/// numbers hold.
fn blank_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = at
            + if rest.starts_with(b"//") {
                rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len())
            } else if rest.starts_with(b"/*") {
                rest.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |close| close + 2)
            } else if let Some(length) = raw_string(rest) {
                length
            } else if rest[0] == b'"' {
                literal(rest, b'"')
            } else if is_character_literal(rest) {
                literal(rest, b'\'')
            } else {
                code.push(rest[0]);
                at += 1;
                continue;
            };
        code.extend(bytes[at..end].iter().map(|&byte| if byte == b'\n' { b'\n' } else { b' ' }));
        at = end;
    }
    String::from_utf8(code).expect("only whole characters were blanked")
}

/// Returns the length of `r"..."` or `r#"..."#`, if one starts here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let hashes = rest.strip_prefix(b"r")?.iter().take_while(|&&byte| byte == b'#').count();
    if *rest.get(1 + hashes)? != b'"' {
        return None;
    }
    let close = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let inside = &rest[2 + hashes..];
    let length = inside.windows(close.len()).position(|window| window == close)?;
    Some(2 + hashes + length + close.len())
}

/// Returns the length of a literal that starts and ends with `quote`.
fn literal(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// Whether a literal starts here: `'x'` and `'\n'` are literals, `'a` alone is a lifetime.
fn is_character_literal(rest: &[u8]) -> bool {
    rest[0] == b'\''
        && (rest.get(1) == Some(&b'\\')
            || rest
                .iter()
                .skip(2)
                .take(4)
                .position(|&byte| byte == b'\'')
                .is_some_and(|length| length == 0 || !rest[1].is_ascii()))
}
