//! Why a question is not answered.

/// Why a question is not answered, in words for people: what was wrong, with the value and the limit, and what to do. Nothing
/// was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// It is malformed.
    #[error("{0}")]
    Malformed(String),
    /// Nobody was ever heard of under this tenant.
    #[error("nobody was ever heard of under the tenant {0}: check its name, and that signals are published under it")]
    UnknownTenant(String),
    /// It is too large.
    #[error("the question has {size} bytes, the limit is {limit}")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The tenant asks too much at once.
    #[error("limit reached: {limit} is {max}; ask again when others have been answered")]
    TooMany {
        /// The limit's name in the configuration.
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// More was told up to that time than one question may read.
    #[error(
        "limit reached: limits.history_events is {0}, and more than that is stored; ask for an earlier time, raise the limit, or \
         keep less by engine.event_retention"
    )]
    TooManyEvents(u64),
    /// Whoever knows can't be asked now.
    #[error("{0}; ask again")]
    Unavailable(String),
}

impl AskError {
    /// The header `Nats-Service-Error-Code`: as in HTTP.
    #[must_use]
    pub fn code(&self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::UnknownTenant(_) => 404,
            Self::TooLarge { .. } => 413,
            Self::TooMany { .. } | Self::TooManyEvents(_) => 429,
            Self::Unavailable(_) => 503,
        }
    }
}
