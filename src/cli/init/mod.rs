//! `byway init`: writes the configuration of a public server, starts it, and prints the first
//! invitation.
//!
//! Nothing is written before all answers are known and the text has been parsed as a configuration.

mod answers;
mod certificate;
mod error;
mod firewall;
mod invitation;
mod qr;
mod reachability;
mod service;
mod settings;
mod taken_ports;

use std::io::{self, IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use crate::access::Policy;
use crate::config::{Config, SYSTEM_FILE, is_directory_url};
use crate::server;
use crate::tls::Name;

use super::probe::ProbeArguments;
use super::probe::trust_roots::Trust;
use super::{CliError, CommandOutcome, check, new_configuration, probe};
use answers::{Answers, Given, Mail};
use firewall::PublicPorts;
use reachability::{Machine, Remark};
use settings::{Authority, Settings};

pub(super) use error::InitError;

#[derive(Debug, clap::Args)]
pub(super) struct InitArguments {
    /// Name of this server, such as call.example.org, or its public address
    #[arg(long, value_name = "NAME-or-ADDRESS", value_parser = answers::public_name)]
    domain: Option<Name>,
    /// Mail address for notices of the certificate authority; "" for none
    #[arg(long, value_name = "MAIL", value_parser = answers::mail)]
    mail: Option<Mail>,
    /// Callers: "token" = only guests with an invitation, "open" = everyone
    #[arg(long, value_name = "token|open", value_parser = answers::access)]
    access: Option<Policy>,
    /// Ask nothing, take the defaults (no mail address, "token"), and go on despite warnings
    #[arg(long)]
    yes: bool,
    /// Write the file only: neither enable nor start the service
    #[arg(long)]
    no_start: bool,
    /// ACME directory of another certificate authority, such as a private one
    #[arg(long, value_name = "URL", value_parser = directory)]
    acme_directory: Option<String>,
    /// PEM file with the issuer of that authority, to trust its directory and its certificates
    #[arg(long, value_name = "FILE")]
    acme_ca: Option<PathBuf>,
}

/// Writes the configuration to `file`, else to [`SYSTEM_FILE`].
pub(super) fn run(arguments: InitArguments, file: Option<PathBuf>) -> Result<CommandOutcome, CliError> {
    let InitArguments { domain, mail, access, yes, no_start, acme_directory, acme_ca } = arguments;
    let file = file.unwrap_or_else(|| SYSTEM_FILE.into());
    // Errors of the place and the arguments come before the questions.
    new_configuration::check_free(&file)?;
    let acme_ca = acme_ca.map(std::path::absolute).transpose()?;
    let trust = Trust::load(acme_ca.as_deref())?;
    let machine = Machine::read()?;
    let conduct = Conduct::of(yes);
    let given = Given { name: domain, mail, access };
    let answers = conduct.answers(given, machine.public_address())?;

    let reachability = reachability::compare(&answers.name, &machine, &reachability::resolve(&answers.name));
    let is_of_the_unit = file == Path::new(SYSTEM_FILE) && service::is_installed();
    let starts = is_of_the_unit && !no_start;
    let authority = Authority { directory: acme_directory.as_deref(), ca_file: acme_ca.as_deref() };
    let secret = server::fresh_secret()?;
    let settings = Settings {
        answers: &answers,
        reachability: &reachability,
        secret: &secret,
        authority: &authority,
        has_runtime_folder: is_of_the_unit,
    };
    let text = settings.text();
    let name = file.display().to_string();
    let config = Config::parse(&text, &name, file.parent())?;
    let taken = taken_ports::warnings(&config, starts.then_some("byway"));
    conduct.tell(reachability.remarks.iter().chain(&taken))?;

    new_configuration::write(&file, &text)?;
    let ports = PublicPorts::of(&config).instructions();
    super::print(&format!("{name}: written, readable by its owner only\n\n{ports}\n"))?;
    let outcome = match starts {
        true => start(&config, &name, &answers, &trust, acme_ca)?,
        false => {
            check::run(&config, &name)?;
            super::print(&format!("\n{}\n\n", to_start(is_of_the_unit, &name)))?;
            CommandOutcome::Done
        }
    };
    super::print(&invitation::text(&config, &settings::page(&answers.name), &name)?)?;
    Ok(outcome)
}

/// Advice where the machine's own firewall keeps the certificate authority out.
const UFW_BLOCKS: &str = "note: ufw blocks TCP port 443, so the server has no certificate yet\n  \
     next: open the ports as above, run `sudo byway reload` to try again at once, then `sudo byway probe`\n";

/// Starts the service, waits for its certificate, and tests it as a client would.
fn start(
    config: &Config,
    name: &str,
    answers: &Answers,
    trust: &Trust,
    ca: Option<PathBuf>,
) -> Result<CommandOutcome, CliError> {
    service::start()?;
    if firewall::does_ufw_block(settings::HTTPS) {
        // A wait would be for nothing: the authority cannot connect.
        super::print(&format!("{}: started\n{UFW_BLOCKS}\n", service::UNIT))?;
        check::run(config, name)?;
        super::print("\n")?;
        return Ok(CommandOutcome::Done);
    }
    let seconds = certificate::PATIENCE.as_secs();
    super::print(&format!("{}: started\nWaiting for the certificate, at most {seconds} s\n", service::UNIT))?;
    let has_certificate = certificate::wait(config, &answers.name, trust)?;
    let told =
        if has_certificate { "The server has a certificate\n\n".to_owned() } else { without_certificate() };
    super::print(&told)?;
    check::run(config, name)?;
    super::print("\n")?;
    let outcome = probe::run(ProbeArguments::of_this_machine(ca), config, name.to_owned())?;
    super::print("\n")?;
    Ok(if has_certificate { outcome } else { CommandOutcome::FaultFound })
}

/// Returns the warning of a server that is still without a certificate, with its own reasons.
fn without_certificate() -> String {
    let troubles: String =
        certificate::troubles(settings::ADMIN).iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "warning: no certificate yet; the server goes on trying\n{troubles}  \
         remedy: open TCP port 443 as above, set the records of the name, then run `sudo byway reload` to try again at \
         once; `sudo journalctl -u {}` shows each attempt\n\n",
        service::UNIT
    )
}

