//! The blocks of a PEM file (RFC 7468). No block is skipped silently.
//!
//! PEM readers skip text outside of blocks. Two files joined without a line break merge two
//! boundary lines, and a reader then skips the following certificate. The chain would be incomplete
//! without an error.

/// Kind of a certificate's block, as named by its boundaries.
pub(super) const CERTIFICATE: &str = "CERTIFICATE";

/// Kinds of private keys.
pub(super) const PRIVATE_KEYS: [&str; 4] =
    ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"];

/// Kinds of blocks that are redundant beside the others.
pub(super) const PARAMETERS: [&str; 2] = ["EC PARAMETERS", "DH PARAMETERS"];

/// Error for two files that were joined without a line break.
pub(super) const JOINED: &str = "a line break is missing between two blocks";

/// Returns the kinds of the blocks in a file, in order. Text outside of blocks is explanatory (RFC
/// 7468 section 2).
///
/// # Errors
/// The reason for which a reader would skip part of the file.
pub fn kinds(pem: &[u8]) -> Result<Vec<String>, String> {
    const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();
    if pem.starts_with(BYTE_ORDER_MARK) {
        return Err("it begins with a byte order mark, so its first block is not found".to_owned());
    }
    let text = String::from_utf8_lossy(pem);
    let (mut kinds, mut open) = (Vec::new(), None);
    for (number, line) in (1..).zip(lines(&text)) {
        let boundary = |word: &str| line.strip_prefix(word)?.trim_end().strip_suffix("-----");
        match (boundary("-----BEGIN "), boundary("-----END "), open) {
            (Some(kind), _, None) if !kind.contains("-----") => open = Some(kind),
            (_, Some(kind), Some(begun)) if kind == begun => {
                kinds.push(begun.to_owned());
                open = None;
            }
            _ if !line.contains("-----BEGIN") && !line.contains("-----END") => {}
            _ if line.matches("-----BEGIN").count() + line.matches("-----END").count() > 1 => {
                return Err(format!("line {number}: {JOINED}"));
            }
            // The line may hold a part of a private key.
            _ => return Err(format!("line {number}: a boundary that does not begin or end a block here")),
        }
    }
    match open {
        None => Ok(kinds),
        Some(_) => Err("cut off before its -----END line".to_owned()),
    }
}

/// Splits lines like the PEM parser, except that the parser counts `\r\n` as two line ends.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threat_40_no_mistake_quotes_a_line_of_a_key() {
        for pem in [
            "-----BEGIN PRIVATE KEY-----MIGHsecret\nMIGHsecret\n-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nMIGHsecret\nMIGHsecret-----END PRIVATE KEY-----\n",
            "-----BEGIN PRIVATE KEY-----\nMIGHsecret\n-----END PRIVATE KEY-----MIGHsecret\n",
        ] {
            let reason = kinds(pem.as_bytes()).unwrap_err();
            assert!(reason.starts_with("line ") && !reason.contains("secret"), "{reason}");
        }
    }

    fn block(kind: &str) -> String {
        format!("-----BEGIN {kind}-----\nMII=\n-----END {kind}-----\n")
    }

    #[test]
    fn threat_38_blocks_are_counted_whatever_ends_their_lines() {
        let both = block("CERTIFICATE") + &block("PRIVATE KEY");
        let expected = Ok(vec!["CERTIFICATE".to_owned(), "PRIVATE KEY".to_owned()]);
        for text in [
            both.clone(),
            both.replace('\n', "\r\n"),
            both.replace('\n', "\r"),
            both.replace("-----\n", "----- \n"),
            both.trim_end().to_owned(),
            format!("subject=CN = a\n---\n{both}\n-----\n"),
        ] {
            assert_eq!(kinds(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn threat_38_what_a_reader_would_pass_over_is_refused() {
        let one = block("CERTIFICATE");
        let joined = format!("{}{one}", one.trim_end());
        for (text, reason) in [
            (joined.clone(), "line 3: a line break is missing between two blocks"),
            (format!("\u{feff}{one}"), "byte order mark"),
            (format!(" {one}"), "line 1: "),
            (one.replace("-----BEGIN CERTIFICATE-----\n", ""), "line 2: "),
            (one.replace("END CERTIFICATE-----", "END CERTIFICATE----"), "line 3: "),
            (one.replace("-----END CERTIFICATE-----\n", ""), "cut off"),
            (one.replace("-----END CERTIFICATE-----\n", &one), "line 3: "),
            (one.replace("END CERTIFICATE", "END PRIVATE KEY"), "line 3: "),
        ] {
            let error = kinds(text.as_bytes()).unwrap_err();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }
}
