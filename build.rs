//! Compresses `static/` and embeds it, in debug builds too: what is tested is what is shipped.

use std::path::Path;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=static");
    let out = env::var("OUT_DIR").expect("cargo tells a build script where to write");
    let dir = fs::canonicalize("static").expect("static/ is part of the sources");
    // memory_serve::load_directory would report every file as a warning of each build; only a
    // skipped one is.
    let log = |message: &str| {
        if message.starts_with("skipping") {
            println!("cargo::warning={message}");
        }
    };
    let assets = memory_serve::assets_to_code(&dir.to_string_lossy(), &dir, Path::new(&out), true, log);
    // The name and the shape that `memory_serve::load!` includes.
    fs::write(Path::new(&out).join("memory_serve_assets.rs"), format!("&[(\"default\", {assets})]"))
        .expect("OUT_DIR is writable");
}
