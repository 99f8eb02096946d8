//! Third-party files of the call page: exactly the pinned ones, each with its licence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use byway_test_support::sources::{file, root};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::none;

const FOLDER: &str = "static/vendor";

/// One folder of `vendor.json`.
#[derive(Deserialize)]
struct Package {
    /// npm package, absent if only a licence is kept.
    package: Option<String>,
    version: Option<String>,
    /// Checksum of the archive, as npm writes it.
    integrity: Option<String>,
    licence: String,
    /// Place of the source code, for a licence that asks for it.
    source: Option<String>,
    files: BTreeMap<String, File>,
}

#[derive(Deserialize)]
struct File {
    sha256: String,
}

#[test]
fn vendor_files_are_the_recorded_ones() {
    let mut unseen = files();
    let mut offences = Vec::new();
    for (folder, package) in record() {
        for (name, recorded) in package.files {
            let path = format!("{FOLDER}/{folder}/{name}");
            let found = fs::read(root().join(&path)).map(|content| hex(&Sha256::digest(content)));
            if found.ok() != Some(recorded.sha256) {
                offences.push(format!("{path}: missing, or not the recorded file"));
            }
            unseen.remove(&path);
        }
    }
    unseen.remove(&format!("{FOLDER}/vendor.json"));
    unseen.remove(&format!("{FOLDER}/LICENSES.txt"));
    offences.extend(unseen.into_iter().map(|path| format!("{path}: not recorded")));
    none(&offences, "record the file in static/vendor/vendor.json and run tests/vendor");
}

#[test]
fn vendor_packages_are_pinned_and_licensed() {
    let index = file(&format!("{FOLDER}/LICENSES.txt")).text;
    // As deny.toml has it for crates: at most a notice. MPL-2.0 asks for more, but of its own files
    // alone: they are shipped unmodified, with the licence and the place of their source.
    let allowed = ["MIT", "Apache-2.0", "BSD-3-Clause", "ISC", "Zlib", "MPL-2.0"];
    let mut offences = Vec::new();
    for (folder, package) in record() {
        let mut expect = |holds: bool, fault: &str| {
            if !holds {
                offences.push(format!("{FOLDER}/{folder}: {fault}"));
            }
        };
        expect(allowed.contains(&package.licence.as_str()), "a licence that is not allowed");
        expect(package.files.contains_key("LICENSE.txt"), "no LICENSE.txt");
        expect(
            index.contains(&format!("{}, {folder}/LICENSE.txt\n", package.licence)),
            "not in LICENSES.txt",
        );
        if package.licence == "MPL-2.0" {
            let source = package.source.as_deref().unwrap_or_default();
            expect(source.starts_with("https://"), "no place of its source");
            expect(
                index.contains(&format!("unmodified; source code: {source}\n")),
                "no source in LICENSES.txt",
            );
        }
        if let Some(name) = &package.package {
            let version = package.version.as_deref().unwrap_or_default();
            let parts: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
            expect(parts.len() == 3 && parts.iter().all(Result::is_ok), "no exact version");
            expect(package.integrity.is_some_and(|it| it.starts_with("sha512-")), "no integrity");
            expect(index.contains(&format!("{name} {version}: ")), "another version in LICENSES.txt");
        }
    }
    none(&offences, "see the head of tests/vendor");
}

/// Returns the packages by their folders.
fn record() -> BTreeMap<String, Package> {
    let record = file(&format!("{FOLDER}/vendor.json"));
    serde_json::from_str(&record.text).expect("vendor.json has the fields above")
}

/// Returns the path of every committed file.
fn files() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![PathBuf::from(FOLDER)];
    while let Some(path) = waiting.pop() {
        if root().join(&path).is_dir() {
            let entries = fs::read_dir(root().join(&path)).expect("a folder of the sources can be read");
            waiting.extend(entries.map(|entry| path.join(entry.expect("it has a name").file_name())));
        } else {
            found.insert(slashed(&path));
        }
    }
    found
}

fn slashed(path: &Path) -> String {
    path.to_string_lossy().replace('\\', "/")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
