//! Links and compresses `static/` and embeds it, also in debug builds, so that tests run against
//! the shipped files.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// Files of `static/` that the server does not serve: parts of the npm package alone, and records
/// of third-party files.
const PRIVATE: [&str; 3] = ["static/package.json", "static/README.md", "static/vendor/vendor.json"];

fn main() {
    println!("cargo::rerun-if-changed=static");
    if let Err(error) = embed() {
        println!("cargo::error={error}");
    }
}

fn embed() -> Result<(), Box<dyn Error>> {
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let dir = out.join("static");
    // An earlier build may have copied files that the sources no longer have.
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    let mut texts = byway_page::Files::new();
    copy_served(Path::new("static"), &dir, &mut texts)?;

    let document = byway_page::link(&texts).map_err(|error| format!("static/{error}"))?;
    fs::write(dir.join("index.html"), &document.html)?;
    // Read by static/page/entry.js, served by src/http/assets.rs.
    let closed = document.html.replacen("<html ", "<html data-access=\"token\" ", 1);
    if closed == document.html {
        return Err("static/index.html: no `<html ` to mark".into());
    }
    fs::write(dir.join("by-invitation.html"), closed)?;
    // The content security policy allows these two texts.
    for (name, text) in [("SCRIPT", &document.script), ("STYLE", &document.style)] {
        println!("cargo::rustc-env=BYWAY_{name}_HASH=sha256-{}", STANDARD.encode(Sha256::digest(text)));
    }

    // memory_serve::load_directory would report every file as a warning in each build. This reports
    // skipped files only.
    let log = |message: &str| {
        if message.starts_with("skipping") {
            println!("cargo::warning={message}");
        }
    };
    let code = |dir: &Path| memory_serve::assets_to_code(&dir.to_string_lossy(), dir, &out, true, log);
    // src/http/assets.rs reads third-party files later than the page.
    let vendor = out.join("third-party");
    if vendor.exists() {
        fs::remove_dir_all(&vendor)?;
    }
    fs::create_dir_all(&vendor)?;
    fs::rename(dir.join("vendor"), vendor.join("vendor"))?;
    // The file name and the format that `memory_serve::load!` includes.
    let code = format!("&[(\"page\", {}), (\"vendor\", {})]", code(&dir), code(&vendor));
    fs::write(out.join("memory_serve_assets.rs"), code)?;
    Ok(())
}

/// Copies a folder without [`PRIVATE`] and types of third-party files. Collects the text of what it
/// copies by path.
fn copy_served(from: &Path, to: &Path, texts: &mut byway_page::Files) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let is_private = PRIVATE.iter().any(|file| source == Path::new(file))
            || source.starts_with("static/vendor") && source.to_string_lossy().ends_with(".d.ts");
        if source.is_dir() {
            copy_served(&source, &target, texts)?;
        } else if !is_private {
            let content = fs::read(&source)?;
            fs::write(&target, &content)?;
            // An image or WebAssembly is no text.
            if let (Ok(text), Ok(path)) = (String::from_utf8(content), source.strip_prefix("static")) {
                texts.insert(path.to_string_lossy().into_owned(), text);
            }
        }
    }
    Ok(())
}