/// Returns the sentence on how to start the server by hand.
fn to_start(is_of_the_unit: bool, name: &str) -> String {
    match is_of_the_unit {
        true => format!("Start the server: sudo systemctl enable --now {}", service::UNIT),
        false => format!("Start the server: byway --config {name} serve"),
    }
}

/// Parses the URL of an ACME directory.
fn directory(text: &str) -> Result<String, String> {
    match is_directory_url(text) {
        true => Ok(text.to_owned()),
        false => Err("give an https:// URL".to_owned()),
    }
}

/// Way to get answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Conduct {
    /// `--yes`: the defaults.
    TakeDefaults,
    /// Questions on a terminal.
    Ask,
    /// Flags alone: there is no terminal.
    Require,
}

impl Conduct {
    fn of(yes: bool) -> Self {
        match yes {
            true => Self::TakeDefaults,
            // Questions go to stderr, so that the output can be kept.
            false if io::stdin().is_terminal() && io::stderr().is_terminal() => Self::Ask,
            false => Self::Require,
        }
    }

    fn answers(self, given: Given, suggestion: Option<IpAddr>) -> Result<Answers, InitError> {
        match self {
            Self::TakeDefaults => given.with_defaults(),
            Self::Require => given.complete(),
            Self::Ask => given.ask(suggestion, &mut io::stdin().lock(), &mut io::stderr().lock()),
        }
    }

    /// Prints the remarks. A warning needs a confirmation.
    fn tell<'a>(self, remarks: impl Iterator<Item = &'a Remark>) -> Result<(), InitError> {
        let mut has_warnings = false;
        for remark in remarks {
            has_warnings |= remark.is_warning;
            // A reader that has left needs no remark.
            let _ = writeln!(io::stderr(), "{remark}");
        }
        let stopped = || {
            let remedy = "correct the causes above, or add --yes to write the configuration anyway";
            Err(InitError::new("stopped because of the warnings above; nothing was written", remedy))
        };
        match self {
            _ if !has_warnings => Ok(()),
            Self::TakeDefaults => Ok(()),
            Self::Require => stopped(),
            Self::Ask => match answers::confirm(&mut io::stdin().lock(), &mut io::stderr().lock())? {
                true => Ok(()),
                false => stopped(),
            },
        }
    }
}
