//! What can be wrong with a configuration.

use std::fmt;
use std::time::Duration;

use humantime::format_duration;

use super::similar::similar;
use crate::model::{Policy, PolicyError};

/// All that is wrong with a configuration, in the order of the text; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                writeln!(f)?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The text is not TOML.
    #[error("line {line}: not TOML: {message}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key or section that means nothing.
    #[error("line {line}: there is no key {path}; {hint}")]
    Unknown {
        /// Counted from 1.
        line: usize,
        /// The key with its section.
        path: String,
        /// What may have been meant, or what there is.
        hint: String,
    },
    /// A value that is not of its key's type.
    #[error("line {line}: {path} is {value}; it has to be {expected}")]
    Type {
        /// Counted from 1.
        line: usize,
        /// The key with its section.
        path: String,
        /// The value as it stands in the text.
        value: String,
        /// What is allowed, with an example.
        expected: String,
    },
    /// A value outside of its range. Without a line it is a default that another key's value rules out.
    #[error("{}{path} is {value}; allowed are {min} to {max}", place(*.line))]
    Range {
        /// Counted from 1.
        line: Option<usize>,
        /// The key with its section.
        path: String,
        /// The value.
        value: String,
        /// The least that is allowed.
        min: String,
        /// The most that is allowed.
        max: String,
    },
    /// A profile that is not there.
    #[error("{}there is no profile \"{name}\"; {hint}", place(*.line))]
    NoProfile {
        /// Counted from 1; `None` where the name does not come from the text.
        line: Option<usize>,
        /// The name.
        name: String,
        /// What may have been meant, and what there is.
        hint: String,
    },
    /// A threshold lies above the one that must not come before it.
    #[error("{}profile.{profile}: {first} ({first_is}) is above {then} ({then_is}); make {then} at least as long", place(*.line))]
    Order {
        /// Counted from 1; `None` where the profile's own defaults don't fit.
        line: Option<usize>,
        /// The profile.
        profile: String,
        /// The key of the one that comes first.
        first: &'static str,
        /// Its value.
        first_is: String,
        /// The key of the one that comes after.
        then: &'static str,
        /// Its value.
        then_is: String,
    },
    /// The log would be cut before the checkpoints that need it are replaced.
    #[error(
        "{}engine.log_retention is {}, and with engine.checkpoint_every = {} it has to be {} at least: a restart replays \
         the log from a checkpoint on",
        place(*.line), format_duration(*.log_retention), format_duration(*.checkpoint_every), format_duration(*.least)
    )]
    LogTooShort {
        /// Counted from 1.
        line: Option<usize>,
        /// How long the log is kept.
        log_retention: Duration,
        /// Time between checkpoints.
        checkpoint_every: Duration,
        /// The least that is allowed.
        least: Duration,
    },
    /// The policy as a whole can't be used.
    #[error(transparent)]
    Policy(PolicyError),
}

fn place(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!("line {line}: "))
}

impl ConfigError {
    /// The line, 0 where there is none.
    pub(super) fn line(&self) -> usize {
        match self {
            Self::Syntax { line, .. } | Self::Unknown { line, .. } | Self::Type { line, .. } => *line,
            Self::Range { line, .. }
            | Self::NoProfile { line, .. }
            | Self::Order { line, .. }
            | Self::LogTooShort { line, .. } => line.unwrap_or(0),
            Self::Policy(_) => 0,
        }
    }

    pub(super) fn no_profile(name: &str, line: Option<usize>, policy: &Policy) -> Self {
        let names = || policy.profiles.iter().map(|(name, _)| &**name);
        let known = names().collect::<Vec<_>>().join(", ");
        let hint = match similar(name, names()) {
            Some(like) => format!("did you mean \"{like}\"? There are {known}"),
            None => format!("there are {known}; another one is made by a section [profile.{name}]"),
        };
        Self::NoProfile { line, name: name.to_owned(), hint }
    }
}
