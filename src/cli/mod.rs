//! Command line: arguments and commands.

mod check;
mod credential;
mod doctor;
mod explain;
mod health;
mod http_client;
mod import;
mod init;
mod invite;
mod load;
mod new_configuration;
mod plain_text;
mod port_holders;
mod probe;
mod reload;
mod running_server;
mod status;
mod top;
mod units;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Tls};
use crate::log::{Log, LogLevel};
use crate::operator_file::is_shortage;
use crate::server;
use crate::tls;

/// STUN, TURN, signaling and ICE configuration for browser calls, in one process
#[derive(Debug, Parser)]
#[command(name = "byway", version, max_term_width = 100)]
pub struct Arguments {
    /// Configuration file [default: /etc/byway/turnserver.toml if it exists, else the embedded
    /// default, which serves this machine only]
    #[arg(long, global = true, value_name = "FILE", env = "BYWAY_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (default command)
    Serve,
    /// Validate the configuration: exit 0 if valid, else exit 2 with file, line, caret and reason
    Check,
    /// Explain a fault by its name: symptoms, cause, remedy and a way to confirm it
    Explain(explain::ExplainArguments),
    /// Find out what keeps this installation from working, as the user of the service: one line a
    /// finding, each with its remedy; exit 1 if something does not work
    ///
    /// It looks at the configuration, certificate, key, ports, limits, kernel, names, clock, the
    /// running server, the page through any proxy, and STUN and TURN; with --from also from
    /// outside. It changes nothing.
    Doctor(Box<doctor::DoctorArguments>),
    /// Ask the running server for its health: exit 0 unless a part of it is down or nothing answers
    Health,
    /// Write the configuration of a public server, start it, and print the first invitation
    ///
    /// The file is that of --config, else /etc/byway/turnserver.toml. A file with settings is never
    /// overwritten. At most three questions are asked, each of which a flag answers.
    Init(init::InitArguments),
    /// Print a credential for a TURN client as JSON
    Credential(credential::CredentialArguments),
    /// Turn a configuration of coturn into one of Byway, written to the file of --config; exit 2 if
    /// the file has faults or cannot be carried over, and write nothing
    ///
    /// The report on stdout names every option of the file as taken, replaced or refused. It has no
    /// secrets. An existing configuration is never overwritten.
    Import(import::ImportArguments),
    /// Print a link to a room, or an operator's link, with a signed join token behind its `#`
    Invite(invite::InviteArguments),
    /// Make the running server read its configuration again, and print which keys took effect; exit
    /// 1 if it refuses the file, with file, line, caret and reason
    Reload,
    /// Print the state of the running server: exit 1 if a part of it is down, something of the
    /// configuration cannot be served, or nothing answers
    Status(status::StatusArguments),
    /// Watch the running server: its allocations, rooms, users and calls, with sorting, a filter,
    /// and removal of allocations and members
    Top(top::TopArguments),
    /// Test a server as a client: page, /ice, /ws, and over UDP, TCP and TLS a STUN binding, an
    /// allocation and relayed data; exit 1 if any fails
    Probe(probe::ProbeArguments),
    /// Measure a server with many clients at once: allocations, datagrams per second, loss,
    /// latency; exit 1 if nothing gets through
    ///
    /// This loads a server that others may be using: ask its operator first. The traffic comes from
    /// this machine and goes to that server only. The run ends by itself and deletes its
    /// allocations.
    Load(Box<load::LoadArguments>),
}

/// Result of a command that completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandOutcome {
    /// No fault was found.
    Done,
    /// The command completed, and what it tested or changed has a fault:
    ///
    /// - `probe`: a client would not get through.
    /// - `load`: nothing was delivered.
    /// - `health`: a part is down, or nothing answers.
    /// - `doctor`: something does not work.
    /// - `reload`: a setting could not be applied.
    /// - `status`: a part is down, something cannot be served, or nothing answers.
    /// - `top --json`: nothing answers.
    /// - `init`: the server has no certificate yet, or its probe failed.
    FaultFound,
}

