//! Licence notices of the crates that the binary contains. Their licences require them.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use serde_json::Value;

/// First words of the names of files with a licence or a notice.
const NAMES: [&str; 4] = ["LICENSE", "LICENCE", "COPYING", "NOTICE"];

/// Returns the list of crates, and each text once with the crates that have it.
pub(crate) fn collect() -> Result<String, Box<dyn Error>> {
    let metadata = metadata()?;
    let linked = linked(&metadata)?;
    let mut list = String::from("Crates that the byway binary contains, and their licences.\n\n");
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in array(&metadata["packages"])? {
        // Packages of the workspace have the licence of Byway.
        if !linked.contains(text(&package["id"])?) || package["source"].is_null() {
            continue;
        }
        let name = format!("{} {}", text(&package["name"])?, text(&package["version"])?);
        writeln!(list, "{name}: {}", package["license"].as_str().unwrap_or("see its text"))?;
        let manifest = Path::new(text(&package["manifest_path"])?);
        for notice in notices(manifest.parent().ok_or("a manifest lies in a folder")?)? {
            texts.entry(notice).or_default().push(name.clone());
        }
    }
    for (text, packages) in texts {
        write!(list, "\n{}\n{}\n\n{}\n", "-".repeat(80), packages.join(", "), text.trim_end())?;
    }
    Ok(list)
}

fn metadata() -> Result<Value, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let output = Command::new(cargo)
        .current_dir(root)
        .args(["metadata", "--format-version", "1", "--locked", "--filter-platform", &platform])
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Returns the ids of `byway` and of its dependencies, without those of builds and tests alone.
fn linked(metadata: &Value) -> Result<BTreeSet<String>, Box<dyn Error>> {
    let root = array(&metadata["packages"])?.iter().find(|package| package["name"] == "byway");
    let mut waiting = vec![text(&root.ok_or("byway is part of the workspace")?["id"])?.to_owned()];
    let mut linked = BTreeSet::new();
    let nodes = array(&metadata["resolve"]["nodes"])?;
    while let Some(id) = waiting.pop() {
        if !linked.insert(id.clone()) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == *id).ok_or("every package has a node")?;
        for dependency in array(&node["deps"])? {
            let is_linked = array(&dependency["dep_kinds"])?.iter().any(|kind| kind["kind"].is_null());
            if is_linked {
                waiting.push(text(&dependency["pkg"])?.to_owned());
            }
        }
    }
    Ok(linked)
}

/// Returns the texts of the licence files in the folder of a crate.
fn notices(folder: &Path) -> io::Result<Vec<String>> {
    let mut notices = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.file_type()?.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            notices.push(fs::read_to_string(entry.path())?);
        }
    }
    Ok(notices)
}

fn array(value: &Value) -> Result<&Vec<Value>, Box<dyn Error>> {
    value.as_array().ok_or_else(|| "`cargo metadata` changed its form".into())
}

fn text(value: &Value) -> Result<&str, Box<dyn Error>> {
    value.as_str().ok_or_else(|| "`cargo metadata` changed its form".into())
}
