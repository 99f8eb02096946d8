//! `byway`: arguments, configuration, server.

use std::process::ExitCode;

use byway::cli::{self, Arguments, CommandOutcome};
use byway::log::Log;
use clap::Parser as _;

/// Runs `byway`. Exit code 0: done. 1: `probe` or `load` found a fault, or the server failed in a
/// way that a restart may fix, such as a lack of descriptors. 2: wrong usage or configuration, or
/// another program has the port.
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let log = match Log::start(arguments.log_level()) {
        Ok(log) => log,
        Err(error) => {
            Log::off().last_words(&format!("cannot start the log's thread: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match cli::run(arguments, &log) {
        Ok(CommandOutcome::Done) => ExitCode::SUCCESS,
        Ok(CommandOutcome::FaultFound) => ExitCode::FAILURE,
        Err(error) => {
            log.last_words(&error.to_string());
            ExitCode::from(error.exit_code())
        }
    }
}
