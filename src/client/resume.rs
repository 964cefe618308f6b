//! A position in the stream of events.

use std::fmt;
use std::str::FromStr;

use super::Error;

/// Where a [`Watch`](super::Watch) stands, to go on there after a restart. It is written as a short text.
///
/// ```
/// use presence_engine::client::Resume;
/// let resume: Resume = "42.1700000000000.1600000000000".parse()?;
/// assert_eq!(resume.to_string(), "42.1700000000000.1600000000000");
/// # Ok::<(), presence_engine::client::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resume {
    /// The sequence in PRESENCE_EVENTS up to which everything was told.
    pub(super) seq: u64,
    /// A time up to which it was, in milliseconds since the Unix epoch, by the server's clock.
    pub(super) at_ms: u64,
    /// When the stream was made, by the server's clock: another stream has other sequences.
    pub(super) made_ms: u64,
}

impl fmt::Display for Resume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.seq, self.at_ms, self.made_ms)
    }
}

impl FromStr for Resume {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
            (Some(Some(seq)), Some(Some(at_ms)), Some(Some(made_ms)), None) => Ok(Self { seq, at_ms, made_ms }),
            _ => Err(Error::Resume(text.to_owned())),
        }
    }
}