/// Error of a command that did not complete. Its `Display` is for the user at the terminal.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is invalid or cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The configured certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] tls::Unusable),
    /// The server cannot start, or failed.
    #[error(transparent)]
    Server(#[from] server::ServerError),
    /// `reload` changed nothing: the file was refused, or no server answered.
    #[error("{0}")]
    NotReloaded(String),
    /// `credential` or `invite` has no secret that the server shares.
    #[error(
        "{file}: no secret to sign with; the server generates its own at each start and shares it with nobody\n  \
         remedy: set `secrets` or `secret_files` under [credentials] and restart the server"
    )]
    NoSecret {
        /// Name of the configuration.
        file: String,
    },
    /// `invite` has no address of the call page.
    #[error(
        "{file}: no `tls` or `http` listener with a fixed port for the link\n  \
         remedy: give the address of the call page: --url https://call.example.org"
    )]
    NoPage {
        /// Name of the configuration.
        file: String,
    },
    /// `probe` or `load` has no server to connect to.
    #[error(
        "{file}: no STUN or TURN listener with a fixed port\n  \
         remedy: give a URL, such as turn:HOST:PORT"
    )]
    NothingToProbe {
        /// Name of the configuration.
        file: String,
    },
    /// `doctor` cannot take the user of the service.
    #[error("{0}")]
    Doctor(String),
    /// `init` cannot go on.
    #[error(transparent)]
    Init(#[from] init::InitError),
    /// The arguments of `load` or `invite` contradict each other or are out of bounds, `health`,
    /// `status` or `top` has no listener to ask, or `top` has no terminal.
    #[error("{0}")]
    Usage(&'static str),
    /// The file of coturn has faults. Nothing was written.
    #[error(transparent)]
    Import(#[from] import::ImportError),
    /// A new configuration cannot be written.
    #[error("{}: {reason}\n  remedy: {remedy}", path.display())]
    NewConfiguration {
        /// The file.
        path: PathBuf,
        /// Cause.
        reason: String,
        /// Remedy.
        remedy: &'static str,
    },
    /// `load` failed before it measured anything.
    #[error("{reason}\n  remedy: {remedy}")]
    NoLoad {
        /// Cause.
        reason: String,
        /// Remedy.
        remedy: String,
    },
    /// The system lacks a resource of the command, such as a runtime or an output.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl CliError {
    /// Returns the exit code: 2 if a retry cannot help, 1 if the server failed and a restart may
    /// help. The systemd unit restarts the server after 1 only. Another program may hold a port for
    /// a while, such as the server's own predecessor.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Server(
                server::ServerError::ShardEnded(_)
                | server::ServerError::ListenersEnded(_)
                | server::ServerError::System { .. },
            )
            | Self::NoLoad { .. }
            | Self::NotReloaded(_)
            | Self::Io(_) => 1,
            Self::Init(error) if error.is_passing => 1,
            Self::Certificate(unusable) | Self::Server(server::ServerError::Certificate(unusable))
                if unusable.is_shortage =>
            {
                1
            }
            Self::Server(
                server::ServerError::Listen { error, .. } | server::ServerError::AdminSocket { error, .. },
            )
            | Self::Config(ConfigError::Unreadable { error, .. })
                if is_shortage(error) || error.kind() == io::ErrorKind::AddrInUse =>
            {
                1
            }
            _ => 2,
        }
    }
}

impl Arguments {
    /// Returns the log level until the configuration is read. The server logs; the other commands
    /// answer on stdout.
    #[must_use]
    pub fn log_level(&self) -> LogLevel {
        let level = if self.serves() { "info" } else { "off" };
        level.parse().expect("a level")
    }

    fn serves(&self) -> bool {
        matches!(self.command, None | Some(Command::Serve))
    }
}

