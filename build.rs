//! Compresses `static/` and embeds it, also in debug builds, so that tests run against the shipped
//! files.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Files of `static/` that only the npm package needs. The server does not serve them.
const NPM_FILES: [&str; 2] = ["static/package.json", "static/README.md"];

fn main() {
    println!("cargo::rerun-if-changed=static");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo tells a build script where to write"));
    let dir = out.join("static");
    // An earlier build may have copied files that the sources no longer have.
    if dir.exists() {
        fs::remove_dir_all(&dir).expect("OUT_DIR is writable");
    }
    copy_served(Path::new("static"), &dir).expect("static/ is part of the sources, and OUT_DIR is writable");
    // memory_serve::load_directory would report every file as a warning in each build. This reports
    // skipped files only.
    let log = |message: &str| {
        if message.starts_with("skipping") {
            println!("cargo::warning={message}");
        }
    };
    let assets = memory_serve::assets_to_code(&dir.to_string_lossy(), &dir, &out, true, log);
    // The file name and the format that `memory_serve::load!` includes.
    fs::write(out.join("memory_serve_assets.rs"), format!("&[(\"default\", {assets})]"))
        .expect("OUT_DIR is writable");
}

/// Copies a folder with all its files except [`NPM_FILES`].
fn copy_served(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_served(&source, &target)?;
        } else if !NPM_FILES.iter().any(|file| source == Path::new(file)) {
            fs::copy(&source, &target)?;
        }
    }
    Ok(())
}
