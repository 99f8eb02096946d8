//! Command line: arguments and commands.

mod check;
mod credential;
mod invite;
mod load;
mod probe;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{Config, ConfigError, Tls};
use crate::log::Log;
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
    /// Print a credential for a TURN client as JSON
    Credential(credential::CredentialArguments),
    /// Print a link to a room, with a signed join token behind its `#`
    Invite(invite::InviteArguments),
    /// Test a server as a client over UDP, TCP or TLS: STUN binding, allocation and relayed data
    /// for each URL; exit 1 if any fails
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
    /// `probe` found that a client would not get through, or `load` delivered nothing.
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
    /// The arguments of `load` or `invite` contradict each other or are out of bounds.
    #[error("{0}")]
    Usage(&'static str),
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
    /// help. The systemd unit restarts the server after 1 only.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Server(
                server::ServerError::ShardEnded(_)
                | server::ServerError::ListenersEnded(_)
                | server::ServerError::System { .. },
            )
            | Self::NoLoad { .. }
            | Self::Io(_) => 1,
            Self::Certificate(unusable) | Self::Server(server::ServerError::Certificate(unusable))
                if unusable.is_shortage =>
            {
                1
            }
            Self::Server(server::ServerError::Listen { error, .. })
            | Self::Config(ConfigError::Unreadable { error, .. })
                if is_shortage(error) =>
            {
                1
            }
            _ => 2,
        }
    }
}

impl Arguments {
    /// Returns the log level unless `RUST_LOG` sets another. The server logs; the other commands
    /// answer on stdout.
    #[must_use]
    pub fn log_level(&self) -> &'static str {
        match self.command {
            None | Some(Command::Serve) => "info",
            Some(_) => "off",
        }
    }
}

/// Runs the command of the arguments. `log` has been started at their level.
///
/// # Errors
/// [`CliError`].
pub fn run(arguments: Arguments, log: &Log) -> Result<CommandOutcome, CliError> {
    let file = match &arguments.command {
        // A user who probes another server may lack permission to read this server's secrets.
        Some(Command::Load(load)) if arguments.config.is_none() && load.is_self_contained() => None,
        Some(Command::Probe(probe)) if arguments.config.is_none() && probe.is_self_contained() => None,
        _ => Config::locate(arguments.config)?,
    };
    let config = Config::load(file.as_deref())?;
    let name =
        file.as_ref().map_or_else(|| "the embedded default".to_owned(), |file| file.display().to_string());
    let tls = config.tls.clone();
    let done = |()| CommandOutcome::Done;
    let outcome = match arguments.command {
        None | Some(Command::Serve) => {
            server::run(config, file, log.counters()).map(done).map_err(CliError::from)
        }
        Some(Command::Check) => check::run(&config, &name).map(done),
        Some(Command::Credential(arguments)) => credential::run(&arguments, &config, name).map(done),
        Some(Command::Invite(arguments)) => invite::run(arguments, &config, name).map(done),
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
    let tls::Unusable { file, reason, remedy, is_shortage } = &unusable;
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
        let taken = server::ServerError::Listen {
            listener: "udp",
            address: "127.0.0.1:3478".parse().unwrap(),
            error: io::ErrorKind::AddrInUse.into(),
        };
        assert_eq!(CliError::from(taken).exit_code(), 2);
        for (errno, code) in [(libc::EMFILE, 1), (libc::ENOMEM, 1), (libc::EAGAIN, 1), (libc::EACCES, 2)] {
            let refused = server::ServerError::Listen {
                listener: "udp",
                address: "127.0.0.1:3478".parse().unwrap(),
                error: io::Error::from_raw_os_error(errno),
            };
            assert_eq!(CliError::from(refused).exit_code(), code);
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
        let level =
            |line: &[&str]| Arguments::try_parse_from(line).map(|arguments| arguments.log_level()).ok();
        assert_eq!(level(&["byway"]), Some("info"));
        assert_eq!(level(&["byway", "--config", "f.toml"]), Some("info"));
        assert_eq!(level(&["byway", "serve", "--config", "f.toml"]), Some("info"));
        assert_eq!(level(&["byway", "check"]), Some("off"));
        assert_eq!(level(&["byway", "sevre"]), None);
    }
}
