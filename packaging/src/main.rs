//! `byway-packaging`: writes the generated files of the packages.
//!
//! `byway-packaging FOLDER` writes `man1/`, `completions/` and `THIRD-PARTY.txt` into the folder.

mod notices;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use byway::cli::Arguments;
use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_complete::aot::generate_to;

/// Sections behind the generated ones of byway(1).
const SECTIONS: &str = r#".SH FILES
.TP
.I /etc/byway/turnserver.toml
Configuration. A key that it leaves out has the embedded default, and without any key the server
listens on loopback only.
.TP
.I /usr/share/doc/byway/turnserver.toml
Every key with its default and meaning.
.TP
.I /var/lib/byway
State: account, keys and certificates of ACME.
.SH EXIT STATUS
0: done. 1: a check found a fault, or the server lacked a resource or a port that another program
has, and a restart may help. 2: the usage or the configuration is wrong, or the server may not bind
a port.
.SH SEE ALSO
.BR systemctl (1),
.BR journalctl (1).
The documents are in
.IR /usr/share/doc/byway .
"#;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).ok_or("name the folder to write to")?;
    manual(&folder.join("man1"))?;
    completions(&folder.join("completions"))?;
    fs::write(folder.join("THIRD-PARTY.txt"), notices::collect()?)?;
    Ok(())
}

/// Writes one page for `byway` and one for each command.
fn manual(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Arguments::command(), folder)?;
    let page = folder.join("byway.1");
    let text = fs::read_to_string(&page)?;
    fs::write(page, text + SECTIONS)?;
    Ok(())
}

fn completions(folder: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(folder)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        generate_to(shell, &mut Arguments::command(), "byway", folder)?;
    }
    Ok(())
}
