//! Modules of the page in the order of their evaluation, and those that it loads later.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::module::{Export, Module};
use crate::{Fault, Files, LinkError};

/// Files of others, which are loaded as they are.
const VENDOR: &str = "vendor/";

/// Links a module and all that it imports into one script.
///
/// Each module becomes a function that is called once and returns its exports. Importers copy the
/// names that they import: no module changes an export after its evaluation, and none imports a
/// module that imports it.
pub(crate) fn link(entry: &str, files: &Files) -> Result<Script, LinkError> {
    let mut modules = Vec::new();
    add(entry, None, files, &mut Vec::new(), &mut modules)?;
    let linked: BTreeSet<&str> = modules.iter().map(|module| module.path.as_str()).collect();
    let lazy = expect_lazy_apart(&modules, &linked, files)?;

    let names: BTreeMap<&str, String> = modules
        .iter()
        .enumerate()
        .map(|(index, module)| (module.path.as_str(), format!("module_{index}")))
        .collect();
    let mut text = String::new();
    for module in &modules {
        if let Some(name) = names.values().find(|name| module.has_word(name)) {
            return Err(LinkError::new(&module.path, 1, format!("{name} is a name of the linker")));
        }
        text.push_str(&wrap(module, &modules, &names)?);
    }
    for sequence in ["</script", "<script", "<!--"] {
        if text.to_ascii_lowercase().contains(sequence) {
            return Err(LinkError::new(entry, 1, format!("the linked script contains {sequence}")));
        }
    }
    Ok(Script { text, linked: linked.into_iter().map(str::to_owned).collect(), lazy })
}

/// Linked script.
pub(crate) struct Script {
    pub(crate) text: String,
    /// Paths of the modules within.
    pub(crate) linked: BTreeSet<String>,
    /// Paths of the modules that it loads later, with all that they import.
    pub(crate) lazy: BTreeSet<String>,
}

/// Adds a module behind everything that it imports.
fn add<'a>(
    path: &str,
    importer: Option<(&str, usize)>,
    files: &'a Files,
    unfinished: &mut Vec<String>,
    modules: &mut Vec<Module<'a>>,
) -> Result<(), LinkError> {
    if modules.iter().any(|module| module.path == path) {
        return Ok(());
    }
    let (blamed, line) = importer.unwrap_or((path, 1));
    if unfinished.iter().any(|waiting| waiting == path) {
        return Err(LinkError::new(blamed, line, format!("a cycle: {path} imports this module")));
    }
    if path.starts_with(VENDOR) {
        return Err(LinkError::new(
            blamed,
            line,
            format!("{path} is loaded later or not at all: use import()"),
        ));
    }
    let module = parse(path, importer, files)?;
    unfinished.push(path.to_owned());
    for import in &module.imports {
        add(&import.path, Some((path, import.line)), files, unfinished, modules)?;
    }
    unfinished.pop();
    modules.push(module);
    Ok(())
}

fn parse<'a>(path: &str, importer: Option<(&str, usize)>, files: &'a Files) -> Result<Module<'a>, LinkError> {
    Module::parse(path, source(path, importer, files)?).map_err(|fault| fault.of(path))
}

fn source<'a>(path: &str, importer: Option<(&str, usize)>, files: &'a Files) -> Result<&'a str, LinkError> {
    let (blamed, line) = importer.unwrap_or((path, 1));
    match files.get(path) {
        Some(source) => Ok(source),
        None => Err(LinkError::new(blamed, line, format!("{path} does not exist"))),
    }
}

/// Writes one module as a function that is called once.
fn wrap(
    module: &Module<'_>,
    modules: &[Module<'_>],
    names: &BTreeMap<&str, String>,
) -> Result<String, LinkError> {
    let mut text = String::new();
    // Writing to a String never fails.
    let _ = writeln!(text, "const {} = (() => {{", names[module.path.as_str()]);
    for import in &module.imports {
        if let Some(all) = import.all {
            let _ = writeln!(text, "const {all} = {};", names[import.path.as_str()]);
        }
    }
    for import in module.imports.iter().filter(|import| !import.names.is_empty()) {
        for (name, _) in &import.names {
            expect_export(module, &import.path, name, import.line, modules)?;
        }
        let pairs = import.names.iter().map(|(name, local)| match name == local {
            true => (*name).to_owned(),
            false => format!("{name}: {local}"),
        });
        let list = pairs.collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "const {{ {list} }} = {};", names[import.path.as_str()]);
    }
    text.push_str(module.code().map_err(|fault| fault.of(&module.path))?.trim_start());
    let mut exports = Vec::new();
    for (exported, export) in &module.exports {
        exports.push(match export {
            Export::Own(_) => (*exported).to_owned(),
            Export::Other { path, name, line } => {
                expect_export(module, path, name, *line, modules)?;
                format!("{exported}: {}.{name}", names[path.as_str()])
            }
        });
    }
    let _ = writeln!(text, "\nreturn {{ {} }};\n}})();", exports.join(", "));
    Ok(text)
}

fn expect_export(
    module: &Module<'_>,
    path: &str,
    name: &str,
    line: usize,
    modules: &[Module<'_>],
) -> Result<(), LinkError> {
    match modules.iter().any(|other| other.path == path && other.exports.contains_key(name)) {
        true => Ok(()),
        false => Err(LinkError::new(&module.path, line, format!("{path} exports no {name}"))),
    }
}

/// Follows every `import()`. A module that is loaded later and imports a linked one would get a
/// second copy of it.
fn expect_lazy_apart(
    modules: &[Module<'_>],
    linked: &BTreeSet<&str>,
    files: &Files,
) -> Result<BTreeSet<String>, LinkError> {
    let mut waiting: Vec<(String, String, usize)> = Vec::new();
    let mut found = BTreeSet::new();
    for module in modules {
        waiting.extend(module.lazy.iter().map(|lazy| (lazy.path.clone(), module.path.clone(), lazy.line)));
    }
    while let Some((path, importer, line)) = waiting.pop() {
        if linked.contains(path.as_str()) {
            let message = format!("{path} is part of the document, and this import would load a second copy");
            return Err(LinkError::new(&importer, line, message));
        }
        if !found.insert(path.clone()) {
            continue;
        }
        if path.starts_with(VENDOR) {
            if !files.contains_key(&path) {
                return Err(LinkError::new(&importer, line, format!("{path} does not exist")));
            }
            continue;
        }
        let source = source(&path, Some((&importer, line)), files)?;
        let dependencies = Module::dependencies(&path, source).map_err(|fault| fault.of(&path))?;
        waiting.extend(dependencies.into_iter().map(|(dependency, line)| (dependency, path.clone(), line)));
    }
    Ok(found)
}

impl Fault {
    fn of(self, path: &str) -> LinkError {
        LinkError::new(path, self.line, self.message)
    }
}
