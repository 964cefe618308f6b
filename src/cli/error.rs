//! Why a verb did not do what it was asked to, and the exit code that tells it.

use std::io;
use std::process::ExitCode;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::{GetStreamError, GetStreamErrorKind};

use crate::client;
use crate::nats::topology::TopologyError;
use crate::nats::{ConnectError, HistoryError, LogError};
use crate::runtime::RuntimeError;
use crate::wire::subject::NameError;

/// Why a verb did not do what it was asked to.
#[derive(Debug)]
pub(super) enum CliError {
    /// The arguments or the configuration are wrong. Nothing was done.
    Usage(String),
    /// The answer is no.
    No(String),
    /// NATS can't be reached.
    Unreachable(String),
    /// Nobody reads standard output any more (`| head`): a reason to end, and none to complain.
    NobodyReads,
}

impl CliError {
    /// A stream that can't be had; `what` it holds.
    pub(super) fn no_stream(what: &str, error: &GetStreamError) -> Self {
        let missing = match error.kind() {
            GetStreamErrorKind::JetStream(answer) => answer.error_code() == ErrorCode::STREAM_NOT_FOUND,
            GetStreamErrorKind::EmptyName | GetStreamErrorKind::InvalidStreamName | GetStreamErrorKind::Request => {
                false
            }
        };
        if missing {
            Self::No(format!("there is no stream of {what} yet: `presence setup` or an engine creates it"))
        } else {
            Self::Unreachable(format!("the stream of {what} can't be read: {error}; try again"))
        }
    }

    /// What to tell; nothing where nobody asks any more.
    pub(super) fn message(&self) -> Option<&str> {
        match self {
            Self::Usage(message) | Self::No(message) | Self::Unreachable(message) => Some(message),
            Self::NobodyReads => None,
        }
    }

    /// The exit code of the contract.
    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::NobodyReads => ExitCode::SUCCESS,
            Self::No(_) => ExitCode::from(1),
            Self::Usage(_) => ExitCode::from(2),
            Self::Unreachable(_) => ExitCode::from(3),
        }
    }
}

impl From<ConnectError> for CliError {
    fn from(error: ConnectError) -> Self {
        let message = error.to_string();
        match error {
            ConnectError::Options(_) => Self::Usage(message),
            ConnectError::Unreachable { .. } | ConnectError::Denied { .. } => Self::Unreachable(message),
            ConnectError::TooOld { .. } | ConnectError::NoJetStream { .. } => Self::No(message),
        }
    }
}

impl From<client::Error> for CliError {
    fn from(error: client::Error) -> Self {
        let message = error.to_string();
        match error {
            client::Error::Name { .. }
            | client::Error::Limit { .. }
            | client::Error::Meta(_)
            | client::Error::Signal(_) => Self::Usage(message),
            client::Error::Refused { .. } | client::Error::UnknownTenant { .. } | client::Error::Busy { .. } => {
                Self::No(message)
            }
            client::Error::Unanswered { .. }
            | client::Error::Unreadable { .. }
            | client::Error::Unacknowledged(_)
            | client::Error::NoStream { .. }
            | client::Error::Gone { .. }
            | client::Error::Replaced { .. } => Self::Unreachable(message),
            client::Error::Resume(_) => Self::Usage(message),
        }
    }
}

impl From<TopologyError> for CliError {
    fn from(error: TopologyError) -> Self {
        let message = error.to_string();
        if error.may_pass() { Self::Unreachable(message) } else { Self::No(message) }
    }
}

impl From<HistoryError> for CliError {
    fn from(error: HistoryError) -> Self {
        match &error {
            HistoryError::NoStream => Self::No(error.to_string()),
            HistoryError::Unreadable(_) | HistoryError::Stuck(_) => Self::Unreachable(format!("{error}; try again")),
        }
    }
}

impl From<RuntimeError> for CliError {
    fn from(error: RuntimeError) -> Self {
        let message = error.to_string();
        match error {
            RuntimeError::Nats { .. }
            | RuntimeError::Unanswered { .. }
            | RuntimeError::Membership(_)
            | RuntimeError::Checkpoint(_)
            | RuntimeError::Log(LogError::Server(_)) => Self::Unreachable(message),
            RuntimeError::Log(LogError::Replaced(_) | LogError::Cut { .. } | LogError::Missing)
            | RuntimeError::Commit(_)
            | RuntimeError::FoldVersion { .. }
            | RuntimeError::Shutdown { .. } => Self::No(message),
        }
    }
}

impl From<NameError> for CliError {
    fn from(error: NameError) -> Self {
        Self::Usage(error.to_string())
    }
}

/// Errors of standard output.
impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::No(format!("the result can't be written to standard output: {error}"))
        }
    }
}