/// Runs the command of the arguments. `log` has been started at their level.
///
/// # Errors
/// [`CliError`].
pub fn run(arguments: Arguments, log: &Log) -> Result<CommandOutcome, CliError> {
    // It needs no configuration.
    if let Some(Command::Explain(arguments)) = &arguments.command {
        return explain::run(arguments).map(|()| CommandOutcome::Done);
    }
    let serves = arguments.serves();
    let file = match &arguments.command {
        // They write the configuration.
        Some(Command::Init(_) | Command::Import(_)) => None,
        // A user who probes another server may lack permission to read this server's secrets.
        Some(Command::Load(load)) if arguments.config.is_none() && load.is_self_contained() => None,
        Some(Command::Probe(probe)) if arguments.config.is_none() && probe.is_self_contained() => {
            let file = probe.may_use_configuration().then(|| Config::locate(None).ok().flatten()).flatten();
            file.filter(|file| Config::load(Some(file)).is_ok())
        }
        _ => Config::locate(arguments.config.clone())?,
    };
    let name =
        file.as_ref().map_or_else(|| "the embedded default".to_owned(), |file| file.display().to_string());
    if let Some(Command::Reload) = arguments.command {
        return reload::run(file.as_deref(), &name);
    }
    if let Some(Command::Doctor(arguments)) = arguments.command {
        return doctor::run(&arguments, file.as_deref(), &name);
    }
    let config = Config::load(file.as_deref())?;
    if serves {
        log.control().apply(&config.log);
    }
    let tls = config.tls.clone();
    let done = |()| CommandOutcome::Done;
    let outcome = match arguments.command {
        None | Some(Command::Serve) => {
            server::run(config, file, log.control()).map(done).map_err(CliError::from)
        }
        Some(Command::Health) => health::run(&config),
        Some(Command::Status(arguments)) => status::run(&arguments, &config),
        Some(Command::Top(arguments)) => top::run(&arguments, &config),
        // They have returned above.
        Some(Command::Check | Command::Reload | Command::Explain(_) | Command::Doctor(_)) => {
            check::run(&config, &name).map(done)
        }
        Some(Command::Credential(arguments)) => credential::run(&arguments, &config, name).map(done),
        Some(Command::Invite(arguments)) => invite::run(arguments, &config, name).map(done),
        Some(Command::Import(import)) => import::run(&import, arguments.config).map(done),
        Some(Command::Init(init)) => init::run(init, arguments.config),
        Some(Command::Load(arguments)) => load::run(&arguments, &config, name),
        Some(Command::Probe(arguments)) => probe::run(arguments, &config, name),
    };
    outcome.map_err(|error| match error {
        CliError::Certificate(unusable) | CliError::Server(server::ServerError::Certificate(unusable)) => {
            named(unusable, tls.as_ref())
        }
        error => error,
    })
}

/// Adds the configuration's key to an error of a certificate's file.
fn named(unusable: tls::Unusable, configured: Option<&Tls>) -> CliError {
    let tls::Unusable { file, reason, remedy, is_shortage, .. } = &unusable;
    let mistake = configured.filter(|_| !is_shortage).and_then(|tls| tls.mistake(file, reason, remedy));
    mistake.map_or_else(|| CliError::Certificate(unusable), CliError::Config)
}

/// Prints the answer of a command. A reader that closes the pipe early, such as `head`, does not
/// change the command's exit code.
fn print(answer: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(answer.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

/// Parses a duration such as "1h 30m".
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "write a duration such as \"90s\", \"10m\" or \"1h 30m\"".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn threat_35_only_what_trying_again_may_mend_is_exit_1() {
        let ended = server::ServerError::ShardEnded(vec!["shard 0".to_owned()]);
        assert_eq!(CliError::from(ended).exit_code(), 1);
        let refused = |errno| server::ServerError::Listen {
            listener: "udp",
            address: "127.0.0.1:3478".parse().unwrap(),
            error: io::Error::from_raw_os_error(errno),
        };
        assert_eq!(CliError::from(refused(libc::EADDRINUSE)).exit_code(), 1);
        for (errno, code) in [(libc::EMFILE, 1), (libc::ENOMEM, 1), (libc::EAGAIN, 1), (libc::EACCES, 2)] {
            assert_eq!(CliError::from(refused(errno)).exit_code(), code);
            let (path, error) = ("admin.sock".into(), io::Error::from_raw_os_error(errno));
            let socket = server::ServerError::AdminSocket { path, error, remedy: "" };
            assert_eq!(CliError::from(socket).exit_code(), code);
            let (path, error) = ("f.toml".into(), io::Error::from_raw_os_error(errno));
            assert_eq!(CliError::Config(ConfigError::Unreadable { path, error }).exit_code(), code);
            let refused = tls::Unusable::unreadable("key.pem".as_ref(), &io::Error::from_raw_os_error(errno));
            assert_eq!(refused.to_string().contains("LimitNOFILE"), code == 1, "{refused}");
            assert_eq!(CliError::from(refused).exit_code(), code);
        }
        assert_eq!(CliError::NoSecret { file: String::new() }.exit_code(), 2);
    }

    #[test]
    fn no_command_means_serve() {
        let serves = |line: &[&str]| Arguments::try_parse_from(line).map(|arguments| arguments.serves()).ok();
        assert_eq!(serves(&["byway"]), Some(true));
        assert_eq!(serves(&["byway", "--config", "f.toml"]), Some(true));
        assert_eq!(serves(&["byway", "serve", "--config", "f.toml"]), Some(true));
        assert_eq!(serves(&["byway", "check"]), Some(false));
        assert_eq!(serves(&["byway", "sevre"]), None);
    }
}
