//! Paths of files relative to the folder of the document.

/// Resolves a specifier such as `../x.js` against the path of the module that holds it. Returns
/// `None` for anything but a relative path within the folder.
pub(crate) fn resolve(module: &str, specifier: &str) -> Option<String> {
    if !specifier.starts_with("./") && !specifier.starts_with("../") {
        return None;
    }
    let mut parts: Vec<_> = module.split('/').collect();
    parts.pop();
    for part in specifier.split('/') {
        match part {
            "." => {}
            ".." => drop(parts.pop()?),
            // Nothing that a URL would read in another way.
            part if !part.is_empty()
                && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) =>
            {
                parts.push(part);
            }
            _ => return None,
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn specifiers_are_relative_to_their_module() {
        for (module, specifier, path) in [
            ("app.js", "./byway.js", Some("byway.js")),
            ("byway/call.js", "./peer.js", Some("byway/peer.js")),
            ("page/panels/info.js", "../../vendor/uplot/uPlot.js", Some("vendor/uplot/uPlot.js")),
            ("app.js", "../outside.js", None),
            ("app.js", "byway.js", None),
            ("app.js", "/byway.js", None),
            ("app.js", "https://example.com/x.js", None),
            ("app.js", "./x.js?v=1", None),
            ("app.js", ".//x.js", None),
        ] {
            assert_eq!(resolve(module, specifier).as_deref(), path, "{specifier} in {module}");
        }
    }
}
