//! `byway doctor`: what keeps this installation from working, with one remedy each.
//!
//! The checks run as the user of the service, because only that user's rights count. Root is given
//! up before any file of the configuration is opened, and before anything is sent. This module and
//! those below read the facts. [`crate::diagnosis`] judges them.

mod files;
mod front_door;
mod machine;
mod names;
mod outside;
mod report;
mod server;
mod service;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use byway_turn::auth::Secret;
use futures_util::future::{join, join_all};
use tokio::time::timeout;

use crate::config::{Config, IceUrl};
use crate::diagnosis::{Finding, clock, cluster, configuration, running};
use crate::fault::Fault;
use crate::server::{page_url, self_check};
use crate::tls::Certificate;

use super::probe::credentials::Login;
use super::probe::trust_roots::Trust;
use super::{CliError, CommandOutcome, probe};
use front_door::{Door, Seen};
use machine::SeenByRoot;
use report::Report;
use server::Asked;
use service::{RunsAs, Service};

/// Longest time of each network section. Every step within has a shorter deadline, so this one
/// bounds servers that answer in drops.
const PATIENCE: Duration = Duration::from_secs(40);

#[derive(Debug, clap::Args)]
pub(super) struct DoctorArguments {
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// STUN or TURN server elsewhere, such as stun:HOST or turn:HOST, which shows this server from
    /// outside [default: doctor.from of the configuration]
    #[arg(long, value_name = "URL", value_parser = probe::url)]
    from: Option<IceUrl>,
    /// TURN username at the server of --from
    #[arg(long, value_name = "U", requires = "password")]
    username: Option<String>,
    /// TURN password at the server of --from
    #[arg(long, value_name = "P", requires = "username")]
    password: Option<Secret>,
    /// Address of the call page as visitors open it [default: from the configuration]
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Web server with a correct clock, to compare this machine's with [default: the ACME directory
    /// and the call page]
    #[arg(long, value_name = "URL")]
    clock: Option<String>,
    /// PEM file with certificates of issuers to trust, in addition to those that this system trusts
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// User to run the checks as, if this is root [default: that of the service]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
}

/// Runs all checks and prints the findings.
pub(super) fn run(
    arguments: &DoctorArguments,
    file: Option<&Path>,
    name: &str,
) -> Result<CommandOutcome, CliError> {
    // One thread: the change of the user below concerns it and the log's.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(examine(arguments, file, name))?;
    // A resolver that hangs must not delay the end.
    runtime.shutdown_background();
    let text = if arguments.json { report.json().map_err(io::Error::from)? } else { report.text() };
    super::print(&text)?;
    Ok(if report.has_failed() { CommandOutcome::FaultFound } else { CommandOutcome::Done })
}

async fn examine(arguments: &DoctorArguments, file: Option<&Path>, name: &str) -> Result<Report, CliError> {
    let service = Service::find(file).await;
    let seen = SeenByRoot::read();
    let runs_as = become_user(arguments, service.as_ref(), file)?;
    let mut report = Report::new(&runs_as, name);
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(error) => {
            report.add("configuration", files::of_configuration(&error, &runs_as.name));
            return Ok(report);
        }
    };
    let trust = Trust::load(arguments.ca.as_deref())?;
    let certificate = config.tls.as_ref().map(|tls| Certificate::load(&tls.files));
    let (certificate, unusable) = match certificate.transpose() {
        Ok(certificate) => (certificate, None),
        Err(unusable) => (None, Some(unusable)),
    };
    let asked = server::ask_all(&config, service.as_ref().map(|service| service.state.as_str()));

    report.add("configuration", of_configuration(&config, certificate.as_ref(), name));
    report.add(
        "certificate",
        files::of_certificate(
            &config,
            certificate.as_ref(),
            unusable.as_ref(),
            &runs_as.name,
            service.as_ref(),
        ),
    );
    report.add("server", running::judge(&asked.server, env!("CARGO_PKG_VERSION")));
    report.add("cluster", of_cluster(&config, &asked));
    report.add("ports", machine::ports(&config, &asked, &seen));
    report.add("machine", machine::limits(&config, &asked, &seen, service.as_ref()));
    let network = async {
        let (names, (front, dates)) = join(
            within("names", names::judge(&config, certificate.as_ref())),
            front_and_clock(arguments, &config, certificate.as_ref(), &trust, &asked),
        )
        .await;
        [("names", names), ("front door", front), ("clock", dates)]
    };
    let (network, (transports, outside)) = join(
        network,
        join(of_transports(&config, arguments, &asked), from_outside(arguments, &config, &trust, &asked)),
    )
    .await;
    for (section, findings) in network {
        report.add(section, findings);
    }
    report.add("transports", transports);
    report.add("outside", outside);
    Ok(report)
}

/// Gives up root for the user of the service.
fn become_user(
    arguments: &DoctorArguments,
    service: Option<&Service>,
    file: Option<&Path>,
) -> Result<RunsAs, CliError> {
    // The socket of the embedded default and of `byway init`.
    let socket = Path::new("/run/byway/admin.sock");
    let owned: Vec<&Path> = if file.is_none_or(|file| file == Path::new(crate::config::SYSTEM_FILE)) {
        Some(socket).into_iter().chain(file).collect()
    } else {
        file.into_iter().collect()
    };
    service::become_user(arguments.user.as_deref(), service, &owned).map_err(|error| {
        CliError::Doctor(format!(
            "{error}\n  remedy: run `sudo byway doctor`, with --user NAME if the user is another"
        ))
    })
}

