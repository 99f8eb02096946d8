//! Links and compresses `static/` and embeds it, also in debug builds, so that tests run against
//! the shipped files. Makes the page `/help` from `docs/when-calls-fail.md`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, html};
use sha2::{Digest, Sha256};

/// Files of `static/` that the server does not serve: parts of the npm package alone, and records
/// of third-party files.
const PRIVATE: [&str; 3] = ["static/package.json", "static/README.md", "static/vendor/vendor.json"];

/// Document of the page `/help`.
const HELP: &str = "docs/when-calls-fail.md";

/// Place of the document in `static/help.html`.
const HELP_PLACE: &str = "<!-- docs/when-calls-fail.md -->";

fn main() {
    println!("cargo::rerun-if-changed=static");
    println!("cargo::rerun-if-changed={HELP}");
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

    let link = |path| byway_page::link(path, &texts).map_err(|error| format!("static/{error}"));
    let document = link("index.html")?;
    fs::write(dir.join("index.html"), &document.html)?;
    // Read by static/page/entry.js, served by src/http/assets.rs.
    let closed = document.html.replacen("<html ", "<html data-access=\"token\" ", 1);
    if closed == document.html {
        return Err("static/index.html: no `<html ` to mark".into());
    }
    fs::write(dir.join("by-invitation.html"), closed)?;
    let (before, after) = texts
        .get("help.html")
        .and_then(|page| page.split_once(HELP_PLACE))
        .ok_or("static/help.html: the place of the document is missing")?;
    fs::write(dir.join("help.html"), format!("{before}{}{after}", help(&fs::read_to_string(HELP)?)))?;
    let check = link("check.html")?;
    fs::write(dir.join("check.html"), &check.html)?;
    // The content security policies allow these texts.
    for (name, text) in [
        ("SCRIPT", &document.script),
        ("STYLE", &document.style),
        ("CHECK_SCRIPT", &check.script),
        ("CHECK_STYLE", &check.style),
    ] {
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

/// Renders the document. Headings get the anchors that GitHub gives them. Links to other documents,
/// which the server does not serve, become their text.
fn help(markdown: &str) -> String {
    let events: Vec<Event> = Parser::new_ext(markdown, Options::ENABLE_TABLES).collect();
    let mut shown = Vec::with_capacity(events.len());
    // Whether the open link leads to another document: links do not nest.
    let mut leads_away = false;
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Start(Tag::Heading { level, classes, attrs, .. }) => {
                let inner =
                    events[at + 1..].iter().take_while(|it| !matches!(it, Event::End(TagEnd::Heading(_))));
                let id = Some(CowStr::from(anchor(inner)));
                let (classes, attrs) = (classes.clone(), attrs.clone());
                shown.push(Event::Start(Tag::Heading { level: *level, id, classes, attrs }));
            }
            Event::Start(Tag::Link { dest_url, .. }) => {
                leads_away = !dest_url.starts_with('#') && !dest_url.contains("://");
                if !leads_away {
                    shown.push(event.clone());
                }
            }
            Event::End(TagEnd::Link) if leads_away => {}
            // A table that is wider than a phone scrolls by itself.
            Event::Start(Tag::Table(_)) => {
                shown.push(Event::Html("<div class=\"table\" tabindex=\"0\">".into()));
                shown.push(event.clone());
            }
            Event::End(TagEnd::Table) => {
                shown.push(event.clone());
                shown.push(Event::Html("</div>".into()));
            }
            _ => shown.push(event.clone()),
        }
    }
    let mut out = String::new();
    html::push_html(&mut out, shown.into_iter());
    out
}

/// Anchor of a heading, by GitHub's rule: lower case, hyphens for spaces, no other punctuation.
fn anchor<'a>(heading: impl Iterator<Item = &'a Event<'a>>) -> String {
    let text = heading.filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) => Some(text.to_lowercase()),
        _ => None,
    });
    let text = text.collect::<String>();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
