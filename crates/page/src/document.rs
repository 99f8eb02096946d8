//! The HTML document, with the text of its modules and style sheets in place.

use crate::graph::{self, Script};
use crate::{Files, LinkError, Paths, style};

/// Linked page.
#[derive(Debug)]
pub struct Document {
    /// Text of the document.
    pub html: String,
    /// Content of its one `<script>`, for a hash in a content security policy.
    pub script: String,
    /// Content of its one `<style>`.
    pub style: String,
    /// Modules and style sheets within.
    pub linked: Paths,
    /// Modules that it loads later.
    pub lazy: Paths,
}

/// Links the document at `path`, such as `index.html`, with every style sheet and module that it
/// names.
///
/// The style stands where the first `<link rel="stylesheet">` stood, and the script before
/// `</body>`: a module runs after the document is parsed wherever it stands, and there it does not
/// delay the first paint.
///
/// # Errors
///
/// Returns file, line and cause of the first form that the linker does not know.
pub fn link(path: &str, files: &Files) -> Result<Document, LinkError> {
    let document = path;
    let Some(index) = files.get(document) else {
        return Err(LinkError::new(document, 1, "it does not exist"));
    };
    let mut html = String::new();
    let mut sheets = String::new();
    let mut style_at = None;
    let mut script: Option<Script> = None;
    let mut linked = Paths::new();

    for (number, line) in without_comments(document, index)?.lines().enumerate() {
        let number = number + 1;
        let line = line.trim();
        if let Some(path) = attribute(line, "<link rel=\"stylesheet\" href=\"", "\">") {
            let sheet = files.get(path).ok_or_else(|| missing(document, number, path))?;
            let compact =
                style::compact(sheet).map_err(|fault| LinkError::new(path, fault.line, fault.message))?;
            sheets.push_str(&compact);
            style_at.get_or_insert(html.len());
            linked.insert(path.to_owned());
        } else if let Some(path) = attribute(line, "<script type=\"module\" src=\"", "\"></script>") {
            if script.is_some() {
                return Err(LinkError::new(document, number, "a second script: let the first import it"));
            }
            if !files.contains_key(path) {
                return Err(missing(document, number, path));
            }
            script = Some(graph::link(path, files)?);
        } else if line.contains("rel=\"stylesheet\"") || line.contains("<script") || line.contains("<style") {
            let known = "write <link rel=\"stylesheet\" href=\"...\"> or <script type=\"module\" src=\"...\"></script>";
            return Err(LinkError::new(document, number, format!("{known}, alone on its line")));
        } else if !line.is_empty() {
            html.push_str(line);
            html.push('\n');
        }
    }

    let (Some(style_at), Some(script)) = (style_at, script) else {
        return Err(LinkError::new(document, 1, "a style sheet or a script is missing"));
    };
    let Some(script_at) = html.rfind("</body>").filter(|&at| at >= style_at) else {
        return Err(LinkError::new(document, 1, "</body> is missing, or a style sheet is behind it"));
    };
    html.insert_str(script_at, &format!("<script type=\"module\">{}</script>\n", script.text));
    html.insert_str(style_at, &format!("<style>{sheets}</style>\n"));
    linked.extend(script.linked);
    Ok(Document { html, script: script.text, style: sheets, linked, lazy: script.lazy })
}

fn missing(document: &str, line: usize, path: &str) -> LinkError {
    LinkError::new(document, line, format!("{path} does not exist"))
}

/// The text between two delimiters that together fill a line.
fn attribute<'a>(line: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let value = line.strip_prefix(before)?.strip_suffix(after)?;
    (!value.contains(['"', '<', '>', ':'])).then_some(value)
}

/// Blanks HTML comments. Lines stay.
fn without_comments(document: &str, html: &str) -> Result<String, LinkError> {
    let (mut text, mut rest) = (String::new(), html);
    while let Some((before, comment)) = rest.split_once("<!--") {
        text.push_str(before);
        let Some((inner, after)) = comment.split_once("-->") else {
            let line = 1 + text.matches('\n').count();
            return Err(LinkError::new(document, line, "unterminated comment"));
        };
        text.extend(inner.chars().filter(|&c| c == '\n'));
        rest = after;
    }
    if let Some(at) = html.find("<pre").or_else(|| html.find("<textarea")) {
        let line = 1 + html[..at].matches('\n').count();
        return Err(LinkError::new(
            document,
            line,
            "an element that keeps its white space: the linker would change it",
        ));
    }
    text.push_str(rest);
    Ok(text)
}