fn of_configuration(config: &Config, certificate: Option<&Certificate>, name: &str) -> Vec<Finding> {
    let mut findings = vec![Finding::ok("configuration", format!("{name} is valid"))];
    findings.extend(configuration::judge(config, &self_check::machine_facts(config, certificate)));
    findings
}

fn of_cluster(config: &Config, asked: &Asked) -> Vec<Finding> {
    match (&asked.cluster, &config.cluster) {
        (Some(status), _) => cluster::judge(status, asked.now),
        (None, Some(_)) if asked.is_up() => vec![cluster::of_server_outside()],
        (None, Some(_)) => vec![Finding::skipped("cluster", "the server does not answer")],
        (None, None) => Vec::new(),
    }
}

/// Bounds a section.
async fn within(section: &str, work: impl Future<Output = Vec<Finding>>) -> Vec<Finding> {
    timeout(PATIENCE, work).await.unwrap_or_else(|_| {
        vec![Finding::failed(
            None,
            format!("{section} not examined"),
            format!("no end within {} s", PATIENCE.as_secs()),
            "find out what delays the answers, then run byway doctor again",
        )]
    })
}

/// Looks at the front door, and compares the clock with the dates seen there and elsewhere.
async fn front_and_clock(
    arguments: &DoctorArguments,
    config: &Config,
    certificate: Option<&Certificate>,
    trust: &Trust,
    asked: &Asked,
) -> (Vec<Finding>, Vec<Finding>) {
    let acme = config.acme.as_ref().map(|acme| acme.directory.to_string());
    let elsewhere: Vec<String> = arguments.clock.iter().cloned().chain(acme).collect();
    let elsewhere = join_all(elsewhere.iter().map(|url| front_door::date_of(url, trust)));
    let ((findings, mut dates), elsewhere) =
        join(of_front_door(arguments, config, certificate, trust, asked), elsewhere).await;
    let mut troubles = Vec::new();
    for read in elsewhere {
        match read {
            Ok(reading) => dates.push(reading),
            Err(error) => troubles.push(error),
        }
    }
    let mut clocks: Vec<Finding> = asked.clock.iter().filter_map(clock::of_process).collect();
    clocks.push(clock::judge(&dates));
    clocks.extend(
        troubles.into_iter().map(|error| Finding::skipped("a date to compare the clock with", error)),
    );
    (findings, clocks)
}

/// Looks at the front door. Returns the findings, and the date of a proxy there.
async fn of_front_door(
    arguments: &DoctorArguments,
    config: &Config,
    certificate: Option<&Certificate>,
    trust: &Trust,
    asked: &Asked,
) -> (Vec<Finding>, Vec<clock::Reading>) {
    let url = arguments.url.clone().or_else(|| front_door::page_of(config, certificate));
    let (mut findings, mut dates) = (Vec::new(), Vec::new());
    let what = "page, /ice and /ws";
    match url {
        None => findings.push(
            Finding::skipped(what, "no `tls` or `http` listener with a fixed port")
                .with_remedy("name the page: byway doctor --url https://HOST/"),
        ),
        Some(_) if arguments.url.is_none() && !asked.is_up() => {
            findings.push(Finding::skipped(what, "the server does not answer"));
        }
        Some(url) => {
            let names = page_url::names(config, certificate).unwrap_or_default();
            let listeners: &[_] = match url.starts_with("https") && front_door::is_ours(&names, &url) {
                true => &config.listen.tls,
                false => &[],
            };
            match Door::of(&url, listeners).await {
                Ok(door) => {
                    let looked = timeout(PATIENCE, door.look(trust)).await;
                    let nothing = Seen { findings: Vec::new(), dates: Vec::new() };
                    let seen = looked.unwrap_or(nothing);
                    if seen.findings.is_empty() {
                        findings.push(Finding::failed(
                            Fault::TcpBlocked,
                            format!("page {url} is not served"),
                            "no answer in time, or no address",
                            "run byway doctor --url URL with the address that visitors open",
                        ));
                    }
                    findings.extend(seen.findings);
                    // Without a proxy, it is our own server with our own clock.
                    let is_ours = url.starts_with("http://") || front_door::is_ours(&names, &url);
                    if !is_ours || arguments.url.is_some() {
                        dates.extend(seen.dates.into_iter().next_back());
                    }
                }
                Err(error) => findings.push(Finding::failed(
                    Fault::NameUnresolved,
                    format!("page {url} is not found"),
                    error,
                    "correct the name, or its DNS records",
                )),
            }
        }
    }
    (findings, dates)
}

async fn of_transports(config: &Config, arguments: &DoctorArguments, asked: &Asked) -> Vec<Finding> {
    if !asked.is_up()
        && !matches!(asked.server, running::Server::NoListener | running::Server::Refused { .. })
    {
        return vec![Finding::skipped("STUN and TURN", "the server does not answer")];
    }
    if let running::Server::Up { knows_secrets: Some(false), .. } = asked.server {
        return vec![Finding::skipped("STUN and TURN", "the running server has other secrets than the file")];
    }
    within("STUN and TURN", probe::findings_of_this_machine(config, arguments.ca.as_deref())).await
}

async fn from_outside(
    arguments: &DoctorArguments,
    config: &Config,
    trust: &Trust,
    asked: &Asked,
) -> Vec<Finding> {
    let Some(url) = arguments.from.as_ref().or(config.doctor.from.as_ref()) else {
        return vec![Finding::skipped("view from outside", "no server elsewhere is named").with_remedy(
            "name one: byway doctor --from turn:HOST --username U --password P, or `from` under [doctor]",
        )];
    };
    let login = arguments.username.clone().zip(arguments.password.clone());
    let login = login.map(|(username, password)| Login { username, password });
    within("view from outside", outside::judge(url, login, config, trust, asked.is_up())).await
}
