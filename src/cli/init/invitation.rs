//! The first invitation of a new server.

use std::io::{self, IsTerminal as _};

use terminal_size::{Width, terminal_size_of};

use crate::access::Policy;
use crate::access::tokens::{DEFAULT_OPERATOR_TTL, Tokens};
use crate::clock::Clock;
use crate::config::Config;
use crate::http::invitations;
use crate::ice::rfc3339;

use super::qr;
use crate::cli::CliError;

/// Returns the text that invites: what the link does, the link, and its QR code on a terminal.
pub(super) fn text(config: &Config, page: &str, file: &str) -> Result<String, CliError> {
    let (purpose, link) = match config.ice.access {
        Policy::Token => operators_link(config, page, file)?,
        Policy::Open => ("The call page, for everyone:".to_owned(), page.to_owned()),
    };
    Ok(format!("{purpose}\n\n{link}\n\n{}", code(&link)))
}

/// Returns the link that lets the operator start calls and invite others, and its purpose.
fn operators_link(config: &Config, page: &str, file: &str) -> Result<(String, String), CliError> {
    let tokens = Tokens::new(&config.tokens, &config.credentials.secrets);
    let tokens = tokens.ok_or_else(|| CliError::NoSecret { file: file.to_owned() })?;
    let (token, end) = tokens.issue_operator(Clock::start().now(), DEFAULT_OPERATOR_TTL);
    let purpose = format!(
        "Your link to start calls and invite others, valid until {}. Keep it to yourself.\n\
         For another: sudo byway invite --host",
        rfc3339(end)
    );
    Ok((purpose, invitations::operator_link(page, &token)))
}

/// Returns the QR code, if the output is a terminal: half blocks would be noise in a file.
fn code(link: &str) -> String {
    let output = io::stdout();
    if !output.is_terminal() {
        return String::new();
    }
    let columns = terminal_size_of(&output).map(|(Width(columns), _)| columns);
    qr::render(link, columns)
        .unwrap_or_else(|| "The terminal is too narrow for the QR code of this link.\n".to_owned())
}
