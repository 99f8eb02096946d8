//! Settings of the log: its format, and its levels by module.

use std::str::FromStr;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Settings of the log. A reload may change them while the server runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Format of each line.
    pub format: LogFormat,
    /// Levels, which `RUST_LOG` overrides.
    pub level: LogLevel,
}

/// Format of each line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// A JSON object per line, for programs.
    Json,
}

/// Levels by module, as directives: `info`, or `info,byway::signaling=debug`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

/// Mistake in the directives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogLevelError {
    /// A directive is empty.
    #[error("a level is missing")]
    Empty,
    /// A word is not a level.
    #[error("{0:?} is not a level")]
    Level(String),
    /// The part before `=` is not the path of a module.
    #[error("{0:?} is not the path of a module")]
    Module(String),
}

impl LogLevelError {
    /// Returns the remedy.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty | Self::Level(_) => {
                "use off, error, warn, info, debug or trace, and for a module such as \
                 \"info,byway::signaling=debug\""
            }
            Self::Module(_) => {
                "write the module as in Rust, with underscores and `::`, such as \
                 \"info,byway::signaling=debug\""
            }
        }
    }
}

impl FromStr for LogLevel {
    type Err = LogLevelError;

    /// Parses the directives. `EnvFilter` takes a misspelt level for the name of a module, so the
    /// log would be silent. Here a directive without `=` must be a level.
    fn from_str(text: &str) -> Result<Self, LogLevelError> {
        let directives: Vec<&str> = text.split(',').map(str::trim).collect();
        for directive in &directives {
            let level = match directive.split_once('=') {
                Some((module, level)) => {
                    let is_path = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':');
                    if module.is_empty() || !module.chars().all(is_path) {
                        return Err(LogLevelError::Module(module.to_owned()));
                    }
                    level
                }
                None => directive,
            };
            if level.is_empty() {
                return Err(LogLevelError::Empty);
            }
            if !level.bytes().all(|byte| byte.is_ascii_alphabetic()) || level.parse::<LevelFilter>().is_err()
            {
                return Err(LogLevelError::Level(level.to_owned()));
            }
        }
        Ok(Self(directives.join(",")))
    }
}

impl LogLevel {
    /// Returns the filter of these levels. Modules without a directive log at `info`.
    pub(super) fn filter(&self) -> Result<EnvFilter, ParseError> {
        // `off` means every library, too.
        let defaults = if self.0.eq_ignore_ascii_case("off") { "" } else { DEFAULTS };
        EnvFilter::builder().parse(format!("{defaults}{}", self.0))
    }
}

/// Directives that precede the configured ones. The library that embeds the page logs each file,
/// and the NATS client each attempt to connect, which `cluster` tells once.
const DEFAULTS: &str = "info,memory_serve=warn,async_nats=off,";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_level_and_levels_by_module_are_filters() {
        for text in
            ["off", "Error", "warn", "info", "debug", "trace", "info, byway::signaling=debug", "h2=off"]
        {
            text.parse::<LogLevel>().unwrap().filter().unwrap();
        }
        let filter = |text: &str| text.parse::<LogLevel>().unwrap().filter().unwrap().to_string();
        // A later directive replaces an earlier one for the same module.
        assert_eq!(
            filter("byway::signaling=debug"),
            "byway::signaling=debug,memory_serve=warn,async_nats=off,info"
        );
        assert_eq!(filter("error,memory_serve=off"), "memory_serve=off,async_nats=off,error");
        assert_eq!(filter("off"), "off");
        // As after a list over several lines.
        assert_eq!(filter("\tdebug\n"), filter("debug"));
        assert_eq!(filter("info,\r\n\u{a0}byway::signaling=debug\n"), filter("info,byway::signaling=debug"));
    }

    #[test]
    fn a_misspelt_level_or_module_is_a_mistake_and_not_a_silent_log() {
        use LogLevelError::{Empty, Level, Module};
        for (text, error) in [
            ("", Empty),
            ("info,", Empty),
            ("byway=", Empty),
            ("inof", Level("inof".to_owned())),
            ("3", Level("3".to_owned())),
            ("byway", Level("byway".to_owned())),
            ("info,byway=loud", Level("loud".to_owned())),
            ("byway-turn=debug", Module("byway-turn".to_owned())),
            ("=debug", Module(String::new())),
            ("byway[span]=debug", Module("byway[span]".to_owned())),
        ] {
            assert_eq!(text.parse::<LogLevel>(), Err(error), "{text}");
        }
    }
}
