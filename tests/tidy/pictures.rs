//! Pictures of the call page in README: made by `docs/images/make`, from the page as it is.

use std::collections::BTreeSet;
use std::fs;

use byway_test_support::sources::{file, root};

use super::none;

const REMEDY: &str = "run docs/images/make, look at the pictures, and commit docs/images";

#[test]
fn pictures_show_the_page_as_it_is() {
    let drawn: BTreeSet<_> = file("docs/images/made-from").text.lines().map(str::to_owned).collect();
    let now = structure(&file("static/index.html").text);
    let offences: Vec<_> = now
        .symmetric_difference(&drawn)
        .map(|name| format!("static/index.html: {name} came or went since the pictures were made"))
        .collect();
    none(&offences, REMEDY);
}

#[test]
fn readme_shows_every_picture() {
    let readme = file("README.md").text;
    let mut offences = Vec::new();
    for (name, magic, limit) in PICTURES {
        let picture = fs::read(root().join("docs/images").join(name)).unwrap_or_default();
        let is_intact = picture.get(magic.start..magic.start + magic.bytes.len()) == Some(magic.bytes);
        if !is_intact || picture.len() > *limit {
            offences.push(format!("docs/images/{name}: missing, above {limit} bytes, or of another form"));
        }
        if !readme.contains(&format!("docs/images/{name}")) {
            offences.push(format!("README.md: does not show docs/images/{name}"));
        }
    }
    none(&offences, REMEDY);
}

/// Bytes that a file has at a place.
struct Magic {
    start: usize,
    bytes: &'static [u8],
}

/// Files, with the width and height of each PNG, and the largest length.
const PICTURES: &[(&str, Magic, usize)] = &[
    ("call.png", Magic { start: 16, bytes: &[0, 0, 0x05, 0, 0, 0, 0x03, 0x20] }, 1_500_000),
    ("phone.png", Magic { start: 16, bytes: &[0, 0, 0x01, 0x86, 0, 0, 0x03, 0x0c] }, 1_500_000),
    ("call.webp", Magic { start: 8, bytes: b"WEBPVP8X" }, 1_500_000),
];

/// Returns the ids and classes of a document, as `made-from` has them.
fn structure(document: &str) -> BTreeSet<String> {
    let pieces: Vec<_> = document.split('"').collect();
    let attributes = pieces.chunks_exact(2).map(|pair| (pair[0], pair[1]));
    let mut names = BTreeSet::new();
    for (before, value) in attributes {
        let mark = match before.rsplit(' ').next() {
            Some("id=") => '#',
            Some("class=") => '.',
            _ => continue,
        };
        names.extend(value.split(' ').map(|name| format!("{mark}{name}")));
    }
    names
}
